"""Chance that comes out the same every time."""

from __future__ import annotations

import hashlib
from random import Random


def chance(key: str) -> Random:
    """Return a generator whose draws depend on `key` alone."""
    return Random(key)  # noqa: S311 - it places clouds and picks words, it guards nothing


def uniform(*key: object) -> float:
    """Return a number strictly between 0 and 1 that depends on `key` alone."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
