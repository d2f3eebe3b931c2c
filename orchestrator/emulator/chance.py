"""Chance that comes out the same every time."""

from __future__ import annotations

from random import Random


def chance(key: str) -> Random:
    """Return a generator whose draws depend on `key` alone."""
    return Random(key)  # noqa: S311 - it places clouds and picks words, it guards nothing
