"""Submit a task: the intent is on the disk before the request leaves, the token right after the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from orchestrator.clock import Clock
from orchestrator.ledger import ClaimedError, Fact, Ledger
from orchestrator.lifecycle import Record, State
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.outcomes import Outcome, Verdict, judge
from orchestrator.tasks import Parameters
from orchestrator.wiro import Accepted, WiroError


@dataclass(slots=True)
class Frontier:
    """The newest remote task that we know of; a task accepted later has a larger id.

    Attributes:
        newest: None where the service's ids are no numbers, or none was ever seen.
        ordered: Whether ids tell which of two tasks is the newer one, as far as has been seen. It never becomes true
            again: the fact `Fact.UNORDERED` in the ledger keeps it for later runs.
    """

    newest: int | None = None
    ordered: bool = True

    def saw(self, remote_number: int | None) -> None:
        """A remote task was seen."""
        if remote_number is not None and self.ordered:
            self.newest = remote_number if self.newest is None else max(self.newest, remote_number)

    def distrust(self) -> None:
        """A request was accepted and got an id that is no larger than one that was there before."""
        self.newest, self.ordered = None, False


def has_grown(remote_number: int | None, newest_known: int | None) -> bool:
    """Return whether the id of what was accepted may be the service's next one after what was there before."""
    return remote_number is None or newest_known is None or remote_number > newest_known


async def submit(
    record: Record,
    *,
    model: str,
    parameters: Parameters,
    reserve_usd: Decimal,
    last: bool,
    wanted: Callable[[], bool],
    frontier: Frontier,
    calls: Calls,
    ledger: Ledger,
    clock: Clock,
) -> tuple[Record, Outcome | None]:
    """Send a pending task to the service, once.

    Args:
        record: The task.
        model: `owner/model`.
        parameters: The task's, as they are sent.
        reserve_usd: What the budget keeps aside for it.
        last: Whether it fails for good where the service has a fault.
        wanted: Asked when its turn has come, whether it is still to be sent.
        frontier: The newest remote task known.
        calls: The service.
        ledger: Where it is written down before and after.
        clock: Gives the time.

    Returns:
        The record as it now stands in the ledger, and what stood in the way, if anything did: running
        without an outcome, pending or failed with one, or submitting and uncertain.

    Raises:
        LedgerError: It could not be written down; nothing was sent if the intent could not.
    """
    intended = record

    async def intend() -> None:
        nonlocal intended
        if not wanted():
            raise TurnLostError
        after = record.intended(clock.now(), reserve_usd, frontier.newest)
        intended = after  # also for one who is cancelled meanwhile: it is written all the same
        try:
            await ledger.save(record, after, durable=True)
        except Exception:
            intended = record
            raise

    try:
        accepted = await calls.make(Urgency.SUBMIT, lambda client: client.run(model, parameters), first=intend)
    except (WiroError, TurnLostError) as error:
        outcome = judge(error, paying=True)
        if intended.state is State.PENDING:
            return record, outcome
        hopeless = outcome.verdict is Verdict.GIVE_UP or (last and outcome.verdict is Verdict.AGAIN and outcome.sent)
        return await _not_accepted(intended, outcome, ledger, clock, hopeless=hopeless), outcome
    except BaseException:
        if intended.state is State.SUBMITTING:  # cancelled while the request was out
            await ledger.save(intended, intended.given_up(clock.now()), durable=True)
        raise
    return await _accepted(intended, accepted, frontier, ledger, clock)


async def _accepted(
    intended: Record, reply: Accepted, frontier: Frontier, ledger: Ledger, clock: Clock
) -> tuple[Record, Outcome | None]:
    frontier.saw(reply.number)
    running = intended.accepted(reply.task_id, reply.token, clock.now())
    grown = has_grown(reply.number, intended.sent.newest_known)
    try:
        await ledger.save(intended, running, durable=True, facts=None if grown else {Fact.UNORDERED: "1"})
    except ClaimedError:  # the service named a task that is another one's: no proof that it has ours
        uncertain = intended.given_up(clock.now())
        await ledger.save(intended, uncertain, durable=True)
        return uncertain, Outcome(Verdict.SETTLE, "The service gave the id of an earlier task.")
    if not grown:
        frontier.distrust()
    return running, None


async def _not_accepted(intended: Record, outcome: Outcome, ledger: Ledger, clock: Clock, *, hopeless: bool) -> Record:
    if outcome.verdict is Verdict.SETTLE:
        after = intended.given_up(clock.now())
    elif hopeless:
        after = intended.rejected(outcome.failure, clock.now())
    else:
        after = intended.not_accepted()
    await ledger.save(intended, after, durable=outcome.verdict is Verdict.SETTLE)
    return after
