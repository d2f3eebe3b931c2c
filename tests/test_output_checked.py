from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from orchestrator.lifecycle import Output
from orchestrator.output.checked import Checked, Found, look

HELD = b"a picture"
OUTPUT = Output("files/a.png", None, "image/png", len(HELD), hashlib.sha256(HELD).hexdigest())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / OUTPUT.path


def test_a_file_is_compared_with_what_was_recorded(file: Path, tmp_path: Path) -> None:
    assert look(tmp_path, OUTPUT) is Found.MISSING
    for held, found in ((HELD, Found.OK), (HELD[:-1], Found.DAMAGED), (HELD.upper(), Found.DAMAGED)):
        file.write_bytes(held)
        assert look(tmp_path, OUTPUT) is found
    file.unlink()
    file.mkdir()
    assert look(tmp_path, OUTPUT) is Found.BLOCKED


def test_a_file_is_looked_at_once(file: Path, tmp_path: Path) -> None:
    file.write_bytes(HELD)
    checked = Checked(tmp_path)
    assert checked.look(OUTPUT) is Found.OK
    file.unlink()
    assert checked.look(OUTPUT) is Found.OK
    assert checked.unwell == {}
    later = Checked(tmp_path)
    assert later.look(OUTPUT) is Found.MISSING
    file.write_bytes(HELD)
    assert later.look(OUTPUT) is Found.MISSING
    assert later.unwell == {OUTPUT.path: Found.MISSING}
