"""Readers of values from the job file: each takes a node, and says in JSON Schema what it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from orchestrator.sweep.nodes import ListNode, MapNode, Node, ScalarNode, kind_of, read_meaning, secret_key_problem
from orchestrator.sweep.problems import Problems, did_you_mean
from orchestrator.sweep.scalars import SurpriseError
from orchestrator.tasks import MOST_AT_ONCE

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

JsonSchema: TypeAlias = Mapping[str, Any]
"""A schema, or a part of one, after draft 7 of JSON Schema: what editors read."""

SCALAR: JsonSchema = {"type": ["string", "number", "boolean"]}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)%")
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}


@dataclass(frozen=True, slots=True)
class Reader(Generic[T_co]):
    """Reads a node, or notes a problem and returns None.

    Attributes:
        read: Does it.
        schema: What it takes.
    """

    read: Callable[[Node, Problems], T_co | None]
    schema: JsonSchema

    def __call__(self, node: Node, problems: Problems) -> T_co | None:
        """Read a node, or note a problem and return None."""
        return self.read(node, problems)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a mapping of the job file may have.

    Attributes:
        says: What it means, for editors.
        reader: Reads what stands behind it.
        attribute: The name that its value gets where that is not the key itself.
    """

    says: str
    reader: Reader[Any]
    attribute: str = ""


Keys: TypeAlias = Mapping[str, Key]


def members(node: Node, keys: Keys, problems: Problems) -> dict[str, Any]:
    """Read a mapping whose keys are known.

    Args:
        node: What stands in the job file.
        keys: What may stand there.
        problems: Takes what is wrong; an unknown key is.

    Returns:
        The values that could be read.
    """
    if not isinstance(node, MapNode):
        message = f"{capital(kind_of(node))} was given where a mapping is expected."
        problems.add(node.mark, message, f"Known keys: {', '.join(keys)}.")
        return {}
    found = {}
    for name, value in node.entries.items():
        if name in keys:
            read = keys[name].reader(value, problems)
            if read is not None:
                found[keys[name].attribute or name] = read
        elif not secret_key_problem(node.keys[name], name, problems):
            problems.add(node.keys[name], "This key is not known here.", did_you_mean(name, keys))
    return found


