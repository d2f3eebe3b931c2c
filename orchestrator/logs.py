"""What is told on the way: `run.log` as JSON lines, and the same for people where they read along."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, Protocol, TextIO, TypeAlias

from orchestrator.errors import RefusedError

Entry: TypeAlias = Mapping[str, Any]
"""What happened in words (`event`), what kind of news it is (`level`, `info` or `warning`), and the facts about it."""

REDACTED: Final = "[secret]"
"""What stands where a secret was taken out."""
YELLOW: Final = "\x1b[33m{}\x1b[0m"


class Screen(Protocol):
    """Where people read along."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Show it."""

    def isatty(self) -> bool:
        """Return whether it shows colours."""


class Log:
    """Tells what happens: in the same words whenever it does, with the facts beside them.

    Args:
        tell: Takes each event.
    """

    def __init__(self, tell: Callable[[Entry], object]) -> None:
        self._tell = tell

    def info(self, event: str, /, **facts: object) -> None:
        """Tell what is only of interest later."""
        self._tell({**facts, "event": event, "level": "info"})

    def warning(self, event: str, /, **facts: object) -> None:
        """Tell what people should look at."""
        self._tell({**facts, "event": event, "level": "warning"})


class Redact:
    """Takes secrets out of everything that is told, whatever put them there."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)  # one may be a part of another

    def __call__(self, event: Entry) -> dict[str, Any]:
        """Return an event without them."""
        return {self._text(key): self._clean(value) for key, value in event.items()}

    def _clean(self, value: object) -> object:
        match value:
            case str():
                return self._text(value)
            case None | int() | float():
                return value
            case Mapping():
                return {self._text(str(key)): self._clean(held) for key, held in value.items()}
            case list() | tuple():
                return [self._clean(held) for held in value]
        return self._text(repr(value))

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text


@contextmanager
def opened(path: Path, *, secrets: Collection[str], screen: Screen | None = None) -> Iterator[Log]:
    """Open a run's log; a thread of its own writes it.

    Args:
        path: The file, which is appended to.
        secrets: What must not appear in it.
        screen: Where warnings are shown to people as they come, None for nowhere.

    Raises:
        RefusedError: Something that is no file lies in its place.
        OSError: The file cannot be written.
    """
    leads_away = path.is_symlink() and (path.is_file() or not path.exists())
    if leads_away or path.is_dir() or path.is_fifo():  # to open a pipe would wait for somebody who reads it
        raise RefusedError(f"{path} is not a file, and the run's log has to be one: move it away.")
    told: SimpleQueue[Entry | None] = SimpleQueue()
    redact = Redact(secrets)

    def tell(event: Entry) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told.put({**redact(event), "level": event["level"], "timestamp": now})

    file = path.open("a", encoding="utf-8", errors="backslashreplace")
    writing = Thread(target=_write, args=(iter(told.get, None), file, screen), name="run.log", daemon=True)
    writing.start()
    try:
        yield Log(tell)
    finally:
        told.put(None)
        writing.join()


def silent() -> Log:
    """Return a log that tells nobody."""
    return Log(lambda _: None)


def _write(told: Iterator[Entry], file: TextIO, screen: Screen | None) -> None:
    """Write each event as it comes, and close the file after the last.

    Passes over what cannot be written: whatever else is written to that disk stops the run, and says why.
    """
    for event in told:
        with suppress(OSError):
            print(json.dumps(event, ensure_ascii=False), file=file, flush=True)
        if screen is not None and event["level"] == "warning":
            with suppress(OSError, ValueError):  # the latter where it was closed
                screen.write(f"{_shown(event, colours=screen.isatty())}\n")
                screen.flush()
    with suppress(OSError):
        file.close()


def _shown(event: Entry, *, colours: bool) -> str:
    """Return an event as people read it: when, what, and the facts; what the service says cannot paint the screen."""
    facts = {name: value for name, value in event.items() if name not in {"timestamp", "level", "event"}}
    told = [f"{name}={value if _is_word(value) else repr(value)}" for name, value in facts.items()]
    level = YELLOW.format(event["level"]) if colours else event["level"]
    return " ".join([event["timestamp"], f"[{level}]", event["event"], *told])


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value) and " " not in value
