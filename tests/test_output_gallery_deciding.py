"""Deciding in a real browser: what is picked, compared and marked, by hand and by key; and the help on keys."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from paged import Look, built, keys
from PIL import Image
from playwright.sync_api import Page, expect

from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

JOB = {
    "parameters": {"samples": 1},
    "sweep": {
        "prompt": ["a lighthouse at dusk", "a harbour in fog"],
        "scheduler": ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"],
    },
}
PICK_THREE = (" ", "ArrowRight", " ", "ArrowRight", " ")
STARS = "() => Object.values(JSON.parse(gallery.marks.text()).marks).map((mark) => mark.stars)"

# Which parts of the help hold where, and how one gets there.
DECIDING = "Deciding, wherever a picture is"
PLACES = {
    "grid": ("", ["Everywhere", "In the grid", DECIDING]),
    "wall": ("gallery.view.set({tab: 'wall'})", ["Everywhere", "In the grid", DECIDING]),
    "overview": ("gallery.view.set({tab: 'overview'})", ["Everywhere"]),
    "blind": ("gallery.view.set({tab: 'blind'})", ["Everywhere", "Blind comparison", "Large pictures"]),
    "picture": (
        "gallery.viewer.show(gallery.sheet.card())",
        ["Looking closely", "Large pictures", DECIDING],
    ),
    "comparison": (
        "gallery.run.tasks.forEach((task) => gallery.marks.pick(task.shots[0].key, true)); gallery.compare.show()",
        ["Comparing", "Large pictures", DECIDING],
    ),
    "export": ("gallery.save.show()", []),
}
BY_THEMSELVES = {"Escape", "wheel", "tap", "rest", "swipe", "pinch"}  # what the browser does, and fingers
PRESS_ALL = """() => {
    const named = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown', 'Enter',
        'Escape', 'Tab', 'Backspace', 'Delete', 'Insert', 'F1', 'F2',
        'Shift+ArrowLeft', 'Shift+ArrowRight', 'Shift+ArrowUp', 'Shift+ArrowDown'];
    const printed = Array.from({length: 95}, (_, code) => String.fromCharCode(32 + code));
    const heeded = [];
    let isFresh = false;
    for (const key of [...named, ...printed].filter((key) => !/^[A-Z]$/.test(key))) {
        if (!isFresh) {
            document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close());
            gallery.view.set({tab: 'grid', compare: []});
            REACH;
            gallery.flush();
        }
        const [name, shiftKey] = [key.replace('Shift+', ''), key.startsWith('Shift+')];
        const event = new KeyboardEvent('keydown', {key: name, shiftKey, bubbles: true, cancelable: true});
        isFresh = document.querySelector('dialog[open], body').dispatchEvent(event);
        if (!isFresh) heeded.push(key === ' ' ? 'Space' : key);
    }
    return heeded;
}"""


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (task.index * 40, number, 120)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("deciding") / "run", JOB, picture))


@pytest.fixture
def page(look: Look) -> Page:
    """The page as it opens for the first time."""
    page = look()
    page.locator("#cell-1-2 img").wait_for()
    page.locator("#sheet").focus()
    return page


def compared(page: Page) -> list[str]:
    return page.locator("#compare dd").all_inner_texts()


def test_what_is_picked_is_picked_still_when_the_page_is_loaded_again(page: Page) -> None:
    keys(page, *PICK_THREE)
    page.reload()
    expect(page.locator("#pick-none")).to_have_text("3 picked")
    expect(page.locator(".tick.on")).to_have_count(3)
    page.locator("#pick-none").click()
    expect(page.locator("#say")).to_have_text("3 pictures let go. U takes it back.")
    keys(page, "u")
    expect(page.locator(".tick.on")).to_have_count(3)
    page.locator("#pick-none").click()
    page.reload()
    page.locator("#cell-1-2 img").wait_for()
    expect(page.locator(".tick.on")).to_have_count(0)


def test_two_tabs_pick_the_same(page: Page) -> None:
    second = page.context.new_page()
    second.goto(page.url)
    second.locator("#cell-1-2 img").wait_for()
    page.bring_to_front()
    keys(page, " ")
    second.bring_to_front()
    expect(second.locator(".tick.on")).to_have_count(1)


def test_taking_back_leaves_what_somebody_else_has_given(page: Page) -> None:
    """On a served page marks of others come in meanwhile."""
    keys(page, "5", "x")
    page.evaluate(
        "() => {const {key} = gallery.sheet.card();"
        " gallery.marks.take({marks: {[key]: {...gallery.marks.of(key), note: 'theirs', at: Date.now() + 9000}}});}"
    )
    mark = "(({stars, reject, note}) => [stars, reject, note])(gallery.marks.of(gallery.sheet.card().key))"
    keys(page, "u")
    assert page.evaluate(mark) == [5, False, "theirs"]
    keys(page, "u")
    assert page.evaluate(mark) == [0, False, "theirs"]


def test_a_comparison_outlives_the_page_and_can_be_sent(page: Page, folder: RunFolder) -> None:
    keys(page, *PICK_THREE, "c")
    names = ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"]
    assert compared(page) == names
    page.reload()
    expect(page.locator("#compare dd")).to_have_text(names)
    another = page.context.browser.new_page()  # type: ignore[union-attr]  # it has one
    another.goto(page.url)
    expect(another.locator("#compare dd")).to_have_text(names)
    assert another.evaluate("gallery.marks.picked.size") == 0
    another.close()
    page.go_back()
    expect(page.locator("#compare")).to_be_hidden()
    page.goto(f"{(folder.path / 'index.html').as_uri()}#compare=nobody-0.another-1")
    page.reload()
    page.locator("#cell-1-2 img").wait_for()
    expect(page.locator("#compare")).to_be_hidden()
    page.wait_for_function("() => !location.hash.includes('nobody')")


def test_marks_are_given_by_key_in_a_comparison_too(page: Page) -> None:
    keys(page, *PICK_THREE, "c", "4", "ArrowRight", "5", "x", "ArrowRight", "t")
    page.keyboard.type("keep")
    keys(page, "Tab")  # into the note
    page.keyboard.type("calm water")
    keys(page, "Escape", "Escape")  # out of the note, and out of the comparison
    marks = page.evaluate("[0, 1, 2].map((n) => gallery.marks.of(gallery.sheet.model.cards(0, n)[0].key))")
    assert [(mark["stars"], mark["reject"], mark["tags"]) for mark in marks] == [
        (4, False, []),
        (5, True, []),
        (0, False, ["keep"]),
    ]
    assert marks[2]["note"] == "calm water"
    keys(page, "c", "0", "2", "u")
    assert page.evaluate(STARS)[0] == 0


def test_the_marked_picture_is_the_one_that_is_pointed_at(page: Page) -> None:
    keys(page, *PICK_THREE, "c")
    page.locator("#compare .stage").nth(2).click()
    expect(page.locator("#compare .caption[aria-current=true]")).to_contain_text("PNDMScheduler")
    keys(page, "3")
    expect(page.locator("#compare .caption").nth(2).locator(".star.on")).to_have_count(3)
    page.locator("#compare .caption").nth(0).get_by_role("button", name="5 stars").focus()
    keys(page, "Enter")
    assert page.evaluate("document.activeElement.ariaLabel") == "5 stars"  # the focus stays where it was
    keys(page, "s", "1")
    expect(page.locator("#compare .caption").nth(0).locator(".star.on")).to_have_count(1)


def test_a_comparison_that_is_opened_again_begins_with_its_first_picture(page: Page) -> None:
    """Also where it was closed a moment ago, and nobody has heard of that yet."""
    keys(page, *PICK_THREE, "c", "ArrowRight", "ArrowRight")
    expect(page.locator("#compare .caption").nth(2)).to_have_attribute("aria-current", "true")
    page.evaluate("document.getElementById('compare').close(); gallery.compare.show()")
    expect(page.locator("#compare .caption").nth(0)).to_have_attribute("aria-current", "true")


def test_taking_one_out_brings_the_next_picked_one_in(page: Page) -> None:
    keys(page, *PICK_THREE, "ArrowDown", " ", "ArrowLeft", " ", "c")
    assert page.locator("#compare h2").inner_text() == "Compare 4 pictures; 1 more is picked"
    keys(page, "ArrowRight", " ")
    expect(page.locator("#compare h2")).to_have_text("Compare 4 pictures")
    keys(page, " ", " ", " ")
    expect(page.locator("#compare")).to_be_hidden()
    assert page.evaluate("gallery.marks.picked.size") == 1


@pytest.mark.parametrize("place", PLACES)
def test_the_help_lists_every_key_and_no_other(page: Page, place: str) -> None:
    """Every key is pressed everywhere; the page heeds those that its help names for the place."""
    keys(page, "?")
    listed: dict[str, list[str]] = {}
    for part in page.locator("#help section").all():
        found = part.locator("kbd").evaluate_all("(all) => all.map((each) => each.dataset.key)")
        listed[part.locator("h3").inner_text()] = found
    assert set(listed) == {part for _, parts in PLACES.values() for part in parts} | {"With fingers"}
    keys(page, "Escape")
    reach, parts = PLACES[place]
    heeded = page.evaluate(PRESS_ALL.replace("REACH", reach))
    assert set(heeded) == {key for part in parts for key in listed[part]} - BY_THEMSELVES


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
    assert page.locator(".ranking tbody th").first.inner_text() == "DDIMScheduler"


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
    assert page.evaluate("gallery.blind.pair.every((card) => gallery.axes.number(gallery.axes.all[1], card) === 0)")
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
    assert page.evaluate("window.heard ?? null") is None
    keys(page, "Escape")
    assert page.evaluate("window.heard") is True  # it is free again


def test_what_is_zoomed_is_moved_by_key_too(page: Page) -> None:
    keys(page, "Enter", "+", "+", "+", "Shift+ArrowRight", "Shift+ArrowDown")
    assert page.evaluate("[gallery.viewer.zoom.x, gallery.viewer.zoom.y]") == [-0.15, -0.15]
    keys(page, "Shift+ArrowLeft", "Shift+ArrowUp", "ArrowRight")
    assert page.evaluate("gallery.sheet.active.column") == 1  # arrows alone go on to the next picture
    assert page.evaluate("gallery.viewer.zoom.scale") > 1  # and show the same part of it
    keys(page, "z", "Shift+ArrowRight")
    assert page.evaluate("gallery.viewer.zoom.x") == 0  # all of it is seen


NOTES = "() => Object.values(JSON.parse(gallery.marks.text()).marks).map((mark) => mark.note)"
TAGS = "() => Object.values(JSON.parse(gallery.marks.text()).marks).flatMap((mark) => mark.tags)"
WON = "() => JSON.parse(gallery.marks.text()).duels.map((duel) => duel.won)"


def test_what_is_being_written_is_kept_when_the_page_is_left(page: Page) -> None:
    keys(page, "n")
    page.keyboard.type("the best one")
    page.reload()
    page.locator("#cell-1-2 img").wait_for()
    assert page.evaluate(NOTES) == ["the best one"]


def test_writing_ends_by_key_and_the_keys_are_those_of_the_picture_again(page: Page) -> None:
    keys(page, "t")
    page.keyboard.type("sky")
    keys(page, "Enter", "5", "n")
    page.keyboard.type("calm")
    keys(page, "Escape", "x")
    assert (page.evaluate(TAGS), page.evaluate(NOTES), page.evaluate(STARS)) == (["sky"], ["calm"], [5])
    expect(page.locator("#viewer")).to_be_visible()


def test_a_mark_is_taken_though_another_clock_was_ahead(page: Page) -> None:
    """What somebody else has given at a moment that has not come yet does not stay for good."""
    first = "gallery.sheet.card().key"
    page.evaluate(f"gallery.marks.take({{marks: {{[{first}]: {{stars: 2, at: Date.now() + 3600000}}}}}})")
    keys(page, "5")
    assert page.evaluate(f"gallery.marks.unfiled().marks[{first}].stars") == 5
    keys(page, "u")
    assert page.evaluate(f"gallery.marks.unfiled().marks[{first}].stars") == 2


def test_only_answers_that_were_given_here_are_taken_back(page: Page) -> None:
    """Not those of others, and not those about another axis."""
    page.evaluate(
        """() => {
            const [a, b] = [0, 2].map((column) => gallery.sheet.model.cards(0, column)[0].key);
            gallery.marks.take({duels: [{at: 1, a, b, won: 'b'}]});
        }"""
    )
    page.evaluate("gallery.view.set({tab: 'blind', judge: 'a.prompt'}); gallery.flush()")
    keys(page, "ArrowLeft")
    page.evaluate("gallery.view.set({judge: 'a.scheduler'})")
    keys(page, "u")
    expect(page.locator("#say")).to_contain_text("No answer about this has been given here")
    assert page.evaluate(WON) == ["b", "a"]
    page.evaluate("gallery.view.set({judge: 'a.prompt'})")
    keys(page, "u")
    assert page.evaluate(WON) == ["b", "void"]


def test_the_marks_of_another_run_are_not_taken_over(page: Page) -> None:
    given = """(key) => gallery.marks.read(JSON.stringify({format: 1, key, marks: {a: {stars: 5}}}))"""
    assert page.evaluate(given, "another") == "These are the marks of another run."
    assert page.evaluate(STARS) == []
    assert page.evaluate(given, page.evaluate("gallery.run.job.key")) == "The marks are taken over."
    assert page.evaluate(STARS) == [5]


def test_a_page_from_disk_offers_no_download_that_would_leave_it(page: Page) -> None:
    keys(page, "Enter")
    expect(page.get_by_role("link", name="Open file")).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_have_count(0)
