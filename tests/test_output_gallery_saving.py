"""What the page writes: the job file of the next sweep, rows, tables."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from paged import JOB, NASTY, Look, MakeRun, built, cell, ends, keys, picture, saved
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.output.export.rows import OWN
from orchestrator.runs import RunFolder
from orchestrator.sweep import Job, Schema, load
from orchestrator.wiro.catalogue import seed_model


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("page") / "run", JOB, picture, state=ends))


def planned(job: Path) -> list[str]:
    """Return the ids of a job file's tasks."""
    return [task.id for task in resolved(job).tasks()]


def resolved(job: Path) -> Job:
    return load(job, today=datetime(2026, 11, 22, tzinfo=UTC)).resolve(Schema.from_tool(seed_model()))


def test_what_is_picked_becomes_the_next_job(look: Look, tmp_path: Path) -> None:
    """The job file makes exactly these tasks, under the ids that they had."""
    page = look()
    page.locator("#sheet").focus()
    keys(page, " ", "ArrowRight", " ", *["ArrowDown"] * 4, "End", " ", "e")
    wanted = page.evaluate("gallery.compare.found(gallery.marks.picked).map((card) => card.task.id)")
    assert len(wanted) == 3
    saved(page, "Job file", tmp_path / "next.yaml")
    assert planned(tmp_path / "next.yaml") == wanted


def test_the_next_job_is_run_as_the_one_before(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    """What the user has set stays set; where the service calls, and a path of what these tasks do not have, do not."""
    job = {
        "parameters": {"samples": 1, "scheduler": "PNDMScheduler"},
        "variables": {"style": ["ink", "oil"]},
        "sweep": {"prompt": ["a fox, {style}", "a harbour, {style}"], "seed": [7, 42]},
        "repeat": 2,
        "limits": {"budget_usd": 0.5, "task_timeout": "10m", "concurrency": 3},
        "retry": {"attempts": 5},
    }
    told = {"path": "{{x}}/{seed} {prompt}", "delete_remote": True}
    poll = {"tracking": "poll", "outputs": told}
    address = "https://hooks.example.com/o"
    webhook = {"tracking": "webhook", "callback_url": address, "outputs": {**told, "path": "{style}"}}
    for name, more in {"poll": poll, "webhook": webhook}.items():
        folder = built(make_run(tmp_path / name, {**job, **more}, picture))
        page = look(at=folder)
        keys(page, "e")
        page.locator("#export").get_by_text("All: ").click()
        text = saved(page, "Job file", tmp_path / f"{name}-next.yaml")
        assert text.startswith('# 8 chosen tasks of "')
        assert "example.com" not in text
        wanted = page.evaluate("[...gallery.run.tasks.values()].map((task) => task.id)")
        assert sorted(planned(tmp_path / f"{name}-next.yaml")) == sorted(wanted)
        old, new = resolved(tmp_path / f"{name}.yaml"), resolved(tmp_path / f"{name}-next.yaml")
        assert (new.limits, new.retry, new.recipe.repeat) == (old.limits, old.retry, 2)
        assert new.outputs.delete_remote
        assert (new.tracking, new.outputs.path) == {
            "poll": ("poll", "{{x}}/{seed} {prompt}"),
            "webhook": ("auto", "{prompt}"),
        }[name]


@pytest.mark.parametrize("kept", ["() => true", "(task) => task.at[1] === 0", "(task) => task.index > 0"])
def test_all_combinations_become_axes_again(look: Look, make_run: MakeRun, tmp_path: Path, kept: str) -> None:
    """What moves together goes on doing so; where a combination is missing, all of it does."""
    job = {
        "parameters": {"samples": 1, "prompt": "a fox"},
        "sweep": {
            "seed": [7, 42, 99],
            "scheduler": ["PNDMScheduler", "DDIMScheduler"],
            "width": [512, 768],
            "height": [768, 512],
        },
        "zip": [["width", "height"]],
    }
    page = look(at=built(make_run(tmp_path / "before", job, picture)))
    tasks = f"[...gallery.run.tasks.values()].filter({kept})"
    text = page.evaluate(f"gallery.jobs.file({tasks}, 'next')")
    (tmp_path / "next.yaml").write_text(text, "utf-8")
    assert sorted(planned(tmp_path / "next.yaml")) == sorted(page.evaluate(f"{tasks}.map((task) => task.id)"))
    found = yaml.safe_load(text)
    is_whole = "index" not in kept
    assert found["zip"] == [["width", "height"] if is_whole else ["seed", "scheduler", "width", "height"]]
    assert [len(values) for values in found["sweep"].values()] == {
        "() => true": [3, 2, 2, 2],
        "(task) => task.at[1] === 0": [3, 2, 2],
        "(task) => task.index > 0": [11, 11, 11, 11],
    }[kept]


def test_one_picture_alone_becomes_a_job_too(look: Look, tmp_path: Path) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, " ", "e")
    saved(page, "Job file", tmp_path / "next.yaml")
    assert planned(tmp_path / "next.yaml") == [page.evaluate("gallery.sheet.card().task.id")]
    assert resolved(tmp_path / "next.yaml").warnings == ()


