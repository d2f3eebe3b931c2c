"""The machine that runs are to be trusted to: its disk, its locks, its clock, and where runs learn of each other."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final

from orchestrator.errors import OrchestratorError
from orchestrator.runs import RunFolder
from orchestrator.selftest.verdict import Finding

ROOM_BYTES: Final = 16_000_000
"""What the run that is killed takes at most: its pictures, its ledger and its page."""

SYNCS: Final = 20
MEMORY_SECONDS: Final = 20e-6
"""No disk keeps anything safe in less; what is quicker is memory, or says so before it is done."""

TICKS: Final = 100_000
CLOCK_SECONDS: Final = 0.2
MOST_APART_SECONDS: Final = 0.1


def machine(folder: Path, state: Path | None) -> Iterator[Finding]:
    """Look at the machine.

    Args:
        folder: An empty folder to try things out in; what is found out about its disk holds for that disk.
        state: Where runs with the same key learn of each other, see `places`; it is looked at, and not written.
    """
    yield Finding(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}", held=True)
    for look in (_roomy, _synced, _ledger_kept, _locked):
        try:
            yield look(folder)
        except (OSError, sqlite3.Error, OrchestratorError) as error:
            yield Finding(f"{folder} cannot hold a run: {error}", held=False)
    yield _clock()
    yield _shared(state)


def _roomy(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        return Finding(f"there is no room for a run: {free:,} bytes are free, and it takes {ROOM_BYTES:,}", held=False)
    return Finding("there is room for a run", held=True)


def _synced(folder: Path) -> Finding:
    took = []
    with (folder / "synced").open("wb") as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    seconds = statistics.median(took)
    quick = " (so quickly that a power cut may undo it)" if seconds < MEMORY_SECONDS else ""
    return Finding(f"what is written is synced in {seconds * 1000:.2f} ms{quick}", held=True)


def _ledger_kept(folder: Path) -> Finding:
    """Write as the ledger does, and read it back."""
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as db:
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE kept (number INTEGER)")
        db.execute("INSERT INTO kept VALUES (1)")
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
        whole = db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        kept = db.execute("SELECT number FROM kept").fetchall() == [(1,)]
    said = f"SQLite {sqlite3.sqlite_version} keeps what is committed"
    if mode == "wal" and whole and kept:
        return Finding(said, held=True)
    return Finding(f"SQLite {sqlite3.sqlite_version} does not keep what is committed", held=False)


def _locked(folder: Path) -> Finding:
    run = RunFolder(folder / "run")
    run.make()
    with run.held():
        held = run.is_held()
    if held and not run.is_held():
        return Finding("a run folder that is locked is locked", held=True)
    return Finding("a lock keeps nobody out: two processes could be at work in one run folder", held=False)


def _clock() -> Finding:
    ticks = [time.monotonic() for _ in range(TICKS)]
    began, began_at = time.monotonic(), time.time()
    time.sleep(CLOCK_SECONDS)
    apart = abs((time.time() - began_at) - (time.monotonic() - began))
    if all(one <= other for one, other in pairwise(ticks)) and apart < MOST_APART_SECONDS:
        return Finding("the clock goes forward, and at one pace", held=True)
    return Finding("the clock goes back or jumps: what is waited for may be over too soon", held=False)


def _shared(state: Path | None) -> Finding:
    hint = "runs with one key cannot know of each other: set ORCHESTRATOR_HOME"
    if state is None:
        return Finding(f"there is no state folder, so {hint}", held=False)
    place = next(each for each in (state, *state.parents) if each.exists())
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Finding(f"{state} can be written", held=True)
    return Finding(f"{state} cannot be written, so {hint}", held=False)
