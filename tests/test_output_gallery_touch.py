"""The page under fingers, on a screen as wide as a telephone's, as real touches tell it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paged import built, drawn, read
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

JOB = {
    "parameters": {"prompt": "a lighthouse at dusk", "samples": 1},
    "sweep": {"seed": [1, 2, 3], "scheduler": ["DDIMScheduler", "EulerAncestralDiscreteScheduler", "PNDMScheduler"]},
}
Point = tuple[float, float]
FULL = """() => {
    window.room = Storage.prototype.setItem;
    Storage.prototype.setItem = () => { throw new DOMException('no room', 'QuotaExceededError'); };
}"""


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 500), (task.index * 20, number, 120)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def telephone(
    browser: Browser, make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    folder = built(make_run(tmp_path_factory.mktemp("touch") / "run", JOB, picture))
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(5000)
    page.goto((folder.path / "index.html").as_uri())
    yield page
    context.close()


@pytest.fixture
def page(telephone: Page) -> Iterator[Page]:
    """The page as it opens; at the end nothing was complained of."""
    wrong: list[str] = []
    telephone.on("console", lambda message: wrong.append(message.text))
    telephone.on("pageerror", lambda error: wrong.append(str(error)))
    telephone.goto(telephone.url.partition("#")[0])
    telephone.reload()
    telephone.wait_for_selector("#sheet .cell")
    yield telephone
    telephone.evaluate("window.onbeforeunload = null; gallery.marks.downloaded(); localStorage.clear()")
    assert wrong == []


def touch(page: Page, *steps: list[Point], then: Callable[[], object] = lambda: None) -> None:
    """Put fingers down at the first places, move them through the others, do something, and lift them."""
    session = page.context.new_cdp_session(page)

    def send(kind: str, points: list[Point]) -> None:
        told: Any = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    send("touchStart", steps[0])
    for points in steps[1:]:
        send("touchMove", points)
    then()
    send("touchEnd", [])
    session.detach()


def names(page: Page) -> str:
    return page.locator("#viewer h2").inner_text()


def test_a_swipe_goes_along_the_axes(page: Page) -> None:
    page.locator("#cell-0-0 img").tap()
    assert names(page) == "seed 1 · DDIMScheduler"
    touch(page, [(300, 200)], [(240, 200)], [(180, 205)])
    assert names(page) == "seed 1 · EulerAncestralDiscreteScheduler"
    touch(page, [(200, 350)], [(200, 280)], [(205, 220)])
    assert names(page) == "seed 2 · EulerAncestralDiscreteScheduler"
    touch(page, [(100, 200)], [(200, 200)])
    assert names(page) == "seed 2 · DDIMScheduler"
    touch(page, [(100, 200)], [(130, 200)])  # too short to be meant
    assert names(page) == "seed 2 · DDIMScheduler"


def test_two_fingers_zoom_and_one_moves_what_is_zoomed(page: Page) -> None:
    page.locator("#cell-0-0 img").tap()
    touch(page, [(180, 200), (220, 200)], [(150, 200), (250, 200)], [(120, 200), (280, 200)])
    assert read(page, "gallery.viewer.zoom.scale") == pytest.approx(4, rel=0.05)
    before = page.evaluate("gallery.viewer.zoom.x")
    touch(page, [(300, 200)], [(200, 200)])
    assert read(page, "gallery.viewer.zoom.x") == pytest.approx(before - 100 / 390, abs=0.02)
    assert names(page) == "seed 1 · DDIMScheduler"
    touch(page, [(120, 200), (280, 200)], [(190, 200), (210, 200)])
    assert read(page, "gallery.viewer.zoom.scale") == 1


def test_a_finger_that_rests_picks_and_one_that_scrolls_does_not(page: Page) -> None:
    box = page.locator("#cell-0-1").bounding_box()
    assert box
    at = (box["x"] + 20, box["y"] + 60)
    picked = "() => gallery.marks.picked.size === 1"
    touch(page, [at], then=lambda: page.wait_for_function(picked))
    expect(page.locator("#viewer")).not_to_be_visible()
    expect(page.locator("#cell-0-1 .tick.on")).to_have_count(1)
    touch(page, [at], [(at[0], at[1] - 40)], then=lambda: page.wait_for_timeout(500))
    assert read(page, "gallery.marks.picked.size") == 1
    page.locator("#cell-0-0 .tick").tap()
    assert read(page, "gallery.marks.picked.size") == 2


def test_everything_is_within_reach_of_a_finger(page: Page) -> None:
    tick = page.locator("#cell-0-0 .tick").bounding_box()
    assert tick
    assert min(tick["width"], tick["height"]) >= 30
    page.locator("#tab-blind").tap()
    upper, lower = (page.locator(".side .stage").nth(number).bounding_box() for number in (0, 1))
    assert upper
    assert lower
    assert lower["y"] > upper["y"] + upper["height"]
    expect(page.locator("button.choose").first).to_have_text("The upper one", use_inner_text=True)  # no key does it
    assert page.locator("#rank").evaluate("(hint) => hint.scrollHeight <= hint.clientHeight")  # none of it is cut
    assert read(page, "document.documentElement.scrollWidth") <= 390


def test_nothing_moves_while_a_filter_is_made(page: Page) -> None:
    for width, height in ((390, 844), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("document.getElementById('bar').scrollTo(0, 0)")
        boxes = []
        for key in ("Escape", "/"):
            page.keyboard.press(key)
            drawn(page)
            boxes.append(page.locator("#cell-0-0").bounding_box())
        expect(page.locator("#filter-value")).to_be_visible()
        assert boxes[0] == boxes[1]
        maker = page.locator(".maker").bounding_box()
        assert maker
        assert maker["x"] + maker["width"] <= width
        page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 844})


def test_a_picture_is_seen_whole(page: Page) -> None:
    """Its own size and shape do not matter: it fits the stage."""
    page.locator("#cell-0-0 img").tap()
    for width, height in ((390, 844), (1280, 500), (800, 800)):
        page.set_viewport_size({"width": width, "height": height})
        stage, shown = (page.locator(f"#viewer {name}").bounding_box() for name in (".stage", ".stage img"))
        assert stage
        assert shown
        assert shown["height"] <= stage["height"] + 0.5
        assert shown["width"] <= stage["width"] + 0.5
    page.set_viewport_size({"width": 390, "height": 844})


def test_a_browser_without_room_keeps_marks_on_the_page_and_says_so(page: Page) -> None:
    page.evaluate(FULL)
    page.locator("#cell-0-0 img").tap()
    page.get_by_role("button", name="4 stars").tap()
    page.locator("#not-kept").wait_for(state="attached")
    page.locator("#viewer-close").tap()
    page.locator("#not-kept").tap()
    expect(page.locator("#export .error")).to_contain_text("no room for more marks")
    with page.expect_download() as download:
        page.locator("#export button.big", has_text="Marks").tap()
    assert '"stars":4' in download.value.path().read_text("utf-8")
    page.keyboard.press("Escape")
    page.evaluate("() => void (Storage.prototype.setItem = window.room)")
    page.locator("#sheet").focus()
    page.keyboard.press("5")  # room again: what was given before is kept too
    page.wait_for_function("() => !document.getElementById('not-kept')")
    assert read(page, "Object.values(localStorage).join().includes('\"stars\":5')")


def test_long_names_break_between_their_words(page: Page) -> None:
    first, second = (page.locator(".column .label").nth(number).inner_html() for number in (0, 1))
    assert first.split("<wbr>") == ["DDIM", "Scheduler"]
    assert second.split("<wbr>") == ["Euler", "Ancestral", "Discrete", "Scheduler"]
