"""The page of a large run: what is in the document, how soon there is something to see, what it takes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paged import read
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from orchestrator.commands.status import read_status
from orchestrator.lifecycle import Output, State
from orchestrator.output.gallery.data import Preview
from orchestrator.output.gallery.writer import PageWriter
from orchestrator.runs import RunFolder

SIDE = 100
JOB = {
    "parameters": {"prompt": "a lighthouse at dusk", "samples": 1},
    "sweep": {"seed": {"from": 1, "to": SIDE, "step": 1}, "steps": {"from": 1, "to": SIDE, "step": 1}},
}
MOST_IN_DOCUMENT = 400
MOST_SECONDS = 5.0
MOST_MEGABYTES = 80


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Ten thousand tasks that are done; all show one of a few files."""
    folder = make_run(tmp_path_factory.mktemp("large") / "run", JOB, lambda *_: b"", state=lambda _: State.PENDING)
    folder.files.mkdir()
    for number in range(7):
        file = io.BytesIO()
        Image.new("RGB", (64, 64), (number * 36, 90, 160)).save(file, "PNG")
        (folder.files / f"{number}-0.png").write_bytes(file.getvalue())
    with folder.opened() as ledger:
        writer = PageWriter.begun(folder.path, ledger, 1.0)
        for record in ledger.everything():
            output = Output(f"files/{record.task.index % 7}-0.png", None, "image/png", 100, "0" * 64)
            done = replace(record, state=State.DONE, outputs=(output,), finished_at=float(record.task.index))
            writer.add(done, [Preview(None, 64, 64)])
        writer.tell(read_status(folder), [], 1.0)
    return folder


@pytest.fixture(scope="module")
def loaded(browser: Browser, folder: RunFolder) -> Iterator[Page]:
    """The page with all that it holds, loaded once."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((folder.path / "index.html").as_uri())
    page.wait_for_function("() => gallery.run.tasks.size === 10000")
    yield page
    page.close()
    assert wrong == []


@pytest.fixture
def page(loaded: Page) -> Page:
    """The page at its beginning, whatever the test before has done with it."""
    loaded.evaluate("gallery.view.set({tab: 'grid', sort: 'index', descending: false, size: 0}); gallery.flush()")
    loaded.evaluate("gallery.sheet.moveTo(0, 0); document.getElementById('sheet').scrollTo(0, 0)")
    return loaded


def held(page: Page) -> Any:
    """Return how many cells and elements are in the document."""
    return page.evaluate("[document.querySelectorAll('.cell').length, document.querySelectorAll('*').length]")


def test_there_is_something_to_see_before_all_is_loaded(browser: Browser, folder: RunFolder) -> None:
    page = browser.new_page()
    page.goto((folder.path / "index.html").as_uri())
    page.wait_for_function("() => document.querySelector('.cell img')?.complete")
    seconds = page.evaluate("performance.now() / 1000")
    page.close()
    assert seconds < MOST_SECONDS


def test_only_what_is_in_view_is_in_the_document(page: Page) -> None:
    before = held(page)
    assert 10 < before[0] < MOST_IN_DOCUMENT
    assert before[1] < 10 * MOST_IN_DOCUMENT
    sheet = page.locator("#sheet")
    for part in (0.3, 0.7, 1.0):
        sheet.evaluate("(box, part) => box.scrollTo(box.scrollWidth * part, box.scrollHeight * part)", part)
        page.wait_for_timeout(100)
        assert held(page)[0] < MOST_IN_DOCUMENT
    expect(page.locator(f"#cell-{SIDE - 1}-{SIDE - 1} img")).to_be_visible()
    expect(page.locator(".column .label").last).to_have_text(f"steps {SIDE}")
    expect(page.locator(".rowhead .label").last).to_have_text(f"seed {SIDE}")


def test_keys_go_to_the_far_end_and_what_is_active_is_in_sight(page: Page) -> None:
    page.locator("#sheet").focus()
    page.keyboard.press("Control+End")
    page.locator(f"#cell-{SIDE - 1}-{SIDE - 1}.active").wait_for()
    expect(page.locator(f"#cell-{SIDE - 1}-{SIDE - 1}")).to_be_visible()
    expect(page.locator("#sheet")).to_have_attribute("aria-activedescendant", f"cell-{SIDE - 1}-{SIDE - 1}")
    page.keyboard.press("Home")
    page.locator(f"#cell-{SIDE - 1}-0.active").wait_for()
    page.keyboard.press("PageUp")
    assert read(page, "gallery.sheet.active.row") < SIDE - 1


def test_scrolling_draws_a_screen_within_a_frame_or_two(page: Page) -> None:
    """Measured as the time that the page's own scripts take for each step of a long way down."""
    milliseconds = page.evaluate(
        """() => {
            const box = document.getElementById('sheet');
            const times = [];
            for (let step = 0; step < 40; step += 1) {
                box.scrollTop += 400;
                const before = performance.now();
                gallery.changed('scroll');
                gallery.flush();
                times.push(performance.now() - before);
            }
            return times.sort((a, b) => a - b)[20];
        }"""
    )
    assert milliseconds < 50


def test_only_what_has_to_be_is_worked_out_again(page: Page) -> None:
    """Counted as looks at where a picture stands: one for each picture and axis where all of them are gone through."""
    looks = """(act) => {
        const { number } = gallery.axes;
        let calls = 0;
        gallery.axes.number = (...told) => { calls += 1; return number(...told); };
        try {
            act();
            gallery.flush();
        } finally {
            gallery.axes.number = number;
        }
        return calls;
    }"""
    for act in (
        "() => gallery.view.set({size: 150})",
        "() => gallery.marks.set(gallery.sheet.card().key, {stars: 4})",
        "() => gallery.marks.pick(gallery.sheet.card().key)",
    ):
        assert read(page, f"({looks})({act})") < SIDE * SIDE / 5
    assert read(page, f"({looks})(() => gallery.view.place('x', 'a.seed'))") >= SIDE * SIDE
    page.evaluate("gallery.view.place('x', 'a.steps')")
    page.evaluate("gallery.view.set({tab: 'blind'}); gallery.flush()")
    assert read(page, f"({looks})(() => gallery.blind.answer('a'))") < SIDE * SIDE / 5


def test_the_wall_holds_all_of_them_and_sorts(page: Page) -> None:
    page.locator("#tab-wall").click()
    page.get_by_label("Sorted by").select_option(label="finished")
    page.get_by_title("Smallest first").click()
    assert read(page, "gallery.sheet.model.cards(0, 0)[0].task.index") == SIDE * SIDE - 1
    assert held(page)[0] < MOST_IN_DOCUMENT


def test_it_takes_little_memory(page: Page) -> None:
    page.evaluate("new Promise((done) => requestIdleCallback(done, {timeout: 5000}))")  # what waits keeps its cell
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    assert metrics["JSHeapUsedSize"] < MOST_MEGABYTES * 1e6
    assert metrics["Nodes"] < 20 * MOST_IN_DOCUMENT


def test_the_files_are_small(folder: RunFolder) -> None:
    data = sum(path.stat().st_size for path in Path(folder.path / "page" / "data").iterdir())
    assert data < 10_000 * 220
