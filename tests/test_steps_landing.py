"""Files on their way to disk: whole or not there, inside the folder or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from PIL import Image

from orchestrator.steps.landing import EARLY_BYTES, Landed, Landing, NotWhole, sha256_of


def png(colour: str = "navy") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "PNG")
    return out.getvalue()


def land(folder: Path, data: bytes, stem: str = "DDIM/harbour-k3v9x2ab-0") -> Landed:
    landing = Landing(folder, stem)
    landing.take(data)
    try:
        return landing.land()
    finally:
        landing.close()


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="nothing to be told here")
@pytest.mark.parametrize("understood", [True, False])
def test_a_large_file_is_on_its_way_to_the_disk_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, understood: bool
) -> None:
    """So that little is left to wait for once it is whole; a file system that does not know of it is none the worse."""
    told: list[tuple[int, int]] = []

    def advise(_handle: int, start: int, count: int, _advice: int) -> None:
        told.append((start, start + count))
        if not understood:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", advise)
    landing = Landing(tmp_path, "a")
    for _ in range(5):
        landing.take(bytes(EARLY_BYTES // 2))
        landing.flush()
    assert landing.land().bytes == 5 * EARLY_BYTES // 2
    assert told == [(0, EARLY_BYTES), (EARLY_BYTES, 2 * EARLY_BYTES)]


def test_a_whole_file_stands_at_its_name_with_the_ending_of_its_bytes(tmp_path: Path) -> None:
    landed = land(tmp_path / "files", png())
    assert (landed.path, landed.bytes) == ("DDIM/harbour-k3v9x2ab-0.png", len(png()))
    assert landed.sha256 == hashlib.sha256(png()).hexdigest() == sha256_of(tmp_path / "files" / landed.path)
    assert files_in(tmp_path / "files") == [landed.path]


@given(st.lists(st.tuples(st.binary(max_size=30), st.booleans()), min_size=1))
def test_pieces_add_up_wherever_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[bytes, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    landing = Landing(folder, "a")
    landing.take(b"\x00")  # a type of no known end
    for piece, flushed in pieces:
        landing.take(piece)
        if flushed:
            landing.flush()
    landed = landing.land()
    whole = b"\x00" + b"".join(piece for piece, _ in pieces)
    assert (folder / "a.bin").read_bytes() == whole
    assert (landed.bytes, landed.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


def test_what_has_come_is_forgotten_on_a_restart(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "a")
    landing.take(b"half a picture")
    landing.flush()
    landing.take(b"and more")
    landing.restart()
    landing.take(png())
    assert landing.land().sha256 == hashlib.sha256(png()).hexdigest()
    assert files_in(tmp_path) == ["a.png"]


@pytest.mark.parametrize("data", [b"", png()[:-1], b"<html><h1>Sign in</h1></html>"])
@pytest.mark.parametrize("written", [True, False])
def test_what_is_not_whole_never_gets_its_name(tmp_path: Path, data: bytes, written: bool) -> None:
    landing = Landing(tmp_path, "a/b")
    landing.take(data)
    if written:
        landing.flush()
    with pytest.raises(NotWhole):
        landing.land()
    assert files_in(tmp_path) == ["a/.b.part"] * written
    landing.abandon(keep=False)
    assert files_in(tmp_path) == []


def test_what_is_kept_lies_under_suspect(tmp_path: Path) -> None:
    for data, name in [(png()[:-1], "b.png"), (b"<html>", "b.html"), (b"\x00", "b.bin")]:
        landing = Landing(tmp_path, "a/b")
        landing.take(data)
        assert landing.abandon(keep=True) == f".suspect/a/{name}"
        assert (tmp_path / ".suspect/a" / name).read_bytes() == data
    assert Landing(tmp_path, "a/c").abandon(keep=True) == ""
    assert files_in(tmp_path) == [".suspect/a/b.bin", ".suspect/a/b.html", ".suspect/a/b.png"]


def test_the_same_file_is_left_alone_and_another_is_replaced(tmp_path: Path) -> None:
    final = tmp_path / land(tmp_path, png()).path
    before = final.stat().st_ino
    land(tmp_path, png())
    assert final.stat().st_ino == before
    land(tmp_path, png("red"))
    assert final.read_bytes() == png("red")
    assert files_in(tmp_path) == ["DDIM/harbour-k3v9x2ab-0.png"]


def test_a_final_name_is_only_ever_taken_by_a_whole_file_that_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data, then name, then folder: in this order they survive a loss of power."""
    (tmp_path / "a").mkdir()
    order: list[str] = []
    sync, replace = os.fsync, os.replace

    def watched_sync(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def watched_replace(source: Path, target: Path) -> None:
        order.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "replace", watched_replace)
    land(tmp_path, png(), "a/b")
    assert order == ["file", "name", "folder"]
    order.clear()
    land(tmp_path, png(), "new/b")
    assert order == ["folder", "file", "name", "folder"]


def test_a_left_over_part_is_replaced_and_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / ".a.part").symlink_to(outside)
    (folder / "a.png").symlink_to(outside)
    land(folder, png(), "a")
    assert outside.read_text() == "mine"
    assert not (folder / "a.png").is_symlink()
    (folder / "b.png").symlink_to(folder / "a.png")
    land(folder, png(), "b")
    assert not (folder / "b.png").is_symlink()
    assert files_in(folder) == ["a.png", "b.png"]


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "DDIM").symlink_to(outside)
    (folder / "inner").mkdir()
    (folder / "linked").symlink_to(folder / "inner")
    with pytest.raises(OSError, match="leads out"):
        land(folder, png())
    with pytest.raises(OSError, match="leads out"):
        land(folder, png(), "DDIM/new/a")
    assert files_in(outside) == []
    land(folder, png(), "linked/a")
    assert files_in(folder / "inner") == ["a.png"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "files").symlink_to(tmp_path / "disk")
    land(tmp_path / "files", png(), "a")
    assert files_in(tmp_path / "disk") == ["a.png"]


@pytest.mark.parametrize("stem", ["", ".", "/etc/x", "../x", "a/../../x", "a\\..\\x", "C:x"])
def test_a_path_that_is_not_within_the_folder_is_a_mistake(tmp_path: Path, stem: str) -> None:
    with pytest.raises(ValueError, match="relative"):
        Landing(tmp_path, stem)


def test_a_link_that_leads_to_itself_is_an_error_of_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.symlink_to(folder)
    with pytest.raises(OSError, match="symbolic links"):
        land(folder, png(), "deep/a")
