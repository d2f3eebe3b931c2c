"""The picture that the keys are about stays the same one, and the view is where the address says."""

from __future__ import annotations

import io

import pytest
from paged import Look, MakeRun, built, cell, drawn, heads, keys, read
from PIL import Image
from playwright.sync_api import Page, expect

from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

JOB = {
    "parameters": {"samples": 2},
    "sweep": {"prompt": ["boat", "Boat"], "seed": list(range(1, 13)), "scheduler": ["DDIMScheduler"]},
}
WALL = "#tab=wall&filter=%5B%22rejected%22%2C%22is%22%2C%22no%22%5D"
CHOSEN = "[gallery.sheet.card().task.index, gallery.sheet.card().n]"


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (task.index * 9, number * 90, 120)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("active") / "run", JOB, picture))


@pytest.fixture
def page(look: Look) -> Page:
    page = look()
    page.locator("#cell-0-1 img").first.wait_for()
    return page


def at(page: Page, address: str) -> None:
    page.goto(page.url.partition("#")[0] + address)
    page.reload()
    page.locator("#cell-0-1 img").first.wait_for()


def chosen(page: Page) -> tuple[int, int]:
    drawn(page)
    index, n = page.evaluate(CHOSEN)
    return index, n


def test_no_picture_is_skipped_where_rejected_ones_go(page: Page) -> None:
    at(page, WALL)
    page.locator("#sheet").focus()
    keys(page, "Enter")
    seen = []
    for _ in range(4):
        card = page.evaluate("[gallery.viewer.card.task.index, gallery.viewer.card.n]")
        seen.append(tuple(card))
        keys(page, "x")
        drawn(page)
        keys(page, "ArrowRight")
    assert seen == [(0, 0), (0, 1), (1, 0), (1, 1)]
    keys(page, "ArrowRight", "x")
    drawn(page)
    keys(page, "ArrowLeft")  # what went does not come between
    assert read(page, "[gallery.viewer.card.task.index, gallery.viewer.card.n]") == [2, 0]


def test_the_last_one_that_goes_has_one_before_it(page: Page) -> None:
    at(page, WALL)
    page.locator("#sheet").focus()
    keys(page, "Control+End", "Enter", "x")
    drawn(page)
    keys(page, "ArrowRight")
    assert read(page, "[gallery.viewer.card.task.index, gallery.viewer.card.n]") == [23, 1]
    keys(page, "ArrowLeft")
    assert read(page, "[gallery.viewer.card.task.index, gallery.viewer.card.n]") == [23, 0]


def test_it_stays_the_same_when_others_come_before_it_or_pictures_change_their_size(page: Page) -> None:
    at(page, WALL)
    page.locator("#sheet").focus()
    keys(page, *["ArrowRight"] * 5)
    before = chosen(page)
    keys(page, "+", "+", "+")
    assert chosen(page) == before
    page.set_viewport_size({"width": 700, "height": 800})
    assert chosen(page) == before
    page.evaluate("gallery.view.set({sort: 'index', descending: true})")
    assert chosen(page) == before
    page.evaluate("gallery.view.set({tab: 'grid'})")
    assert chosen(page) == before
    page.evaluate("gallery.view.set({tab: 'wall', filters: []})")
    keys(page, "Control+End")
    assert chosen(page) == (0, 1)  # the last one there is, not an empty place behind it


def test_another_value_beside_the_grid_is_another_picture_in_the_same_place(page: Page) -> None:
    page.evaluate("gallery.view.place('oy', ''); gallery.view.place('x', 'a.seed'); gallery.view.place('y', '')")
    drawn(page)
    page.locator("#sheet").focus()
    keys(page, "ArrowRight")
    assert chosen(page) == (1, 0)
    page.evaluate("gallery.view.set({picks: {...gallery.view.picks, 'a.prompt': 1}})")
    assert chosen(page) == (13, 0)
    keys(page, "ArrowRight")
    assert chosen(page) == (14, 0)


