"""Filters, groups and hidden values in a real browser: what is not shown is nowhere."""

from __future__ import annotations

import pytest
from paged import PICK_THREE, SIX, Look, MakeRun, built, keys, plain, read, ready
from playwright.sync_api import Page, expect

from orchestrator.runs import RunFolder


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


@pytest.fixture(scope="module")
def folder(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("filters") / "run", SIX, plain))


@pytest.fixture
def page(look: Look) -> Page:
    return ready(look)


def test_filters_hold_for_the_overview_and_the_ranking(page: Page) -> None:
    """So the best scheduler for one prompt can be found."""
    page.evaluate(
        """() => {
            for (let row = 0; row < 2; row += 1) {
                const [a, b] = [0, 2].map((column) => gallery.sheet.model.cards(row, column)[0]);
                gallery.marks.set(a.key, {stars: row ? 5 : 1});
                const answers = [1, 2, 3, 4, 5].map((at) => ({at, a: a.key, b: b.key, won: row ? 'a' : 'b'}));
                gallery.marks.take({duels: answers});
            }
        }"""
    )
    page.evaluate("gallery.view.set({tab: 'overview'})")
    stars = page.locator("table.values", has_text="By scheduler").locator("tbody tr").first.locator("td").nth(4)
    expect(stars).to_contain_text("3.0 ★ (2)")
    page.evaluate("gallery.view.set({filters: [['a.prompt', 'is', 'a harbour in fog']]})")
    expect(stars).to_contain_text("5.0 ★ (1)")
    expect(page.get_by_text("Below, only what is shown is counted: 3 tasks.")).to_be_visible()
    keys(page, "b")
    page.get_by_text("Ranking of scheduler after 5 answers").click()
    expect(page.locator(".ranking tbody th").first).to_have_text("DDIMScheduler")


def test_a_filter_leaves_no_empty_columns_rows_or_groups(page: Page) -> None:
    keys(page, "ArrowRight", "4", "ArrowDown", "ArrowRight", "5")
    page.evaluate("gallery.view.set({filters: [['stars', 'ge', 3]]})")
    expect(page.locator(".column")).to_have_text(["EulerDiscreteScheduler", "PNDMScheduler"])
    expect(page.locator(".said.filtered")).to_have_count(2)
    page.evaluate("gallery.view.set({x: 'a.prompt', y: '', ox: 'a.scheduler'})")
    expect(page.locator(".span")).to_have_text(["EulerDiscreteScheduler", "PNDMScheduler"])
    expect(page.locator(".column")).to_have_text(["a lighthouse at dusk", "a harbour in fog"])
    page.evaluate("gallery.view.set({filters: [['stars', 'ge', 5]]})")
    expect(page.locator(".span")).to_have_text(["PNDMScheduler"])
    expect(page.locator("#cell-0-0 img")).to_have_count(1)
    page.evaluate("gallery.view.set({tab: 'overview'})")
    expect(page.locator(".values tbody th")).to_have_text(["a harbour in fog", "PNDMScheduler"])


def test_two_axes_can_be_groups_too(page: Page) -> None:
    page.get_by_label("Column groups", exact=True).select_option(label="scheduler (from columns)")
    expect(page.locator(".span")).to_have_text(["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"])
    page.get_by_label("Columns", exact=True).select_option(label="prompt (from rows)")
    expect(page.locator("#cell-0-5 img")).to_have_count(1)


def test_what_is_hidden_is_neither_compared_nor_exported(page: Page) -> None:
    keys(page, *PICK_THREE, "5")
    page.evaluate("gallery.view.set({hidden: {'a.scheduler': [1, 2]}})")
    expect(page.locator("#count")).to_have_text("2 of 6 pictures")
    keys(page, "e")
    expect(page.locator("#export .check")).to_have_text(
        [
            "What is shown: 2 of 6 pictures",
            "The picked ones: 1 of 3 pictures",
            "What is shown with 4 stars or more: 0 pictures",
        ]
    )
    expect(page.locator("#export input[value=shown]")).to_be_checked()
    keys(page, "Escape", "b")
    expect(page.get_by_text("There are no two pictures yet")).to_be_visible()
    page.get_by_label("What to judge").select_option(label="prompt")
    expect(page.locator("#blind .stage")).to_have_count(2)
    assert read(page, "gallery.blind.pair.every((card) => gallery.axes.number(gallery.axes.all[1], card) === 0)")
    keys(page, "o")
    by_scheduler = page.locator("table.values", has_text="By scheduler").locator("tbody th")
    expect(by_scheduler).to_have_text(["DDIMScheduler"])
    page.get_by_role("button", name="2 of 3 hidden: scheduler").click()
    expect(by_scheduler).to_have_count(3)
    page.evaluate("gallery.view.set({tab: 'wall', hidden: {'a.scheduler': [0, 1, 2]}})")
    expect(page.locator("#nothing")).to_have_text("All of it is hidden.")


def test_a_picked_value_that_is_hidden_gives_way_to_one_that_is_shown(page: Page) -> None:
    page.evaluate("gallery.view.set({x: '', y: 'a.prompt', hidden: {'a.scheduler': [0]}})")
    expect(page.locator("#cell-0-0")).to_have_attribute(
        "aria-label", "a lighthouse at dusk, EulerDiscreteScheduler: done"
    )
    page.evaluate("gallery.view.set({show: ['values']})")
    expect(page.locator("#cell-0-0 .names")).to_have_text("EulerDiscreteScheduler")  # the row has its own name
    page.evaluate("gallery.view.set({picks: {'a.scheduler': -1}})")
    expect(page.locator("#cell-0-0 img")).to_have_count(2)


def test_the_export_opens_with_what_is_seen(page: Page) -> None:
    """A filter, or a picker beside the grid, says more of that than what was picked before."""
    chosen = page.locator("#export .check:has(:checked)")
    keys(page, *PICK_THREE, "e")
    expect(chosen).to_have_text("The picked ones: 3 pictures")
    keys(page, "Escape")
    page.evaluate("gallery.view.set({filters: [['a.prompt', 'is', 'a harbour in fog']]})")
    keys(page, "e")
    expect(chosen).to_have_text("What is shown: 3 of 6 pictures")
    keys(page, "Escape")
    page.locator("#pick-none").click()
    page.evaluate("gallery.view.set({filters: [], x: '', picks: {'a.scheduler': 1}})")
    keys(page, "e")
    expect(chosen).to_have_text("What stands in the grid: 2 of 6 pictures")
    expect(page.locator("#export").get_by_text("Those with 4 stars or more: 0 pictures")).to_be_visible()


def test_where_nothing_passes_the_filters_the_page_says_so(page: Page) -> None:
    page.evaluate("gallery.view.set({tab: 'wall', filters: [['stars', 'ge', 3]]})")
    expect(page.get_by_text("No picture passes the filters.")).to_be_visible()
    keys(page, "ArrowRight", "End", "]", "Enter", "4", " ")
    page.get_by_title("Take this filter off").click()
    expect(page.get_by_text("No picture passes the filters.")).to_be_hidden()
    expect(page.locator(".cell img")).to_have_count(6)
