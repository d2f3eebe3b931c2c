"""A run folder with its page, for a browser to open, and what one does there."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, Page

from orchestrator.commands.status import read_status
from orchestrator.lifecycle import State
from orchestrator.output.gallery import build
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

Look = Callable[..., Page]
MakeRun = Callable[..., RunFolder]
NASTY = (
    "a fox </script><script>window.harmed = 1</script> <img src=x onerror='window.harmed = 2'> \"quoted\""
    " 'too' \u2028 \u202eright to left\u202c שלום 🦊 {braces} =1+1 \\ \x85 " + "x" * 10_000
)
JOB = {
    "name": "harbours & foxes",
    "parameters": {"steps": 20, "samples": 2},
    "sweep": {
        "prompt": [{"raw": NASTY, "label": "=fox <b>"}, {"value": "a harbour", "label": "harbour"}],
        "seed": [7, 42, 99],
        "scheduler": ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"],
    },
}
SIX = {
    "parameters": {"samples": 1},
    "sweep": {
        "prompt": ["a lighthouse at dusk", "a harbour in fog"],
        "scheduler": ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"],
    },
}
"""A job of six tasks that all go well."""

PICK_THREE = (" ", "ArrowRight", " ", "ArrowRight", " ")
COLOURS = {"DDIMScheduler": 200, "EulerDiscreteScheduler": 120, "PNDMScheduler": 40}


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    shade = COLOURS[str(task.parameters["scheduler"])]
    Image.new("RGB", (600, 400), (shade, int(str(task.parameters["seed"])), number * 80)).save(file, "PNG")
    return file.getvalue()


def plain(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (task.index * 40, number, 120)).save(file, "PNG")
    return file.getvalue()


def ends(task: Task) -> State:
    """Let one task fail and one go on; all others are done."""
    return {4: State.FAILED, 5: State.RUNNING}.get(task.index, State.DONE)


def built(folder: RunFolder) -> RunFolder:
    """Build the page of a run folder."""
    with folder.opened() as ledger:
        build(folder.path, ledger, read_status(folder), 1_800_000_000.0)
    return folder


def ready(look: Look) -> Page:
    """Return the page of `SIX` as it opens for the first time, with the focus in its grid."""
    page = look()
    page.locator("#cell-1-2 img").wait_for()
    page.locator("#sheet").focus()
    return page


def keys(page: Page, *names: str) -> None:
    """Press keys once all that was done is drawn, and wait until what they do is drawn, too."""
    drawn(page)
    for name in names:
        page.keyboard.press(name)
    drawn(page)


def drawn(page: Page) -> None:
    """Wait until the page has been drawn anew, and no longer than for anything else of it."""
    page.evaluate(
        """new Promise((done, fail) => {
            setTimeout(fail, 5000, "nothing is drawn");
            requestAnimationFrame(() => requestAnimationFrame(done));
        })"""
    )


def read(page: Page, expression: str, *given: Any) -> Any:
    """Return what an expression is worth once all that was done is drawn."""
    drawn(page)
    return page.evaluate(expression, *given)


def heads(page: Page) -> list[str]:
    drawn(page)
    return [text.strip() for text in page.locator(".column").all_inner_texts()]


def cell(page: Page, row: int, column: int) -> Locator:
    return page.locator(f"#cell-{row}-{column}")


def seen(page: Page) -> Any:
    """Return how many pictures pass the filters."""
    return read(page, "gallery.choose.list().length")


def saved(page: Page, button: str, path: Path) -> str:
    """Press a button of the export, and keep what is downloaded."""
    with page.expect_download() as download:
        page.locator("#export").get_by_role("button", name=re.compile(rf"^{button}")).click()
    download.value.save_as(path)
    return path.read_text("utf-8-sig")
