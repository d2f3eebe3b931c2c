"""The ledger on one machine: an SQLite file, written by one process, readable by its owner only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from orchestrator.ledger import moves, rows, sums
from orchestrator.ledger.errors import DamagedLedgerError, LedgerError, NotALedgerError
from orchestrator.ledger.naming import Fact
from orchestrator.ledger.opening import LedgerFile, commits_of
from orchestrator.ledger.totals import Entered, Reason, Totals
from orchestrator.ledger.versions import STEPS, Step
from orchestrator.lifecycle import FINAL, Record, State
from orchestrator.tasks import Task

CHUNK: Final = 500
WALK_KILOBYTES: Final = 256
CHECKED_BYTES: Final = 2**26
"""Up to this size (about 65,000 tasks) a ledger is looked through before it is worked with, in a tenth of a second;
what is damaged in a larger one is found where it is read."""

_SELECT_TASKS: Final = (
    f"SELECT {rows.TASK_COLUMNS}, {rows.ATTEMPT_COLUMNS} FROM tasks LEFT JOIN attempts ON task = id"  # noqa: S608 - constants only
    " AND number = (SELECT max(number) FROM attempts WHERE task = id)"
)
_FINISHED: Final = "+state IN ('done', 'failed', 'cancelled')"
"""With `+` these tasks are sought by place: by state, each chunk would sort all that come after it."""
TASK_WIDTH: Final = rows.TASK_COLUMNS.count(",") + 1


class SqliteLedger:
    """Synchronous access to one ledger file; every call may block on the disk."""

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        run_folder: Path | None = None,
        steps: Sequence[Step] = STEPS,
    ) -> None:
        """Open a ledger, and make it where there is none.

        Args:
            path: The file.
            read_only: Whether nothing is to be written; an older ledger is then read as if it were up to date.
            run_folder: Whose ledger it is; the folder that it lies in, if not given.
            steps: The versions there are.

        Raises:
            NotALedgerError: The file is damaged, or of a later version, or (read only) is not there.
            LedgerError: The file cannot be opened.
        """
        self.path = path
        self._file = LedgerFile(path, run_folder or path.parent)
        self._durable: bool | None = None
        if read_only and not path.is_file():
            raise NotALedgerError(f"{path.parent} is not a run folder: it holds no {path.name}.")
        self._db = self._file.connected(read_only=read_only, steps=steps)
        self._standing = self._file.standing()
        self._commits = commits_of(self._db)
        self._may_be_stamped = True
        self._has_dropped: bool | None = None
        self._open = True

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._open:
            self._open = False
            self._file.close(self._db)

    def check(self) -> None:
        """Look through the whole file, unless it is so large that this would take long.

        Raises:
            DamagedLedgerError: It is not what was written.
        """
        if self.path.stat().st_size > CHECKED_BYTES:
            return
        with self._file.translated():
            said = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise DamagedLedgerError(self.path, str(said).splitlines()[-1], self._file.run_folder)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let it be known in the file itself, while the block runs, that its side file must not be missing."""
        with self.transaction(durable=True):
            self.state({Fact.AT_WORK: "1"})
        with self._file.translated():
            self._db.execute("PRAGMA wal_checkpoint")
        try:
            yield
        finally:
            with suppress(LedgerError), self.transaction(durable=False):
                self.state({Fact.AT_WORK: None})

    def frozen(self) -> SqliteLedger:
        """Open the file once more, to be read as it is now whatever is committed later."""
        other = SqliteLedger(self.path, read_only=True, run_folder=self._file.run_folder)
        with other._file.translated():
            other._db.execute("BEGIN")
            other._db.execute("SELECT 1 FROM facts").fetchone()  # fixes the moment
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Writing

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """Commit what the block writes as one; `durable` waits until it is on the disk.

        Raises:
            LedgerError: It could not be written, or was, and nobody finds it: the file that is open has lost its name.
        """
        with self._file.translated():
            if durable is not self._durable:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                if durable:
                    self._commits += 1
                    self.state({Fact.COMMITS: str(self._commits)})
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have rolled it back already
                    self._db.execute("ROLLBACK")
                self._may_be_stamped, self._has_dropped = True, None
                raise
        self._file.stand(self._standing)
        if durable:
            self._file.note(self._commits)

    def enter(self, tasks: Sequence[Task], edition: int, rank: int) -> Entered:
        """Write tasks down as the job file now has them; what already happened to them stays.

        Args:
            tasks: A few hundred, in the order in which they are to be submitted.
            edition: Grows with each change of the job file.
            rank: The first one's place in that order.
        """
        identities = [task.id for task in tasks]
        known = self._db.execute(
            f"SELECT state, place IS NULL FROM tasks WHERE id IN ({_marks(identities)})",  # noqa: S608 - question marks only
            identities,
        ).fetchall()
        self._db.executemany(
            "INSERT INTO tasks (id, place, rank, edition, state, spec) VALUES (?, ?, ?, ?, 'pending', ?)"
            " ON CONFLICT (id) DO UPDATE SET place = excluded.place, rank = excluded.rank,"
            " edition = excluded.edition, spec = excluded.spec",
            ((task.id, task.index, at, edition, rows.spec(task)) for at, task in enumerate(tasks, rank)),
        )
        if known:
            self.state({Fact.MANIFEST: None})
        return Entered(len(tasks) - len(known), Counter(State(state) for state, dropped in known if dropped))

    def drop_all_but(self, edition: int) -> bool:
        """Forget tasks of earlier editions that were never submitted; keep the others without a place.

        Returns:
            Whether there were any.
        """
        forgotten = self._db.execute(
            "DELETE FROM tasks WHERE edition < ? AND state = 'pending' AND tries = 0", (edition,)
        )
        kept = self._db.execute(
            "UPDATE tasks SET place = NULL, rank = NULL WHERE edition < ? AND place IS NOT NULL", (edition,)
        )
        if kept.rowcount:
            self._has_dropped = True
            self.state({Fact.MANIFEST: None})
        return forgotten.rowcount + kept.rowcount > 0

    def save(self, before: Record, after: Record) -> bool:
        """Write down one move of one task.

        Returns:
            Whether the job file no longer holds the task.

        Raises:
            ConflictError: The ledger holds the task in another state than `before`; nothing was written.
            ClaimedError: The remote task belongs to another task; nothing was written.
        """
        moves.write(self._db, before, after)
        if before.state in FINAL or after.state in FINAL:
            self.state({Fact.MANIFEST: None})
        return self._is_dropped(after.task.id)

    def state(self, facts: Mapping[str, str | None]) -> None:
        """Set facts; None removes one."""
        for name, value in facts.items():
            if name == Fact.MANIFEST:
                if value is None and not self._may_be_stamped:
                    continue
                self._may_be_stamped = value is not None
            if value is None:
                self._db.execute("DELETE FROM facts WHERE name = ?", (name,))
            else:
                self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def count(self, counts: Mapping[str, int]) -> None:
        """Add to counters."""
        self._db.executemany(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            counts.items(),
        )

    def refill(self, table: str, columns: str, found: Iterable[rows.Row]) -> int:
        """Write rows as they are, unless they are there already, and return how many were written."""
        marks = ", ".join("?" * (columns.count(",") + 1))
        query = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - constants only
        return self._db.executemany(query, found).rowcount

    # Reading

    def facts(self) -> dict[str, str]:
        """Return every fact but the count of commits, which is the ledger's own."""
        with self._file.translated(), self._file.understood():
            found = self._db.execute("SELECT name, value FROM facts WHERE name <> ?", (Fact.COMMITS,)).fetchall()
            return {rows.text(name): rows.text(value) for name, value in found}

    def fact(self, name: str) -> str | None:
        """Return one fact, None where it was never set."""
        with self._file.translated(), self._file.understood():
            found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return None if found is None else rows.text(found[0])

    def totals(self) -> Totals:
        """Add up the whole ledger: a scan of an index and one of the attempts, about 0.1 s for 200,000 tasks."""
        with self._file.translated(), self._file.understood():
            return sums.totals(self._db)

    def pending(self, edition: int, after_rank: int, count: int) -> tuple[list[Record], int]:
        """Return up to `count` pending tasks of an edition beyond a rank, in order, and the rank of the last one."""
        query = "SELECT id, rank FROM tasks WHERE state = 'pending' AND rank > ? AND edition = ? ORDER BY rank LIMIT ?"
        with self._file.translated():
            found = self._db.execute(query, (after_rank, edition, count)).fetchall()
        identities = [identity for identity, _ in found]
        records = self._records(f"WHERE id IN ({_marks(identities)}) ORDER BY rank", identities)
        return records, found[-1][1] if found else after_rank

    def unfinished(self, most: int = -1) -> list[Record]:
        """Return the tasks that are submitting, running or fetching, dropped ones too, in order; the first few or all.

        They are sought by state, even where few are wanted: by place there may be a million before them.
        """
        clause = "WHERE state IN ('submitting', 'running', 'fetching') ORDER BY +place LIMIT ?"
        return self._requested(clause, (most,))

    def intents(self) -> list[Record]:
        """Return every task whose request is about to be sent, is out or is in doubt."""
        return self._requested("WHERE state = 'submitting' ORDER BY place")

    def finished(self, chunk: int = CHUNK, *, undone: bool = False) -> Iterator[Record]:
        """Yield every failed or cancelled task, and done ones too or not, in the order of places, dropped ones last."""
        yield from self._stream("+state IN ('failed', 'cancelled')" if undone else _FINISHED, chunk)

    def places(self) -> Iterator[tuple[str, int | None]]:
        """Yield id and place of what `finished` yields, dropped tasks first."""
        with self._file.translated():
            self._db.execute(f"PRAGMA cache_size = {-WALK_KILOBYTES}")  # of what was passed nothing is needed again
            yield from self._db.execute(rows.PLACES)

    def everything(self, chunk: int = CHUNK) -> Iterator[Record]:
        """Yield every task in the order of places, dropped ones last."""
        yield from self._stream("1", chunk)

    def usual_seconds(self) -> float | None:
        """Return how long the service has worked on a task on average, None where it has not said."""
        with self._file.translated():
            return sums.usual_seconds(self._db)

    def records(self, identities: Sequence[str]) -> dict[str, Record]:
        """Return those of the given tasks (at most `CHUNK`) that the ledger knows, by id."""
        return {record.task.id: record for record in self._records(f"WHERE id IN ({_marks(identities)})", identities)}

    def edition(self, identity: str) -> int | None:
        """Return the edition of the job file that last held a task, None where the ledger does not know it."""
        with self._file.translated():
            found = self._db.execute("SELECT edition FROM tasks WHERE id = ?", (identity,)).fetchone()
        return None if found is None else int(found[0])

    def failures(self, most: int) -> list[Reason]:
        """Return the most frequent reasons of failed tasks."""
        with self._file.translated(), self._file.understood():
            return sums.failures(self._db, most)

    def paid_in_vain(self) -> tuple[int, Decimal]:
        """Return how many failed or cancelled tasks were paid for all the same, and what they have cost."""
        with self._file.translated(), self._file.understood():
            return sums.paid_in_vain(self._db)

    def was_billed(self, identity: str) -> bool:
        """Return whether any request of a task has cost something."""
        return bool(self._texts("SELECT 1 FROM attempts WHERE task = ? AND cost > 0", (identity,)))

    def done_with(self, prefix: str) -> int:
        """Return how many done tasks there are of which a fact is kept that is named by this and their id."""
        with self._file.translated():
            return sums.done_with(self._db, prefix)

    def states(self, identities: Sequence[str]) -> dict[str, State]:
        """Return the states of those of the given tasks (at most `CHUNK`) that the ledger knows."""
        query = f"SELECT id, state FROM tasks WHERE id IN ({_marks(identities)})"  # noqa: S608 - question marks only
        with self._file.translated(), self._file.understood():
            found = self._db.execute(query, tuple(identities))
            return {identity: State(state) for identity, state in found}

    def claimed(self, remote_ids: Sequence[str]) -> set[str]:
        """Return those of the given remote ids (at most `CHUNK`) that belong to tasks of ours."""
        query = f"SELECT remote_id FROM attempts WHERE remote_id IN ({_marks(remote_ids)})"  # noqa: S608 - question marks only
        return set(self._texts(query, tuple(remote_ids)))

    def claims(self, since: float) -> str:
        """Return the remote ids of tasks of ours that were sent at a moment (unix seconds) or later, a line each."""
        query = "SELECT coalesce(group_concat(remote_id, char(10)), '') FROM attempts WHERE intent_at >= ?"
        return self._texts(query, (since,))[0]

    def known_to_exist(self, limit: int) -> list[str]:
        """Return remote ids: of the tasks of ours that were sent last, the latest first, and of one older than all."""
        older = "SELECT newest_known FROM attempts WHERE newest_known != '0' ORDER BY intent_at, task LIMIT 1"
        return self.last_sent(0, float("inf"), limit) + self._texts(older)

    def last_sent(self, since: float, until: float, limit: int) -> list[str]:
        """Return remote ids of tasks of ours that were sent between two moments (unix seconds), the latest first."""
        sent = "SELECT remote_id FROM attempts WHERE remote_id NOT NULL AND intent_at BETWEEN ? AND ?"
        return self._texts(f"{sent} ORDER BY intent_at DESC, task LIMIT ?", (since, until, limit))

    # Within

    def _texts(self, query: str, values: Sequence[object] = ()) -> list[str]:
        with self._file.translated():
            return [str(row[0]) for row in self._db.execute(query, tuple(values))]

    def _stream(self, condition: str, chunk: int) -> Iterator[Record]:
        place, identity = -1, ""
        while batch := self._records(  # two tasks share a place while an edition is only partly entered
            f"WHERE {condition} AND (place, id) > (?, ?) ORDER BY place, id LIMIT ?", (place, identity, chunk)
        ):
            yield from batch
            place, identity = batch[-1].task.index, batch[-1].task.id
        identity = ""
        while batch := self._records(
            f"WHERE {condition} AND place IS NULL AND id > ? ORDER BY id LIMIT ?", (identity, chunk)
        ):
            yield from batch
            identity = batch[-1].task.id

    def _records(self, clause: str, values: Sequence[object]) -> list[Record]:
        with self._file.translated():
            found = self._db.execute(f"{_SELECT_TASKS} {clause}", values).fetchall()
            outputs: dict[str, list[rows.Row]] = {}
            for start in range(0, len(found), CHUNK):
                identities = [row[0] for row in found[start : start + CHUNK]]
                for identity, *output in self._db.execute(
                    f"SELECT task, {rows.OUTPUT_COLUMNS} FROM outputs WHERE task IN ({_marks(identities)})"  # noqa: S608 - constants only
                    " ORDER BY task, number",
                    identities,
                ):
                    outputs.setdefault(identity, []).append(tuple(output))
        with self._file.understood():
            return [rows.record(row[:TASK_WIDTH], row[TASK_WIDTH:], outputs.get(row[0], ())) for row in found]

    def _requested(self, clause: str, values: Sequence[object] = ()) -> list[Record]:
        """Return tasks whose state says that there is a request."""
        found = self._records(clause, values)
        with self._file.understood():
            for record in found:
                if record.sent.remote_id is None and record.state is not State.SUBMITTING:
                    raise ValueError(f"{record.task.id} is {record.state} without a remote task")
        return found

    def _is_dropped(self, identity: str) -> bool:
        """Return whether the job file no longer holds a task; nobody is asked where it never dropped one."""
        if self._has_dropped is None:
            found = self._db.execute("SELECT 1 FROM tasks WHERE place IS NULL LIMIT 1").fetchone()
            self._has_dropped = found is not None
        if not self._has_dropped:
            return False
        found = self._db.execute("SELECT place IS NULL FROM tasks WHERE id = ?", (identity,)).fetchone()
        return bool(found[0])


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
