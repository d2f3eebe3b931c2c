from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.sweep import Job, Schema, load
from orchestrator.sweep.grid import Grid
from orchestrator.sweep.injective import tells_apart

RECORDING = Path(__file__).parent / "recordings" / "tool_detail_studio_trigger.json"
SCHEMA = Schema.from_tool(json.loads(RECORDING.read_text())["tool"][0])
NOW = datetime(2026, 11, 22, tzinfo=UTC)

Read = Callable[..., Job]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    path = tmp_path_factory.mktemp("jobs") / "job.yaml"

    def read(**keys: Any) -> Job:
        path.write_text(yaml.safe_dump({"model": "Hevok/Studio-Trigger", **keys}, sort_keys=False, allow_unicode=True))
        return load(path, today=NOW).resolve(SCHEMA)

    return read


def is_proven(job: Job) -> bool:
    grid = Grid(job.recipe)
    return tells_apart(grid, [range(size) for size in grid.sizes])


STYLES = ["ink", "oil", "ink wash"]
MOODS = ["calm", "wild"]


@pytest.mark.parametrize(
    "keys",
    [
        {"sweep": {"prompt": ["a", "b"], "seed": [1, 2], "scheduler": "all"}},
        {"variables": {"x": STYLES}, "sweep": {"prompt": ["a boat, {x}", "the sea, {x}"]}},
        {"variables": {"x": STYLES}, "sweep": {"prompt": ["{x} boat", "{x} sea"]}},
        {"variables": {"x": STYLES, "y": MOODS}, "sweep": {"prompt": ["a boat, {x}, {y}", "the sea, {y}, {x}"]}},
        {"variables": {"x": STYLES, "y": STYLES}, "sweep": {"prompt": ["{x}; {y}"]}},
        {"variables": {"x": STYLES, "y": MOODS}, "sweep": {"prompt": ["{x} and {x} {y}"]}},
        {"variables": {"x": STYLES}, "sweep": {"prompt": ["a", "b"]}, "parameters": {"negativePrompt": "no {x}"}},
        {
            "sweep": {"prompt": ["{seed} {width}"], "seed": [1, 11], "width": [1, 11]},
            "parameters": {"height": "{width}"},
        },
        {"variables": {"x": STYLES, "y": [*MOODS, "dull"]}, "sweep": {"prompt": ["a {x}, {y}"]}, "zip": [["x", "y"]]},
        {"variables": {"n": {"from": 1, "to": 10**6, "step": 1}}, "sweep": {"prompt": ["frame {n} of it"]}},
    ],
)
def test_what_is_plain_to_see_is_proven(read: Read, keys: dict[str, Any]) -> None:
    assert is_proven(read(**keys))


@pytest.mark.parametrize(
    "keys",
    [
        {"variables": {"x": ["a", "ab"], "y": ["c", "bc"]}, "sweep": {"prompt": ["{x}{y}"]}},
        {"variables": {"x": ["a b", "a"], "y": ["c", "b c"]}, "sweep": {"prompt": ["{x} {y}"]}},
        {"variables": {"x": ["a", "b"]}, "sweep": {"prompt": ["{x} boat", "a boat"]}},
        {"variables": {"x": ["a", "b"]}, "sweep": {"prompt": ["{x} boat", "plain"]}},
        {"variables": {"x": ["1", "1.0"]}, "sweep": {"prompt": ["a"]}, "parameters": {"height": "{x}"}},
        {"variables": {"x": ["a", "a"]}, "sweep": {"prompt": ["{x}"]}},
        {"sweep": {"prompt": ["a"], "scale": [3, "3.0"]}},
    ],
)
def test_what_is_not_so_is_never_proven(read: Read, keys: dict[str, Any]) -> None:
    job = read(**keys)
    assert not is_proven(job)
    assert any(task.cells for task in job.tasks())


parts = st.sampled_from(["a", "b", " ", "{x}", "{y}", "{seed}", "{negativePrompt}"])
templates = st.lists(st.lists(parts, max_size=4).map("".join).filter(bool), min_size=1, max_size=3)
words = st.lists(st.text("ab 1", min_size=1, max_size=3), min_size=1, max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(prompts=templates, negatives=words, xs=words, ys=words, seeds=words, groups=st.booleans())
def test_a_proof_is_true(
    read: Read,
    *,
    prompts: list[str],
    negatives: list[str],
    xs: list[str],
    ys: list[str],
    seeds: list[str],
    groups: bool,
) -> None:
    """Where it is proven that cells differ, going through all of them finds no equal ones."""
    zipped = {"zip": [["x", "seed"]]} if groups and len(xs) == len(seeds) else {}
    sweep = {"prompt": prompts, "seed": seeds, "negativePrompt": negatives}
    job = read(variables={"x": xs, "y": ys}, sweep=sweep, **zipped)
    if is_proven(job):
        assert not any(task.cells for task in job.tasks())
        assert job.total() == Grid(job.recipe).size


def test_millions_of_cells_of_templates_are_counted_without_being_made(read: Read) -> None:
    styles = [f"in the manner of painter {number}" for number in range(3000)]
    prompts = [f"scene {number}: a boat, {{style}}" for number in range(3000)]
    job = read(variables={"style": styles}, sweep={"prompt": prompts})
    assert job.total() == 9 * 10**6
