from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.sweep import Job, JobFileError, Problem, Schema, load

RECORDING = Path(__file__).parent / "recordings" / "tool_detail_studio_trigger.json"
SCHEMA = Schema.from_tool(json.loads(RECORDING.read_text())["tool"][0])
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SECRET = "k3y-in-use"

Read = Callable[..., Job]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a job with one axis from files that stand beside it."""

    def read(axis: str, *, allowed: tuple[Path, ...] = (), name: str = "prompt", **files: str | bytes) -> Job:
        folder = tmp_path / "jobs"
        folder.mkdir(exist_ok=True)
        for file, text in files.items():
            (folder / file.replace("__", ".")).write_bytes(text if isinstance(text, bytes) else text.encode())
        path = folder / "job.yaml"
        prompt = "" if name == "prompt" else "parameters: {prompt: x}\n"
        path.write_text(f"model: Hevok/Studio-Trigger\n{prompt}sweep:\n  {name}: {axis}\n")
        return load(path, today=NOW, secrets=[SECRET], allowed=allowed).resolve(SCHEMA)

    return read


def sent(job: Job, name: str = "prompt") -> list[Any]:
    return [task.parameters[name] for task in job.tasks()]


def test_lines_of_a_text_file(read: Read) -> None:
    """A line each, raw; blank lines and those that begin with # are skipped; any ends of lines."""
    text = "\ufeff# boats\r\na {red} boat\r\n\r\n  a|b \n # no\n1e3\n"
    assert sent(read("{file: a.txt}", a__txt=text)) == ["a {red} boat", "a|b", "1e3"]


