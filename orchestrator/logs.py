"""What is told on the way: `run.log` as JSON lines, and the same for people where they read along."""

from __future__ import annotations

import logging
import logging.handlers
import queue
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from orchestrator.errors import RefusedError

SILENT = logging.CRITICAL + 10
REDACTED: Final = "[secret]"
"""What stands where a secret was taken out."""


class Screen(Protocol):
    """Where people read along."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Show it."""

    def isatty(self) -> bool:
        """Return whether it shows colours."""


class Redact:
    """Takes secrets out of everything that is told, whatever put them there."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)  # one may be a part of another

    def __call__(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Clean one event, see structlog's processors."""
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
        shown = repr(value)  # which is how it would be told
        cleaned = self._text(shown)
        return value if cleaned == shown else cleaned

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text


@contextmanager
def opened(
    path: Path, *, secrets: Collection[str], verbose: bool = False, screen: Screen | None = None
) -> Iterator[FilteringBoundLogger]:
    """Open a run's log; a thread of its own writes it.

    Args:
        path: The file, which is appended to.
        secrets: What must not appear in it.
        verbose: Whether every move of every task is told.
        screen: Where warnings are shown to people as they come, None for nowhere.

    Raises:
        RefusedError: Something that is no file lies in its place.
        OSError: The file cannot be written.
    """
    leads_away = path.is_symlink() and (path.is_file() or not path.exists())
    if leads_away or path.is_dir() or path.is_fifo():  # to open a pipe would wait for somebody who reads it
        raise RefusedError(f"{path} is not a file, and the run's log has to be one: move it away.")
    level = logging.DEBUG if verbose else logging.INFO
    file = _LogFile(path, encoding="utf-8")
    handlers: list[logging.Handler] = [_formatted(file, structlog.processors.JSONRenderer(ensure_ascii=False))]
    if screen is not None:
        console = _formatted(
            logging.StreamHandler(screen), structlog.dev.ConsoleRenderer(colors=screen.isatty(), pad_event_to=0)
        )
        console.setLevel(logging.WARNING)
        handlers.append(console)
    told: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(told, *handlers, respect_handler_level=True)
    sink = logging.Logger("run", level)  # noqa: LOG001 - of this run alone: two in one process must not mix
    sink.addHandler(_Handover(told))
    listener.start()
    try:
        yield _logger(sink, secrets, level)
    finally:
        listener.stop()
        file.close()


def silent() -> FilteringBoundLogger:
    """Return a logger that tells nobody."""
    return _logger(logging.Logger("silent", SILENT), (), logging.CRITICAL)  # noqa: LOG001 - as above


class _Handover(logging.handlers.QueueHandler):
    """Passes events on as they are: the one queue and both its ends are in this process."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class _LogFile(logging.handlers.WatchedFileHandler):
    """Passes over what cannot be written: whatever else is written to that disk stops the run, and says why."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; the folder may have gone since the last."""
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name for it
        """Say nothing: the library would print a traceback."""

    def close(self) -> None:
        """Close the file; its last words may find no room."""
        with suppress(OSError):
            super().close()


def _logger(sink: logging.Logger, secrets: Collection[str], level: int) -> FilteringBoundLogger:
    processors: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        Redact(secrets),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ]
    logger: FilteringBoundLogger = structlog.wrap_logger(
        sink,
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    return logger


def _formatted(handler: logging.Handler, renderer: Processor) -> logging.Handler:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove, renderer]))
    return handler
