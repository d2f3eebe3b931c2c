"""What a user sees of a run while it goes on."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol, TextIO, TypeAlias

from orchestrator.commands.carrying import Watcher
from orchestrator.commands.stopping import Notice
from orchestrator.status import Status
from orchestrator.telling import describe, line, waits

if TYPE_CHECKING:
    from orchestrator.bar import Bar

Mode: TypeAlias = Literal["auto", "live", "plain", "json", "off"]
MODES: Final[tuple[Mode, ...]] = ("auto", "live", "plain", "json", "off")
PLAIN_SECONDS: Final = 5.0
JSON_SECONDS: Final = 1.0
RATE_SECONDS: Final = 5.0


class Rates:
    """Calls per second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, status: Status, now: float) -> float:
        """Take note of a status and return the rate of calls."""
        self._seen.append((now, sum(status.calls.values())))
        while now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()
        (then, before), (_, calls) = self._seen[0], self._seen[-1]
        return (calls - before) / (now - then) if now > then else 0.0


class Shown(Watcher, Protocol):
    """A watcher that tells people."""

    def stopping(self, notice: Notice) -> None:
        """Tell from now on that the run is being stopped."""


class Live:
    """A bar on a terminal, with what goes on in words behind it; it appears with the first status."""

    def __init__(self, progress: Bar, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._clock = clock
        self._rates = Rates()
        self._bar = progress.add_task("", total=None, words="")
        self._notice: Notice | None = None

    def show(self, status: Status) -> None:
        """See `Watcher.show`."""
        words = describe(status, self._rates.note(status, self._clock()))
        self._progress.below = waits(status)
        self._progress.update(self._bar, completed=status.ended, total=status.total, words=words)
        self._progress.start()
        self._tell()

    def stopping(self, notice: Notice) -> None:
        """See `Shown.stopping`."""
        self._notice = notice
        self._tell()

    def _tell(self) -> None:
        if self._notice is not None:
            self._progress.update(self._bar, words=self._notice())


class Lines:
    """A line now and then, where there is no terminal."""

    def __init__(self, write: Callable[[Status, float], str], every_seconds: float, stream: TextIO) -> None:
        self._write = write
        self._every_seconds = every_seconds
        self._stream = stream
        self._rates = Rates()
        self._next = -math.inf
        self._said = ""

    def show(self, status: Status) -> None:
        """See `Watcher.show`."""
        now = time.monotonic()
        rate = self._rates.note(status, now)
        if now < self._next and status.state == "running":
            return
        line = self._write(status, rate)
        if line != self._said:
            self._next, self._said = now + self._every_seconds, line
            print(line, file=self._stream, flush=True)

    def stopping(self, notice: Notice) -> None:
        """See `Shown.stopping`."""
        print(notice(), file=self._stream, flush=True)


class Objects(Lines):
    """The same for programs: a JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(lambda status, _: json.dumps(status.to_json()), JSON_SECONDS, stream)

    def stopping(self, notice: Notice) -> None:
        """See `Shown.stopping`; the object that comes next says it."""


class Silent:
    """Shows nothing."""

    def show(self, status: Status) -> None:
        """See `Watcher.show`."""

    def stopping(self, notice: Notice) -> None:
        """See `Shown.stopping`."""


class Remembering:
    """Passes on to another watcher what it is shown, and keeps the latest."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.latest: Status | None = None

    def show(self, status: Status) -> None:
        """See `Watcher.show`."""
        self.latest = status
        self._watcher.show(status)


class Terminal:
    """The terminal as a stream for the log: what is written stands above a bar that may be shown there."""

    def write(self, text: str) -> int:
        """Write to what stderr is just now: a bar puts itself in its place."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Let what was written be seen."""
        sys.stderr.flush()

    def isatty(self) -> bool:
        """Return whether colours can be shown."""
        return sys.stderr.isatty()


def terminal(mode: Mode) -> Terminal | None:
    """Return where the log is shown to people as it grows, None where nobody reads along."""
    return Terminal() if mode in {"auto", "live", "plain"} and sys.stderr.isatty() else None


@contextmanager
def watching(mode: Mode, stream: TextIO | None) -> Iterator[Shown]:
    """Show progress while the block runs.

    Args:
        mode: `auto` is `live` on a terminal and `plain` elsewhere.
        stream: Where to, usually stderr; None shows nothing.
    """
    if mode == "off" or stream is None:
        yield Silent()
    elif mode == "live" or (mode == "auto" and stream.isatty()):
        from orchestrator.bar import bar  # noqa: PLC0415 - takes long to import, and few runs are on a terminal

        progress = bar(stream)
        try:
            yield Live(progress, time.monotonic)
        finally:
            progress.stop()
    elif mode == "json":
        yield Objects(stream)
    else:
        yield Lines(line, PLAIN_SECONDS, stream)
