"""The page for everybody: what an accessibility checker says of each view, light and dark, wide and narrow."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships none
from paged import built, read
from PIL import Image
from playwright.sync_api import Browser, Page

from orchestrator.lifecycle import State
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

JOB = {
    "parameters": {"samples": 2},
    "sweep": {
        "prompt": ["a lighthouse at dusk", "a harbour in fog"],
        "seed": [1, 2],
        "scheduler": ["DDIMScheduler", "PNDMScheduler"],
        "steps": [20, 40],
    },
}
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    "resultTypes": ["violations"],  # nobody reads the others, which would be described at length
}
VIEWS: dict[str, tuple[str, ...]] = {
    "grid": (),
    "grid, marked": ("#sheet", "4", "ArrowRight", "x", "ArrowRight", "Space"),
    "wall": ("w",),
    "filter": ("/",),
    "blind": ("b", "ArrowLeft", "ArrowRight", "ArrowLeft", "ArrowRight", "ArrowLeft", "ArrowLeft"),
    "ranking": ("b", *["ArrowLeft"] * 6, "#blind summary", "Enter"),
    "overview": ("o",),
    "picture": ("#sheet", "Enter", "ArrowRight"),
    "failed": ("#sheet", "Control+End", "Enter"),
    "comparison": ("#sheet", "Space", "ArrowRight", "Space", "c"),
    "slider": ("#sheet", "Space", "ArrowRight", "Space", "c", "s"),
    "comparison, marked": ("#sheet", "Space", "ArrowRight", "Space", "c", "4", "ArrowRight", "x"),
    "values": ("#bar [title^=Values]", "Enter"),
    "nothing": ("w", "#bar [title*='★ 3+']", "Enter"),
    "overview, filtered": ("o", "#bar [title*='no rejected']", "Enter"),
    "export": ("e",),
    "keys": ("?",),
}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (task.index * 9, number * 90, 120)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    def ends(task: Task) -> State:
        return {13: State.PENDING, 14: State.RUNNING, 15: State.FAILED}.get(task.index, State.DONE)

    return built(make_run(tmp_path_factory.mktemp("page") / "run", JOB, picture, state=ends))


LOOKS = [
    pytest.param(("light", 1280), id="light, wide"),
    pytest.param(("dark", 390), id="dark, narrow", marks=pytest.mark.long),
]


@pytest.fixture(scope="module", params=LOOKS)
def page(request: pytest.FixtureRequest, browser: Browser, folder: RunFolder) -> Iterator[Page]:
    scheme, width = request.param
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    page = browser.new_page(**options, reduced_motion="reduce")
    page.goto((folder.path / "index.html").as_uri())
    yield page
    page.close()


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_keeps_anybody_out(page: Page, view: str) -> None:
    page.goto(page.url.partition("#")[0])  # it loads anew, since the address has lost its end
    page.wait_for_selector(".cell")
    for step in VIEWS[view]:
        if step.startswith("#"):
            page.locator(step).first.focus()
        else:
            page.keyboard.press(step)
    page.evaluate("gallery.flush()")
    found = Axe().run(page, options=RULES).response["violations"]
    told = [f"{each['id']}: {node['html'][:160]} {node['failureSummary']}" for each in found for node in each["nodes"]]
    assert told == []
    assert read(page, "document.documentElement.scrollWidth") <= page.evaluate("window.innerWidth")
    page.evaluate("localStorage.clear()")
