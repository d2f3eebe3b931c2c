from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from child import child

from orchestrator.errors import Exit, LockedError, RefusedError
from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.ledger import DamagedLedgerError, NotALedgerError, SqliteLedger
from orchestrator.runs import Binding, RunFolder
from orchestrator.simulation.disk import Disk
from orchestrator.sweep import Job, Schema, load

TOOL = json.loads((Path(__file__).parent / "recordings" / "tool_detail_studio_trigger.json").read_text())["tool"][0]
FACTS = {"source": "/jobs/harbour.yaml", "service": "https://api.wiro.ai/v1", "account": "a1b2c3"}
WHOLE = {**FACTS, "job": "{}", "tool": "{}", "model": "a/b", "edition": "1", "total": "4", "started_at": "1.5"}
HOLD = """
import sys
from pathlib import Path
from orchestrator.runs import RunFolder
with RunFolder(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "outputs" / "harbour")
    folder.make()
    return folder


def test_everything_lies_where_the_contract_says(tmp_path: Path) -> None:
    """The names in a run folder are fixed."""
    folder = RunFolder(tmp_path)
    paths = (folder.job, folder.ledger, folder.manifest, folder.files, folder.log)
    assert [path.name for path in paths] == ["job.yaml", "ledger.sqlite", "manifest.jsonl", "files", "run.log"]
    assert {path.parent for path in (*paths, folder.emulator)} == {tmp_path}


def test_making_a_folder_makes_its_parents(folder: RunFolder) -> None:
    """The folder stands with room for the outputs and nothing else; making it again changes nothing."""
    folder.make()
    assert [path.name for path in folder.path.iterdir()] == ["files"]
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """Where a file stands in the way, nothing is submitted."""
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match="Choose another with --out") as raised:
        RunFolder(tmp_path / "file" / "run").make()
    assert raised.value.exit_code is Exit.REFUSED


def test_one_process_works_in_a_folder(folder: RunFolder) -> None:
    """While another process holds the folder it is refused with 75 and seen to be held; afterwards it is free."""
    assert not folder.is_held()
    command = [sys.executable, "-c", HOLD, str(folder.path)]
    with child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert folder.is_held()
        with pytest.raises(LockedError, match=f"orchestrator status {folder.path}") as raised, folder.held():
            raise AssertionError
        assert raised.value.exit_code is Exit.LOCKED
        process.kill()
        process.wait(20)
    assert not folder.is_held()
    with folder.held():
        assert folder.is_held()


def test_a_folder_is_let_go_of_after_an_error(folder: RunFolder) -> None:
    """However the work ends, the next one can begin."""

    def fail() -> None:
        with folder.held():
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with folder.held():
        pass


def test_somebody_who_only_looks_holds_nobody_up(folder: RunFolder) -> None:
    """A look at a folder leaves it free, and the lock is for its owner only."""
    with folder.held():
        pass
    assert not folder.is_held()
    with folder.held():
        assert stat.S_IMODE((folder.path / ".lock").stat().st_mode) == 0o600


def test_looking_makes_nothing(tmp_path: Path) -> None:
    """Neither a folder nor a lock appears because somebody asked."""
    assert not RunFolder(tmp_path / "missing").is_held()
    assert not RunFolder(tmp_path).is_held()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_used_is_refused(folder: RunFolder) -> None:
    """Where it cannot be found out who is at work, nobody works."""
    (folder.path / ".lock").mkdir()
    with pytest.raises(RefusedError, match="cannot be locked"), folder.held():
        raise AssertionError
    assert not folder.is_held()


def test_where_no_run_is_it_is_said_where_some_are(tmp_path: Path) -> None:
    """Whoever names the folder of all runs, or misspells one, is told how to go on."""
    with pytest.raises(NotALedgerError, match=r"gone is not a run folder: there is no such folder\.$"):
        RunFolder(tmp_path / "gone").opened()
    for number in range(7):
        (tmp_path / f"run-{number}").mkdir()
        SqliteLedger(tmp_path / f"run-{number}" / "ledger.sqlite").close()
    (tmp_path / "other").mkdir()
    with pytest.raises(NotALedgerError, match=r"Those in it are \S+run-0, .*\S+run-4 and 2 more\.$"):
        RunFolder(tmp_path).opened()


def test_a_ledger_is_opened_to_read(folder: RunFolder) -> None:
    """A folder without a ledger is no run folder; with one it is read."""
    with pytest.raises(NotALedgerError, match=f"{folder.path} is not a run folder"):
        folder.opened()
    with SqliteLedger(folder.ledger) as store, store.transaction(durable=False):
        store.state(WHOLE)
    assert folder.exists()
    with folder.opened() as store:
        assert store.facts() == WHOLE


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    """What it belongs to comes back from the facts and is welcome."""
    binding = Binding(**FACTS)
    assert binding.facts() == FACTS
    binding.check({**FACTS, "edition": "3"}, tmp_path, "Do this.")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("source", "belongs to the job file /other"),
        ("service", "belongs to the service /other"),
        ("account", "belongs to the account whose key has the fingerprint /other"),
    ],
)
def test_another_job_service_or_account_is_refused(tmp_path: Path, name: str, words: str) -> None:
    """Each of the three is named with both sides and what to do."""
    with pytest.raises(RefusedError, match=words) as raised:
        Binding(**FACTS).check({**FACTS, name: "/other"}, tmp_path, "Do this.")
    assert f"not {FACTS[name]}" in str(raised.value)
    assert str(raised.value).endswith("Do this.")


def test_the_kept_job_comes_back(tmp_path: Path) -> None:
    """The resolved job and the frozen schema are read from the ledger's facts, never from the source."""
    path = tmp_path / "job.yaml"
    path.write_text(
        "model: Hevok/Studio-Trigger\nsweep: {prompt: [a boat, a pier], seed: {random: 2, from: 1, to: 9}}\n"
    )
    job = load(path, today=datetime(2026, 11, 22, tzinfo=UTC)).resolve(Schema.from_tool(TOOL))
    path.unlink()
    facts = {"job": json.dumps(job.to_json()), "tool": json.dumps(TOOL)}
    kept = resolved_job(facts)
    assert isinstance(kept, Job)
    assert [task.id for task in kept.tasks()] == [task.id for task in job.tasks()]
    assert kept.total() == 4
    assert frozen_tool(facts) == TOOL


