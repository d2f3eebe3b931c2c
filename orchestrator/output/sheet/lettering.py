"""Words on a sheet: in a font that has their letters, broken into lines, cut in their middle where they are long."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageDraw, ImageFont

from orchestrator.errors import RefusedError

FALLBACKS: Final = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansArabic-Regular.ttf",
    "Arial Unicode.ttf",
    "Arial.ttf",
    "PingFang.ttc",
    "AppleGothic.ttf",
    "segoeui.ttf",
    "msgothic.ttc",
    "msyh.ttc",
    "malgun.ttf",
)
"""Fonts of Linux, macOS and Windows, looked for where Pillow's own, which has the letters of English, lacks one."""
MOST_LETTERS: Final = 600
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[_/-])(?=\w)")
_NO_LETTER: Final = "\U0010fff0"
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(slots=True)
class Lettering:
    """Chooses fonts and measures words.

    Attributes:
        font: The user's own font file; None for Pillow's and those of the system.
        lacking: Letters that no font had.
    """

    font: Path | None = None
    lacking: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """See that the user's font can be read.

        Raises:
            RefusedError: It cannot.
        """
        if self.font is not None:
            try:
                ImageFont.truetype(self.font, 12)
            except OSError as error:
                raise RefusedError(f"--font {self.font} cannot be read as a font: {error}.") from error

    def fitting(self, text: str, size: int) -> Font:
        """Return the first font that has all letters of a text, else the one that lacks the fewest."""
        letters = frozenset(character for character in text if _is_seen(character))
        own = None if self.font is None else str(self.font)
        names = [own, None, *FALLBACKS] if own else [None, *FALLBACKS]
        best, fewest = None, letters
        for name in names:
            lacks = frozenset(letter for letter in letters if not _has(name, letter))
            if best is None or len(lacks) < len(fewest):
                best, fewest = (name,), lacks
            if not fewest:
                break
        self.lacking |= fewest
        return _sized(best[0] if best else None, size) or ImageFont.load_default(size)

    def lines(self, text: str, size: int, width: int, most: int) -> list[str]:
        """Break a text into lines.

        Args:
            text: Any text.
            size: Of its letters in pixels.
            width: Pixels of a line.
            most: How many lines there are at most.
        """
        font = self.fitting(text, size)
        return wrapped(text, width, most, font.getlength)

    def width(self, text: str, size: int) -> int:
        """Return how many pixels wide a line is."""
        return round(self.fitting(text, size).getlength(text) + 0.5)

    def write(
        self,
        draw: ImageDraw.ImageDraw,
        box: tuple[int, int, int, int],
        text: str,
        size: int,
        colour: str,
        *,
        is_centred: bool = False,
    ) -> None:
        """Write a text into a box (left, top, right, bottom), from its top; `start` is right for Hebrew and Arabic."""
        left, top, right, bottom = box
        pitch = line_height(size)
        font = self.fitting(text, size)
        for number, line in enumerate(self.lines(text, size, right - left, max(1, (bottom - top) // pitch))):
            spare = right - left - font.getlength(line)
            shift = spare / 2 if is_centred else spare if is_right_to_left(text) else 0
            draw.text((left + max(0, round(shift)), top + number * pitch), line, colour, font)


def line_height(size: int) -> int:
    """Return how far two lines of letters of a size are apart, in pixels."""
    return round(size * 1.3)


def wrapped(text: str, width: float, most: int, measure: Callable[[str], float]) -> list[str]:
    """Break a text into at most so many lines; one that is too long loses its middle: an end tells texts apart as well.

    Args:
        text: Any text; line breaks and tabs in it count as spaces.
        width: Of a line, as `measure` counts.
        most: How many lines there are at most, 1 or more.
        measure: Gives the width of a text.
    """
    words = " ".join(text.translate(_SPACED).split())
    words = shortened(words, MOST_LETTERS)
    lines = _broken(words, width, measure)
    if len(lines) <= most:
        return lines
    low, high = 1, len(words)  # one character fits, all of them do not
    while high - low > 1:
        middle = (low + high) // 2
        if len(_broken(shortened(words, middle), width, measure)) <= most:
            low = middle
        else:
            high = middle
    return _broken(shortened(words, low), width, measure)[:most]


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters, cut in its middle."""
    if len(text) <= most:
        return text
    head = -(-(most - 1) * 2 // 3)
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def is_right_to_left(text: str) -> bool:
    """Return whether a text begins with a letter that is read from the right."""
    strong = (unicodedata.bidirectional(character) for character in text)
    return next((each for each in strong if each in {"L", *_RIGHT_TO_LEFT}), "L") in _RIGHT_TO_LEFT


def _broken(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in _pieces(text.split(" "), width, measure):
        longer = f"{line} {word}" if line else word
        if line and measure(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line else lines


def _pieces(words: Iterable[str], width: float, measure: Callable[[str], float]) -> Iterable[str]:
    """Yield words, those that are longer than a line in parts."""
    for word in words:
        rest = word
        while len(rest) > 1 and measure(rest) > width:
            fits = _fitting(rest, width, measure)
            yield rest[:fits]
            rest = rest[fits:]
        yield rest


def _fitting(word: str, width: float, measure: Callable[[str], float]) -> int:
    """Return how many letters of a word fit into a line, 1 at least; a NameLikeThis is broken between its words."""
    fits = bisect_right(range(2, len(word)), width, key=lambda count: measure(word[:count])) + 1
    humps = [found.start() for found in _HUMP.finditer(word, 1, fits + 1)]
    return humps[-1] if humps else fits


def _is_seen(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character)[0] not in "CM"


@lru_cache(maxsize=64)
def _sized(name: str | None, size: int) -> Font | None:
    """Return a font by its file's name, None for Pillow's own; None where there is none."""
    if name is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=20_000)
def _has(name: str | None, letter: str) -> bool:
    """Return whether a font draws a letter other than as the box that stands for letters it lacks."""
    font = _sized(name, 16)
    return font is not None and bytes(font.getmask(letter)) != bytes(font.getmask(_NO_LETTER))


_SPACED: Final = dict.fromkeys((*range(32), 0x7F, 0x2028, 0x2029), " ")
