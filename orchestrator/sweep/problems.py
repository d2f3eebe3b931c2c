"""What is wrong with a job file: where, what was found, what to do; never a credential."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rich.cells import cell_len

from orchestrator.errors import RefusedError

SHOWN = 40
"""How many problems the text of an error spells out."""
WIDTH = 80
"""How wide the terminal is that an excerpt must fit, so that the caret stays below its character."""

_SECRET_KEY = re.compile(
    r"api[-_]?key|api[-_]?secret|secret|(?:^|[-_])(?:task|access|auth|api)?[-_]?token$|passw(?:or)?d|"
    r"authorization|credential|signature|private[-_]?key",
    re.IGNORECASE,
)
_SECRET_LINE = re.compile(r"[\"']?([\w.-]+)[\"']?\s*[:=]")
_YAML_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_BREAK = re.compile("\r\n|[\r\n]")
_SHORTEST_SECRET = 4


@dataclass(frozen=True)
class Source:
    """The text that positions refer to.

    Attributes:
        name: The file as the user named it, or the option that the text came from.
        text: All of it.
        yaml: Whether lines are counted as YAML counts them, which knows more ends of lines than others.
    """

    name: str
    text: str = field(repr=False)
    yaml: bool = True

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return (_YAML_BREAK if self.yaml else _BREAK).split(self.text)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source; `line` and `column` count from 1, `path` is the way of keys that leads there."""

    source: Source
    line: int
    column: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        file: The file as the user named it, or the option.
        line: Counted from 1; 0 where the file as a whole is meant.
        column: Counted from 1; 0 where the file as a whole is meant.
        key_path: The way of keys, `sweep.seed[2]`; empty at the top.
        message: A sentence: what was found, what was expected.
        hint: What to do, or None.
        excerpt: The line, or empty where it must not be shown.
    """

    file: str
    line: int
    column: int
    key_path: str
    message: str
    hint: str | None = None
    excerpt: str = ""

    def told(self) -> str:
        """Return the problem as the user reads it, over one to four lines."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        where = f"{place}: {self.key_path}" if self.key_path else place
        shown = [f"{where}: {self.message}"]
        if self.excerpt:
            margin = f"  {self.line} | "
            line, column = _crop(self.excerpt, self.column, WIDTH - len(margin) - 2)
            shown += [f"{margin}{line}", f"{' ' * (len(margin) - 2)}| {' ' * cell_len(line[: column - 1])}^"]
        if self.hint:
            shown.append(f"  Hint: {self.hint}")
        return "\n".join(shown)


class JobFileError(RefusedError):
    """A job file that cannot be run, with everything that is wrong with it.

    Attributes:
        problems: In the order of their place in the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))
        more = len(self.problems) - SHOWN
        texts = [problem.told() for problem in self.problems[:SHOWN]]
        super().__init__("\n".join([*texts, f"… and {more} more."] if more > 0 else texts))


class Problems:
    """Collects problems, so that a user sees all of them at once; credentials are blotted out of every text."""

    def __init__(self, secrets: Collection[str] = (), found: Iterable[Problem] = ()) -> None:
        self._secrets = tuple(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)
        self._found = dict.fromkeys(found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, mark: Mark, message: str, hint: str | None = None, *, show: bool = True) -> None:
        """Note one problem; `show` says whether the line itself may be shown."""
        lines = mark.source.lines if show and mark.line else []
        line = lines[mark.line - 1] if mark.line <= len(lines) and lines else ""
        if self.has_secret(line) or any(looks_secret(key) for key in _SECRET_LINE.findall(line)):
            line = ""
        texts = (mark.source.name, mark.path, message)
        name, path, message = (self._clean(text) for text in texts)
        clean_hint = None if hint is None else self._clean(hint)
        self._found[Problem(name, mark.line, mark.column, path, message, clean_hint, line)] = None

    def has_secret(self, text: str) -> bool:
        """Return whether a credential in use stands in `text`."""
        return any(secret in text for secret in self._secrets)

    @property
    def found(self) -> tuple[Problem, ...]:
        """What was noted, each problem once."""
        return tuple(self._found)

    def raise_any(self) -> None:
        """Raise all that was noted.

        Raises:
            JobFileError: At least one problem was noted.
        """
        if self._found:
            raise JobFileError(self._found)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return printable(text)


def looks_secret(key: str) -> bool:
    """Return whether a key is named like a credential (`api_key`, `x-api-key`, `password`, …)."""
    return _SECRET_KEY.search(key) is not None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the nearest known word, or else the few that there are."""
    words = list(dict.fromkeys(known))
    folded = {each.casefold(): each for each in words}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{folded[near[0]]}`?"
    return f"Known here: {listed(words)}." if words else None


def listed(words: Sequence[str], limit: int = 15) -> str:
    """Return words as a readable list, cut where it gets long."""
    shown = ", ".join(f"`{shorten(word)}`" for word in words[:limit])
    return f"{shown}, …" if len(words) > limit else shown


def shorten(text: str, limit: int = 60) -> str:
    """Return a text as it can stand within a sentence."""
    flat = printable(text.replace("\n", " "))
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def printable(text: str) -> str:
    """Return a text that a terminal shows as it stands."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def _crop(line: str, column: int, width: int) -> tuple[str, int]:
    line = printable(line.replace("\t", " "))
    skipped = max(0, min(column - 1 - width // 2, len(line) - width))
    end = skipped + width
    shown = ("…" if skipped else "") + line[skipped:end] + ("…" if end < len(line) else "")
    return shown, max(1, column - skipped + (1 if skipped else 0))
