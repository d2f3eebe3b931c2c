"""What runs have together is never used beyond what there is, whoever joins, leaves or dies, and is divided fairly."""

from __future__ import annotations

import math
import random
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.engines.schedule import Schedule
from orchestrator.lane import LaneFile, Pool, Share, fair
from orchestrator.lane.lease import PLENTY, RENEW_SECONDS
from orchestrator.lane.pool import GRACE_SECONDS, LEASE_SECONDS, STAYS_SECONDS, units_of

TICK = 0.05
NOW = 1_800_000_000.0


@given(st.integers(0, 50), st.dictionaries(st.text(), st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 99))
def test_all_is_divided_and_nobody_lacks_what_another_has_too_much_of(
    total: int, wanted: dict[str, int], turn: int
) -> None:
    shares = fair(total, wanted, turn)
    assert sum(shares.values()) == total
    short = [name for name in wanted if shares[name] < wanted[name]]
    if short:
        assert all(shares[name] <= wanted[name] for name in wanted)
        assert max(shares.values()) <= min(shares[name] for name in short) + 1


@given(st.integers(1, 5), st.integers(6, 9))
def test_with_too_little_everybody_has_its_turn(total: int, holders: int) -> None:
    wanted = {str(number): PLENTY for number in range(holders)}
    had = [name for turn in range(holders) for name, units in fair(total, wanted, turn).items() if units]
    assert {had.count(name) for name in wanted} == {total}


@dataclass
class Run:
    """A run that calls as fast as it may.

    Attributes:
        begins, ends: Seconds; it leaves in peace, or `dies`.
        hangs: From when on it is stopped, without a word.
        hung_seconds: For how long.
    """

    name: str
    cap: float
    begins: float
    ends: float
    dies: bool
    hangs: float
    hung_seconds: float = 4.5
    schedule: Schedule = field(init=False)
    units: int = 0
    next_renewal: float = 0.0
    sent: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.schedule = Schedule(self.cap)
        self.schedule.change(0, math.inf)
        self.next_renewal = self.begins

    def renew(self, pool: Pool, at: float) -> None:
        while True:
            share = pool.renew(self.name, self.cap, using=self.units, wanted=PLENTY, now=NOW + at)
            self.schedule.change(share.cap if share.is_all else share.units, at + LEASE_SECONDS)
            before, self.units = self.units, int(share.units)
            if self.units >= before:
                return

    def live(self, pool: Pool, at: float) -> None:
        """Do what is due at a moment."""
        if not self.begins <= at < self.ends or self.hangs <= at < self.hangs + self.hung_seconds:
            return
        while (moment := self.schedule.earliest(at)) < at + TICK:
            self.schedule.sent(moment)
            self.sent.append(moment)
        if at >= self.next_renewal:
            self.renew(pool, at)
            self.next_renewal = at + RENEW_SECONDS * random.uniform(0.9, 1.5)  # noqa: S311 - a jitter


RUNS = st.builds(
    Run,
    st.uuids().map(str),
    st.just(5.0),
    st.integers(0, 120).map(lambda tenths: tenths / 10),
    st.integers(10, 250).map(lambda tenths: tenths / 10),
    st.booleans(),
    st.integers(0, 400).map(lambda tenths: tenths / 10),
    st.integers(0, 120).map(lambda tenths: tenths / 10),
)


def seconds_of(runs: list[Run], until: float) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(LaneFile(Path(folder))) as file:
        pool = Pool(file, "calls", lingers=True)
        for tick in range(int(until / TICK)):
            at = tick * TICK
            for run in runs:
                run.live(pool, at)
                if run.ends <= at < run.ends + TICK and not run.dies and run.begins < run.ends:
                    pool.leave(run.name, NOW + at)


@settings(max_examples=25)
@given(st.lists(RUNS, min_size=1, max_size=5), st.sampled_from([0.7, 1.0, 3.0, 10.7]))
def test_no_second_has_more_calls_than_the_limit_allows(runs: list[Run], cap: float) -> None:
    """Whoever comes and goes, in peace or not, or is stopped for a while and goes on as if nothing had been."""
    for run in runs:
        run.cap = cap
    seconds_of(runs, 26)
    sent = sorted(moment for run in runs for moment in run.sent)
    for first, last in zip(sent, sent[int(units_of(cap)) :], strict=False):
        assert last - first >= max(1.0, 1 / cap)


@pytest.mark.parametrize(("cap", "runs"), [(10.0, 1), (10.7, 3), (6.0, 2), (2.0, 3), (0.5, 2)])
def test_hardly_anything_is_left_unused(cap: float, runs: int) -> None:
    """Each has its part: in turn, where there is less than one for each."""
    members = [Run(str(number), cap, 0, 200, dies=False, hangs=999) for number in range(runs)]
    seconds_of(members, 60)
    calls = [len(run.sent) for run in members]
    assert sum(calls) >= (0.9 if runs <= cap else 0.7) * 60 * min(cap, max(1, math.floor(cap)))
    assert min(calls) >= (0.7 if runs <= cap else 0.3) * max(calls)


def test_the_lowest_limit_of_those_who_are_there_holds() -> None:
    fast, slow = Run("fast", 10, 0, 60, dies=False, hangs=99), Run("slow", 2, 10, 20, dies=False, hangs=99)
    seconds_of([fast, slow], 40)
    assert len([moment for moment in fast.sent if 13 <= moment < 20]) <= 8
    assert len([moment for moment in fast.sent if 25 <= moment < 35]) >= 90


