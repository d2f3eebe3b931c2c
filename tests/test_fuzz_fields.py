"""One field of a reply is odd: what may be paid for is never taken for free, and sent again, for its sake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator.lifecycle import Attempt, Record, State
from orchestrator.money import FREE
from orchestrator.steps.matching import Intent, match, spelt
from orchestrator.steps.track import concluded
from orchestrator.tasks import Task
from orchestrator.wiro import wire
from orchestrator.wiro.errors import Acceptance, failure

RECORDINGS: Final = Path(__file__).parent / "recordings"
NOW: Final = 1_734_513_900.0
MODEL: Final = "Hevok/Studio-Trigger"
RUNNING: Final = Record(Task("a", 0, {}, {}, {}, "x")).intended(1.0, FREE, None).accepted("2221", "token", 2.0)
ABSENT: Final = "(absent)"

ODD: Final[tuple[Any, ...]] = (
    *(
        ABSENT,
        None,
        "",
        " ",
        "\0",
        "\x1b[31m",
        "é\u2028",
        [],
        {},
        [[]],
        [None],
        ["x"],
        {"a": None},
        {"0": {"url": "x"}},
    ),
    *(True, False, "true", "false", "ok", "none", "null", "NaN", "[]", "{}", "abc", "-", "0,0035", "$0.0035", "0x1"),
    *(0, "0", "00", "0.0", "-0", 1, "1", " 1 ", "+1", -1, "-1", 137, 1.5, "1e999", 2**63, 10**30, 1e300, "9" * 500),
    *("task_postprocess_end", "Task_Postprocess_End", " TASK_END ", "task_cancel", "task_error", "task_error_full"),
)
PAID: Final = (
    *("task_detail_done", "task_detail_language_model", "task_detail_older_form", "task_detail_parameters_as_text"),
)


def entry(name: str) -> dict[str, Any]:
    listed: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())["tasklist"][0]
    return listed


def spoilt(reply: dict[str, Any], *more: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Give a reply with each odd value in the place of each of its fields, and of those that it lacks."""
    for name in dict.fromkeys((*reply, *more)):
        for value in ODD:
            other = {key: held for key, held in reply.items() if key != name}
            yield name, value, other if value is ABSENT else other | {name: value}


def is_sent_again(reply: dict[str, Any]) -> bool:
    page = wire.read_page(wire.parse(json.dumps({"tasklist": [reply]}).encode()))
    assert page is not None
    return concluded(RUNNING, page.tasks[0], attempts=3, now=NOW).state is State.PENDING


def says_plainly(name: str, value: object) -> bool:
    """Whether a value is the service's own word for a failure."""
    if name == "status":
        return wire.read_status(value) == "task_error"
    return name == "pexit" and wire.whole(value) not in {0, None}


@pytest.mark.parametrize("name", PAID)
def test_one_that_was_made_is_never_sent_again(name: str) -> None:
    found = list(spoilt(entry(name), "pexit", "totalcost"))
    assert [(field, value) for field, value, reply in found if is_sent_again(reply)] == []


@pytest.mark.parametrize("name", [*PAID, "task_detail_running"])
def test_one_whose_outputs_are_yet_to_come_is_sent_again_only_where_it_plainly_failed(name: str) -> None:
    found = list(spoilt(entry(name) | {"outputs": []}, "pexit", "totalcost"))
    again = [(field, value) for field, value, reply in found if is_sent_again(reply)]
    assert [(field, value) for field, value in again if not says_plainly(field, value)] == []


@pytest.mark.parametrize("name", ["task_detail_failed", "task_detail_ended_before_it_ran"])
def test_a_failure_that_was_billed_is_never_sent_again(name: str) -> None:
    billed = entry(name) | {"totalcost": "0.014"}
    again = [(field, value) for field, value, reply in spoilt(billed) if is_sent_again(reply)]
    assert [(field, value) for field, value in again if field != "totalcost" or wire.money(value)] == []
    unread = [value for _, value in again if wire.money(value) is None]
    assert unread == [ABSENT, None, ""]  # the API page: failures are not billed, and older replies say no cost


@pytest.mark.parametrize("name", ["run_accepted", "run_accepted_under_data"])
def test_a_request_that_was_accepted_is_never_taken_for_refused(name: str) -> None:
    accepted = json.loads((RECORDINGS / f"{name}.json").read_text())
    for field, value, reply in spoilt(accepted, "data", "taskid", "code", "message"):
        error = failure("/Run", 200, reply, retry_after=None, now=NOW, hide=str)
        assert error is None or error.accepted is Acceptance.UNCERTAIN, (field, value)


@pytest.mark.parametrize("newest_known", [534_570, None])
@pytest.mark.parametrize("name", ["task_detail_running", "task_detail_done"])
def test_one_that_is_listed_is_never_taken_for_absent(name: str, newest_known: int | None) -> None:
    """Another model's name, other parameters or an id of long ago are another task; all else is a doubt at least."""
    shown = entry(name) | {"createtime": str(int(NOW))}
    sent = Intent("a", spelt(shown["parameters"]), Attempt(1, NOW, FREE, newest_known), due=True)
    for field, value, reply in spoilt(shown):
        page = wire.read_page(wire.parse(json.dumps({"tasklist": [reply]}).encode()))
        assert page is not None
        [task] = page.tasks
        if not task.task_id or (task.number is not None and field == "id") or task.model not in {None, MODEL}:
            continue  # no list that can be read, or plainly another task
        assert match([sent], [task], MODEL, {}).absent == frozenset(), (field, value)
