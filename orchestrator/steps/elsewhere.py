"""What other runs of the same account on this machine have, and what they do not know of themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from orchestrator.lifecycle import Attempt
from orchestrator.tasks import Parameters


@dataclass(frozen=True, slots=True)
class Foreign:
    """A request of another run that may have been accepted.

    Attributes:
        task: Its task's id, with its run in front.
        parameters: As they were sent.
        attempt: The request; with `gave_up_at` set where nobody waits for the reply.
    """

    task: str
    parameters: Parameters
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the other runs say.

    Attributes:
        claimed: Those of the remote ids asked for that are theirs.
        open: Their requests that may have been accepted.
        unread: Run folders that might say more and cannot be read.
    """

    claimed: Collection[str] = frozenset()
    open: Sequence[Foreign] = ()
    unread: Sequence[str] = ()


class Others(Protocol):
    """The other runs of the same account on this machine."""

    def consulted(self, remote_ids: Collection[str], since: float) -> AbstractAsyncContextManager[Elsewhere | None]:
        """Ask them; none of them adopts anything while the block runs.

        Args:
            remote_ids: Remote tasks that may be theirs.
            since: Only runs that were at work at this moment or later matter, unix seconds.

        Returns:
            None where another run is deciding and does not come to an end.
        """


class Alone:
    """There are no other runs: the service is emulated, or this is the only machine's only run."""

    @asynccontextmanager
    async def consulted(self, remote_ids: Collection[str], since: float) -> AsyncIterator[Elsewhere]:  # noqa: ARG002 - nobody to ask
        """See `Others.consulted`."""
        yield Elsewhere()
