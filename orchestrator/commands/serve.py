"""The live page as a command: run folders on a local port, until Ctrl-C."""

from __future__ import annotations

import re
import secrets
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import TaskGroup

from orchestrator import signals
from orchestrator.clock import Clock
from orchestrator.commands.status import read_status
from orchestrator.config import is_loopback
from orchestrator.errors import RefusedError
from orchestrator.runs import RunFolder
from orchestrator.threads import in_thread
from orchestrator.web.app import Site, serving
from orchestrator.web.guard import Guard
from orchestrator.web.shelf import Shelf
from orchestrator.web.watch import Watch

OUTPUTS: Final = Path("outputs")
"""Where run folders are looked for if none is named."""

TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{16,200}")
ANYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Door:
    """Where the pages are to be had.

    Attributes:
        host: The address to listen on.
        port: The port, 0 for any free one.
        token: What has to be known to see them; None for one that is made where the address is not this machine's own.
        opens: Whether a browser is told to show them.
    """

    host: str
    port: int
    token: str | None = None
    opens: bool = False

    def key(self) -> str | None:
        """Return the token that is needed, None for none.

        Raises:
            RefusedError: The one that was chosen is none.
        """
        if self.token is not None and not TOKEN.fullmatch(self.token):
            raise RefusedError("--token is too easy to guess or to break: use 16 or more letters, digits and -._~.")
        if self.token is None and not is_loopback(self.host):
            return secrets.token_urlsafe(24)
        return self.token


async def serve(places: Sequence[Path], door: Door, *, clock: Clock, say: Say, tell: Say) -> None:
    """Serve the pages of run folders until a signal comes.

    Args:
        places: Run folders, and folders that hold some; none for those below `outputs`.
        door: Where.
        clock: Time.
        say: Told the address in a sentence, once it can be opened.
        tell: Told what goes wrong.

    Raises:
        RefusedError: A place is no folder, the token is none, or the address cannot be had.
    """
    token = door.key()
    shelf = Shelf(places or [OUTPUTS])
    number = await in_thread(partial(_found, places, shelf))
    watch = Watch(shelf, read_status, clock)
    guard = Guard(door.host, token, f"orchestrator-{door.port}")
    async with anyio.create_task_group() as group:
        canceller = Canceller(group, watch, tell)
        site = Site(shelf, watch, guard, cancel=canceller.begin, tell=tell)
        with signals.handled(lambda _: group.cancel_scope.cancel()):
            async with serving(site, watch, door.host, door.port) as port:
                address = _address(door.host, port, token)
                say(_announcement(number, address, door.host))
                if door.opens:
                    await in_thread(partial(webbrowser.open, address))
                await anyio.sleep_forever()


class Canceller:
    """Ends what runs have on the service, by a process of its own for each: the command `cancel`."""

    def __init__(self, group: TaskGroup, watch: Watch, tell: Say) -> None:
        self._group = group
        self._watch = watch
        self._tell = tell
        self._names: set[str] = set()

    def begin(self, name: str, folder: RunFolder) -> None:
        """Begin with a run, unless it is being ended already."""
        if name not in self._names:
            self._names.add(name)
            self._group.start_soon(self._end, name, folder)

    async def _end(self, name: str, folder: RunFolder) -> None:
        self._watch.say(name, "What runs on the service is being ended.")
        command = [sys.executable, "-P", "-m", "orchestrator", "cancel", "--", str(folder.path)]
        try:
            done = await anyio.run_process(command, stdin=subprocess.DEVNULL, check=False)
        finally:
            self._names.discard(name)
        if done.returncode == 0:
            self._watch.say(name, "Nothing of the run goes on at the service any more.")
            return
        self._tell(f"{name} was not cancelled. {done.stderr.decode(errors='replace').strip()}")
        self._watch.say(name, "It was not cancelled: see the terminal of `orchestrator serve`.")


def _found(places: Sequence[Path], shelf: Shelf) -> int:
    """Return how many run folders there are by now."""
    for place in places:
        if not place.is_dir():
            raise RefusedError(f"{place} is not a folder: name run folders, or folders that hold some.")
    return len(shelf.look())


def _address(host: str, port: int, token: str | None) -> str:
    shown = socket.gethostname() if host in ANYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def _announcement(number: int, address: str, host: str) -> str:
    runs = f"{number} run{'s' if number != 1 else ''}"
    first = f"Serving {runs} at {address}\nCtrl-C ends it."
    if is_loopback(host):
        return first
    return (
        f"{first} Nothing is encrypted: whoever knows the address, or can read the network's traffic, sees everything."
    )
