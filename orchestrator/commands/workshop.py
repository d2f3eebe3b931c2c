"""Everything that a run works with, opened together and closed in the right order."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import anyio
from structlog.typing import FilteringBoundLogger

from orchestrator.clock import Clock
from orchestrator.commands.calling import Tally
from orchestrator.commands.hearing import hearing
from orchestrator.commands.learning import forecasting
from orchestrator.commands.pricing import fixed_prices, reserves
from orchestrator.commands.sharing import among_others
from orchestrator.config import Settings
from orchestrator.engines.budget import Budget
from orchestrator.engines.control import Control
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.downloading import Downloads
from orchestrator.engines.feed import Feed
from orchestrator.engines.forecast import Forecast
from orchestrator.engines.listening import Listener
from orchestrator.engines.local import LocalEngine, Orders
from orchestrator.engines.rounds import Rounds
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.submitting import Submitter
from orchestrator.engines.tracking import Tracker
from orchestrator.experience import Experience
from orchestrator.facts import UNPROVEN
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import ACTIVE, Record
from orchestrator.output.gallery import PageKeeper
from orchestrator.output.keeper import ManifestKeeper
from orchestrator.output.manifest import moment
from orchestrator.runs import RunFolder
from orchestrator.steps.calls import Calls
from orchestrator.steps.clearing import Clearing
from orchestrator.steps.elsewhere import Others
from orchestrator.steps.fetch import Fetcher
from orchestrator.steps.matching import spelt
from orchestrator.steps.settle import Settler
from orchestrator.steps.submit import Frontier
from orchestrator.steps.upload import Uploader, known_urls, lost_urls
from orchestrator.sweep import Job, Limits, Schema
from orchestrator.threads import Hop, crew, in_thread
from orchestrator.wiro import Prices, computing_seconds
from orchestrator.wiro.addresses import AddressPolicy
from orchestrator.wiro.files import Files

DISK_THREADS: Final = 4
"""How many outputs are written to the disk at a time."""


@contextmanager
def kept(folder: RunFolder) -> Iterator[SqliteLedger]:
    """Open a run folder's ledger to work with it, looked through before and marked as being written meanwhile.

    Raises:
        NotALedgerError: It is damaged, or of a later version.
        LedgerError: It cannot be opened.
    """
    with folder.written() as store:
        store.check()
        with store.at_work():
            yield store


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a run works with.

    Attributes:
        tool: The model's catalogue entry.
        edition: How often the job has changed, from 1.
        facts: What the ledger said of the run when it was opened.
        hop: Where outputs are written to the disk.
    """

    folder: RunFolder
    job: Job
    limits: Limits
    tool: Mapping[str, Any]
    edition: int
    ledger: Ledger
    keeper: ManifestKeeper
    page: PageKeeper
    calls: Calls
    files: Files
    control: Control
    clock: Clock
    log: FilteringBoundLogger
    random: Callable[[], float]
    facts: Mapping[str, str]
    hop: Hop
    slots: Slots
    others: Others
    forecast: Forecast
    listener: Listener

    @property
    def started_at(self) -> str | None:
        """When the run began: ISO 8601, UTC."""
        started = self.facts.get("started_at")
        return None if started is None else moment(float(started))

    @property
    def clearing(self) -> Clearing | None:
        """What deletes the service's copies, where the job wants that."""
        return Clearing(self.calls, self.ledger) if self.job.outputs.delete_remote else None

    def engine(self, orders: Orders, entered: int, frontier: Frontier) -> LocalEngine:
        """Build the engine.

        Args:
            orders: What this invocation is about.
            entered: How many tasks of the edition the ledger holds.
            frontier: The newest remote task known.
        """

        def finished(record: Record) -> None:
            self.keeper.finished(record)
            self.page.finished(record)

        uploader = Uploader(
            self.job.files, known_urls(self.facts), self.calls, self.ledger, lost_urls(self.facts), self.log
        )
        doubts = self._doubts(uploader, frontier, insists=orders.insists)
        return LocalEngine(
            orders=orders,
            feed=Feed(self.job.tasks, entered, self.edition, self.ledger),
            submitter=self._submitter(uploader, doubts, frontier),
            tracker=self._tracker(),
            doubts=doubts,
            fetching=self._fetcher().fetch,
            downloads=Downloads(lambda: self.files.arrived_bytes, self.clock),
            slots=self.slots,
            control=self.control,
            clock=self.clock,
            random=self.random,
            log=self.log,
            finished=finished,
        )

    def _doubts(self, uploader: Uploader, frontier: Frontier, *, insists: bool) -> Doubts:
        parameters = Schema.from_tool(self.tool).parameters
        settler = Settler(
            sent=uploader.sent,
            model=self.job.model,
            defaults=spelt({name: parameter.default for name, parameter in parameters.items()}),
            settle_after_seconds=self.limits.settle_after_seconds,
            calls=self.calls,
            ledger=self.ledger,
            clock=self.clock,
            others=self.others,
            insists=insists,
        )
        return Doubts(
            settler,
            frontier=frontier,
            control=self.control,
            ledger=self.ledger,
            clock=self.clock,
            random=self.random,
            log=self.log,
            unproven_until=float(self.facts.get(UNPROVEN, -math.inf)),
        )

    def _submitter(self, uploader: Uploader, doubts: Doubts, frontier: Frontier) -> Submitter:
        return Submitter(
            model=self.job.model,
            reserve_usd=reserves(self.tool, self.limits),
            budget=Budget(self.limits.budget_usd),
            slots=self.slots,
            doubts=doubts,
            uploader=uploader,
            sent_along=self.listener.sent_along,
            frontier=frontier,
            control=self.control,
            calls=self.calls,
            ledger=self.ledger,
            clock=self.clock,
            random=self.random,
        )

    def _tracker(self) -> Tracker:
        return Tracker(
            attempts=self.job.retry.attempts,
            timeout_seconds=self.limits.task_timeout_seconds,
            price_usd=fixed_prices(Prices(self.tool), self.limits),
            slots=self.slots,
            forecast=self.forecast,
            listener=self.listener,
            rounds=Rounds(self.limits.requests_per_second, self.calls, self.clock, self.random),
            control=self.control,
            calls=self.calls,
            ledger=self.ledger,
            clock=self.clock,
            random=self.random,
            log=self.log,
        )

    def _fetcher(self) -> Fetcher:
        prices = Prices(self.tool)
        return Fetcher(
            run_folder=self.folder.path,
            outputs_folder=self.folder.files,
            clearing=self.clearing,
            ordered=prices.ordered,
            price_usd=fixed_prices(prices, self.limits),
            files=self.files,
            calls=self.calls,
            ledger=self.ledger,
            clock=self.clock,
            hop=self.hop,
        )


