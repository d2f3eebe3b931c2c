"""The documentation says what is so: every command, option, key, file and exit code, no more and no fewer."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml
from given import give
from PIL import Image, ImageChops, ImageStat
from served import served, settings_of, stating
from test_simulation_bugs import BUGS
from typer.core import TyperGroup

from orchestrator import config, places
from orchestrator.cli import app
from orchestrator.commands import fault_kinds, profiles
from orchestrator.commands.export import KINDS, Exported
from orchestrator.display import MODES
from orchestrator.emulator import Profile, Stats
from orchestrator.emulator.models import CATALOGUE
from orchestrator.errors import Exit
from orchestrator.lifecycle import PAID_KINDS, TABLE, Record, State
from orchestrator.output import manifest
from orchestrator.output.export.rows import OWN
from orchestrator.selftest import Verdict, killed, rounds
from orchestrator.simulation import __main__ as simulation
from orchestrator.steps.download import Reason
from orchestrator.tasks import Task

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
JOBS = sorted((ROOT / "jobs").glob("*.yaml"))
QUICKSTART_JOB = "jobs/quickstart.yaml"
QUICKSTART = "outputs/quickstart-emulated"
CLEAN = {"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
TASK = Task("k" * 24, 0, {"prompt": "a"}, {"prompt": "a"}, {}, "a")

ENOUGH = 100
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
SHOWN = re.compile(r"(tests/\w+\.py)::(\w+)")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def text(page: str) -> str:
    return (ROOT / "docs" / page).read_text("utf-8")


def section(page: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def rows(part: str, head: str = "") -> list[list[str]]:
    """Return the cells of the first table whose head begins with a text, marks of code taken off."""
    table = re.search(rf"^\| {head}.*\n\|[- |]+\n((?:\|.*\n?)+)", part, re.MULTILINE)
    assert table, head
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def first_column(page: str, heading: str) -> list[str]:
    return [row[0] for row in rows(section(page, heading))]


def blocks(page: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(page) if kind == language]


def commands() -> TyperGroup:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def options(command: str) -> set[str]:
    return {name for parameter in commands().commands[command].params for name in parameter.opts if name[0] == "-"}


def command_lines(page: str) -> Iterator[list[str]]:
    """Give the words of every command of ours in a page's blocks, from behind the program's name."""
    for line in "".join(blocks(page, "sh") + blocks(page, "crontab") + blocks(page, "powershell")).splitlines():
        for part in re.split(r"&&|;|>", line.replace("\\", "/")):
            words = shlex.split(part)
            if words and Path(words[0]).name == "orchestrator":
                yield words[1:]


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's first command was run."""
    folder = tmp_path_factory.mktemp("quickstart")
    (folder / "jobs").symlink_to(ROOT / "jobs", target_is_directory=True)
    first = next(command_lines(README.read_text("utf-8")))
    with stating(1.3):
        done = give(*first, cwd=folder)
    assert (done.returncode, done.stdout.splitlines()[0][:20]) == (0, "24 of 24 tasks done,"), done.stderr
    return folder


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python without a terminal and without settings."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=CLEAN,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture(scope="module")
def service() -> Iterator[Mapping[str, str]]:
    """The settings that lead to a quick emulator."""
    with served(Profile(run_seconds_median=0, plain_bytes=300, balance_usd=Decimal(9999))) as emulator:
        yield settings_of(emulator)


def test_every_command_is_told_and_no_other() -> None:
    known = list(commands().commands)
    assert re.findall(r"^## ([a-z]+)$", text("command-line.md"), re.MULTILINE) == known
    assert [re.findall(r"\w+", row[0])[0] for row in rows(text("command-line.md"), "command")] == known


@pytest.mark.parametrize("command", list(commands().commands))
def test_every_option_is_told_and_no_other(command: str) -> None:
    part = section(text("command-line.md"), command)
    told = [row[0].split()[0] for row in rows(part)] if "| option |" in part else []
    assert sorted(told) == sorted(options(command))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_page_names_an_option_that_does_not_exist(path: Path) -> None:
    known = set(OPTION.findall(simulation.parser().format_help())).union(*map(options, commands().commands))
    page = re.sub(r"\"--\w+\"|pytest .*", "", path.read_text("utf-8"))  # the model's parameters, another's options
    assert set(OPTION.findall(page)) <= known


