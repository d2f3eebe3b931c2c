"""The service's list is read without a gap, and believed only where it shows all that has to be there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from listed import Service, accepted, calling, doubtful, ledger_with

from orchestrator.clock import SystemClock
from orchestrator.lifecycle import Record
from orchestrator.steps.listing import OVERLAP, PAGE, REMEMBERED_SECONDS, Lister, Listing
from orchestrator.steps.outcomes import Outcome, Verdict

pytestmark = pytest.mark.anyio

INCOMPLETE = "The service's list of tasks is not complete."


async def read(
    folder: Path, service: Service, uncertain: Sequence[Record], newest: int | None, known: Sequence[Record] = ()
) -> Listing | Outcome:
    async with ledger_with(folder, known) as ledger, calling(service) as calls:
        return await Lister(60.0, calls, ledger, SystemClock()).read([record.sent for record in uncertain], newest)


async def numbers(folder: Path, service: Service, uncertain: Sequence[Record], newest: int | None = None) -> list[int]:
    found = await read(folder, service, uncertain, newest)
    assert not isinstance(found, Outcome)
    return [int(number) for number in found.tasks]


async def test_the_list_is_read_no_further_than_needed(tmp_path: Path) -> None:
    service = Service(list(range(500, 0, -1)))
    assert await numbers(tmp_path, service, [doubtful(newest=480)]) == list(range(500, 500 - PAGE, -1))
    assert service.calls == 1


@pytest.mark.parametrize("length", [1, 4, OVERLAP, OVERLAP + 1, PAGE, PAGE + 1, 170])
@pytest.mark.parametrize("most", [PAGE, 20])
async def test_the_list_is_read_to_its_end_where_nothing_is_certainly_older(
    tmp_path: Path, length: int, most: int
) -> None:
    """However long it is, and however few tasks a page holds; it takes hardly more calls than there are pages."""
    service = Service(list(range(length, 0, -1)), most=most)
    assert await numbers(tmp_path, service, [doubtful(newest=None)]) == list(range(length, 0, -1))
    assert service.calls <= length / (most - OVERLAP) + 3


@pytest.mark.parametrize("moved", [3, OVERLAP, 40])
async def test_tasks_that_come_while_it_is_read_make_no_gap(tmp_path: Path, moved: int) -> None:
    """New tasks push the others down: pages overlap more, and all that was there at the start is seen."""

    def moves(service: Service) -> None:
        newest = service.tasks[0]
        service.tasks = [*range(newest + moved, newest, -1), *service.tasks]

    seen = await numbers(tmp_path, Service(list(range(170, 0, -1)), moves=moves), [doubtful(newest=20)])
    assert set(range(21, 171)) <= set(seen)


async def test_a_page_that_brings_only_known_tasks_is_not_the_end(tmp_path: Path) -> None:
    """As many tasks came as the page holds: what is beyond is read all the same."""

    def moves(service: Service) -> None:
        if service.calls == 1:
            service.tasks = [*range(170 + PAGE - OVERLAP, 170, -1), *service.tasks]

    seen = await numbers(tmp_path, Service(list(range(170, 0, -1)), moves=moves), [doubtful(newest=20)])
    assert set(range(21, 171)) <= set(seen)


async def test_more_that_come_at_once_than_a_page_holds_are_read_too(tmp_path: Path) -> None:
    """The first page was asked for a thousand times: nothing joined it and what had been read."""

    def moves(service: Service) -> None:
        if service.calls == 1:
            service.tasks = [*range(160, 60, -1), *service.tasks]

    service = Service(list(range(60, 0, -1)), most=20, moves=moves)
    assert set(range(21, 61)) <= set(await numbers(tmp_path, service, [doubtful(newest=20)]))
    assert service.calls < 20


@pytest.mark.parametrize("most", [3, 4, OVERLAP])
async def test_short_pages_get_further_while_tasks_come(tmp_path: Path, most: int) -> None:
    """A page whose tasks are all known was passed over, nothing joined the next one, and the reading began anew."""

    def moves(service: Service) -> None:
        if service.calls % 8 == 0:
            service.tasks = [service.tasks[0] + 1, *service.tasks]

    service = Service(list(range(60, 0, -1)), most=most, moves=moves)
    assert set(range(21, 61)) <= set(await numbers(tmp_path, service, [doubtful(newest=20)]))
    assert service.calls < 80


async def test_tasks_that_go_while_it_is_read_make_no_gap(tmp_path: Path) -> None:
    """Tasks that are deleted pull the others up, past the edge of a page: the reading steps back."""

    def moves(service: Service) -> None:
        if service.calls == 1:
            del service.tasks[:20]

    seen = await numbers(tmp_path, Service(list(range(170, 0, -1)), moves=moves), [doubtful(newest=60)])
    assert set(range(61, 151)) <= set(seen)


@pytest.mark.parametrize(
    ("shown", "known", "newest"),
    [
        ([], [100], None),  # what was there before is not shown
        ([103, 102], [100], None),
        ([103, 102], [0, 101], None),
        ([], [0], 103),  # what is known to be there is not shown
        ([102], [0], 103),
        ([], [None], 103),
        ([], [None], None),  # ids that are no numbers are not known, but there were some
    ],
)
async def test_a_list_that_does_not_show_what_is_known_is_not_complete(
    tmp_path: Path, shown: list[int], known: list[int | None], newest: int | None
) -> None:
    """Nothing is certainly absent from a list that comes back empty, or short, for a while."""
    uncertain = [doubtful(str(place), newest=number) for place, number in enumerate(known)]
    said = await read(tmp_path, Service(shown), uncertain, newest)
    assert isinstance(said, Outcome)
    assert (said.verdict, said.message) == (Verdict.AGAIN, INCOMPLETE)


@pytest.mark.parametrize(
    ("shown", "known", "newest"),
    [
        ([], [0], 0),
        ([103], [0], 103),
        ([103, 102, 100], [0, 102], 103),  # the older one of two doubts was sent before there was any task
    ],
)
async def test_a_list_that_shows_all_that_is_known_may_end(
    tmp_path: Path, shown: list[int], known: list[int | None], newest: int | None
) -> None:
    uncertain = [doubtful(str(place), newest=number) for place, number in enumerate(known)]
    assert await numbers(tmp_path, Service(shown), uncertain, newest) == shown


async def test_a_list_that_always_gives_the_same_page_is_given_up(tmp_path: Path) -> None:
    service = Service(list(range(200, 100, -1)), deaf=True)
    assert isinstance(await read(tmp_path, service, [doubtful(newest=50)], None), Outcome)
    assert service.calls <= 5


async def test_a_list_that_cannot_be_had_settles_nothing(tmp_path: Path) -> None:
    said = await read(tmp_path, Service([1], broken=True), [doubtful()], None)
    assert isinstance(said, Outcome)
    assert said.verdict is Verdict.AGAIN


async def test_a_page_that_fails_is_asked_for_again_and_the_others_are_kept(tmp_path: Path) -> None:
    service = Service(list(range(170, 0, -1)), slips=True)
    assert await numbers(tmp_path, service, [doubtful(newest=40)]) == list(range(170, 30, -1))
    assert service.calls == 6


@pytest.mark.parametrize(("known", "newest"), [([100], None), ([0, 101], 107), ([100], 100)])
async def test_what_was_deleted_is_missed_by_nobody(tmp_path: Path, known: list[int], newest: int | None) -> None:
    """The service itself does not know it any more: a list without it may be complete, and one that hides it not."""
    uncertain = [doubtful(str(place), newest=number, at=time.time() - 70) for place, number in enumerate(known)]
    service = Service([103, 102], deleted=True)
    assert await numbers(tmp_path, service, uncertain, newest) == [103, 102]
    assert set(service.asked) == {str(number) for number in {newest, *known} - {None, 0, 103}}
    other = tmp_path / "other"
    other.mkdir()
    assert isinstance(await read(other, Service([103, 102]), uncertain, newest), Outcome)


async def test_what_a_service_may_have_forgotten_proves_nothing(tmp_path: Path) -> None:
    """Old tasks may have gone from the list by themselves, and with them the one that is sought."""
    old = doubtful(at=time.time() - REMEMBERED_SECONDS - 10)
    assert isinstance(await read(tmp_path, Service([103], deleted=True), [old], None), Outcome)


@pytest.mark.parametrize(
    ("shown", "ago", "deleted", "behind"),
    [
        ([100, 99], [80], False, True),
        ([100, 99], [80, 70], False, True),
        ([110, 100, 99], [80], False, False),
        ([111, 100, 99], [80, 70], False, False),
        ([110, 100, 99], [80, 70], False, True),
        ([110, 100, 99], [80, 70], True, False),  # the later one was deleted, and the other one is shown
        ([100, 99], [50], False, False),  # it need not be shown yet
        ([100, 99], [120], False, True),  # it was sent before the doubt, and there is none of its time
        ([112, 99], [120], False, True),
        ([112, 111, 100], [120], False, True),
    ],
)
async def test_a_list_that_lacks_what_was_accepted_later_proves_nothing(
    tmp_path: Path, shown: list[int], ago: list[int], deleted: bool, behind: bool
) -> None:
    """It may stand still: it shows what is older than the doubt all the same."""
    now = time.time()
    known = [accepted(str(number), number, at=now - seconds) for number, seconds in enumerate(ago, 110)]
    said = await read(tmp_path, Service(shown, deleted=deleted), [doubtful(at=now - 100)], None, known)
    assert isinstance(said, Listing)
    assert said.is_behind is behind


@pytest.mark.parametrize(("ago", "behind"), [(120, False), (80, True)])
async def test_where_ids_say_nothing_only_what_was_sent_after_a_doubt_is_missed(
    tmp_path: Path, ago: int, behind: bool
) -> None:
    """Nobody knows how far down the list was read."""
    now = time.time()
    service = Service([100, 99], created_at=int(now - 10_000))
    said = await read(
        tmp_path, service, [doubtful(newest=None, at=now - 100)], None, [accepted("b", 110, at=now - ago)]
    )
    assert isinstance(said, Listing)
    assert said.is_behind is behind


async def test_what_is_older_than_all_that_was_read_is_not_missed(tmp_path: Path) -> None:
    now = time.time()
    known = [accepted("b", 90, at=now - 120)]
    said = await read(tmp_path, Service([101, 100]), [doubtful(at=now - 100)], None, known)
    assert isinstance(said, Listing)
    assert not said.is_behind
