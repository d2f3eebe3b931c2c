"""The forms in which a job file writes the values of an axis."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from orchestrator.sweep import settings
from orchestrator.sweep.axes import PRECISION, Drawn, Spaced
from orchestrator.sweep.nodes import ListNode, MapNode, Node, ScalarNode, kind_of, secret_key_problem
from orchestrator.sweep.problems import Mark, Problems, did_you_mean

LATER = ("file", "files", "template")
MOST = 10**9
"""How many values an axis has at most."""

_KEYS = ("value", "label", "raw", "from", "to", "step", "count", "random", "rng", "file", "files", "template")
_EXAMPLE = "Write a list, `{from: 1, to: 5, step: 1}`, `{random: 4, from: 1, to: 1000}` or `all`."
_DIGITS = 28


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it stands; in a `raw` one braces mean nothing."""

    mark: Mark
    value: str | Decimal | bool
    label: str | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Computed:
    """Values that are computed."""

    mark: Mark
    segment: Spaced | Drawn


@dataclass(frozen=True, slots=True)
class Every:
    """Every option of the parameter's schema; `alone` where it is the whole axis and can mean nothing else."""

    mark: Mark
    alone: bool


Item: TypeAlias = Given | Computed | Every


def read_axis(name: str, node: Node, problems: Problems) -> tuple[Item, ...]:
    """Read the values of one axis.

    Args:
        name: The axis, which draws depend on.
        node: What stands behind its name.
        problems: Takes everything that is wrong.

    Returns:
        What could be read, in order.
    """
    if isinstance(node, ScalarNode):
        if node.text == "all" and not node.quoted:
            return (Every(node.mark, alone=True),)
        if not node.text and not node.quoted:
            problems.add(node.mark, "The axis has no values.", _EXAMPLE)
        else:
            shown = f'"{node.text}"' if node.quoted else node.text
            hint = f"Write [{shown}] for one value." if len(shown) < 40 else _EXAMPLE
            problems.add(node.mark, f"{kind_of(node)} stands where the values of an axis are expected.", hint)
        return ()
    if isinstance(node, MapNode):
        if node.entries.keys() & {"value", "raw"}:
            problems.add(node.mark, "A value by itself is no axis.", "Put it in a list: begin the line with `- `.")
            return ()
        item = _form(name, node, problems)
        return () if item is None else (item,)
    if not node.items:
        problems.add(node.mark, "The axis has no values.", _EXAMPLE)
    items = (_item(name, each, problems) for each in node.items)
    return tuple(item for item in items if item is not None)


def read_given(node: Node, problems: Problems) -> Given | None:
    """Read one value: a scalar, `{value, label}` or `{raw}`."""
    if isinstance(node, MapNode):
        if node.entries.keys() & {"value", "raw"}:
            return _labelled(node, problems)
        problems.add(node.mark, "A mapping stands where one value is expected.", _text_hint(node))
        return None
    value = settings.scalar(node, problems, "one value")
    return None if value is None else Given(node.mark, value)


def _text_hint(node: MapNode) -> str | None:
    """Return how to write what was likely meant as a text."""
    if node.flow and len(node.entries) == 1 and node.mark.column != next(iter(node.keys.values())).column:
        return f'A text that begins with a brace must stand in quotes: "{{{next(iter(node.entries))}}} …".'
    return 'A text with a colon must stand in quotes: "a boat: red".'


def _item(name: str, node: Node, problems: Problems) -> Item | None:
    if isinstance(node, MapNode):
        return _form(name, node, problems)
    if isinstance(node, ListNode):
        problems.add(node.mark, "A list stands within the list of values.", "Write the values one below the other.")
        return None
    if node.text == "all" and not node.quoted:
        return Every(node.mark, alone=False)
    value = settings.scalar(node, problems, "a value")
    return None if value is None else Given(node.mark, value)


def _form(name: str, node: MapNode, problems: Problems) -> Item | None:
    keys = node.entries.keys()
    unknown = [key for key in keys if key not in _KEYS]
    for key in unknown:
        if secret_key_problem(node.keys[key], key, problems):
            continue
        hint = _text_hint(node) if len(node.entries) == 1 else did_you_mean(key, _KEYS)
        problems.add(node.keys[key], "This key is not known in a value.", hint)
    for key in LATER:
        if key in keys:
            problems.add(node.keys[key], f"`{key}` is not supported yet.", "Write the values out as a list.")
    if unknown or keys & set(LATER):
        return None
    if keys & {"value", "raw"}:
        return _labelled(node, problems)
    if "random" in keys:
        return _drawn(name, node, problems)
    return _spaced(node, problems)