def test_an_axis_that_tasks_make_is_there_after_a_reload(page: Page) -> None:
    page.get_by_label("Columns", exact=True).select_option(label="output")
    assert heads(page) == ["output 1", "output 2"]
    page.reload()
    page.locator("#cell-0-1 img").first.wait_for()
    assert heads(page) == ["output 1", "output 2"]
    page.evaluate("gallery.view.place('x', '')")
    page.evaluate("gallery.run.refresh()")
    assert read(page, "gallery.view.x") == ""  # what somebody has changed is not read again


def test_back_goes_to_the_first_view(page: Page) -> None:
    first = heads(page)
    page.locator("#tab-wall").click()
    expect(page.locator("#tab-wall")).to_have_attribute("aria-current", "page")
    page.go_back()
    expect(page.locator("#tab-grid")).to_have_attribute("aria-current", "page")
    assert heads(page) == first


def test_all_together_they_stand_in_the_order_of_the_values(page: Page) -> None:
    page.evaluate(
        "() => { gallery.view.place('x', 'a.prompt'); gallery.view.place('oy', ''); gallery.view.place('y', '');"
        " gallery.view.set({picks: {'a.seed': -1}, order: {'a.seed': [5, 0]}});"
        " const tasks = [...gallery.run.tasks].reverse(); gallery.run.tasks.clear();"
        " tasks.forEach(([id, task]) => gallery.run.tasks.set(id, task)); gallery.changed('tasks'); }"
    )
    drawn(page)
    seeds = page.evaluate("gallery.sheet.model.cards(0, 1).map((card) => gallery.run.parameters(card.task).seed)")
    assert list(map(int, seeds[::2])) == [6, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]
    assert read(page, "gallery.sheet.model.cards(0, 1).map((card) => card.n)") == [0, 1] * 12


def test_what_is_unknown_stands_last_whichever_way_they_are_sorted(page: Page) -> None:
    page.evaluate("[...gallery.run.tasks.values()][3].seconds = null")
    for way in ("true", "false"):
        page.evaluate(f"gallery.view.set({{tab: 'wall', sort: 'seconds', descending: {way}}})")
        drawn(page)
        assert read(page, "gallery.choose.list().slice(-2).map((card) => card.task.seconds)") == [None, None]


def test_values_that_differ_in_their_case_alone_are_told_apart(page: Page) -> None:
    page.evaluate("gallery.view.set({filters: [['a.prompt', 'is', 'Boat']]})")
    drawn(page)
    assert read(page, "[gallery.choose.counts().shown, gallery.sheet.model.cards(0, 0)[0].task.index]") == [24, 12]


def test_a_number_that_was_not_given_makes_no_filter(page: Page) -> None:
    keys(page, "/")
    page.get_by_label("Field").select_option(label="stars")
    keys(page, "Enter")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#filter-value")).to_be_focused()
    assert read(page, "gallery.view.filters") == []
    expect(cell(page, 0, 0)).to_have_count(1)


def test_all_pictures_of_a_full_cell_can_be_reached(page: Page) -> None:
    page.evaluate(
        "() => { for (const side of ['x', 'y', 'ox', 'oy']) gallery.view.place(side, '');"
        " gallery.view.set({picks: {'a.prompt': -1, 'a.seed': -1}}); }"
    )
    drawn(page)
    box = cell(page, 0, 0).bounding_box()
    assert box
    assert box["height"] > 500  # there is room for nine of them
    page.locator(".more", has_text="+39").click()
    card = "[gallery.viewer.card.task.index, gallery.viewer.card.n]"
    assert read(page, card) == [4, 1]
    expect(page.locator(".strip [aria-pressed=true]")).to_have_attribute("aria-label", "Output 10")
    keys(page, *"]" * 20)
    assert read(page, card) == [14, 1]
    expect(page.locator(".strip [aria-pressed=true]")).to_have_attribute("aria-label", "Output 30")
