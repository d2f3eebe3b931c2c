"""Whatever is written into a file or a command line: it is read, or a sentence says what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from harms import Dice, dice, harmed_bytes, harmed_text, trials

from orchestrator import config
from orchestrator.cli import app
from orchestrator.commands import profiles
from orchestrator.emulator import Emulator
from orchestrator.emulator.models import CATALOGUE
from orchestrator.errors import Exit, RefusedError
from orchestrator.reporting import reported
from orchestrator.sweep import Job, JobFileError, Problem, Schema, load
from orchestrator.wiro import seed_model

ROOT: Final = Path(__file__).parents[1]
NOW: Final = datetime(2026, 11, 22, tzinfo=UTC)
SCHEMAS: Final = {model.name: Schema.from_tool(model.tool) for model in CATALOGUE.values()}
SEED_SCHEMA: Final = Schema.from_tool(seed_model())
EACH: Final = 40
"""How many texts a trial takes."""

MOST_TASKS: Final = 5000
"""A job of more is counted and not built."""

LANGUAGE: Final = r"""
    model: sweep: prompt: seed: parameters: variables: include: zip: exclude: sample: repeat: limits: order: name:
    outputs: from: to: step: count: random: rng: label: value: raw: all file: files: column: template: *.txt a/b
    faults: changes: balance_usd: concurrency: auto requests_per_second: retry_after: queue: run: spread: form: older
    at: reply: task: list: share: until: when: where: first: times: by: names: looks: after: for: status: lost slow
    - [ ] { } , : ? & * ! | > ' " # % @ ` ~ << --- ... {x} {a|b} {2$$a|b} {{ }} __x__ &a *a !!str !!binary fails
    !!python/object:os.system -1 0 0.5 1e3 1e400 .inf .nan 10% 200% 1s 99999999999999999999 1h 0x10 012 12:30 no null
    """
WORDS: Final = (*LANGUAGE.split(), "\t", " \n", "\n  ", "\n- ", "\u2028", "é", "灯", "")

JOBS: Final = sorted((*(ROOT / "jobs").glob("*.yaml"), *(ROOT / "tests" / "jobs").glob("*.yaml")))
PROFILES: Final = sorted((ROOT / "orchestrator" / "emulator" / "profiles").glob("*.yaml"))


def examples(page: str) -> list[str]:
    found = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found


def texts(paths: list[Path], page: str) -> list[str]:
    assert paths
    return [path.read_text("utf-8") for path in paths] + examples(page)


@trials(6, 100)
def test_a_job_file(tmp_path: Path, seed: int) -> None:
    chance, valid = dice(seed), texts(JOBS, "job-file.md")
    (tmp_path / "prompts.txt").write_text("a red boat\n{b|c} __x__\n")
    (tmp_path / "x.txt").write_text("{d|e}\n")
    path = tmp_path / "job.yaml"
    for _ in range(EACH):
        text = harmed_text(chance.choice(valid), WORDS, chance).encode(errors="surrogatepass")
        path.write_bytes(harmed_bytes(text, chance) if chance.random() < 0.1 else text)
        job = None
        problems: tuple[Problem, ...] = ()
        try:
            file = load(path, today=NOW, secrets=["k3y-in-use"])
            job = file.resolve(SCHEMAS.get(file.model, SEED_SCHEMA))
        except JobFileError as error:
            problems = error.problems
        assert (job is None) == bool(problems)
        assert all(problem.message.endswith(".") for problem in problems)
        if job is not None and job.total() < MOST_TASKS:
            assert len({task.id for task in job.tasks()}) == job.total()
            assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


@trials(4, 40)
def test_a_profile(seed: int) -> None:
    chance, valid = dice(seed), texts(PROFILES, "emulator.md")
    for _ in range(EACH):
        text = harmed_text(chance.choice(valid), WORDS, chance)
        with suppress(JobFileError, RefusedError):
            Emulator(profiles.read("p.yaml", text))


ENVS: Final = (
    b'WIRO_API_KEY=abc\nWIRO_API_SECRET="x y"\nexport WIRO_BASE_URL=https://h/v1\n',
    b"WIRO_BASE_URL='http://127.0.0.1:1/v1'\nWIRO_API_KEY=${A}\n# a word\nWIRO_DOWNLOAD_HOSTS=a, b\n",
)
VALUES: Final = ("https://api.wiro.ai/v1", "http://[::1]:80/", "host, 10.0.0.1/8", "abc", "http://u:p@h:99999/", "")


@trials(4, 40)
def test_settings(tmp_path: Path, seed: int) -> None:
    chance = dice(seed)
    for _ in range(EACH):
        (tmp_path / ".env").write_bytes(harmed_bytes(chance.choice(ENVS), chance))
        names = [name for name in (*config.NAMES, "ORCHESTRATOR_HOME", "HOME") if chance.random() < 0.5]
        environment = {name: harmed_text(chance.choice(VALUES), WORDS, chance) for name in names}
        with suppress(RefusedError):
            config.read(environment, tmp_path, insecure=chance.random() < 0.5)


COMMANDS: Final = {
    "run": ("job.yaml", "--emulate", "--progress", "off"),
    "plan": ("job.yaml",),
    "status": ("run",),
    "retry": ("run",),
    "cancel": ("run",),
    "verify": ("run",),
    "recover": ("run",),
    "gallery": ("run",),
    "init": ("Hevok/Studio-Trigger",),
}
OPTIONS: Final = (
    *("--out", "--set", "--only", "--limit", "--budget", "--rate", "--concurrency", "--state", "--allow-files"),
    *("--profile", "--progress", "--job", "--repair", "--pay-again", "--resubmit-uncertain", "--refresh-schema"),
    *("--json", "--tasks", "--emulate", "--new", "--rebind", "--yes", "--fail-fast", "--insecure", "--help", "--nope"),
)
ODD: Final = (
    *("", "-", "--", "=", "a=", "=b", "seed=1", "seed=one", "prompt=a boat", "prompt=[", "steps=1e400", "steps=[1, 2]"),
    *("0", "-1", "1.5", "1e999", "nan", "inf", "9" * 400, "x" * 5000, "\udcff", "é", "a\nb", "*", "~", "calm"),
    *("job.yaml", "run", "no/where", "./", "job.yaml/run", "run/../run", "off", "json", "auto"),
)


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The commands run as a whole here; they may block before and after what goes on in their event loop."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with a job of two tasks, no run and no credentials."""
    for name in config.NAMES:
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "desk"
    place.mkdir()
    (place / "job.yaml").write_text(
        json.dumps({"model": "Hevok/Studio-Trigger", "sweep": {"prompt": ["a boat"], "seed": [1, 2]}})
    )
    monkeypatch.chdir(place)
    yield place
    assert [path.name for path in tmp_path.iterdir()] == ["desk"], "written outside"


def arguments(chance: Dice) -> list[str]:
    """Return a command with options and values that may have nothing to do with it; a run submits nothing."""
    command = chance.choice(list(COMMANDS))
    words = [*COMMANDS[command]]
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        at = chance.randint(0, len(words))
        words[at:at] = [chance.choice(OPTIONS)] + [chance.choice(ODD)] * (chance.random() < 0.7)
    if words and chance.random() < 0.2:
        words[chance.randrange(len(words))] = chance.choice(ODD)
    return [command, *words, *(("--limit", "0") if command == "run" else ())]


@trials(4, 40)
def test_a_command_line(desk: Path, seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    chance = dice(seed)
    for _ in range(EACH // 4):
        given = arguments(chance)
        code = reported(partial(app, given, standalone_mode=False), {})
        told = capfd.readouterr()
        assert code in {Exit.DONE, Exit.SOME_FAILED, Exit.REFUSED, Exit.STOPPED}, (given, told.err)
        assert "Traceback" not in told.out + told.err
        assert told.out + told.err, given
    assert (desk / "job.yaml").is_file()
