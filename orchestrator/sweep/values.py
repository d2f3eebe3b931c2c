"""Values that stand in files of their own: a line each, or a column of a table."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Final, TypeAlias

from orchestrator.sweep.beside import Beside, UnreadableError
from orchestrator.sweep.items import FromFile, Given
from orchestrator.sweep.nodes import (
    CREDENTIALS_HINT,
    IN_USE,
    ListNode,
    MapNode,
    Node,
    ScalarNode,
    kind_of,
    parse,
    unwanted,
)
from orchestrator.sweep.problems import SHOWN, Mark, Problems, Source, did_you_mean, listed, shorten
from orchestrator.sweep.readers import scalar
from orchestrator.sweep.scalars import exact, plain

MOST: Final = 1_000_000
"""How many values a file may hold."""

Value: TypeAlias = str | Decimal | bool

_SPACE = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class _Row:
    """One value of a list, or one row of a table with its cells by their column; None stands for nothing."""

    mark: Mark
    content: Value | Mapping[str, Any] | None


def read_values(item: FromFile, beside: Beside, problems: Problems) -> list[Given]:
    """Read the values of a file; they are taken as they stand, braces mean nothing in them.

    Args:
        item: What the job file asks for.
        beside: Where the file may lie.
        problems: Takes what is wrong, with its place in the file.
    """
    try:
        source = beside.text(item.file, item.mark.path, problems)
    except UnreadableError as error:
        problems.add(item.mark, str(error), error.hint)
        return []
    if source is None:
        return []
    noted = len(problems)
    found: list[Given] = []
    for row in _rows(item, source, problems):
        given = _given(item, row, problems)
        found += [] if given is None else [given]
        if len(found) > MOST:
            problems.add(item.mark, f"`{shorten(item.file)}` has more than {MOST} values.", "Split it.")
        if len(problems) - noted >= SHOWN or len(found) > MOST:
            return []
    if not found and len(problems) == noted:
        problems.add(item.mark, f"`{shorten(item.file)}` has no values.")
    return found


def _rows(item: FromFile, source: Source, problems: Problems) -> Iterator[_Row]:
    suffix = PurePosixPath(item.file).suffix.lower()
    if suffix == ".csv":
        return _csv_rows(source, item, problems)
    if suffix == ".json":
        return _json_rows(source, item.mark.path, problems)
    if suffix in (".yaml", ".yml"):
        return _yaml_rows(Source(source.name, source.text), item, problems)
    return _lines(source, item, problems)


def _lines(source: Source, item: FromFile, problems: Problems) -> Iterator[_Row]:
    if item.column is not None or item.label is not None:
        hint = "Delete `column` and `label`; tables are read from .csv, .json and .yaml files."
        problems.add(item.mark, f"`{shorten(item.file)}` is a list of lines and has no columns.", hint)
        return
    for number, line in enumerate(source.lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield _Row(Mark(source, number, 1, item.mark.path), text)


def _given(item: FromFile, row: _Row, problems: Problems) -> Given | None:
    if not isinstance(row.content, Mapping):
        if item.column is None and item.label is None:
            return _checked(row.mark, row.content, None, problems)
        message = "A plain value was given where a row with columns is expected."
        problems.add(row.mark, message, "Delete `column` and `label` in the job file, or give every value its columns.")
        return None
    columns = list(row.content)
    if item.column is None:
        hint = f"Add `column:` with one of {listed(columns)}." if columns else None
        problems.add(item.mark, f"`{shorten(item.file)}` is a table, and no column of it is named.", hint)
        return None
    if _lacks_columns(item, row.mark, columns, problems):
        return None
    label = row.content[item.label] if item.label is not None else None
    if isinstance(label, bool):
        problems.add(row.mark, "A truth value was given where a label is expected.", "Put it in quotes.")
    text = plain(label) if isinstance(label, Decimal) else label if isinstance(label, str) else None
    return _checked(row.mark, row.content[item.column], text or None, problems)


def _lacks_columns(item: FromFile, mark: Mark, columns: list[str], problems: Problems) -> bool:
    missing = [name for name in (item.column, item.label) if name is not None and name not in columns]
    for name in missing:
        problems.add(mark, f"There is no column `{shorten(name)}` here.", did_you_mean(name, columns))
    return bool(missing)


def _checked(mark: Mark, value: object, label: str | None, problems: Problems) -> Given | None:
    if value is None or not isinstance(value, (str, Decimal, bool)):
        problems.add(
            mark, f"{'Nothing' if value is None else 'A list or a mapping'} was given where a value is expected."
        )
        return None
    for text in (value, label):
        if isinstance(text, str) and unwanted(text):
            problems.add(mark, "The text holds a character that cannot be sent.", "Delete it.")
            return None
        if isinstance(text, str) and problems.has_secret(text):
            problems.add(mark, IN_USE, CREDENTIALS_HINT, show=False)
            return None
    return Given(mark, value, label, raw=True)


def _csv_rows(source: Source, item: FromFile, problems: Problems) -> Iterator[_Row]:
    path = item.mark.path
    reader = csv.reader(io.StringIO(source.text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) < len(header):
            problems.add(Mark(source, 1, 1, path), "Two columns have the same name.", "Rename one of them.")
            return
        if item.column is not None and _lacks_columns(item, Mark(source, 1, 1, path), header, problems):
            return
        line = reader.line_num + 1
        for cells in reader:
            mark = Mark(source, line, 1, path)
            line = reader.line_num + 1
            if len(cells) == len(header):
                yield _Row(mark, dict(zip(header, cells, strict=True)))
            elif cells:
                message = f"This row has {_counted(len(cells), 'cell')}, and the first one has {len(header)}."
                problems.add(mark, message, 'Put a cell with a comma in it in double quotes: "fog, rain".')
    except csv.Error as error:
        problems.add(Mark(source, max(1, reader.line_num), 1, path), f"This is not CSV: {error}.")


def _yaml_rows(source: Source, item: FromFile, problems: Problems) -> Iterator[_Row]:
    wanted = (item.column, item.label)
    root = parse(source, problems)
    if root is None:
        return
    for node in _listed(root, problems):
        mark = Mark(source, node.mark.line, node.mark.column, item.mark.path)
        if isinstance(node, ScalarNode):
            value = scalar(node, problems, "a value")
            if value is not None:
                yield _Row(mark, value)
        elif isinstance(node, MapNode):
            noted = len(problems)
            cells = {
                name: scalar(each, problems, "a value") if name in wanted else None
                for name, each in node.entries.items()
            }
            if len(problems) == noted:
                yield _Row(mark, cells)
        else:
            problems.add(mark, "A list was given where a value is expected.")


def _listed(root: Node, problems: Problems) -> Iterable[Node]:
    if isinstance(root, ListNode):
        return root.items
    problems.add(
        root.mark, f"{kind_of(root)} was given where a list of values is expected.", "Begin each line with `- `."
    )
    return ()


def _json_rows(source: Source, path: str, problems: Problems) -> Iterator[_Row]:
    line, line_start = 1, 0
    try:
        for place, content in _json_items(source.text):
            line += source.text.count("\n", line_start, place)
            line_start = max(line_start, source.text.rfind("\n", line_start, place) + 1)
            yield _Row(Mark(source, line, place - line_start + 1, path), content)
    except json.JSONDecodeError as error:
        mark = Mark(source, error.lineno, error.colno, path)
        problems.add(mark, f"This is not a list in JSON: {error.msg[:1].lower()}{error.msg[1:]}.")


def _json_items(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the items of a list one by one, each with its place.

    Raises:
        json.JSONDecodeError: The text is no list in JSON.
    """
    place = _after_space(text, 0)
    if text[place : place + 1] != "[":
        raise json.JSONDecodeError("`[` is expected", text, place)
    place = _after_space(text, place + 1)
    while text[place : place + 1] != "]":
        item, end = _decoded_item(text, place)
        yield place, item
        place = _after_space(text, end)
        if text[place : place + 1] == ",":
            place = _after_space(text, place + 1)
        elif text[place : place + 1] != "]":
            raise json.JSONDecodeError("`,` or `]` is expected", text, place)
    if _after_space(text, place + 1) < len(text):
        raise json.JSONDecodeError("something stands behind the list", text, place + 1)


def _decoded_item(text: str, place: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, place)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("lists and mappings stand too deep within each other", text, place) from None
    except ValueError as error:
        raise json.JSONDecodeError(str(error), text, place) from None


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _no_number(word: str) -> None:
    raise ValueError(f"`{word}` is not a finite number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name appears twice in one object")
    return found


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_DECODER = json.JSONDecoder(
    parse_float=exact, parse_int=exact, parse_constant=_no_number, object_pairs_hook=_without_doubles
)
