"""Ctrl-C and its kin: the first asks the run to stop, the second makes it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

STOPPING: Final = tuple(
    number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None
)


@contextmanager
def handled(on_signal: Callable[[int], None]) -> Iterator[None]:
    """Call `on_signal` in the event loop for every signal that asks this process to stop, while the block runs.

    Where the loop takes no handlers (Windows, or a thread that is not the main one) Ctrl-C cancels the
    run at once, which loses nothing either. A signal that this process was started to ignore (`nohup`, or a script's
    `&`) stays ignored.
    """
    loop = asyncio.get_running_loop()
    added = []
    for number in STOPPING:
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        try:
            loop.add_signal_handler(number, on_signal, number)
        except (NotImplementedError, RuntimeError, ValueError):
            break
        added.append(number)
    try:
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)
