"""From the text of a job file to what it says; all that is wrong with it is noted on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.sweep.axes import spelled
from orchestrator.sweep.beside import Beside, decoded
from orchestrator.sweep.filling import Filler
from orchestrator.sweep.forms import read_given
from orchestrator.sweep.items import Given, Item
from orchestrator.sweep.jobfile import JobFile
from orchestrator.sweep.keys import KEYS, LATER
from orchestrator.sweep.nodes import MapNode, Node, kind_of, parse, secret_key_problem
from orchestrator.sweep.problems import JobFileError, Mark, Problem, Problems, Source, did_you_mean
from orchestrator.sweep.readers import capital
from orchestrator.sweep.settings import Callback, Limits, Outputs, Retry
from orchestrator.sweep.templates import Parts, TemplateError, names as template_names, parse as parse_template, render

MOST_BYTES = 5_000_000
_OPENING = frozenset("\"'[{&*!|>")
"""What begins a value that YAML reads as more than the text that stands there."""


def load(
    path: Path,
    *,
    today: datetime,
    sets: Sequence[str] = (),
    secrets: Collection[str] = (),
    allowed: Sequence[Path] = (),
) -> JobFile:
    """Read a job file.

    Args:
        path: The YAML file.
        today: The moment that `{date}` and `{time}` in the name stand for.
        sets: `name=value` for variables and parameters that replace the file's.
        secrets: The credentials in use; the file must not hold them, and no message shows them.
        allowed: Folders whose files the job file may name beside those of its own folder.

    Returns:
        What the file says. What is wrong with it is in `problems`, and `JobFile.resolve` raises it together with what
        does not fit the model, so that a user sees all of it at once; `JobFile.check` raises it without a schema.

    Raises:
        JobFileError: The file cannot be read, is not YAML, or names no model.
    """
    text = read_text(path)
    problems = Problems(secrets)
    root = parse(Source(str(path), text), problems)
    if root is not None and not isinstance(root, MapNode):
        problems.add(
            root.mark,
            f"{capital(kind_of(root))} was given where a job is expected.",
            "Begin with `model: owner/model`.",
        )
    if not isinstance(root, MapNode):
        problems.raise_any()
        root = MapNode(Mark(Source(str(path), text), 0, 0), {}, {})
    file = _Reader(path, text, root, problems, tuple(secrets)).job(today, sets, Beside.of(path, allowed))
    if not file.model:
        problems.raise_any()
    return replace(file, problems=problems.found)


def read_text(path: Path) -> str:
    """Return what a file says.

    Raises:
        JobFileError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(path, "There is no such file.") from None
    except IsADirectoryError:
        raise _unreadable(path, "This is a folder, not a file.") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, f"The file cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(data) > MOST_BYTES:
        raise _unreadable(path, "The file is over 5 MB.", "Put long lists of values into files of their own.")
    problems = Problems()
    source = decoded(str(path), data, problems, yaml=True)
    problems.raise_any()
    return source.text if source else ""


