from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.tasks import Task, canonical_json, task_id

MODEL = "Hevok/Studio-Trigger"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
parameters = st.dictionaries(st.text(max_size=8), values, max_size=5)


@given(values)
def test_canonical_json_is_json(value: Any) -> None:
    """Whatever JSON can hold comes back from it."""
    assert json.loads(canonical_json(value)) == value


@given(parameters)
def test_the_order_of_parameters_does_not_matter(given: dict[str, Any]) -> None:
    """The same parameters in another order have the same spelling and the same id."""
    turned = dict(reversed(given.items()))
    assert canonical_json(turned) == canonical_json(given)
    assert task_id(MODEL, turned) == task_id(MODEL, given)


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ("Straße 灯台 🌊", '"Straße 灯台 🌊"'),
        ('say "aye"\n', '"say \\"aye\\"\\n"'),
    ],
)
def test_there_is_one_spelling(value: Any, spelling: str) -> None:
    """Sorted keys, no spaces, and nothing escaped that need not be."""
    assert canonical_json(value) == spelling


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    """Nothing gets an id that cannot be sent."""
    with pytest.raises((ValueError, TypeError)):
        canonical_json({"seed": value})


@given(parameters, st.integers(min_value=1, max_value=1000))
def test_an_id_is_a_name_for_files(given: dict[str, Any], repeat: int) -> None:
    """An id is 24 characters of lowercase base32."""
    assert re.fullmatch("[a-z2-7]{24}", task_id(MODEL, given, repeat))


def test_everything_that_is_sent_makes_the_id() -> None:
    """Model, parameters, the type of a value and the repetition each make another task."""
    ids = [
        task_id(MODEL, {"steps": 40}),
        task_id(MODEL.lower(), {"steps": 40}),
        task_id(MODEL, {"steps": 41}),
        task_id(MODEL, {"steps": "40"}),
        task_id(MODEL, {"steps": 40, "seed": ""}),
        task_id(MODEL, {"steps": 40}, 2),
    ]
    assert len(set(ids)) == len(ids)


def test_a_task_is_frozen_and_has_a_short_name() -> None:
    """The short id is the beginning of the id; nothing about a task changes."""
    task = Task("k3v9x2abcdefghijklmnopqr", 17, {}, {}, {}, "harbour")
    assert task.short_id == "k3v9x2ab"
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.index = 18  # type: ignore[misc]  # the point of the test
