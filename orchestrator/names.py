"""File names that read well and are safe on Linux, macOS and Windows."""

from __future__ import annotations

import re
import unicodedata

COMPONENT_LIMIT = 100
"""How many characters a part of a path has at most, the suffix of a file name included."""
SUFFIX_ROOM = 30
"""How many of them are kept for the suffix `-<id>-<n>.<ext>`."""
PART_LIMIT = COMPONENT_LIMIT - SUFFIX_ROOM
EMPTY = "empty"

_BYTE_LIMIT = 255 - SUFFIX_ROOM
_CLEAN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_]|[.-](?=[A-Za-z0-9_]))*")
_RUN = re.compile(r"-*\.[-.]*|-{2,}")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin|conout|(?:com|lpt)[0-9¹²³])(?:\.|$)", re.IGNORECASE)


def safe_part(text: str, limit: int = PART_LIMIT) -> str:
    """Return text as one part of a path.

    Letters and digits of every script stay, all else becomes a dash; the result is NFC, never empty, begins with no dot
    or dash, ends with none, and is not a name that Windows keeps for itself. A part that came from here stays as it is.

    Args:
        text: Any text.
        limit: How many characters the part has at most (16 or more); long ones end with a whole word where they can.
    """
    if len(text) > limit or _CLEAN.fullmatch(text) is None:
        text = _shorten(_readable(text), limit) or EMPTY
    if _RESERVED.match(text) is not None:
        text = f"{text}_" if "." not in text else text.replace(".", "_")
        text = text[:limit]
    return text


def join_parts(parts: list[str], limit: int = PART_LIMIT) -> str:
    """Return several texts as one part of a path; where they are too long together, the longest gives way.

    Args:
        parts: Texts that stand one after the other.
        limit: As in `safe_part`.
    """
    over = sum(map(len, parts)) - limit
    if over > 0:
        longest = max(range(len(parts)), key=lambda place: len(parts[place]))
        room = len(parts[longest]) - over
        if room >= 16:
            parts = parts.copy()
            parts[longest] = safe_part(parts[longest], room)
    return safe_part("".join(parts), limit)


def file_stem(path: str, short_id: str, number: int) -> str:
    """Return the place of one output below the run folder's `files/`, without its ending.

    Args:
        path: A task's path, its parts safe.
        short_id: The first characters of the task's id.
        number: Which output of the task it is, counted from 0.
    """
    return f"{path}-{short_id}-{number}"


def _readable(text: str) -> str:
    kept = text.translate(_DASHED) if text.isascii() else "".join(map(_kept, unicodedata.normalize("NFC", text)))
    return _bare(_RUN.sub(lambda run: "." if run.group()[0] == "." and len(run.group()) == 1 else "-", kept))


def _kept(character: str) -> str:
    return character if character in "_.-" or unicodedata.category(character)[0] in "LMN" else "-"


_DASHED = {code: _kept(chr(code)) for code in range(128)}


def _bare(text: str) -> str:
    text = text.strip("-.")
    while text and unicodedata.category(text[0])[0] == "M":  # a mark with no letter to stand on
        text = text[1:].lstrip("-.")
    return text


def _shorten(text: str, limit: int) -> str:
    cut = _fitting(text, limit)
    if cut == len(text):
        return text
    boundary = text.rfind("-", 0, cut + 1)
    return _bare(text[: boundary if boundary >= limit // 2 else cut])


def _fitting(text: str, limit: int) -> int:
    """Return how many characters fit, never between a letter and its marks."""
    cut = min(limit, len(text))
    if text.isascii():
        return cut
    while len(text[:cut].encode(errors="replace")) > _BYTE_LIMIT:
        cut -= 1
    while 0 < cut < len(text) and unicodedata.category(text[cut])[0] == "M":
        cut -= 1
    return cut
