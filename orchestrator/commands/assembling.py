"""The engine, put together from what a run works with."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio

from orchestrator.commands.pricing import fixed_prices, reserves
from orchestrator.commands.workshop import Workshop
from orchestrator.engines.budget import Budget
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.downloading import Downloads
from orchestrator.engines.feed import Feed
from orchestrator.engines.local import LocalEngine, Orders
from orchestrator.engines.rounds import Rounds
from orchestrator.engines.submitting import Submitter
from orchestrator.engines.tracking import Tracker
from orchestrator.ledger import Fact
from orchestrator.lifecycle import Record
from orchestrator.steps.clearing import Clearing
from orchestrator.steps.fetch import Fetcher
from orchestrator.steps.matching import spelt
from orchestrator.steps.settle import Settler
from orchestrator.steps.submit import Frontier
from orchestrator.steps.upload import Uploader, known_urls, lost_urls
from orchestrator.sweep import Schema
from orchestrator.wiro import Prices


def assembled(shop: Workshop, orders: Orders, entered: int, frontier: Frontier) -> LocalEngine:
    """Return the engine.

    Args:
        shop: What the run works with.
        orders: What this invocation is about.
        entered: How many tasks of the edition the ledger holds.
        frontier: The newest remote task known.
    """
    around, job, files = shop.around, shop.commission.job, shop.files
    uploader = Uploader(
        job.files, known_urls(shop.facts), around.line.calls, shop.ledger, lost_urls(shop.facts), around.log
    )
    doubts = _doubts(shop, uploader, frontier, insists=orders.insists)
    clearing = shop.clearing
    return LocalEngine(
        orders=orders,
        feed=Feed(job.tasks, entered, shop.commission.edition, shop.ledger),
        submitter=_submitter(shop, uploader, doubts, frontier),
        tracker=_tracker(shop),
        doubts=doubts,
        fetching=_fetcher(shop, clearing).fetch,
        downloads=Downloads(files.arrivals, around.clock),
        slots=shop.slots,
        control=around.control,
        clock=around.clock,
        random=around.random,
        log=around.log,
        finished=_finished(shop, clearing),
    )


def _finished(shop: Workshop, clearing: Clearing | None) -> Callable[[Record], Awaitable[None]]:
    """Return what hands a finished task over to the manifest and the page, and lets go of the service's copies then."""

    async def finished(record: Record) -> None:
        if record.attempt is None and record.tries:  # refused after an earlier request, which the ledger still has
            with anyio.CancelScope(shield=True):
                [record] = (await shop.ledger.read(lambda store: store.records([record.task.id]))).values()
        shop.keeper.finished(record)
        shop.page.finished(record)
        if clearing is not None:
            await clearing.clear(record)

    return finished


def _doubts(shop: Workshop, uploader: Uploader, frontier: Frontier, *, insists: bool) -> Doubts:
    around, commission = shop.around, shop.commission
    parameters = Schema.from_tool(commission.tool).parameters
    settler = Settler(
        sent=uploader.sent,
        model=commission.job.model,
        defaults=spelt({name: parameter.default for name, parameter in parameters.items()}),
        settle_after_seconds=commission.limits.settle_after_seconds,
        calls=around.line.calls,
        ledger=shop.ledger,
        clock=around.clock,
        others=shop.others,
        insists=insists,
    )
    return Doubts(
        settler,
        frontier=frontier,
        control=around.control,
        ledger=shop.ledger,
        clock=around.clock,
        random=around.random,
        log=around.log,
        unproven_until=float(shop.facts.get(Fact.UNPROVEN, -math.inf)),
    )


def _submitter(shop: Workshop, uploader: Uploader, doubts: Doubts, frontier: Frontier) -> Submitter:
    around, commission = shop.around, shop.commission
    return Submitter(
        model=commission.job.model,
        reserve_usd=reserves(commission.tool, commission.limits),
        budget=Budget(commission.limits.budget_usd),
        slots=shop.slots,
        doubts=doubts,
        uploader=uploader,
        sent_along=shop.listener.sent_along,
        frontier=frontier,
        control=around.control,
        calls=around.line.calls,
        ledger=shop.ledger,
        clock=around.clock,
        random=around.random,
    )


def _tracker(shop: Workshop) -> Tracker:
    around, commission, limits = shop.around, shop.commission, shop.commission.limits
    return Tracker(
        attempts=commission.job.retry.attempts,
        timeout_seconds=limits.task_timeout_seconds,
        price_usd=fixed_prices(Prices(commission.tool), limits),
        slots=shop.slots,
        forecast=shop.forecast,
        listener=shop.listener,
        rounds=Rounds(limits.requests_per_second, around.line.calls, around.clock, around.random),
        control=around.control,
        calls=around.line.calls,
        ledger=shop.ledger,
        clock=around.clock,
        random=around.random,
        log=around.log,
    )


def _fetcher(shop: Workshop, clearing: Clearing | None) -> Fetcher:
    prices = Prices(shop.commission.tool)
    return Fetcher(
        run_folder=shop.folder.path,
        outputs_folder=shop.folder.files,
        clearing=clearing,
        ordered=prices.ordered,
        price_usd=fixed_prices(prices, shop.commission.limits),
        files=shop.files,
        calls=shop.around.line.calls,
        ledger=shop.ledger,
        clock=shop.around.clock,
        hop=shop.hop,
    )
