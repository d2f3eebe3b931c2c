"""What a plan costs is the sum over its tasks, and is reckoned without building them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.plan import called, plan, prepared, tasks
from orchestrator.commands.prepare import Prepared, bind, binding
from orchestrator.config import Settings
from orchestrator.errors import RefusedError
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Failure
from orchestrator.sweep import Job
from orchestrator.tasks import Task
from orchestrator.telling import plan_text
from orchestrator.wiro import price

JOB = {"model": "Hevok/Studio-Trigger", "sweep": {"prompt": ["a boat", "a ship"], "seed": [1, 2, 3]}}
PRICE = Decimal("0.0035")
Ready = Callable[[dict[str, Any]], Prepared]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """Prepare a job from what stands under its keys, with no run folder."""
    folder = tmp_path_factory.mktemp("plan")

    def ready(keys: dict[str, Any]) -> Prepared:
        path = folder / "job.yaml"
        path.write_text(json.dumps(JOB | keys))
        return anyio.run(lambda: prepared(path, Options(out=folder / "out"), Settings(), SystemClock()))

    return ready


@pytest.mark.parametrize(
    ("keys", "outputs"),
    [
        ({}, 6 * 4),
        ({"include": [{"prompt": "a lamp", "seed": 9}]}, 7 * 4),
        ({"include": [{"prompt": "a lamp", "seed": 9, "samples": 1}]}, 6 * 4 + 1),
        ({"sweep": {"prompt": ["a boat"], "samples": [1, 2]}}, 3),
        ({"exclude": [{"seed": [1, 2, 3]}]}, 0),
    ],
)
def test_no_task_is_built_for_the_cost(
    ready: Ready, keys: dict[str, Any], outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum is right though no task is asked for."""
    made = ready(keys)

    def none(_: Job, start: int = 0) -> Iterator[Task]:
        raise AssertionError(start)

    monkeypatch.setattr(Job, "tasks", none)
    assert plan(made, Options()).cost_usd == PRICE * outputs


@pytest.mark.parametrize(
    ("keys", "total", "said"),
    [
        ({"exclude": [{"seed": [1, 2, 3]}]}, 0, "The job has no tasks"),
        ({"limits": {"max_tasks": 5}}, 6, "`run` refuses more than 5 tasks"),
        ({"sweep": {"prompt": ["a boat"], "seed": {"from": 1, "to": 10**9, "step": 1}}}, 10**9, "`run` refuses"),
    ],
)
def test_what_a_run_would_refuse_is_said(ready: Ready, keys: dict[str, Any], total: int, said: str) -> None:
    """A job without tasks, and one with too many, however many they are."""
    found = plan(ready(keys), Options())
    assert found.total == total
    assert [warning for warning in found.warnings if warning.startswith(said)]


def entry(method: str, usd: str, **more: Any) -> dict[str, Any]:
    return {"inputs": {}, "priceMethod": method, "price": usd, **more}


PRICES: tuple[list[dict[str, Any]], ...] = (
    [entry("cpr", "0.01")],
    [entry("cpo", "0.0035")],
    [entry("cps", "0.001")],
    [entry("cpt", "0.001")],
    [entry("cp-promptlength", "0.0001")],
    [entry("cp-pixel", "0.02", priceExtra="0.013")],
    [entry("cpr", "0.01"), {**entry("cpo", "0.5"), "inputs": {"samples": ["2", 3], "width": 2048}}],
    [{**entry("cpr", "0.7"), "inputs": {"seed": "1"}}],
    [],
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    prices=st.sampled_from(PRICES),
    axes=st.fixed_dictionaries(
        {"prompt": st.lists(st.sampled_from(["a boat", "a ship, {tone}", "{tone}"]), min_size=1)},
        optional={
            "seed": st.lists(st.integers(1, 3), min_size=1, max_size=3),
            "samples": st.lists(st.integers(1, 3), min_size=1, max_size=3),
            "width": st.lists(st.sampled_from([512, 1024, 2048]), min_size=1, max_size=2),
        },
    ),
    filters=st.fixed_dictionaries(
        {},
        optional={
            "sample": st.just({"count": 3}),
            "order": st.just("shuffled"),
            "repeat": st.just(2),
            "exclude": st.just([{"prompt": "a boat"}]),
        },
    ),
    limit=st.none() | st.integers(1, 9),
)
def test_the_cost_is_the_sum_over_the_tasks(
    ready: Ready, prices: list[Any], axes: dict[str, Any], filters: dict[str, Any], limit: int | None
) -> None:
    """Exactly, for all price forms, whatever is swept, filtered and limited."""
    made = ready({"variables": {"tone": ["ink", "oil paint"]}, "sweep": axes, **filters})
    made = replace(made, tool={**made.tool, "dynamicprice": json.dumps(prices)})
    tasks = list(made.job.tasks())[:limit]
    found = [price(made.tool, task.parameters) for task in tasks]
    expected = None if None in found else sum((each.usd for each in found if each is not None), Decimal(0))
    planned = plan(made, Options(limit=limit))
    assert planned.cost_usd == expected
    assert planned.exact is all(each is not None and each.exact for each in found)
    assert planned.total == made.job.total()


