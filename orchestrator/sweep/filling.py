"""What other files hold and templates stand for, put in its place among the values of an axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from orchestrator.sweep.beside import Beside, UnreadableError
from orchestrator.sweep.items import Filled, FromFile, Given, Item, Matching, Variants
from orchestrator.sweep.problems import Problems
from orchestrator.sweep.templates import names, parse as parse_template, render
from orchestrator.sweep.values import read_values
from orchestrator.sweep.variants import MOST_TEXTS, Size, VariantError, parse, texts
from orchestrator.sweep.wildcards import NotedError, Wildcards

MOST_VALUES: Final = 1_000_000
"""How many values the files of a job may hold together."""


class Filler:
    """Fills the axes of one job file, and keeps in hand how much that is all together."""

    def __init__(self, beside: Beside, problems: Problems) -> None:
        self._beside = beside
        self._problems = problems
        self._wildcards = Wildcards(beside, problems)
        self._values = 0
        self._size = Size(0, 0)

    def axis(self, items: Iterable[Item]) -> tuple[Filled, ...]:
        """Return the values of an axis with nothing left to read."""
        return tuple(each for item in items for each in self._filled(item))

    def variable(self, items: Iterable[Item]) -> tuple[Filled, ...]:
        """Return the values of a variable, whose texts hold no names."""
        found: list[Filled] = []
        for item in items:
            if isinstance(item, Matching):
                self._problems.add(item.mark, "A variable takes no files to send.", "Use `file:` for values in a file.")
            else:
                found += [self._plain(each) if isinstance(item, Variants) else each for each in self._filled(item)]
        return tuple(found)

    def _filled(self, item: Item) -> Iterator[Filled]:
        if isinstance(item, FromFile):
            yield from self._read(item)
        elif isinstance(item, Variants):
            yield from self._written_out(item)
        elif isinstance(item, Matching):
            yield from self._matched(item)
        else:
            yield item

    def _read(self, item: FromFile) -> list[Given]:
        found = read_values(item, self._beside, self._problems)
        self._values += len(found)
        if self._values > MOST_VALUES:
            message = f"With this file the job has more than {MOST_VALUES:,} values from files."
            self._problems.add(item.mark, message, "Split the job.")
            return []
        return found

    def _matched(self, item: Matching) -> list[Given]:
        try:
            found = self._beside.matches(item.pattern)
        except UnreadableError as error:
            self._problems.add(item.mark, str(error), error.hint)
            return []
        return [Given(item.mark, written, raw=True, file=True) for written in found]

    def _written_out(self, item: Variants) -> Iterator[Given]:
        try:
            row = parse(item.template, self._wildcards.at(item.mark))
        except NotedError:
            return
        except VariantError as error:
            self._problems.add(item.mark, f"In the template, {error}.", error.hint)
            return
        self._size += row.size
        if self._size.explodes:
            message = (
                f"With this template those of the job stand for more than {MOST_TEXTS:,} texts, or very long ones."
            )
            self._problems.add(item.mark, message, "Use fewer variants, or make variables of them.")
            return
        for text in texts(row):
            yield Given(item.mark, text)

    def _plain(self, value: Filled) -> Filled:
        """Return a value of a variable as it stands in other texts."""
        if not isinstance(value, Given) or not isinstance(value.value, str):
            return value
        parts = parse_template(value.value)
        for name in sorted(names(parts)):
            message = f"`{{{name}}}` stands in a value of a variable, where nothing is replaced."
            self._problems.add(value.mark, message, "Write it in the text that uses the variable.")
        return Given(value.mark, render(parts, str), value.label, raw=True)
