from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.errors import RefusedError
from orchestrator.output.gallery import Place, marks
from orchestrator.simulation.disk import Disk


def test_marks_are_read_back(tmp_path: Path) -> None:
    held = {"format": 1, "key": "a", "marks": {"k3v-0": {"stars": 4, "note": "…"}}, "duels": [{"a": "x", "b": "y"}]}
    (tmp_path / marks.NAME).write_text(json.dumps(held), "utf-8")
    assert marks.read(tmp_path) == held


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert marks.read(tmp_path) == {"format": 1, "marks": {}, "duels": []}


def test_what_is_odd_in_it_is_left_out(tmp_path: Path) -> None:
    (tmp_path / marks.NAME).write_text('{"format": 1, "marks": {"a": 1, "b": {}}, "duels": {}}', "utf-8")
    assert marks.read(tmp_path) == {"format": 1, "marks": {"b": {}}, "duels": []}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', "[" * 100_000, "\ud800"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / marks.NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RefusedError, match=r"marks\.json is not a file of marks"):
        marks.read(tmp_path)


def test_marks_of_another_run_are_refused_where_they_matter(tmp_path: Path) -> None:
    for held, run in (({"key": "mine"}, "mine"), ({}, "mine"), ({"key": "theirs"}, None)):
        (tmp_path / marks.NAME).write_text(json.dumps(file(a=mark(3, 1)) | held), "utf-8")
        assert marks.read(tmp_path, run)["marks"] == {"a": mark(3, 1)}
    with pytest.raises(RefusedError, match=r"marks\.json holds the marks of another run: move it away"):
        marks.read(tmp_path, "mine")
    with pytest.raises(RefusedError, match="of another run"):
        marks.save(Place(tmp_path), file(a=mark(1, 2)) | {"key": "mine"})


def test_marks_that_are_saved_stay_those_of_their_run(tmp_path: Path) -> None:
    """Ids are equal where parameters are: in another run's folder they would stand on other pictures."""
    marks.save(Place(tmp_path), file(a=mark(3, 1)) | {"key": "mine"})
    marks.save(Place(tmp_path), file(b=mark(4, 2)))
    assert marks.read(tmp_path, "mine")["key"] == "mine"
    with pytest.raises(RefusedError, match="of another run"):
        marks.read(tmp_path, "theirs")


def mark(stars: int, at: float) -> dict[str, Any]:
    return {"stars": stars, "reject": False, "tags": [], "note": "", "at": at}


def at_once(at: float) -> dict[str, float]:
    """The moments of a mark all of which was given at one."""
    return dict.fromkeys(("stars", "reject", "tags", "note"), at)


def file(**marks: object) -> dict[str, Any]:
    return {"format": 1, "marks": marks, "duels": []}


def duel(won: str, at: float = 5) -> dict[str, Any]:
    return {"a": "x", "b": "y", "won": won, "at": at}


def test_of_two_marks_for_a_picture_the_later_one_holds() -> None:
    held = file(a=mark(1, 10), b=mark(2, 10))
    given = file(a=mark(5, 9), b=mark(4, 11), c=mark(3, 1))
    joined = marks.merged(held, given)["marks"]
    assert {name: each["stars"] for name, each in joined.items()} == {"a": 1, "b": 4, "c": 3}


def test_a_star_and_a_note_at_one_moment_are_both_kept() -> None:
    """Two people look at one picture; each word that they give has its own moment, in whatever order they come."""
    star = {"stars": 5, "at": 100, "moments": {"stars": 100}}
    note = {"note": "the best", "at": 100, "moments": {"note": 100}}
    for first, second in ((star, note), (note, star)):
        joined = marks.merged(marks.merged(file(), file(a=first)), file(a=second))["marks"]["a"]
        assert (joined["stars"], joined["note"], joined["at"]) == (5, "the best", 100)
    taken_back = {"stars": 0, "at": 101, "moments": {"stars": 101}}
    joined = marks.merged(marks.merged(file(a=note), file(a=taken_back)), file(a=star))["marks"]["a"]
    assert (joined["stars"], joined["note"]) == (0, "the best")


