"""Tables of a run: CSV for spreadsheets, JSON for programs, Parquet for data frames; none is ever whole in memory."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from orchestrator.output.export import parquet
from orchestrator.output.export.choice import Chosen
from orchestrator.output.export.rows import columns, entry, rows

FORMAT: Final = 1
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n]")
"""What makes a spreadsheet take a text for a formula."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Content:
    """What a table tells.

    Attributes:
        name: The run's.
        model: `owner/model`.
        axes: The names of the axes and variables, outermost first; those that move together stand together.
        chosen: Gives what is exported, from the beginning at each call and always the same.
    """

    name: str
    model: str
    axes: tuple[tuple[str, ...], ...]
    chosen: Callable[[], Iterator[Chosen]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of all tasks."""
        for each in self.chosen():
            yield from rows(each, self.model)

    def head(self) -> dict[str, Any]:
        """Return what holds for all tasks."""
        axes = [list(group) for group in self.axes]
        return {"format": FORMAT, "name": self.name, "model": self.model, "axes": axes}


def write_csv(content: Content, path: Path) -> None:
    """Write a row for each output: RFC 4180, UTF-8, and no cell that a spreadsheet takes for a formula."""
    names = columns(content.chosen())
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(map(cell, names))
        writer.writerows([cell(row.get(name)) for name in names] for row in content.rows())


def write_json(content: Content, path: Path) -> None:
    """Write one object: what holds for all tasks, and under `tasks` an object for each, a line apart."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(f'{encode(content.head())[:-1]}, "tasks": [')
        file.writelines(_apart(encode(entry(each, content.model)) for each in content.chosen()))
        file.write("\n]}\n")


def write_parquet(content: Content, path: Path) -> None:
    """Write a row for each output, each column with the type that holds all of its values.

    Raises:
        RefusedError: The library for it is not installed.
    """
    parquet.write(path, content.rows(), content.head())


def cell(value: Any) -> str:
    """Return a value as a cell of CSV; a text that a spreadsheet would take for a formula gets a `'` before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _apart(texts: Iterable[str]) -> Iterator[str]:
    comma = ""
    for text in texts:
        yield f"{comma}\n{text}"
        comma = ","


TABLES: Final[Mapping[str, Callable[[Content, Path], None]]] = MappingProxyType(
    {"csv": write_csv, "json": write_json, "parquet": write_parquet}
)
"""The kinds of tables, by the ending of their files."""
