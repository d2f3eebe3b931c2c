"""Opening a ledger's file: what version it has, whether it is whole, and what an error of the database means."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.ledger.errors import (
    DamagedLedgerError,
    GoneLedgerError,
    LedgerError,
    NotALedgerError,
    UnbegunLedgerError,
)
from orchestrator.ledger.naming import Fact
from orchestrator.ledger.versions import STEPS, Step
from orchestrator.places import make_private

BUSY_MILLISECONDS: Final = 10_000
DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""The primary codes of a file that is not what was written."""

BROKEN: Final = (sqlite3.Error, UnicodeDecodeError)
"""What a damaged file leads to: SQLite's complaints quote what stands in it, whatever that is."""

UNREADABLE: Final = (ValueError, TypeError, KeyError, ArithmeticError, AttributeError, RecursionError)
"""What reading a row raises that is not what we wrote."""

MARK: Final = "-mark"
"""What the name of the file beside the ledger ends with that says how many of these there were."""

CAREFUL: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
"""Has it be an error where a pipe lies in a file's place, which would be waited for, or a link to somewhere else."""

_FACT: Final = "SELECT value FROM facts WHERE name = ?"


@dataclass(frozen=True, slots=True)
class LedgerFile:
    """Where a ledger lies.

    Attributes:
        path: The file.
        run_folder: Whose ledger it is, for messages.
    """

    path: Path
    run_folder: Path

    @property
    def side_file(self) -> Path:
        """Where SQLite writes first; a part of the ledger for as long as it is there."""
        return self.path.with_name(f"{self.path.name}-wal")

    @property
    def mark(self) -> str:
        """Says how many commits the ledger has at least: SQLite takes one that was cut short for whole."""
        return f"{self.path}{MARK}"  # asked for with each commit, and a `Path` takes as long as to write it

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn errors of the database into ours.

        Raises:
            DamagedLedgerError: The file is not what was written.
            LedgerError: It cannot be written or read just now.
        """
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                raise DamagedLedgerError(self.path, str(error), self.run_folder) from error
            raise LedgerError(self.path, str(error)) from error
        except UnicodeDecodeError as error:
            raise DamagedLedgerError(self.path, "its tables cannot be read", self.run_folder) from error

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Take rows that cannot be what we wrote for damage.

        Raises:
            DamagedLedgerError: They cannot be understood.
        """
        try:
            yield
        except UNREADABLE as error:
            raise DamagedLedgerError(self.path, "a row of it makes no sense", self.run_folder) from error

    def connected(self, *, read_only: bool, steps: Sequence[Step] = STEPS) -> sqlite3.Connection:
        """Open the file, and make it or bring it up to date where it is to be written.

        An older one that is only to be read is brought up to date in a copy that nobody else sees.

        Raises:
            NotALedgerError: It is damaged, or of a later version.
            LedgerError: It cannot be opened.
        """
        marked = self._marked()  # before the ledger is looked at: another process may be writing both
        if not read_only:
            self._make_private()
        with self.translated():
            self._miss_nothing()
            db = self._opened(read_only=read_only)
            try:
                older = self._version(db, len(steps), may_be_empty=not read_only) < len(steps)
                if not read_only:
                    db.execute("PRAGMA journal_mode = WAL")
                    db.execute("PRAGMA fullfsync = ON")
                    _migrate(db, steps)
                self._lack_nothing(db, marked)
                if not read_only:
                    return db
                db = self._migrated_copy(db, steps) if older else db
                db.execute("PRAGMA query_only = ON")
            except BaseException:
                with suppress(LedgerError):
                    self.close(db)
                raise
        return db

    def close(self, db: sqlite3.Connection) -> None:
        """Close the file; what shows that nothing has been taken away from it stays."""
        at_work = False
        with suppress(*BROKEN):
            at_work = db.execute(_FACT, (Fact.AT_WORK,)).fetchone() is not None
        with self.translated():
            db.close()
        if at_work and not self.side_file.exists():  # the last one to close takes it away, and it had been killed
            with suppress(OSError):
                self.side_file.touch(0o600)

    def standing(self) -> tuple[int, int] | None:
        """Return which file stands at the ledger's name now, None where there is none."""
        with suppress(OSError):
            found = self.path.stat()
            return found.st_dev, found.st_ino
        return None

    def stand(self, standing: tuple[int, int] | None) -> None:
        """See that the same file still stands at the ledger's name.

        Raises:
            GoneLedgerError: It does not.
        """
        if self.standing() != standing:
            raise GoneLedgerError(self.path, self.run_folder)

    def note(self, commits: int) -> None:
        """Say in the mark how many commits are on the disk by now; where that cannot be, the older word stands."""
        with suppress(OSError):
            mark = os.open(self.mark, os.O_CREAT | os.O_WRONLY | CAREFUL, 0o600)
            try:
                os.write(mark, b"%020d\n" % commits)
            finally:
                os.close(mark)

    def _marked(self) -> int:
        with suppress(OSError, ValueError):
            mark = Path(self.mark)
            return int(mark.read_bytes()) if mark.is_file() else 0
        return 0

    def _miss_nothing(self) -> None:
        """See that a process that was killed has left its side file: the last commits may stand nowhere else."""
        if self.side_file.exists() or not self.path.is_file():
            return
        found = None
        with (
            suppress(*BROKEN),
            closing(sqlite3.connect(f"{self._address()}?mode=ro&immutable=1", uri=True)) as db,
        ):
            found = db.execute(_FACT, (Fact.AT_WORK,)).fetchone()
        if found is not None and not self.side_file.exists():
            reason = f"{self.side_file.name}, where the last commits stood, is missing"
            raise DamagedLedgerError(self.path, reason, self.run_folder)

    def _lack_nothing(self, db: sqlite3.Connection, marked: int) -> None:
        """See that the ledger has every commit that its mark tells of.

        SQLite drops what follows a spoilt or shortened place of the side file, and says nothing of it.
        """
        if commits_of(db) < marked:
            raise DamagedLedgerError(self.path, "what was written last is missing from it", self.run_folder)

    def _version(self, db: sqlite3.Connection, newest: int, *, may_be_empty: bool) -> int:
        version = _version_of(db)
        if version > newest:
            raise NotALedgerError(
                f"{self.path} was written by a later version of orchestrator: use that one to go on with the run."
            )
        if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise DamagedLedgerError(self.path, "it is some other database", self.run_folder)
        if version == 0 and not may_be_empty:
            raise UnbegunLedgerError(f"{self.path} holds no run yet: `orchestrator run` fills it.")
        return version

    def _migrated_copy(self, db: sqlite3.Connection, steps: Sequence[Step]) -> sqlite3.Connection:
        """Return an up-to-date copy of an older ledger, in a file without a name that goes when it is closed."""
        copy = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        try:
            db.backup(copy)
            self.close(db)
            _migrate(copy, steps)
        except BaseException:
            copy.close()
            raise
        return copy

    def _make_private(self) -> None:
        try:
            make_private(self.path)
        except OSError as error:
            raise LedgerError(self.path, error.strerror or "it cannot be opened") from error

    def _opened(self, *, read_only: bool) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._address()}?mode={self._mode(read_only=read_only)}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_MILLISECONDS / 1000,
        )

    def _mode(self, *, read_only: bool) -> str:
        """Return how SQLite is to open the file.

        One that only reads still opens for writing where it may: the last to close takes SQLite's side files away.
        Where nothing can be written, SQLite reads a side file as long as both of its own are there; without them it
        has to be told that nobody changes the file.

        Raises:
            LedgerError: The last commits stand in a side file that cannot be read there.
        """
        if not read_only or os.access(self.path.parent, os.W_OK):
            return "rw" if not read_only or os.access(self.path, os.W_OK) else "ro"
        if not self.side_file.exists() or not self.side_file.stat().st_size:
            return "ro&immutable=1"
        if not self.path.with_name(f"{self.path.name}-shm").exists():
            raise LedgerError(
                self.path,
                f"{self.path.parent} cannot be written, and SQLite reads {self.side_file.name}, where the last commits"
                " stand, only where it can write beside it",
            )
        return "ro"

    def _address(self) -> str:
        return self.path.resolve().as_uri()


