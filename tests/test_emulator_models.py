"""What the catalogue takes, refuses and costs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestrator.emulator.models import CATALOGUE, find_model
from orchestrator.emulator.refusal import RefusalError

RECORDINGS = Path(__file__).parent / "recordings"


def test_the_seed_model_is_as_recorded() -> None:
    recorded = json.loads((RECORDINGS / "tool_detail_studio_trigger.json").read_text())
    assert find_model("Hevok", "Studio-Trigger").tool == recorded["tool"][0]


def test_every_type_of_parameter_but_two_is_on_offer() -> None:
    types = {item["type"] for model in CATALOGUE.values() for item in model.items.values()}
    assert types == {"text", "textarea", "number", "float", "select", "range", "checkbox", "fileinput"}


@pytest.mark.parametrize(
    ("owner", "name", "parameters", "price"),
    [
        ("Hevok", "Studio-Trigger", {}, "0.0140"),
        ("Hevok", "Studio-Trigger", {"samples": "3"}, "0.0105"),
        ("acme", "paper-cut", {}, "0.005"),
        ("acme", "paper-cut", {"fineCut": True}, "0.009"),
        ("acme", "paper-cut", {"fineCut": "true"}, "0.009"),
        ("acme", "fresh-coat", {}, "0.006"),
        ("acme", "word-smith", {}, "0.00117"),
    ],
)
def test_prices(owner: str, name: str, parameters: dict[str, Any], price: str) -> None:
    assert find_model(owner, name).price_usd(parameters, run_seconds=2.0) == Decimal(price)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("paper-cut", {"prompt": "x", "depth": 8.5}, "Request parameter [depth] must be between 1 and 8"),
        ("paper-cut", {"prompt": "x", "fineCut": "maybe"}, "Request parameter [fineCut] invalid"),
        ("paper-cut", {"prompt": ["x"]}, "Request parameter [prompt] invalid"),
        ("paper-cut", {"prompt": "x", "promptUrl": "http://x"}, "Request parameter [promptUrl] invalid"),
        ("fresh-coat", {"prompt": "x"}, "Request files [inputImage] required"),
        ("fresh-coat", {"prompt": "x", "inputImageUrl": "boat.png"}, "Request files [inputImage] invalid"),
    ],
)
def test_mistakes_are_named(name: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusalError) as caught:
        find_model("acme", name).check(wrong)
    assert (caught.value.code, caught.value.message) == (0, message)


def test_a_file_counts_as_given_by_address_or_in_the_request() -> None:
    model = find_model("acme", "fresh-coat")
    model.check({"prompt": "x", "inputImage": "", "inputImageUrl": "https://example.org/a.png"})
    model.check({"prompt": "x"}, ["inputImage"])
