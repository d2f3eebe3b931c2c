"""The file that the runs of a lane share: small, readable by its owner only, and of no worth once no run is left.

It holds no result: what was paid for stands in the ledgers of the runs. It tells where these are, and what share of the
limits each run has. A run that has ended in order leaves word of what is its own: its folder may be moved or deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.places import make_private

BUSY_SECONDS: Final = 5.0
FORGET_SECONDS: Final = 90 * 86_400.0
"""After this long a run whose folder is gone, or is another's, is forgotten."""

WORD_SECONDS: Final = 86_400.0
"""How far back the word goes that a run leaves, and for how long it is kept."""

MOST_UNITS: Final = 10**9
"""More than anybody wants or has of anything."""

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS runs (
        run     TEXT PRIMARY KEY,
        folder  TEXT NOT NULL,
        seen_at REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS shares (
        kind       TEXT NOT NULL,
        holder     TEXT,            -- NULL for what was given back and counts on for a while
        cap        REAL,            -- the limit for all together as the holder knows it, if it knows one
        wanted     INTEGER NOT NULL,
        units      INTEGER NOT NULL,
        expires_at REAL NOT NULL,
        active     INTEGER NOT NULL, -- how much of it is in use whatever becomes of the holder
        left_by    TEXT             -- whose it was, where it counts on until that one goes on with it
    )""",
    """CREATE TABLE IF NOT EXISTS words (
        run        TEXT PRIMARY KEY,
        since      REAL NOT NULL,   -- what was sent before is not in it
        remote_ids TEXT NOT NULL    -- a line each
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS places (
        units   INTEGER NOT NULL,   -- how many tasks may run at a time, as the service has said
        told_at REAL NOT NULL
    )""",
)

_NONSENSE: Final = {
    "runs": "typeof(run) <> 'text' OR typeof(folder) <> 'text' OR instr(folder, char(0)) OR typeof(seen_at) <> 'real'",
    "shares": "typeof(holder) NOT IN ('text', 'null') OR typeof(expires_at) <> 'real'"
    " OR (cap IS NOT NULL AND (typeof(cap) <> 'real' OR cap <= 0))"
    f" OR typeof(wanted) <> 'integer' OR wanted NOT BETWEEN 0 AND {MOST_UNITS}"
    f" OR typeof(units) <> 'integer' OR units NOT BETWEEN 0 AND {MOST_UNITS}"
    f" OR typeof(active) <> 'integer' OR active NOT BETWEEN 0 AND {MOST_UNITS}"
    " OR typeof(left_by) NOT IN ('text', 'null')",
    "words": "typeof(run) <> 'text' OR typeof(since) <> 'real' OR typeof(remote_ids) <> 'text'",
    "places": f"typeof(units) <> 'integer' OR units NOT BETWEEN 1 AND {MOST_UNITS} OR typeof(told_at) <> 'real'",
}
"""Rows that nobody can have written, by their tables: SQLite takes any value for any column."""

BROKEN: Final = (sqlite3.Error, ValueError, TypeError, ArithmeticError)
"""What a damaged file leads to; SQLite's complaints quote what stands in it, which need not be text."""


class LaneError(Exception):
    """The file cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A run that is or was in the lane.

    Attributes:
        run: Its id, which its ledger holds too.
        folder: Its run folder, absolute.
        seen_at: When it was last known to be at work, unix seconds.
    """

    run: str
    folder: Path
    seen_at: float


def lane_folder(state: Path, service: str, account: str) -> Path:
    """Return where the runs of an account at a service share what they have to share.

    Args:
        state: The folder of what is remembered between runs, see `places`.
        service: The base URL.
        account: The fingerprint of the key.
    """
    return state / "lanes" / hashlib.sha256(f"{service}\n{account}".encode()).hexdigest()[:20]


class LaneFile:
    """Synchronous access to the file; every call may block for a moment."""

    def __init__(self, folder: Path) -> None:
        """Open the file of a lane, and make it where there is none; a damaged one is set aside.

        Raises:
            LaneError: It cannot be written.
        """
        self.folder = folder
        path = folder / "runs.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._db = _opened(path)
            except BROKEN as error:
                if not _is_damage(error):
                    raise
                path.replace(path.with_name("runs.damaged.sqlite"))
                for side in ("-wal", "-shm"):
                    path.with_name(path.name + side).unlink(missing_ok=True)
                self._db = _opened(path)
        except OSError as error:
            raise LaneError(f"{folder}: {error.strerror}") from error
        except BROKEN as error:
            raise LaneError(f"{path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def enter(self, run: str, folder: Path, now: float, *, anew: bool = False) -> None:
        """Write down, on the disk, that a run works in a folder.

        What worked there before is not forgotten: its folder may have been moved, and what it has sent is its own.

        Args:
            run: Its id.
            folder: Its run folder, absolute.
            now: Unix seconds.
            anew: Whether its ledger was made anew, and speaks for all that worked in the folder before.
        """
        with self.transaction(durable=True):
            self._db.execute("DELETE FROM runs WHERE run = ? OR (? AND folder = ?)", (run, anew, str(folder)))
            self._db.execute("INSERT INTO runs VALUES (?, ?, ?)", (run, str(folder), now))
            self._db.execute("DELETE FROM words WHERE run = ? OR since < ?", (run, now - 2 * WORD_SECONDS))
            self._forget(now - FORGET_SECONDS)

    def seen(self, run: str, now: float) -> None:
        """Write down that a run is still at work."""
        with self.transaction():
            self._db.execute("UPDATE runs SET seen_at = ? WHERE run = ?", (now, run))

    def leave_word(self, run: str, since: float, remote_ids: str) -> None:
        """Write down for others that a run has no request open, and all that it was given.

        Args:
            run: Its id.
            since: From when on, unix seconds.
            remote_ids: The remote tasks that it has sent since then, a line each.
        """
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO words VALUES (?, ?, ?)", (run, since, remote_ids))

    def word_of(self, run: str, since: float) -> set[str] | None:
        """Return the remote tasks of a run that has ended, None where it left no word that goes back to `since`."""
        with self._translated():
            found = self._db.execute("SELECT remote_ids FROM words WHERE run = ? AND since <= ?", (run, since))
            row = found.fetchone()
        return None if row is None else set(row[0].splitlines())

    def tell_places(self, units: int, now: float) -> None:
        """Write down for the next run how many tasks may run at a time, as far as is known at a moment."""
        with self.transaction():
            self._db.execute("DELETE FROM places")
            self._db.execute("INSERT INTO places VALUES (?, ?)", (min(units, MOST_UNITS), now))

    def told_places(self, since: float) -> int | None:
        """Return how many tasks may run at a time; None where that was not told since a moment (unix seconds)."""
        with self._translated():
            row = self._db.execute("SELECT units FROM places WHERE told_at >= ?", (since,)).fetchone()
        return None if row is None else int(row[0])

    def members(self, since: float) -> list[Member]:
        """Return the runs that were at work at a moment (unix seconds) or later."""
        with self._translated():
            return self._members(since)

    def folder_of(self, run: str) -> Path | None:
        """Return where a run worked last."""
        return next((member.folder for member in self.members(0.0) if member.run == run), None)

    def _forget(self, before: float) -> None:
        """Forget the runs that were last at work before a moment, and whose folder has gone or is another's now."""
        members = sorted(self._members(0.0), key=lambda member: member.seen_at)
        latest = {member.folder: member.run for member in members}
        gone = [
            (member.run,)
            for member in members
            if member.seen_at < before and (latest[member.folder] != member.run or not member.folder.exists())
        ]
        self._db.executemany("DELETE FROM runs WHERE run = ?", gone)

    def _members(self, since: float) -> list[Member]:
        found = self._db.execute("SELECT run, folder, seen_at FROM runs WHERE seen_at >= ?", (since,))
        return [Member(run, Path(folder), seen_at) for run, folder, seen_at in found]

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Write as one what the block writes, no other run writing meanwhile; `durable` waits until it is on the disk.

        Raises:
            LaneError: It cannot be written.
        """
        with self._translated():
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise LaneError(f"{self.folder}: {error}") from error


def _check(db: sqlite3.Connection) -> None:
    for table, nonsense in _NONSENSE.items():
        if db.execute(f"SELECT 1 FROM {table} WHERE {nonsense}").fetchone():  # noqa: S608 - constants only
            raise sqlite3.DatabaseError(f"a row of {table} makes no sense")


def _is_damage(error: Exception) -> bool:
    """Return whether an error tells of the file, not of its surroundings."""
    return not isinstance(error, sqlite3.OperationalError) or str(error).startswith("no such ")


def _opened(path: Path) -> sqlite3.Connection:
    make_private(path)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        for table in _TABLES:
            db.execute(table)
        _check(db)
    except BaseException:
        db.close()
        raise
    return db
