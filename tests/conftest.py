"""What every test runs under: one backend, and an error for each blocking call in the event loop."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, Page, sync_playwright

from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Ending, Failure, Output, Record, State
from orchestrator.runs import RunFolder
from orchestrator.sweep import Schema, load
from orchestrator.tasks import Task
from orchestrator.wiro.catalogue import seed_model

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a busy machine is no failure, and each test has a time limit anyway

RECORDINGS = Path(__file__).parent / "recordings"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
UNWANTED = (
    # pages of the address bar's own, in each window, which cost more than the page under test
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),
    # what playwright turns off in a list that this one replaces
    *("AimEnabled", "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *(
        "MediaRouter",
        "OptimizationHints",
        "PaintHolding",
        "PreconnectToSearch",
        "SpareRendererForSitePerProcess",
        "ThirdPartyStoragePartitioning",
    ),
)
"""Features of the browser."""

QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--disable-features={','.join(UNWANTED)}",
]
STARTED = 1_795_000_000.0
OPENING = {
    "commands/run.py": "run",
    "commands/resume.py": "resume",
    "commands/retry.py": "retry",
    "commands/cancel.py": "cancel",
    "commands/recover.py": "recover",
    "commands/plan.py": "prepared",
    "commands/models.py": "first_job",
    "cli/runs.py": "<lambda>",
    "cli/models.py": "<lambda>",
}
"""What opens and closes a command, by its module."""

Draw = Callable[[Task, int], bytes]
"""Gives the bytes of a task's output; none where there is no such output."""