def _labelled(node: MapNode, problems: Problems) -> Given | None:
    main = "raw" if "raw" in node.entries else "value"
    if not _only(node, {main, "label"}, problems):
        return None
    inner = node.entries[main]
    value = settings.scalar(inner, problems, "a value") if main == "value" else settings.text(inner, problems)
    label = None
    if "label" in node.entries:
        found = settings.scalar(node.entries["label"], problems, "a label")
        label = found if isinstance(found, str) else None
        if isinstance(found, Decimal):
            label = format(found, "f")
        if isinstance(found, bool):
            problems.add(
                node.entries["label"].mark, "A truth value stands where a label is expected.", "Put it in quotes."
            )
    return None if value is None else Given(inner.mark, value, label, main == "raw")


def _spaced(node: MapNode, problems: Problems) -> Computed | None:
    if not _only(node, {"from", "to", "step", "count"}, problems):
        return None
    if not node.entries.keys() >= {"from", "to"} or len(node.entries) != 3:
        hint = "Write `{from: 1, to: 5, step: 1}` or `{from: 1, to: 5, count: 5}`."
        problems.add(node.mark, "A range needs `from`, `to`, and either `step` or `count`.", hint)
        return None
    bounds = [settings.number(node.entries[key], problems) for key in ("from", "to")]
    low, high = bounds
    if "count" in node.entries:
        count = settings.whole(1, MOST)(node.entries["count"], problems)
        if low is None or high is None or count is None:
            return None
        return _counted(node, low, high, count, problems)
    step = settings.number(node.entries["step"], problems)
    if low is None or high is None or step is None:
        return None
    return _stepped(node, low, high, step, problems)


def _stepped(node: MapNode, low: Decimal, high: Decimal, step: Decimal, problems: Problems) -> Computed | None:
    mark = node.entries["step"].mark
    if step == 0:
        problems.add(mark, "A range needs a `step` other than 0.")
        return None
    if (high - low) * step < 0:
        problems.add(
            mark,
            f"With a step of {step} the range from {low} never gets to {high}: it has no values.",
            "Turn the sign.",
        )
        return None
    finest = min(int(number.as_tuple().exponent) for number in (low, high, step))
    if max(low.adjusted(), high.adjusted(), step.adjusted()) - finest >= _DIGITS or abs(high - low) / abs(step) >= MOST:
        problems.add(node.mark, f"The range has more than {MOST} values, or numbers of more than {_DIGITS} digits.")
        return None
    return Computed(node.mark, Spaced(low, high, int((high - low) // step) + 1, step))


def _counted(node: MapNode, low: Decimal, high: Decimal, count: int, problems: Problems) -> Computed | None:
    mark = node.entries["count"].mark
    if (count == 1) != (low == high):
        problems.add(mark, f"{count} values cannot stand at equal distances from {low} to {high}.", "Change `count`.")
        return None
    spaced = Spaced(low, high, count)
    biggest = max(low.adjusted(), high.adjusted())
    if count > 1 and abs(high - low) / (count - 1) < Decimal(1).scaleb(biggest - PRECISION + 2):
        problems.add(mark, f"The values lie closer together than {PRECISION} digits can tell.", "Ask for fewer.")
        return None
    return Computed(node.mark, spaced)


def _drawn(name: str, node: MapNode, problems: Problems) -> Computed | None:
    if not _only(node, {"random", "from", "to", "rng"}, problems):
        return None
    if not node.entries.keys() >= {"from", "to"}:
        problems.add(node.mark, "Random values need `from` and `to`.", "Write `{random: 4, from: 1, to: 1000}`.")
        return None
    count = settings.whole(1, MOST)(node.entries["random"], problems)
    low, high = (settings.whole(-(10**18), 10**20)(node.entries[key], problems) for key in ("from", "to"))
    rng = settings.whole(0)(node.entries["rng"], problems) if "rng" in node.entries else 0
    if count is None or low is None or high is None or rng is None:
        return None
    if count > high - low + 1:
        message = (
            f"{count} distinct whole numbers are wanted, and from {low} to {high} there are {max(0, high - low + 1)}."
        )
        problems.add(node.entries["random"].mark, message, "Ask for fewer, or widen `from` and `to`.")
        return None
    return Computed(node.mark, Drawn(name, low, high, count, rng))


def _only(node: MapNode, keys: set[str], problems: Problems) -> bool:
    wrong = [key for key in node.entries if key not in keys]
    for key in wrong:
        together = ", ".join(f"`{each}`" for each in node.entries if each != key)
        problems.add(node.keys[key], f"`{key}` does not go together with {together}.")
    return not wrong