def _without_comments(source: Source) -> Source:
    """Return an option's value with quotes around it where YAML would take a part of it for a comment."""
    text = source.text.strip()
    if not re.search(r"(?:^|\s)#", text) or text[0] in _OPENING:
        return source
    return Source(source.name, json.dumps(text, ensure_ascii=False))


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

    def job(self, today: datetime, sets: Sequence[str], beside: Beside) -> JobFile:
        found = self._members()
        given: dict[str, tuple[Mark, Given]] = found.get("parameters", {})
        axes = {key: found.get(key, {}) for key in ("sweep", "variables")}
        marks = self._marks()
        parameters = {name: value for name, (_, value) in given.items()}
        sweep, variables = ({name: items for name, (_, items) in group.items()} for group in axes.values())
        self._check_overlaps(parameters, sweep, variables, marks)
        replaced = self._replacements(sets, marks)
        for name, value in replaced.items():
            axis = variables if name in variables else sweep
            if name in axis:
                axis[name] = (value,)
            else:
                parameters[name] = value
        outputs = found.get("outputs", {})
        if not self._is_path(outputs.get("path")):
            del outputs["path"]
        unread = {option.partition("=")[0] for option in sets} - replaced.keys()
        set_variables = {key: value for key, value in replaced.items() if key in variables}
        name, dated = self._name(found, today, set_variables, unread)
        filler = Filler(beside, self._problems)
        return JobFile(
            path=self._path,
            text=self._text,
            name=name,
            dated=dated,
            model=found.get("model", ""),
            mark=self._root.mark,
            model_mark=self._root.entries["model"].mark if "model" in found else self._root.mark,
            parameters=parameters,
            marks=marks,
            variables={name: filler.variable(items) for name, items in variables.items()},
            sweep={name: filler.axis(items) for name, items in sweep.items()},
            beside=beside,
            zipped=found.get("zip", ()),
            exclude=found.get("exclude", ()),
            include=found.get("include", ()),
            sample=found.get("sample"),
            repeat=found.get("repeat", 1),
            shuffled=found.get("order") == "shuffled",
            limits=Limits(**found.get("limits", {})),
            retry=Retry(**found.get("retry", {})),
            tracking=found.get("tracking", "auto"),
            callback=self._callback(found),
            outputs=Outputs(**outputs),
            path_mark=self._path_node().mark if "path" in outputs else None,
            secrets=self._secrets,
        )

    def _callback(self, found: Mapping[str, Any]) -> Callback | None:
        """Return where the service calls; that and `tracking` have to fit each other."""
        keys, entries = self._root.keys, self._root.entries
        webhook = found.get("tracking") == "webhook"
        if webhook and "callback_url" not in entries:
            message = "`tracking: webhook` needs an address that the service can call."
            self._problems.add(keys["tracking"], message, "Add `callback_url: https://…`, or take `tracking: auto`.")
        for key in ("callback_url", "callback_bind"):
            if key in entries and not webhook:
                self._problems.add(keys[key], f"`{key}` is of no use here.", "Add `tracking: webhook`, or delete it.")
        if not webhook or "callback_url" not in found:
            return None
        return Callback(found["callback_url"], *found.get("callback_bind", ()))

    def _marks(self) -> dict[str, Mark]:
        """Return where each parameter, variable and axis is named, also those whose values cannot be read."""
        groups = (self._root.entries.get(key) for key in ("parameters", "sweep", "variables"))
        return {name: mark for group in groups if isinstance(group, MapNode) for name, mark in group.keys.items()}

    def _members(self) -> dict[str, Any]:
        """Read every key; those whose value cannot be read are left out."""
        found = {}
        for key, node in self._root.entries.items():
            mark = self._root.keys[key]
            if key in KEYS:
                read = KEYS[key].reader(node, self._problems)
                found.update({} if read is None else {key: read})
            elif key in LATER:
                self._problems.add(mark, f"`{key}` is not supported yet.", "Delete it.")
            elif not secret_key_problem(mark, key, self._problems):
                self._problems.add(mark, "This key is not known in a job file.", did_you_mean(key, KEYS))
        if "model" not in self._root.entries:
            self._problems.add(self._root.mark, "The job file names no model.", "Write `model: owner/model`.")
        return found

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
            node = parse(_without_comments(source), self._problems)
            given = None if node is None else read_given(node, self._problems)
            if given is not None:
                found[name] = given
        return found

    def _name(
        self, found: Mapping[str, Any], today: datetime, replaced: Mapping[str, Given], unread: Collection[str]
    ) -> tuple[str, bool]:
        """Return the run's name, and whether it holds a date or a time; `unread` names are noted already."""
        if "name" not in found:
            return self._path.stem, False
        node = self._root.entries["name"]
        values = {"date": today.strftime("%Y-%m-%d"), "time": today.strftime("%H-%M-%S")}
        values |= {key: spelled(given.value) for key, given in replaced.items()}
        parts = self._template(node, found["name"])
        for unknown in sorted(template_names(parts) - values.keys() - set(unread)):
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
        node = self._path_node()
        self._template(node, path)
        pieces = path.split("/")
        if "\\" in path or any(piece.strip() in ("", ".", "..") for piece in pieces):
            hint = 'Write a relative one, with one `/` between its parts: "{scheduler}/{prompt}".'
            self._problems.add(node.mark, "The path leaves the folder `files/`, or has an empty part.", hint)
        return len(self._problems) == noted

    def _path_node(self) -> Node:
        outputs = self._root.entries["outputs"]
        return outputs.entries["path"] if isinstance(outputs, MapNode) else outputs

    def _template(self, node: Node, text: str) -> Parts:
        try:
            return parse_template(text)
        except TemplateError as error:
            self._problems.add(node.mark, f"In the template, {error}.", "Literal braces are written {{ and }}.")
            return ()
