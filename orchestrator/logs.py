"""What is told on the way: `run.log` as JSON lines, and the same for people where they read along."""

from __future__ import annotations

import logging
import logging.handlers
import queue
from collections.abc import Collection, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

SILENT = logging.CRITICAL + 10


class Redact:
    """Takes secrets out of everything that is told, whatever put them there."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets = [secret for secret in secrets if secret]

    def __call__(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Clean one event, see structlog's processors."""
        for key, value in event.items():
            if isinstance(value, str) and any(secret in value for secret in self._secrets):
                for secret in self._secrets:
                    value = value.replace(secret, "[secret]")  # noqa: PLW2901 - one secret after the other
                event[key] = value
        return event


@contextmanager
def opened(
    path: Path, *, secrets: Collection[str], verbose: bool = False, screen: TextIO | None = None
) -> Iterator[FilteringBoundLogger]:
    """Open a run's log; a thread of its own writes it.

    Args:
        path: The file, which is appended to.
        secrets: What must not appear in it.
        verbose: Whether every move of every task is told.
        screen: Where warnings are shown to people as they come, None for nowhere.

    Raises:
        OSError: The file cannot be written.
    """
    level = logging.DEBUG if verbose else logging.INFO
    file = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
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
    return _logger(logging.Logger("silent", SILENT), (), SILENT)  # noqa: LOG001 - as above


class _Handover(logging.handlers.QueueHandler):
    """Passes events on as they are: the one queue and both its ends are in this process."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


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
