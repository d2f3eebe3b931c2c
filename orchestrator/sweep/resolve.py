"""A job file and a model's schema make a job: every value checked, and in the form in which it is sent."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.sweep import checks
from orchestrator.sweep.axes import Axis, Cell, Listed, as_text
from orchestrator.sweep.fitting import Fitter
from orchestrator.sweep.items import Given
from orchestrator.sweep.job import Job
from orchestrator.sweep.keys import KEYS
from orchestrator.sweep.nodes import secret_key_problem
from orchestrator.sweep.problems import Problems, did_you_mean, shorten
from orchestrator.sweep.recipe import Recipe
from orchestrator.sweep.schema import FILE_TYPES, Parameter, Schema, missing
from orchestrator.sweep.selection import RowNode
from orchestrator.sweep.templates import is_name, names, parse
from orchestrator.sweep.uploads import Uploads
from orchestrator.tasks import Scalar

if TYPE_CHECKING:
    from orchestrator.sweep.jobfile import JobFile

_SECTIONS = frozenset({"", "parameters", "sweep"})
"""Where parameters are given; the empty path is the file as a whole."""


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
        self._known = dict.fromkeys([*file.variables, *file.sweep]).keys()
        self._fitter = Fitter(self._known, file.beside, self._problems)

    def job(self) -> Job:
        file = self._file
        variables = [self._fitter.axis(name, items, None, file.marks[name]) for name, items in file.variables.items()]
        swept = [
            self._fitter.axis(name, items, self._parameter(name), file.marks[name])
            for name, items in file.sweep.items()
        ]
        given = {
            name: value
            for name, value in file.parameters.items()
            if self._parameter(name) is not None and not (value.value == "" and self._takes_file(name))
        }
        self._check_twins()
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
        replaced = [name for name, mark in file.marks.items() if mark.source is not file.mark.source]
        return Job(
            file.name,
            recipe,
            file.limits,
            file.retry,
            file.tracking,
            replace(file.outputs, path=recipe.path),
            (*checks.warnings(recipe, replaced), *self._literals(), *self._slips()),
            self._uploads(),
            file.callback,
        )

    def _literals(self) -> Iterator[str]:
        for name, items in self._file.variables.items():
            yield from checks.literal(name, items, self._known)

    def _slips(self) -> Iterator[str]:
        file = self._file
        for name in file.variables:
            if name in self._schema.parameters:
                yield f"The variable `{name}` is never sent: the parameter of that name keeps the model's default."
        fixed = {name: (given,) for name, given in file.parameters.items()}
        for name, items in (*fixed.items(), *file.variables.items(), *file.sweep.items()):
            yield from checks.slips(name, items)

    def _uploads(self) -> Uploads:
        parameters = self._schema.parameters
        takes_files = [name for name, parameter in parameters.items() if parameter.type in FILE_TYPES]
        twins = {name: f"{name}Url" for name in takes_files}
        places = {name: twin if twin in parameters else name for name, twin in twins.items()}
        return Uploads(places, self._fitter.files)

    def _check_twins(self) -> None:
        """Note file parameters that are given both as a file and as an address."""
        empty = {name for name, given in self._file.parameters.items() if given.value == ""}
        taken = (self._file.parameters.keys() | self._file.sweep.keys()) - empty
        for name in taken:
            twin = f"{name}Url"
            if twin in taken and self._takes_file(name):
                message = f"`{name}` and `{twin}` are given, and a task takes only one of them."
                self._problems.add(self._file.marks[twin], message, "Keep one.")

    def _takes_file(self, name: str) -> bool:
        parameter = self._schema.parameters.get(name)
        return parameter is not None and parameter.type in FILE_TYPES

    def _parameter(self, name: str) -> Parameter | None:
        """Return a parameter of the model, or None after noting that there is no such one."""
        parameter = self._schema.parameters.get(name)
        mark = self._file.marks[name]
        if parameter is None and not secret_key_problem(mark, name, self._problems):
            known = [*self._schema.parameters, *self._file.variables]
            self._problems.add(mark, f"The model has no parameter `{shorten(name)}`.", did_you_mean(name, known))
        return parameter

    def _recipe(self, given: Mapping[str, Given], axes: tuple[Axis, ...]) -> Recipe:
        """Return what is sent: the given values, and the schema's defaults for the others."""
        swept = {axis.name for axis in axes if axis.kind is not None}
        fixed: dict[str, Scalar] = {}
        templates: dict[str, str] = {}
        for name, parameter in self._schema.parameters.items():
            if name in swept:
                continue
            if name in given:
                made = self._fitter.cell(given[name], parameter)
                if made is not None and made.template:
                    templates[name] = made.text
                elif made is not None:
                    fixed[name] = made.sent
            elif self._is_other_way(name, swept | given.keys()):
                fixed[name] = ""
            elif parameter.default is not None:
                fixed[name] = parameter.default
            elif parameter.required and not self._is_unreadable(name) and not self._is_misspelt():
                hint = f"Give a local file, or an address under `{name}Url`." if self._takes_file(name) else None
                self._problems.add(self._file.mark, missing(parameter), hint)
        kinds = {name: self._schema.parameters[name].kind for name in templates}
        return Recipe(self._file.model, fixed, templates, kinds, axes)

    def _is_unreadable(self, name: str) -> bool:
        """Return whether a parameter is given, and its value is noted as a problem already."""
        file = self._file
        return name in file.marks.keys() - file.parameters.keys() - file.sweep.keys() - file.variables.keys()

    def _is_misspelt(self) -> bool:
        """Return whether what seems to be missing may be given under a wrong name, or where it cannot be read.

        That is noted already, and is what the user has to mend first.
        """
        unknown = self._file.marks.keys() - self._file.variables.keys() - self._schema.parameters.keys()
        places = {problem.key_path for problem in self._file.problems}
        top = {place for place in places if place.isidentifier()}
        return bool(unknown or places & _SECTIONS or top - KEYS.keys())

    def _is_other_way(self, name: str, given: Collection[str]) -> bool:
        """Return whether a file that `name` could give is given the other way, as an address or as a file."""
        file = name.removesuffix("Url")
        return self._takes_file(file) and (f"{name}Url" if file == name else file) in given

    def _path(self, recipe: Recipe) -> str:
        path = self._file.outputs.path
        if path is None:
            first = next((axis.name for axis in recipe.axes if axis.kind is not None and is_name(axis.name)), None)
            sent = {*recipe.parameters, *recipe.templates, *(axis.name for axis in recipe.axes)}
            return "{prompt}" if "prompt" in sent else f"{{{first}}}" if first else recipe.model.split("/")[-1]
        known = [*recipe.parameters, *recipe.templates, *self._known]
        for name in sorted(names(parse(path)).difference(known)):
            mark = self._file.path_mark or self._file.mark
            message = f"`{{{shorten(name)}}}` is not an axis, a variable or a parameter of the model."
            self._problems.add(mark, message, did_you_mean(name, known))
        return path

    def _row(self, row: RowNode, path: str) -> Recipe:
        """Return a row of `include` as a grid of one cell."""
        file = self._file
        noted = len(self._problems)
        axes = []
        for name in dict.fromkeys([*file.variables, *file.sweep, *row.marks]):
            if name in file.variables and name not in row.marks:
                continue  # only those that the row's templates use are needed, which is checked below
            made = self._row_cell(name, row)
            if made is not None:
                axes.append(made)
        taken = {axis.name for axis in axes}
        others = {name: given for name, given in file.parameters.items() if name not in taken}
        recipe = Recipe(file.model, {})
        if len(self._problems) == noted and row.given.keys() == row.marks.keys():
            recipe = replace(self._recipe(others, tuple(axes)), path=path)
            self._check_row(row, recipe, noted)
        return recipe

    def _row_cell(self, name: str, row: RowNode) -> Axis | None:
        parameter = None if name in self._file.variables else self._schema.parameters.get(name)
        mark = row.marks.get(name, row.mark)
        given = row.given.get(name) if name in row.marks else self._file.parameters.get(name)
        if parameter is None and name not in self._file.variables:
            known = [*self._known, *self._schema.parameters]
            if not secret_key_problem(mark, name, self._problems):
                self._problems.add(
                    mark, f"`{shorten(name)}` is neither an axis nor a variable.", did_you_mean(name, known)
                )
            return None
        if given is not None:
            made = self._fitter.cell(given, parameter)
        elif name in row.marks:
            return None  # it cannot be read, which is noted already
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
            self._problems.add(row.mark, message, f"Add `{name}` to the row.")
        if not (used | in_path) - taken:
            marks = {**self._file.marks, **row.marks}
            checks.circles(recipe, marks, self._problems)
            if len(self._problems) == noted:
                checks.rendered(recipe, self._schema, marks, self._problems)
