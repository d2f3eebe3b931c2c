"""What a task is, and how it gets its name for life."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
"""A value as it stands in JSON."""

Parameters: TypeAlias = Mapping[str, Any]
"""A task's parameters in the form in which they are sent."""

ID_VERSION = 1
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
SHORT_ID = 8
MOST_AT_ONCE = 100_000
"""How many tasks a user may want to run at a time; more is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class Task:
    """One request to the model: what is sent, and where in the grid it stands.

    Attributes:
        id: The name for life, see `task_id`.
        index: The place in the grid, counted from 0, equal cells folded into the first one.
        parameters: Every parameter as it is sent, defaults filled in.
        axes: Each axis and variable before substitution, decimals as text.
        labels: The labels that the job file gives to this task's values, by axis.
        path: The output path without id and ending, `/` between its parts, each of them safe on every system.
        repeat: Which repetition of the same parameters this is, counted from 1.
        cells: Further coordinates of the grid (in the form of `axes`) that are this same task.
        model: `owner/model`; empty where an older ledger does not say, which then holds tasks of one model.
    """

    id: str
    index: int
    parameters: Parameters
    axes: Mapping[str, Scalar]
    labels: Mapping[str, str]
    path: str
    repeat: int = 1
    cells: tuple[Mapping[str, Scalar], ...] = field(default=())
    model: str = ""

    @property
    def short_id(self) -> str:
        """The part of the id that stands in file names."""
        return self.id[:SHORT_ID]


def canonical_json(value: object) -> str:
    """Return the one spelling of a JSON value: sorted keys, no spaces, nothing escaped that need not be."""
    return _CANONICAL.encode(value)


def task_id(model: str, parameters: Parameters, repeat: int = 1) -> str:
    """Return the id of a task: it depends on what is sent and on nothing else.

    Args:
        model: `owner/model`, spelt as in the job file.
        parameters: Every parameter as sent; a local file stands as `"sha256:…"`, a callback URL is left out.
        repeat: Which repetition this is, counted from 1.

    Returns:
        24 characters of lowercase base32.
    """
    text = canonical_json([ID_VERSION, model, parameters, repeat])
    digest = hashlib.sha256(text.encode()).digest()[:15]
    return base64.b32encode(digest).decode().lower()
