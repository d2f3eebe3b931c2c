from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest

from orchestrator.ledger import DamagedLedgerError, Fact, SqliteLedger
from orchestrator.lifecycle import Ending, Failure, Output, Record
from orchestrator.output import manifest, witness
from orchestrator.tasks import Task

MODEL = "Hevok/Studio-Trigger"
PAID = Ending("task_postprocess_end", 0, Decimal("0.014"), 6.0, 30.0)
UNPAID = Ending("task_postprocess_end", 1, Decimal(0), 6.0, 30.0)


def running(number: int, name: str, prompt: str = "x") -> Record:
    task = Task("abcdefghijklmnopqrstuvw" + "abcdef"[number], number, {"prompt": prompt}, {}, {}, "x")
    return Record(task).intended(1.0, Decimal("0.02"), None).accepted(name, "token", 2.0)


def done(number: int, name: str, prompt: str = "x") -> Record:
    output = Output(f"files/{number}-0.png", None, "image/png", 3, "0" * 64)
    return running(number, name, prompt).succeeded(PAID).delivered((output,), (), 40.0)


def failed(number: int, name: str) -> Record:
    return running(number, name).failed(Failure("model", "It broke."), 40.0, UNPAID)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteLedger]:
    """A ledger of four tasks: one done, one failed, one that runs and one that was never sent."""
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        with ledger.transaction(durable=False):
            records = [done(0, "5000"), failed(1, "5001"), running(2, "5002"), running(3, "5003")]
            ledger.enter([record.task for record in records], 1, 0)
            for record in records[:3]:
                ledger.save(Record(record.task), record)
        yield ledger


def heard(store: SqliteLedger, *records: Record, text: str | None = None) -> None:
    """Let the ledger hear a manifest with these lines, or with this text."""
    path = store.path.with_name(manifest.NAME)
    path.write_text("".join(manifest.line(record, MODEL) for record in records) if text is None else text)
    witness.hear(path, store, store.path.parent)


@pytest.mark.parametrize(
    "line",
    [done(1, "5007"), done(2, "5007"), done(3, "5007"), failed(3, "5007"), done(4, "5007")],
    ids=["tried again since", "sent again since", "sent since", "failed since", "entered since"],
)
def test_a_line_of_a_task_that_the_ledger_does_not_know_proves_it_old(store: SqliteLedger, line: Record) -> None:
    with pytest.raises(DamagedLedgerError, match=r"it is an older copy, .* task 5007, .*orchestrator recover"):
        heard(store, done(0, "5000"), line)


def test_lines_of_tasks_that_the_ledger_knows_prove_nothing(store: SqliteLedger) -> None:
    """Its last commits may be missing after a power cut, the names of the service's tasks never are."""
    heard(
        store,
        done(0, "5000"),
        failed(1, "5001"),
        done(2, "5002"),
        Record(done(3, "").task).unready(Failure("upload", "Gone."), 9.0),
    )


@pytest.mark.parametrize("newer", [(), ("-wal",), ("-mark",), ("-wal", "-mark")], ids=" ".join)
def test_an_older_copy_is_made_no_newer_by_what_lies_beside_it(tmp_path: Path, newer: tuple[str, ...]) -> None:
    """A run that was killed has left it there: SQLite believes it, and it tells of the last commits alone."""
    old, kept = tmp_path / "ledger.sqlite", tmp_path / "kept"
    kept.mkdir()
    records = [
        Record(Task(f"{'a' * 20}{one}{two}", place, {"prompt": "x" * 500}, {}, {}, "x"))
        for place, (one, two) in enumerate(product("abcdefghijklmnop", repeat=2))
    ]

    def end(store: SqliteLedger, number: int) -> Record:
        sent = records[number].intended(1.0, Decimal("0.02"), None).accepted(f"{5000 + number}", "token" * 20, 2.0)
        ended = sent.failed(Failure("model", "It broke."), 40.0, UNPAID)
        with store.transaction(durable=True):
            store.save(records[number], ended)
        return ended

    with SqliteLedger(old) as store, closing(sqlite3.connect(old)) as other:
        with store.transaction(durable=False):
            store.enter([record.task for record in records], 1, 0)
        for number in range(20, len(records)):
            end(store, number)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(old, kept)
        lines = [end(store, number) for number in range(19)]
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        end(store, 19)
        for suffix in newer:
            shutil.copy(f"{old}{suffix}", kept)
    (kept / manifest.NAME).write_text("".join(manifest.line(each, MODEL) for each in lines))

    def opened() -> None:
        with SqliteLedger(kept / old.name) as store:
            store.check()
            witness.hear(kept / manifest.NAME, store, kept)

    with pytest.raises(DamagedLedgerError):
        opened()


