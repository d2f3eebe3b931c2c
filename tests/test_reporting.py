"""What is said of errors that nobody has words of their own for."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orchestrator.drafts import replace_for_good
from orchestrator.errors import Exit
from orchestrator.reporting import reported


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP])
def test_what_the_machine_lacks_is_no_bug(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk that is full, read-only or broken, or a name that is none, is named in one sentence; the run can go on."""

    def work() -> None:
        raise OSError(number, os.strerror(number), "/runs/a/job.yaml")

    assert reported(work, {}) == Exit.STOPPED
    said = capsys.readouterr().err
    assert said.startswith(f"orchestrator: /runs/a/job.yaml cannot be used: {os.strerror(number)}. Fix the cause")


def test_where_a_folder_lies_in_a_file_s_place_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a draft cannot take is in the way, not the draft."""
    (tmp_path / "job.yaml").mkdir()

    def work() -> None:
        replace_for_good(tmp_path / "job.yaml", [b"x"])

    assert reported(work, {}) == Exit.STOPPED
    assert f"{tmp_path / 'job.yaml'} cannot be used: {os.strerror(errno.EISDIR)}." in capsys.readouterr().err


def test_other_errors_of_the_system_are_bugs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that should be there and is not is nothing that the user can mend."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def work() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/runs/a/x")

    assert reported(work, {}) == Exit.BUG
    assert "This is a bug" in capsys.readouterr().err
