"""Whatever becomes of a run folder behind our back: each command ends with a sentence and an exit code of the table."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from harms import STRANGE, Dice, dice, harm_json, harmed_bytes, trials
from hurry import HurriedClock
from PIL import Image

from orchestrator import sense
from orchestrator.cli import app, runs
from orchestrator.engines import doubts, tracking
from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit, OrchestratorError
from orchestrator.ledger import rows
from orchestrator.lifecycle import State
from orchestrator.output import manifest
from orchestrator.reporting import reported
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task
from orchestrator.wiro import Credentials

OUTCOMES: Final = {Exit.DONE, Exit.SOME_FAILED, Exit.REFUSED, Exit.STOPPED}
JOB: Final = {
    "parameters": {"samples": 1},
    "limits": {"settle_after": 5, "requests_per_second": 100, "task_timeout": 60},
    "sweep": {"prompt": ["a boat", {"value": "a pier", "label": "pier"}], "seed": [1, 2, 3]},
}
PROFILE: Final = "queue: [0s, 0s]\nrun: 0s\npicture_bytes: 300\n"
MARKS: Final = {"format": 1, "marks": {"a": {"stars": 5}, "b": {"reject": True}}, "duels": [{"won": "a", "lost": "b"}]}
VICTIM: Final = b"none of the run's business"
SET_OUT: Final = ("run.yaml", "--out", "run", "--emulate")
RECOVER: Final = ("recover", "run", "--progress", "off")
COMMANDS: Final = (
    ("status", "run"),
    ("status", "run", "--json"),
    ("verify", "run"),
    ("gallery", "run"),
    ("export", "run", "--to", "csv,json,zip,sheet", "--force"),
    ("plan", *SET_OUT),
    ("plan", *SET_OUT, "--tasks", "--json"),
    ("cancel", "run"),
    ("retry", "run", "--progress", "off"),
    ("retry", "run", "--only", "prompt=pier", "--progress", "off"),
    ("verify", "run", "--repair"),
    RECOVER,
    ("run", *SET_OUT, "--profile", "quick.yaml", "--progress", "off"),
)
COLUMNS: Final[tuple[Any, ...]] = (
    *(value for value in STRANGE if not isinstance(value, (list, dict, int)) and value != "\ud83d"),
    *(0, -1, 2**63 - 1, -(2**63), b"\xff\xfe", b"", *(state.value for state in State)),
    *('{"kind": 5}', '{"parameters":{},"axes":{},"labels":{},"path":"../../x","repeat":1,"cells":[]}'),
    '{"parameters":[],"axes":[],"labels":5,"path":5,"repeat":"x","cells":{}}',
)
"""What may stand in a column instead of what was written."""

TIMES_FASTER: Final = 50.0

Harm = Callable[[RunFolder, Dice], object]


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The commands run as a whole here; they may block before and after what goes on in their event loop."""


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands wait for comes soon."""
    monkeypatch.setattr(runs, "clock", lambda: HurriedClock(TIMES_FASTER))
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 1.0)
    monkeypatch.setattr(doubts, "LONGEST_WAIT_SECONDS", 5.0)
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(tracking, "GONE_SECONDS", 10.0)


@pytest.fixture
def desk(tmp_path: Path, make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a run in which three tasks are done, one has failed and two are to do."""
    place = tmp_path / "desk"
    place.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "drawn.png")
    picture = (tmp_path / "drawn.png").read_bytes()
    run = make_run(place / "run", JOB, lambda *_: picture, state=came_to)
    with closing(sqlite3.connect(run.ledger, isolation_level=None)) as ledger:
        account = Credentials("emulated-key", "emulated-secret").fingerprint
        ledger.execute("UPDATE facts SET value = ? WHERE name = 'account'", (account,))
    (run.path / "marks.json").write_text(json.dumps(MARKS))
    (place / "quick.yaml").write_text(PROFILE)
    monkeypatch.chdir(place)
    yield place
    assert {path.name for path in tmp_path.iterdir()} == {"desk", "drawn.png"}, "written outside"
    assert {path.name for path in place.iterdir()} == {"run", "run.yaml", "quick.yaml"}, "written outside"


def came_to(task: Task) -> State:
    return (State.DONE, State.FAILED, State.DONE, State.PENDING, State.DONE, State.RUNNING)[task.index]


def give(capsys: pytest.CaptureFixture[str], *arguments: str) -> int:
    """Give a command and see how it ends."""
    code = reported(lambda: app(list(arguments), standalone_mode=False), {})
    told = capsys.readouterr()
    report = re.search(r"details in (\S+)", told.err)
    details = ""
    if report:
        details = Path(report[1]).read_text()
        Path(report[1]).unlink()  # the test says it, or has planted the bug
    assert code in OUTCOMES, f"{arguments}: {code} {told.err}{details}"
    assert "Traceback" not in told.out + told.err
    assert code is Exit.DONE or told.err + told.out
    return code


