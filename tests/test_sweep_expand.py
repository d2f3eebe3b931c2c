"""A job file's grid, task by task: the same tasks with the same ids for ever, however many there are."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from resolved import MODEL, SCHEMA, read

from orchestrator.sweep import Job, JobFileError
from orchestrator.tasks import Task, task_id


def expected_tasks(
    axes: dict[str, list[str]], variables: dict[str, list[str]]
) -> list[tuple[str, list[dict[str, str]]]]:
    """Return ids with their cells, in the plainest way: every cell built, rendered and hashed."""
    names = [*variables, *axes]
    found: dict[str, list[dict[str, str]]] = {}
    for cell in product(*variables.values(), *axes.values()):
        values = dict(zip(names, cell, strict=True))
        parameters = {name: each.default for name, each in SCHEMA.parameters.items()}
        for name in axes:
            text = values[name]
            for variable in variables:
                text = text.replace(f"{{{variable}}}", values[variable])
            parameters[name] = text
        found.setdefault(task_id(MODEL, parameters), []).append(values)
    return list(found.items())


texts = st.lists(
    st.sampled_from(["a", "b", "ab", "a {x}", "{x} {y}", "{x}{y}", "{y}", "é 灯台"]), min_size=1, max_size=4
)
words = st.lists(st.sampled_from(["1", "11", "é", "b"]), min_size=1, max_size=3)


@settings(max_examples=150)
@given(prompts=texts, negatives=texts, seeds=words, variables=st.fixed_dictionaries({"x": words, "y": words}))
def test_equals_the_plainest_expansion(
    prompts: list[str], negatives: list[str], seeds: list[str], variables: dict[str, list[str]]
) -> None:
    """Ids, order, folded cells and the count are those of a loop that builds and hashes every cell."""
    axes = {"prompt": prompts, "seed": seeds, "negativePrompt": negatives}
    if len(seeds) > 1:
        axes = {name: axes[name] for name in ("seed", "negativePrompt", "prompt")}
    job = read(variables=variables, sweep=axes)
    expected = expected_tasks(axes, variables)
    tasks = list(job.tasks())
    assert [(task.id, [task.axes, *task.cells]) for task in tasks] == expected
    assert [task.index for task in tasks] == list(range(len(tasks)))
    assert job.total() == len(tasks)
    for start in range(len(tasks) + 1):
        assert list(job.tasks(start)) == tasks[start:]


@settings(max_examples=60)
@given(data=st.data())
def test_ids_stay(data: st.DataObject) -> None:
    """Order of keys, of axes and of values, labels, paths and limits never rename a task; new values rename none."""
    sweep: dict[str, list[Any]] = {
        "prompt": ["a boat", "ein Schiff, é"],
        "seed": [1, 2, 3],
        "scale": [3, 3.5],
        "width": [512, 768],
    }
    ids = {task.id for task in read(sweep=sweep).tasks()}
    names = data.draw(st.permutations(list(sweep)))
    other: dict[str, list[Any]] = {name: data.draw(st.permutations(sweep[name])) for name in names}
    other["prompt"] = [{"value": each, "label": each[:3]} for each in other["prompt"]]
    job = read(sweep=other, limits={"concurrency": 3}, outputs={"path": "{seed}"}, parameters={"steps": 60})
    assert {task.id for task in job.tasks()} == ids
    other["seed"].insert(data.draw(st.integers(0, 3)), 99)
    assert {task.id for task in read(sweep=other).tasks()} > ids


@settings(max_examples=60)
@given(
    low=st.integers(-50, 50),
    steps=st.integers(0, 200),
    step=st.integers(1, 40).map(lambda tenths: Decimal(tenths) / 10),
)
def test_ranges_are_exact(low: int, steps: int, step: Decimal) -> None:
    """A range has both its ends and no drift, and is sent as plain decimals."""
    high = low + step * steps
    job = read(parameters={"prompt": "x"}, sweep={"scale": {"from": low, "to": float(high), "step": float(step)}})
    values = [Decimal(task.parameters["scale"]) for task in job.tasks()]
    assert values == [low + step * place for place in range(steps + 1)]
    assert not any("E" in task.parameters["scale"] or task.parameters["scale"].endswith(".0") for task in job.tasks())


def test_ids_are_those_of_the_task_module() -> None:
    """The fast way to an id and the plain one agree."""
    job = read(
        variables={"style": ["ink", "öl"]},
        sweep={
            "prompt": ["a {style} boat", 'quote " and \\ and \u2028 灯台'],
            "seed": {"random": 3, "from": 1, "to": 9},
        },
        repeat=2,
    )
    tasks = list(job.tasks())
    assert tasks
    for task in tasks:
        assert task.id == task_id(MODEL, task.parameters, task.repeat)


def test_vectors_of_task_ids() -> None:
    """The ids that other programs can rely on: hashed here from JSON that was written by hand."""
    vectors = json.loads((Path(__file__).parent / "vectors" / "task_ids.json").read_text(encoding="utf-8"))
    assert len(vectors) >= 6
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    for vector in vectors:
        bits = bin(int.from_bytes(b"\1" + hashlib.sha256(vector["text"].encode()).digest()[:15]))[3:]
        by_hand = "".join(letters[int(bits[place : place + 5], 2)] for place in range(0, 120, 5))
        assert by_hand == vector["id"]
        assert task_id(vector["model"], vector["parameters"], vector["repeat"]) == vector["id"]


def test_coordinates_labels_and_path() -> None:
    job = read(
        variables={"style": [{"value": "ink wash", "label": "ink"}, "oil"]},
        sweep={
            "prompt": [{"value": "a harbour, {style}", "label": "harbour"}, "a boat, {style}"],
            "scale": {"from": 3, "to": 4, "step": 0.5},
        },
        outputs={"path": "{style}/{prompt}-{scale}-{steps}"},
    )
    tasks = list(job.tasks())
    assert tasks[0].axes == {"style": "ink wash", "prompt": "a harbour, {style}", "scale": 3}
    assert tasks[0].labels == {"style": "ink", "prompt": "harbour"}
    assert tasks[0].path == "ink/harbour-3-60"
    assert tasks[1].axes["scale"] == "3.5"
    assert tasks[1].path == "ink/harbour-3.5-60"
    assert tasks[-1].labels == {}
    assert tasks[-1].path == "oil/a-boat-oil-4-60"
    assert tasks[-1].parameters["prompt"] == "a boat, oil"


def test_templates_in_fixed_and_number_parameters() -> None:
    job = read(
        parameters={"negativePrompt": "not {prompt}", "height": "{width}"},
        sweep={"prompt": ["a {{boat}}", {"raw": "{raw}"}], "width": [512, 768]},
    )
    first, second, third, _ = job.tasks()
    assert first.parameters["prompt"] == "a {boat}"
    assert first.parameters["negativePrompt"] == "not a {boat}"
    assert (first.parameters["height"], second.parameters["height"]) == (512, 768)
    assert third.parameters["negativePrompt"] == "not {raw}"


def test_a_number_is_one_value_however_it_is_written() -> None:
    """Where numbers are sent by value, 3 and 3.0 are one task, in a template too; in a variable they are two texts."""
    job = read(sweep={"prompt": ["a {steps} {scale}"], "steps": [3, 3.0], "scale": [4.0]})
    (task,) = job.tasks()
    assert (task.parameters["prompt"], task.parameters["steps"], len(task.cells)) == ("a 3 4", 3, 1)
    assert read(sweep={"prompt": ["a {v}"]}, variables={"v": [3, 3.0]}).total() == 2


def test_equal_values_fold_on_their_axis() -> None:
    job = read(parameters={"prompt": "x"}, sweep={"scale": [3, 3.0, 4], "seed": [1, 2]})
    assert job.total() == 4
    assert next(job.tasks()).cells == ({"scale": 3, "seed": 1},)
    assert job.axes_sizes() == {"scale": 3, "seed": 2}


@pytest.mark.parametrize(
    "axes",
    [
        {"sweep": {"seed": [1, 1.0, "1", "1.0", 1.5]}, "parameters": {"prompt": "x"}},
        {"variables": {"seed": [1, 1.0, "1", "1.0", 1.5]}, "sweep": {"prompt": ["no. {seed}"]}},
    ],
)
def test_different_tasks_have_different_coordinates(axes: dict[str, Any]) -> None:
    """A number that is sent as text, or stands in one, is shown as it stands there."""
    tasks = list(read(**axes).tasks())
    assert [[cell["seed"] for cell in (task.axes, *task.cells)] for task in tasks] == [[1, "1"], ["1.0"] * 2, ["1.5"]]


def test_a_variable_is_not_the_parameter_of_its_name() -> None:
    """The parameter keeps its default, in the id too; a required one is missed."""
    job = read(variables={"seed": [1, 2]}, sweep={"prompt": ["no. {seed}", "x"]})
    assert [task.parameters["seed"] for task in job.tasks()] == ["123456"] * 3
    assert [task.axes["seed"] for task in job.tasks()] == [1, 1, 2]
    assert all(task.id == task_id(job.recipe.model, task.parameters, 1) for task in job.tasks())
    assert sum("`seed` is never sent" in each for each in job.warnings) == 1
    with pytest.raises(JobFileError, match="requires `prompt`"):
        read(variables={"prompt": ["a", "b"]})


def test_a_row_may_give_a_variable_that_has_a_parameters_name() -> None:
    row = {"prompt": "row {seed}", "seed": 7}
    job = read(variables={"seed": [1]}, sweep={"prompt": ["no. {seed}"]}, include=[row])
    assert [task.parameters["prompt"] for task in job.tasks()] == ["no. 1", "row 7"]
    assert [task.parameters["seed"] for task in job.tasks()] == ["123456"] * 2


def test_all_takes_every_option_once() -> None:
    job = read(parameters={"prompt": "x"}, sweep={"scheduler": "all", "refiner": "all"})
    assert job.total() == 7 * 2
    assert [task.parameters["scheduler"] for task in job.tasks()][::2] == list(SCHEMA.options("scheduler"))


def test_mixed_list() -> None:
    forms = [5, {"from": 10, "to": 12, "step": 1}, {"value": 7, "label": "lucky"}, {"from": 0, "to": 1, "count": 3}]
    job = read(parameters={"prompt": "x"}, sweep={"scale": forms})
    assert [task.parameters["scale"] for task in job.tasks()] == ["5", "10", "11", "12", "7", "0", "0.5", "1"]
    assert [task.labels.get("scale") for task in job.tasks()][4] == "lucky"


def test_random_values_stay_and_are_distinct() -> None:
    """More draws keep the earlier ones, `rng` and the axis's name change them, the whole interval can be drawn."""

    def draws(count: int, low: int, high: int, rng: int = 0, axis: str = "seed") -> list[Any]:
        form = {"random": count, "from": low, "to": high, "rng": rng}
        job = read(parameters={"prompt": "x"}, sweep={axis: form})
        return [int(task.parameters[axis]) for task in job.tasks()]

    big = 2**31 - 1
    few = draws(4, 1, big, rng=7)
    assert few == draws(50, 1, big, rng=7)[:4]
    assert few == RANDOM_FOR_EVER
    assert set(few).isdisjoint(draws(4, 1, big, rng=8))
    assert set(few).isdisjoint(draws(4, 1, big, rng=7, axis="width"))
    assert sorted(draws(37, -3, 33)) == list(range(-3, 34))


