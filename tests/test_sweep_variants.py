from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations, product
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweep import JobFileError, Problem, Schema, load
from orchestrator.sweep.variants import Choice, VariantError, choice, parse, texts

RECORDING = Path(__file__).parent / "recordings" / "tool_detail_studio_trigger.json"
SCHEMA = Schema.from_tool(json.loads(RECORDING.read_text())["tool"][0])
NOW = datetime(2026, 11, 22, tzinfo=UTC)

Sweep = Callable[..., list[str]]


def no_wildcards(name: str) -> Choice:
    raise VariantError(f"`{name}` is unknown")


def colours(name: str) -> Choice:
    assert name == "colour"
    return choice([parse(each, no_wildcards) for each in ("red", "deep {blue|green}", "black")])


def written_out(text: str) -> list[str]:
    row = parse(text, colours)
    found = list(texts(row))
    assert row.size.texts == len(found)
    assert row.size.characters >= sum(map(len, found))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [""]),
        ("no variants | no $$", ["no variants | no $$"]),
        ("a {red|blue} boat", ["a red boat", "a blue boat"]),
        ("{a|b}{c|d}", ["ac", "ad", "bc", "bd"]),
        ("a {very |}big boat", ["a very big boat", "a big boat"]),
        ("{2$$fog|rain|snow}", ["fog, rain", "fog, snow", "rain, snow"]),
        ("{3$$ fog | rain | snow }", ["fog, rain, snow"]),
        ("{2$$a|{b|c}|d}", ["a, b", "a, c", "a, d", "b, d", "c, d"]),
        ("{a|{b|{c|d}}}", ["a", "b", "c", "d"]),
        ("{style}, {a|{x}} {{b}}", ["{style}, a {{b}}", "{style}, {x} {{b}}"]),
        ("{ {{a|b}} | c}", [" {{a|b}} ", " c"]),
        ("__colour__ boat", ["red boat", "deep blue boat", "deep green boat", "black boat"]),
        (
            "{2$$__colour__}",
            ["red, deep blue", "red, deep green", "red, black", "deep blue, black", "deep green, black"],
        ),
        ("{__colour__|x}", ["red", "deep blue", "deep green", "black", "x"]),
        ("{__colour__}", ["red", "deep blue", "deep green", "black"]),
        ("__init and ____ and _a_", ["__init and ____ and _a_"]),
    ],
)
def test_all_variants_in_written_order(text: str, expected: list[str]) -> None:
    assert written_out(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("{", "}", "{a", "{a|b", "{}", "{a b}", "{2$$a}", "{0$$a|b}", "{x$$a|b}", "{1-2$$a|b}", "{2$$ and $$a|b}"),
        *("{2::a|b}", "__a*__", "{__a b__}", "{{a|b}|c}", "{a|{{b}", "{a|" * 30 + "b" + "}" * 30),
    ],
)
def test_what_makes_no_template(text: str) -> None:
    with pytest.raises(VariantError):
        written_out(text)


Tree: TypeAlias = "str | tuple[int, list[list[Tree]]]"

words = st.text(alphabet="ab ,", max_size=3)
trees = st.recursive(
    words,
    lambda inner: st.lists(st.lists(inner, max_size=3), min_size=2, max_size=3).flatmap(
        lambda options: st.tuples(st.integers(1, len(options)), st.just(options))
    ),
    max_leaves=8,
)


def spelled(row: list[Tree]) -> str:
    return "".join(
        part if isinstance(part, str) else f"{{{part[0]}$${'|'.join(spelled(option) for option in part[1])}}}"
        for part in row
    )


def plainly(row: list[Tree]) -> list[str]:
    """Return what a template stands for, in the plainest way."""
    found = [""]
    for part in row:
        found = [before + text for before in found for text in ([part] if isinstance(part, str) else taken(*part))]
    return found


def taken(count: int, options: list[list[Tree]]) -> list[str]:
    if count == 1:
        return [text for option in options for text in plainly(option)]
    return [
        ", ".join(text.strip() for text in found)
        for chosen in combinations(options, count)
        for found in product(*map(plainly, chosen))
    ]


@given(st.lists(trees, max_size=3))
def test_equals_the_plainest_way(row: list[Tree]) -> None:
    """What a template stands for is what loops over its parts give, and its size is known before."""
    expected = plainly(row)
    parsed = parse(spelled(row), no_wildcards)
    assert list(texts(parsed)) == expected
    assert parsed.size.texts == len(expected)
    assert parsed.size.characters >= sum(map(len, expected))


