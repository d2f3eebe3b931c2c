"""How a run hears of ends: opens what the job file's `tracking` asks for, and goes on without it where it must."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from orchestrator.clock import Clock
from orchestrator.config import Settings
from orchestrator.engines.listening import Listener
from orchestrator.ledger import Fact, Ledger
from orchestrator.logs import Log
from orchestrator.runs import EMULATOR
from orchestrator.sweep import Callback, Job
from orchestrator.wiro import CALLBACK, Socket

SECRET_BYTES: Final = 24


@asynccontextmanager
async def hearing(
    job: Job,
    settings: Settings,
    ledger: Ledger,
    *,
    clock: Clock,
    random: Callable[[], float],
    log: Log,
) -> AsyncIterator[Listener]:
    """Give what hears of the ends of a job's tasks; what cannot be had is said, and looks do without it."""
    listener = Listener(clock, random, log, insists=job.tracking == "socket")
    async with AsyncExitStack() as stack:
        if job.callback is not None:
            await _be_called(listener, job.callback, ledger, stack)
        elif job.tracking != "poll" and settings.socket_url is not None:
            socket = await stack.enter_async_context(Socket(settings.socket_url, proxy=settings.proxy))
            listener.listen = socket.listen
        elif job.tracking == "socket":
            log.warning("no socket is known for this service: set WIRO_SOCKET_URL. Tasks are looked at without it")
        yield listener


async def _be_called(listener: Listener, callback: Callback, ledger: Ledger, stack: AsyncExitStack) -> None:
    """Listen for callbacks for as long as the stack stands, and have the service told where."""
    from orchestrator.web.callbacks import Callbacks  # noqa: PLC0415 - a server takes long to import, and few need it

    receiver = Callbacks(callback.host, callback.port, await _secret(ledger), listener.called_back, listener.clock)
    try:
        await stack.enter_async_context(receiver)
    except OSError as error:
        listener.log.warning(
            "callbacks cannot be received, so tasks are polled without them: check callback_bind",
            address=f"{callback.host}:{callback.port}",
            why=error.strerror,
        )
        return
    emulated = await ledger.read(lambda store: store.fact(Fact.SERVICE)) == EMULATOR
    base_url = receiver.own_url if emulated else callback.url  # the emulator calls nobody but this machine
    listener.address = lambda task: {CALLBACK: receiver.address(base_url, task)}


async def _secret(ledger: Ledger) -> str:
    """Return the run's own, so that what an earlier process has sent is still called back."""
    secret = await ledger.read(lambda store: store.fact(Fact.CALLBACK_SECRET))
    if secret is None:
        secret = secrets.token_urlsafe(SECRET_BYTES)
        await ledger.state({Fact.CALLBACK_SECRET: secret}, durable=True)
    return secret
