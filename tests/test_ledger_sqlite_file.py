"""The ledger's file: whose it is, what is no ledger, what was changed in it, and what it says of the manifest."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from stored import (
    FAILURE,
    UNBILLED,
    done,
    drop_all_but,
    enter,
    everything,
    rows,
    running,
    save,
    task,
)

from orchestrator.errors import Exit
from orchestrator.ledger import (
    DamagedLedgerError,
    Fact,
    LedgerError,
    NotALedgerError,
    SqliteLedger,
)
from orchestrator.lifecycle import Record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteLedger]:
    with SqliteLedger(path) as store:
        yield store


class TestManifestFact:
    """The fact stands only while the manifest can be up to date."""

    @pytest.fixture(autouse=True)
    def finished(self, store: SqliteLedger) -> Record:
        first, self.second, self.third = enter(store, task(0), task(1), task(2))
        finished = done(store, first, "2221")
        self.sent = running(store, self.second, "2222")
        with store.transaction(durable=False):
            store.state({Fact.MANIFEST: "123"})
        return finished

    def test_it_stays_while_nothing_ends(self, store: SqliteLedger) -> None:
        """New tasks, and moves between states that are no ends, leave the manifest as it is."""
        enter(store, task(3), rank=3)
        running(store, self.third, "2223")
        assert not drop_all_but(store, 1)
        assert store.fact(Fact.MANIFEST) == "123"

    def test_an_end_takes_it_away(self, store: SqliteLedger) -> None:
        """It goes with the very commit that a task's end is written in: a kill right after it is noticed."""
        save(store, self.sent, self.sent.failed(FAILURE, 40.0, UNBILLED))
        assert store.fact(Fact.MANIFEST) is None

    def test_another_try_takes_it_away(self, store: SqliteLedger, finished: Record) -> None:
        """A task that leaves its end has no line any more."""
        save(store, finished, finished.refetched())
        assert store.fact(Fact.MANIFEST) is None

    def test_another_edition_takes_it_away(self, store: SqliteLedger) -> None:
        """A task's place may have changed."""
        enter(store, task(0), edition=2)
        assert store.fact(Fact.MANIFEST) is None

    def test_dropping_takes_it_away(self, store: SqliteLedger) -> None:
        """A task that lost its place has another line."""
        assert drop_all_but(store, 2)
        assert store.fact(Fact.MANIFEST) is None

    def test_an_end_takes_it_away_after_one_that_failed(self, store: SqliteLedger) -> None:
        """What a failed transaction took away is there again, and the next end finds it."""
        failed = self.sent.failed(FAILURE, 40.0, UNBILLED)

        def write() -> None:
            with store.transaction(durable=True):
                store.save(self.sent, failed)
                raise LookupError

        with pytest.raises(LookupError):
            write()
        assert store.fact(Fact.MANIFEST) == "123"
        save(store, self.sent, failed)
        assert store.fact(Fact.MANIFEST) is None

    def test_a_stamp_between_two_ends_is_taken_away_too(self, store: SqliteLedger) -> None:
        """The second end of one process finds a stamp that was set after the first one."""
        save(store, self.sent, self.sent.failed(FAILURE, 40.0, UNBILLED))
        with store.transaction(durable=False):
            store.state({Fact.MANIFEST: "456"})
        third = running(store, self.third, "2223")
        save(store, third, third.failed(FAILURE, 40.0, UNBILLED))
        assert store.fact(Fact.MANIFEST) is None