def harm_rows(folder: RunFolder, dice: Dice) -> list[Any]:
    """Change a few columns to something that was never written there."""
    done: list[Any] = []
    with closing(sqlite3.connect(folder.ledger, isolation_level=None)) as ledger:
        for _ in range(dice.choice((1, 1, 2, 5))):
            table = dice.choice(("facts", "facts", "counters", "tasks", "attempts", "outputs"))
            columns = [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")]
            change = (dice.choice(columns), dice.choice(COLUMNS))
            try:
                rows = ledger.execute(f"SELECT {columns[0]} FROM {table}").fetchall() or [("none",)]  # noqa: S608 - constants only
                key = dice.choice(rows)[0]
                if dice.random() < 0.1:
                    ledger.execute(f"DELETE FROM {table} WHERE {columns[0]} = ?", (key,))  # noqa: S608 - constants only
                else:
                    ledger.execute(f"UPDATE {table} SET {change[0]} = ? WHERE {columns[0]} = ?", (change[1], key))  # noqa: S608 - constants only
            except sqlite3.Error:  # the table does not take it
                continue
            done.append((table, key, change))
    return done


def harm_facts(folder: RunFolder, dice: Dice) -> list[Any]:
    """Change a place inside the job, or inside the model's entry, that the ledger keeps."""
    with closing(sqlite3.connect(folder.ledger, isolation_level=None)) as ledger:
        name = dice.choice(("job", "tool"))
        (held,) = ledger.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        value = json.loads(held)
        way = harm_json(value, dice)
        ledger.execute("UPDATE facts SET value = ? WHERE name = ?", (json.dumps(value), name))
    return [name, *way]


def harm_bytes(folder: RunFolder, dice: Dice) -> str:
    """Spoil one of the folder's files."""
    files = [path for path in sorted(folder.path.rglob("*")) if path.is_file() and path.stat().st_size]
    path = dice.choice([folder.ledger, *files])
    path.write_bytes(harmed_bytes(path.read_bytes(), dice))
    return path.name


def harm_marks(folder: RunFolder, dice: Dice) -> list[Any]:
    """Change a place inside the marks."""
    path = folder.path / "marks.json"
    value = json.loads(path.read_text())
    way = harm_json(value, dice)
    path.write_text(json.dumps(value))
    return way


def harm_lines(folder: RunFolder, dice: Dice) -> list[Any]:
    """Change places inside the lines of the manifest."""
    lines = [json.loads(line) for line in folder.manifest.read_text().splitlines()]
    ways = [harm_json(dice.choice(lines), dice) for _ in range(dice.choice((1, 2, 5)))]
    folder.manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return ways


def victim_of(folder: RunFolder) -> Path:
    """Return a file beside the run folder that is none of its business."""
    victim = folder.path.with_name("victim")
    victim.write_bytes(VICTIM)
    return victim


def harm_places(folder: RunFolder, dice: Dice) -> tuple[str, str]:
    """Let something else lie where a file or folder should: a folder, a link, what nobody may read, nothing."""
    names = ("ledger.sqlite", "manifest.jsonl", "run.log", "files", "job.yaml", "index.html", "emulator", ".lock")
    drafts = (".index.html.new", ".job.yaml.new", ".manifest.jsonl.new", "page/.style.css.new")
    kept = [path for path in sorted(folder.files.rglob("*")) if path.is_file()]
    rest = ("marks.json", "page", "ledger.path", "ledger.sqlite-mark")
    beside = [folder.path / name for name in (*names, *rest, *drafts)]
    path = dice.choice([*beside, dice.choice(kept)])
    kind = dice.choice(
        ("gone", "folder", "dangling link", "link to itself", "link elsewhere", "closed", "noise", "pipe")
    )
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if kind == "folder":
        (path / "within").mkdir(parents=True)
    elif kind == "dangling link":
        path.symlink_to("nowhere/at-all")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "link elsewhere":
        path.symlink_to(victim_of(folder))
    elif kind == "closed":
        path.write_bytes(b"{}")
        path.chmod(0)
    elif kind == "noise":
        path.write_bytes(dice.randbytes(3000))
    elif kind == "pipe" and path.name != ".lock":
        os.mkfifo(path)
    return path.name, kind


def see_what_is_read(folder: RunFolder) -> None:
    """Whatever is believed of it leads nowhere else, and is worth nothing or more."""
    records = list(manifest.read(folder.manifest)) if folder.manifest.is_file() else []
    with suppress(OrchestratorError), folder.opened() as store:
        records += store.everything()
    for record in records:
        for path in (record.task.id, record.task.path, *(output.path for output in record.outputs)):
            assert ".." not in path.split("/"), path
            assert not path.startswith("/"), path
        sent = record.attempt
        assert sent is None or min(sent.reserved_usd, sent.cost_usd or 0) >= 0


HARMS: Final[tuple[Harm, ...]] = (harm_rows, harm_facts, harm_bytes, harm_marks, harm_places)


def go_through(desk: Path, harm: Harm, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Change the folder and give some commands; something else lies in a file's place too, now and then."""
    chance = dice(seed)
    folder = RunFolder(desk / "run")
    harms = (harm, harm_places) if harm in {harm_rows, harm_facts} and chance.random() < 0.2 else (harm,)
    harmed = [(each.__name__, each(folder, chance)) for each in harms]
    commands = chance.sample(COMMANDS, 3)
    victim = folder.path.with_name("victim")
    try:
        see_what_is_read(folder)
        for command in commands:
            give(capsys, *command)
            assert not victim.exists() or victim.read_bytes() == VICTIM, f"{command}: written outside"
    except AssertionError as error:
        error.add_note(f"seed {seed}: {harmed}, and then {commands}")
        raise
    victim.unlink(missing_ok=True)


@trials(3, 60)
@pytest.mark.parametrize("harm", HARMS)
def test_a_folder_that_was_changed(desk: Path, harm: Harm, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    go_through(desk, harm, seed, capsys)


@trials(3, 60)
def test_lines_that_were_changed_are_no_dead_end(desk: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """What `recover` makes of them, without any ledger, the other commands take."""
    folder = RunFolder(desk / "run")
    with folder.opened() as store:
        manifest.rewrite(folder.manifest, store.everything(), "Hevok/Studio-Trigger")
    harmed = harm_lines(folder, dice(seed))
    folder.ledger.unlink()
    folder.emulator.mkdir()  # says which service it is
    try:
        see_what_is_read(folder)
        assert give(capsys, *RECOVER, "--job", "run.yaml") != Exit.REFUSED
        assert give(capsys, "status", "run") == Exit.DONE
    except AssertionError as error:
        error.add_note(f"seed {seed}: {harmed}")
        raise


@trials(4, 100)
def test_recover_meets_anything_in_any_place(desk: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is in its way, or makes a ledger that the other commands take."""
    folder = RunFolder(desk / "run")
    chance = dice(seed)
    folder.ledger.write_bytes(b"")
    harmed = harm_places(folder, chance)
    try:
        if give(capsys, *RECOVER) == Exit.DONE:
            assert give(capsys, "status", "run") == Exit.DONE
    except AssertionError as error:
        error.add_note(f"seed {seed}: {harmed}")
        raise
    folder.path.with_name("victim").unlink(missing_ok=True)


TELLING: Final = 42
"""The first seed with rows that no reader may believe."""


def test_rows_that_were_never_written_are_not_believed(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    go_through(desk, harm_rows, TELLING, capsys)


def test_who_believes_the_disk_is_found_out(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that is planted in both readers is seen by the test before."""
    for reader in (rows, manifest):
        monkeypatch.setattr(reader, "sensible", lambda record: record)
    with pytest.raises(AssertionError):
        go_through(desk, harm_rows, TELLING, capsys)


ASTRAY: Final[tuple[tuple[tuple[str | int, ...], str, str], ...]] = (
    (("outputs", 0, "path"), "files/../../victim-0.png", "stays_inside"),
    (("task",), "../../../x", "stays_inside"),
    (("cost_usd",), "-1", "_amounts"),
)
"""Places in a line, what nobody wrote there, and what keeps it from being believed."""


@pytest.mark.parametrize(("way", "value", "guard"), ASTRAY)
def test_lines_that_lead_astray_are_not_believed(
    desk: Path, way: tuple[str | int, ...], value: str, guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the guard is planted to be asleep, it is seen."""
    folder = RunFolder(desk / "run")
    with folder.opened() as store:
        manifest.rewrite(folder.manifest, store.everything(), "Hevok/Studio-Trigger")
    first, *others = folder.manifest.read_text().splitlines(keepends=True)
    inner = said = json.loads(first)
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = value
    folder.manifest.write_text(json.dumps(said) + "\n" + "".join(others))
    see_what_is_read(folder)
    monkeypatch.setattr(sense, guard, lambda *_: True)
    with pytest.raises(AssertionError):
        see_what_is_read(folder)
