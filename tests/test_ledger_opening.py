"""What a ledger's file can be when it is opened: older, newer, damaged, or without what was written last."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import Exit
from orchestrator.ledger import DamagedLedgerError, LedgerError, NotALedgerError, SqliteLedger
from orchestrator.ledger.naming import Fact
from orchestrator.ledger.versions import STEPS, Step
from orchestrator.tasks import Task

NEWER: tuple[Step, ...] = (
    *STEPS,
    ("CREATE TABLE moods (name TEXT)", "INSERT INTO moods SELECT value FROM facts WHERE name = 'mood'"),
    ("ALTER TABLE moods ADD COLUMN since REAL", "DELETE FROM facts WHERE name = 'mood'"),
)
"""Two versions to come."""

BROKEN: tuple[Step, ...] = (*STEPS, ("CREATE TABLE moods (name TEXT)", "INSERT INTO nowhere VALUES (1)"))

LOOKED = """
import sys
from pathlib import Path
from orchestrator.ledger import SqliteLedger
SqliteLedger(Path(sys.argv[1])).close()
"""

KILLED = """
import os, sys
from pathlib import Path
from orchestrator.ledger import SqliteLedger
store = SqliteLedger(Path(sys.argv[1]))
work = store.at_work()
work.__enter__()
with store.transaction(durable=True):
    store.state({"said": "last"})
os._exit(0)
"""


MIGRATES = """
import itertools, json, os, signal, sys
from pathlib import Path
from orchestrator.ledger import SqliteLedger
passed = itertools.count(1)
class Deadly(tuple):
    def __iter__(self):
        for statement in super().__iter__():
            if next(passed) == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
            yield statement
SqliteLedger(Path(sys.argv[1]), steps=[Deadly(step) for step in json.loads(sys.argv[3])]).close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def filled(path: Path, tasks: int = 300) -> Path:
    with SqliteLedger(path) as store, store.transaction(durable=False):
        store.state({"mood": "calm"})
        store.enter([Task(f"{n:03}", n, {"prompt": "a harbour" * 20}, {}, {}, f"a/{n}") for n in range(tasks)], 1, 0)
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        found: int = db.execute("PRAGMA user_version").fetchone()[0]
        return found


def migrating(path: Path, nth: int) -> int:
    """Let a process bring the ledger up to date, killed before the n-th statement; return how it ends."""
    program = [sys.executable, "-c", MIGRATES, str(path), str(nth), json.dumps(NEWER)]
    return subprocess.run(program, check=False, timeout=30).returncode


def killed(path: Path) -> None:
    """Let a process write and be gone without a word."""
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=True, timeout=30)


class TestVersions:
    def test_an_older_one_is_brought_up_to_date(self, path: Path) -> None:
        """Each version is made of the one before, with all that the ledger holds."""
        filled(path)
        with SqliteLedger(path, steps=NEWER) as store:
            assert store.facts() == {}
            assert store._db.execute("SELECT name, since FROM moods").fetchall() == [("calm", None)]
            assert len(list(store.everything())) == 300
        assert version(path) == len(NEWER)

    def test_a_new_one_is_the_newest(self, path: Path) -> None:
        """Where there was none, all versions are gone through at once."""
        SqliteLedger(path, steps=NEWER).close()
        assert version(path) == len(NEWER)

    def test_a_version_is_there_as_a_whole_or_not_at_all(self, path: Path) -> None:
        """What fails in the middle leaves the ledger as it was."""
        filled(path)
        with pytest.raises(DamagedLedgerError):
            SqliteLedger(path, steps=BROKEN)
        assert version(path) == len(STEPS)
        with SqliteLedger(path, steps=NEWER) as store:
            assert len(list(store.everything())) == 300

    @pytest.mark.parametrize("nth", [1, 2, 3, 4])
    def test_a_kill_on_the_way_leaves_one_version_or_the_other(self, path: Path, nth: int) -> None:
        """Before whichever statement it comes, nothing of what the ledger holds is lost, and the next one goes on."""
        filled(path, tasks=5)
        assert migrating(path, nth) == -signal.SIGKILL
        assert version(path) == len(STEPS) + (nth > 2)
        for read_only in (True, False):
            with SqliteLedger(path, read_only=read_only, steps=NEWER) as store:
                assert len(list(store.everything())) == 5
                assert store._db.execute("SELECT name, since FROM moods").fetchall() == [("calm", None)]
        assert version(path) == len(NEWER)

    def test_to_read_an_older_one_changes_nothing(self, path: Path) -> None:
        """A look at a ledger of an earlier version shows it as the newest one, and leaves it to its own program."""
        filled(path)
        before = path.read_bytes()
        with SqliteLedger(path, read_only=True, steps=NEWER) as store:
            assert store._db.execute("SELECT name FROM moods").fetchall() == [("calm",)]
            assert len(list(store.everything())) == 300
            with pytest.raises(LedgerError, match="readonly"), store.transaction(durable=False):
                store.state({"mood": "stormy"})
        assert path.read_bytes() == before

    @pytest.mark.parametrize("read_only", [True, False])
    def test_a_newer_one_is_refused(self, path: Path, read_only: bool) -> None:
        """An earlier program does not touch what it does not understand."""
        SqliteLedger(path, steps=NEWER).close()
        with pytest.raises(NotALedgerError, match="a later version of orchestrator: use that one"):
            SqliteLedger(path, read_only=read_only)


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(1000) * 40)