def test_zip_moves_together() -> None:
    job = read(
        parameters={"prompt": "x"},
        sweep={"width": [1024, 768, 768], "seed": [1, 2], "height": [768, 1024, 1024]},
        zip=[["width", "height"]],
    )
    tasks = list(job.tasks())
    sizes = [(task.parameters["width"], task.parameters["seed"], task.parameters["height"]) for task in tasks]
    assert sizes == [(1024, "1", 768), (1024, "2", 768), (768, "1", 1024), (768, "2", 1024)]
    assert len(tasks[2].cells) == 1
    assert job.axes_groups() == [("width", "height"), ("seed",)]


def test_exclude() -> None:
    sweep = {
        "prompt": [{"value": "x", "label": "control"}, "y"],
        "scale": {"from": 3, "to": 7, "step": 1},
        "seed": [1, 2],
    }
    rules: list[dict[str, Any]] = [
        {"scale": {"gt": 5}, "prompt": "control"},
        {"seed": [2, 9], "prompt": {"not": "control"}},
        {"scale": 3.0},
        {"seed": 77},
    ]
    job = read(sweep=sweep, exclude=rules)
    left = [(task.parameters["prompt"], task.parameters["scale"], task.parameters["seed"]) for task in job.tasks()]
    expected = [
        (prompt, str(scale), str(seed))
        for prompt, scale, seed in product("xy", range(3, 8), (1, 2))
        if not (scale > 5 and prompt == "x") and not (seed == 2 and prompt == "y") and scale != 3
    ]
    assert left == expected
    assert job.total() == len(expected)
    assert job.warnings == ("Rule 4 of `exclude` matches nothing: no value of `seed` fits it.",)


