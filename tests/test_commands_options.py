"""What `--only` selects: labels or values of one cell, with commas, by number, and nothing that does not exist."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.commands.options import selection
from orchestrator.errors import RefusedError
from orchestrator.sweep import Job, Schema, load
from orchestrator.sweep.schema import Parameter
from orchestrator.wiro import seed_model

JOB = """
model: Hevok/Studio-Trigger
variables: {style: [ink, oil]}
sweep:
  prompt: ["a boat, a pier", {value: "a fox, {style}", label: fox}]
  seed: [1, 42]
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return load(path, today=datetime(2026, 11, 22, tzinfo=UTC)).resolve(Schema.from_tool(seed_model()))


@pytest.mark.parametrize(
    ("only", "number"),
    [
        ([], 6),
        (["seed=42"], 3),
        (["seed=42.0"], 3),
        (["seed=1,42"], 6),
        (["prompt=fox"], 4),
        (["prompt=a boat, a pier"], 2),
        (["prompt=fox", "seed=1"], 2),
        (["prompt=fox", "style=oil"], 2),
        (["prompt=a boat, a pier", "style=oil"], 2),  # a cell that is folded into another one
    ],
)
def test_a_task_is_selected_by_one_of_its_cells(job: Job, only: list[str], number: int) -> None:
    assert sum(map(selection(only, job), job.tasks())) == number


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ("prompt=foxx", "no task has the value foxx. Did you mean `fox`?"),
        ("seed=7", "no task has the value 7"),
        ("sead=1", "The axes of this job: style, prompt, seed"),
        ("seed", "write axis=value"),
    ],
)
def test_what_nothing_has_is_refused(job: Job, only: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words.replace("?", r"\?")):
        selection([only], job)


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_a_truth_value_is_selected_as_yaml_spells_it(tmp_path: Path, word: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("model: a/b\nsweep: {fineCut: [true, false]}\n")
    schema = Schema("a/b", {"fineCut": Parameter("fineCut", "checkbox")})
    job = load(path, today=datetime(2026, 11, 22, tzinfo=UTC)).resolve(schema)
    assert sum(map(selection([f"fineCut={word}"], job), job.tasks())) == 1
    with pytest.raises(RefusedError, match="`true`"):
        selection(["fineCut=tru"], job)
