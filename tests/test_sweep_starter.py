from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.emulator.models import CATALOGUE, Model
from orchestrator.sweep import Job, Schema, init_text, load
from orchestrator.sweep.nodes import unwanted
from orchestrator.wiro import seed_model

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def resolved(folder: Path, text: str, tool: Any) -> Job:
    path = folder / "job.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, today=NOW).resolve(Schema.from_tool(tool))


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=lambda model: model.tool["slugproject"])
def test_valid_as_it_stands(tmp_path: Path, model: Model) -> None:
    """A file for each model is a job without warnings that the service accepts, and every parameter is told of."""
    text = init_text(model.name, model.tool)
    job = resolved(tmp_path, text, model.tool)
    assert job.model == model.name
    assert job.warnings == ()
    for task in job.tasks():
        model.check(task.parameters)
    assert all(name in text for name in model.items)


def test_the_seed_model(tmp_path: Path) -> None:
    tool = seed_model()
    text = init_text("Hevok/Studio-Trigger", tool)
    assert "  steps: 60 # number, default 60\n" in text
    assert "  # scheduler: all\n" in text
    assert text.startswith("# yaml-language-server: $schema=job.schema.json\n")
    assert 'one of "--only_base_model" (NO) | "" (YES)' in text
    (first, second) = resolved(tmp_path, text, tool).tasks()
    defaults = {name: each.default for name, each in Schema.from_tool(tool).parameters.items() if name != "prompt"}
    assert {name: first.parameters[name] for name in defaults} == defaults
    assert first.parameters["prompt"] != second.parameters["prompt"]


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=lambda model: model.tool["slugproject"])
def test_its_suggestions_can_be_taken(tmp_path: Path, model: Model) -> None:
    """Each axis that stands as a comment is valid where the comment is taken away."""
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "a.png").write_bytes(b"x")
    text = init_text(model.name, model.tool)
    suggestions = [line for line in text.split("\n") if line.startswith("  # ") and line.endswith(("}", ": all"))]
    assert suggestions
    for suggestion in suggestions:
        name = suggestion.split(":")[0].removeprefix("  # ")
        lines = [line for line in text.split("\n") if not line.startswith((f"  {name}:", f"  {name}Url:"))]
        lines[lines.index(suggestion)] = suggestion.replace("# ", "", 1)
        assert resolved(tmp_path, "\n".join(lines), model.tool).axes_sizes()[name] >= 1


texts = st.text(max_size=8) | st.sampled_from(
    ["no", "1e3", "012", "{x}", "}", "# no", "a: b", "- a", '"', "\\", "\u2028", "é"]
)
sent = texts.filter(lambda text: not unwanted(text))
items = st.fixed_dictionaries(
    {
        "id": sent,
        "type": st.sampled_from(["text", "textarea", "number", "float", "range", "checkbox", "select", "fileinput"]),
    },
    optional={
        "default": texts | st.integers() | st.floats(allow_nan=False) | st.booleans(),
        "required": st.booleans(),
        "options": st.lists(st.fixed_dictionaries({"value": sent.filter(bool), "label": texts}), max_size=3),
        "min": st.integers(-5, 5),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.lists(items, max_size=4))
def test_any_model_gets_a_job_file(tmp_path: Path, parameters: list[Any]) -> None:
    """Whatever stands in a schema, the file is valid, and no text of the service gets out of its line."""
    tool = {"slugowner": "a", "slugproject": "b", "parameters": [{"items": parameters}]}
    job = resolved(tmp_path, init_text("a/b", tool), tool)
    assert job.total() >= 1