def test_numbers_and_forms_beside_each_other(read: Read) -> None:
    job = read("[5, {file: a.txt}, {from: 30, to: 31, step: 1}]", name="steps", a__txt="10\n20\n")
    assert sent(job, "steps") == [5, 10, 20, 30, 31]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", 'label, text\nfog,"a harbour, in ""fog"""\n\n,"two\nlines"\n'),
        (
            "rows.json",
            '[{"label": "fog", "text": "a harbour, in \\"fog\\"", "n": null}, {"label": "", "text": "two\\nlines"}]',
        ),
        ("rows.yaml", '- {label: fog, text: "a harbour, in \\"fog\\"", n: 1e3}\n- {label: "", text: "two\\nlines"}\n'),
    ],
)
def test_columns_of_a_table(read: Read, name: str, text: str) -> None:
    """Tables of each kind give values and labels; an empty label is none, other columns do not matter."""
    tasks = list(read(f"{{file: {name}, column: text, label: label}}", **{name.replace(".", "__"): text}).tasks())
    assert [task.parameters["prompt"] for task in tasks] == ['a harbour, in "fog"', "two\nlines"]
    assert [task.labels for task in tasks] == [{"prompt": "fog"}, {}]


def test_plain_lists(read: Read) -> None:
    assert sent(read("{file: a.json}", name="scale", a__json="[3, 3.50, 1e1]"), "scale") == ["3", "3.5", "10"]
    assert sent(read("{file: a.yml}", a__yml='- a {b}\n- "no"\n')) == ["a {b}", "no"]


def test_they_are_inlined(read: Read, tmp_path: Path) -> None:
    """The job in its final form needs the file no more."""
    job = read("{file: a.txt}", a__txt="x\ny\n")
    (tmp_path / "jobs" / "a.txt").unlink()
    assert sent(Job.from_json(json.loads(json.dumps(job.to_json())))) == ["x", "y"]


@pytest.mark.parametrize(
    ("axis", "file", "place", "message"),
    [
        ("{file: b.txt}", ("a.txt", "x"), "job.yaml:3:18", "no file `b.txt` beside the job file"),
        ("{file: a.txt}", ("a.txt", "# nothing\n"), "job.yaml:3:18", "`a.txt` has no values"),
        ("{file: .}", ("a.txt", ""), "job.yaml:3:18", "it is a folder"),
        ("{file: .env}", (".env", "x=1"), "job.yaml:3:18", "hidden"),
        ("{file: ../job.txt}", ("a.txt", ""), "job.yaml:3:18", "outside"),
        ("{file: /etc/hostname}", ("a.txt", ""), "job.yaml:3:18", "outside"),
        ("{file: a.txt}", ("a.txt", b"fog\nra\xffin"), "a.txt:2:3", "not UTF-8"),
        ("{file: a.txt}", ("a.txt", "fog\nra\x1bin"), "a.txt:2:3", "U+001B"),
        ("{file: a.txt}", ("a.txt", f"fog\n{SECRET}\n"), "a.txt:2:1", "credential"),
        ("{file: a.json}", ("a.json", '["k3y-in-us\\u0065"]'), "a.json:1:2", "credential"),
        ("{file: a.json}", ("a.json", '["a\\u0000b"]'), "a.json:1:2", "cannot be sent"),
        ("{file: a.txt, column: x}", ("a.txt", "fog"), "job.yaml:3:18", "has no columns"),
        ("{file: a.csv}", ("a.csv", "x\n1\n"), "job.yaml:3:18", "no column of it is named"),
        ("{file: a.csv, column: y}", ("a.csv", "x;y\n1;2\n"), "a.csv:1:1", "no column `y`"),
        ("{file: a.csv, column: x}", ("a.csv", "x,y\na,1\nfog, rain, 1\n"), "a.csv:3:1", "3 cells, and the first"),
        ("{file: a.csv, column: x}", ("a.csv", "x,x\n1,2\n"), "a.csv:1:1", "same name"),
        ("{file: a.csv, column: x}", ("a.csv", 'x\n"a\n'), "a.csv:2:1", "not CSV"),
        ("{file: a.json}", ("a.json", '{"a": 1}'), "a.json:1:1", "`[` is expected"),
        ("{file: a.json}", ("a.json", '["a",\n "b" "c"]'), "a.json:2:6", "`,` or `]`"),
        ("{file: a.json}", ("a.json", '["a", null]'), "a.json:1:7", "Nothing was given"),
        ("{file: a.json}", ("a.json", '["a", ["b"]]'), "a.json:1:7", "A list or a mapping"),
        ("{file: a.json}", ("a.json", '["a",\n NaN]'), "a.json:2:2", "not a finite number"),
        ("{file: a.json}", ("a.json", "[1e99]"), "a.json:1:2", "out of reach"),
        ("{file: a.json}", ("a.json", '[{"a": 1, "a": 2}]'), "a.json:1:2", "twice"),
        ("{file: a.json}", ("a.json", "[" * 100_000), "a.json:1:2", "too deep"),
        ("{file: a.json}", ("a.json", '["a"] x'), "a.json:1:6", "behind the list"),
        ("{file: a.json, column: x}", ("a.json", '[{"x": "a"}, "b"]'), "a.json:1:14", "plain value"),
        ("{file: a.yaml}", ("a.yaml", "a: 1"), "a.yaml:1:1", "a list of values is expected"),
        ("{file: a.yaml}", ("a.yaml", "- 1e3\n"), "a.yaml:1:3", "`1e3`"),
        ("{file: a.yaml, column: x}", ("a.yaml", "- {y: 1}\n"), "a.yaml:1:3", "no column `x`"),
        ("{column: x}", ("a.txt", ""), "job.yaml:3:11", "`column` by itself"),
        ("{file: a.txt, value: x}", ("a.txt", "x"), "job.yaml:3:13", "does not go together"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(
    read: Read, axis: str, file: tuple[str, str | bytes], place: str, message: str
) -> None:
    name, text = file
    with pytest.raises(JobFileError) as caught:
        read(f"[{axis}]" if "value" in axis else axis, **{name.replace(".", "__"): text})
    (problem,) = caught.value.problems
    told = problem.told()
    assert message in problem.message
    assert f"jobs/{place}: sweep.prompt" in told or (place in told and ".yaml" in name)
    assert SECRET not in told


def test_a_wrong_value_is_told_where_it_stands(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read("{file: a.txt}", name="steps", a__txt="1\n\nmany\n")
    (problem,) = caught.value.problems
    assert (Path(problem.file).name, problem.line, problem.key_path) == ("a.txt", 3, "sweep.steps.file")
    assert problem.excerpt == "many"


def test_many_wrong_values_are_not_all_looked_at(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read("{file: a.txt}", name="scheduler", a__txt="DDIM\n" * 10_000)
    assert len(caught.value.problems) < 100


def test_links_lead_nowhere_else(read: Read, tmp_path: Path) -> None:
    """A link, or a folder that is one, is followed before it is asked where a file lies."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("from outside\n")
    inside = tmp_path / "jobs"
    inside.mkdir()
    (inside / "link.txt").symlink_to(outside / "a.txt")
    (inside / "folder").symlink_to(outside)
    (inside / "circle").symlink_to(inside / "circle")
    for file in ("link.txt", "folder/a.txt", "../outside/a.txt", str(outside / "a.txt")):
        with pytest.raises(JobFileError, match="--allow-files"):
            read(f"{{file: {file}}}")
        assert sent(read(f"{{file: {file}}}", allowed=(outside,))) == ["from outside"]
    with pytest.raises(JobFileError, match="circle"):
        read("{file: circle}")


