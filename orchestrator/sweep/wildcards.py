"""Wildcards: text files beside the job file, a template in each line."""

from __future__ import annotations

from orchestrator.sweep.beside import Beside, UnreadableError
from orchestrator.sweep.problems import Mark, Problems, Source
from orchestrator.sweep.variants import DEEPEST, Choice, Row, VariantError, Wildcard, choice, parse


class NotedError(VariantError):
    """A wildcard is not to be had, and why is noted already."""

    def __init__(self) -> None:
        super().__init__("a wildcard cannot be used")


class Wildcards:
    """The wildcards of one job file, each read once; those that lead back to themselves are refused."""

    def __init__(self, beside: Beside, problems: Problems) -> None:
        self._beside = beside
        self._problems = problems
        self._known: dict[str, Choice | None] = {}
        self._open: list[str] = []

    def at(self, mark: Mark) -> Wildcard:
        """Return what gives the lines of a wildcard that a template at some place names."""
        return lambda name: self._lines(name, mark)

    def _lines(self, name: str, mark: Mark) -> Choice:
        if name in self._open:
            way = " → ".join(f"`__{each}__`" for each in [*self._open[self._open.index(name) :], name])
            raise VariantError(f"a wildcard leads back to itself: {way}", "Take it out of one of these files.")
        if len(self._open) >= DEEPEST:
            raise VariantError(f"more than {DEEPEST} wildcards stand within each other")
        if name not in self._known:
            self._known[name] = None
            self._known[name] = self._read(name, mark)
        found = self._known[name]
        if found is None:
            raise NotedError
        return found

    def _read(self, name: str, mark: Mark) -> Choice:
        try:
            source = self._beside.text(f"{name}.txt", mark.path, self._problems)
        except UnreadableError as error:
            reason = str(error).rstrip(".")
            raise VariantError(f"`__{name}__` cannot be used: {reason[0].lower()}{reason[1:]}", error.hint) from None
        if source is None:
            raise NotedError
        self._open.append(name)
        try:
            rows = self._rows(source, mark.path)
        finally:
            self._open.pop()
        if not rows:
            raise VariantError(f"`__{name}__` cannot be used: the file has no lines")
        return choice(rows)

    def _rows(self, source: Source, path: str) -> list[Row]:
        rows = []
        is_whole = True
        for number, line in enumerate(source.lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            mark = Mark(source, number, 1, path)
            try:
                rows.append(parse(text, self.at(mark)))
            except NotedError:
                is_whole = False
            except VariantError as error:
                self._problems.add(mark, f"In the line, {error}.", error.hint)
                is_whole = False
        if not is_whole:
            raise NotedError
        return rows