@pytest.mark.parametrize(("dies", "after"), [(False, 1.1), (True, LEASE_SECONDS + GRACE_SECONDS)])
def test_what_one_had_is_the_others_after_a_while(tmp_path: Path, dies: bool, after: float) -> None:
    with closing(LaneFile(tmp_path)) as file:
        pool = Pool(file, "calls", lingers=True)
        assert pool.renew("a", 10, using=0, wanted=PLENTY, now=NOW) == Share(10, 10)
        assert pool.renew("b", 10, using=0, wanted=PLENTY, now=NOW) == Share(0, 10)
        assert pool.renew("a", 10, using=10, wanted=PLENTY, now=NOW + 0.1) == Share(5, 10)
        assert pool.renew("a", 10, using=5, wanted=PLENTY, now=NOW + 0.1) == Share(5, 10)
        assert pool.renew("b", 10, using=0, wanted=PLENTY, now=NOW + 1.1) == Share(0, 10)
        assert pool.renew("b", 10, using=0, wanted=PLENTY, now=NOW + 1.3) == Share(5, 10)
        if not dies:
            pool.leave("b", NOW + 1.4)
        at, using = 1.4, 5
        while using < 10:
            at += RENEW_SECONDS
            using = int(pool.renew("a", 10, using=using, wanted=PLENTY, now=NOW + at).units)
        assert 1.3 + after <= at <= 1.4 + after + 2 + RENEW_SECONDS


@pytest.mark.parametrize("leaves", [True, False])
def test_what_runs_on_counts_for_a_while_when_its_run_is_gone(tmp_path: Path, leaves: bool) -> None:
    """Three of its tasks are still on the service, whether it left in peace or died; then they count no more."""
    with closing(LaneFile(tmp_path)) as file:
        pool = Pool(file, "places", lingers=False)
        assert pool.renew("a", 4, using=None, wanted=PLENTY, now=NOW).units == 4
        assert pool.renew("a", 4, using=4, wanted=PLENTY, now=NOW, active=3).units == 4
        if leaves:
            pool.leave("a", NOW, active=3)
        gone = NOW + LEASE_SECONDS + 0.1

        def other(now: float, using: int) -> float:
            return pool.renew("b", 4, using=using, wanted=PLENTY, now=now).units

        assert other(gone, 0) == (1 if leaves else 0)  # for a moment it may only be slow
        assert other(gone + GRACE_SECONDS + 0.1, 0) == 1
        assert other(gone + STAYS_SECONDS - 5, 1) == 1
        assert other(gone + STAYS_SECONDS + 0.1, 1) == 4


def test_who_stood_still_has_no_calls_that_were_handed_on(tmp_path: Path) -> None:
    """It waits for its share like one who joins."""
    with closing(LaneFile(tmp_path)) as file:
        pool = Pool(file, "calls", lingers=True)

        def renew(name: str, using: int, at: float) -> float:
            return pool.renew(name, 20, using=using, wanted=PLENTY, now=NOW + at).units

        assert renew("a", 0, 0.0) == 20
        assert renew("b", 0, 0.1) == 0
        assert renew("a", 10, 0.2) == 10
        assert renew("b", 0, 1.5) == 10
        assert renew("b", 10, 4.0) == 10  # what the other had is on its way back
        assert renew("a", 10, 4.1) == 10  # and is its own again
        assert renew("b", 10, 8.0) == 10
        assert renew("b", 10, 12.0) == 20
        assert renew("a", 10, 12.1) == 0
        assert renew("b", 20, 12.2) == renew("b", 10, 12.2) == 10
        assert renew("a", 0, 13.4) == 10


def test_what_runs_on_counts_though_its_run_stood_still_and_nothing_is_added(tmp_path: Path) -> None:
    """Its places were handed on after a minute; both have less until no more is in use than there is."""
    with closing(LaneFile(tmp_path)) as file:
        pool = Pool(file, "places", lingers=False)

        def renew(name: str, active: int, at: float) -> float:
            return pool.renew(name, 4, using=active, wanted=PLENTY, now=NOW + at, active=active).units

        assert renew("a", 0, 0.0) == 4
        assert renew("a", 3, 0.1) == 4
        assert [renew("b", 0, 5.0), renew("b", 0, 9.0), renew("b", 1, 70.0)] == [0, 1, 4]
        assert [renew("a", 3, 70.1), renew("b", 4, 70.2)] == [0, 1]
        assert [renew("a", 3, 70.6), renew("b", 1, 70.7)] == [0, 1]
        assert [renew("a", 2, 71.1), renew("b", 1, 71.2)] == [2, 2]


def test_who_goes_on_has_again_what_it_left(tmp_path: Path) -> None:
    """What it left counts once."""
    with closing(LaneFile(tmp_path)) as file:
        pool = Pool(file, "places", lingers=False)
        pool.renew("a", 4, using=None, wanted=PLENTY, now=NOW, active=3)
        gone = NOW + LEASE_SECONDS + 0.1
        pool.renew("b", 4, using=0, wanted=PLENTY, now=gone)
        later = gone + GRACE_SECONDS + 0.1
        assert pool.renew("b", 4, using=0, wanted=PLENTY, now=later).units == 1
        assert pool.renew("a", 4, using=None, wanted=PLENTY, now=later, active=3).units == 2  # its fair share
        assert pool.renew("a", 4, using=3, wanted=PLENTY, now=later, active=3).units == 2
        assert pool.renew("b", 4, using=1, wanted=PLENTY, now=later).units == 1
