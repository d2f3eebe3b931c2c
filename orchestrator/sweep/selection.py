"""The parts of a job file that choose among the cells of the grid: `zip`, `exclude`, `include`, `sample`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from orchestrator.sweep.forms import ROW, read_row
from orchestrator.sweep.items import Given
from orchestrator.sweep.nodes import ListNode, MapNode, Node, kind_of
from orchestrator.sweep.problems import Mark, Problems, did_you_mean
from orchestrator.sweep.readers import (
    NUMBER,
    SCALAR,
    JsonSchema,
    Key,
    Keys,
    Reader,
    capital,
    items,
    members,
    members_schema,
    scalar,
    text,
    whole,
)
from orchestrator.sweep.recipe import Matcher, Sample
from orchestrator.tasks import Scalar

RuleNode: TypeAlias = tuple[tuple[Mark, str, Matcher], ...]
"""A rule of `exclude`: for each axis its place, name and condition."""


@dataclass(frozen=True, slots=True)
class RowNode:
    """A row of `include`.

    Attributes:
        mark: The place of its beginning.
        marks: The place of each axis's name.
        given: The values that could be read.
    """

    mark: Mark
    marks: Mapping[str, Mark]
    given: Mapping[str, Given]


_ZIP_HINT = "Write `zip: [[width, height]]`."
SAMPLE: Keys = {
    "count": Key("How many tasks are kept.", whole(1)),
    "rng": Key("Another number keeps others. 0 by default.", whole(0)),
}


def read_zip(node: Node, problems: Problems) -> tuple[tuple[tuple[Mark, str], ...], ...]:
    """Read groups of axes that move together: a list of lists of names."""
    groups = []
    for group in items(node, problems, "a list of groups", _ZIP_HINT):
        found = []
        for each in items(group, problems, "a group of axes", _ZIP_HINT):
            name = text(each, problems, "the name of an axis")
            if name is not None:
                found.append((each.mark, name))
        if isinstance(group, ListNode) and len(group.items) < 2:
            problems.add(group.mark, "A group needs two axes or more.", _ZIP_HINT)
        groups.append(tuple(found))
    return tuple(groups)


def read_rules(node: Node, problems: Problems) -> tuple[RuleNode, ...]:
    """Read the rules of `exclude`: a list of mappings from axes to conditions."""
    rules = []
    for rule in items(node, problems, "a list of rules", "Begin each rule with `- `."):
        if not isinstance(rule, MapNode) or not rule.entries:
            problems.add(
                rule.mark, f"{capital(kind_of(rule))} was given where a rule is expected.", "Write `- {seed: 1}`."
            )
            continue
        rules.append(
            tuple((rule.keys[name], name, read_matcher(value, problems)) for name, value in rule.entries.items()),
        )
    return tuple(rules)


def read_rows(node: Node, problems: Problems) -> tuple[RowNode, ...]:
    """Read the rows of `include`: a list of mappings from axes to values."""
    rows = []
    for row in items(node, problems, "a list of rows", "Begin each row with `- `."):
        if isinstance(row, MapNode):
            given = {name: value for name, (_, value) in read_row(row, problems).items()}
            rows.append(RowNode(row.mark, row.keys, given))
        else:
            problems.add(
                row.mark, f"{capital(kind_of(row))} was given where a row is expected.", "Write `- {seed: 1}`."
            )
    return tuple(rows)


def read_sample(node: Node, problems: Problems) -> Sample | None:
    """Read `{count, rng}`."""
    if not isinstance(node, MapNode):
        message = f"{capital(kind_of(node))} was given where a mapping is expected."
        problems.add(node.mark, message, "Write `sample: {count: 200}`.")
        return None
    found = members(node, SAMPLE, problems)
    if "count" not in node.entries:
        problems.add(node.mark, "A sample needs a `count`.", "Write `sample: {count: 200}`.")
    return Sample(**found) if "count" in found else None


def read_matcher(node: Node, problems: Problems) -> Matcher:
    """Read a condition: a value, a list of values, or `lt`, `le`, `gt`, `ge`, `not`."""
    if not isinstance(node, MapNode):
        return Matcher(any_of=_wanted(node, problems))
    if not node.entries:
        problems.add(node.mark, "An empty mapping is not a condition.", "Write `{gt: 5}`.")
    found = {}
    for name, value in node.entries.items():
        if name in CONDITION:
            read = CONDITION[name].reader(value, problems)
            found.update({} if read is None else {name: read})
        else:
            problems.add(node.keys[name], "This is not known in a condition.", did_you_mean(name, CONDITION))
    excluded = found.pop("not", ())
    return Matcher((), tuple(found.items()), excluded)


def _wanted(node: Node, problems: Problems) -> tuple[Scalar | Decimal, ...]:
    nodes = node.items if isinstance(node, ListNode) else (node,)
    if not nodes:
        problems.add(node.mark, "An empty list is not a condition.", "Write the values that are meant.")
    found = (scalar(each, problems, "a value") for each in nodes)
    return tuple(each for each in found if each is not None)


_WANTED: JsonSchema = {"anyOf": [SCALAR, {"type": "array", "items": SCALAR, "minItems": 1}]}
CONDITION: Keys = {
    "lt": Key("The number is less.", NUMBER),
    "le": Key("The number is less or equal.", NUMBER),
    "gt": Key("The number is greater.", NUMBER),
    "ge": Key("The number is greater or equal.", NUMBER),
    "not": Key("Neither the value nor one of these values or labels.", Reader(_wanted, _WANTED)),
}

ZIP: JsonSchema = {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "minItems": 2}}
"""What `zip` looks like."""

_CONDITION: JsonSchema = {"anyOf": [*_WANTED["anyOf"], {**members_schema(CONDITION), "minProperties": 1}]}
RULES: JsonSchema = {
    "type": "array",
    "items": {"type": "object", "additionalProperties": _CONDITION, "minProperties": 1},
}
"""What `exclude` looks like."""

ROWS: JsonSchema = {"type": "array", "items": ROW}
"""What `include` looks like."""
