"""Templates with variants and wildcards: every text that they stand for, counted before any is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations, product
from typing import Final, TypeAlias

from orchestrator.sweep.problems import shorten

MOST_TEXTS: Final = 100_000
"""How many texts one template may stand for."""
MOST_CHARACTERS: Final = 50_000_000
"""How many characters these texts may have together."""
MOST_COMBINED: Final = 1_000
"""How many options there may be where several are taken at a time."""
DEEPEST: Final = 20
"""How many variants and wildcards may stand within each other."""
BETWEEN: Final = ", "
"""What stands between options that are taken together."""

_MARK = re.compile(r"\{\{|\}\}|[{}|]|\$\$|__[^\s_{}|](?:[^\s{}|]*?[^\s_{}|])?__")
_COUNT = re.compile(r"([^{}|]*?)\$\$")
_WEIGHT = re.compile(r"\s*[0-9.]+::")
_NAME = re.compile(r"[\w.-]+")
_WILDCARD = re.compile(r"__[\w-]+(?:/[\w-]+)*__")
_BRACES = "Literal braces are written {{ and }}."


class VariantError(ValueError):
    """A template that cannot be written out; `hint` says what to do, where that is known."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Size:
    """How many texts something stands for and how many characters they have together, both kept within reason.

    Sizes add where one of several is taken and multiply where texts stand one after the other.
    """

    texts: int
    characters: int

    def __add__(self, other: Size) -> Size:
        return _within(self.texts + other.texts, self.characters + other.characters)

    def __mul__(self, other: Size) -> Size:
        characters = self.characters * other.texts + other.characters * self.texts
        return _within(self.texts * other.texts, characters)

    @property
    def explodes(self) -> bool:
        """Whether these are too many to be made."""
        return self.texts > MOST_TEXTS or self.characters > MOST_CHARACTERS


def _within(texts: int, characters: int) -> Size:
    return Size(min(texts, MOST_TEXTS + 1), min(characters, MOST_CHARACTERS + 1))


@dataclass(frozen=True, slots=True)
class Choice:
    """Some options of which `count` are taken at a time, in their order."""

    options: tuple[Row, ...]
    count: int
    size: Size


@dataclass(frozen=True, slots=True)
class Row:
    """Texts and choices one after the other."""

    parts: tuple[str | Choice, ...]
    size: Size


Wildcard: TypeAlias = Callable[[str], Choice]
"""Gives the lines of a wildcard; raises `VariantError` where there are none to be had."""


def parse(text: str, wildcard: Wildcard) -> Row:
    """Read a template with variants and wildcards.

    Args:
        text: `{a|b}` stands for one of the two, `{2$$a|b|c}` for two of the three, `__name__` for a line of a file;
            `{name}`, `{{` and `}}` are left as they are.
        wildcard: Gives the lines of a wildcard.

    Raises:
        VariantError: A brace stands alone, a count does not fit, or a wildcard is not to be had.
    """
    return _Parser(text, wildcard).row(depth=0)


def texts(row: Row) -> Iterator[str]:
    """Yield every text that a template stands for, in the order in which it is written, the last part quickest."""
    parts = [(part,) if isinstance(part, str) else tuple(_chosen(part)) for part in row.parts]
    return map("".join, product(*parts))


def choice(options: Sequence[Row], count: int = 1) -> Choice:
    """Return a choice among options.

    Raises:
        VariantError: Too many stand beside each other to be combined.
    """
    if count == 1:
        return Choice(tuple(options), 1, reduce(Size.__add__, (option.size for option in options)))
    if len(options) > MOST_COMBINED:
        raise VariantError(
            f"{len(options)} options are too many to take {count} of", f"{MOST_COMBINED} can be combined."
        )
    nothing = Size(0, 0)
    taken = [Size(1, 0), *[nothing] * count]  # how many ways there are to take 0, 1, 2, … of the options so far
    for option in options:
        for number in range(count, 0, -1):
            taken[number] += taken[number - 1] * option.size
    between = _within(taken[count].texts, taken[count].texts * len(BETWEEN) * (count - 1))
    return Choice(tuple(options), count, _within(taken[count].texts, taken[count].characters + between.characters))