def test_a_linked_job_file_stands_in_its_real_folder(read: Read, tmp_path: Path) -> None:
    read("{file: a.txt}", a__txt="x\n")
    link = tmp_path / "link.yaml"
    link.symlink_to(tmp_path / "jobs" / "job.yaml")
    assert sent(load(link, today=NOW).resolve(SCHEMA)) == ["x"]


def test_pipes_and_large_files_are_refused(read: Read, tmp_path: Path) -> None:
    """What is no ordinary file is never waited for."""
    (tmp_path / "jobs").mkdir()
    os.mkfifo(tmp_path / "jobs" / "pipe.txt")
    with pytest.raises(JobFileError, match="not a regular file"):
        read("{file: pipe.txt}")
    with pytest.raises(JobFileError, match="over 20 MB"):
        read("{file: a.txt}", a__txt=b"x" * 20_000_001)


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff\ufffe\uffff"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(rows=st.lists(st.tuples(cells, cells.filter(bool)), min_size=1, max_size=5))
def test_every_text_comes_back(read: Read, rows: list[tuple[str, str]]) -> None:
    """Whatever texts a program writes as a table are sent as they are."""
    written = io.StringIO()
    csv.writer(written).writerows([("text", "more"), *((text, more) for more, text in rows)])
    expected = list(dict.fromkeys(text for _, text in rows))
    assert sent(read("{file: a.csv, column: text}", a__csv=written.getvalue())) == expected
    as_json = json.dumps([text for _, text in rows])
    assert sent(read("{file: a.json}", a__json=as_json)) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(
    data=st.binary(max_size=60) | st.text("[]{},:\"'ax1\n \\.", max_size=40).map(str.encode),
    name=st.sampled_from(["a.txt", "a.csv", "a.json", "a.yaml"]),
    column=st.sampled_from(["", ", column: x", ", column: x, label: a"]),
)
def test_any_bytes_are_values_or_are_refused(read: Read, data: bytes, name: str, column: str) -> None:
    job = None
    problems: tuple[Problem, ...] = ()
    try:
        job = read(f"{{file: {name}{column}}}", **{name.replace(".", "__"): data})
    except JobFileError as error:
        problems = error.problems
    assert all(problem.message.endswith(".") for problem in problems)
    assert problems if job is None else job.total() >= 1


def test_large_lists_are_read_quickly(read: Read) -> None:
    """The places of values in a list of one line are found without going back to its beginning."""
    numbers = list(range(1, 20_001))
    job = read("{file: a.json}", name="scale", a__json=json.dumps(numbers))
    assert [Decimal(each) for each in sent(job, "scale")] == numbers
