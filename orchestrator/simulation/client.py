"""The service as a process reaches it: requests take their time, and get lost on both ways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from orchestrator.simulation.history import Event
from orchestrator.simulation.rules import Rules
from orchestrator.simulation.service import Request
from orchestrator.simulation.world import TIMEOUT_SECONDS, World
from orchestrator.tasks import Parameters
from orchestrator.wiro import (
    Accepted,
    Client,
    ConcurrencyLimit,
    InvalidRequest,
    NoSuchTask,
    NotSent,
    RateLimited,
    RemoteTask,
    ReplyLost,
    ServerFault,
    TaskPage,
    WiroError,
)

LONGEST_RETRY_AFTER_SECONDS: Final = 400.0
OFTEN_SHORT: Final = 0.9
"""In how many cases of all the service wants no calls for some seconds only, or does not say how long."""


class SimulatedClient(Client):
    """See `orchestrator.wiro.Client`; the parts of it that an engine uses."""

    def __init__(
        self, world: World, rules: Rules, gate: Callable[[str], Awaitable[None]], on_send: Callable[[str], None]
    ) -> None:
        self._world = world
        self._rules = rules
        self._gate = gate
        self._on_send = on_send

    async def run(self, model: str, parameters: Mapping[str, Any]) -> Accepted:
        """See `Client.run`."""
        del model
        event = self._world.befalls("run")
        kind = await self._write("/Run", event, parameters)
        if kind == "invalid":
            raise InvalidRequest("/Run", "Request parameter [seed] invalid", http_status=200, code=0)
        late = TIMEOUT_SECONDS + event.seconds if event and kind == "late" else 0.0
        request = self._world.service.post(parameters, self._world.now() + self._latency() + late)
        try:
            await self._world.step("a request to be paid for is on its way")
            return await self._answered(request, kind, event)
        except BaseException:  # lost, or cancelled, or killed: nobody waits any more
            request.given_up_at = self._world.now()
            raise

    async def task(
        self, *, token: str | None = None, task_id: str | None = None, seconds: float = TIMEOUT_SECONDS
    ) -> RemoteTask:
        """See `Client.task`."""
        kind = await self._exchange("/Task/Detail", self._world.befalls("look"))
        number = int((token or task_id or "").rpartition("-")[2])
        if kind == "silent":
            await self._world.clock.sleep(min(seconds, TIMEOUT_SECONDS))
            raise ReplyLost("/Task/Detail", "no answer")
        if kind == "gone":
            raise NoSuchTask("/Task/Detail", "There is no task yet.", http_status=200, code=1)
        seen = self._world.service.detail(number, self._world.now())
        self._world.tell(f"{number} is {seen.status}")
        if kind == "strange":
            return replace(seen, status="task_dreaming")
        return seen

    async def tasks(self, *, start: int, limit: int, model: str | None = None) -> TaskPage:
        """See `Client.tasks`."""
        del model
        event = self._world.befalls("list")
        kind = await self._exchange("/Task/List", event)
        page = self._world.service.page(start, limit, self._world.now())
        self._world.tell(f"list from {start}: {', '.join(task.task_id for task in page.tasks)}")
        if event and kind == "slow":  # what comes about meanwhile it does not show
            await self._world.clock.sleep(min(event.seconds, TIMEOUT_SECONDS - 1))
            self._rules.arrived()
        if limit == 1 and page.tasks:
            self._rules.saw(int(page.tasks[0].task_id))
        # Where it shows nothing at all when it is asked for the newest task alone, nobody could know better.
        is_cut = self._world.passed() < self._world.history.cut_seconds and limit > 1 and self._world.history.earlier
        return TaskPage((), None) if is_cut else page

    async def cancel(self, *, task_id: str, token: str | None) -> None:  # noqa: ARG002 - the id says it
        """See `Client.cancel`."""
        await self._end("/Task/Cancel", task_id)
        self._world.service.cancel(int(task_id), self._world.now())

    async def kill(self, *, task_id: str, token: str | None) -> None:  # noqa: ARG002 - the id says it
        """See `Client.kill`."""
        await self._end("/Task/Kill", task_id)
        self._world.service.kill(int(task_id), self._world.now())

    async def delete_outputs(self, token: str) -> None:
        """See `Client.delete_outputs`."""
        await self._exchange("/Task/InputOutputDelete", None)
        remote = self._world.service.tasks[int(token.rpartition("-")[2])]
        self._rules.cleared(remote)
        remote.deleted = True

    async def _end(self, endpoint: str, task_id: str) -> None:
        await self._exchange(endpoint, self._world.befalls("end"))
        self._rules.obedience.ends(self._world.service.tasks[int(task_id)])

    async def _answered(self, request: Request, kind: str, event: Event | None) -> Accepted:
        """Wait for the answer to a request to `/Run`, as long as a client waits."""
        world = self._world
        slow = event.seconds if event and kind == "slow" else 0.0
        while request.answer is None and kind != "late":
            await world.clock.sleep(0.01 + self._latency())
            self._rules.arrived()
        await world.clock.sleep(TIMEOUT_SECONDS if kind == "late" else min(TIMEOUT_SECONDS, slow))
        answer = request.answer
        if kind in {"unanswered", "late"} or slow > TIMEOUT_SECONDS or answer is None:
            raise ReplyLost("/Run", "the connection dropped")
        if isinstance(answer, WiroError):
            self._rules.refused(full=isinstance(answer, ConcurrencyLimit))
            raise answer
        await world.step(f"the service says {answer.task_id}")
        first = world.service.ours[0]
        if kind == "claimed" and first.request is not request and first.request and first.request.owner:
            request.given_up_at = world.now()
            return Accepted(str(first.number), first.token)
        self._rules.replied(request, int(answer.task_id))
        if kind == "hurried":
            await world.hurried()
        return answer

    async def _exchange(self, endpoint: str, event: Event | None) -> str:
        """Make a call that costs nothing, up to the moment at which its reply is here."""
        kind = await self._write(endpoint, event)
        await self._world.clock.sleep(self._latency())
        self._rules.arrived()
        return kind

    async def _write(self, endpoint: str, event: Event | None, paying: Parameters | None = None) -> str:
        """Write a request, `paying` for what it asks for, and say what is the matter with it."""
        world = self._world
        kind = event.kind if event else ""
        away = world.weather("outage")
        await world.clock.sleep(self._latency())
        if kind == "unreachable" or (away and world.chance("away") < 0.5):
            raise NotSent(endpoint, "no connection")
        await self._gate(endpoint)
        await world.step(f"{endpoint} is written")
        written_at = world.now()
        self._rules.written(endpoint)
        if paying is not None:
            self._rules.posted(paying)
        self._on_send(endpoint)
        if kind == "lost" or away:
            await world.clock.sleep(self._latency())
            raise ReplyLost(endpoint, "the connection dropped")
        if kind == "throttled" or world.weather("storm"):
            await world.clock.sleep(self._latency())
            retry_after = _retry_after(world.chance("retry after"))
            world.held(retry_after or 0.0)
            self._rules.throttled(written_at, retry_after)
            raise RateLimited(endpoint, "too fast", http_status=429, retry_after_seconds=retry_after)
        if kind == "faulty":
            await world.clock.sleep(self._latency())
            raise ServerFault(endpoint, "something went wrong", http_status=200, code=0)
        return kind

    def _latency(self) -> float:
        return self._world.history.latency_seconds * (0.2 + 0.8 * self._world.chance("latency")) / 2


def _retry_after(luck: float) -> float | None:
    """Return for how many seconds the service wants no calls; in half of all cases it does not say."""
    if luck > OFTEN_SHORT:
        return round(LONGEST_RETRY_AFTER_SECONDS * (luck - OFTEN_SHORT) / (1 - OFTEN_SHORT), 1)
    return round(20 * luck, 1) if luck < 0.5 else None
