"""Delete the service's copies of what is ours: owed from the moment that ours is recorded, over crashes too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.outcomes import Verdict, judge
from orchestrator.wiro import WiroError

OWED: Final = "delete "
"""What the names of facts begin with that hold the token of a task whose copies are to go; its id follows."""


@dataclass(frozen=True, slots=True)
class Clearing:
    """Deletes the outputs of tasks on the service."""

    calls: Calls
    ledger: Ledger

    async def owe(self, record: Record) -> None:
        """Write down that a task's copies are to go once it is done; nothing goes before."""
        if record.sent.token is not None:
            await self.ledger.state({OWED + record.task.id: record.sent.token})

    async def clear(self, record: Record) -> None:
        """Delete the copies of a task that is done; where that does not work now, a later run does it."""
        if record.sent.token is not None:
            await self._delete(record.task.id, record.sent.token)

    async def finish(self) -> None:
        """Delete what an earlier run owed; the service's silence ends it until the next run."""
        facts = await self.ledger.read(SqliteLedger.facts)
        for name, token in facts.items():
            identity = name.removeprefix(OWED)
            if identity != name and await self._is_done(identity) and not await self._delete(identity, token):
                return

    async def _is_done(self, identity: str) -> bool:
        return (await self.ledger.read(lambda store: store.states([identity]))).get(identity) is State.DONE

    async def _delete(self, identity: str, token: str) -> bool:
        """Delete, and return whether that is settled: it is too where the service never will, or knows no such task."""
        try:
            await self.calls.make(Urgency.ROUTINE, lambda client: client.delete_outputs(token))
        except (WiroError, TurnLostError) as error:
            if judge(error, paying=False).verdict not in {Verdict.GONE, Verdict.GIVE_UP}:
                return False
        await self.ledger.state({OWED + identity: None})
        return True