@pytest.mark.parametrize("facts", [{}, {"job": "{"}, {"job": "{}"}, {"job": '{"recipe": 7}'}])
def test_a_job_that_cannot_be_read_is_refused(facts: dict[str, str]) -> None:
    """What this version cannot read is a sentence, not a traceback."""
    with pytest.raises(RefusedError, match="job that the run folder keeps cannot be read"):
        resolved_job(facts)


def nowhere(_: Path) -> str | None:
    return None


class TestTheLedgersPlace:
    def test_a_network_file_system_is_refused(self, tmp_path: Path) -> None:
        """A ledger there could not be kept safe: the message names the way out."""
        with pytest.raises(RefusedError, match=r"network file system \(nfs4\).*--state DIR") as raised:
            RunFolder(tmp_path / "run").make(network=lambda _: "nfs4")
        assert raised.value.exit_code is Exit.REFUSED

    def test_it_can_lie_elsewhere(self, tmp_path: Path) -> None:
        """Ledger and lock go into a folder of the run's own; whoever opens the run folder finds them."""
        folder = RunFolder(tmp_path / "share" / "run")
        local = tmp_path / "local"
        for _ in range(2):
            folder.make(local, network=lambda path: None if path.is_relative_to(local) else "nfs4")
        with folder.held(), folder.written() as store, store.transaction(durable=True):
            store.state(WHOLE)
        again = RunFolder(folder.path)
        assert again.ledger.parent.parent == local
        assert stat.S_IMODE(again.state.stat().st_mode) == 0o700
        assert {path.name for path in again.state.iterdir()} == {"ledger.sqlite", "ledger.sqlite-mark", ".lock"}
        assert {path.name for path in folder.path.iterdir()} == {"files", "ledger.path"}
        with again.opened() as store:
            assert store.facts() == WHOLE

    def test_a_power_cut_leaves_the_way_there(self, tmp_path: Path) -> None:
        """Without it the ledger, and with it all that was paid for, would seem to be missing."""
        folder, disk = RunFolder(tmp_path / "outputs" / "run"), Disk(tmp_path)
        with disk.watched():
            folder.make(tmp_path / "local", network=nowhere)
            state = folder.state
            disk.unplugged(lambda _: 0.3)()
        assert folder.state == state
        assert state.is_dir()

    def test_two_runs_of_one_name_do_not_meet(self, tmp_path: Path) -> None:
        """Each run folder has a folder of its own below `--state`."""
        first, second = RunFolder(tmp_path / "a" / "run"), RunFolder(tmp_path / "b" / "run")
        for folder in (first, second):
            folder.make(tmp_path / "local", network=nowhere)
        assert first.state != second.state

    def test_it_does_not_move(self, tmp_path: Path) -> None:
        """A run whose ledger lies somewhere already is not begun anew elsewhere."""
        folder = RunFolder(tmp_path / "run")
        folder.make(tmp_path / "local", network=nowhere)
        with pytest.raises(RefusedError, match=r"lies in .*local.* already: leave --state out"):
            folder.make(tmp_path / "other", network=nowhere)
        inside = RunFolder(tmp_path / "inside")
        inside.make(network=nowhere)
        inside.written().close()
        with pytest.raises(RefusedError, match="lies in the run folder already"):
            inside.make(tmp_path / "local", network=nowhere)


class TestALedgerThatHasGone:
    @pytest.mark.parametrize("trace", ["manifest.jsonl", "run.log", "ledger.path"])
    @pytest.mark.parametrize("content", [None, b""])
    def test_a_run_is_not_begun_anew(self, folder: RunFolder, trace: str, content: bytes | None) -> None:
        """Where anything shows that a run has been here, a missing or empty ledger is a damaged one."""
        (folder.path / trace).write_text(str(folder.path / "gone") if trace == "ledger.path" else "{}\n")
        if content is not None and trace != "ledger.path":
            folder.ledger.write_bytes(content)
        assert folder.exists()
        for opening in (folder.opened, folder.written):
            with pytest.raises(DamagedLedgerError, match=r"it is (missing|empty).*orchestrator recover"):
                opening()

    @pytest.mark.parametrize("words", [b"", b"\xff\xfe", b"/a\0b", b"gone", b"\n\n", None])
    def test_a_word_of_its_place_that_is_none(self, folder: RunFolder, words: bytes | None) -> None:
        """It leads nowhere, and tells all the same that there has been a ledger."""
        if words is None:
            os.mkfifo(folder.pointer)
        else:
            folder.pointer.write_bytes(words)
        for opening in (folder.opened, folder.written):
            with pytest.raises(DamagedLedgerError, match=r"it is missing.*orchestrator recover"):
                opening()

    def test_a_kill_at_the_very_beginning_is_no_damage(self, folder: RunFolder) -> None:
        """An empty ledger in a folder without anything else is filled by the next run."""
        folder.ledger.touch()
        folder.written().close()
        assert folder.ledger.stat().st_size
