from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweep import Parameter, Schema
from orchestrator.sweep.schema import Kind, Option, UnfitError, as_sent
from orchestrator.tasks import Scalar

RECORDING = Path(__file__).parent / "recordings" / "tool_detail_studio_trigger.json"


def test_seed_model() -> None:
    schema = Schema.from_tool(json.loads(RECORDING.read_text())["tool"][0])
    assert schema.model == "Hevok/Studio-Trigger"
    defaults = {name: parameter.default for name, parameter in schema.parameters.items()}
    assert defaults == {
        "prompt": None,
        "negativePrompt": "",
        "samples": 4,
        "steps": 60,
        "scale": "4",
        "highNoiseFrac": "0.8",
        "stepsRefiner": 20,
        "seed": "123456",
        "width": 1024,
        "height": 1024,
        "refiner": "--only_base_model",
        "scheduler": "EulerDiscreteScheduler",
    }
    assert schema.parameters["prompt"].required
    assert len(schema.options("scheduler")) == 7, "an option that is listed twice counts once"


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        (Kind.NUMBER, Decimal("4.0"), 4),
        (Kind.NUMBER, Decimal("0.5"), 0.5),
        (Kind.NUMBER, "20", 20),
        (Kind.DECIMAL, Decimal("0.80"), "0.8"),
        (Kind.DECIMAL, Decimal("1E-7"), "0.0000001"),
        (Kind.DECIMAL, Decimal(4), "4"),
        (Kind.FLAG, True, True),
        (Kind.FLAG, "false", False),
        (Kind.TEXT, Decimal(42), "42"),
        (Kind.TEXT, Decimal("3.0"), "3.0"),
        (Kind.TEXT, "x", "x"),
    ],
)
def test_sent_form(kind: Kind, value: str | Decimal | bool, sent: Scalar) -> None:
    found = as_sent(kind, value)
    assert found == sent
    assert type(found) is type(sent)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((Kind.NUMBER, wrong) for wrong in ("abc", True, "NaN", "")),
        *((Kind.FLAG, wrong) for wrong in ("maybe", Decimal(1))),
        (Kind.DECIMAL, "1e999999"),
        (Kind.TEXT, False),
    ],
)
def test_unfit_values(kind: Kind, value: str | Decimal | bool) -> None:
    with pytest.raises(UnfitError):
        as_sent(kind, value)


def test_range_and_options() -> None:
    steps = Parameter("steps", "number", low=Decimal(1), high=Decimal(100))
    assert steps.send(Decimal(100)) == 100
    with pytest.raises(UnfitError, match="from 1 to 100"):
        steps.send(Decimal(101))
    refiner = Parameter("refiner", "select", options=(Option("--base", "NO"), Option("", "YES")))
    assert refiner.send("") == ""
    with pytest.raises(UnfitError) as caught:
        refiner.send("no")
    assert caught.value.hint is not None
    assert '"--base"' in caught.value.hint
    with pytest.raises(UnfitError, match="required"):
        Parameter("prompt", "textarea", required=True).send("")


@pytest.mark.parametrize(
    ("low", "step", "fits", "between"),
    [
        (None, "0.5", ["0", "1.5", "-2"], ["1.3", "-0.1"]),
        ("1", "2", ["1", "7"], ["2"]),
        ("0.1", "0.1", ["0.3"], ["0.35"]),
        ("64", "64", ["64", "1024"], ["100"]),
    ],
)
def test_step(low: str | None, step: str, fits: list[str], between: list[str]) -> None:
    """Steps count from the smallest number, and the nearest that keep to them are named."""
    item = {"id": "x", "type": "float", "min": low, "step": step, "default": low}
    parameter = Schema.from_tool({"parameters": [{"items": [item]}]}).parameters["x"]
    for number in fits:
        assert parameter.send(Decimal(number)) == number
    for number in between:
        with pytest.raises(UnfitError, match=f"between the steps of {step}") as caught:
            parameter.send(Decimal(number))
        assert (caught.value.hint or "").startswith("The nearest")


@pytest.mark.parametrize(("step", "default"), [("0", 4), ("none", 4), (2, 5)])
def test_a_step_that_the_schema_itself_does_not_keep_to_says_nothing(step: object, default: int) -> None:
    item = {"id": "x", "type": "number", "min": 0, "step": step, "default": default}
    parameter = Schema.from_tool({"parameters": [{"items": [item]}]}).parameters["x"]
    assert (parameter.step, parameter.send(Decimal("3.7"))) == (None, 3.7)


def test_numbers_without_a_default_are_left_out() -> None:
    items = [
        {"id": "n", "type": "number", "default": ""},
        {"id": "t", "type": "text"},
        {"id": "c", "type": "checkbox", "default": "true"},
        {"id": "f", "type": "fileinput", "required": "true"},
        {"id": "r", "type": "range", "min": "0", "max": 1, "default": "0.5"},
        {"id": "s", "type": "select", "options": [{"value": 1, "label": "one"}, {"value": 2}], "default": 1},
    ]
    parameters = Schema.from_tool({"parameters": [{"items": items}]}).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "n": None, "t": "", "c": True, "f": None, "fUrl": None, "r": 0.5, "s": "1",
    }  # fmt: skip
    assert parameters["f"].required
    assert parameters["r"].high == 1
    assert parameters["s"].send(Decimal(2)) == "2"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["items", "id", "type", "options", "value"]), inner)
    ),
    max_leaves=10,
)


@given(json_values)
def test_strange_schemas_are_read(parameters: Any) -> None:
    """A reply of a shape that nobody has seen never stops the reader."""
    Schema.from_tool({"parameters": parameters})
    Schema.from_tool({"parameters": [{"items": [{"id": "x", "default": parameters, "min": parameters}]}]})
