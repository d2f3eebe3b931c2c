"""Tasks that an emulated service has made, and what fetches their outputs."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from orchestrator.clock import SystemClock
from orchestrator.emulator import Emulator, Profile, Task as Made
from orchestrator.emulator.faults import Fault
from orchestrator.engines.pacing import Pacer
from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import Ending, Record
from orchestrator.money import FREE
from orchestrator.steps import fetch
from orchestrator.steps.calls import Calls, Urgency
from orchestrator.steps.clearing import Clearing
from orchestrator.steps.fetch import Fetcher
from orchestrator.tasks import Parameters, Task
from orchestrator.wiro import Client, Credentials, Prices, RemoteTask, seed_model
from orchestrator.wiro.addresses import AddressPolicy
from orchestrator.wiro.files import Files

PROFILE = Profile(plain_bytes=300, queue_seconds=(0, 0), run_seconds_median=0)
PRICES = Prices(seed_model())
ENDING = Ending("task_postprocess_end", 0, Decimal("0.007"), 1.0, 1_800_000_000.0)


def price_usd(parameters: Parameters) -> Decimal | None:
    price = PRICES.of(parameters)
    return None if price is None else price.usd


@dataclass
class Rig:
    folder: Path
    service: Emulator
    ledger: Ledger
    fetcher: Fetcher

    async def made(self, path: str = "dusk/boat", model: str = "Hevok/Studio-Trigger", **parameters: Any) -> Record:
        """A task that the service has made, and that is to be fetched."""
        task = Task(f"task-{len(self.service.stats.accepted)}-long-id", 0, parameters, {}, {}, path)
        accepted = await self.fetcher.calls.make(
            Urgency.SUBMIT, lambda client: client.run(model, {"prompt": "a boat"} | parameters)
        )
        moves = [record := Record(task)]
        moves.append(record := record.intended(1.0, FREE, None))
        moves.append(record := record.accepted(accepted.task_id, accepted.token, 2.0))
        moves.append(record := record.succeeded(ENDING))
        await self.ledger.enter([task], 1, len(self.service.stats.accepted))
        for before, after in pairwise(moves):
            await self.ledger.save(before, after, durable=False)
        return record

    async def shown(self, record: Record) -> RemoteTask:
        return await self.fetcher.calls.make(Urgency.ROUTINE, lambda client: client.task(token=record.sent.token))

    async def fetch(self, record: Record, remote: RemoteTask | None) -> Record:
        """Fetch its outputs, as old as the record says that it is, and let go of the service's copies."""
        age = fetch.age_by_wall_clock(record, self.fetcher.clock.now())
        fetched = await self.fetcher.fetch(record, remote, age)
        if self.fetcher.clearing is not None:
            await self.fetcher.clearing.clear(fetched)
        return fetched

    async def owed(self) -> list[str]:
        """The tasks whose copies are still to be deleted."""
        facts = await self.ledger.read(SqliteLedger.facts)
        return [name.removeprefix(Fact.OWED) for name in facts if name.startswith(Fact.OWED)]

    @property
    def remote(self) -> Made:
        """The newest task as the service keeps it."""
        return self.service.stats.accepted[-1]

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.folder.rglob("*") if path.is_file() and "files" in path.parts)
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}


async def handed_over() -> None:
    """The manifest tells of all that is done: here nobody reads it."""


@asynccontextmanager
async def rigged(
    folder: Path, *faults: Fault, loopback: bool = True, delete_remote: bool = False
) -> AsyncIterator[Rig]:
    clock = SystemClock()
    pacer = Pacer(1000, clock)
    store = await anyio.to_thread.run_sync(SqliteLedger, folder / "ledger.sqlite")
    ledger = await anyio.to_thread.run_sync(Ledger, store, clock)
    credentials = Credentials(PROFILE.api_key, PROFILE.api_secret)
    async with Emulator(replace(PROFILE, faults=faults)) as service, anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        try:
            async with (
                Client(credentials, service.base_url, before_send=pacer.gate) as client,
                Files(AddressPolicy(loopback, frozenset())) as files,
            ):
                calls = Calls(client, pacer, clock)
                clearing = Clearing(calls, ledger, handed_over) if delete_remote else None
                files_folder = folder / "files"
                fetcher = Fetcher(
                    folder, files_folder, clearing, PRICES.ordered, price_usd, files, calls, ledger, clock
                )
                yield Rig(folder, service, ledger, fetcher)
        finally:
            ledger.close()
    await anyio.to_thread.run_sync(store.close)


async def refetched(rig: Rig, record: Record) -> Record:
    again = record.refetched()
    await rig.ledger.save(record, again, durable=False)
    return await rig.fetch(again, None)


GROWS = Fault(place="task", kind="grows", seconds=math.inf)


def young(record: Record) -> Record:
    """The same, ended a moment ago."""
    return replace(record, attempt=replace(record.sent, ended_at=SystemClock().now() - 1))