def test_how_progress_can_be_shown_is_told() -> None:
    told = next(row[1] for row in rows(section(text("command-line.md"), "run")) if row[0].startswith("--progress"))
    assert all(f"`{mode}`" in told for mode in MODES)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_blocks_can_be_given(path: Path) -> None:
    """With job files that are there, or that the page shows."""
    shown = re.findall(r"^name: (\w+)$", path.read_text("utf-8"), re.MULTILINE)
    for name, *arguments in command_lines(path.read_text("utf-8")):
        with commands().commands[name].make_context(name, list(arguments)) as context:
            job = context.params.get("job")
        assert job is None or (ROOT / job).is_file() or job.stem in shown, job


def test_every_exit_code_is_told_and_no_other() -> None:
    assert [int(code) for code in first_column(text("command-line.md"), "Exit codes")] == sorted(Exit)


def test_every_setting_is_told_and_no_other() -> None:
    assert sorted(first_column(text("command-line.md"), "Settings")) == sorted((*config.NAMES, places.OURS))
    assert config.BASE_URL in section(text("command-line.md"), "Settings")


def test_every_key_of_the_json_is_told_and_no_other(quickstart: Path) -> None:
    for command, target in (("plan", QUICKSTART_JOB), ("status", QUICKSTART), ("verify", QUICKSTART)):
        done = give(command, target, "--json", cwd=quickstart)
        assert first_column(text("command-line.md"), f"{command} --json") == list(json.loads(done.stdout))
    done = give("plan", QUICKSTART_JOB, "--tasks", "--json", cwd=quickstart)
    assert first_column(text("command-line.md"), "plan --tasks --json") == list(json.loads(done.stdout.splitlines()[0]))


def test_every_key_of_the_manifest_is_told_and_no_other() -> None:
    assert first_column(text("run-folder.md"), "The manifest") == list(manifest.entry(Record(TASK), "owner/model"))


def test_every_state_is_told_and_no_other() -> None:
    assert first_column(text("run-folder.md"), "States") == [state.value for state in State]


def test_every_kind_of_error_is_told_and_no_other() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "orchestrator").rglob("*.py"))
    kinds = set(re.findall(r'\bFailure\(\s*"(\w+)"', code)) | {"service"}
    passing = {"expired", "misled", "unavailable", "blocked", "disk"}  # looked for again, in this run or the next
    kinds |= set(get_args(Reason)) - passing
    table = rows(section(text("run-folder.md"), "Kinds of errors"))
    assert {row[0] for row in table} == kinds
    assert {row[0] for row in table if row[2] != "no"} == PAID_KINDS


def test_the_table_of_moves_is_the_programs() -> None:
    told = [tuple(row) for row in rows(section(text("design.md"), "The life of a task"))]
    assert told == [(state.value, event.value, after.value) for (state, event), after in TABLE.items()]


def test_the_diagram_of_moves_is_the_programs() -> None:
    drawn = run(str(ROOT / "docs" / "state_diagram.py"), cwd=ROOT)
    assert blocks(text("guarantees.md"), "mermaid") == [drawn.stdout], drawn.stderr
    assert all(f"    {before} --> {after}: {event}\n" in drawn.stdout for (before, event), after in TABLE.items())


def test_every_test_that_shows_a_promise_exists() -> None:
    promises = [row for part in re.split("^### ", text("guarantees.md"), flags=re.MULTILINE)[1:5] for row in rows(part)]
    for promise, shown in promises:
        assert SHOWN.search(shown), promise
    assert len(promises) > 20
    for module, name in SHOWN.findall(text("guarantees.md")):
        tree = ast.parse((ROOT / module).read_text("utf-8"))
        assert any(isinstance(node, FUNCTIONS) and node.name == name for node in ast.walk(tree)), f"{module}::{name}"


