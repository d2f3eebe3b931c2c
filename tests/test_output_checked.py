from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from orchestrator.lifecycle import Output
from orchestrator.output.checked import Checked, Condition, condition_of

HELD = b"a picture"
OUTPUT = Output("files/a.png", None, "image/png", len(HELD), hashlib.sha256(HELD).hexdigest())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / OUTPUT.path


def test_a_file_is_compared_with_what_was_recorded(file: Path, tmp_path: Path) -> None:
    assert condition_of(tmp_path, OUTPUT) is Condition.MISSING
    for held, found in ((HELD, Condition.OK), (HELD[:-1], Condition.DAMAGED), (HELD.upper(), Condition.DAMAGED)):
        file.write_bytes(held)
        assert condition_of(tmp_path, OUTPUT) is found
    file.unlink()
    file.mkdir()
    assert condition_of(tmp_path, OUTPUT) is Condition.BLOCKED


def test_a_file_is_looked_at_once(file: Path, tmp_path: Path) -> None:
    file.write_bytes(HELD)
    checked = Checked(tmp_path)
    assert checked.look(OUTPUT) is Condition.OK
    file.unlink()
    assert checked.look(OUTPUT) is Condition.OK
    assert checked.unwell == {}
    later = Checked(tmp_path)
    assert later.look(OUTPUT) is Condition.MISSING
    file.write_bytes(HELD)
    assert later.look(OUTPUT) is Condition.MISSING
    assert later.unwell == {OUTPUT.path: Condition.MISSING}
