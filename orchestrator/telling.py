"""What people are told of a run, in words: what goes on, what would, how it stands, and how it has ended."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from orchestrator import money
from orchestrator.commands.carrying import Result
from orchestrator.commands.models import Model
from orchestrator.commands.plan import Plan
from orchestrator.commands.rebuilding import Recovery
from orchestrator.commands.verify import Verification
from orchestrator.ledger import Reason
from orchestrator.lifecycle import PAID_KINDS, State
from orchestrator.output.gallery import Place
from orchestrator.output.manifest import NAME as MANIFEST
from orchestrator.status import Status
from orchestrator.tasks import Task
from orchestrator.wording import duration, many

WIDTH: Final = 60
"""How much of a value a plan shows."""
COLUMNS: Final = 80
"""How wide a terminal is at least."""

_HIDDEN: Final = {
    sign: f"\\u{sign:04x}" for sign in (*range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Signs that command a terminal or turn letters around, as JSON can write them; it escapes all others itself."""

CONCERN: Final = 100
"""How much of a reason a line shows that goes on for as long as the run does."""


def waits(status: Status) -> list[str]:
    """Return what tasks wait for longer than they should, a line for each reason."""
    return [f"{wait.tasks:,} {'waits' if wait.tasks == 1 else 'wait'}: {wait.why}" for wait in status.waiting]


def line(status: Status, calls_per_second: float) -> str:
    """Return one line of what goes on, with what most tasks wait for at its end."""
    words = f"{status.ended}/{status.total}  {describe(status, calls_per_second)}"
    return " · ".join([words, *(_cut(why, CONCERN) for why in waits(status)[:1])])


def describe(status: Status, calls_per_second: float) -> str:
    """Return in a few words what goes on."""
    certain = {**status.counts, State.DONE: 0, State.SUBMITTING: status.counts[State.SUBMITTING] - status.in_doubt}
    words = [
        f"{number} {state}{_share_done(status) if state is State.RUNNING else ''}"
        for state, number in certain.items()
        if number
    ]
    words += _in_doubt(status)
    words.append(f"${money.shown(status.cost_usd)}")
    if status.state == "running":
        words.append(f"{calls_per_second:.1f} calls/s")
        if status.seconds_left is not None:
            words.append(f"{duration(status.seconds_left)} left")
    return " · ".join(words)


def _share_done(status: Status) -> str:
    """Return how far running tasks are, where they tell."""
    return "" if status.progress is None else f" ({status.progress:.0%})"


def _in_doubt(status: Status) -> list[str]:
    """Return what happens with requests that may have been accepted unseen, if there are any."""
    if not status.in_doubt:
        return []
    if status.state != "running":
        return [f"{status.in_doubt:,} in doubt: the next run looks for them in the service's list"]
    left = f" up to {duration(status.doubt_seconds_left)}" if status.doubt_seconds_left else ""
    return [f"{status.in_doubt:,} in doubt, looked for{left} in the service's list"]


def plan_text(plan: Plan, first: Sequence[Task] = ()) -> str:
    """Return a plan for people.

    Args:
        plan: The plan.
        first: Tasks to show: the first one with all it sends, each other one with what differs from the one before.
    """
    axes = ", ".join(f"{'+'.join(group)} {plan.axes[group[0]]:,}" for group in plan.groups) or "no axes"
    states = {"new": plan.new, "unfinished": plan.unfinished, "done": plan.done, "failed": plan.failed}
    counted = ", ".join(f"{number:,} {name}" for name, number in states.items() if number)
    about = "" if plan.exact else "about "
    cost = "unknown: the service states no price" if plan.cost_usd is None else f"{about}${money.shown(plan.cost_usd)}"
    limited = "" if plan.limit is None else f" for {many(plan.limit, 'task')} (--limit)"
    lines = [
        f"Job:    {plan.name} ({plan.model})",
        textwrap.fill(f"Axes:   {axes}", COLUMNS, subsequent_indent=" " * 8, break_on_hyphens=False),
        f"Tasks:  {plan.total:,}{f' ({counted})' if counted else ''}",
        f"Cost:   {cost}{limited}",
        f"Time:   {'unknown' if plan.seconds is None else f'about {duration(plan.seconds)}'}",
        f"Folder: {plan.folder}",
    ]
    if plan.dropped:
        lines.append(f"In the folder, but no longer in the job file: {many(plan.dropped, 'task')}.")
    if plan.failed:
        lines.append(f"`run` leaves failed tasks alone; `orchestrator retry {plan.folder}` tries them again.")
    shown: Mapping[str, object] = {}
    for task in first:
        new = {name: value for name, value in task.parameters.items() if shown.get(name, shown) != value}
        than = f", which differs from the task before{' in:' if new else ' in nothing that is sent'}" if shown else ""
        path = _cut(task.path, COLUMNS - len(f"Task {task.index}: {than}"))
        lines.append(f"Task {task.index}: {path}{than}")
        lines += [f"  {name}: {_short(value)}" for name, value in new.items()]
        shown = task.parameters
    return "\n".join([*lines, *(f"warning: {warning}" for warning in plan.warnings)]).translate(_HIDDEN)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return _cut(text, WIDTH)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def model_text(model: Model) -> str:
    """Return one model of the catalogue for people."""
    price = "price unknown" if model.price_usd is None else f"about ${model.price_usd} a task"
    seconds = "" if model.seconds is None else f", about {duration(model.seconds)}"
    return f"{model.name}  ({price}{seconds})\n    {model.title}: {model.description}"


