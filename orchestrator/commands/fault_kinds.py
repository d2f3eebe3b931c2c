"""The faults that a profile can name: what each takes, and how it is read."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.emulator import Fault
from orchestrator.emulator.faults import ENDPOINTS, HARMS, LASTING, TASK_ENDPOINTS, Place
from orchestrator.emulator.life import STATUSES
from orchestrator.emulator.models import parameter_names
from orchestrator.sweep import did_you_mean
from orchestrator.sweep.nodes import ListNode, MapNode, Node, ScalarNode, kind_of
from orchestrator.sweep.problems import Problems, listed
from orchestrator.sweep.readers import (
    NUMBER,
    SECONDS,
    SHARE,
    SPAN,
    TEXT,
    Key,
    Keys,
    Reader,
    capital,
    items,
    members,
    whole,
    word,
)


def _signed(node: Node, problems: Problems) -> int | None:
    found = NUMBER(node, problems)
    if found is None or found == found.to_integral_value():
        return None if found is None else int(found)
    problems.add(node.mark, f"{kind_of(node)} was given where a whole number is expected.")
    return None


def _plain(node: Node, problems: Problems) -> str | None:
    """Read a text that can stand in a header."""
    found = TEXT(node, problems)
    if found is None or all(unicodedata.category(each) != "Cc" for each in found):
        return found
    problems.add(node.mark, "A control character stands where a plain text is expected.", "Write it in one line.")
    return None


def _strange(node: Node, problems: Problems) -> str | None:
    found = PLAIN(node, problems)
    if found is None or found not in STATUSES:
        return found
    problems.add(node.mark, f"`{found}` is a status that the service has.", "Write one that it does not have.")
    return None


def _wrong(node: Node, problems: Problems) -> int | None:
    found = _signed(node, problems)
    if found != 0:
        return found
    problems.add(node.mark, "By 0 nothing changes.", "Write another number, or leave the fault out.")
    return None


PLAIN: Final = Reader(_plain, {"type": "string"})
UNKNOWN_STATUS: Final = Reader(_strange, {"type": "string", "not": {"enum": sorted(STATUSES)}})
STATUS: Final = Key("The HTTP status. 503 by default.", whole(200, 599))
WHEN: Final = Key("Whether the call is handled before its reply goes wrong.", word(("before", "after")))
BY: Final = Key("How much later.", SPAN, "seconds")
FOR: Final = Key("How long; for ever by default.", SPAN, "seconds")
MORE: Final = Key(
    "By how many too large; negative for too small.", Reader(_wrong, {"type": "integer", "not": {"const": 0}}), "number"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        keys: What it takes beside what all faults of its place take.
        required: Which of them it cannot do without.
    """

    keys: Keys = field(default_factory=dict)
    required: tuple[str, ...] = ()


def texts(known: tuple[str, ...] = ()) -> Reader[frozenset[str]]:
    """Return a reader of one word or a list of them, out of those that are known, or any."""
    one = word(known) if known else TEXT

    def read(node: Node, problems: Problems) -> frozenset[str]:
        nodes = node.items if isinstance(node, ListNode) else (node,)
        return frozenset(found for each in nodes if (found := one(each, problems)) is not None)

    return Reader(read, {"anyOf": [one.schema, {"type": "array", "items": one.schema}]})


def _read_where(node: Node, problems: Problems) -> dict[str, str] | None:
    if isinstance(node, MapNode):
        known = parameter_names()
        for name, value in node.entries.items():
            if name not in known:
                told = f"No model of the emulator has this parameter: no task could be met by `{name}`."
                problems.add(node.keys[name], told, did_you_mean(name, known))
            if not isinstance(value, ScalarNode):
                problems.add(value.mark, f"{capital(kind_of(value))} was given where a value is expected.")
        return {name: value.text for name, value in node.entries.items() if isinstance(value, ScalarNode)}
    problems.add(
        node.mark, f"{capital(kind_of(node))} was given where parameters are expected.", 'Write {prompt: "*fog*"}.'
    )
    return None


SHARED: Keys = {
    "share": Key("How many of those that it can meet, each time drawn anew. All by default.", SHARE),
    "times": Key("Those that are drawn are met so often, from the first time on.", whole(1)),
    "first": Key("Only the first so many tasks, files or endpoints.", whole(1)),
    "from": Key("Seconds from the emulator's start.", SPAN, "since"),
    "until": Key("Seconds from the emulator's start.", SPAN),
    "where": Key("Only tasks with these parameters; * stands for any text.", Reader(_read_where, {"type": "object"})),
}
"""What every fault takes; a lasting one takes no `times`."""

HARM: Mapping[str, Kind] = {
    **dict.fromkeys(HARMS, Kind()),
    "error": Kind({"status": STATUS}),
    "hangs": Kind({"for": FOR}),
    "slow": Kind({"bytes_per_second": Key("How fast.", whole(1), "number")}, ("bytes_per_second",)),
}
UNHANDLED: Final = ("lost", "error", "html", "empty", "hangs")
"""What can come in the place of a reply although the call is not handled."""

