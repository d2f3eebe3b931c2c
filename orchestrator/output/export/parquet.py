"""Parquet files through pyarrow, which is an extra: `pip install 'orchestrator[parquet]'`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from functools import reduce
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import Any, Final, TextIO

from orchestrator.errors import RefusedError
from orchestrator.output.export.rows import OWN, in_order

CHUNK: Final = 500
"""How many rows are held as Python's objects, which take many times the room that they take in the table."""
GROUP_BYTES: Final = 4_000_000
"""How much a row group holds, not yet compressed."""
_PLAIN: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_MOST_EXACT: Final = 2**53
_FORMS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {"submitted_at": datetime.fromisoformat, "finished_at": datetime.fromisoformat, "cost_usd": Decimal}
)


class Kind(IntEnum):
    """What a column holds; of two kinds the larger one holds the values of both, unless one of them is FLAG."""

    NOTHING = 0
    FLAG = 1
    WHOLE = 2
    NUMBER = 3
    TEXT = 4


_MADE: Final = MappingProxyType({Kind.NOTHING: bool, Kind.FLAG: bool, Kind.WHOLE: int, Kind.NUMBER: float})


def kind_of(value: Any) -> Kind:
    """Return the narrowest kind for a value; numbers that are sent as text are numbers too."""
    if value is None:
        return Kind.NOTHING
    if isinstance(value, bool):
        return Kind.FLAG
    if isinstance(value, float):
        return Kind.NUMBER
    text = str(value)
    if not _PLAIN.fullmatch(text):
        return Kind.TEXT
    if "." in text:
        return Kind.NUMBER
    return Kind.WHOLE if abs(int(text)) <= _MOST_EXACT else Kind.TEXT


def wider(one: Kind, other: Kind) -> Kind:
    """Return the kind of a column that holds values of both."""
    low, high = sorted((one, other))
    return Kind.TEXT if low is Kind.FLAG and high is not Kind.FLAG else high


def in_form(kind: Kind, value: Any) -> Any:
    """Return a value as a column of a kind that holds it takes it."""
    if value is None:
        return None
    if kind is Kind.TEXT:
        return ("true" if value else "false") if isinstance(value, bool) else str(value)
    return _MADE[kind](value)


def write(path: Path, rows: Iterable[Mapping[str, Any]], head: Mapping[str, Any]) -> None:
    """Write a table.

    What a column holds is known only behind its last row, and a Parquet file begins with it: the rows wait in a
    temporary file beside the table, some at a time, so that they are asked for once and never all in memory.

    Args:
        path: The file.
        rows: The rows. The columns that every table has have types of their own, the others what they hold.
        head: What is kept in the file's metadata, under `orchestrator`.

    Raises:
        OSError: It cannot be written.
        RefusedError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, and it ships no types
        from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise RefusedError(
            "Parquet needs the library pyarrow: `pip install 'orchestrator[parquet]'` adds it. CSV and JSON need none."
        ) from error
    own = {
        "index": pa.int64(),
        "repeat": pa.int32(),
        "output": pa.int32(),
        "bytes": pa.int64(),
        "stars": pa.int8(),
        "rejected": pa.bool_(),
        "cost_usd": pa.decimal128(24, 12),
        "elapsed_seconds": pa.float64(),
        "submitted_at": pa.timestamp("ms", tz="UTC"),
        "finished_at": pa.timestamp("ms", tz="UTC"),
        "attempts": pa.int32(),
    }
    types = {
        Kind.FLAG: pa.bool_(),
        Kind.WHOLE: pa.int64(),
        Kind.NUMBER: pa.float64(),
    }
    with TemporaryFile("w+", dir=path.parent, encoding="ascii") as waiting:
        kinds = _put_aside(rows, waiting)
        names = in_order(kinds)
        fields = [(name, own.get(name) or types.get(kinds.get(name, Kind.TEXT), pa.string())) for name in names]
        schema = pa.schema(fields, metadata={"orchestrator": json.dumps(head, ensure_ascii=False)})
        with ParquetWriter(path, schema, compression="zstd") as writer:
            batches = (pa.RecordBatch.from_pydict(held, schema=schema) for held in _formed(waiting, names, kinds))
            for group in _groups(batches):
                writer.write_table(pa.Table.from_batches(group))


def _put_aside(rows: Iterable[Mapping[str, Any]], file: TextIO) -> dict[str, Kind]:
    """Write rows as lines of columns, and return the columns that are not every table's, with what they hold."""
    kinds: dict[str, Kind] = {}
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK)):
        names = dict.fromkeys(chain.from_iterable(chunk))
        held = {name: [row.get(name) for row in chunk] for name in names}
        for name in names.keys() - set(OWN):
            if name.startswith("labels."):
                kinds[name] = Kind.TEXT
                continue
            found = {kind_of(value) for _, value in {(type(value), value) for value in held[name]}}
            kinds[name] = reduce(wider, found, kinds.get(name, Kind.NOTHING))
        file.write(f"{json.dumps(held)}\n")
    file.seek(0)
    return kinds


def _formed(file: TextIO, names: Sequence[str], kinds: Mapping[str, Kind]) -> Iterator[dict[str, list[Any]]]:
    """Yield the columns of each line, with their values in the form of the whole column."""
    for line in file:
        held = json.loads(line)
        size = len(held["task"])
        yield {name: _column(name, kinds.get(name), held.get(name) or [None] * size) for name in names}


def _column(name: str, kind: Kind | None, values: list[Any]) -> list[Any]:
    if kind is not None:
        return [in_form(kind, value) for value in values]
    form = _FORMS.get(name)
    return [value if value is None else form(value) for value in values] if form else values


def _groups(batches: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield so many batches together that they make a row group: small ones are slow to read."""
    group: list[Any] = []
    for batch in batches:
        group.append(batch)
        if sum(each.nbytes for each in group) >= GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group