def status_text(status: Status) -> str:
    """Return where a run stands for people."""
    lines = [f"{status.state}: {status.ended:,} of {status.total:,} tasks ended"]
    lines += [
        f"  {number:>9,} {state}{_share_done(status) if state is State.RUNNING else ''}"
        for state, number in status.counts.items()
        if number
    ]
    lines += [*waits(status), *_dropped(status), *_in_doubt(status), _paid(status), *_in_vain(status)]
    lines += _concerns(status)
    begun = status.total - status.counts[State.PENDING] - status.counts[State.SUBMITTING]
    if status.attempts > begun:
        lines.append(f"{many(status.attempts, 'attempt')} accepted by the service: some tasks were tried again")
    if status.seconds_left:
        lines.append(f"{duration(status.seconds_left)} left")
    if status.calls:
        lines.append("calls: " + ", ".join(f"{number:,} {name}" for name, number in status.calls.items()))
    return "\n".join(lines)


def _paid(status: Status) -> str:
    """Return what has become of the money, in words."""
    words = [f"${money.shown(status.cost_usd)} spent"]
    if status.reserved_usd:
        words.append(f"${money.shown(status.reserved_usd)} reserved")
    if status.saved_usd:
        words.append(f"${money.shown(status.saved_usd)} saved by finding tasks whose reply was lost")
    return ", ".join(words)


def _in_vain(status: Status) -> list[str]:
    """Return what was paid for and not made, if anything was."""
    if not status.paid_in_vain:
        return []
    paid = f"{many(status.paid_in_vain, 'task')}, ${money.shown(status.paid_in_vain_usd)}"
    return [f"Paid for, but failed or cancelled: {paid} ({MANIFEST} tells which)"]


def _concerns(status: Status) -> list[str]:
    """Return what does not keep tasks from ending, and is not as it was asked for."""
    lines = []
    if status.undeleted:
        lines.append(
            f"The service still has its copies of {many(status.undeleted, 'task')}:"
            " the next run with outputs.delete_remote deletes them."
        )
    if status.alone:
        lines.append(
            "Limits could not be shared with other runs that use the same key (run.log says why):"
            " do not start others meanwhile, or set ORCHESTRATOR_HOME to a folder that can be written."
        )
    return lines


def _dropped(status: Status) -> list[str]:
    """Return how many of the tasks the job file no longer holds, if there are any."""
    return [f"No longer in the job file: {many(status.dropped, 'task')} of these"] if status.dropped else []


def verification_text(found: Verification, folder: Path) -> str:
    """Return what a check of every file of a run folder has shown for people."""
    others = (f"{path} is another file than was recorded: the service has this one by now." for path in found.replaced)
    lines = [*found.problems, *others, f"{many(found.checked, 'file')} checked: {found.ok:,} ok"]
    for name in ("missing", "damaged", "repaired", "lost"):
        if number := getattr(found, name):
            lines[-1] += f", {number:,} {name}"
        if name == "repaired" and found.replaced:
            lines[-1] += f", {len(found.replaced):,} of them with other content than was recorded"
    if found.missing + found.damaged > found.repaired and not found.lost and found.halt is None:
        lines.append(
            f"`orchestrator verify {folder} --repair` fetches what is missing or damaged, without paying again."
        )
    if found.lost:
        lines.append(
            f"What is lost was paid for: `orchestrator retry {folder}` asks the service for it again without paying,"
            " with --pay-again it is made anew."
        )
    if found.halt is not None:
        lines.append(f"Stopped: {found.halt} Run the same command again to continue.")
    return "\n".join(lines)


