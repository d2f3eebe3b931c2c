"""Texts with `{names}` in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Ref:
    """A name that stands for a variable or an axis."""

    name: str


Parts: TypeAlias = tuple[str | Ref, ...]
"""A template, read: texts and names by turns."""


class TemplateError(ValueError):
    """Braces that make no template."""


def is_name(text: str) -> bool:
    """Return whether a template can use this as a name."""
    return _NAME.fullmatch(text) is not None


def parse(text: str) -> Parts:
    """Read a template: `{name}` is a name, `{{` and `}}` are braces.

    Raises:
        TemplateError: A brace stands alone, or no name stands in the braces.
    """
    parts: list[str | Ref] = []
    literal = ""
    position = 0
    for token in _TOKEN.finditer(text):
        literal += text[position : token.start()]
        position = token.end()
        if token.group() in ("{{", "}}"):
            literal += token.group()[0]
            continue
        name = token.group(1)
        if name is None:
            raise TemplateError(f"a single `{token.group()}` stands at character {token.start() + 1}")
        if not is_name(name):
            raise TemplateError(f"`{token.group()}` is not a name")
        parts += [literal, Ref(name)] if literal else [Ref(name)]
        literal = ""
    literal += text[position:]
    return (*parts, literal) if literal else tuple(parts)


def names(parts: Parts) -> frozenset[str]:
    """Return the names that a template uses."""
    return frozenset(part.name for part in parts if isinstance(part, Ref))


def render(parts: Iterable[str | Ref], value: Callable[[str], str]) -> str:
    """Return the text that a template stands for, `value` giving the text of a name."""
    return "".join([part if isinstance(part, str) else value(part.name) for part in parts])
