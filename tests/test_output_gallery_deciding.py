"""Deciding in a real browser: what is picked, compared and marked, by hand and by key; and the help on keys."""

from __future__ import annotations

import pytest
from paged import PICK_THREE, SIX, Look, MakeRun, built, keys, plain, read, ready
from playwright.sync_api import Page, expect

from orchestrator.runs import RunFolder

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


@pytest.fixture(scope="module")
def folder(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("deciding") / "run", SIX, plain))


@pytest.fixture
def page(look: Look) -> Page:
    return ready(look)


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
    assert read(page, mark) == [5, False, "theirs"]
    keys(page, "u")
    assert read(page, mark) == [0, False, "theirs"]


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
    assert read(page, STARS)[0] == 0


def test_the_marked_picture_is_the_one_that_is_pointed_at(page: Page) -> None:
    keys(page, *PICK_THREE, "c")
    page.locator("#compare .stage").nth(2).click()
    expect(page.locator("#compare .caption[aria-current=true]")).to_contain_text("PNDMScheduler")
    keys(page, "3")
    expect(page.locator("#compare .caption").nth(2).locator(".star.on")).to_have_count(3)
    page.locator("#compare .caption").nth(0).get_by_role("button", name="5 stars").focus()
    keys(page, "Enter")
    assert read(page, "document.activeElement.ariaLabel") == "5 stars"  # the focus stays where it was
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
    expect(page.locator("#compare h2")).to_have_text("Compare 4 pictures; 1 more is picked")
    keys(page, "ArrowRight", " ")
    expect(page.locator("#compare h2")).to_have_text("Compare 4 pictures")
    keys(page, " ", " ", " ")
    expect(page.locator("#compare")).to_be_hidden()
    assert read(page, "gallery.marks.picked.size") == 1


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


NOTES = "() => Object.values(JSON.parse(gallery.marks.text()).marks).map((mark) => mark.note)"
TAGS = "() => Object.values(JSON.parse(gallery.marks.text()).marks).flatMap((mark) => mark.tags)"
WON = "() => JSON.parse(gallery.marks.text()).duels.map((duel) => duel.won)"


def test_what_is_being_written_is_kept_when_the_page_is_left(page: Page) -> None:
    keys(page, "n")
    page.keyboard.type("the best one")
    page.reload()
    page.locator("#cell-1-2 img").wait_for()
    assert read(page, NOTES) == ["the best one"]


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
    assert read(page, f"gallery.marks.unfiled().marks[{first}].stars") == 5
    keys(page, "u")
    assert read(page, f"gallery.marks.unfiled().marks[{first}].stars") == 2


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
    assert read(page, WON) == ["b", "a"]
    page.evaluate("gallery.view.set({judge: 'a.prompt'})")
    keys(page, "u")
    assert read(page, WON) == ["b", "void"]


def test_the_marks_of_another_run_are_not_taken_over(page: Page) -> None:
    given = """(key) => gallery.marks.read(JSON.stringify({format: 1, key, marks: {a: {stars: 5}}}))"""
    assert read(page, given, "another") == "These are the marks of another run."
    assert read(page, STARS) == []
    assert read(page, given, page.evaluate("gallery.run.job.key")) == "The marks are taken over."
    assert read(page, STARS) == [5]


def test_a_page_from_disk_offers_no_download_that_would_leave_it(page: Page) -> None:
    keys(page, "Enter")
    expect(page.get_by_role("link", name="Open file")).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_have_count(0)
