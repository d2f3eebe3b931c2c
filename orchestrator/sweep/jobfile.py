"""The job file: from YAML text to what its author wrote, checked as far as that goes without the model's schema."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.sweep import settings
from orchestrator.sweep.axes import spelled
from orchestrator.sweep.forms import Given, Item, read_axis, read_given
from orchestrator.sweep.job import Job
from orchestrator.sweep.nodes import MapNode, Node, ScalarNode, kind_of, parse, secret_key_problem
from orchestrator.sweep.problems import JobFileError, Mark, Problem, Problems, Source, did_you_mean
from orchestrator.sweep.recipe import Sample
from orchestrator.sweep.resolve import resolve
from orchestrator.sweep.schema import Schema
from orchestrator.sweep.selection import RowNode, RuleNode, read_rows, read_rules, read_sample, read_zip
from orchestrator.sweep.settings import Limits, Outputs, Retry, Tracking
from orchestrator.sweep.templates import Parts, TemplateError, names as template_names, parse as parse_template, render

MOST_BYTES = 5_000_000

_MODEL = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
KEYS = (
    "name", "model", "parameters", "variables", "sweep", "zip", "exclude", "include", "sample", "repeat", "order",
    "limits", "retry", "tracking", "outputs",
)  # fmt: skip
_LATER = ("notify", "callback_url")


@dataclass(frozen=True)
class JobFile:
    """What a job file says.

    Attributes:
        path: Where it was read from.
        text: The file, verbatim.
        name: The run's name, dates and set variables filled in.
        dated: Whether the name holds a date or a time, so that each day's run gets a folder of its own.
        model: `owner/model`.
        mark: The place of its beginning.
        parameters: What is sent with every task.
        marks: The place of each parameter's, variable's and axis's name.
        variables: The axes that only templates use.
        sweep: The axes that are sent.
        problems: What is wrong with it, as far as that is known.
    """

    path: Path
    text: str = field(repr=False)
    name: str
    dated: bool
    model: str
    mark: Mark
    parameters: Mapping[str, Given]
    marks: Mapping[str, Mark]
    variables: Mapping[str, tuple[Item, ...]]
    sweep: Mapping[str, tuple[Item, ...]]
    zipped: tuple[tuple[tuple[Mark, str], ...], ...] = ()
    exclude: tuple[RuleNode, ...] = ()
    include: tuple[RowNode, ...] = ()
    sample: Sample | None = None
    repeat: int = 1
    shuffled: bool = False
    limits: Limits = field(default_factory=Limits)
    retry: Retry = field(default_factory=Retry)
    tracking: Tracking = "auto"
    outputs: Outputs = field(default_factory=Outputs)
    path_mark: Mark | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    problems: tuple[Problem, ...] = ()

    def check(self) -> None:
        """Raise what is wrong with the file, as far as that can be told without the model's schema.

        Raises:
            JobFileError: Something is wrong.
        """
        Problems(self.secrets, self.problems).raise_any()

    def resolve(self, schema: Schema) -> Job:
        """Check the file against the model's schema and return the job in its final form.

        Raises:
            JobFileError: A parameter is unknown, misses a value, or has one that the model does not take.
        """
        return resolve(self, schema)


def load(path: Path, *, today: datetime, sets: Sequence[str] = (), secrets: Collection[str] = ()) -> JobFile:
    """Read a job file.

    Args:
        path: The YAML file.
        today: The moment that `{date}` and `{time}` in the name stand for.
        sets: `name=value` for variables and parameters that replace the file's.
        secrets: The credentials in use; the file must not hold them, and no message shows them.

    Returns:
        What the file says. What is wrong with it is in `problems`, and `JobFile.resolve` raises it together with what
        does not fit the model, so that a user sees all of it at once; `JobFile.check` raises it without a schema.

    Raises:
        JobFileError: The file cannot be read, is not YAML, or names no model.
    """
    text = _read(path)
    problems = Problems(secrets)
    root = parse(Source(str(path), text), problems)
    if root is not None and not isinstance(root, MapNode):
        problems.add(
            root.mark,
            f"{kind_of(root).capitalize()} stands where a job is expected.",
            "Begin with `model: owner/model`.",
        )
    if not isinstance(root, MapNode):
        problems.raise_any()
        root = MapNode(Mark(Source(str(path), text), 0, 0), {}, {})
    file = _Reader(path, text, root, problems, tuple(secrets)).job(today, sets)
    if not file.model:
        problems.raise_any()
    return replace(file, problems=problems.found)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(path, "There is no such file.") from None
    except IsADirectoryError:
        raise _unreadable(path, "This is a folder, not a job file.") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, f"The file cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(data) > MOST_BYTES:
        raise _unreadable(path, "The file is over 5 MB.", "Put long lists of values into files of their own.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().split("\n")
        problem = Problem(
            str(path),
            len(before),
            len(before[-1]) + 1,
            "",
            "The file is not UTF-8.",
            "Save it with the encoding UTF-8.",
        )
        raise JobFileError([problem]) from None


def _unreadable(path: Path, message: str, hint: str | None = None) -> JobFileError:
    return JobFileError([Problem(str(path), 0, 0, "", message, hint)])


class _Reader:
    """Reads the top level of a job file."""

    def __init__(self, path: Path, text: str, root: MapNode, problems: Problems, secrets: tuple[str, ...]) -> None:
        self._path = path
        self._text = text
        self._root = root
        self._problems = problems
        self._secrets = secrets

    def job(self, today: datetime, sets: Sequence[str]) -> JobFile:
        self._check_keys()
        marks: dict[str, Mark] = {}
        parameters = self._parameters(marks)
        sweep = self._axes("sweep", marks)
        variables = self._axes("variables", marks)
        self._check_overlaps(parameters, sweep, variables, marks)
        replaced = self._replacements(sets, marks)
        for key, given in replaced.items():
            place = variables if key in variables else sweep
            if key in place:
                place[key] = (given,)
            else:
                parameters[key] = given
        name, dated = self._name(today, {key: given for key, given in replaced.items() if key in variables})
        limits = self._members("limits", settings.LIMITS)
        retry = self._members("retry", settings.RETRY)
        outputs = self._members("outputs", settings.OUTPUTS)
        if not self._is_path(outputs.get("path")):
            del outputs["path"]
        tracking = settings.word(("auto", "poll"), later=("socket", "webhook"))
        order = settings.word(("grid", "shuffled"))
        return JobFile(
            path=self._path,
            text=self._text,
            name=name,
            dated=dated,
            model=self._model(),
            mark=self._root.mark,
            parameters=parameters,
            marks=marks,
            variables=variables,
            sweep=sweep,
            zipped=self._read("zip", read_zip) or (),
            exclude=self._read("exclude", read_rules) or (),
            include=self._read("include", read_rows) or (),
            sample=self._read("sample", read_sample),
            repeat=self._read("repeat", settings.whole(1, 100_000)) or 1,
            shuffled=self._read("order", order) == "shuffled",
            limits=Limits(**limits),
            retry=Retry(**retry),
            tracking="poll" if self._read("tracking", tracking) == "poll" else "auto",
            outputs=Outputs(**outputs),
            path_mark=self._mapping("outputs").entries["path"].mark if "path" in outputs else None,
            secrets=self._secrets,
        )

    def _read(self, key: str, reader: settings.Reader) -> Any:
        node = self._root.entries.get(key)
        return None if node is None else reader(node, self._problems)

    def _members(self, key: str, readers: Mapping[str, tuple[str, settings.Reader]]) -> dict[str, Any]:
        node = self._root.entries.get(key)
        return {} if node is None else settings.members(node, readers, self._problems)

    def _check_keys(self) -> None:
        for key, mark in self._root.keys.items():
            if key in _LATER:
                self._problems.add(mark, f"`{key}` is not supported yet.", "Delete it.")
            elif key not in KEYS and not secret_key_problem(mark, key, self._problems):
                self._problems.add(mark, "This key is not known in a job file.", did_you_mean(key, KEYS))

    def _model(self) -> str:
        node = self._root.entries.get("model")
        if node is None:
            self._problems.add(self._root.mark, "The job file names no model.", "Write `model: owner/model`.")
            return ""
        found = settings.text(node, self._problems, "owner/model")
        if found is None:
            return ""
        if _MODEL.fullmatch(found) is None or set(found.split("/")) & {".", ".."}:
            hint = "Write the last two parts of the model's address: `model: owner/model`."
            self._problems.add(node.mark, f"{kind_of(node)} stands where owner/model is expected.", hint)
            return ""
        return found

    def _parameters(self, marks: dict[str, Mark]) -> dict[str, Given]:
        parameters: dict[str, Given] = {}
        for key, node in self._entries("parameters").items():
            marks[key] = self._mapping("parameters").keys[key]
            given = read_given(node, self._problems)
            if given is not None:
                parameters[key] = given
        return parameters

    def _axes(self, key: str, marks: dict[str, Mark]) -> dict[str, tuple[Item, ...]]:
        axes = {}
        for name, node in self._entries(key).items():
            marks[name] = self._mapping(key).keys[name]
            axes[name] = read_axis(name, node, self._problems)
        return axes

    def _check_overlaps(
        self,
        parameters: Mapping[str, Given],
        sweep: Mapping[str, tuple[Item, ...]],
        variables: Mapping[str, tuple[Item, ...]],
        marks: Mapping[str, Mark],
    ) -> None:
        for name in variables.keys() & (sweep.keys() | parameters.keys()):
            message = f"`{name}` is a variable, and stands under `parameters` or `sweep` too."
            self._problems.add(marks[name], message, "Give the variable another name.")
        for name in sweep.keys() & parameters.keys():
            if "include" not in self._root.entries:  # its rows take what they do not name from there
                message = f"`{name}` stands under `parameters` and under `sweep`."
                self._problems.add(marks[name], message, "Keep one of them.")

    def _replacements(self, sets: Sequence[str], marks: dict[str, Mark]) -> dict[str, Given]:
        """Read `name=value` options and note their places."""
        found = {}
        for option in sets:
            name, equals, written = option.partition("=")
            source = Source(f"--set {name}", written or '""')
            if not equals or not name:
                message = "This is not of the form name=value."
                self._problems.add(Mark(source, 0, 0), message, "Write `--set name=value`.")
                continue
            marks[name] = Mark(source, 1, 1)
            node = parse(source, self._problems)
            given = None if node is None else read_given(node, self._problems)
            if given is not None:
                found[name] = given
        return found

    def _name(self, today: datetime, replaced: Mapping[str, Given]) -> tuple[str, bool]:
        """Return the run's name, and whether it holds a date or a time."""
        node = self._root.entries.get("name")
        if node is None:
            return self._path.stem, False
        written = settings.text(node, self._problems, "a name")
        if written is None:
            return "", False
        values = {"date": today.strftime("%Y-%m-%d"), "time": today.strftime("%H-%M-%S")}
        values |= {key: spelled(given.value) for key, given in replaced.items()}
        parts = self._template(node, written)
        for unknown in sorted(template_names(parts) - values.keys()):
            hint = "Known here: `date`, `time`, and variables given with `--set`."
            self._problems.add(node.mark, f"`{{{unknown}}}` cannot stand in a name.", hint)
        name = render(parts, lambda key: values.get(key, ""))
        if not name.strip() or "/" in name or "\\" in name:
            self._problems.add(node.mark, "A name must not be empty or hold a slash.", "It becomes a folder's name.")
        return name, bool(template_names(parts) & {"date", "time"})

    def _is_path(self, path: str | None) -> bool:
        """Return whether an output path can be used, as far as that can be told without a schema."""
        if path is None:
            return True
        noted = len(self._problems)
        node = self._mapping("outputs").entries["path"]
        self._template(node, path)
        pieces = path.split("/")
        if "\\" in path or any(piece.strip() in ("", ".", "..") for piece in pieces):
            hint = 'Write a relative one, with one `/` between its parts: "{scheduler}/{prompt}".'
            self._problems.add(node.mark, "The path leaves the folder `files/`, or has an empty part.", hint)
        return len(self._problems) == noted

    def _template(self, node: Node, text: str) -> Parts:
        try:
            return parse_template(text)
        except TemplateError as error:
            self._problems.add(node.mark, f"In the template {error}.", "Literal braces are written {{ and }}.")
            return ()

    def _entries(self, key: str) -> Mapping[str, Node]:
        node = self._root.entries.get(key)
        if node is not None and not isinstance(node, MapNode) and (not isinstance(node, ScalarNode) or node.text):
            self._problems.add(node.mark, f"{kind_of(node).capitalize()} stands where a mapping is expected.")
        return self._mapping(key).entries

    def _mapping(self, key: str) -> MapNode:
        node = self._root.entries.get(key)
        return node if isinstance(node, MapNode) else MapNode(self._root.mark, {}, {})
