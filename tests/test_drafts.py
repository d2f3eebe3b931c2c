"""A file takes another one's place whole, and nothing is written through a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.drafts import draft_of, make_folder, replace, replace_for_good
from orchestrator.simulation.disk import Disk

MINE = b"none of its business"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(MINE)
    return path


def test_what_is_there_gives_way_once_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    replace(path, b"one")
    first = path.stat()
    replace(path, b"one")
    assert path.stat().st_ino == first.st_ino  # the same is not written again
    replace(path, b"two")
    assert (path.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (b"two", ["kept"])


def test_a_link_in_a_draft_s_place_is_taken_away(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "kept"
    path.with_name(".kept.new").symlink_to(victim)
    replace(path, b"one")
    assert (path.read_bytes(), path.is_symlink(), victim.read_bytes()) == (b"one", False, MINE)
    assert not draft_of(path).exists()


@pytest.mark.parametrize("content", [b"one", MINE])
def test_a_link_in_the_file_s_place_gives_way(tmp_path: Path, victim: Path, content: bytes) -> None:
    """Also where it leads to just what is to stand there."""
    path = tmp_path / "kept"
    path.symlink_to(victim)
    replace(path, content)
    assert (path.read_bytes(), path.is_symlink(), victim.read_bytes()) == (content, False, MINE)


def cut(disk: Disk) -> None:
    """Have the power fail: whatever was not synced is as it was before."""
    disk.unplugged(lambda _: 0.3)()


def test_what_is_replaced_for_good_outlasts_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    replace(path, b"one")
    disk = Disk(tmp_path)
    with disk.watched():
        replace_for_good(path, [b"tw", b"o"])
        cut(disk)
        assert path.read_bytes() == b"two"
        replace(path, b"three")
        cut(disk)
    assert path.read_bytes() == b"two"


def test_a_folder_that_is_made_outlasts_a_power_cut(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    with disk.watched():
        make_folder(tmp_path / "one" / "two" / "three")
        (tmp_path / "four").mkdir()
        cut(disk)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["one", "three", "two"]
