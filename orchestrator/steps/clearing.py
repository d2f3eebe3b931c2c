"""Delete the service's copies of what is ours: owed from the moment that ours is recorded, over crashes too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.outcomes import Verdict, judge
from orchestrator.wiro import WiroError


@dataclass(slots=True)
class Clearing:
    """Deletes the outputs of tasks on the service.

    Attributes:
        handed_over: Waits until the manifest tells of all that is done, on the disk. Once the ledger is lost, nothing
            else tells of what has no copy on the service.
    """

    calls: Calls
    ledger: Ledger
    handed_over: Callable[[], Awaitable[None]]
    _owed: dict[str, str] = field(default_factory=dict)

    async def owe(self, record: Record) -> None:
        """Write down that a task's copies are to go once it is done; nothing goes before."""
        if record.sent.token is not None:
            self._owed[record.task.id] = record.sent.token
            await self.ledger.state({Fact.OWED + record.task.id: record.sent.token})

    async def clear(self, record: Record) -> None:
        """Delete the copies that are owed of a task that is done; where that does not work now, a later run does it."""
        token = self._owed.pop(record.task.id, None)
        if token is not None:
            await self.handed_over()
            await self._delete(record.task.id, token)

    async def finish(self) -> None:
        """Delete what an earlier run owed; the service's silence ends it until the next run."""
        facts = await self.ledger.read(SqliteLedger.facts)
        owed = {name.removeprefix(Fact.OWED): token for name, token in facts.items() if name.startswith(Fact.OWED)}
        if owed:
            await self.handed_over()
        for identity, token in owed.items():
            if await self._is_done(identity) and not await self._delete(identity, token):
                return

    async def _is_done(self, identity: str) -> bool:
        return (await self.ledger.read(lambda store: store.states([identity]))).get(identity) is State.DONE

    async def _delete(self, identity: str, token: str) -> bool:
        """Delete, and return whether that is settled: it is too where the service never will, or knows no such task."""
        while True:
            try:
                await self.calls.make(Urgency.ROUTINE, lambda client: client.delete_outputs(token))
                break
            except TurnLostError:
                continue  # others were more urgent
            except WiroError as error:
                if judge(error, paying=False).verdict in {Verdict.GONE, Verdict.GIVE_UP}:
                    break
                return False
        await self.ledger.state({Fact.OWED + identity: None})
        return True
