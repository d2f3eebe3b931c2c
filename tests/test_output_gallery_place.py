from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.output.gallery.place import SHARD_ROWS, Place, Shards

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("run"))


@given(value=JSON)
def test_what_is_written_is_read_back(place: Place, value: Any) -> None:
    place.write("anything", value)
    assert place.read("anything") == value
    assert (place.data / "anything.js").read_text("utf-8").count("\n") == 1


@pytest.mark.parametrize("text", ["", "gallery.take('other','1')\n", "gallery.take('broken','[1,')\n", "\x00\xff"])
def test_what_nobody_wrote_is_not_read(place: Place, text: str) -> None:
    place.write("broken", 1)
    (place.data / "broken.js").write_text(text, "latin-1")
    assert place.read("broken") is None
    assert place.read("missing") is None


def test_rows_stand_in_files_of_a_thousand(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shards = Shards(place)
    for number in range(SHARD_ROWS + 2):
        shards.add([number])
    assert shards.sizes == [SHARD_ROWS]  # full ones are written at once
    shards.flush()
    shards.add(["later"])
    shards.flush()
    shards.flush()
    assert shards.sizes == [SHARD_ROWS, 3]
    assert place.read("tasks-00000") == [[number] for number in range(SHARD_ROWS)]
    assert place.read("tasks-00001") == [[SHARD_ROWS], [SHARD_ROWS + 1], ["later"]]


@pytest.mark.parametrize("rows", [0, 2, SHARD_ROWS, SHARD_ROWS + 1])
def test_another_process_goes_on_behind_rows_that_stand(tmp_path: Path, rows: int) -> None:
    place = Place(tmp_path)
    before = Shards(place)
    for number in range(rows):
        before.add([number])
    before.flush()
    after = Shards(place)
    assert after.resumed(before.sizes)
    after.add(["new"])
    after.flush()
    held = [row for number in range(len(after.sizes)) for row in place.read(f"tasks-{number:05}")]
    assert held == [*([number] for number in range(rows)), ["new"]]
    assert sum(after.sizes) == rows + 1


def test_rows_that_do_not_stand_as_was_said_are_not_gone_on_with(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shards = Shards(place)
    shards.add([1])
    shards.flush()
    assert not Shards(place).resumed([2])
    assert not Shards(place).resumed([SHARD_ROWS, 1])


def test_files_of_a_longer_page_are_taken_away(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for name in ("tasks-00000", "tasks-00001", "tasks-00002", "head"):
        place.write(name, [])
    shards = Shards(place)
    shards.add([1])
    shards.flush()
    shards.trim()
    assert sorted(path.name for path in place.data.iterdir()) == ["head.js", "tasks-00000.js"]
