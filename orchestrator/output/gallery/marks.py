"""The marks that people gave on the page: read from the file that it downloads, and joined with what comes later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.drafts import replace_for_good
from orchestrator.errors import RefusedError
from orchestrator.output.gallery.data import MOST_EXACT, encoded
from orchestrator.output.gallery.place import Place

NAME: Final = "marks.json"
FORMAT: Final = 1
MOST_BYTES: Final = 50_000_000
EMPTY: Final[dict[str, Any]] = {"format": FORMAT, "marks": {}, "duels": []}
MOST_STARS: Final = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody thinks of one picture.

    Attributes:
        stars: 1 to 5, 0 for none.
        rejected: Whether it is out.
        tags, note: Words about it.
    """

    stars: int = 0
    rejected: bool = False
    tags: tuple[str, ...] = ()
    note: str = ""


def key(task: str, number: int) -> str:
    """Return the name of an output in the file: the task's id, and which output it is, counted from 0."""
    return f"{task}-{number}"


def understood(told: Mapping[str, Any]) -> dict[str, Mark]:
    """Return the marks of a file by the name of the output; anybody may have edited it."""
    return {name: _mark(mark) for name, mark in told["marks"].items()}


def _mark(told: Mapping[str, Any]) -> Mark:
    stars, tags, note = told.get("stars"), told.get("tags"), told.get("note")
    return Mark(
        stars=max(0, min(MOST_STARS, stars)) if isinstance(stars, int) else 0,
        rejected=told.get("reject") is True,
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        note=note if isinstance(note, str) else "",
    )


def read(run_folder: Path, run: str | None = None) -> dict[str, Any]:
    """Return the marks that lie in a run folder; none where there is no such file.

    Args:
        run_folder: The run folder.
        run: The key of its run, see `Coder.job`, where marks of another one are refused; a file may be without a key.

    Raises:
        RefusedError: The file is not one that the page downloads, or of another run.
    """
    path = run_folder / NAME
    if not path.is_file():
        return EMPTY
    try:
        held = json.loads(path.read_text("utf-8")) if path.stat().st_size <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        held = None
    if not isinstance(held, dict) or held.get("format") != FORMAT:
        raise RefusedError(f"{path} is not a file of marks: download them again from the page, or move the file away.")
    if run is not None and held.get("key", run) != run:
        raise RefusedError(
            f"{path} holds the marks of another run: move it away, or take its `key` out to use them all the same."
        )
    marks, duels = held.get("marks"), held.get("duels")
    return {
        "format": FORMAT,
        **_own(held),
        "marks": {key: mark for key, mark in marks.items() if isinstance(mark, dict)}
        if isinstance(marks, dict)
        else {},
        "duels": [duel for duel in duels if isinstance(duel, dict)] if isinstance(duels, list) else [],
    }


def save(place: Place, given: Mapping[str, Any]) -> None:
    """Add marks to those that lie in a run folder, for the page from disk too.

    Args:
        place: Where the page lies.
        given: What a page has sent, in the form of the file; its `key` says of which run.

    Raises:
        RefusedError: What lies there is not a file of marks, or of another run, or there would be too many.
        OSError: They cannot be written.
    """
    joined = merged(read(place.run_folder, given.get("key")), given)
    content = encoded(joined).encode(errors="replace")
    if len(content) > MOST_BYTES:
        raise RefusedError(f"There are too many marks: {NAME} would be larger than {MOST_BYTES:,} bytes.")
    replace_for_good(place.run_folder / NAME, [content])
    if place.data.is_dir():
        place.write("marks", joined)


def merged(held: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return two sets of marks as one: of each picture each word given last, every answer unless it was taken back.

    Two people may give one picture a star and a note at a time: each word has its own moment.

    Args:
        held: As `read` returns it.
        given: The same from anybody, of the same run: what has not the form of a mark is left out.
    """
    marks = dict(held["marks"])
    for key, mark in _mapping(given.get("marks")).items():
        taken = _kept(mark)
        if taken is not None:
            marks[key] = _joined(_kept(marks.get(key)) or NONE, taken)
    answers = {_pair(duel): duel for duel in held["duels"]}
    found = given.get("duels")
    for duel in filter(_is_duel, found if isinstance(found, list) else ()):
        if answers.get(_pair(duel), {}).get("won") != "void":
            answers[_pair(duel)] = {name: duel[name] for name in _DUEL}
    return {"format": FORMAT, **_own(held), **_own(given), "marks": marks, "duels": list(answers.values())}


def _own(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the key of the run that a file of marks is of, if it names one."""
    run = told.get("key")
    return {"key": run} if isinstance(run, str) else {}


_WORDS: Final = ("stars", "reject", "tags", "note")
NONE: Final[Mapping[str, Any]] = {"stars": 0, "reject": False, "tags": [], "note": "", "at": 0, "moments": {}}
"""The mark of a picture that nobody has given one, in the form of the file: `moments` says when each word was given,
milliseconds since 1970, and `at` when the latest was; files of earlier versions have that one alone."""

_DUEL: Final = ("a", "b", "won", "at")


def _kept(told: Any) -> dict[str, Any] | None:
    """Return a mark in the form of the file, None where it is none."""
    if not isinstance(told, dict):
        return None
    mark = _mark(told)
    given = {"stars": mark.stars, "reject": mark.rejected, "tags": list(mark.tags), "note": mark.note}
    at, moments = _moment(told.get("at")), told.get("moments")
    each = {name: _moment(moments.get(name)) if isinstance(moments, dict) else at for name in given}
    return {
        **given,
        "at": max(at, *each.values()),
        "moments": {name: moment for name, moment in each.items() if moment},
    }


def _joined(held: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return two marks of one picture, as `_kept` returns them, as one."""
    before, after = held["moments"], given["moments"]
    later = {name for name in _WORDS if after.get(name, 0) >= before.get(name, 0)}
    words = {name: (given if name in later else held)[name] for name in _WORDS}
    return {
        **words,
        "at": max(held["at"], given["at"]),
        "moments": before | {name: after[name] for name in later & after.keys()},
    }


def _is_duel(told: Any) -> bool:
    return (
        isinstance(told, dict)
        and isinstance(told.get("a"), str)
        and isinstance(told.get("b"), str)
        and told.get("won") in ("a", "b", "tie", "void")
        and _moment(told.get("at")) > 0
    )


def _pair(duel: Mapping[str, Any]) -> tuple[str, str, float]:
    return str(duel.get("a")), str(duel.get("b")), _moment(duel.get("at"))


def _moment(told: Any) -> float:
    """Return milliseconds, 0 where it is no moment."""
    return told if isinstance(told, int | float) and 0 < told <= MOST_EXACT else 0


def _mapping(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, dict) else {}