@pytest.mark.parametrize(
    ("winners", "paths"),
    [
        ((0, 2), ["DDIMScheduler/lighthouse-7", "PNDMScheduler/lighthouse-7"]),
        ((0,), ["DDIMScheduler/lighthouse-7"]),
        ((0, 10), ["DDIMScheduler/lighthouse-7", "EulerDiscreteScheduler/harbour-42"]),
    ],
)
def test_winners_keep_their_labels(
    look: Look, make_run: MakeRun, tmp_path: Path, winners: tuple[int, ...], paths: list[str]
) -> None:
    """Also those that all of them share; the job after the next one has them too, and nothing is warned of."""
    prompts = {"lighthouse": "a lighthouse at dusk", "harbour": "a harbour in fog"}
    job = {
        "parameters": {"samples": 1},
        "sweep": {
            "prompt": [{"value": text, "label": label} for label, text in prompts.items()],
            "seed": [7, 42],
            "scheduler": list(JOB["sweep"]["scheduler"]),  # type: ignore[index]  # it is a mapping
        },
        "outputs": {"path": "{scheduler}/{prompt}-{seed}"},
    }
    for name in ("next", "after"):
        page = look(at=built(make_run(tmp_path / f"before-{name}", job, picture)))
        starred = [*winners] if name == "next" else [*range(len(winners))]
        tasks = "[...gallery.run.tasks.values()].filter((task) => starred.includes(task.index))"
        page.evaluate(
            f"(starred) => {tasks}.forEach((task) => gallery.marks.set(task.shots[0].key, {{stars: 5}}))", starred
        )
        keys(page, "e")
        page.locator("#export").get_by_text("4 stars or more").click()
        job = yaml.safe_load(saved(page, "Job file", tmp_path / f"{name}.yaml"))
        made = resolved(tmp_path / f"{name}.yaml")
        assert ([task.path for task in made.tasks()], made.warnings) == (paths, ())


def test_a_row_can_be_copied_into_a_job(look: Look, tmp_path: Path) -> None:
    page = look(permissions=["clipboard-read", "clipboard-write"])
    cell(page, 3, 1).locator("img").first.click()
    page.get_by_role("button", name="Copy as job row").click()
    page.wait_for_function("() => document.getElementById('say').textContent === 'The row is copied.'")
    row = page.evaluate("navigator.clipboard.readText()")
    head = "model: Hevok/Studio-Trigger\nparameters: {steps: 20, samples: 2, prompt: other}\nsweep: {seed: [1]}\n"
    (tmp_path / "job.yaml").write_text(f"{head}include:\n  {row}\n", "utf-8")
    assert planned(tmp_path / "job.yaml")[1] == page.evaluate("gallery.viewer.card.task.id")


def test_tables_hold_everything_and_no_formula(look: Look, tmp_path: Path) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, "5", "e")
    table = saved(page, "CSV", tmp_path / "table.csv")
    told = list(csv.DictReader(io.StringIO(table, newline="")))
    assert list(told[0])[:5] == ["task", "index", "state", "repeat", "output"]
    assert tuple(told[0])[: len(OWN)] == OWN
    assert (told[0]["labels.prompt"], told[0]["axes.seed"], told[0]["parameters.seed"]) == ("'=fox <b>", "7", "7")
    assert [row["cost_usd"] for row in told[:2]] == ["0.0035", ""]
    held = json.loads(saved(page, "JSON", tmp_path / "table.json"))
    assert len(held) == 33
    assert (held[0]["stars"], held[0]["labels"]["prompt"], held[0]["axes"]["prompt"]) == (5, "=fox <b>", NASTY)
    assert held[0]["parameters"]["prompt"] == NASTY
    fields = page.evaluate("['=1+1', '+1', '-2.5', '@x', '\\tx', 'a,\"b\"', '-x', null].map(gallery.records.field)")
    assert fields == ["'=1+1", "+1", "-2.5", "'@x", "'\tx", '"a,""b"""', "'-x", ""]


def test_the_page_and_the_command_write_the_same_table(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    """Byte for byte, whatever is in it: one is a spreadsheet of the other's pictures."""
    job = {
        "name": "twins",
        "parameters": {"steps": 20, "samples": 2, "negativePrompt": "=blur"},
        "variables": {"style": ["ink", "oil, old"]},
        "sweep": {
            "seed": [7, {"value": -42, "label": "@odd"}, 99],
            "prompt": [{"raw": NASTY, "label": "fox"}, "a harbour, {style}"],
            "scheduler": ["DDIMScheduler", "PNDMScheduler"],
            "scale": [3, 3.5],
        },
        "repeat": 2,
    }
    folder = make_run(tmp_path / "twins", job, picture, state=ends)
    with sqlite3.connect(folder.ledger) as ledger:  # moments as clocks give them, and something strange
        ledger.execute("UPDATE attempts SET submitted_at = submitted_at + 0.0236, elapsed = elapsed / 7")
        ledger.execute("UPDATE tasks SET finished_at = finished_at + 0.1234567 * rowid")
        ledger.execute("""UPDATE tasks SET warnings = '["a \\"size\\"", "=odd"]' WHERE rowid % 3 = 0""")
    ledger.close()
    page = look(at=built(folder))
    keys(page, "e")
    page.locator("#export").get_by_text("All: ").click()
    saved(page, "CSV", tmp_path / "page.csv")
    done = CliRunner().invoke(
        app, ["export", str(folder.path), "--to", "csv", "--state", "done,failed", "--out", str(tmp_path / "ours.csv")]
    )
    assert done.exit_code == 0
    theirs, ours = ((tmp_path / name).read_bytes().decode("utf-8-sig") for name in ("page.csv", "ours.csv"))
    assert theirs.splitlines() == ours.splitlines()
    assert theirs == ours