@pytest.mark.anyio
async def test_the_first_tasks_say_what_they_leave_out(tmp_path: Path) -> None:
    """The first is shown in full; the others say that they show a difference only, also where there is none."""
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({"model": JOB["model"], "sweep": {"prompt": ["a boat", "a ship"]}, "repeat": 2}))
    options = Options(out=tmp_path / "out")
    ready = await prepared(path, options, Settings(), SystemClock())
    text = plan_text(plan(ready, options), [task for task, _ in tasks(ready, options)])
    first, *others = text.split("Task ")[1:]
    assert "differs" not in first
    assert len(others) == 3
    for other, same in zip(others, (True, False, True), strict=True):
        head, *rest = other.strip().split("\n")
        assert head.endswith(f", which differs from the task before{' in nothing that is sent' if same else ' in:'}")
        assert rest == ([] if same else ['  prompt: "a ship"'])


@pytest.mark.anyio
async def test_a_plan_turns_no_letters_around(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({"name": "a\u202eb", "model": JOB["model"], "parameters": {"prompt": "x\u202egnp.exe"}}))
    options = Options(out=tmp_path / "out")
    ready = await prepared(path, options, Settings(), SystemClock())
    text = plan_text(plan(ready, options), [task for task, _ in tasks(ready, options)])
    assert text.startswith("Job:    a\\u202eb (")
    assert 'prompt: "x\\u202egnp.exe"' in text
    assert "\u202e" not in text


@pytest.mark.anyio
async def test_a_plan_without_a_key_tells_of_the_emulator(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({"model": "emulator/unknown-here", "sweep": {"prompt": ["a boat"]}}))
    settings = Settings(cache=tmp_path / "cache")
    with pytest.raises(RefusedError, match="add --emulate"):
        await prepared(path, Options(out=tmp_path / "out"), settings, SystemClock())


@pytest.mark.parametrize("samples", [[1], [1, 2]], ids=["one price", "two prices"])
@pytest.mark.parametrize("limit", [None, 2])
def test_what_is_done_costs_nothing_more(tmp_path: Path, samples: list[int], limit: int | None) -> None:
    """Against a ledger only what is new or unfinished is counted; what the job no longer holds is told."""
    path, options = tmp_path / "job.yaml", Options(out=tmp_path / "out", limit=limit)

    def ready(seeds: list[int]) -> Prepared:
        path.write_text(
            json.dumps(
                {
                    "model": JOB["model"],
                    "parameters": {"prompt": "a boat"},
                    "sweep": {"samples": samples, "seed": seeds},
                }
            )
        )
        return anyio.run(lambda: prepared(path, options, Settings("a-key"), SystemClock()))

    first = ready([1, 2])
    first.folder.make()
    held = list(first.job.tasks())
    with SqliteLedger(first.folder.ledger) as store:
        edition = bind(first, binding(first.file, Settings("a-key"), options), store, options, 1.0)
        with store.transaction(durable=False):
            store.enter(held, edition, 0)
            for record in store.pending(edition, -1, 2)[0]:
                store.save(record, record.unready(Failure("rejected", "no"), 1.0))
    now = ready([2, 3, 4])
    planned = plan(now, options)
    known, failed = {task.id for task in held}, {task.id for task in held[:2]}
    left = [task for task in now.job.tasks() if task.id not in failed]
    found = [price(now.tool, task.parameters) for task in left[:limit]]
    assert planned.cost_usd == sum((each.usd for each in found if each is not None), Decimal(0))
    assert (planned.total, planned.new) == (now.job.total(), len([each for each in left if each.id not in known]))
    assert planned.failed == now.job.total() - len(left)
    assert planned.dropped == len([each for each in held if each.id not in set(now.job.ids())])
    states = {
        task.id: "failed" if task.id in failed else "pending" if task.id in known else "new" for task in now.job.tasks()
    }
    shown = list(states) if limit is None else [task.id for task in left[:limit]]
    assert [(task.id, called(state)) for task, state in tasks(now, options)] == [(id_, states[id_]) for id_ in shown]
    assert planned.limit == (limit if limit and limit < len(left) else None)


def test_counts_alone_put_no_tasks_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large shuffled grid would be hashed whole for its first tasks, which `--json` does not show."""
    (tmp_path / "job.yaml").write_text(json.dumps(JOB | {"order": "shuffled"}))
    monkeypatch.delattr(Job, "tasks")
    done = CliRunner().invoke(app, ["plan", str(tmp_path / "job.yaml"), "--out", str(tmp_path / "out"), "--json"])
    assert json.loads(done.stdout)["total"] == 6


def test_nothing_left_is_within_every_budget(ready: Ready) -> None:
    """More was spent than a lower budget allows, and the run is done: there is nothing to warn of."""
    made = ready({"exclude": [{"seed": {"ge": 1}}], "limits": {"budget_usd": 0.01}})
    assert not any("budget" in warning for warning in plan(made, Options()).warnings)


def test_a_folded_cell_is_chosen_by_its_label(ready: Ready) -> None:
    """Two labels of one value stand for the same tasks; in pairs that differ each label stands for its own."""
    twins = [{"value": "an owl", "label": "owl"}, {"value": "an owl", "label": "bird"}]
    for label in ("owl", "bird"):
        assert plan(ready({"sweep": {"prompt": twins, "seed": [1, 2]}}), Options(only=[f"prompt={label}"])).total == 2
    pairs = ready({"sweep": {"prompt": twins, "seed": [1, 2]}, "zip": [["prompt", "seed"]]})
    assert [task.axes["seed"] for task, _ in tasks(pairs, Options(only=["prompt=bird"]))] == [2]
