"""`orchestrator` and `python -m orchestrator`: nothing is imported before a signal can be answered in order."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

LEAVES_WITH: Final = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143}
"""The exit codes of `errors.Exit`, which is not there yet."""

WORDS: Final = {"SIGINT": "Interrupted."}
"""What is said of a signal other than by its name."""


def main() -> None:
    """Run the command line and leave with its exit code; a signal that comes before it is there is obeyed at once."""
    asked = {number: code for name, code in LEAVES_WITH.items() if (number := getattr(signal, name, None)) is not None}

    def leave(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        with suppress(OSError):  # nobody may be there to read it; nothing was begun, and nothing else was printed
            os.write(2, f"orchestrator: {WORDS.get(name, f'Ended by {name}.')}\n".encode())
        os._exit(asked[number])

    for number in asked:
        with suppress(ValueError):  # in a thread that is not the main one
            if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
                signal.signal(number, leave)

    from orchestrator.cli import main as command_line  # noqa: PLC0415 - takes long enough for somebody to press Ctrl-C

    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
