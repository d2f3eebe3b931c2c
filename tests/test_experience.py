"""What was learned of a model is kept for the next run, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orchestrator.experience import FOLDER, Experience

SERVICE = "https://api.example.test/v1"


def test_it_is_remembered_for_this_model_of_this_service(tmp_path: Path) -> None:
    Experience(tmp_path / "new", SERVICE, "acme/model").keep({"format": 1})
    assert Experience(tmp_path / "new", SERVICE, "acme/model").remembered() == {"format": 1}
    assert Experience(tmp_path / "new", SERVICE, "acme/other").remembered() is None
    assert Experience(tmp_path / "new", "emulator", "acme/model").remembered() is None


def test_nothing_new_leaves_what_there_is(tmp_path: Path) -> None:
    experience = Experience(tmp_path, SERVICE, "acme/model")
    experience.keep({"a": 1})
    experience.keep(None)
    assert experience.remembered() == {"a": 1}
    experience.keep({"a": 2})
    assert experience.remembered() == {"a": 2}
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[" * 90_000, b" " * 200_000 + b"1"])
def test_what_is_damaged_is_forgotten(tmp_path: Path, damage: bytes) -> None:
    experience = Experience(tmp_path, SERVICE, "acme/model")
    experience.keep({"a": 1})
    [path] = (tmp_path / FOLDER).iterdir()
    path.write_bytes(damage)
    assert experience.remembered() is None


def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for state in (None, tmp_path / "file"):
        experience = Experience(state, SERVICE, "acme/model")
        experience.keep({"a": 1})
        assert experience.remembered() is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_nothing_but_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    experience = Experience(tmp_path, SERVICE, "acme/model")
    experience.keep({"a": 1})
    monkeypatch.setattr(os, "fsync", full)
    experience.keep({"a": 2})
    assert experience.remembered() == {"a": 1}
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