def members_schema(keys: Keys, required: Iterable[str] = ()) -> JsonSchema:
    """Return what a mapping with these keys looks like."""
    properties = {name: described(key.reader.schema, key.says) for name, key in keys.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def described(schema: JsonSchema, says: str) -> JsonSchema:
    """Return a schema with a description; a reference is wrapped, since nothing may stand beside it."""
    return {"description": says, **({"allOf": [schema]} if "$ref" in schema else schema)}


def mapping(keys: Keys, required: Iterable[str] = ()) -> Reader[dict[str, Any]]:
    """Return a reader of mappings with known keys."""
    return Reader(lambda node, problems: members(node, keys, problems), members_schema(keys, required))


def items(node: Node, problems: Problems, expected: str, hint: str | None = None) -> tuple[Node, ...]:
    """Return the items of a list; anything else is a problem."""
    if isinstance(node, ListNode):
        return node.items
    problems.add(node.mark, f"{capital(kind_of(node))} was given where {expected} is expected.", hint)
    return ()


def scalar(node: Node, problems: Problems, expected: str) -> str | Decimal | bool | None:
    """Return what a single value means; anything else is a problem, and None."""
    if not isinstance(node, ScalarNode):
        problems.add(node.mark, f"{capital(kind_of(node))} was given where {expected} is expected.", _quote_hint(node))
        return None
    if node.refused:
        return None
    found = read_meaning(node, problems)
    if isinstance(found, SurpriseError):
        return None
    if found is None:
        problems.add(node.mark, f"Nothing was given where {expected} is expected.", 'Write "" for the empty text.')
    return found


def truth_word(node: Node) -> str:
    """Return the word that stands for a truth value, as it is written; empty where there is none."""
    return node.text if isinstance(node, ScalarNode) and isinstance(node.meaning, bool) else ""


def text(node: Node, problems: Problems, expected: str = "text") -> str | None:
    """Return a text; a number or a truth value is a problem."""
    found = scalar(node, problems, expected)
    if found is None or isinstance(found, str):
        return found
    _mismatch(node, problems, expected, "Put it in quotes if it is text.")
    return None


def number(node: Node, problems: Problems) -> Decimal | None:
    """Return a number."""
    return _number(node, problems, "a number", lambda _: True)


def whole(low: int, high: int = 10**15) -> Reader[int]:
    """Return a reader of whole numbers within bounds."""
    expected = f"a whole number of {low} or more" if high >= 10**15 else f"a whole number from {low} to {high:,}"

    def fits(found: Decimal) -> bool:
        return found == found.to_integral_value() and low <= found <= high

    def read(node: Node, problems: Problems) -> int | None:
        found = _number(node, problems, expected, fits)
        return None if found is None else int(found)

    return Reader(read, {"type": "integer", "minimum": low, "maximum": high})


def word(known: tuple[str, ...]) -> Reader[str]:
    """Return a reader of one of the known words."""
    expected = "one of " + ", ".join(f"`{each}`" for each in known)

    def read(node: Node, problems: Problems) -> str | None:
        found = text(node, problems, expected)
        if found is not None and found not in known:
            _mismatch(node, problems, expected, did_you_mean(found, known))
        return found if found in known else None

    return Reader(read, {"enum": list(known)})


def _above_0(node: Node, problems: Problems, hint: str) -> Decimal | None:
    return _number(node, problems, "a number above 0", lambda found: found > 0, hint)


def _usd(node: Node, problems: Problems) -> Decimal | None:
    return _above_0(node, problems, "Write US dollars without a sign: 2.50.")


def _rate(node: Node, problems: Problems) -> float | None:
    found = _above_0(node, problems, "Write how many in a second: 10, or 0.5 for one every two seconds.")
    return None if found is None else float(found)


def _duration(expected: str, fits: Callable[[Decimal], bool]) -> Callable[[Node, Problems], float | None]:
    hint = "Write a number and its unit: 500ms, 90s, 30m, 2h or 1d."

    def read(node: Node, problems: Problems) -> float | None:
        match = _DURATION.fullmatch(node.text) if isinstance(node, ScalarNode) else None
        found = Decimal(match[1]) * _SECONDS[match[2]] if match else _unless_text(node, problems, expected, hint)
        if found is not None and fits(found):
            return float(found)
        if found is not None:
            _mismatch(node, problems, expected, hint)
        return None

    return read


def _share(node: Node, problems: Problems) -> float | None:
    expected, hint = "a share from 0% to 100%", "Write it like 5% or 0.05."
    match = _PERCENT.fullmatch(node.text) if isinstance(node, ScalarNode) else None
    found = Decimal(match[1]) / 100 if match else _unless_text(node, problems, expected, hint)
    if found is not None and 0 <= found <= 1:
        return float(found)
    if found is not None:
        _mismatch(node, problems, expected, hint)
    return None


def _flag(node: Node, problems: Problems) -> bool | None:
    found = scalar(node, problems, "true or false")
    if found is None or isinstance(found, bool):
        return found
    _mismatch(node, problems, "true or false")
    return None


def _concurrency(node: Node, problems: Problems) -> int | Literal["auto"] | None:
    if isinstance(node, ScalarNode) and node.text == "auto":
        return "auto"
    expected = f"`auto` or a whole number from 1 to {MOST_AT_ONCE:,}"

    def fits(found: Decimal) -> bool:
        return found == found.to_integral_value() and 1 <= found <= MOST_AT_ONCE

    found = _number(node, problems, expected, fits, "Write `auto` to learn what the service allows.")
    return None if found is None else int(found)


TEXT: Reader[str] = Reader(text, {"type": "string"})
NUMBER: Reader[Decimal] = Reader(number, {"type": "number"})
USD: Reader[Decimal] = Reader(_usd, {"type": "number", "exclusiveMinimum": 0})
RATE: Reader[float] = Reader(_rate, {"type": "number", "exclusiveMinimum": 0})
SECONDS: Reader[float] = Reader(
    _duration("a duration above 0", lambda found: found > 0),
    {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": f"^{_DURATION.pattern}$"}]},
)
SPAN: Reader[float] = Reader(
    _duration("a duration", lambda found: found >= 0),
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_DURATION.pattern}$"}]},
)
SHARE: Reader[float] = Reader(
    _share,
    {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": f"^{_PERCENT.pattern}$"}]},
)
FLAG: Reader[bool] = Reader(_flag, {"type": "boolean"})
CONCURRENCY: Reader[int | Literal["auto"]] = Reader(
    _concurrency, {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MOST_AT_ONCE}]}
)


def capital(sentence: str) -> str:
    """Return a sentence with its first letter upper case."""
    return sentence[:1].upper() + sentence[1:]


def _number(
    node: Node, problems: Problems, expected: str, fits: Callable[[Decimal], bool], hint: str | None = None
) -> Decimal | None:
    found = _unless_text(node, problems, expected, hint)
    if found is None or fits(found):
        return found
    _mismatch(node, problems, expected, hint)
    return None


def _unless_text(node: Node, problems: Problems, expected: str, hint: str | None) -> Decimal | None:
    found = scalar(node, problems, expected)
    if found is None or isinstance(found, Decimal):
        return found
    _mismatch(node, problems, expected, hint)
    return None


def _quote_hint(node: Node) -> str | None:
    if isinstance(node, MapNode) and node.flow:
        return 'A text with braces must stand in quotes: "{name} …".'
    return None


def _mismatch(node: Node, problems: Problems, expected: str, hint: str | None = None) -> None:
    problems.add(node.mark, f"{kind_of(node)} was given where {expected} is expected.", hint)