@pytest.mark.parametrize(
    "text", ["{a|b}" * 200, "{300$$" + "|".join("a" * 600) + "}", "{a|b|c|d}" * 8 + "x" * 10_000, "{2$$__many__}"]
)
def test_explosions_are_counted_not_made(text: str) -> None:
    many = choice([parse(str(number), no_wildcards) for number in range(1000)])
    tracemalloc.start()
    try:
        assert parse(text, lambda _: many).size.explodes
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_too_many_to_combine() -> None:
    with pytest.raises(VariantError, match="1001 options"):
        parse("{2$$" + "|" * 1000 + "}", no_wildcards)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Return the prompts of a job whose axis `prompt` is given, with files beside it."""

    def sweep(axis: str, more: str = "", **files: str) -> list[str]:
        for name, text in files.items():
            (tmp_path / f"{name}.txt").write_text(text)
        path = tmp_path / "job.yaml"
        path.write_text(f"model: Hevok/Studio-Trigger\nsweep:\n  prompt: {axis}\n{more}")
        return [task.parameters["prompt"] for task in load(path, today=NOW).resolve(SCHEMA).tasks()]

    return sweep


def problems_of(sweep: Sweep, axis: str, more: str = "", **files: str) -> list[tuple[str, int, str]]:
    with pytest.raises(JobFileError) as caught:
        sweep(axis, more, **files)
    problems: tuple[Problem, ...] = caught.value.problems
    return [(Path(each.file).name, each.line, each.message) for each in problems]


def test_in_a_job(sweep: Sweep) -> None:
    """Names are replaced in every variant, and a variable's variants are texts."""
    axis = '["x", {template: "a {red|blue} boat, {mood}, __sea__"}]'
    more = 'variables: {mood: [{template: "{calm|{{wild}}}"}]}\n'
    boats = [
        f"a {colour} boat, {mood}, {sea}"
        for mood in ("calm", "{wild}")
        for colour in ("red", "blue")
        for sea in ("flat", f"{mood} waves")
    ]
    assert sweep(axis, more, sea="# the sea\n\nflat\n{mood} waves\n") == ["x", *boats]


def test_wildcards_that_cannot_be_used(sweep: Sweep) -> None:
    assert problems_of(sweep, '{template: "a __b__"}') == [
        ("job.yaml", 3, "In the template, `__b__` cannot be used: there is no file `b.txt` beside the job file.")
    ]
    assert problems_of(sweep, '{template: "a __../b__"}')[0][2].endswith("names no wildcard.")
    loop = {"a": "x\n__b__\n", "b": "y __a__\n", "c": "__c__\n__a__"}
    assert problems_of(sweep, '[{template: "__a__"}, {template: "__a__"}, {template: "__c__"}]', **loop) == [
        ("b.txt", 1, "In the line, a wildcard leads back to itself: `__a__` → `__b__` → `__a__`."),
        ("c.txt", 1, "In the line, a wildcard leads back to itself: `__c__` → `__c__`."),
    ]
    assert problems_of(sweep, '{template: "__e__"}', e="# nothing\n")[0][2].endswith("the file has no lines.")
    assert problems_of(sweep, '{template: "__f__"}', f="a\n{b\n")[0][:2] == ("f.txt", 2)


def test_wildcards_that_explode_or_go_deep(sweep: Sweep) -> None:
    """Files that name each other many times are counted in no time."""
    files = {f"w{number}": f"__w{number + 1}__ __w{number + 1}__\n" * 10 for number in range(15)}
    ((_, line, message),) = problems_of(sweep, '{template: "__w0__"}', **files, w15="a\nb\n")
    assert line == 3
    assert "more than 100,000 texts" in message
    deep = {f"d{number}": f"__d{number + 1}__\n" for number in range(40)}
    ((name, _, message),) = problems_of(sweep, '{template: "__d0__"}', **deep)
    assert name == "d19.txt"
    assert "more than 20 wildcards" in message


def test_templates_count_together(sweep: Sweep) -> None:
    half = '{template: "' + "{a|b}" * 16 + '"}'
    ((_, _, message),) = problems_of(sweep, f"[{half}, {half}]")
    assert "With this template" in message


def test_no_names_in_a_variable(sweep: Sweep) -> None:
    more = 'variables: {mood: [{template: "{calm|{prompt}}"}]}\n'
    ((_, line, message),) = problems_of(sweep, '["{mood}"]', more)
    assert line == 4
    assert "`{prompt}`" in message
