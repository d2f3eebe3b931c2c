"""Everything that a run works with, opened together and closed in the right order."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import anyio

from orchestrator.clock import Clock
from orchestrator.commands.calling import Line
from orchestrator.commands.hearing import hearing
from orchestrator.commands.learning import forecasting
from orchestrator.commands.sharing import among_others
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.engines.listening import Listener
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.experience import Experience
from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import ACTIVE
from orchestrator.logs import Log
from orchestrator.output import witness
from orchestrator.output.gallery import PageKeeper
from orchestrator.output.keeper import ManifestKeeper
from orchestrator.output.manifest import moment
from orchestrator.runs import RunFolder
from orchestrator.steps.clearing import Clearing
from orchestrator.steps.elsewhere import Others
from orchestrator.sweep import Job, Limits
from orchestrator.threads import Hop, crew, in_thread
from orchestrator.wiro import computing_seconds
from orchestrator.wiro.addresses import AddressPolicy
from orchestrator.wiro.files import Files

DISK_THREADS: Final = 4
"""How many outputs are written to the disk at a time."""


@contextmanager
def working_ledger(folder: RunFolder) -> Iterator[SqliteLedger]:
    """Open a run folder's ledger to work with it, looked through before and marked as being written meanwhile.

    Raises:
        NotALedgerError: It is damaged, of a later version, or an older copy.
        LedgerError: It cannot be opened.
    """
    with folder.written() as store:
        store.check()
        witness.hear(folder.manifest, store, folder.path)
        with store.at_work():
            yield store


@dataclass(frozen=True, slots=True)
class Commission:
    """What is to be made.

    Attributes:
        limits: The job's, with this invocation's in their place.
        tool: The model's catalogue entry.
        edition: How often the job has changed, from 1.
    """

    job: Job
    limits: Limits
    tool: Mapping[str, Any]
    edition: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The world that a run meets; whoever wants to know all that happens in it hands in the last four as well.

    Attributes:
        random: Gives numbers from 0 to 1.
        hop: Where blocking work is done; None for threads.
        files: Where outputs come from; None for the service's hosts.
        forecast: When to look next; None for what runs before have taught.
    """

    line: Line
    control: Control
    clock: Clock
    log: Log
    random: Callable[[], float] = random.random
    hop: Hop | None = None
    files: Files | None = None
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a run works with.

    Attributes:
        facts: What the ledger said of the run when it was opened.
        hop: Where outputs are written to the disk.
    """

    folder: RunFolder
    commission: Commission
    around: Surroundings
    ledger: Ledger
    keeper: ManifestKeeper
    page: PageKeeper
    files: Files
    facts: Mapping[str, str]
    hop: Hop
    slots: Slots
    others: Others
    forecast: Forecast
    listener: Listener

    @property
    def started_at(self) -> str | None:
        """When the run began: ISO 8601, UTC."""
        started = self.facts.get(Fact.STARTED_AT)
        return None if started is None else moment(float(started))

    @property
    def clearing(self) -> Clearing | None:
        """What deletes the service's copies, where the job wants that."""
        if not self.commission.job.outputs.delete_remote:
            return None
        return Clearing(self.around.line.calls, self.ledger, self.keeper.synced)


@asynccontextmanager
async def opened(
    folder: RunFolder, store: SqliteLedger, commission: Commission, around: Surroundings
) -> AsyncIterator[Workshop]:
    """Open everything; at the end the manifest is in order and the ledger written to its last word."""
    job, settings, clock, log = commission.job, around.line.settings, around.clock, around.log
    facts, threads = store.facts(), around.hop or in_thread
    most = None if commission.limits.concurrency == "auto" else commission.limits.concurrency
    policy = AddressPolicy(settings.on_loopback, settings.download_hosts)
    async with (
        crew(1, around.hop) as commits,
        crew(DISK_THREADS, around.hop) as disk,
        anyio.create_task_group() as writing,
    ):
        totals = await commits(store.totals)
        slots = Slots(Capacity(most), clock, active=sum(totals.counts[state] for state in ACTIVE))
        ledger = Ledger(store, clock, commits, totals=totals)
        keeper = ManifestKeeper(folder.manifest, job.model, ledger, clock, threads)
        page = PageKeeper(folder, ledger, clock, log, threads)
        around.line.tally.open(ledger)
        around.line.calls.log = log
        writing.start_soon(ledger.run)
        try:
            async with (
                among_others(
                    folder, ledger, job.model, slots, settings=settings, clock=clock, log=log, hop=threads
                ) as others,
                anyio.create_task_group() as keeping,
                around.files or Files(policy, proxy=settings.proxy) as files,
                _looks(commission, around, facts) as looks,
                hearing(job, settings, ledger, clock=clock, random=around.random, log=log) as hears,
            ):
                keeping.start_soon(keeper.run)
                keeping.start_soon(page.run)
                yield Workshop(
                    folder, commission, around, ledger, keeper, page, files, facts, disk, slots, others, looks, hears
                )
                keeper.close()
                page.close(hurried=around.control.left)
            await page.seal()
        finally:
            ledger.close()


def _looks(
    commission: Commission, around: Surroundings, facts: Mapping[str, str]
) -> AbstractAsyncContextManager[Forecast]:
    """Return what says when to look next: what is handed in, else what earlier runs of the model have taught."""
    if around.forecast is not None:
        return nullcontext(around.forecast)
    experience = Experience(around.line.settings.state, facts.get(Fact.SERVICE, ""), commission.job.model)
    return forecasting(experience, computing_seconds(commission.tool), around.clock, around.hop or in_thread)