def recovery_text(found: Recovery) -> str:
    """Return what a damaged run was made into for people."""
    kept = f"The damaged ledger is kept as {found.kept}." if found.kept else "There was no ledger left."
    lines = [
        kept,
        f"{many(found.read, 'task')} could be read from it, and {found.listed:,} were completed from the manifest.",
        f"{found.whole:,} done: their files are here, as they were recorded.",
    ]
    if found.again:
        lines.append(f"{found.again:,} done without their files, which were asked for again.")
    if found.unpriced:
        lines.append(
            f"{found.unpriced:,} done of which nobody knows any more what they have cost: their price stays reserved."
        )
    if found.in_doubt:
        lines.append(
            f"{found.in_doubt:,} whose requests may have been sent:"
            f" {found.adopted:,} found in the service's list and adopted."
        )
    if found.status is not None:
        lines.append(status_text(found.status))
    if found.halt is not None:
        lines.append(f"Stopped: {found.halt}")
    if found.status is None or found.status.ended < found.status.total:
        lines.append("`orchestrator run` with the job file continues the run; what is in doubt is settled first.")
    return "\n".join(lines)


def summary(result: Result, linked: Callable[[Path], str] = str) -> str:
    """Return what a user wants to know when a run has ended.

    Args:
        result: How it ended.
        linked: Gives the words for a file that is to be opened.
    """
    status = result.status
    lines = [f"warning: {warning}" for warning in result.warnings]
    done = status.counts[State.DONE]
    calls = ", ".join(f"{number} {name}" for name, number in status.calls.items())
    lines.append(f"{done:,} of {many(status.total, 'task')} done, {_paid(status)}, {duration(result.seconds)}.")
    lines += _dropped(status)
    lines += [f"{reason.tasks} failed{_kind(reason)}: {reason.failure.message}" for reason in result.failures]
    if others := status.counts[State.FAILED] - sum(reason.tasks for reason in result.failures):
        lines.append(f"{others} failed for other reasons; {result.folder / MANIFEST} tells each.")
    if status.counts[State.CANCELLED]:
        lines.append(f"{status.counts[State.CANCELLED]} cancelled.")
    if result.failures or status.counts[State.CANCELLED]:
        lines.append(f"`orchestrator retry {result.folder}` tries failed and cancelled tasks again.")
    lines += [*_in_vain(status), *_concerns(status)]
    if status.paid_in_vain or any(reason.failure.kind in PAID_KINDS for reason in result.failures):
        lines.append(
            "Where a task is paid for, only its files are fetched again; --pay-again makes it anew, and pays again."
        )
    if status.uncertain:
        lines.append(
            f"{many(status.uncertain, 'request')} in doubt: {status.adopted} found and adopted,"
            f" {status.resubmitted} not found, to be sent again."
        )
    if result.halt is not None and (status.ended < status.total or status.counts[State.CANCELLED]):
        lines.append(f"Stopped: {result.halt.message}")
    lines += [*_left(status), f"Calls:  {calls}", f"Folder: {result.folder}"]
    page = Place(result.folder).index
    lines += [f"Page:   {linked(page)} (open it in a browser)"] if page.is_file() else []
    return "\n".join(lines)


def _kind(reason: Reason) -> str:
    """Return in brackets what tells a failure from one that the model had and nobody paid for."""
    kind = "" if reason.failure.kind == "failed" else reason.failure.kind
    paid = "" if kind not in PAID_KINDS else "perhaps paid for" if kind == "lost" else "paid for"
    if reason.paid and paid != "paid for":
        paid = f"{reason.paid} of them paid for" if reason.paid < reason.tasks else "paid for"
    words = ", ".join(filter(None, (kind, paid)))
    return f" ({words})" if words else ""


def standing(status: Status) -> str:
    """Return where a run stands that an error has ended."""
    done = f"{status.counts[State.DONE]:,} of {many(status.total, 'task')} done, {_paid(status)}."
    return "\n".join([done, *_left(status)])


def _left(status: Status) -> list[str]:
    """Return what is left, and what becomes of that part of it which the service has."""
    left = status.total - status.ended
    if not left:
        return []
    sent = {
        "still running": status.counts[State.RUNNING],
        "made (to be fetched)": status.counts[State.FETCHING],
        "in doubt": status.counts[State.SUBMITTING],
    }
    words = ", ".join(f"{number:,} {what}" for what, number in sent.items() if number)
    there = f" On the service: {words}." if words else ""
    return [f"{many(left, 'task')} left; run the same command again to continue.{there}"]
