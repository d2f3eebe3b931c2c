"""What a job file probably does not mean is told before it costs anything."""

from __future__ import annotations

from typing import Any

import pytest
from resolved import read


def test_unused_variable_is_folded_and_told() -> None:
    """A variable that no prompt uses makes no tasks, and that is seen without building a million ids."""
    job = read(
        variables={"style": ["a", "b", "c"]},
        sweep={"prompt": ["x"], "seed": {"from": 1, "to": 10**6, "step": 1}},
    )
    assert job.total() == 10**6
    assert [cell["style"] for cell in next(job.tasks(999_999)).cells] == ["b", "c"]
    assert "`style`" in job.warnings[0]


def test_an_axis_with_one_value_is_told() -> None:
    sweep = {"prompt": ["a {x}", "b {x}"], "seed": [7]}
    told = "Axis `seed` has one value: it could stand under `parameters`."
    assert read(sweep=sweep, variables={"x": ["y"]}).warnings == (told,)
    labelled = {**sweep, "seed": [{"value": 7, "label": "the lucky one"}]}
    assert read(sweep=labelled, variables={"x": ["y"]}).warnings == ()
    assert read("seed=7", sweep={"prompt": ["a", "b"], "seed": [7, 8]}).warnings == ()


@pytest.mark.parametrize(
    ("keys", "cells", "told"),
    [
        ({}, 12, ()),
        ({"repeat": 2}, 24, ()),
        ({"include": [{"prompt": "a", "seed": 1}]}, 13, ("1 of 13 cells makes",)),
        ({"include": [{"prompt": "c", "seed": 1}], "order": "shuffled"}, 13, ()),
        ({"sample": {"count": 5}}, 5, ()),
        ({"exclude": [{"seed": 1}]}, 10, ()),
        ({"exclude": [{"seed": 1}], "repeat": 3, "include": [{"prompt": "a", "seed": 2}]}, 33, ("3 of 33 cells make",)),
    ],
)
def test_cells_before_folding(keys: dict[str, Any], cells: int, told: tuple[str, ...]) -> None:
    job = read(sweep={"prompt": ["a", "b"], "seed": [1, 2, 3, 4, 5, 6]}, **keys)
    assert job.cells() == cells
    assert len(job.warnings) == len(told)
    assert all(warning.startswith(each) for warning, each in zip(job.warnings, told, strict=True))


def test_folded_cells_are_told() -> None:
    """Cells that make one task are counted, however they come to be equal."""
    job = read(sweep={"prompt": ["a", "b"], "seed": [1, "1", 2, 2, 3, "3"]})
    assert (job.cells(), job.total()) == (12, 6)
    assert job.warnings == ("6 of 12 cells make a task that another one makes already; each is done once.",)
    mixed = read(variables={"x": ["a", "a a"], "y": ["a a", "a"]}, sweep={"prompt": ["{x} {y}"], "seed": [1, 2]})
    assert mixed.warnings[-1].startswith("2 of 8 cells make a task")


def test_one_label_for_two_values_is_told() -> None:
    """Files are named by labels: two values under one are likely a slip; the same value twice is none."""
    values = [{"value": "a boat", "label": "boat"}, {"value": "a ship", "label": "boat"}]
    told = "Axis `prompt` has labels for `a boat` and for `a ship` that are both `boat` in paths: their files are told"
    (warning,) = read(sweep={"prompt": values, "seed": [1, 2]}).warnings
    assert warning.startswith(told)
    dots = [{"value": "a boat", "label": ".."}, {"value": "a ship", "label": " "}]
    assert any("both `empty` in paths" in warning for warning in read(sweep={"prompt": dots, "seed": [1, 2]}).warnings)
    twice = [values[0], values[0], {"value": "a ship"}]
    assert not any("label" in warning for warning in read(sweep={"prompt": twice, "seed": [1, 2]}).warnings)


def test_braces_in_a_variable_are_told() -> None:
    """Values of variables are no templates; `raw`, files and words that name nothing say that braces are meant."""
    sweep = {"prompt": ["{a} on {b}", "{b} on {a}"], "seed": [1, 2]}
    job = read(sweep=sweep, variables={"a": ["x {b}", "y"], "b": ["z"]})
    (warning,) = job.warnings
    assert warning.startswith("The variable `a` holds `{b}`, which stays as it is")
    assert next(job.tasks()).parameters["prompt"] == "x {b} on z"
    for value in ({"raw": "x {b}"}, "x {c}", "x {b"):
        assert read(sweep=sweep, variables={"a": [value, "y"], "b": ["z"]}).warnings == ()


def test_a_large_grid_is_not_gone_along_for_a_warning() -> None:
    """What is proven is told at any size; where only the cells tell, nothing is built for a warning."""
    big = {"from": 1, "to": 10**6, "step": 1}
    job = read(sweep={"prompt": ["a", "a"], "seed": big})
    assert job.warnings == (
        "1,000,000 of 2,000,000 cells make a task that another one makes already; each is done once.",
    )
    for keys in ({"exclude": [{"seed": 5}]}, {"sample": {"count": 5}}, {"order": "shuffled"}):
        job = read(sweep={"prompt": ["a", "a"], "seed": big}, **keys)
        assert job.warnings == ()
        assert job.cells() == (2 * 10**6 if "order" in keys else None)


@pytest.mark.parametrize("width", [1024, 512])
def test_a_rule_that_no_pair_of_linked_values_fits_is_told(width: int) -> None:
    """Axes that move together have only the pairs that are written: a rule may fit each of them and no pair."""
    linked = {"width": [1024, 768], "height": [768, 1024]}
    told = "Rule 1 of `exclude` matches nothing: no pair of values of `width` and `height` fits it."
    job = read(sweep={"prompt": ["a"], **linked}, zip=[["width", "height"]], exclude=[{"width": width, "height": 1024}])
    assert told in job.warnings
    fits = read(sweep={"prompt": ["a"], **linked}, zip=[["width", "height"]], exclude=[{"width": 768, "height": 1024}])
    assert not any("exclude" in warning for warning in fits.warnings)
    crossed = read(sweep={"prompt": ["a"], **linked}, exclude=[{"width": 1024, "height": 1024}])
    assert not any("exclude" in warning for warning in crossed.warnings)


def test_an_end_that_the_steps_miss_is_told() -> None:
    ranges = [{"from": 1, "to": 2, "step": 0.3}, {"from": 1, "to": 2, "step": 0.5}]
    missed, met = (read(sweep={"prompt": ["a", "b"], "scale": each}).warnings for each in ranges)
    assert missed == ("A range of `scale` ends at 1.9: steps of 0.3 do not lead to 2.",)
    assert met == ()


def test_a_wildcard_outside_a_template_is_told() -> None:
    told = "`prompt` holds `__colours__`, which stays as it is"
    (warning,) = read(sweep={"prompt": ["a __colours__ boat", "b"], "seed": [1, 2]}).warnings
    assert warning.startswith(told)
    assert read(parameters={"prompt": "a __colours__ boat"}).warnings[0].startswith(told)
    assert read(sweep={"prompt": [{"raw": "a __colours__ boat"}, "a __ b", "snake__case"]}).warnings == ()
