"""Parquet files through pyarrow, which is an extra: `pip install 'orchestrator[parquet]'`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import RefusedError

CHUNK: Final = 5000
_PLAIN: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_MOST_EXACT: Final = 2**53


class Kind(IntEnum):
    """What a column holds; of two kinds the larger one holds the values of both, unless one of them is FLAG."""

    NOTHING = 0
    FLAG = 1
    WHOLE = 2
    NUMBER = 3
    TEXT = 4


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
    return {Kind.WHOLE: int, Kind.NUMBER: float}.get(kind, bool)(value)


def write(
    path: Path, rows: Callable[[], Iterator[Mapping[str, Any]]], names: Sequence[str], head: Mapping[str, Any]
) -> None:
    """Write a table.

    Args:
        path: The file.
        rows: Gives the rows, from the beginning at each call.
        names: The columns; those without a dot and the errors have types of their own, the others what they hold.
        head: What is kept in the file's metadata, under `orchestrator`.

    Raises:
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
    swept = [name for name in names if name.startswith(("axes.", "parameters."))]
    kinds = _kinds(rows(), swept)
    fields = [(name, own.get(name) or types.get(kinds.get(name, Kind.TEXT), pa.string())) for name in names]
    schema = pa.schema(fields, metadata={"orchestrator": json.dumps(head, ensure_ascii=False)})
    with ParquetWriter(path, schema, compression="zstd") as writer:
        rest = rows()
        while chunk := list(islice(rest, CHUNK)):
            held = {name: [_value(name, kinds, row.get(name)) for row in chunk] for name in names}
            writer.write_batch(pa.RecordBatch.from_pydict(held, schema=schema))


def _kinds(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Kind]:
    kinds = dict.fromkeys(names, Kind.NOTHING)
    for row in rows:
        for name in names:
            kinds[name] = wider(kinds[name], kind_of(row.get(name)))
    return kinds


def _value(name: str, kinds: Mapping[str, Kind], value: Any) -> Any:
    if name in kinds:
        return in_form(kinds[name], value)
    if value is None:
        return None
    if name.endswith("_at"):
        return datetime.fromisoformat(value)
    if name == "cost_usd":
        return Decimal(value)
    return value
