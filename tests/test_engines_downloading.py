"""How many files are fetched at once, on links of many kinds, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import anyio
import pytest
from hypothesis import given, strategies as st

from orchestrator.clock import VirtualClock
from orchestrator.engines.downloading import FIRST, MOST_SILENT, WIDTHS, Downloads, Width
from orchestrator.wiro.arrivals import Arrivals, Line

TICK_SECONDS = 0.05
MB = 10**6


@dataclass
class Link:
    """The way to a server: what all connections share, what each may have, and how long an answer takes to begin.

    Attributes:
        served: How many requests the server answers at a time; others are refused, and come again a second later.
        mute: Every so many-th request is taken and not answered; it is made again after ten seconds.
        widths: How many files were asked for at once, at each tick.
    """

    shared: float
    each: float
    latency_seconds: float = 0.1
    file_bytes: float = MB
    served: int = 1000
    mute: int = 0
    arrived: float = 0.0
    finished: int = 0
    widths: list[int] = field(default_factory=list)
    _left: dict[Line, float] = field(default_factory=dict)
    _asking: int = 0
    _asked: int = 0

    async def fetch(self, clock: VirtualClock, dice: Random, arrivals: Arrivals) -> None:
        """Fetch one file."""
        self._asking += 1
        self._asked += 1
        me = arrivals.open()
        if self.mute and self._asked % self.mute == 0:
            await clock.sleep(10.0)
            me.close()
            me = arrivals.open()
        await clock.sleep(self.latency_seconds * (0.5 + dice.random()))
        me.answered()
        while len(self._left) >= self.served:
            await clock.sleep(1.0)
        me.waits = True
        self._left[me] = self.file_bytes * (0.5 + dice.random())
        while self._left[me] > 0:
            await clock.sleep(TICK_SECONDS)
        del self._left[me]
        me.close()
        self._asking -= 1
        self.finished += 1

    async def run(self, clock: VirtualClock) -> None:
        """Bring bytes to all who are served."""
        while True:
            await clock.sleep(TICK_SECONDS)
            open_now = [each for each, left in self._left.items() if left > 0]
            for connection in open_now:
                came = TICK_SECONDS * min(self.each, self.shared / len(open_now))
                self._left[connection] -= came
                self.arrived += came
                connection.heard(round(came))
            self.widths.append(self._asking)


def fetched(link: Link, seconds: float, changes: Callable[[Link], None] = lambda _: None, waiting: int = 60) -> Link:
    """Fetch files over a link for so long, so many always wanted; in the middle of it something may change."""

    async def main() -> None:
        clock, dice = VirtualClock(), Random(1)  # noqa: S311 - dice
        arrivals = Arrivals(clock.monotonic)
        downloads = Downloads(arrivals, clock)

        async def want() -> None:
            while True:
                await downloads.acquire()
                try:
                    await link.fetch(clock, dice, arrivals)
                finally:
                    downloads.release()

        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            group.start_soon(link.run, clock)
            group.start_soon(downloads.run)
            for _ in range(waiting):
                group.start_soon(want)
            await clock.sleep(seconds / 2)
            changes(link)
            await clock.sleep(seconds / 2)
            group.cancel_scope.cancel()

    anyio.run(main)
    return link


def usual(widths: list[int]) -> float:
    return sum(widths) / len(widths)


def test_a_shared_link_is_filled_and_not_crowded() -> None:
    """Ten connections fill it. Some seconds later nearly all of it is used, by not many more than these."""
    link = fetched(Link(shared=10 * MB, each=1 * MB), 120)
    assert link.arrived > 0.85 * 120 * 10 * MB
    assert 8 <= usual(link.widths[400:]) <= 18


def test_one_connection_that_fills_a_link_is_not_joined_by_many() -> None:
    link = fetched(Link(shared=10 * MB, each=20 * MB), 120)
    assert usual(link.widths[1200:]) <= 4
    assert link.arrived > 0.9 * 120 * 10 * MB


def test_where_each_connection_has_its_own_limit_there_are_as_many_as_may_be() -> None:
    link = fetched(Link(shared=1000 * MB, each=1 * MB, file_bytes=64 * MB), 60)
    assert max(link.widths[:240]) == WIDTHS[-1]
    assert usual(link.widths[600:]) > 24


def test_small_files_far_away_are_fetched_many_at_once() -> None:
    """What takes time is the way there and back, not the link."""
    link = fetched(Link(shared=100 * MB, each=5 * MB, latency_seconds=0.5, file_bytes=200_000), 60)
    assert usual(link.widths[600:]) > 20


def test_a_server_that_refuses_more_is_not_pressed() -> None:
    link = fetched(Link(shared=100 * MB, each=1 * MB, served=4), 120)
    assert usual(link.widths[1200:]) <= 8
    assert link.arrived > 0.85 * 120 * 4 * MB


@pytest.mark.parametrize(("before", "after"), [(20 * MB, 3 * MB), (3 * MB, 20 * MB)])
def test_a_link_that_changes_is_followed(before: float, after: float) -> None:
    """Each connection has a million bytes a second at most, and a link that is full needs as many as it has."""

    def change(link: Link) -> None:
        link.shared = after

    link = fetched(Link(shared=before, each=1 * MB), 240, change)
    was, became = usual(link.widths[1600:2400]), usual(link.widths[3600:])
    assert (was > 12 and became < 8) if before > after else (was < 8 and became > 12)


def test_a_server_that_gives_nothing_leaves_the_width_near_where_it_began() -> None:
    link = fetched(Link(shared=0.0, each=MB), 60)
    assert usual(link.widths) <= WIDTHS[FIRST + 2] + MOST_SILENT


def test_those_that_are_not_answered_hold_nobody_up() -> None:
    """Every twelfth request is taken and says nothing for ten seconds: nearly as many files come as without these."""
    sound, mute = (
        fetched(Link(shared=100 * MB, each=5 * MB, latency_seconds=1.0, file_bytes=1000, mute=each), 120, waiting=120)
        for each in (0, 12)
    )
    assert mute.finished > 0.75 * sound.finished


def test_the_width_is_learnt_from_those_that_are_answered() -> None:
    """A full link stays full, and is not crowded, though some of its connections say nothing."""
    link = fetched(Link(shared=10 * MB, each=1 * MB, file_bytes=3 * MB, mute=10), 240)
    assert link.arrived > 0.85 * 240 * 10 * MB
    assert usual(link.widths[1600:]) <= 24


def test_a_link_to_a_server_that_takes_its_time_is_filled() -> None:
    """What new connections bring is judged when they have had the time to be answered."""
    link = fetched(Link(shared=10 * MB, each=2 * MB, latency_seconds=2.0, file_bytes=3 * MB), 240)
    assert link.arrived > 0.85 * 240 * 10 * MB


def test_a_server_far_away_is_not_asked_by_more_than_may_be() -> None:
    """All are silent before they begin, and may begin at once; when that is known, they are nothing unusual."""
    link = fetched(Link(shared=100 * MB, each=5 * MB, latency_seconds=20.0), 240, waiting=200)
    assert max(link.widths) <= WIDTHS[-1] + MOST_SILENT
    assert usual(link.widths[2400:]) <= WIDTHS[-1]


def test_nothing_is_measured_while_nobody_waits() -> None:
    """Then a slow file says nothing of the link, and no timer runs."""
    link = fetched(Link(shared=10 * MB, each=MB), 60, waiting=WIDTHS[FIRST])
    assert set(link.widths[10:]) == {WIDTHS[FIRST]}


@given(st.lists(st.floats(0, 1e10), max_size=200))
def test_the_width_is_always_one_of_those_that_are_tried(rates: list[float]) -> None:
    width = Width()
    for rate in rates:
        width.measured(rate)
        assert width.now in WIDTHS
