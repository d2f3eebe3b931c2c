from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import RefusedError
from orchestrator.output.gallery import marks


def test_marks_are_read_back(tmp_path: Path) -> None:
    held = {"format": 1, "key": "a", "marks": {"k3v-0": {"stars": 4, "note": "…"}}, "duels": [{"a": "x", "b": "y"}]}
    (tmp_path / marks.NAME).write_text(json.dumps(held), "utf-8")
    assert marks.read(tmp_path) == {name: held[name] for name in ("format", "marks", "duels")}


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert marks.read(tmp_path) == {"format": 1, "marks": {}, "duels": []}


def test_what_is_odd_in_it_is_left_out(tmp_path: Path) -> None:
    (tmp_path / marks.NAME).write_text('{"format": 1, "marks": {"a": 1, "b": {}}, "duels": {}}', "utf-8")
    assert marks.read(tmp_path) == {"format": 1, "marks": {"b": {}}, "duels": []}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', "[" * 100_000, "\ud800"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / marks.NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RefusedError, match=r"marks\.json is no file of marks"):
        marks.read(tmp_path)