class TestTheFile:
    def test_only_its_owner_reads_it(self, store: SqliteLedger, path: Path) -> None:
        """The file and what SQLite keeps beside it hold tokens: nobody else may read them."""
        enter(store, task(0))
        files = sorted(path.parent.glob("ledger.sqlite*"))
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    def test_it_can_be_opened_again(self, path: Path) -> None:
        """What was written is there after closing; closing twice is closing once."""
        store = SqliteLedger(path)
        enter(store, task(0))
        store.close()
        store.close()
        with SqliteLedger(path) as again:
            assert list(everything(again)) == ["task-000"]

    @pytest.mark.parametrize("read_only", [True, False])
    def test_a_later_version_is_refused(self, path: Path, read_only: bool) -> None:
        """A ledger of a version that is not known yet is not touched."""
        SqliteLedger(path).close()
        rows(path, "PRAGMA user_version = 2")
        with pytest.raises(NotALedgerError, match="later version") as raised:
            SqliteLedger(path, read_only=read_only)
        assert raised.value.exit_code is Exit.REFUSED
        assert rows(path, "PRAGMA user_version") == [(2,)]

    @pytest.mark.parametrize("read_only", [True, False])
    def test_a_version_that_never_was_is_damage(self, path: Path, read_only: bool) -> None:
        """It is for `recover`, as all damage is."""
        SqliteLedger(path).close()
        rows(path, "PRAGMA user_version = -1")
        with pytest.raises(DamagedLedgerError, match="some other database"):
            SqliteLedger(path, read_only=read_only)

    @pytest.mark.parametrize("read_only", [True, False])
    @pytest.mark.parametrize("content", [b"not a ledger\n" * 400, b"SQLite format 3\0" + b"\xff" * 5000])
    def test_garbage_is_refused(self, path: Path, content: bytes, read_only: bool) -> None:
        """A file that is no ledger is named and left as it is."""
        path.write_bytes(content)
        with pytest.raises(
            NotALedgerError, match=f"The ledger {path} is damaged: .* `orchestrator recover {path.parent}`"
        ):
            SqliteLedger(path, read_only=read_only)
        assert path.read_bytes() == content

    def test_reading_makes_nothing(self, tmp_path: Path) -> None:
        """To look into a folder without a ledger is refused, and leaves no file behind."""
        with pytest.raises(NotALedgerError, match=f"{tmp_path} is not a run folder"):
            SqliteLedger(tmp_path / "ledger.sqlite", read_only=True)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_a_kill_left_empty_is_filled(self, path: Path) -> None:
        """An empty file holds no run yet; the next run begins in it."""
        path.touch()
        with pytest.raises(NotALedgerError, match="holds no run yet"):
            SqliteLedger(path, read_only=True)
        with SqliteLedger(path) as store:
            enter(store, task(0))

    def test_a_place_that_cannot_be_written_stops_the_run(self, tmp_path: Path) -> None:
        """Where no file can be made the error names the file and what to do."""
        with pytest.raises(LedgerError, match="run the same command again") as raised:
            SqliteLedger(tmp_path / "missing" / "ledger.sqlite")
        assert raised.value.exit_code is Exit.STOPPED

    def test_a_full_disk_stops_the_run(self, store: SqliteLedger) -> None:
        """When the disk is full nothing of the transaction is there, and all goes on once there is room."""
        enter(store, task(0))
        store._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(LedgerError, match="full"), store.transaction(durable=True):
            store.enter([task(number) for number in range(1, 1000)], 1, 1)
        assert len(everything(store)) == 1
        store._db.execute("PRAGMA max_page_count = 100000")
        enter(store, *(task(number) for number in range(1, 1000)), rank=1)
        assert len(everything(store)) == 1000


class TestRowsThatWereChanged:
    """Each is told as damage, with what to do, by whoever reads it."""

    @pytest.mark.parametrize(
        ("statement", "read"),
        [
            ("INSERT INTO facts VALUES ('total', x'ff')", lambda store: store.facts()),
            ("INSERT INTO facts VALUES ('total', x'ff')", lambda store: store.fact("total")),
            ("INSERT INTO counters VALUES ('calls Run', 'many')", lambda store: store.totals()),
            ("UPDATE attempts SET cost = 'much'", lambda store: store.totals()),
            ("UPDATE attempts SET reserved = 1.5", lambda store: store.unfinished()),
            (
                'UPDATE tasks SET spec = replace(spec, \'"path":"\', \'"path":"../../\')',
                lambda store: store.unfinished(),
            ),
            ("UPDATE tasks SET spec = '" + "[" * 100_000 + "'", lambda store: store.unfinished()),
            ("DELETE FROM attempts", lambda store: store.unfinished()),
            ("UPDATE attempts SET remote_id = NULL", lambda store: store.unfinished()),
            ("UPDATE tasks SET state = 'submitting'; DELETE FROM attempts", lambda store: store.intents()),
        ],
    )
    def test_a_row_of_another_hand(
        self, tmp_path: Path, statement: str, read: Callable[[SqliteLedger], object]
    ) -> None:
        path = tmp_path / "ledger.sqlite"
        with SqliteLedger(path) as store:
            with store.transaction(durable=False):
                store.enter([task(0)], 1, 0)
                store.save(Record(task(0)), sent := Record(task(0)).intended(1.0, Decimal("0.01"), None))
                store.save(sent, sent.accepted("8", "token", 2.0))
            store._db.executescript(statement)
            with pytest.raises(DamagedLedgerError, match="orchestrator recover"):
                read(store)

    def test_a_run_time_that_is_none_is_not_learned_from(self, tmp_path: Path) -> None:
        with SqliteLedger(tmp_path / "ledger.sqlite") as store:
            store._db.execute(
                "INSERT INTO attempts (task, number, intent_at, reserved, elapsed) VALUES ('a', 1, 1, 1, 1e999)"
            )
            assert store.usual_seconds() is None
