"""Pictures in their actual size, in a real browser: one alone, several under one zoom, large and small ones."""

from __future__ import annotations

import io
from typing import Any

import pytest
from paged import Look, MakeRun, built, keys, read
from PIL import Image
from playwright.sync_api import Page, expect

from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

JOB = {"parameters": {"prompt": "a quay", "samples": 1}, "sweep": {"seed": [1, 2, 3]}}
SIZES = [(1600, 1200), (1800, 1200), (40, 30)]


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, _number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", SIZES[task.index or 0], (task.index * 90, 80, 120)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("stage") / "run", JOB, picture))


@pytest.fixture
def page(look: Look) -> Page:
    return opened(look())


def opened(page: Page) -> Page:
    page.locator("#cell-0-2 img").wait_for()
    page.locator("#sheet").focus()
    return page


def pixels(page: Page) -> Any:
    """Return how large a pixel of a picture is on the page: the lesser of across and down."""
    return page.locator("dialog[open] .held > img").first.evaluate(
        "(img) => { const box = img.getBoundingClientRect();"
        " return Math.min(box.width / img.naturalWidth, box.height / img.naturalHeight); }"
    )


def enter(page: Page) -> None:
    keys(page, "Enter")
    page.wait_for_function("() => document.querySelector('#viewer .stage img').naturalWidth === 1600")


def test_the_actual_size_is_a_pixel_for_a_pixel_and_can_be_moved(page: Page) -> None:
    enter(page)
    assert pixels(page) < 0.7
    page.get_by_role("button", name="100 %").click()
    assert pixels(page) == pytest.approx(1, abs=0.001)
    expect(page.locator("#viewer .stage")).to_have_class("stage zoomed crisp")
    before = page.evaluate("gallery.viewer.zoom.x")
    page.mouse.move(300, 300)
    page.mouse.down()
    page.mouse.move(200, 300)
    page.mouse.up()
    assert read(page, "gallery.viewer.zoom.x") < before
    page.set_viewport_size({"width": 1000, "height": 600})
    page.wait_for_function("() => gallery.viewer.zoom.scale > 2")
    assert pixels(page) == pytest.approx(1, abs=0.001)
    page.get_by_role("button", name="Whole").click()
    assert read(page, "[gallery.viewer.zoom.scale, gallery.viewer.zoom.x]") == [1, 0]


def test_it_goes_along_from_picture_to_picture(page: Page) -> None:
    enter(page)
    keys(page, "z", "Shift+ArrowRight", "ArrowRight")
    page.wait_for_function("() => document.querySelector('#viewer .stage img').naturalWidth === 1800")
    assert pixels(page) == pytest.approx(1, abs=0.001)
    assert read(page, "gallery.viewer.zoom.x") < 0
    keys(page, "ArrowRight")
    page.wait_for_function("() => document.querySelector('#viewer .stage img').naturalWidth === 40")
    assert read(page, "[gallery.viewer.zoom.scale < 1, gallery.viewer.zoom.x]") == [True, 0]
    keys(page, "Escape", "Enter")
    assert read(page, "gallery.viewer.zoom.scale") == 1
    keys(page, "+", "ArrowLeft")  # any other size goes along too
    assert read(page, "gallery.viewer.zoom.scale") == 1.25


def test_on_a_fine_screen_a_pixel_is_one_of_the_screen(look: Look) -> None:
    page = opened(look(device_scale_factor=2))
    enter(page)
    keys(page, "z")
    assert pixels(page) == pytest.approx(0.5, abs=0.001)


def test_a_small_picture_is_enlarged_by_a_whole_number_its_pixels_as_squares(page: Page) -> None:
    keys(page, "End", "Enter")
    page.wait_for_function("() => document.querySelector('#viewer .stage img').naturalWidth === 40")
    whole = page.locator("#viewer .stage img")
    expect(whole).to_have_css("image-rendering", "auto")  # nobody has asked for its pixels
    fits = int(pixels(page))
    page.get_by_role("button", name=f"{fits}00 %").click()
    expect(whole).to_have_css("image-rendering", "pixelated")
    assert pixels(page) == pytest.approx(fits, abs=0.001)
    keys(page, "z", "+")
    expect(whole).to_have_css("image-rendering", "pixelated")


def test_compared_pictures_are_shown_and_moved_together(page: Page) -> None:
    keys(page, " ", "ArrowRight", " ", "c", "z")
    expect(page.locator("#compare .crisp")).not_to_have_count(0)
    assert pixels(page) == pytest.approx(1, abs=0.001)
    keys(page, "Shift+ArrowRight")
    styles = {held.get_attribute("style") for held in page.locator("#compare .held").all()}
    assert len(styles) == 1
    assert "translate(0%" not in str(styles)
    page.get_by_role("button", name="Slider").click()
    assert pixels(page) == pytest.approx(1, abs=0.001)  # the stage is as wide as the window now
    page.get_by_role("button", name="Whole").click()
    expect(page.get_by_role("button", name="100 %")).to_be_visible()


def test_what_is_no_picture_has_no_actual_size(page: Page) -> None:
    enter(page)
    page.evaluate("() => { gallery.viewer.zoom.stages[0].fit = () => null; gallery.viewer.zoom.apply(); }")
    expect(page.locator("#actual")).to_be_hidden()
    keys(page, "z")
    assert read(page, "gallery.viewer.zoom.scale") == 1
