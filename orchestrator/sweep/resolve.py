"""A job file and a model's schema make a job: every value checked, and in the form in which it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from orchestrator.sweep import checks
from orchestrator.sweep.axes import Axis, Cell, Drawn, Listed, Segment, as_text, cell, shown, spelled
from orchestrator.sweep.forms import Computed, Every, Filled, Given
from orchestrator.sweep.job import Job
from orchestrator.sweep.nodes import secret_key_problem
from orchestrator.sweep.problems import SHOWN, Mark, Problems, did_you_mean, shorten
from orchestrator.sweep.recipe import Recipe
from orchestrator.sweep.schema import FILE_TYPES, Kind, Parameter, Schema, UnfitError, missing
from orchestrator.sweep.selection import RowNode
from orchestrator.sweep.templates import TemplateError, names, parse
from orchestrator.tasks import Scalar

if TYPE_CHECKING:
    from orchestrator.sweep.jobfile import JobFile


def resolve(file: JobFile, schema: Schema) -> Job:
    """Check a job file against its model's schema and return the job.

    Raises:
        JobFileError: With everything that does not fit.
    """
    return _Resolver(file, schema).job()


class _Resolver:
    def __init__(self, file: JobFile, schema: Schema) -> None:
        self._file = file
        self._schema = schema
        self._problems = Problems(file.secrets, file.problems)
        self._known = file.variables.keys() | file.sweep.keys()

    def job(self) -> Job:
        file = self._file
        variables = [self._axis(name, items, None) for name, items in file.variables.items()]
        swept = [self._axis(name, items, self._parameter(name)) for name, items in file.sweep.items()]
        given = {name: value for name, value in file.parameters.items() if self._parameter(name) is not None}
        recipe = self._recipe(given, (*variables, *swept))
        recipe = replace(
            recipe,
            path=self._path(recipe),
            zipped=checks.zipped(recipe, file.zipped, self._problems),
            exclude=checks.rules(recipe, file.exclude, self._problems),
            sample=file.sample,
            repeat=file.repeat,
            shuffled=file.shuffled,
        )
        checks.circles(recipe, file.marks, self._problems)
        recipe = replace(recipe, include=tuple(self._row(row, recipe.path) for row in file.include))
        self._problems.raise_any()
        checks.rendered(recipe, self._schema, file.marks, self._problems)
        self._problems.raise_any()
        return Job(
            file.name,
            recipe,
            file.limits,
            file.retry,
            file.tracking,
            replace(file.outputs, path=recipe.path),
            tuple(checks.warnings(recipe)),
        )

    def _parameter(self, name: str) -> Parameter | None:
        """Return a parameter of the model, or None after noting that there is no such one."""
        parameter = self._schema.parameters.get(name)
        mark = self._file.marks[name]
        if parameter is None and not secret_key_problem(mark, name, self._problems):
            known = [*self._schema.parameters, *self._file.variables]
            self._problems.add(mark, f"The model has no parameter `{shorten(name)}`.", did_you_mean(name, known))
        return parameter

    def _axis(self, name: str, items: Iterable[Filled], parameter: Parameter | None) -> Axis:
        """Return an axis; variables have no parameter, and neither have unknown names, which are noted already."""
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
        return Axis(name, parameter.kind if parameter else None, tuple(segments))

    def _cells(self, item: Given | Every, parameter: Parameter | None) -> Iterator[Cell]:
        options = [option.value for option in parameter.options] if parameter else []
        if isinstance(item, Every) and options and (item.alone or "all" not in options):
            yield from (cell(Kind.TEXT, option) for option in options)
        elif isinstance(item, Every) and item.alone:
            hint = "Only a parameter with options can be swept over all of them; write the values as a list."
            self._problems.add(item.mark, "The model lists no options to take all of.", hint)
        else:
            given = Given(item.mark, "all") if isinstance(item, Every) else item
            made = self._cell(given, parameter)
            yield from () if made is None else (made,)

    def _cell(self, given: Given, parameter: Parameter | None) -> Cell | None:
        """Return the cell of one value, checked; None after noting a problem."""
        value = given.value
        if parameter is not None and isinstance(value, str) and not given.raw and ("{" in value or "}" in value):
            return self._template_cell(given, value, parameter)
        sent = None if parameter is None else self._send(given.mark, value, parameter)
        if parameter is None and isinstance(value, bool):
            self._problems.add(
                given.mark, "A truth value stands where text is expected.", 'Put the word in quotes: "no".'
            )
        return None if parameter is not None and sent is None else Cell(shown(value), spelled(value), sent, given.label)

    def _template_cell(self, given: Given, source: str, parameter: Parameter) -> Cell | None:
        try:
            parts = parse(source)
        except TemplateError as error:
            hint = "Literal braces are written {{ and }}, or the value as {raw: …}."
            self._problems.add(given.mark, f"In the template {error}.", hint)
            return None
        unknown = sorted(names(parts) - self._known)
        for name in unknown:
            hint = did_you_mean(name, self._known) or "Literal braces are written {{ and }}, or the value as {raw: …}."
            self._problems.add(given.mark, f"`{{{shorten(name)}}}` is no variable and no axis.", hint)
        if unknown:
            return None
        if names(parts):
            return Cell(source, source, None, given.label, template=True)
        text = "".join(part for part in parts if isinstance(part, str))
        sent = self._send(given.mark, text, parameter)
        return None if sent is None else Cell(source, text, sent, given.label)

    def _send(self, mark: Mark, value: str | Decimal | bool, parameter: Parameter) -> Scalar:
        """Return a value as sent, or None after noting a problem."""
        if parameter.type in FILE_TYPES and value != "":
            return self._file_address(mark, spelled(value), parameter)
        try:
            return parameter.send(value)
        except UnfitError as error:
            self._problems.add(mark, f"{str(error)[0].upper()}{str(error)[1:]}.", error.hint)
            return None

    def _file_address(self, mark: Mark, value: str, parameter: Parameter) -> str | None:
        is_address = value.startswith(("http://", "https://"))
        if is_address and parameter.type == "combinefileinput":
            return value
        hint = f"Give the file's address under `{parameter.name}Url`."
        if parameter.type == "combinefileinput":
            hint = "Give the file's address: https://…"
        message = "An address stands where a file is expected." if is_address else "Local files are not supported yet."
        self._problems.add(mark, message, hint)
        return None

    def _check_computed(self, item: Computed, parameter: Parameter | None) -> None:
        segment = item.segment
        if parameter is None:
            return
        if isinstance(segment, Drawn):
            numbers: Iterable[Decimal] = (Decimal(segment.low), Decimal(segment.high))
        elif parameter.options:
            numbers = (segment.number(place) for place in range(len(segment)))
        else:
            places = {0, 1, len(segment) - 1} & set(range(min(len(segment), 2))) | {len(segment) - 1}
            numbers = (segment.number(place) for place in sorted(places))
        for number in numbers:
            if self._send(item.mark, number, parameter) is None:
                return

    def _recipe(self, given: Mapping[str, Given], axes: tuple[Axis, ...]) -> Recipe:
        """Return what is sent: the given values, and the schema's defaults for the others."""
        swept = {axis.name for axis in axes}
        fixed: dict[str, Scalar] = {}
        templates: dict[str, str] = {}
        for name, parameter in self._schema.parameters.items():
            if name in swept:
                continue
            if name in given:
                made = self._cell(given[name], parameter)
                if made is not None and made.template:
                    templates[name] = made.text
                elif made is not None:
                    fixed[name] = made.sent
            elif f"{name}Url" in swept | given.keys() and parameter.type in FILE_TYPES:
                fixed[name] = ""
            elif parameter.default is not None:
                fixed[name] = parameter.default
            elif parameter.required:
                self._problems.add(self._file.mark, missing(parameter))
        kinds = {name: self._schema.parameters[name].kind for name in templates}
        return Recipe(self._file.model, fixed, templates, kinds, axes)

    def _path(self, recipe: Recipe) -> str:
        path = self._file.outputs.path
        if path is None:
            first = next((axis.name for axis in recipe.axes if axis.kind is not None), None)
            sent = {*recipe.parameters, *recipe.templates, *(axis.name for axis in recipe.axes)}
            return "{prompt}" if "prompt" in sent else f"{{{first}}}" if first else recipe.model.split("/")[-1]
        known = {*recipe.parameters, *recipe.templates, *self._known}
        for name in sorted(names(parse(path)) - known):
            mark = self._file.path_mark or self._file.mark
            message = f"`{{{shorten(name)}}}` is no axis, no variable and no parameter of the model."
            self._problems.add(mark, message, did_you_mean(name, known))
        return path

    def _row(self, row: RowNode, path: str) -> Recipe:
        """Return a row of `include` as a grid of one cell."""
        file = self._file
        noted = len(self._problems)
        axes = []
        for name in dict.fromkeys([*file.variables, *file.sweep, *row]):
            if name in file.variables and name not in row:
                continue  # only those that the row's templates use are needed, which is checked below
            made = self._row_cell(name, *row.get(name, (self._row_mark(row), file.parameters.get(name))))
            if made is not None:
                axes.append(made)
        taken = {axis.name for axis in axes}
        others = {name: given for name, given in file.parameters.items() if name not in taken}
        recipe = Recipe(file.model, {})
        if len(self._problems) == noted:
            recipe = replace(self._recipe(others, tuple(axes)), path=path)
            self._check_row(row, recipe, noted)
        return recipe

    def _row_mark(self, row: RowNode) -> Mark:
        return next((mark for mark, _ in row.values()), self._file.mark)

    def _row_cell(self, name: str, mark: Mark, given: Given | None) -> Axis | None:
        parameter = self._schema.parameters.get(name)
        if parameter is None and name not in self._file.variables:
            known = [*self._known, *self._schema.parameters]
            if not secret_key_problem(mark, name, self._problems):
                self._problems.add(mark, f"`{shorten(name)}` is no axis and no variable.", did_you_mean(name, known))
            return None
        if given is not None:
            made = self._cell(given, parameter)
        elif parameter is None or parameter.default is None:
            message = f"The row gives no `{name}`, and neither `parameters` nor the model's defaults do."
            self._problems.add(mark, message, f"Add `{name}` to the row.")
            return None
        else:
            made = Cell(parameter.default, as_text(parameter.default), parameter.default)
        return None if made is None else Axis(name, parameter.kind if parameter else None, (Listed((made,)),))

    def _check_row(self, row: RowNode, recipe: Recipe, noted: int) -> None:
        taken = {axis.name for axis in recipe.axes}
        used = checks.names_used(recipe)
        in_path = names(parse(recipe.path)) - recipe.parameters.keys() - recipe.templates.keys()
        for name in sorted((used | in_path) - taken):
            message = f"The row gives no `{name}`, which a template uses."
            self._problems.add(self._row_mark(row), message, f"Add `{name}` to the row.")
        if not (used | in_path) - taken:
            marks = {**self._file.marks, **{name: mark for name, (mark, _) in row.items()}}
            checks.circles(recipe, marks, self._problems)
            if len(self._problems) == noted:
                checks.rendered(recipe, self._schema, marks, self._problems)
