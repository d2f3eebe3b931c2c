"""Profiles: what a file may say, and how its mistakes are told."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.commands import profiles
from orchestrator.commands.emulator import behaviour
from orchestrator.commands.fault_kinds import KINDS, kind_keys
from orchestrator.emulator import Change, Fault, Profile, faults
from orchestrator.errors import RefusedError
from orchestrator.sweep import JobFileError

EVERYTHING = """
seed: 3
balance_usd: 12.5
concurrency: auto
requests_per_second: 20
retry_after: 1.5
queue: [0s, 200ms]
run: 2m
spread: 0
form: older
quirks: [errors_as_text]
picture_side: 64
picture_bytes: 900
changes:
  - {at: 1m, concurrency: auto, balance_usd: 5}
  - {at: 10s, concurrency: 3}
faults:
  - {reply: lost, at: [Run, Task/List], when: before, share: 10%, from: 5s, until: 1m}
  - {reply: refused, message: Sorry}
  - {task: unseen, after: 1s, for: 2s, where: {prompt: "*fog*", seed: 5}, first: 2}
  - {list: moves, by: -2, times: 3}
  - {list: lacks, names: steps}
  - {file: expired, looks: 2}
"""


def test_everything_that_a_profile_can_say_is_read() -> None:
    assert profiles.read("p.yaml", EVERYTHING) == Profile(
        seed=3,
        balance_usd=Decimal("12.5"),
        concurrency=None,
        rate=20,
        retry_after_seconds=1.5,
        queue_seconds=(0.0, 0.2),
        run_seconds_median=120,
        run_seconds_sigma=0,
        form="older",
        quirks=frozenset({"errors_as_text"}),
        picture_side=64,
        plain_bytes=900,
        changes=(
            Change(10, "concurrency", 3),
            Change(60, "balance_usd", Decimal(5)),
            Change(60, "concurrency", None),
        ),
        faults=(
            Fault(
                place="reply",
                kind="lost",
                at=frozenset({"Run", "Task/List"}),
                when="before",
                share=0.1,
                since=5,
                until=60,
            ),
            Fault(place="reply", kind="refused", text="Sorry", status=200),
            Fault(
                place="task",
                kind="unseen",
                after_seconds=1,
                seconds=2,
                where={"prompt": "*fog*", "seed": "5"},
                first=2,
            ),
            Fault(place="list", kind="moves", number=-2, times=3),
            Fault(place="list", kind="lacks", names=frozenset({"steps"})),
            Fault(place="file", kind="expired", number=2),
        ),
    )


@pytest.mark.parametrize(
    ("written", "place", "says"),
    [
        ("sed: 1", "p.yaml:1:1: sed", "Did you mean `seed`?"),
        ("faults:\n- {reply: lots}", "p.yaml:2:11: faults[0].reply", "Did you mean `lost`?"),
        ("faults:\n- {replies: lost}", "p.yaml:2:3: faults[0]", "Did you mean `reply`?"),
        ("faults:\n- {reply: lost, file: lost}", "p.yaml:2:3: faults[0]", "Keep one of them."),
        ("faults:\n- lost", "p.yaml:2:3: faults[0]", "Write {reply: lost, share: 5%}."),
        ("faults:\n- {reply: lost, shares: 1}", "p.yaml:2:17: faults[0].shares", "Did you mean `share`?"),
        ("faults:\n- {reply: lost, share: 120%}", "p.yaml:2:24: faults[0].share", "a share from 0% to 100%"),
        ("faults:\n- {reply: lost, share: much}", "p.yaml:2:24: faults[0].share", "a share from 0% to 100%"),
        ("faults:\n- {reply: lost, at: Task/Details}", "p.yaml:2:21: faults[0].at", "Did you mean `Task/Detail`?"),
        ("faults:\n- {reply: short, when: before}", "p.yaml:2:18: faults[0].when", "not known here"),
        ("faults:\n- {task: late}", "p.yaml:2:3: faults[0]", "`by` is missing"),
        ("faults:\n- {task: fails, times: 2}", "p.yaml:2:17: faults[0].times", "not known here"),
        ("faults:\n- {list: lies, by: 1.5}", "p.yaml:2:20: faults[0].by", "a whole number"),
        ("faults:\n- {task: fails, where: fog}", "p.yaml:2:24: faults[0].where", "Write {prompt:"),
        ("faults:\n- {task: fails, where: {seed: [1]}}", "p.yaml:2:31: faults[0].where.seed", "a value is expected"),
        ("faults: lost", "p.yaml:1:9: faults", "a list of faults"),
        ("changes: [{at: 1s, rat: 3}]", "p.yaml:1:20: changes[0].rat", "not known here"),
        ("changes: [{concurrency: 3}]", "p.yaml:1:11: changes[0]", "`at` is missing"),
        ("faults:\n- {reply: lost, share: 0}", "p.yaml:2:24: faults[0].share", "Write more than 0"),
        ("faults:\n- {reply: lost, from: 5s, until: 5s}", "p.yaml:2:34: faults[0].until", "later than `from`"),
        ("faults:\n- {reply: lost, until: 0}", "p.yaml:2:24: faults[0].until", "which is 0s by default"),
        ("faults:\n- {task: fails, where: {sed: 1}}", "p.yaml:2:25: faults[0].where.sed", "Did you mean `seed`?"),
        (
            "faults:\n- {reply: lost, at: [Tool/List, File/Upload], where: {seed: 1}}",
            "p.yaml:2:54: faults[0].where",
            "no call to `File/Upload`, `Tool/List` is about one",
        ),
        ("changes: []", "p.yaml:1:10: changes", "No change stands here"),
        ("changes: [{at: 2s}]", "p.yaml:1:11: changes[0]", "`balance_usd`, `concurrency`, `requests_per_second`"),
        ("changes: [{}]", "p.yaml:1:11: changes[0]", "`at` is missing"),
        ("queue: [2s, 1s]", "p.yaml:1:8: queue", "the shorter one first"),
        ("queue: 1s", "p.yaml:1:8: queue", "the shortest and the longest"),
        ("run: -1", "p.yaml:1:6: run", "a duration is expected"),
        ("- a", "p.yaml:1:1", "a mapping is expected"),
        ("# nothing\n", "p.yaml", "The file is empty."),
        ("seed: [", "p.yaml:2:1", "not YAML"),
    ],
)
def test_mistakes_are_told_like_those_of_a_job_file(written: str, place: str, says: str) -> None:
    with pytest.raises(JobFileError) as caught:
        profiles.read("p.yaml", written)
    told = str(caught.value)
    assert told.startswith(f"{place}:"), told
    assert says in told


@pytest.mark.parametrize("name", ["seed", "prompt", "inputImageUrl"])
def test_where_takes_every_parameter_of_every_model(name: str) -> None:
    (fault,) = profiles.read("p.yaml", f"faults:\n- {{task: fails, where: {{{name}: 1}}}}").faults
    assert fault.where == {name: "1"}


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(JobFileError) as caught:
        profiles.read("p.yaml", "seed: x\nfaults:\n- {reply: lost, share: 2}\n- {tasks: fails}\n")
    assert len(caught.value.problems) == 3


def test_every_kind_of_the_emulator_can_be_written_and_no_other() -> None:
    assert {place: set(kinds) for place, kinds in KINDS.items()} == {
        place: set(kinds) for place, kinds in faults.KINDS.items()
    }
    for place, kinds in KINDS.items():
        for kind, way in kinds.items():
            assert set(way.required) <= set(kind_keys(place, kind))


def test_ready_made_profiles_are_found_by_name_and_files_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert profiles.load("poor").balance_usd == 10
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("run: 0\n")
    assert profiles.load("mine").run_seconds_median == 0
    with pytest.raises(RefusedError, match="Did you mean `flaky`"):
        profiles.load("flakey")
    with pytest.raises(RefusedError, match="There is no such file"):
        profiles.load("mine.yaml")


def test_calm_is_what_the_emulator_is_anyway() -> None:
    assert profiles.load("calm") == Profile(seed=1)


def test_options_replace_what_the_profile_says() -> None:
    chosen = behaviour("storm", api_key="k", api_secret="", rate=None, concurrency=2, seed=9)
    assert (chosen.rate, chosen.concurrency, chosen.seed, chosen.api_secret) == (20, 2, 9, None)
    assert chosen.faults
    plain = behaviour(None, api_key="k", api_secret="s", rate=None)
    assert (plain, math.isinf(chosen.faults[0].seconds)) == (Profile(api_key="k", api_secret="s"), True)


OF_NO_TIME = (
    *("list: lags, by", "task: late, by", "task: bare, for", "task: unseen, for", "task: grows, for"),
    *("reply: hangs, for", "file: hangs, for", "socket: late, by", "callback: late, by"),
)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ('{file: retyped, to: "a\\r\\nX: y"}', "control character"),
        ('{file: redirected, to: "a\\r\\nb"}', "control character"),
        ('{file: renamed, to: "a\\tb"}', "control character"),
        ('{reply: refused, message: "a\\nb"}', "control character"),
        ('{task: strange, status: "a\\nb"}', "control character"),
        ("{task: strange, status: task_postprocess_end}", "a status that the service has"),
        ("{list: lies, by: 0}", "By 0 nothing changes"),
        ("{file: resized, by: 0}", "By 0 nothing changes"),
        *((f"{{{fault}: 0s}}", "No time is no fault") for fault in OF_NO_TIME),
    ],
)
def test_what_could_not_be_said_or_would_mean_nothing_is_refused(fault: str, said: str) -> None:
    with pytest.raises(JobFileError, match=said):
        profiles.read("p.yaml", f"faults: [{fault}]")
