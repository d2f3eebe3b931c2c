"""Whether the parts of a job fit together: groups, rules, templates; and what is likely not meant."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import product

from orchestrator.names import safe_part
from orchestrator.sweep.axes import Cell, Spaced
from orchestrator.sweep.expand import Expansion
from orchestrator.sweep.grid import Derived, Grid, Here
from orchestrator.sweep.items import Given
from orchestrator.sweep.lookup import Lookup
from orchestrator.sweep.problems import Mark, Problems, did_you_mean, shorten
from orchestrator.sweep.recipe import Matcher, Recipe, Rule
from orchestrator.sweep.scalars import plain
from orchestrator.sweep.schema import Kind, Schema, UnfitError
from orchestrator.sweep.selection import RuleNode
from orchestrator.sweep.templates import names, parse

_WILDCARD = re.compile(r"__[\w-]+(?:/[\w-]+)*__")
_COMMENT = re.compile(r" #\S")
_BRACED = re.compile(r"\{([^{}]+)\}")


def zipped(
    recipe: Recipe, groups: Iterable[Iterable[tuple[Mark, str]]], problems: Problems
) -> tuple[tuple[str, ...], ...]:
    """Return the groups of axes that move together; unknown names, double ones and unequal lengths are problems."""
    sizes = {axis.name: len(axis) for axis in recipe.axes}
    grouped: set[str] = set()
    found = []
    for group in groups:
        members = list(group)
        for mark, name in members:
            if name not in sizes:
                problems.add(mark, f"`{shorten(name)}` is neither an axis nor a variable.", did_you_mean(name, sizes))
            elif name in grouped:
                problems.add(mark, f"`{name}` moves together with others already.", "Name each axis once.")
            grouped.add(name)
        lengths = {name: sizes[name] for _, name in members if name in sizes}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"`{name}` has {length}" for name, length in lengths.items())
            problems.add(members[0][0], f"Axes that move together need equally many values: {told}.")
        found.append(tuple(name for _, name in members))
    return tuple(found)


def rules(recipe: Recipe, written: Iterable[RuleNode], problems: Problems) -> tuple[Rule, ...]:
    """Return the rules of `exclude`; a name that is no axis is a problem."""
    known = dict.fromkeys(axis.name for axis in recipe.axes)
    for rule in written:
        for mark, name, _ in rule:
            if name not in known:
                problems.add(mark, f"`{shorten(name)}` is neither an axis nor a variable.", did_you_mean(name, known))
    return tuple(tuple((name, matcher) for _, name, matcher in rule if name in known) for rule in written)


def circles(recipe: Recipe, marks: Mapping[str, Mark], problems: Problems) -> None:
    """Note axes whose templates use each other, or themselves."""
    uses = _uses(recipe)
    for name, direct in uses.items():
        reached: frozenset[str] = frozenset()
        waiting = direct
        while waiting:
            reached |= waiting
            waiting = frozenset[str]().union(*(uses.get(each, frozenset()) for each in waiting)) - reached
        if name in reached:
            message = f"The templates of `{name}` use `{{{name}}}` itself, directly or through other axes."
            problems.add(marks[name], message, "Take it out of one of them.")


def names_used(recipe: Recipe) -> frozenset[str]:
    """Return the names that stand in templates which are sent."""
    fixed = (names(parse(template)) for template in recipe.templates.values())
    return frozenset[str]().union(*_uses(recipe).values(), *fixed)


def rendered(recipe: Recipe, schema: Schema, marks: Mapping[str, Mark], problems: Problems) -> None:
    """Check what templates make for parameters that do not take every text; a text that does not fit is a problem."""
    grid = Grid(recipe)
    for derived in grid.derived:
        parameter = schema.parameters[derived.name]
        if parameter.kind is Kind.TEXT and not parameter.options:
            continue
        try:
            for text in _texts(grid, derived):
                parameter.send(text)
        except UnfitError as error:
            problems.add(marks[derived.name], f"A template does not fit: {error}.", error.hint)


def warnings(recipe: Recipe, replaced: Container[str] = ()) -> Iterator[str]:
    """Yield a sentence for each thing that is allowed and likely not meant.

    Args:
        recipe: All that decides which tasks there are.
        replaced: The axes that got their one value from the command line.
    """
    used = names_used(recipe)
    for axis in recipe.axes:
        if axis.kind is None and axis.name not in used and len(axis) > 1:
            yield (
                f"The variable `{axis.name}` is used by no template that is sent: "
                f"its {len(axis)} values lead to the same tasks, which are done once."
            )
        has_label = len(axis) == 1 and axis.cell(0).label is not None  # which `parameters` does not keep
        if axis.kind is not None and len(axis) == 1 and not has_label and axis.name not in replaced:
            yield f"Axis `{axis.name}` has one value: it could stand under `parameters`."
    yield from _unreached(recipe)
    yield from _idle_rules(recipe)
    yield from _same_labels(recipe)
    expansion = Expansion(recipe)
    folded = expansion.folded
    if folded:
        make, each = ("makes", "it") if folded == 1 else ("make", "each")
        cells = f"{folded:,} of {expansion.cells:,} cells"
        yield f"{cells} {make} a task that another one makes already; {each} is done once."


def literal(name: str, items: Iterable[object], known: Container[str]) -> Iterator[str]:
    """Yield a sentence where a variable's value holds what would be a template anywhere else.

    Args:
        name: The variable.
        items: What the job file gives for it.
        known: The names of all axes and variables.
    """
    for given in items:
        if not isinstance(given, Given) or given.raw or not isinstance(given.value, str):
            continue
        used = next((each for each in _BRACED.findall(given.value) if each in known), None)
        if used is not None:
            yield (
                f"The variable `{name}` holds `{{{used}}}`, which stays as it is: values of variables are no templates."
                f" Write {{raw: …}} where that is meant."
            )
            return


def slips(name: str, items: Iterable[object]) -> Iterator[str]:
    """Yield a sentence for the first wildcard that is no template's, and for the first text that ends at a comment.

    Args:
        name: The parameter, the variable or the axis.
        items: What the job file gives for it.
    """
    texts = [(each, each.value) for each in items if isinstance(each, Given) and isinstance(each.value, str)]
    wildcards = (_WILDCARD.search(text) for given, text in texts if "__" in text and not given.raw)
    if found := next(filter(None, wildcards), None):
        yield (
            f"`{name}` holds `{shorten(found.group())}`, which stays as it is: wildcards stand in {{template: …}}."
            " Write {raw: …} where that is meant."
        )
    if cut := next((given.mark for given, text in texts if _ends_at_comment(given.mark, text)), None):
        yield (
            f"{cut.source.name}:{cut.line}:{cut.column}: the text of `{name}` ends before ` #`, where a comment begins."
            " Put it in quotes if the rest belongs to it."
        )


def _ends_at_comment(mark: Mark, text: str) -> bool:
    """Return whether a text without quotes is followed by what is a comment for YAML and looks like more text."""
    if not (mark.source.yaml and 0 < mark.line <= len(mark.source.lines)):
        return False
    words = text.split()
    lines = mark.source.lines[mark.line - 1 : mark.line + len(words) + text.count("\n")]
    written = re.match(r"\s+".join(map(re.escape, words)), "\n".join(lines)[mark.column - 1 :])
    return written is not None and _COMMENT.match(written.string, written.end()) is not None


def _unreached(recipe: Recipe) -> Iterator[str]:
    """Yield a sentence for each range whose steps do not lead to its end."""
    for axis in recipe.axes:
        for segment in axis.segments:
            if isinstance(segment, Spaced) and (last := segment.number(len(segment) - 1)) != segment.end:
                yield (
                    f"A range of `{axis.name}` ends at {plain(last)}: "
                    f"steps of {segment.step} do not lead to {plain(segment.end)}."
                )


def _idle_rules(recipe: Recipe) -> Iterator[str]:
    """Yield a sentence for each rule of `exclude` that fits no cell; axes that move together are looked at together."""
    values = {axis.name: Lookup(axis) for axis in recipe.axes}
    groups = {name: group for group in recipe.zipped for name in group}
    for number, rule in enumerate(recipe.exclude, 1):
        wheels: dict[tuple[str, ...], list[tuple[str, Matcher]]] = {}
        for name, matcher in rule:
            wheels.setdefault(groups.get(name, (name,)), []).append((name, matcher))
        for conditions in wheels.values():
            places = min((values[name].candidates(matcher) for name, matcher in conditions), key=len)
            cells = ([values[name].cell(place) for name, _ in conditions] for place in places)
            if not any(all(map(_fits, conditions, each)) for each in cells):
                told = " and ".join(f"`{name}`" for name, _ in conditions)
                value = "value" if len(conditions) == 1 else "pair of values" if len(conditions) == 2 else "values"
                yield f"Rule {number} of `exclude` matches nothing: no {value} of {told} fits it."


def _fits(condition: tuple[str, Matcher], value: Cell) -> bool:
    return condition[1].matches(value)


def _same_labels(recipe: Recipe) -> Iterator[str]:
    """Yield a sentence for each axis of which two values have one label, or labels that are one in paths."""
    for axis in recipe.axes:
        labelled: dict[str, str] = {}
        for cell in axis.written():
            part = None if cell.label is None else safe_part(cell.label)
            if part is not None and labelled.setdefault(part, cell.text) != cell.text:
                first, second = shorten(labelled[part]), shorten(cell.text)
                yield (
                    f"Axis `{axis.name}` has labels for `{first}` and for `{second}` that are both `{shorten(part)}` in"
                    " paths: their files are told apart by the task's id alone."
                )
                break


def _uses(recipe: Recipe) -> dict[str, frozenset[str]]:
    return {
        axis.name: frozenset[str]().union(*(names(parse(cell.text)) for cell in axis.written() if cell.template))
        for axis in recipe.axes
    }


def _texts(grid: Grid, derived: Derived) -> Iterator[str]:
    """Yield every text that a template makes."""
    here = Here(grid)
    choices = [range(size) if level in derived.wheels else range(1) for level, size in enumerate(grid.sizes)]
    for digits in product(*choices):
        for level, digit in enumerate(digits):
            if digit != here.digits[level]:
                here.turn(level, digit)
        text = here.rendered(derived)
        if text is not None:
            yield text