KINDS: Mapping[Place, Mapping[str, Kind]] = {
    "reply": {
        **{
            kind: Kind({**way.keys, "when": WHEN}, way.required) if kind in UNHANDLED else way
            for kind, way in HARM.items()
        },
        "too_fast": Kind(
            {
                "retry_after": Key("How long to wait; not said by default.", SECONDS, "seconds"),
                "as": Key("The form of Retry-After.", word(("seconds", "decimal", "date")), "text"),
            }
        ),
        "refused": Kind(
            {
                "code": Key("The code in `errors`. 0 by default.", whole(0)),
                "message": Key("The text in `errors`.", PLAIN, "text"),
                "status": Key("The HTTP status. 200 by default.", whole(200, 599)),
            },
            ("message",),
        ),
    },
    "task": {
        "fails": Kind(),
        "never_runs": Kind(),
        "stuck": Kind(),
        "late": Kind({"by": BY}, ("by",)),
        "unseen": Kind(
            {"after": Key("How long after its acceptance. At once by default.", SPAN, "after_seconds"), "for": FOR}
        ),
        "bare": Kind({"for": FOR}),
        "grows": Kind({"for": FOR}),
        "turns": Kind(),
        "strange": Kind(
            {
                "status": Key(
                    "What its status is called while it is under way.", Reader(_strange, {"type": "string"}), "text"
                )
            },
            ("status",),
        ),
        "older": Kind(),
    },
    "list": {
        "lags": Kind({"by": BY}, ("by",)),
        "gaps": Kind(),
        "lies": Kind({"by": MORE}, ("by",)),
        "moves": Kind({"by": MORE}, ("by",)),
        "small": Kind({"most": Key("The most tasks on a page.", whole(1), "number")}, ("most",)),
        "lacks": Kind({"names": Key("The parameters that are missing. All by default.", texts())}),
        "respells": Kind(),
    },
    "file": {
        **HARM,
        "endless": Kind({"bytes": Key("After how many the connection drops; never by default.", whole(1), "number")}),
        "redirected": Kind({"to": Key("The address. Another one of the same file by default.", PLAIN, "text")}),
        "expired": Kind(
            {"looks": Key("How many looks at the task give such addresses. 1 by default.", whole(1), "number")}
        ),
        "whole": Kind(),
        "compressed": Kind(),
        "resized": Kind({"by": MORE}, ("by",)),
        "retyped": Kind({"to": Key("The type.", PLAIN, "text")}, ("to",)),
        "renamed": Kind({"to": Key("The name.", PLAIN, "text")}, ("to",)),
    },
    "socket": {
        "refused": Kind({"status": STATUS}),
        "lost": Kind({"after": Key("How long after its beginning. At once by default.", SPAN, "after_seconds")}),
        "silent": Kind(),
        "late": Kind({"by": BY}, ("by",)),
        "lies": Kind(),
        "junk": Kind(),
        "twice": Kind(),
    },
    "callback": {
        "never": Kind(),
        "late": Kind({"by": BY}, ("by",)),
        "early": Kind(),
        "junk": Kind(),
        "twice": Kind(),
    },
}
"""Every kind of fault, by its place."""


def kind_keys(place: Place, kind: str) -> Keys:
    """Return what a fault takes beside its place and kind."""
    keys = {**KINDS[place][kind].keys, **SHARED}
    if place == "reply":
        keys["at"] = Key("Which endpoints. All by default.", texts(ENDPOINTS))
    if (place, kind) in LASTING:
        del keys["times"]
    if place == "list" and kind in {"lies", "moves", "small"}:
        del keys["where"], keys["first"]
    return keys


def _read_fault(node: Node, problems: Problems) -> Fault | None:
    entries = node.entries if isinstance(node, MapNode) else {}
    places = [place for place in KINDS if place in entries]
    if len(places) != 1:
        message = f"A fault says where and what by one of {', '.join(f'`{name}`' for name in KINDS)}."
        hint = next((did_you_mean(name, KINDS) for name in entries), None) if not places else "Keep one of them."
        problems.add(node.mark, message, hint or "Write {reply: lost, share: 5%}.")
        return None
    place = places[0]
    one = word(tuple(KINDS[place]))
    kind = one(entries[place], problems)
    if kind is None:
        return None
    found = members(node, {place: Key("What goes wrong.", one), **kind_keys(place, kind)}, problems)
    for name in KINDS[place][kind].required:
        if name not in entries:
            problems.add(node.mark, f"`{name}` is missing: `{place}: {kind}` cannot do without it.")
    _note_vain(entries, found, problems)
    if (place, kind) == ("reply", "refused"):
        found.setdefault("status", 200)
    return Fault(place=place, kind=kind, **{name: value for name, value in found.items() if name != place})


def _note_vain(entries: Mapping[str, Node], found: Mapping[str, Any], problems: Problems) -> None:
    """Note what keeps a fault from ever meeting anything: whoever wrote it meant something else."""
    if found.get("share") == 0:
        problems.add(entries["share"].mark, "A share of 0 meets nothing.", "Write more than 0, or leave the fault out.")
    for name in ("by", "for"):
        if name in entries and found.get("seconds") == 0:
            problems.add(entries[name].mark, "No time is no fault.", "Write more than 0s, or leave the fault out.")
    if found.get("until", math.inf) <= found.get("since", 0.0):
        told = f"Nothing lies between `from`{'' if 'from' in entries else ', which is 0s by default,'} and `until`."
        problems.add(entries["until"].mark, told, "`until` has to be later than `from`.")
    at = found.get("at", frozenset())
    if "where" in found and at and at.isdisjoint(TASK_ENDPOINTS):
        told = f"`where` chooses among tasks, and no call to {listed(sorted(at))} is about one."
        problems.add(entries["where"].mark, told, f"These are: {listed(TASK_ENDPOINTS)}.")


def read_faults(node: Node, problems: Problems) -> tuple[Fault, ...]:
    """Read a list of faults; what is wrong is noted."""
    read = [_read_fault(each, problems) for each in items(node, problems, "a list of faults")]
    return tuple(fault for fault in read if fault is not None)
