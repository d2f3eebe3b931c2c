"""Numbers and spans of time as people read them."""

from __future__ import annotations


def many(number: int, thing: str) -> str:
    """Return a number of things in words: `1 task`, `2,000 tasks`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a span of time for people: `8 s`, `3 min 20 s`, `2 h 5 min`, `1,200 days`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole >= 5 * 86_400:
        return f"{whole // 86_400:,} days"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
