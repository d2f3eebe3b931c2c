"""A file takes another one's place whole, and nothing is written through a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.drafts import draft_of, replace

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
