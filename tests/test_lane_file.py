"""The file that runs with one key share: private, mended where it is damaged, and told where runs are."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrator.lane import LaneError, LaneFile, Pool, lane_folder

NOW = 1_800_000_000.0
DAY = 86_400.0


@contextmanager
def opened(folder: Path) -> Iterator[LaneFile]:
    with closing(LaneFile(folder)) as file:
        yield file


def runs(file: LaneFile, since: float = 0.0) -> list[str]:
    return sorted(member.run for member in file.members(since))


def test_each_account_at_each_service_has_its_own(tmp_path: Path) -> None:
    """The folder's name gives neither of them away."""
    places = {lane_folder(tmp_path, service, key) for service in ("https://a", "https://b") for key in ("1", "2")}
    assert len(places) == 4
    assert all(place.parent == tmp_path / "lanes" and place.name.isalnum() for place in places)


def test_the_places_that_were_told_last_are_known_to_the_next_run(tmp_path: Path) -> None:
    with opened(tmp_path) as file:
        assert file.told_places(0.0) is None
        file.tell_places(5, NOW)
        file.tell_places(25, NOW + DAY)
    with opened(tmp_path) as file:
        assert file.told_places(NOW + DAY) == 25
        assert file.told_places(NOW + DAY + 1) is None


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open cannot be deleted there")
def test_another_process_that_ends_takes_nothing_away(tmp_path: Path) -> None:
    """It would take itself for the last one, if opening the file twice here had dropped the locks of the first time."""
    with opened(tmp_path) as file, opened(tmp_path):
        file.enter("a", tmp_path, NOW)
        side = tmp_path / "runs.sqlite-wal"
        before = side.stat().st_ino
        end = "import sys, pathlib; from orchestrator.lane import LaneFile; LaneFile(pathlib.Path(sys.argv[1])).close()"
        subprocess.run([sys.executable, "-c", end, tmp_path], check=True, timeout=30)
        assert side.stat().st_ino == before
        with opened(tmp_path) as later:
            assert runs(later) == ["a"]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with opened(tmp_path / "state" / "lane") as file:
        file.enter("a", tmp_path, NOW)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.folder.iterdir()}
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(file.folder.stat().st_mode) == 0o700


def test_a_run_is_known_by_its_id_and_found_where_it_was_last(tmp_path: Path) -> None:
    """It can be moved. What worked in a folder before may have been, too, unless its ledger was made anew there."""
    with opened(tmp_path) as file, opened(tmp_path) as other:
        file.enter("a", tmp_path / "one", NOW)
        file.enter("b", tmp_path / "two", NOW)
        file.enter("a", tmp_path / "three", NOW)
        assert (other.folder_of("a"), other.folder_of("c")) == (tmp_path / "three", None)
        other.enter("c", tmp_path / "two", NOW)
        assert runs(file) == ["a", "b", "c"]
        other.enter("d", tmp_path / "two", NOW, anew=True)
        assert runs(file) == ["a", "d"]


def test_who_was_at_work_since_when(tmp_path: Path) -> None:
    with opened(tmp_path) as file:
        file.enter("a", tmp_path / "one", NOW)
        file.enter("b", tmp_path / "two", NOW)
        file.seen("b", NOW + 50)
        assert (runs(file, NOW + 50), runs(file, NOW + 51), runs(file, NOW)) == (["b"], [], ["a", "b"])


def test_only_folders_that_are_gone_are_forgotten_after_a_long_time(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with opened(tmp_path) as file:
        file.enter("there", tmp_path / "there", NOW)
        file.enter("gone", tmp_path / "gone", NOW)
        file.enter("moved", tmp_path / "there", NOW - 1)
        file.enter("new", tmp_path / "new", NOW + 89 * DAY)
        assert runs(file) == ["gone", "moved", "new", "there"]
        file.enter("new", tmp_path / "new", NOW + 91 * DAY)
        assert runs(file) == ["new", "there"]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_one_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "runs.sqlite").write_bytes(content)
    for _ in range(2):
        with opened(tmp_path) as file:
            file.enter("a", tmp_path, NOW)
            assert (tmp_path / "runs.damaged.sqlite").read_bytes() == content
            assert runs(file) == ["a"]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE runs SET seen_at = 'then'",
        "UPDATE runs SET folder = x'ff'",
        "UPDATE shares SET units = 'all'",
        "UPDATE shares SET units = 9e999",
        "UPDATE shares SET wanted = x''",
        "UPDATE shares SET cap = 0",
        "UPDATE shares SET expires_at = x'00'",
        "UPDATE words SET remote_ids = x'ff'",
        "UPDATE places SET units = 0",
        "UPDATE places SET told_at = 'then'",
        "DROP TABLE shares; CREATE TABLE shares (run TEXT)",
    ],
)
def test_one_whose_rows_make_no_sense_is_set_aside(tmp_path: Path, damage: str) -> None:
    """Each of them ended a run as a bug, and the next run too."""
    with opened(tmp_path) as file:
        file.enter("a", tmp_path, NOW)
        file.leave_word("a", NOW, "1")
        file.tell_places(5, NOW)
        Pool(file, "calls", lingers=True).renew("a", 5.0, using=None, wanted=3, now=NOW)
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        db.executescript(damage)
    with opened(tmp_path) as file:
        assert runs(file) == []
        assert Pool(file, "calls", lingers=True).renew("b", 5.0, using=None, wanted=3, now=NOW).units == 5
    assert (tmp_path / "runs.damaged.sqlite").is_file()


def test_one_that_is_spoilt_while_it_is_open_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as file, closing(sqlite3.connect(tmp_path / "runs.sqlite")) as other:
        file.enter("a", tmp_path, NOW)
        other.execute("UPDATE runs SET seen_at = 'then'")
        other.commit()
        with pytest.raises(LaneError, match=str(tmp_path)):
            file.enter("b", tmp_path / "b", NOW)


def test_one_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LaneError, match="file"):
        LaneFile(tmp_path / "file" / "lane")


def test_one_that_is_locked_for_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.lane.file.BUSY_SECONDS", 0.01)
    with opened(tmp_path) as file, closing(sqlite3.connect(tmp_path / "runs.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LaneError, match="locked"):
            file.seen("a", NOW)
