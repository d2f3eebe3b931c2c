"""What the service said of a model is kept for its user alone, and nothing else is ever taken for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.schemas import Schemas

SERVICE, MODEL, TOOL = "https://api.example.com/v1", "ada/boats", {"slugowner": "ada", "parameters": [{"items": []}]}


def only_file(cache: Path) -> Path:
    (path,) = (cache / "models").iterdir()
    return path


def test_what_was_kept_is_there_with_its_age(tmp_path: Path) -> None:
    """The newest entry, as it was said, and how long ago that is; no other service's and no other model's."""
    schemas = Schemas(tmp_path / "deep" / "cache", SERVICE)
    assert schemas.kept(MODEL, 0.0) is None
    schemas.keep(MODEL, {"old": True}, 50.0)
    schemas.keep(MODEL, TOOL, 100.0)
    kept = schemas.kept(MODEL, 160.5)
    assert kept is not None
    assert (kept.tool, kept.age_seconds) == (TOOL, 60.5)
    assert schemas.kept("ada/ships", 160.5) is None
    assert Schemas(tmp_path / "deep" / "cache", "https://other.example/v1").kept(MODEL, 160.5) is None


def test_without_a_folder_nothing_is_kept() -> None:
    schemas = Schemas(None, SERVICE)
    schemas.keep(MODEL, TOOL, 0.0)
    assert schemas.kept(MODEL, 0.0) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the user's folders to their owner by itself")
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    Schemas(tmp_path / "cache", SERVICE).keep(MODEL, TOOL, 0.0)
    path = only_file(tmp_path / "cache")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    schemas = Schemas(tmp_path / "file", SERVICE)
    schemas.keep(MODEL, TOOL, 0.0)
    assert schemas.kept(MODEL, 0.0) is None


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_damaged_and_foreign_files_are_none(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever stands in its place: a cut file, other JSON, other bytes; and the next entry replaces it."""
    schemas = Schemas(tmp_path / "cache", SERVICE)
    schemas.keep(MODEL, TOOL, 0.0)
    path = only_file(tmp_path / "cache")
    whole = path.read_bytes()
    foreign = [b"[]", b"{}", b'"x"', b"[" * 100_000, whole.replace(b'"format": 1', b'"format": 2')]
    foreign += [whole.replace(b'"asked_at": 0.0', b'"asked_at": "x"'), b'{"format": 1, "tool": []}']
    cut = st.integers(0, len(whole) - 1).map(lambda end: whole[:end])
    path.write_bytes(data.draw(st.sampled_from(foreign) | cut | st.binary()))
    assert schemas.kept(MODEL, 0.0) is None
    schemas.keep(MODEL, TOOL, 0.0)
    assert schemas.kept(MODEL, 0.0) is not None
    assert only_file(tmp_path / "cache") == path
