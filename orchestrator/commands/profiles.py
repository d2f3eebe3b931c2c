"""Profiles: files that say how the emulated service behaves and what goes wrong with it."""

from __future__ import annotations

from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

from orchestrator.commands.fault_kinds import read_faults, texts
from orchestrator.emulator import Change, Profile
from orchestrator.errors import RefusedError
from orchestrator.sweep import did_you_mean
from orchestrator.sweep.nodes import ListNode, MapNode, Node, parse
from orchestrator.sweep.problems import JobFileError, Problem, Problems, Source, listed
from orchestrator.sweep.readers import (
    CONCURRENCY,
    NUMBER,
    SECONDS,
    SPAN,
    USD,
    Key,
    Keys,
    Reader,
    items,
    members,
    whole,
    word,
)
from orchestrator.sweep.reading import read_text

ENDING: Final = ".yaml"
FOLDER: Final = resources.files("orchestrator.emulator") / "profiles"
LIMIT_NAMES: Final[tuple[Literal["balance_usd", "concurrency", "rate"], ...]] = ("balance_usd", "concurrency", "rate")

LIMITS: Keys = {
    "balance_usd": Key("The account's money. 200 by default.", USD),
    "concurrency": Key("Tasks at a time; `auto`, the default, follows the balance.", CONCURRENCY),
    "requests_per_second": Key("API calls in any second. No limit by default.", whole(1), "rate"),
}
EXAMPLE: Final = "{at: 10s, concurrency: 3}"
CHANGE: Keys = {"at": Key("Seconds from the emulator's start.", SPAN, "at"), **LIMITS}


def _read_changes(node: Node, problems: Problems) -> tuple[Change, ...]:
    changes = []
    written = items(node, problems, "a list of changes")
    if isinstance(node, ListNode) and not written:
        problems.add(node.mark, "No change stands here.", f"Write [{EXAMPLE}], or leave `changes` out.")
    for each in written:
        found = members(each, CHANGE, problems)
        at = found.pop("at", None)
        if isinstance(each, MapNode) and "at" not in each.entries:
            problems.add(each.mark, "`at` is missing: when the limit changes.", f"Write {EXAMPLE}.")
        if isinstance(each, MapNode) and each.entries.keys() <= {"at"}:
            problems.add(each.mark, f"It changes no limit: {listed([*LIMITS])}.", f"Write {EXAMPLE}.")
        changes += [Change(at or 0.0, limit, _limit(found[limit])) for limit in LIMIT_NAMES if limit in found]
    return tuple(sorted(changes, key=lambda change: change.at_seconds))


def _read_queue(node: Node, problems: Problems) -> tuple[float, float] | None:
    spans = [SPAN(each, problems) for each in items(node, problems, "a list of the shortest and the longest wait")]
    known = [span for span in spans if span is not None]
    if len(known) == 2 and known[0] <= known[1]:
        return known[0], known[1]
    if isinstance(node, ListNode) and len(known) == len(spans):
        problems.add(node.mark, "Two durations are expected here, the shorter one first.", "Write [0.1s, 0.3s].")
    return None


def _limit(found: Any) -> Any:
    return None if found == "auto" else found


PROFILE: Keys = {
    **LIMITS,
    "changes": Key("Limits that move.", Reader(_read_changes, {"type": "array"})),
    "retry_after": Key("Sent with HTTP 429. Not sent by default.", SECONDS, "retry_after_seconds"),
    "queue": Key("The shortest and the longest wait.", Reader(_read_queue, {"type": "array"}), "queue_seconds"),
    "run": Key("The median run time. 1s by default.", SPAN, "run_seconds_median"),
    "spread": Key("How far run times lie apart. 0.35 by default.", NUMBER, "run_seconds_sigma"),
    "form": Key("The form of the replies. newer by default.", word(("newer", "older"))),
    "quirks": Key("Shapes that some sources show.", texts(("run_under_data", "errors_as_text", "parameters_as_text"))),
    "picture_side": Key("Pixels of a picture's longer side. 256 by default.", whole(1, 8192)),
    "picture_bytes": Key("Bytes of a picture; it is not drawn then.", whole(1), "plain_bytes"),
    "seed": Key("Chooses times and faults. 0 by default.", whole(0)),
    "faults": Key("What goes wrong.", Reader(read_faults, {"type": "array"})),
}
"""What may stand at the top of a profile."""


def names() -> tuple[str, ...]:
    """Return the names of the ready-made profiles."""
    return tuple(sorted(file.name.removesuffix(ENDING) for file in FOLDER.iterdir() if file.name.endswith(ENDING)))


def load(name: str) -> Profile:
    """Return a ready-made profile by its name, or one from a file.

    Raises:
        RefusedError: There is neither.
        JobFileError: The file is wrong; all of it is told.
    """
    if name in names():
        return read(name, (FOLDER / f"{name}{ENDING}").read_text("utf-8"))
    path = Path(name)
    if not path.exists() and not path.suffix and path.name == name:
        raise RefusedError(f"--profile {name}: no profile has this name. {did_you_mean(name, names())}")
    return read(name, read_text(path))


def read(name: str, written: str) -> Profile:
    """Return what the text of a profile says.

    Args:
        name: What errors call it.
        written: YAML.

    Raises:
        JobFileError: It is wrong; all of it is told.
    """
    if not any(line.strip() and not line.lstrip().startswith("#") for line in written.splitlines()):
        raise JobFileError([Problem(name, 0, 0, "", "The file is empty.", "Write `seed: 1`, or a list of `faults:`.")])
    problems = Problems()
    root = parse(Source(name, written), problems)
    found = {} if root is None else members(root, PROFILE, problems)
    problems.raise_any()
    return Profile(**{key: _value(key, value) for key, value in found.items()})


def _value(key: str, found: Any) -> Any:
    """Return a value in the form in which the emulator has it."""
    if key == "concurrency":
        return _limit(found)
    return float(found) if key == "run_seconds_sigma" and isinstance(found, Decimal) else found