def test_every_planted_bug_is_told_and_no_other() -> None:
    part = section(text("guarantees.md"), "What these tests are worth")
    assert sorted(row[0] for row in rows(part, "planted bug")) == sorted(BUGS)
    assert f"So {len(BUGS)} bugs are planted" in part


def test_what_the_selftest_does_is_told() -> None:
    page = " ".join(text("guarantees.md").split())
    assert f"plays {rounds.HISTORIES} runs in virtual time, and runs {killed.TASKS} tasks" in page
    assert killed.KILLS == 4, "the page says four"
    told = first_column(text("command-line.md"), "selftest --json")
    assert told == list(Verdict(0, 0.0, Counter(), ()).to_json())


def test_every_library_is_told_and_no_other() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    needed = re.findall(r'^    "([\w-]+)>=', project.partition("[project.optional-dependencies]")[0], re.MULTILINE)
    assert sorted([*first_column(text("design.md"), "Libraries"), "yarl"]) == sorted(needed)


def test_every_room_is_told_and_no_other() -> None:
    told = {name for row in rows(text("design.md"), "in") for name in row[0].replace("`", "").split(", ")}
    package = ROOT / "orchestrator"
    rooms = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert told == rooms | {path.name for path in package.glob("*.py") if not path.name.startswith("__")}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for found in LINK.findall(BLOCK.sub("", path.read_text("utf-8"))):
        target, _, anchor = (found[0] or found[1]).partition("#")
        if "://" in target:
            continue
        page = (path.parent / target).resolve() if target else path
        assert page.exists(), target
        if anchor:
            assert anchor in {slug(heading) for heading in HEADING.findall(page.read_text("utf-8"))}, anchor


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs" / "quickstart.webp").stat().st_size < 100_000


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_every_job_has_a_plan(path: Path, tmp_path: Path) -> None:
    done = give("plan", str(path), "--emulate", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["new"] == plan["total"] > 0
    assert plan["warnings"] == []
    budget = yaml.safe_load(path.read_text("utf-8")).get("limits", {}).get("budget_usd", "Infinity")
    assert Decimal(plan["cost_usd"] or 0) <= Decimal(str(budget))


@pytest.mark.parametrize("path", [path for path in JOBS if path.name != "quickstart.yaml"], ids=lambda path: path.name)
def test_every_job_runs_on_the_emulator(path: Path, service: Mapping[str, str], tmp_path: Path) -> None:
    """Small ones to their end. The quickstart does in the tests that look at what it leaves."""
    done = give("run", str(path), "--rate", "1000", "--limit", str(ENOUGH), "--json", cwd=tmp_path, settings=service)
    assert done.returncode in {Exit.DONE, Exit.STOPPED}, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert counts["done"] == min(ENOUGH, sum(counts.values())) > 0, counts


def test_the_run_folder_holds_what_is_told(quickstart: Path) -> None:
    told = {name.rstrip("/") for name in first_column(text("run-folder.md"), "The run folder")}
    passing = set(re.findall(r"`(\.lock|ledger\.sqlite-\w+)`", text("run-folder.md")))
    held = {path.name for path in (quickstart / QUICKSTART).iterdir()}
    assert told <= held <= told | passing
    shown = re.findall(r"^  ([\w.]+)/? ", blocks(README.read_text("utf-8"), "")[0], re.MULTILINE)
    assert set(shown) <= told
    example = re.search(r"the pictures: (\S+)", README.read_text("utf-8"))
    assert example
    assert (quickstart / QUICKSTART / "files" / example[1]).is_file()


def test_the_commands_on_a_run_folder_answer(quickstart: Path) -> None:
    for command in ("status", "verify"):
        assert give(command, QUICKSTART, cwd=quickstart).returncode == 0


def test_the_sheet_in_the_readme_can_be_drawn(quickstart: Path, tmp_path: Path) -> None:
    options = ("--to", "sheet", "--x", "prompt,seed", "--y", "scheduler", "--size", "110")
    done = give("export", QUICKSTART, *options, "--out", str(tmp_path / "sheet.webp"), cwd=quickstart)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "sheet.webp") as drawn, Image.open(ROOT / "docs" / "quickstart.webp") as shown:
        assert (drawn.size, drawn.info["xmp"]) == (shown.size, shown.info["xmp"])
        apart = ImageChops.difference(drawn.convert("L"), shown.convert("L"))
    assert ImageStat.Stat(apart).mean[0] < 2