def test_include() -> None:
    """Rows are extra tasks, take what they do not name from elsewhere, fold with the grid, and are not excluded."""
    job = read(
        parameters={"seed": 5},
        variables={"style": ["ink"]},
        sweep={"prompt": ["a {style} boat"], "seed": [1, 2], "steps": [30]},
        exclude=[{"seed": 2}],
        include=[
            {"prompt": "control"},
            {"prompt": "a {style} boat", "style": "oil", "seed": 2, "steps": 30},
            {"prompt": "a ink boat", "seed": 1, "steps": 30},
            {"prompt": "a ink boat", "seed": 2, "steps": 30},
        ],
    )
    tasks = list(job.tasks())
    sent = [(task.parameters["prompt"], task.parameters["seed"], task.parameters["steps"]) for task in tasks]
    assert sent == [("a ink boat", "1", 30), ("control", "5", 60), ("a oil boat", "2", 30), ("a ink boat", "2", 30)]
    assert tasks[0].cells == ({"prompt": "a ink boat", "seed": 1, "steps": 30},)
    assert tasks[1].axes == {"prompt": "control", "seed": 5, "steps": 60}
    assert list(job.tasks(2)) == tasks[2:]


def test_sample_hardly_changes_when_the_grid_grows() -> None:
    def sample(seeds: int, count: int) -> list[Task]:
        sweep = {"prompt": ["x", "y"], "seed": {"from": 1, "to": seeds, "step": 1}}
        return list(read(sweep=sweep, sample={"count": count, "rng": 1}).tasks())

    tasks = sample(100, 20)
    assert len(tasks) == 20
    keys = [hashlib.sha256(f"1:{task.id}".encode()).digest() for task in tasks]
    others = {task.id for task in sample(100, 200)} - {task.id for task in tasks}
    assert max(keys) < min(hashlib.sha256(f"1:{each}".encode()).digest() for each in others)
    assert len({task.id for task in sample(101, 20)} & {task.id for task in tasks}) >= 18
    assert [task.index for task in tasks] == list(range(20))