def test_marks_of_an_older_page_are_those_of_one_moment() -> None:
    """It has one for the whole mark: what a newer one says of a word since then holds, and the rest stays."""
    older = {"stars": 3, "reject": False, "tags": ["sky"], "note": "old", "at": 50}
    newer = {"note": "new", "at": 60, "moments": {"note": 60}}
    for pieces in ((older, newer), (newer, older)):
        joined = marks.merged(marks.merged(file(), file(a=pieces[0])), file(a=pieces[1]))["marks"]["a"]
        assert joined == {**older, "note": "new", "at": 60, "moments": {**at_once(50), "note": 60}}


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["stars", "note"]), st.integers(1, 9)), st.integers(1, 5), min_size=1, max_size=9
    ).flatmap(lambda told: st.permutations(sorted(told.items())))
)
def test_each_word_is_the_one_given_last(told: list[tuple[tuple[str, int], int]]) -> None:
    joined = file()
    for (word, at), value in told:
        given_ = {word: value if word == "stars" else str(value), "at": at, "moments": {word: at}}
        joined = marks.merged(joined, file(a=given_))
    last = {word: value for (word, _), value in sorted(told)}
    mark = joined["marks"]["a"]
    assert (mark["stars"], mark["note"]) == (last.get("stars", 0), str(last.get("note", "")))


def test_an_answer_that_was_taken_back_stays_so() -> None:
    none, answers = file(), file() | {"duels": [duel("a"), duel("tie", 6)]}
    once = marks.merged(none, answers)
    taken_back = marks.merged(once, file() | {"duels": [duel("void")]})
    assert marks.merged(taken_back, answers)["duels"] == [duel("void"), duel("tie", 6)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(1, 9)), max_size=8))
def test_in_whatever_pieces_marks_come_the_same_is_kept(told: list[tuple[str, int, int]]) -> None:
    """Browsers send what they have when they can, some of it more than once."""
    pieces = [file(**{name: mark(stars, at)}) for name, stars, at in told]
    latest = {name: max(at for each, _, at in told if each == name) for name, _, _ in told}
    joined = file()
    for piece in [*pieces, *pieces]:
        joined = marks.merged(joined, piece)
    assert {name: each["at"] for name, each in joined["marks"].items()} == latest


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: (
        st.lists(each) | st.dictionaries(st.sampled_from(["stars", "at", "moments", "tags", "a", "b", "won"]), each)
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({"marks": ANYTHING, "duels": ANYTHING}))
def test_whatever_somebody_sends_a_file_of_marks_comes_of_it(
    tmp_path_factory: pytest.TempPathFactory, told: dict[str, Any]
) -> None:
    place = Place(tmp_path_factory.getbasetemp() / "marks")
    place.data.mkdir(parents=True, exist_ok=True)
    marks.save(place, told)
    kept = marks.read(place.run_folder)
    assert marks.understood(kept).keys() == kept["marks"].keys()
    assert place.read("marks") == kept


def test_text_that_is_none_does_no_harm(tmp_path: Path) -> None:
    """JSON may hold half a character; what it stands in is kept all the same."""
    place = Place(tmp_path)
    place.data.mkdir(parents=True)
    marks.save(place, json.loads('{"marks": {"a-0": {"note": "\\ud83d", "stars": 3, "at": 1}}}'))
    assert marks.read(tmp_path)["marks"]["a-0"] == {**mark(3, 1), "note": "?", "moments": at_once(1)}


def test_marks_outlast_a_power_cut(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    with disk.watched():
        marks.save(Place(tmp_path), file(a=mark(2, 1)))
    disk.unplugged(lambda _: 0.3)()
    assert marks.read(tmp_path)["marks"]["a"] == {**mark(2, 1), "moments": at_once(1)}


def test_without_a_page_marks_are_saved_all_the_same(tmp_path: Path) -> None:
    marks.save(Place(tmp_path), file(a=mark(2, 1)))
    assert [path.name for path in tmp_path.iterdir()] == [marks.NAME]