@asynccontextmanager
async def opened(
    folder: RunFolder,
    store: SqliteLedger,
    *,
    job: Job,
    limits: Limits,
    tool: Mapping[str, Any],
    edition: int,
    settings: Settings,
    calls: Calls,
    tally: Tally,
    control: Control,
    clock: Clock,
    log: FilteringBoundLogger,
    random: Callable[[], float] = random.random,
    hop: Hop | None = None,
    files: Files | None = None,
    forecast: Forecast | None = None,
) -> AsyncIterator[Workshop]:
    """Open everything; at the end the manifest is in order and the ledger written to its last word.

    Whoever wants to know all that happens hands in where chance, blocking work, files and looks come from.
    """
    facts = store.facts()
    experience = Experience(settings.state, facts.get("service", ""), job.model)
    policy = AddressPolicy(settings.on_loopback, settings.download_hosts)
    most = None if limits.concurrency == "auto" else limits.concurrency
    threads = hop or in_thread
    stated_seconds = computing_seconds(tool)
    learning = nullcontext(forecast) if forecast else forecasting(experience, stated_seconds, clock, threads)
    async with crew(1, hop) as commits, crew(DISK_THREADS, hop) as disk, anyio.create_task_group() as writing:
        totals = await commits(store.totals)
        slots = Slots(Capacity(most), clock, active=sum(totals.counts[state] for state in ACTIVE))
        ledger = Ledger(store, clock, commits, totals=totals)
        keeper = ManifestKeeper(folder.manifest, job.model, ledger, clock, threads)
        page = PageKeeper(folder, ledger, clock, log, threads)
        tally.open(ledger)
        calls.log = log
        writing.start_soon(ledger.run)
        try:
            async with (
                among_others(
                    folder, ledger, job.model, slots, settings=settings, clock=clock, log=log, hop=threads
                ) as others,
                anyio.create_task_group() as keeping,
                files or Files(policy, proxy=settings.proxy) as open_files,
                learning as looks,
                hearing(job, settings, ledger, clock=clock, random=random, log=log) as listener,
            ):
                keeping.start_soon(keeper.run)
                keeping.start_soon(page.run)
                yield Workshop(
                    folder=folder,
                    job=job,
                    limits=limits,
                    tool=tool,
                    edition=edition,
                    ledger=ledger,
                    keeper=keeper,
                    page=page,
                    calls=calls,
                    files=open_files,
                    control=control,
                    clock=clock,
                    log=log,
                    random=random,
                    facts=facts,
                    hop=disk,
                    slots=slots,
                    others=others,
                    forecast=looks,
                    listener=listener,
                )
                keeper.close()
                page.close(hurried=control.left)
            await page.seal()
        finally:
            ledger.close()
