"""The page's controls in a real browser: menus, sliders and dialogs, and where the focus is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from paged import SIX, Look, MakeRun, built, keys, plain, read, ready
from playwright.sync_api import Page, expect

from orchestrator.runs import RunFolder


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


@pytest.fixture(scope="module")
def folder(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("menus") / "run", SIX, plain))


@pytest.fixture
def page(look: Look) -> Page:
    return ready(look)


def test_pictures_grow_while_their_slider_is_dragged(page: Page) -> None:
    box = page.locator("#size").bounding_box()
    assert box
    at = (box["x"] + 30, box["y"] + box["height"] / 2)
    page.mouse.move(*at)
    page.mouse.down()
    widths = []
    for step in (10, 30, 50):
        page.mouse.move(at[0] + step, at[1])
        page.evaluate("gallery.flush()")
        widths.append(page.evaluate("gallery.sheet.width()"))
    page.mouse.up()
    assert widths == sorted(set(widths))
    page.wait_for_url(f"**size={widths[-1]}&**")


def test_a_button_that_is_being_pressed_stays(page: Page) -> None:
    """Whatever happens meanwhile: a click is a press and a release of the same button."""
    box = page.locator("#tab-wall").bounding_box()
    assert box
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.evaluate("['tasks', 'head'].forEach(gallery.changed); gallery.flush()")
    page.mouse.up()
    expect(page.locator("#tab-wall")).to_have_attribute("aria-current", "page")


def test_what_the_page_says_is_above_its_dialogs(page: Page) -> None:
    keys(page, "e")
    page.locator("#export").get_by_role("button", name="CSV").click()
    said = page.locator("#export #say")
    expect(said).to_contain_text("is on its way")
    keys(page, "Escape")
    expect(page.locator("body > #say")).to_contain_text("is on its way")


def test_the_focus_is_always_somewhere_and_in_sight(page: Page) -> None:
    """Also after a filter was added or taken off, and when the sheet has been scrolled away from the active cell."""
    page.set_viewport_size({"width": 390, "height": 420})
    page.get_by_title("Show only: ★ 3+").focus()
    keys(page, "Enter")
    expect(page.locator("#filter")).to_be_focused()
    page.get_by_title("Take this filter off").focus()
    keys(page, "Enter")
    expect(page.locator("#filter")).to_be_focused()
    keys(page, "/")
    page.keyboard.type("harbour")
    keys(page, "Enter")
    expect(page.locator("#filter")).to_be_focused()
    page.locator("#sheet").evaluate("(box) => box.scrollTo(0, box.scrollHeight)")
    page.locator("#size").focus()
    keys(page, "Tab")
    expect(page.locator("#sheet")).to_be_focused()
    expect(page.locator(".cell.active")).to_be_in_viewport(ratio=0.5)


def test_a_menu_stays_open_while_several_things_are_chosen(page: Page) -> None:
    page.locator("summary", has_text="Show").click()
    page.get_by_label("Cost").check()
    page.get_by_label("Time").check()
    expect(page.locator(".facts").first).to_have_text("$0.0035 · 5.0 s")


def test_a_menu_is_used_by_key(page: Page) -> None:
    page.locator("summary", has_text="Show").focus()
    keys(page, "Enter", "Tab", "Tab", " ")
    expect(page.get_by_label("Cost")).to_be_focused()
    keys(page, "Tab", " ")
    expect(page.locator(".facts").first).to_have_text("$0.0035 · 5.0 s")


def test_a_slow_press_in_a_menu_holds_over_what_comes_meanwhile(page: Page) -> None:
    page.locator("summary", has_text="Show").click()
    page.get_by_text("Cost", exact=True).hover()
    page.mouse.down()
    page.evaluate("gallery.changed('tasks'); gallery.flush()")
    page.mouse.up()
    expect(page.get_by_label("Cost")).to_be_checked()


ELSEWHERE: dict[str, Callable[[Page], None]] = {
    "pressed beside it": lambda page: page.locator("h1").click(),
    "focus gone on": lambda page: page.locator("#size").focus(),
    "a dialog": lambda page: page.evaluate("gallery.save.show()"),
    "the help, by key": lambda page: page.keyboard.press("?"),
    "a picture": lambda page: page.evaluate("gallery.viewer.show(gallery.sheet.card())"),
}


@pytest.mark.parametrize("leave", ELSEWHERE.values(), ids=list(ELSEWHERE))
def test_a_menu_closes_when_it_is_left(page: Page, leave: Callable[[Page], None]) -> None:
    page.locator("summary", has_text="Show").click()
    page.get_by_label("Cost").check()
    expect(page.get_by_label("Time")).to_be_visible()
    leave(page)
    expect(page.locator(".menu")).not_to_have_attribute("open", "")
    page.evaluate("gallery.changed('view'); gallery.flush()")
    expect(page.locator(".menu")).not_to_have_attribute("open", "")


def test_escape_closes_a_menu_and_does_nothing_else(page: Page) -> None:
    page.evaluate("addEventListener('keydown', () => (window.heard = true))")
    page.locator("summary", has_text="Show").click()
    page.get_by_label("Cost").check()
    keys(page, "Escape")
    expect(page.get_by_label("Time")).to_be_hidden()
    expect(page.locator("summary", has_text="Show")).to_be_focused()
    assert read(page, "window.heard ?? null") is None
    keys(page, "Escape")
    assert read(page, "window.heard") is True  # it is free again


def test_what_is_zoomed_is_moved_by_key_too(page: Page) -> None:
    keys(page, "Enter", "+", "+", "+", "Shift+ArrowRight", "Shift+ArrowDown")
    assert read(page, "[gallery.viewer.zoom.x, gallery.viewer.zoom.y]") == [-0.15, -0.15]
    keys(page, "Shift+ArrowLeft", "Shift+ArrowUp", "ArrowRight")
    assert read(page, "gallery.sheet.active.column") == 1  # arrows alone go on to the next picture
    assert read(page, "gallery.viewer.zoom.scale") > 1  # and show the same part of it
    keys(page, "z", "Shift+ArrowRight")
    assert read(page, "gallery.viewer.zoom.x") == 0  # all of it is seen