def commits_of(db: sqlite3.Connection) -> int:
    """Return how many commits a ledger has that were waited for."""
    found = db.execute(_FACT, (Fact.COMMITS,)).fetchone()
    return 0 if found is None or not str(found[0]).isdecimal() else int(found[0])


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether an error tells of the file, not of its surroundings."""
    if not isinstance(error, sqlite3.OperationalError):
        return not isinstance(error, sqlite3.ProgrammingError)
    code = getattr(error, "sqlite_errorcode", None)  # text that is none has no code of SQLite's: its module finds it
    return code is None or code & 0xFF in DAMAGE or str(error).startswith(("no such ", "integer overflow"))


def _migrate(db: sqlite3.Connection, steps: Sequence[Step]) -> None:
    """Bring a ledger up to date: a version is there with all it says or, after a kill, not at all."""
    db.execute("PRAGMA synchronous = FULL")
    while _version_of(db) < len(steps):
        db.execute("BEGIN IMMEDIATE")
        try:
            version = _version_of(db)  # another process may have been quicker
            for statement in steps[version] if version < len(steps) else ():
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {min(version + 1, len(steps))}")
        except BaseException:
            if db.in_transaction:  # a full disk may have rolled it back already
                db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint")  # the file is never without its tables, whatever becomes of its side file


def _version_of(db: sqlite3.Connection) -> int:
    """Return the version of a ledger, 0 where it has none; less than that was never written."""
    return max(0, int(db.execute("PRAGMA user_version").fetchone()[0]))