def pytest_configure() -> None:
    """Take Ctrl-C as it is meant: behind `&` a script ignores it, and so would every command that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"debug": False}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> Iterator[BlockBuster]:
    """Only opening and closing a command may block; what goes on in between, in tasks of its own, must not."""
    with blockbuster_ctx("orchestrator") as blocking:
        for function in blocking.functions.values():
            for module, name in OPENING.items():
                function.can_block_in(f"orchestrator/{module}", name)
        yield blocking


@pytest.fixture(autouse=True, scope="session")
def nothing_is_kept_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What outlives a run folder is kept in a folder of the tests, by the programs that they start too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_HOME", str(tmp_path_factory.mktemp("kept")))
        yield


@pytest.fixture(autouse=True, scope="session")
def short_lived() -> Iterator[Path]:
    """Return the folder of these tests, and of the programs that they start, for what else would lie in `/tmp`.

    Its name is short: browsers have sockets there, whose paths are a hundred characters long at most.
    """
    with tempfile.TemporaryDirectory(prefix="t") as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", place)
        patch.setattr(tempfile, "tempdir", place)
        yield Path(place)


@pytest.fixture(autouse=True)
def no_bug_is_passed_over(short_lived: Path) -> Iterator[None]:
    """A command that ends with "This is a bug" leaves a report there; a test that has planted the bug takes it away."""
    yield
    reports = {path: path.read_text() for path in short_lived.glob("orchestrator-*.log")}
    for path in reports:
        path.unlink()
    assert not reports, "\n".join(reports.values())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real one. It keeps an event loop in this thread, so it lives no longer than the tests of one module."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None and os.environ.get("CI") == "true":
        pytest.fail("The page is tested in Chromium, and there is none: `apt-get install chromium` installs it.")
    if path is None:
        pytest.skip("The page is tested in Chromium: `apt-get install chromium` installs it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Browser, folder: RunFolder) -> Iterator[Callable[..., Page]]:
    """Open the page of a module's `folder`; nothing is complained of, and nothing asked for outside the run folder."""
    wrong: list[str] = []
    contexts = []

    def opened(hash_: str = "", *, at: RunFolder = folder, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        home = (at.path / "").as_uri()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.extend(_outside(request.url, home)))
        page.goto(f"{home}/index.html{hash_}")
        page.wait_for_selector("#sheet .cell, #blind .pair, #overview table", state="attached")
        page.set_default_timeout(5000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def _outside(url: str, home: str) -> list[str]:
    return [] if url.startswith((home, "data:", "blob:")) else [url]


@pytest.fixture(scope="session")
def make_run() -> Callable[..., RunFolder]:
    """Makes run folders as a run leaves them, without a run."""
    return made_run


@pytest.fixture(scope="session")
def let_end() -> Callable[[RunFolder, SqliteLedger, Task, Draw], Record]:
    """Lets a pending task of such a folder end well, as a run that goes on does."""

    def end(folder: RunFolder, store: SqliteLedger, task: Task, draw: Draw) -> Record:
        with store.transaction(durable=False):
            _carry(store, Record(task), State.DONE, _outputs(folder, task, draw), STARTED + 1000 + task.index)
        return store.records([task.id])[task.id]

    return end


def made_run(
    path: Path,
    job: Mapping[str, Any],
    draw: Draw,
    *,
    state: Callable[[Task], State] = lambda _: State.DONE,
    tool: Mapping[str, Any] | None = None,
) -> RunFolder:
    """Make a run folder whose tasks have come as far as `state` says.

    Args:
        path: The folder; the job file lies beside it.
        job: What the job file holds.
        draw: Makes the outputs.
        state: `done`, `failed`, `running` or `pending` for each task.
        tool: The model's catalogue entry, the seed model's if not given.
    """
    path.mkdir(parents=True)
    tool = tool or seed_model()
    source = path.parent / f"{path.name}.yaml"
    source.write_text(yaml.safe_dump({"model": "Hevok/Studio-Trigger", **job}, sort_keys=False, allow_unicode=True))
    resolved = load(source, today=datetime(2026, 11, 22, tzinfo=UTC)).resolve(Schema.from_tool(tool))
    folder = RunFolder(path)
    tasks = list(resolved.tasks())
    with SqliteLedger(folder.ledger) as store, store.transaction(durable=False):
        store.state(
            {
                "source": str(source.resolve()),
                "service": "emulator",
                "account": "nobody",
                "job": json.dumps(resolved.to_json()),
                "tool": json.dumps(tool),
                "model": resolved.model,
                "total": str(len(tasks)),
                "started_at": repr(STARTED),
                "edition": "1",
            }
        )
        store.enter(tasks, 1, 0)
        for number, task in enumerate(tasks):
            outputs = _outputs(folder, task, draw)
            _carry(store, Record(task), state(task), outputs, STARTED + number)
    return folder


def _carry(store: SqliteLedger, record: Record, end: State, outputs: Iterator[Output], at: float) -> None:
    """Take a task to its state, move by move, the first at `at`."""
    moves = [record]
    if end is not State.PENDING:
        sent = record.intended(at, Decimal("0.01"), None)
        moves += [sent, sent.accepted(str(int(at)), "secret-token", at + 0.1)]
    if end is State.FAILED:
        ending = Ending("task_postprocess_end", 1, Decimal(0), 1.0, at + 2)
        moves.append(moves[-1].failed(Failure("failed", "the model gave up <b>here</b>"), at + 2, ending))
    if end is State.DONE:
        cost = Decimal("0.0035")
        moves.append(moves[-1].succeeded(Ending("task_postprocess_end", 0, cost, 2 + at % 7, at + 5)))
        moves.append(moves[-1].delivered(tuple(outputs), (), at + 6))
    for before, after in itertools.pairwise(moves):
        store.save(before, after)


def _outputs(folder: RunFolder, task: Task, draw: Draw) -> Iterator[Output]:
    for number in range(int(task.parameters.get("samples", 1))):
        data = draw(task, number)
        extension, kind = ("json", "application/json") if data[:1] == b"{" else ("png", "image/png")
        path = f"files/{task.path}-{task.short_id}-{number}.{extension}"
        target = folder.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        yield Output(path, None, kind, len(data), hashlib.sha256(data).hexdigest())