def beheaded(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(5000))


def replaced(path: Path) -> None:
    path.write_text("this is no database\n" * 1000)


def another(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE songs (name TEXT)")


def garbled(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE tasks SET spec = '{' WHERE id = '150'")


def no_text(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE tasks SET spec = CAST(x'ff7b' AS TEXT) WHERE id = '150'")


def misspelt(path: Path) -> None:
    """SQLite complains in words that quote the file, and these are no text."""
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE facts", b"CREATE TABL\x89 facts"))


def owed(path: Path) -> None:
    """What costs less than nothing would let a budget be passed."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO attempts (task, number, intent_at, reserved, cost) VALUES ('150', 1, 1.0, 5, -1000)")


def spared(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO attempts (task, number, intent_at, reserved) VALUES ('150', 1, 1.0, -1000)")


def undone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT OR REPLACE INTO counters (name, value) VALUES ('/Run', -5)")


class TestDamage:
    @pytest.mark.parametrize(
        "damage",
        [truncated, overwritten, beheaded, replaced, another, garbled, no_text, misspelt, owed, spared, undone],
    )
    @pytest.mark.parametrize("read_only", [True, False])
    def test_it_is_said_with_the_way_out(self, path: Path, damage: Callable[[Path], None], read_only: bool) -> None:
        """Whatever happened to the file, whoever reads it says that it is damaged and what mends it."""
        damage(filled(path))
        with pytest.raises(DamagedLedgerError, match=f"`orchestrator recover {path.parent}`") as raised:  # noqa: PT012, SIM117 - opening may find it, or reading
            with SqliteLedger(path, read_only=read_only) as store:
                store.totals()
                list(store.everything())
        assert raised.value.exit_code is Exit.REFUSED

    def test_a_check_finds_what_nobody_has_read(self, path: Path) -> None:
        """Before a ledger is worked with, it is looked through as a whole."""
        overwritten(filled(path))
        with SqliteLedger(path) as store, pytest.raises(DamagedLedgerError, match="is damaged"):
            store.check()

    def test_a_whole_one_passes(self, path: Path) -> None:
        """Nothing is said of a ledger that is as it was written."""
        with SqliteLedger(filled(path)) as store:
            store.check()


class TestTheSideFile:
    def test_after_a_kill_it_is_needed(self, path: Path) -> None:
        """Without the side file, where its last commits stood, a killed process's ledger is not believed."""
        killed(path)
        side = path.with_name("ledger.sqlite-wal")
        assert side.exists()
        side.unlink()
        for read_only in (True, False):
            with pytest.raises(DamagedLedgerError, match="where the last commits stood, is missing"):
                SqliteLedger(path, read_only=read_only)

    @pytest.mark.parametrize("read_only", [True, False])
    def test_looking_after_a_kill_does_no_harm(self, path: Path, read_only: bool) -> None:
        """Whoever opens and closes it first may put the side file's words into the file; nothing is missed then."""
        killed(path)
        for _ in range(2):
            with SqliteLedger(path, read_only=read_only) as store:
                assert store.fact("said") == "last"
        assert stat.S_IMODE(path.with_name("ledger.sqlite-wal").stat().st_mode) == 0o600

    def test_looking_at_an_older_one_after_a_kill_does_no_harm(self, path: Path) -> None:
        """Whoever reads an older one reads a copy of it, and has closed the ledger itself: they may be killed, too."""
        killed(path)
        with SqliteLedger(path, read_only=True, steps=NEWER) as store:
            assert path.with_name("ledger.sqlite-wal").exists()
            assert store.fact("said") == "last"
        with SqliteLedger(path, steps=NEWER) as store:
            assert store.fact("said") == "last"

    @pytest.mark.parametrize(("steps", "raised"), [((), NotALedgerError), (BROKEN, DamagedLedgerError)])
    @pytest.mark.parametrize("read_only", [True, False])
    def test_who_cannot_open_it_after_a_kill_does_no_harm(
        self, path: Path, steps: Sequence[Step], raised: type[LedgerError], read_only: bool
    ) -> None:
        """A program that is too old, or that fails on the way to a later version, leaves what the right one needs."""
        killed(path)
        for _ in range(2):
            with pytest.raises(raised):
                SqliteLedger(path, read_only=read_only, steps=steps)
        with SqliteLedger(path) as store:
            assert store.fact("said") == "last"

    def test_in_peace_it_goes(self, path: Path) -> None:
        """One who ends in peace leaves the file alone, and it can be copied without another."""
        with SqliteLedger(path) as store, store.at_work():
            assert store.fact(Fact.AT_WORK)
        assert {file.name for file in path.parent.iterdir()} == {"ledger.sqlite", "ledger.sqlite-mark"}
        with SqliteLedger(path, read_only=True) as store:
            assert store.fact(Fact.AT_WORK) is None

    def test_a_copy_of_the_folder_after_a_kill_is_whole(self, path: Path, tmp_path: Path) -> None:
        """Whoever copies all files of the folder has the run."""
        killed(path)
        shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
        with SqliteLedger(tmp_path / "copy" / "ledger.sqlite", read_only=True) as store:
            assert store.fact("said") == "last"


class TestMark:
    @pytest.mark.parametrize("harm", ["emptied", "shortened", "spoilt"])
    def test_commits_that_its_side_file_has_lost_are_missed(self, path: Path, harm: str) -> None:
        """SQLite takes a side file that was cut short or spoilt for one that ends there."""
        filled(path, tasks=3)
        killed(path)
        side = path.with_name("ledger.sqlite-wal")
        held = side.read_bytes()
        side.write_bytes({"emptied": b"", "shortened": held[: len(held) // 2], "spoilt": b"x" * len(held)}[harm])
        with pytest.raises(DamagedLedgerError, match="what was written last is missing"):
            SqliteLedger(path)
        with pytest.raises(DamagedLedgerError):
            SqliteLedger(path, read_only=True)

    def test_an_older_copy_put_back_is_noticed(self, path: Path) -> None:
        """A copy knows nothing of what was paid for since."""
        filled(path)
        copy = shutil.copy(path, path.with_name("copy"))
        with SqliteLedger(path) as store, store.transaction(durable=True):
            store.state({"mood": "stormy"})
        shutil.copy(copy, path)
        with pytest.raises(DamagedLedgerError, match="what was written last is missing"):
            SqliteLedger(path)

    def test_a_pipe_in_its_place_is_no_mark(self, path: Path) -> None:
        """To open it would wait for somebody at its other end."""
        mark = path.with_name("ledger.sqlite-mark")
        os.mkfifo(mark)
        with SqliteLedger(path) as store, store.transaction(durable=True):
            store.state({"mood": "calm"})
        with SqliteLedger(path, read_only=True) as store:
            assert store.facts() == {"mood": "calm"}
        assert mark.is_fifo()

    @pytest.mark.parametrize("words", [None, b"", b"many", b"-1", b"00000000000000000001"])
    def test_a_mark_that_says_less_is_no_damage(self, path: Path, words: bytes | None) -> None:
        """It is written after the commit that it tells of, so a kill leaves it behind."""
        with SqliteLedger(path) as store:
            for mood in ("calm", "stormy"):
                with store.transaction(durable=True):
                    store.state({"mood": mood})
        mark = path.with_name("ledger.sqlite-mark")
        assert int(mark.read_bytes()) == 2
        mark.unlink()
        if words is not None:
            mark.write_bytes(words)
        with SqliteLedger(path) as store:
            assert store.facts() == {"mood": "stormy"}


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open cannot be deleted there")
def test_another_process_that_has_looked_takes_nothing_away(tmp_path: Path) -> None:
    """It would take itself for the last one, if opening the file twice here had dropped the locks of the first time."""
    path = tmp_path / "ledger.sqlite"
    with SqliteLedger(path) as store:
        with store.transaction(durable=True):
            store.state({"said": "first"})
        side = path.with_name("ledger.sqlite-wal")
        before = side.stat().st_ino
        SqliteLedger(path).close()
        look = (
            "import sys, pathlib; from orchestrator.ledger import SqliteLedger; SqliteLedger(pathlib.Path(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", f"{look}.close()", path], check=True, timeout=30)
        assert side.stat().st_ino == before
        with store.transaction(durable=True):
            store.state({"said": "last"})
        with SqliteLedger(path, read_only=True) as later:
            assert later.fact("said") == "last"
