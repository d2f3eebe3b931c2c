"""The shape of the code, read from its source: who may know whom, and what must not stand where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

import orchestrator

ROOT: Final = Path(orchestrator.__file__).parent
LAYERS: Final = (
    {
        "errors",
        "money",
        "names",
        "tasks",
        "clock",
        "drafts",
        "lifecycle",
        "mounts",
        "places",
        "sense",
        "threads",
        "waiting",
        "wording",
    },
    {"sweep", "wiro", "ledger", "emulator", "config", "logs"},
    {"steps"},
    {"engines"},
    {"output", "runs", "facts", "lane", "experience", "schemas", "status", "signals", "streams", "reporting", "web"},
    {"commands"},
    {"bar", "telling"},
    {"display", "simulation"},
    {"selftest"},
    {"api", "cli"},
    {"__main__"},
)
"""Rooms of the package from the bottom up; each may know those below it."""

ONE_ROOM: Final = (LAYERS[0], LAYERS[4])
"""Layers whose rooms may know each other."""

TIMERS: Final = {
    ("anyio", "sleep"),
    ("anyio", "sleep_until"),
    ("anyio", "fail_after"),
    ("anyio", "move_on_after"),
    ("anyio", "current_time"),
}

BORDERS: Final = {
    "sqlite3": {"ledger", "lane", "selftest"},  # the last judges the first, so it reads for itself
    "aiohttp": {"wiro", "emulator", "web"},
    "yaml": {"sweep"},
    "typer": {"cli", "reporting"},
    "dotenv": {"config"},
    "filelock": {"runs", "lane"},
    "PIL": {"emulator", "output"},
    "pyarrow": {"output"},
}
"""Libraries, and the only rooms that know them: their errors are translated there."""


@dataclass
class Module:
    """What a module's source says.

    Attributes:
        name: Dotted, without `orchestrator.` in front.
        imports: What it imports, each as module and name (empty where the module itself is imported).
        at_run_time: Those of them that are not for the type checker alone.
    """

    name: str
    tree: ast.Module
    lines: int
    imports: set[tuple[str, str]] = field(default_factory=set)
    at_run_time: set[tuple[str, str]] = field(default_factory=set)

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]


@cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        module = Module(name, ast.parse(text), text.count("\n"))
        for node, typing_only in imports(module.tree):
            names = set(imported(node))
            module.imports |= names
            module.at_run_time |= set() if typing_only else names
        found[name] = module
    return found


def imports(tree: ast.AST, typing_only: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield every import, wherever it stands, and whether only the type checker follows it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, typing_only
        else:
            guard = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            yield from imports(node, typing_only or guard)


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    else:
        assert node.level == 0, "imports are absolute"
        yield from ((node.module or "", alias.name) for alias in node.names)


def ours(names: set[tuple[str, str]]) -> set[str]:
    """Return those modules of the package that are imported, by their names within it."""
    found = set()
    for module, name in names:
        if module.partition(".")[0] == "orchestrator":
            inside = module.removeprefix("orchestrator").removeprefix(".")
            deeper = f"{inside}.{name}".strip(".")
            found.add(deeper if deeper in modules() else inside)
    return found


def layer(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def rooms(*names: str) -> list[Module]:
    return [module for module in modules().values() if module.room in names]


def test_every_room_has_its_place() -> None:
    """A new room is put into a layer before anybody imports it."""
    known = {room for rooms in LAYERS for room in rooms}
    assert {module.room for module in modules().values()} - {""} <= known


def test_imports_run_one_way() -> None:
    """A module knows its own room and those in the layers below it, and nothing above or beside it."""
    wrong = []
    for module in modules().values():
        if not module.name:
            continue  # the package's own face
        for target in ours(module.imports):
            room = target.partition(".")[0]
            beside = any({module.room, room} <= rooms for rooms in ONE_ROOM)
            if room != module.room and layer(room) >= layer(module.room) and not beside:
                wrong.append(f"{module.name} imports {target}")
    assert wrong == []


@pytest.mark.parametrize("room", ["wiro", "emulator"])
def test_the_service_s_two_sides_know_nothing_of_us(room: str) -> None:
    """Client and emulator stand alone: they could be taken out of the package, and do not share their mistakes."""
    assert rooms(room)
    wrong = {
        f"{module.name} imports {target}"
        for module in rooms(room)
        for target in ours(module.imports)
        if target.partition(".")[0] != room
    }
    assert wrong == set()


def test_no_module_imports_itself_in_a_circle() -> None:
    """Every module can be understood after those that it imports."""
    graph = {name: ours(module.at_run_time) - {name} for name, module in modules().items() if name}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_engines_see_outcomes_and_no_errors_of_the_service() -> None:
    """What an error of the service means is decided in the steps alone."""
    errors = {node.name for node in modules()["wiro.errors"].tree.body if isinstance(node, ast.ClassDef)}
    assert "WiroError" in errors
    wrong = {
        f"{module.name} imports {name or source}"
        for module in rooms("engines")
        for source, name in module.imports
        if source.startswith("orchestrator.wiro") and (source != "orchestrator.wiro" or name in {"", "Client", *errors})
    }
    assert wrong == set()


def test_time_is_handed_in() -> None:
    """Steps and engines know no time but that of the clock that they are given."""
    wrong = []
    for module in rooms("steps", "engines"):
        wrong += [f"{module.name} imports {name}" for name, _ in module.imports if name in {"time", "asyncio"}]
        wrong += [f"{module.name} imports {name}" for name in module.imports & TIMERS]
        for node in ast.walk(module.tree):
            used = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if tuple(used.split(".")) in TIMERS or used in {"datetime.now", "datetime.datetime.now"}:
                wrong.append(f"{module.name} uses {used}")
    assert wrong == []


@pytest.mark.parametrize("library", sorted(BORDERS))
def test_a_library_is_known_in_its_room_alone(library: str) -> None:
    """What a library calls things, and how it fails, stays within its border."""
    knowing = {
        module.room for module in modules().values() for name, _ in module.imports if name.partition(".")[0] == library
    }
    assert knowing <= BORDERS[library]


def test_the_environment_is_read_at_the_door() -> None:
    """Only the command line and the Python interface read the environment; all others are handed settings."""
    reading = {
        module.name
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    }
    assert reading <= {"cli", "cli.trials", "cli.invoking", "api"}


def test_no_module_is_too_long() -> None:
    """A module past 400 lines is two modules."""
    assert {module.name: module.lines for module in modules().values() if module.lines > 400} == {}


def test_private_names_stay_at_home() -> None:
    """What begins with an underscore is imported by nobody."""
    wrong = {
        f"{module.name} imports {source}.{name}"
        for module in modules().values()
        for source, name in module.imports
        if source.startswith("orchestrator") and name.startswith("_")
    }
    assert wrong == set()


def test_no_module_is_a_drawer() -> None:
    """A module is called after what it knows."""
    drawers = {"utils", "util", "helpers", "common", "core", "manager", "misc"}
    assert not [name for name in modules() if drawers & set(name.split("."))]