def _chosen(choice: Choice) -> Iterator[str]:
    if choice.count == 1:
        for option in choice.options:
            yield from texts(option)
        return
    for options in combinations(choice.options, choice.count):
        for found in product(*(tuple(texts(option)) for option in options)):
            yield BETWEEN.join(text.strip() for text in found)


class _Parser:
    """Goes once through a template."""

    def __init__(self, text: str, wildcard: Wildcard) -> None:
        self._text = text
        self._place = 0
        self._wildcard = wildcard

    def row(self, depth: int) -> Row:
        """Read up to the end of an option, or of the whole where `depth` is 0."""
        parts: list[str | Choice] = []
        literal_braces = 0
        while found := _MARK.search(self._text, self._place):
            word = found.group()
            parts.append(self._text[self._place : found.start()])
            if depth and not literal_braces and (word == "|" or word[0] == "}"):
                self._place = found.start()
                return _row(parts)
            self._place = found.end()
            if word == "{":
                parts.append(self._group(depth + 1, found.start()))
            elif word[0] == "_":
                parts.append(self._lines(word))
            elif word == "}" or (word == "$$" and depth):
                hint = _BRACES if word == "}" else "Options are joined with commas; nothing else can be given."
                raise VariantError(f"`{word}` stands out of place at character {found.start() + 1}", hint)
            else:
                literal_braces += {"{{": 1, "}}": -1}.get(word, 0)
                parts.append(word)
        if depth:
            raise VariantError("a `{` is not closed", _BRACES)
        return _row([*parts, self._text[self._place :]])

    def _group(self, depth: int, start: int) -> str | Choice:
        """Read what stands in braces: a name, or a choice."""
        if depth > DEEPEST:
            raise VariantError(f"more than {DEEPEST} variants stand within each other")
        count = self._count()
        options: list[Row] = []
        number = 0
        while self._text[self._place - 1] != "}" or not number:
            number += 1
            options += self._option(depth)
        written = self._text[start : self._place]
        if number == 1 and count is None and _WILDCARD.fullmatch(written[1:-1]) is None:
            if _NAME.fullmatch(written[1:-1]):
                return written
            raise VariantError(f"`{shorten(written)}` is not a name, and has nothing to choose from", _BRACES)
        if count is not None and not 1 <= count <= len(options):
            raise VariantError(f"`{shorten(written)}` cannot take {count} of {len(options)}")
        return choice(options, count or 1)

    def _count(self) -> int | None:
        """Read the number of options to take, if one is given."""
        found = _COUNT.match(self._text, self._place)
        if found is None:
            return None
        self._place = found.end()
        if not re.fullmatch(r"\s*[0-9]{1,9}\s*", found[1]):
            raise VariantError(f"`{shorten(found[1])}$$` gives no number of options", "Write `{2$$a|b|c}`.")
        return int(found[1])

    def _option(self, depth: int) -> Sequence[Row]:
        """Read one option and what ends it; a wildcard by itself gives an option for each line."""
        start = self._place
        if _WEIGHT.match(self._text, start):
            raise VariantError("an option has a weight", "All variants are made, so that weights mean nothing.")
        row = self.row(depth)
        written = self._text[start : self._place]
        self._place += 1
        return self._lines(written.strip()).options if _WILDCARD.fullmatch(written.strip()) else (row,)

    def _lines(self, word: str) -> Choice:
        if _WILDCARD.fullmatch(word) is None:
            raise VariantError(f"`{shorten(word)}` names no wildcard", "A wildcard is written `__colours__`.")
        return self._wildcard(word[2:-2])


def _row(parts: Sequence[str | Choice]) -> Row:
    kept = tuple(part for part in parts if part != "")
    sizes = (Size(1, len(part)) if isinstance(part, str) else part.size for part in kept)
    return Row(kept, reduce(Size.__mul__, sizes, Size(1, 0)))
