"""The forms in which a job file writes the values of an axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from orchestrator.sweep.axes import Drawn, Spaced
from orchestrator.sweep.items import Computed, Every, FromFile, Given, Item, Matching, Variants
from orchestrator.sweep.nodes import ListNode, MapNode, Node, ScalarNode, kind_of, secret_key_problem
from orchestrator.sweep.problems import Mark, Problems, did_you_mean
from orchestrator.sweep.ranges import MOST, counted, drawn, stepped
from orchestrator.sweep.readers import (
    NUMBER,
    SCALAR,
    TEXT,
    JsonSchema,
    Key,
    Keys,
    Reader,
    capital,
    members_schema,
    scalar,
    truth_word,
    whole,
)
from orchestrator.sweep.scalars import plain

_SINGLE = ("value", "raw")
_EXAMPLE = "Write a list, `{from: 1, to: 5, step: 1}`, `{random: 4, from: 1, to: 1000}` or `all`."


@dataclass(frozen=True, slots=True)
class _Form:
    """A mapping that stands for values.

    Attributes:
        says: What it stands for, for editors.
        keys: What may stand in it.
        required: What must stand in it.
        example: How to write it.
        make: Returns what it stands for, or None after noting a problem.
    """

    says: str
    keys: Keys
    required: tuple[str, ...]
    example: str
    make: Callable[[MapNode, Mapping[str, Any], Problems], Item | None]


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
        return _word(node, problems)
    if isinstance(node, MapNode) and node.entries.keys() & set(_SINGLE):
        problems.add(node.mark, "A single value is not an axis.", "Put it in a list: begin the line with `- `.")
        return ()
    if isinstance(node, ListNode) and not node.items:
        problems.add(node.mark, "The axis has no values.", _EXAMPLE)
    found = (_item(each, problems) for each in (node.items if isinstance(node, ListNode) else (node,)))
    return tuple(_named(name, item) for item in found if item is not None)


def read_axes(node: Node, problems: Problems) -> dict[str, tuple[Mark, tuple[Item, ...]]]:
    """Read axes by their names, each with the place of its name."""
    found = _entries(node, problems)
    return {name: (mark, read_axis(name, value, problems)) for name, (mark, value) in found.items()}


def read_given(node: Node, problems: Problems) -> Given | None:
    """Read one value: a scalar, `{value, label}` or `{raw}`."""
    if isinstance(node, MapNode):
        if node.entries.keys() & set(_SINGLE):
            found = _form(node, problems)
            return found if isinstance(found, Given) else None
        form = next((key for key in _FORMS if key in node.entries), None)
        if form is not None:
            message = f"`{form}` stands for the values of an axis, and one value is expected here."
            problems.add(node.keys[form], message, "Vary the parameter under `sweep` instead.")
        else:
            problems.add(node.mark, "A mapping was given where one value is expected.", _text_hint(node))
        return None
    value = scalar(node, problems, "one value")
    return None if value is None else Given(node.mark, value, word=truth_word(node))


def read_row(node: Node, problems: Problems) -> dict[str, tuple[Mark, Given]]:
    """Read single values by their names, each with the place of its name."""
    found = {}
    for name, (mark, value) in _entries(node, problems).items():
        given = read_given(value, problems)
        if given is not None:
            found[name] = (mark, given)
    return found


def _entries(node: Node, problems: Problems) -> dict[str, tuple[Mark, Node]]:
    if isinstance(node, MapNode):
        return {name: (node.keys[name], value) for name, value in node.entries.items()}
    if not isinstance(node, ScalarNode) or node.text:
        problems.add(node.mark, f"{capital(kind_of(node))} was given where a mapping is expected.")
    return {}


def _word(node: ScalarNode, problems: Problems) -> tuple[Item, ...]:
    """Read an axis that is one word, which only `all` can be."""
    if node.text == "all" and not node.quoted:
        return (Every(node.mark, alone=True),)
    if not node.text and not node.quoted:
        problems.add(node.mark, "The axis has no values.", _EXAMPLE)
    elif not node.refused:
        shown = f'"{node.text}"' if node.quoted else node.text
        hint = f"Write [{shown}] for one value."
        if "," in shown and not node.quoted:
            hint = f'Write [{shown}] for several values, or ["{shown}"] for one.'
        hint = hint if len(shown) < 40 else _EXAMPLE
        problems.add(node.mark, f"{kind_of(node)} was given where the values of an axis are expected.", hint)
    return ()


def _item(node: Node, problems: Problems) -> Item | None:
    if isinstance(node, MapNode):
        return _form(node, problems)
    if isinstance(node, ListNode):
        problems.add(node.mark, "A list stands within the list of values.", "Write the values one below the other.")
        return None
    if node.text == "all" and not node.quoted:
        return Every(node.mark, alone=False)
    value = scalar(node, problems, "a value")
    return None if value is None else Given(node.mark, value, word=truth_word(node))


def _named(name: str, item: Item) -> Item:
    """Tell a draw which axis it is of."""
    if isinstance(item, Computed) and isinstance(item.segment, Drawn):
        return replace(item, segment=replace(item.segment, axis=name))
    return item


def _form(node: MapNode, problems: Problems) -> Item | None:
    known = list(dict.fromkeys(key for form in _FORMS.values() for key in form.keys))
    unknown = [key for key in node.entries if key not in known]
    for key in unknown:
        if not secret_key_problem(node.keys[key], key, problems):
            hint = _text_hint(node) if len(node.entries) == 1 else did_you_mean(key, known)
            problems.add(node.keys[key], "This key is not known in a value.", hint)
    if unknown:
        return None
    main = next((key for key in _FORMS if key in node.entries), None)
    if {"from", "to"} & node.entries.keys() if main is None else _is_two_ranges(node):
        problems.add(node.mark, "A range needs `from`, `to`, and either `step` or `count`.", _RANGE_EXAMPLE)
        return None
    if main is None:
        alone = f"`{next(iter(node.entries))}` by itself" if node.entries else "An empty mapping"
        problems.add(node.mark, f"{alone} stands for no value.", _EXAMPLE)
        return None
    return _read_form(main, node, problems)


def _is_two_ranges(node: MapNode) -> bool:
    return {"step", "count"} <= node.entries.keys() <= {"from", "to", "step", "count"}


def _read_form(main: str, node: MapNode, problems: Problems) -> Item | None:
    form = _FORMS[main]
    strange = [key for key in node.entries if key not in form.keys]
    for key in strange:
        together = ", ".join(f"`{each}`" for each in node.entries if each != key)
        problems.add(node.keys[key], f"`{key}` does not go together with {together}.", form.example)
    missing = " and ".join(f"`{key}`" for key in form.required if key not in node.entries)
    if missing and not strange:
        problems.add(node.mark, f"`{main}` needs {missing} beside it.", form.example)
    if strange or missing:
        return None
    found = {key: form.keys[key].reader(value, problems) for key, value in node.entries.items()}
    return None if None in found.values() else form.make(node, found, problems)


def _text_hint(node: MapNode) -> str | None:
    """Return how to write what was likely meant as a text."""
    if node.flow and len(node.entries) == 1 and node.mark.column != next(iter(node.keys.values())).column:
        return f'A text that begins with a brace must stand in quotes: "{{{next(iter(node.entries))}}} …".'
    return 'A text with a colon must stand in quotes: "a boat: red".'


def _read_label(node: Node, problems: Problems) -> str | None:
    found = scalar(node, problems, "a label")
    if isinstance(found, bool):
        problems.add(node.mark, "A truth value was given where a label is expected.", "Put it in quotes.")
        return None
    return plain(found) if isinstance(found, Decimal) else found


def _given(node: MapNode, found: Mapping[str, Any], _: Problems) -> Given:
    main = "raw" if "raw" in found else "value"
    value = node.entries[main]
    return Given(value.mark, found[main], found.get("label"), main == "raw", word=truth_word(value))


def _computed(
    make: Callable[[MapNode, Mapping[str, Any], Problems], Spaced | Drawn | None],
) -> Callable[[MapNode, Mapping[str, Any], Problems], Computed | None]:
    def made(node: MapNode, found: Mapping[str, Any], problems: Problems) -> Computed | None:
        segment = make(node, found, problems)
        return None if segment is None else Computed(node.mark, segment)

    return made


_VALUE: Reader[Any] = Reader(lambda node, problems: scalar(node, problems, "a value"), SCALAR)
_LABEL = Key("Its name in paths and tables.", Reader(_read_label, {"type": ["string", "number"]}))
_ENDS: Keys = {"from": Key("The first value.", NUMBER), "to": Key("The last value.", NUMBER)}
_LOW, _HIGH = whole(-(10**18)), whole(-(10**18), 10**20)
_RANGE_EXAMPLE = "Write `{from: 1, to: 5, step: 1}` or `{from: 1, to: 5, count: 5}`."

_FORMS: Mapping[str, _Form] = {
    "value": _Form(
        "A value with a label.",
        {"value": Key("The value.", _VALUE), "label": _LABEL},
        ("value",),
        "Write `{value: a harbour in fog, label: harbour}`.",
        _given,
    ),
    "raw": _Form(
        "A text in which braces mean nothing.",
        {"raw": Key("The text.", TEXT), "label": _LABEL},
        ("raw",),
        'Write `{raw: "{as it stands}"}`.',
        _given,
    ),
    "random": _Form(
        "Distinct whole numbers at random, the same ones for ever.",
        {
            "random": Key("How many.", whole(1, MOST)),
            "from": Key("The smallest that may be drawn.", _LOW),
            "to": Key("The largest that may be drawn.", _HIGH),
            "rng": Key("Another number gives other draws. 0 by default.", whole(0)),
        },
        ("random", "from", "to"),
        "Write `{random: 4, from: 1, to: 1000}`.",
        _computed(drawn),
    ),
    "file": _Form(
        "The values in a file beside the job file: a line each, or a column of a .csv, .json or .yaml table.",
        {
            "file": Key("The file.", TEXT),
            "column": Key("The column of a table whose values are meant.", TEXT),
            "label": Key("The column of a table that names them.", TEXT),
        },
        ("file",),
        "Write `{file: prompts.txt}` or `{file: rows.csv, column: text}`.",
        lambda node, found, _: FromFile(node.entries["file"].mark, **found),
    ),
    "files": _Form(
        "The local files that fit a pattern, to be sent themselves.",
        {"files": Key("A pattern that starts from the folder of the job file.", TEXT)},
        ("files",),
        'Write `{files: "inputs/*.png"}`.',
        lambda node, found, _: Matching(node.entries["files"].mark, found["files"]),
    ),
    "template": _Form(
        "Every text that a template with variants, combinations and wildcards stands for.",
        {"template": Key("A text with {a|b}, {2$$a|b|c}, __file__ or {name} in it.", TEXT)},
        ("template",),
        'Write `{template: "a {red|blue} boat"}`.',
        lambda node, found, _: Variants(node.entries["template"].mark, **found),
    ),
    "step": _Form(
        "Numbers at a fixed distance, both ends included, exact.",
        {**_ENDS, "step": Key("The distance.", NUMBER)},
        ("from", "to", "step"),
        _RANGE_EXAMPLE,
        _computed(stepped),
    ),
    "count": _Form(
        "Evenly spaced numbers, both ends included.",
        {**_ENDS, "count": Key("How many.", whole(1, MOST))},
        ("from", "to", "count"),
        _RANGE_EXAMPLE,
        _computed(counted),
    ),
}


def definitions() -> dict[str, JsonSchema]:
    """Return what each form of values looks like, by the key that tells it from the others, and what an axis is."""
    forms: dict[str, JsonSchema] = {
        name: {"description": form.says, **members_schema(form.keys, form.required)} for name, form in _FORMS.items()
    }
    refs = {name: {"$ref": f"#/definitions/{name}"} for name in forms}
    values = {"type": "array", "items": {"anyOf": [SCALAR, *refs.values()]}, "minItems": 1}
    alone = [ref for name, ref in refs.items() if name not in _SINGLE]
    single = [refs[name] for name in _SINGLE]
    return {**forms, "axis": {"anyOf": [{"const": "all"}, values, *alone]}, "one": {"anyOf": [SCALAR, *single]}}


ROW: JsonSchema = {"type": "object", "additionalProperties": {"$ref": "#/definitions/one"}}
"""What single values by their names look like."""

AXES: JsonSchema = {"type": "object", "additionalProperties": {"$ref": "#/definitions/axis"}}
"""What axes by their names look like."""
