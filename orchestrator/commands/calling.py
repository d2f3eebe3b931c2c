"""The service, as a command calls it: the real one or one that is emulated, paced and counted."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.clock import Clock
from orchestrator.commands.prepare import credentials
from orchestrator.commands.sharing import sharing_calls
from orchestrator.config import Settings
from orchestrator.engines.pacing import Pacer
from orchestrator.errors import RefusedError
from orchestrator.ledger import Ledger
from orchestrator.runs import RunFolder
from orchestrator.schemas import Schemas
from orchestrator.status import CALLS
from orchestrator.steps.calls import Calls
from orchestrator.wiro import Client

if TYPE_CHECKING:
    from orchestrator.emulator import Profile


class Tally:
    """Counts the requests that are written: in the ledger, and before it is open for it."""

    def __init__(self) -> None:
        self._early: Counter[str] = Counter()
        self._ledger: Ledger | None = None

    def count(self, endpoint: str) -> None:
        """A request is written to an endpoint, named as in `/Task/Detail`."""
        name = f"{CALLS}{endpoint.removeprefix('/')}"
        if self._ledger is None:
            self._early[name] += 1
        else:
            self._ledger.count(name)

    def open(self, ledger: Ledger) -> None:
        """Count in a ledger from now on, what was counted before included."""
        self._ledger = ledger
        for name, number in self._early.items():
            ledger.count(name, number)


@dataclass(frozen=True, slots=True)
class Line:
    """A line to the service.

    Attributes:
        settings: Whom to call, and as whom; those of the emulator where that is called.
        calls: Calls it, at its pace.
        tally: Counts the calls.
    """

    settings: Settings
    calls: Calls
    tally: Tally

    @property
    def schemas(self) -> Schemas:
        """What it has said of its models before."""
        return Schemas(self.settings.cache, self.settings.base_url)


@asynccontextmanager
async def reached(
    settings: Settings,
    calls_per_second: float,
    clock: Clock,
    *,
    emulate: bool,
    profile: Profile | None = None,
    folder: RunFolder | None = None,
) -> AsyncIterator[Line]:
    """Give a line to the service, paced and counted where its requests are written.

    Args:
        settings: Whom to call, and as whom, where it is not emulated.
        calls_per_second: The limit, shared with all who use the same key.
        clock: Time.
        emulate: Whether it is emulated.
        profile: How it behaves then; None for the quickstart's way.
        folder: The run folder that calls are made for, where the emulator keeps its state; None for others.

    Raises:
        RefusedError: There are no credentials, or the emulator's state cannot be used.
    """
    async with AsyncExitStack() as stack:
        if emulate:
            state = None if folder is None else folder.emulator
            settings = await stack.enter_async_context(_emulated(settings, profile, state))
        holder = secrets.token_hex(8) if folder is None else str(folder.path.absolute())
        pacer, tally = Pacer(calls_per_second, clock), Tally()
        client = Client(
            credentials(settings),
            settings.base_url,
            before_send=pacer.gate,
            on_send=tally.count,
            now=clock.now,
            proxy=settings.proxy,
        )
        async with client, sharing_calls(pacer, calls_per_second, holder, settings, clock=clock):
            yield Line(settings, Calls(client, pacer, clock), tally)


@asynccontextmanager
async def _emulated(settings: Settings, profile: Profile | None, state: Path | None) -> AsyncIterator[Settings]:
    """Give the settings of an emulator that runs meanwhile, and keeps its state in a folder, None for nowhere.

    Raises:
        RefusedError: Its state cannot be used.
    """
    from orchestrator import emulator as emulated  # noqa: PLC0415 - drawing takes long to import, and few need it

    behaviour = profile or emulated.Profile()
    async with AsyncExitStack() as stack:
        try:
            emulator = await stack.enter_async_context(emulated.Emulator(behaviour, state_dir=state))
        except (ValueError, FileExistsError, NotADirectoryError) as error:
            raise RefusedError(f"The emulator's state in {state} cannot be used: {error}") from error
        yield replace(
            settings,
            api_key=behaviour.api_key,
            api_secret=behaviour.api_secret,
            base_url=emulator.base_url,
            socket_url=emulator.socket_url,
            proxy=None,
            cache=None,
            state=None,
        )
