"""What is said of the machine that runs are to be trusted to."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.runs import RunFolder
from orchestrator.selftest import machine as looked_at
from orchestrator.selftest.machine import machine


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def failing(empty: Path, state: Path | None) -> list[str]:
    return [finding.said for finding in machine(empty, state) if not finding.held]


def test_this_one_is_sound(empty: Path, tmp_path: Path) -> None:
    assert failing(empty, tmp_path / "state" / "orchestrator") == []
    assert not (tmp_path / "state").exists()


def test_a_disk_that_does_not_sync_is_told(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    assert failing(empty, tmp_path) == [f"{empty} cannot hold a run: [Errno 5] Input/output error"]


def test_a_disk_without_room_is_told(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9_000_000))
    assert failing(empty, tmp_path) == ["there is no room for a run: 9,000,000 bytes are free, and it takes 16,000,000"]


def test_memory_is_told_from_a_disk(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    ticks = itertools.count(0.0, 1e-6)
    monkeypatch.setattr(looked_at, "time", SimpleNamespace(**vars(time) | {"perf_counter": lambda: next(ticks)}))
    assert any("a power cut may undo it" in finding.said for finding in machine(empty, tmp_path))


def test_a_clock_that_jumps_is_told(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumping = itertools.count(1_800_000_000.0, 60.0)
    monkeypatch.setattr(looked_at, "time", SimpleNamespace(**vars(time) | {"time": lambda: next(jumping)}))
    (said,) = failing(empty, tmp_path)
    assert said.startswith("the clock goes back or jumps")


def test_a_lock_that_keeps_nobody_out_is_told(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunFolder, "is_held", lambda _: False)
    (said,) = failing(empty, tmp_path)
    assert said.startswith("a lock keeps nobody out")


@pytest.mark.parametrize("missing", [True, False])
def test_without_a_state_folder_it_is_said_what_to_do(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    (said,) = failing(empty, None if missing else tmp_path / "state")
    assert said.endswith("set ORCHESTRATOR_HOME")