def test_repeat_and_shuffle() -> None:
    sweep = {"prompt": ["x", "y", "z"], "seed": [1, 2, 3, 4]}
    grid = list(read(sweep=sweep, repeat=2).tasks())
    assert [task.repeat for task in grid] == [1, 2] * 12
    assert len({task.id for task in grid}) == 24
    assert list(read(sweep=sweep, repeat=2).tasks(3)) == grid[3:]
    shuffled = list(read(sweep=sweep, repeat=2, order="shuffled").tasks())
    assert shuffled != grid
    assert sorted(shuffled, key=lambda task: task.index) == grid
    more = list(read(sweep={**sweep, "seed": [1, 2, 3, 4, 5]}, repeat=2, order="shuffled").tasks())
    assert [task.id for task in more if task.parameters["seed"] != "5"] == [task.id for task in shuffled]


@pytest.mark.parametrize("repeat", [1, 2])
@pytest.mark.parametrize("sample", [{}, {"sample": {"count": 5}}])
def test_the_shuffled_order_is_that_of_the_hashed_ids(repeat: int, sample: dict[str, Any]) -> None:
    """With equal cells folded, some left out and rows added: nothing but the id decides where a task stands."""
    keys = {
        "sweep": {"prompt": ["x", "y", "x"], "seed": [1, 2, 3, 4]},
        "exclude": [{"prompt": "y", "seed": 2}],
        "include": [{"prompt": "z", "seed": 9}, {"prompt": "x", "seed": 1}],
        "repeat": repeat,
    }
    shuffled = [task.id for task in read(**keys, **sample, order="shuffled").tasks()]
    assert {*shuffled} == {task.id for task in read(**keys, **sample).tasks()}
    assert shuffled == sorted(shuffled, key=lambda each: hashlib.sha256(f"0:{each}".encode()).digest())


def test_a_resolved_job_rests_as_json() -> None:
    job = read(
        variables={"style": ["ink", "oil"]},
        parameters={"negativePrompt": "no {style}"},
        sweep={
            "prompt": ["a {style}", {"value": "b", "label": "bee"}],
            "seed": [{"random": 2, "from": 1, "to": 99}, 5],
            "scale": {"from": 0, "to": 1, "count": 4},
        },
        exclude=[{"scale": {"ge": 1}}],
        include=[{"prompt": "c", "style": "x"}],
        sample={"count": 10},
        limits={"budget_usd": 1.5, "task_timeout": "90s", "concurrency": 4},
        repeat=2,
    )
    again = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert again == job
    assert list(again.tasks()) == list(job.tasks())
    with pytest.raises(ValueError, match="format 2"):
        Job.from_json({**job.to_json(), "format": 2})


def count(tasks: Iterable[Task]) -> int:
    return sum(1 for _ in tasks)


def test_a_million_tasks_stream_in_constant_memory() -> None:
    """Counting and entering a big grid builds nothing; going along it keeps nothing."""
    job = read(
        sweep={"prompt": ["x", "y"], "scheduler": "all", "seed": {"from": 1, "to": 10**6, "step": 1}},
    )
    assert job.total() == 14 * 10**6
    assert next(job.tasks(13_999_999)).parameters["seed"] == "1000000"
    count(islice(job.tasks(), 10))
    tracemalloc.start()
    try:
        count(islice(job.tasks(), 5_000))
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


RANDOM_FOR_EVER = [467029515, 2086705376, 775546549, 1673974903]
