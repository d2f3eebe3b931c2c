"""Whether a value fits a parameter of the model, and the form in which it is sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from pathlib import PurePosixPath

from orchestrator.sweep.axes import Axis, Cell, Drawn, Listed, Segment, cell, shown, spelled
from orchestrator.sweep.beside import Beside, UnreadableError
from orchestrator.sweep.items import Computed, Every, Filled, Given
from orchestrator.sweep.problems import SHOWN, Mark, Problems, did_you_mean, shorten
from orchestrator.sweep.readers import capital
from orchestrator.sweep.schema import FILE_TYPES, Kind, Parameter, UnfitError
from orchestrator.sweep.templates import TemplateError, names, parse
from orchestrator.sweep.uploads import MOST_BYTES, PREFIX, LocalFile, hashed
from orchestrator.tasks import Scalar

_BRACES = "Literal braces are written {{ and }}, or the value as {raw: …}."
_VARIANTS = f"Variants stand in {{template: …}}. {_BRACES}"


MOST_AMONG_OTHERS = 100_000
"""More values than that are only computed where nothing else stands beside them, so that none can be equal."""


class Fitter:
    """Makes cells of values; what does not fit is noted as a problem.

    Attributes:
        files: The local files among the values, by their SHA-256.
    """

    def __init__(self, known: Collection[str], beside: Beside, problems: Problems) -> None:
        """Prepare for one job.

        Args:
            known: The names that templates may use.
            beside: Where local files may lie.
            problems: Takes what does not fit.
        """
        self.files: dict[str, LocalFile] = {}
        self._known = known
        self._beside = beside
        self._problems = problems
        self._digests: dict[str, str] = {}

    def axis(self, name: str, items: Iterable[Filled], parameter: Parameter | None, mark: Mark) -> Axis:
        """Return an axis; variables have no parameter, and neither have unknown names, which are noted elsewhere."""
        segments: list[Segment] = []
        cells: list[Cell] = []
        noted = len(self._problems)
        for item in items:
            if len(self._problems) - noted >= SHOWN:
                break  # thousands of values that are wrong alike need not all be told
            if isinstance(item, Computed):
                self._check_computed(item, parameter)
                segments += [Listed(tuple(cells)), item.segment] if cells else [item.segment]
                cells = []
            else:
                cells += self._cells(item, parameter)
        segments += [Listed(tuple(cells))] if cells else []
        axis = Axis(name, parameter.kind if parameter else None, tuple(segments))
        if len(segments) > 1 and len(axis) > MOST_AMONG_OTHERS:
            message = f"Ranges and draws that stand in a list have {MOST_AMONG_OTHERS:,} values at most, all together."
            self._problems.add(mark, message, "Make the range the whole axis, without a list.")
        return axis

    def cell(self, given: Given, parameter: Parameter | None) -> Cell | None:
        """Return the cell of one value, checked; None after noting a problem."""
        value = given.value
        if isinstance(value, bool) and (parameter is None or parameter.kind is Kind.TEXT):
            hint = f'Put the word in quotes: "{given.word}".' if given.word else "Put the word in quotes."
            self._problems.add(given.mark, "A truth value was given where text is expected.", hint)
            return None
        if parameter is None:
            return cell(None, value, given.label)
        if isinstance(value, str) and not given.raw and ("{" in value or "}" in value):
            return self._template_cell(given, value, parameter)
        if parameter.type in FILE_TYPES and value != "":
            return self._file_cell(given, spelled(value), parameter)
        if given.file:
            hint = "Use `file:` for values that stand in a file."
            self._problems.add(given.mark, f"`files` gives files to send, and `{parameter.name}` takes none.", hint)
            return None
        sent = self._send(given.mark, value, parameter)
        return (
            None
            if sent is None
            else Cell(shown(parameter.kind, value), spelled(value, parameter.kind), sent, given.label)
        )

    def _cells(self, item: Given | Every, parameter: Parameter | None) -> Iterator[Cell]:
        options = [option.value for option in parameter.options] if parameter else []
        if isinstance(item, Every) and options and (item.alone or "all" not in options):
            yield from (cell(Kind.TEXT, option) for option in options)
        elif isinstance(item, Every) and item.alone:
            hint = "Only a parameter with options can be swept over all of them; write the values as a list."
            self._problems.add(item.mark, "The model lists no options to take all of.", hint)
        else:
            given = Given(item.mark, "all") if isinstance(item, Every) else item
            made = self.cell(given, parameter)
            yield from () if made is None else (made,)

    def _template_cell(self, given: Given, source: str, parameter: Parameter) -> Cell | None:
        if parameter.type in FILE_TYPES and not source.startswith(("http://", "https://")):
            hint = "List the files; write a name that holds braces as {raw: …}."
            self._problems.add(given.mark, "A template cannot name a local file.", hint)
            return None
        try:
            parts = parse(source)
        except TemplateError as error:
            hint = _VARIANTS if "|" in source else _BRACES
            self._problems.add(given.mark, f"In the template, {error}.", hint)
            return None
        unknown = sorted(names(parts) - set(self._known))
        for name in unknown:
            hint = did_you_mean(name, self._known) or _BRACES
            self._problems.add(given.mark, f"`{{{shorten(name)}}}` is neither a variable nor an axis.", hint)
        if unknown:
            return None
        if names(parts):
            return Cell(source, source, None, given.label, template=True)
        text = "".join(part for part in parts if isinstance(part, str))
        sent = self._send(given.mark, text, parameter)
        return None if sent is None else Cell(source, text, sent, given.label)

    def _send(self, mark: Mark, value: str | Decimal | bool, parameter: Parameter) -> Scalar:
        """Return a value as sent, or None after noting a problem."""
        try:
            return parameter.send(value)
        except UnfitError as error:
            self._problems.add(mark, f"{capital(str(error))}.", error.hint)
            return None

    def _file_cell(self, given: Given, written: str, parameter: Parameter) -> Cell | None:
        """Return the cell of a local file, or of an address where the parameter takes both."""
        if not written.startswith(("http://", "https://")):
            digest = self._digest(given.mark, written)
            stem = PurePosixPath(written).stem
            return None if digest is None else Cell(written, stem, f"{PREFIX}{digest}", given.label)
        if parameter.type == "combinefileinput":
            return Cell(written, written, written, given.label)
        hint = f"Give the file's address under `{parameter.name}Url`."
        self._problems.add(given.mark, "An address was given where a local file is expected.", hint)
        return None

    def _digest(self, mark: Mark, written: str) -> str | None:
        """Return the SHA-256 of a local file and note it among those to upload, or None after noting a problem."""
        if written in self._digests:
            return self._digests[written]
        try:
            path, file = self._beside.open(written)
        except UnreadableError as error:
            self._problems.add(mark, str(error), error.hint)
            return None
        with file:
            digest, size = hashed(file)
        if not 0 < size <= MOST_BYTES:
            reason = f"over {MOST_BYTES // 10**6} MB, the most that the service takes" if size else "empty"
            self._problems.add(mark, f"`{shorten(written)}` is {reason}.")
            return None
        self.files.setdefault(digest, LocalFile(digest, str(path), PurePosixPath(written).name, size))
        self._digests[written] = digest
        return digest

    def _check_computed(self, item: Computed, parameter: Parameter | None) -> None:
        segment = item.segment
        if parameter is None:
            return
        if isinstance(segment, Drawn):  # two neighbours tell whether all in between keep to a step
            ends = {segment.low, min(segment.low + 1, segment.high), segment.high}
            numbers: Iterable[Decimal] = map(Decimal, sorted(ends))
        elif parameter.options:
            numbers = (segment.number(place) for place in range(len(segment)))
        else:
            places = {0, min(1, len(segment) - 1), len(segment) - 1}
            numbers = (segment.number(place) for place in sorted(places))
        for number in numbers:
            if self._send(item.mark, number, parameter) is None:
                return