def test_every_column_of_a_table_is_told_and_no_other() -> None:
    assert first_column(text("export.md"), "Tables") == list(OWN)


def test_every_kind_of_export_is_told_and_no_other() -> None:
    told = next(row[1] for row in rows(section(text("command-line.md"), "export")) if row[0].startswith("--to"))
    assert re.findall(r"`(\w+)`", told) == list(KINDS)
    assert list(Exported().to_json()) == first_column(text("command-line.md"), "export --json")


def test_the_example_in_python_runs(quickstart: Path) -> None:
    (example,) = blocks(text("python.md"), "python")
    done = run("-W", "error", "-c", example, cwd=quickstart)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 25


def test_job_files_in_the_readme_have_a_plan(tmp_path: Path) -> None:
    (example,) = blocks(README.read_text("utf-8"), "yaml")
    (tmp_path / "harbours.yaml").write_text(example, "utf-8")
    done = give("plan", "harbours.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "56 (56 new)" in done.stdout


def test_the_emulators_marks_do_what_is_told(tmp_path: Path) -> None:
    (example,) = [block for block in blocks(text("emulator.md"), "yaml") if "model:" in block]
    (tmp_path / "marks.yaml").write_text(example, "utf-8")
    done = give("run", "marks.yaml", "--emulate", "--json", cwd=tmp_path)
    assert done.returncode == Exit.SOME_FAILED, done.stderr
    found = json.loads(done.stdout)
    assert (found["counts"]["failed"], found["counts"]["done"], found["cost_usd"]) == (2, 1, "0.0035")


def test_the_profile_in_the_emulators_page_runs(tmp_path: Path) -> None:
    (example,) = [block for block in blocks(text("emulator.md"), "yaml") if "model:" not in block]
    (tmp_path / "profile.yaml").write_text(example, "utf-8")
    (tmp_path / "job.yaml").write_text(
        "model: Hevok/Studio-Trigger\nparameters: {prompt: a pier, samples: 1}\n", "utf-8"
    )
    done = give("run", "job.yaml", "--emulate", "--profile", "profile.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_profile_and_every_key_of_one_is_told_and_no_other() -> None:
    part = section(text("emulator.md"), "Profiles")
    assert sorted(row[0] for row in rows(part, "name")) == [*profiles.names()]
    assert [row[0] for row in rows(part, "key")] == [*profiles.PROFILE]
    keys = [row[0] for row in rows(section(text("emulator.md"), "Whom a fault meets"))]
    assert keys == [*fault_kinds.SHARED, "at"]


def test_every_fault_and_its_keys_are_told_and_no_others() -> None:
    table = rows(section(text("emulator.md"), "What can go wrong"))
    told = {
        tuple(row[0].split(": ")): set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", f"`{row[2]}`"))) for row in table
    }
    known = {(place, kind): set(way.keys) for place, kinds in fault_kinds.KINDS.items() for kind, way in kinds.items()}
    assert told == known


def test_every_count_of_the_emulator_is_told_and_no_other() -> None:
    told = [row[0] for row in rows(section(text("emulator.md"), "What it saw"))]
    assert told == [*Stats().as_json(), "active", "limit", "balance_usd"]


def test_the_emulators_defaults_and_models_are_told() -> None:
    assert sorted(first_column(text("emulator.md"), "Models")) == sorted(model.name for model in CATALOGUE.values())
    table = rows(section(text("command-line.md"), "emulator"))
    for parameter in commands().commands["emulator"].params:
        told = next(row[2] for row in table if row[0].split()[0] in parameter.opts)
        if parameter.default is not None:
            assert told == str(parameter.default).removesuffix(".0")
