"""Whatever becomes of what is kept beyond run folders: a run goes on without it, or says why it cannot."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from harms import STRANGE, Dice, dice, harm_json, harmed_bytes, trials

from orchestrator.engines.forecast import Forecast
from orchestrator.errors import RefusedError
from orchestrator.experience import Experience
from orchestrator.lane import LaneError, LaneFile, Pool, known_as
from orchestrator.output.gallery import marks
from orchestrator.schemas import Schemas
from orchestrator.sweep import Schema
from orchestrator.wiro import Prices, computing_seconds, seed_model

SERVICE, MODEL = "https://api.example.test/v1", "Hevok/Studio-Trigger"
NOW: Final = 1_800_000_000.0
EACH: Final = 20
Harm = Callable[[Path, Dice], object]


def spoil(path: Path, chance: Dice) -> None:
    """Harm a file's bytes, or one place of the JSON that it holds."""
    held = path.read_bytes()
    if chance.random() < 0.3:
        path.write_bytes(harmed_bytes(held, chance))
        return
    value = json.loads(held)
    for _ in range(chance.choice((1, 1, 3))):
        harm_json(value, chance)
    path.write_text(json.dumps(value))


def only(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


# Run times


def look_at(forecast: Forecast) -> None:
    """Follow a few tasks to their ends, as a run does."""
    for number in range(4):
        course = forecast.begin({"steps": 20 + number, "width": 1024}, NOW + number)
        age = forecast.next_look(course, 0.65, NOW + number)
        assert 0 < age < math.inf
        forecast.saw(course, age, queued=False, progress=0.5)
        assert forecast.next_look(course, 0.65, NOW + number + age) > age
        forecast.ended(course, age + 3, 4.0)
        forecast.left(course)
    assert forecast.kept()


@trials(4, 60)
def test_run_times(tmp_path: Path, seed: int) -> None:
    chance = dice(seed)
    taught = Forecast(8.0)
    look_at(taught)
    for number in range(EACH):
        experience = Experience(tmp_path / str(number), SERVICE, MODEL)
        experience.keep(taught.kept())
        spoil(only(tmp_path / str(number) / "run-times"), chance)
        look_at(Forecast.remembered(experience.remembered(), 8.0))


# What the service says of its models


@trials(4, 60)
def test_catalogue_entries(tmp_path: Path, seed: int) -> None:
    """One that is not what was kept is none, or at least an entry."""
    chance = dice(seed)
    for number in range(EACH):
        schemas = Schemas(tmp_path / str(number), SERVICE)
        schemas.keep(MODEL, seed_model(), NOW)
        spoil(only(tmp_path / str(number) / "models"), chance)
        kept = schemas.kept(MODEL, NOW + 5)
        if kept is not None:
            assert kept.age_seconds >= 0
            with suppress(RefusedError, ValueError):
                Schema.from_tool(kept.tool)
            Prices(kept.tool).of({"samples": 1})
            computing_seconds(kept.tool)


# Marks


@trials(4, 60)
def test_marks(tmp_path: Path, seed: int) -> None:
    chance = dice(seed)
    path = tmp_path / "marks.json"
    for _ in range(EACH):
        path.write_text(json.dumps({"format": 1, "marks": {"a": {"stars": 5}}, "duels": [{"won": "a", "lost": "b"}]}))
        spoil(path, chance)
        with suppress(RefusedError):
            assert json.dumps(marks.read(tmp_path))


# The lane


def live_in(lane: Path, here: Path) -> None:
    """Do all that a run does with its lane's file."""
    with closing(LaneFile(lane)) as file:
        run = known_as(file, "a", here)
        file.enter(run, here, NOW + 1)
        pools = [Pool(file, kind, lingers=kind == "calls") for kind in ("calls", "places")]
        for now in (NOW + 1.5, NOW + 9.0):
            for pool in pools:
                share = pool.renew(run, 5.0, using=None, wanted=3, now=now)
                assert 0 <= share.units <= 5
            file.seen(run, now)
            for member in file.members(NOW - 100):
                file.word_of(member.run, NOW - 100)
                file.folder_of(member.run)
        file.leave_word(run, NOW - 100, "17\n18")
        assert (file.told_places(NOW - 100) or 1) >= 1
        file.tell_places(25, NOW)
        for pool in pools:
            pool.leave(run, NOW + 10)


def harm_lane_rows(path: Path, chance: Dice) -> object:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        table = chance.choice(("runs", "shares", "words", "places"))
        column = chance.choice([row[1] for row in db.execute(f"PRAGMA table_info({table})")])
        value: Any = chance.choice([*(each for each in STRANGE if not isinstance(each, (list, dict))), b"\xff", b""])
        with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):  # the table does not take it
            db.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 - constants only
        return table, column, value


def harm_lane_tables(path: Path, chance: Dice) -> object:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        table = chance.choice(("runs", "shares", "words", "places"))
        db.execute(f"DROP TABLE {table}")
        if chance.random() < 0.7:
            db.execute(f"CREATE TABLE {table} (run TEXT, holder TEXT)")
        return table


def harm_lane_bytes(path: Path, chance: Dice) -> object:
    path.write_bytes(harmed_bytes(path.read_bytes(), chance))
    for side in ("-wal", "-shm"):
        if chance.random() < 0.5:
            path.with_name(path.name + side).write_bytes(chance.randbytes(chance.choice((0, 10, 5000))))
    return ""


def harm_lane_place(path: Path, chance: Dice) -> object:
    path.unlink()
    kind = chance.choice(("folder", "link", "closed"))
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(path.name)
    else:
        path.write_bytes(b"{}")
        path.chmod(0)
    return kind


LANE_HARMS: Final[tuple[Harm, ...]] = (harm_lane_rows, harm_lane_tables, harm_lane_bytes, harm_lane_place)


@trials(3, 40)
@pytest.mark.parametrize("harm", LANE_HARMS)
def test_the_lane_s_file(tmp_path: Path, harm: Harm, seed: int) -> None:
    """It can be used, or is set aside, or the run is told that it cannot be."""
    chance = dice(seed)
    sound = tmp_path / "sound"
    with closing(LaneFile(sound)) as file:
        for run in ("a", "b"):
            file.enter(run, tmp_path / run, NOW)
            Pool(file, "calls", lingers=True).renew(run, 5.0, using=None, wanted=3, now=NOW)
        file.leave_word("b", NOW - 100, "15\n16")
        file.tell_places(25, NOW)
    for number in range(EACH // 2):
        lane = tmp_path / f"lane-{number}"
        shutil.copytree(sound, lane)
        print(harm(lane / "runs.sqlite", chance))  # noqa: T201 - pytest shows it where the test fails
        with suppress(LaneError):
            live_in(lane, tmp_path / "a")
        assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"sound", "lane"}, "written outside"