def test_what_is_done_is_not_done_anew(store: SqliteLedger) -> None:
    """A line that names another task of the service for it is damaged."""
    heard(store, done(0, "5900"))


def test_words_of_a_prompt_are_no_witness(store: SqliteLedger) -> None:
    heard(store, done(0, "5000", prompt='"remote": {"task_id": "5007", "task": "aaa"'))


def test_a_line_that_is_cut_short_or_spoilt_says_nothing(store: SqliteLedger) -> None:
    line = manifest.line(done(3, "5007"), MODEL)
    heard(store, text=f"{line[:120]}\n\0\0\n[]\n{line.replace('task', 'tusk')}")


def test_another_program_may_have_written_the_lines_anew(store: SqliteLedger) -> None:
    with pytest.raises(DamagedLedgerError):
        heard(store, text=json.dumps(json.loads(manifest.line(done(3, "5007"), MODEL)), separators=(",", ":")))


def test_a_manifest_as_the_ledger_left_it_is_not_read(store: SqliteLedger) -> None:
    path = store.path.with_name(manifest.NAME)
    path.write_text(manifest.line(done(3, "5007"), MODEL))
    with store.transaction(durable=False):
        store.state({Fact.MANIFEST: manifest.stamp(path)})
    witness.hear(path, store, store.path.parent)


def test_a_ledger_made_anew_has_heard_it(store: SqliteLedger) -> None:
    """What it did not believe then is no proof now; what is added later is."""
    path = store.path.with_name(manifest.NAME)
    path.write_text(manifest.line(done(3, "5007"), MODEL))
    with store.transaction(durable=False):
        store.state({Fact.HEARD: manifest.stamp(path)})
    witness.hear(path, store, store.path.parent)
    manifest.append(path, [manifest.line(done(1, "5008"), MODEL)])
    with pytest.raises(DamagedLedgerError):
        witness.hear(path, store, store.path.parent)


def test_every_line_is_read(store: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever one part ends and the next begins, and however many lines say the same."""
    known = [done(0, "5000"), failed(1, "5001"), done(2, "5002"), done(0, "5000")]
    monkeypatch.setattr(witness, "CHUNK", 2)
    for block in (1, 700, 2**18):
        monkeypatch.setattr(witness, "BLOCK", block)
        heard(store, *known)
        for place in range(len(known)):
            with pytest.raises(DamagedLedgerError, match="task 5007"):
                heard(store, *known[:place], done(3, "5007"), *known[place:])


def test_a_line_that_is_torn_hides_no_other(store: SqliteLedger) -> None:
    """A kill may leave a part of one."""
    torn, whole = manifest.line(done(2, "5002"), MODEL), manifest.line(done(3, "5007"), MODEL)
    for end in range(0, len(torn), 7):
        with pytest.raises(DamagedLedgerError, match="task 5007"):
            heard(store, text=f"{torn[:end]}\n{whole}")


def test_a_line_that_is_torn_is_no_witness(store: SqliteLedger) -> None:
    """What is left of a name is another task's."""
    torn = manifest.line(done(2, "5002"), MODEL)
    for end in range(0, len(torn), 7):
        heard(store, text=torn[:end] + "\n" + manifest.line(done(0, "5000"), MODEL))


def test_nothing_is_no_witness(store: SqliteLedger) -> None:
    witness.hear(store.path.with_name(manifest.NAME), store, store.path.parent)
