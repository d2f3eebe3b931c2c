"""Watches run folders for all pages that are open, and not at all while none is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence, Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from orchestrator.clock import Clock
from orchestrator.threads import Hop, in_thread
from orchestrator.waiting import Turn
from orchestrator.web.seen import Event, Look, Seen, event, seen
from orchestrator.web.shelf import Shelf
from orchestrator.web.tail import Tail

BEAT_SECONDS: Final = 1.0
SHARE: Final = 0.05
"""The part of one core that looking may take."""
SLICE_SECONDS: Final = 0.1
RESTING_BEATS: Final = 5
"""How many beats pass between two looks at runs that stand still, and for new ones."""
ALIVE_BEATS: Final = 15
"""How many beats pass between two signs of life, by which connections that have gone are noticed."""
MOST_WAITING: Final = 512
"""How many events may wait for a reader before it is let go."""
MOST_READERS: Final = 64
MOST_TOLD: Final = 100
"""How many runs one event tells of."""

ALIVE: Final = Event("alive", "{}")


class Reader:
    """One open page.

    Attributes:
        topic: The name of the run that it shows, None for all of them in short.
        events: What it is told.
        scope: What it does is cancelled where it does not read for too long, or nobody tells it anything more.
    """

    def __init__(self, topic: str | None) -> None:
        self.topic = topic
        self.scope = anyio.CancelScope()
        self._told: MemoryObjectSendStream[Event]
        self.events: MemoryObjectReceiveStream[Event]
        self._told, self.events = anyio.create_memory_object_stream[Event](MOST_WAITING)

    def tell(self, told: Event) -> None:
        """Have it read an event, or let it go."""
        try:
            self._told.send_nowait(told)
        except anyio.WouldBlock:
            self.scope.cancel()

    def close(self) -> None:
        """It has left."""
        self._told.close()
        self.events.close()


class Watch:
    """Looks at the run folders that somebody sees, and tells what is new."""

    def __init__(
        self, shelf: Shelf, look: Look, clock: Clock, hop: Hop = in_thread, *, beat_seconds: float = BEAT_SECONDS
    ) -> None:
        """Set it up.

        Args:
            shelf: The run folders.
            look: Reads where one stands.
            clock: Time.
            hop: Where files are read.
            beat_seconds: From one look to the next.
        """
        self._shelf = shelf
        self._look = look
        self._clock = clock
        self._hop = hop
        self._beat_seconds = beat_seconds
        self._readers: set[Reader] = set()
        self._seen: dict[str, Seen] = {}
        self._tails: dict[str, Tail] = {}
        self._followed: AbstractSet[str | None] = frozenset()
        self._wanted = Turn()
        self._beat = 0

    @property
    def is_full(self) -> bool:
        """Whether no more pages can be told of changes."""
        return len(self._readers) >= MOST_READERS

    @contextmanager
    def reading(self, topic: str | None) -> Iterator[Reader]:
        """Be told what happens while the block runs, beginning with how things stand.

        What nobody has followed lately was last seen long ago: of that the look tells which begins now.

        Args:
            topic: A run's name, None for all of them in short.
        """
        reader = Reader(topic)
        self._readers.add(reader)
        for told in self._standing(topic) if topic in self._followed else ():
            reader.tell(told)
        self._wanted.set()
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            reader.close()

    def say(self, topic: str, sentence: str) -> None:
        """Tell everybody who looks at a run."""
        self._tell(topic, event("said", sentence))

    async def run(self) -> None:
        """Look again and again while anybody sees it; until cancelled."""
        while True:
            if not self._readers:
                self._followed = frozenset()
                self._wanted = Turn()
                await self._wanted.wait()
                self._beat = 0
            self._wanted = Turn()
            spent = await self._round()
            self._beat += 1
            if self._beat % ALIVE_BEATS == 0:
                for reader in tuple(self._readers):
                    reader.tell(ALIVE)
            await self._clock.wait(self._wanted, max(self._beat_seconds, spent / SHARE))

    async def _round(self) -> float:
        """Look once at everything that somebody sees; return the processor seconds that it took."""
        topics = {reader.topic for reader in self._readers}
        fresh, self._followed = topics - self._followed, topics
        self._tails = {name: tail for name, tail in self._tails.items() if name in topics - fresh}
        names: Sequence[str] = tuple(self._seen)
        if self._beat % RESTING_BEATS == 0 or None in fresh or topics - {None} - set(names):
            names = await self._hop(self._shelf.look)
            for gone in self._seen.keys() - set(names):
                del self._seen[gone]
                self._gone(gone)
        if None in fresh:
            self._tell(None, event("known", list(names)))
        waiting = [name for name in names if name in topics or None in fresh or (None in topics and self._is_due(name))]
        spent = 0.0
        while waiting:
            found, seconds = await self._hop(partial(self._slice, waiting))
            spent += seconds
            if news := [told for name, now in found if (told := self._note(name, now, fresh))]:
                self._tell(None, event("runs", news))
            del waiting[: len(found)]
        for name in names:
            if name in topics:
                await self._follow(name)
        return spent

    def _is_due(self, name: str) -> bool:
        before = self._seen.get(name)
        return before is None or before.is_running or self._beat % RESTING_BEATS == 0

    def _slice(self, names: Sequence[str]) -> tuple[list[tuple[str, Seen | None]], float]:
        """Look at some run folders, for a moment; return what was found and the processor seconds that it took."""
        started = time.thread_time()
        found: list[tuple[str, Seen | None]] = []
        for name in names:
            folder = self._shelf.folder(name)
            now = None if folder is None or not folder.path.is_dir() else seen(folder, self._look, self._seen.get(name))
            found.append((name, now))
            if time.thread_time() - started > SLICE_SECONDS:
                break
        return found, time.thread_time() - started

    def _note(self, name: str, now: Seen | None, fresh: AbstractSet[str | None]) -> dict[str, Any] | None:
        """Take over what a look has found and tell the run's pages; return what is new of it for the overview.

        Args:
            name: The run's.
            now: What was found, None for no run.
            fresh: The topics of which nobody was told anything yet.
        """
        before = self._seen.pop(name, None)
        if now is None:
            if before is not None:
                self._gone(name)
            return None
        self._seen[name] = now
        if now is before and fresh.isdisjoint((name, None)):
            return None
        for told in now.news(None if name in fresh else before):
            self._tell(name, told)
        summary = now.summary(name)
        return summary if None in fresh or before is None or summary != before.summary(name) else None

    async def _follow(self, name: str) -> None:
        """Tell what a run's log says by now."""
        folder = self._shelf.folder(name)
        if folder is None:
            return
        tail = self._tails.setdefault(name, Tail(folder.log))
        lines = await self._hop(tail.more)
        if lines:
            tail.lines.extend(lines)
            self._tell(name, event("log", lines))

    def _standing(self, topic: str | None) -> Iterator[Event]:
        """Yield what whoever comes is told first."""
        if topic is None:
            known = [found.summary(name) for name, found in self._seen.items()]
            yield event("known", [told["name"] for told in known])
            for start in range(0, len(known), MOST_TOLD):
                yield event("runs", known[start : start + MOST_TOLD])
        elif topic in self._seen:
            yield from self._seen[topic].news(None)
        if topic in self._tails:
            yield event("log", list(self._tails[topic].lines))

    def _gone(self, name: str) -> None:
        for topic in (name, None):
            self._tell(topic, event("gone", name))

    def _tell(self, topic: str | None, told: Event) -> None:
        for reader in tuple(self._readers):
            if reader.topic == topic:
                reader.tell(told)
