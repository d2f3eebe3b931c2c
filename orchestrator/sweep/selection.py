"""The parts of a job file that choose among the cells of the grid: `zip`, `exclude`, `include`, `sample`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias

from orchestrator.sweep import settings
from orchestrator.sweep.forms import Given, read_given
from orchestrator.sweep.nodes import ListNode, MapNode, Node, kind_of
from orchestrator.sweep.problems import Mark, Problems, did_you_mean
from orchestrator.sweep.recipe import Matcher, Sample
from orchestrator.tasks import Scalar

RuleNode: TypeAlias = tuple[tuple[Mark, str, Matcher], ...]
"""A rule of `exclude`: for each axis its place, name and condition."""

RowNode: TypeAlias = Mapping[str, tuple[Mark, Given]]
"""A row of `include`: for each axis its place and value."""

_BOUNDS = ("lt", "le", "gt", "ge")
_SAMPLE: Mapping[str, tuple[str, settings.Reader]] = {
    "count": ("count", settings.whole(1)),
    "rng": ("rng", settings.whole(0)),
}


def read_zip(node: Node, problems: Problems) -> tuple[tuple[tuple[Mark, str], ...], ...]:
    """Read groups of axes that move together: a list of lists of names."""
    groups = []
    for group in _items(node, problems, "a list of groups like [[width, height]]"):
        found = []
        for each in _items(group, problems, "a group like [width, height]"):
            name = settings.text(each, problems, "the name of an axis")
            if name is not None:
                found.append((each.mark, name))
        if isinstance(group, ListNode) and len(group.items) < 2:
            problems.add(group.mark, "A group needs two axes or more.", "Write `zip: [[width, height]]`.")
        groups.append(tuple(found))
    return tuple(groups)


def read_rules(node: Node, problems: Problems) -> tuple[RuleNode, ...]:
    """Read the rules of `exclude`: a list of mappings from axes to conditions."""
    rules = []
    for rule in _items(node, problems, "a list of rules like {seed: 1}"):
        if not isinstance(rule, MapNode) or not rule.entries:
            problems.add(
                rule.mark, f"{kind_of(rule).capitalize()} stands where a rule is expected.", "Write `- {seed: 1}`."
            )
            continue
        rules.append(
            tuple((rule.keys[name], name, read_matcher(value, problems)) for name, value in rule.entries.items()),
        )
    return tuple(rules)


def read_rows(node: Node, problems: Problems) -> tuple[RowNode, ...]:
    """Read the rows of `include`: a list of mappings from axes to values."""
    rows = []
    for row in _items(node, problems, "a list of rows like {seed: 1}"):
        if not isinstance(row, MapNode):
            problems.add(
                row.mark, f"{kind_of(row).capitalize()} stands where a row is expected.", "Write `- {seed: 1}`."
            )
            continue
        found = {}
        for name, value in row.entries.items():
            given = read_given(value, problems)
            if given is not None:
                found[name] = (row.keys[name], given)
        rows.append(found)
    return tuple(rows)


def read_sample(node: Node, problems: Problems) -> Sample | None:
    """Read `{count, rng}`."""
    found = settings.members(node, _SAMPLE, problems)
    if isinstance(node, MapNode) and "count" not in node.entries:
        problems.add(node.mark, "A sample needs a `count`.", "Write `sample: {count: 200}`.")
    return Sample(**found) if "count" in found else None


def read_matcher(node: Node, problems: Problems) -> Matcher:
    """Read a condition: a value, a list of values, or `lt`, `le`, `gt`, `ge`, `not`."""
    if not isinstance(node, MapNode):
        return Matcher(any_of=_wanted(node, problems))
    bounds: list[tuple[str, Decimal]] = []
    excluded: tuple[Scalar | Decimal, ...] = ()
    for word, value in node.entries.items():
        if word == "not":
            excluded = _wanted(value, problems)
        elif word in _BOUNDS:
            bound = settings.number(value, problems)
            bounds += [] if bound is None else [(word, bound)]
        else:
            problems.add(node.keys[word], "This is not known in a condition.", did_you_mean(word, (*_BOUNDS, "not")))
    if not node.entries:
        problems.add(node.mark, "An empty mapping is no condition.", "Write `{gt: 5}`.")
    return Matcher((), tuple(bounds), excluded)


def _wanted(node: Node, problems: Problems) -> tuple[Scalar | Decimal, ...]:
    nodes = node.items if isinstance(node, ListNode) else (node,)
    if not nodes:
        problems.add(node.mark, "An empty list is no condition.", "Write the values that are meant.")
    found = (settings.scalar(each, problems, "a value") for each in nodes)
    return tuple(each for each in found if each is not None)


def _items(node: Node, problems: Problems, expected: str) -> tuple[Node, ...]:
    if isinstance(node, ListNode):
        return node.items
    problems.add(node.mark, f"{kind_of(node).capitalize()} stands where {expected} is expected.")
    return ()
