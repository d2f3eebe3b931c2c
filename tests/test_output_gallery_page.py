"""The page in a real browser, opened from the disk as people open it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from paged import COLOURS, JOB, NASTY, Look, MakeRun, built, cell, drawn, ends, heads, keys, picture, read, saved, seen
from playwright.sync_api import Browser, expect

from orchestrator import money
from orchestrator.lifecycle import State
from orchestrator.output.gallery import Place
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("page") / "run", JOB, picture, state=ends))


def test_the_grid_shows_every_value_and_what_became_of_each_cell(look: Look) -> None:
    page = look()
    assert heads(page) == ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"]
    expect(page.locator("[role=rowheader]").first).to_have_text("=fox <b>\nseed 7", use_inner_text=True)
    expect(page.locator(".cell .said.failed")).to_have_text(re.compile("^failed"))
    expect(page.locator(".cell .said.failed")).to_contain_text("the model gave up <b>here</b>")
    expect(page.locator(".cell .said.running")).to_have_count(1)
    expect(cell(page, 0, 0).locator("img")).to_have_count(2)  # outputs of one task
    page.wait_for_function("() => document.querySelector('#cell-0-0 img').naturalWidth === 384")  # a thumbnail
    expect(cell(page, 0, 0)).to_have_attribute("aria-label", "=fox <b>, seed 7, DDIMScheduler: done, 2 outputs")
    assert page.title() == "harbours & foxes · orchestrator"


def test_texts_of_a_run_stay_texts(look: Look) -> None:
    page = look()
    cell(page, 0, 0).locator("img").first.click()
    expect(page.locator("#viewer td", has_text="a fox").first).to_have_text(re.compile("^a fox </script><script>"))
    assert read(page, "gallery.run.parameters(gallery.viewer.card.task).prompt") == NASTY
    assert read(page, "window.harmed ?? null") is None
    expect(page.locator("main script, dialog script, main b")).to_have_count(0)


def test_axes_can_be_put_anywhere_and_the_address_says_where(look: Look) -> None:
    page = look()
    page.get_by_label("Columns", exact=True).select_option(
        label="prompt (from row groups)"
    )  # the row groups change places with it
    assert heads(page) == ["=fox <b>", "harbour"]
    expect(page.get_by_label("Row groups", exact=True)).to_have_value("a.scheduler")
    page.get_by_label("Row groups", exact=True).select_option("")
    page.get_by_label("scheduler", exact=True).select_option(label="PNDMScheduler")
    expect(cell(page, 0, 0)).to_have_attribute("aria-label", "=fox <b>, seed 7, PNDMScheduler: done, 2 outputs")
    page.get_by_label("scheduler: the one before").click()
    expect(cell(page, 0, 0)).to_have_attribute("aria-label", re.compile(re.escape("EulerDiscreteScheduler")))
    page.get_by_label("Column groups", exact=True).select_option(label="scheduler")
    page.wait_for_selector(".span")
    expect(page.locator(".span")).to_have_text(
        ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"], use_inner_text=True
    )
    page.reload()
    page.wait_for_selector(".span")
    assert heads(page)[:2] == ["=fox <b>", "harbour"]


def test_outputs_are_an_axis_too(look: Look) -> None:
    page = look()
    page.get_by_label("Columns", exact=True).select_option(label="output")
    assert heads(page) == ["output 1", "output 2"]
    expect(cell(page, 0, 0).locator("img")).to_have_count(1)


def test_values_can_be_hidden_and_put_in_order(look: Look) -> None:
    page = look()
    page.get_by_label("Values of scheduler: hide, order").click()
    page.get_by_label("Move down: DDIMScheduler").click()
    page.locator("#values").get_by_text("PNDMScheduler", exact=True).click()
    keys(page, "Escape")
    assert heads(page) == ["EulerDiscreteScheduler", "DDIMScheduler"]
    page.reload()
    page.wait_for_selector(".column")
    assert heads(page) == ["EulerDiscreteScheduler", "DDIMScheduler"]
    page.get_by_label("Values of scheduler: hide, order").click()
    page.get_by_text("As in the job").click()
    keys(page, "Escape")
    assert heads(page) == ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"]


def test_filters_leave_out_and_sorting_orders(look: Look) -> None:
    page = look()
    assert seen(page) == 16 * 2 + 1  # a task without pictures is one
    expect(page.locator("#count")).to_have_text("32 pictures")
    page.get_by_text("failed", exact=True).first.click()
    assert seen(page) == 1
    expect(page.locator("#count")).to_have_text("0 of 32 pictures")
    expect(page.locator(".cell")).to_have_count(1)  # the other columns and rows have nothing to show
    page.get_by_title("Take this filter off").click()
    keys(page, "/")
    page.get_by_label("Value", exact=True).fill("harbour")
    keys(page, "Enter")
    assert seen(page) == 9 * 2
    keys(page, "w")
    page.get_by_label("Sorted by").select_option(label="seconds")
    page.get_by_title("Smallest first").click()
    times = page.evaluate("gallery.choose.list().map((card) => card.task.seconds)")
    assert times == sorted(times, reverse=True)
    assert len(set(times)) > 3
    page.get_by_title("Take this filter off").click()
    page.get_by_label("Sorted by").select_option(label="seed")
    seeds = page.evaluate("gallery.choose.list().map((card) => gallery.run.parameters(card.task).seed)")
    assert seeds == sorted(seeds, key=int, reverse=True)


def test_a_filter_by_state_reaches_cells_of_which_no_more_is_known(look: Look) -> None:
    page = look()
    page.evaluate("gallery.view.set({filters: [['state', 'is', 'running']]})")
    expect(page.locator(".cell .said.running")).to_have_count(1)
    expect(page.locator(".cell:not(:has(.said.filtered))")).to_have_count(1)
    page.evaluate("gallery.view.set({filters: [['state', 'is', 'done']]})")
    expect(cell(page, 1, 2)).to_have_text("filtered out")
    page.evaluate("gallery.view.set({filters: [['p.steps', 'is', '20'], ['a.seed', 'ge', 42]]})")
    expect(page.locator(".cell .said.running")).to_have_count(1)


def test_keys_work_wherever_the_focus_is(look: Look) -> None:
    """Only what an element does itself with a key is left to it."""
    page = look()
    page.get_by_label("Light or dark").click()
    keys(page, "ArrowRight", "4")
    assert read(page, "[gallery.sheet.active.column, document.activeElement.id]") == [1, "sheet"]
    page.locator("#size").focus()
    before = page.locator("#size").input_value()
    keys(page, "ArrowRight", "5")
    expect(page.locator("#size")).not_to_have_value(before)
    assert read(page, "gallery.sheet.active.column") == 1
    assert read(page, "gallery.marks.of(gallery.sheet.card().key).stars") == 5
    page.locator("#side-x").focus()
    keys(page, "0")
    assert read(page, "gallery.marks.of(gallery.sheet.card().key).stars") == 5


def test_a_task_without_pictures_gets_no_marks(look: Look) -> None:
    page = look()
    page.locator(".cell .said.failed").click()
    expect(page.locator("#viewer .stars, #viewer #note")).to_have_count(0)
    keys(page, "5", "n", "t", "Escape", "4", "x", " ")
    page.locator(".cell .said.failed").click(modifiers=["Control"])
    assert read(page, "JSON.parse(gallery.marks.text()).marks") == {}
    assert read(page, "gallery.marks.picked.size") == 0
    keys(page, "Escape", "Home", "5", "e")
    scopes = page.locator("#export .check").all_inner_texts()
    assert scopes == [
        "All: 32 pictures and 1 task without any",
        "The picked ones: 0 pictures",
        "Those with 4 stars or more: 1 picture",
    ]


def test_the_wall_begins_with_the_best(look: Look) -> None:
    page = look("#tab=wall")
    page.locator("#sheet").focus()
    keys(page, "ArrowRight", "ArrowRight", "4")
    page.get_by_label("Sorted by").select_option(label="stars")
    assert read(page, "gallery.marks.of(gallery.choose.list()[0].key).stars") == 4


def test_an_address_of_another_job_names_no_values(look: Look) -> None:
    page = look()
    axis = page.evaluate("gallery.view.x")
    page = look(f"#x=&y=&ox=&oy=&pick:{axis}=99&hide:{axis}=1.7&order:{axis}=2.-3.1")
    assert read(page, "[gallery.view.hidden, gallery.view.order]") == [{axis: [1]}, {axis: [2, 1]}]
    assert read(page, f"gallery.view.picks[{json.dumps(axis)}] ?? 0") == 0


def test_looking_closely_goes_along_the_axes_and_marks_what_changes(look: Look) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, "Enter", "ArrowRight")
    expect(page.locator("#viewer tr.changed")).to_have_text(
        ["scheduler\tEulerDiscreteScheduler\nDDIMScheduler"], use_inner_text=True
    )
    keys(page, "ArrowDown")
    expect(page.locator("#viewer tr.changed th")).to_have_text(["seed"], use_inner_text=True)
    page.get_by_title("Go left: DDIMScheduler").click()
    expect(page.locator("#viewer h2")).to_have_text("=fox <b> · seed 42 · DDIMScheduler · output 1")
    keys(page, "]")
    expect(page.locator(".strip [aria-pressed=true]")).to_have_attribute("aria-label", "Output 2")
    page.wait_for_function("() => document.querySelector('#viewer .stage img').naturalWidth === 600")
    keys(page, "+", "+")
    expect(page.locator("#viewer .held")).to_have_attribute("style", re.compile(re.escape("scale(1.5")))
    keys(page, "z", "Escape")
    assert read(page, "[gallery.sheet.active.row, gallery.sheet.active.column]") == [1, 0]
    keys(page, "ArrowRight", "Enter")  # the failed one has something to say too
    expect(page.locator("#viewer .error")).to_contain_text("the model gave up <b>here</b>")


def test_pictures_are_compared_under_one_zoom(look: Look) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, "c")
    expect(page.locator("#say")).to_have_text(re.compile("^Pick two to four"))
    keys(page, " ", "ArrowRight", " ", "ArrowRight", " ")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#compare .stage")).to_have_count(3)
    expect(page.locator("#compare dd")).to_have_text(list(COLOURS), use_inner_text=True)
    keys(page, "+")
    styles = {stage.get_attribute("style") for stage in page.locator("#compare .held").all()}
    assert len(styles) == 1
    keys(page, "s")
    handle = page.get_by_role("slider", name="Edge 1")
    before = int(str(handle.get_attribute("aria-valuenow")))
    handle.focus()
    keys(page, "ArrowRight", "ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", str(before + 4))
    box = handle.bounding_box()
    assert box
    page.mouse.move(box["x"] + 13, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] - 187, box["y"] + 50)
    page.mouse.up()
    drawn(page)
    assert int(str(handle.get_attribute("aria-valuenow"))) < before - 5


def test_a_caption_stands_below_its_picture(look: Look) -> None:
    """Also where pictures stand below each other."""
    page = look(viewport={"width": 390, "height": 800})
    page.locator("#sheet").focus()
    keys(page, " ", "ArrowRight", " ", "c")
    stages, captions = (page.locator(f"#compare {name}") for name in (".stage", ".caption"))
    for number in range(2):
        above, below = stages.nth(number).bounding_box(), captions.nth(number).bounding_box()
        assert above
        assert below
        assert above["height"] > 100
        assert below["x"] == above["x"]
        assert 0 <= below["y"] - above["y"] - above["height"] < 5
    captions.nth(1).get_by_label("4 stars").click()
    expect(captions.nth(1).locator(".star.on")).to_have_count(4)


def test_values_from_right_to_left_turn_nothing_but_themselves(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    labels = ["\u202eturned", "\u05e9\u05dc\u05d5\u05dd", "plain"]
    values = [{"value": f"{number}\u202egnp.exe", "label": label} for number, label in enumerate(labels)]
    job = {"parameters": {"samples": 1, "scheduler": "PNDMScheduler"}, "sweep": {"prompt": values, "seed": [7, 42, 99]}}
    page = look("#show=values", at=built(make_run(tmp_path / "turned", job, picture)))
    expect(page.locator("#cell-0-0 .names bdi")).to_have_text(["[U+202E]turned", "seed 7"], use_inner_text=True)
    cell(page, 0, 0).click()
    expect(page.locator("#viewer h2 bdi")).to_have_text(["[U+202E]turned", "seed 7"], use_inner_text=True)
    expect(page.locator("#viewer td").first).to_have_text("0[U+202E]gnp.exe")
    alt = page.locator("#viewer .stage img").get_attribute("alt")
    assert alt == "[U+202E]turned, seed 7"
    assert page.locator(".way.down, .way.right").first.get_attribute("title") in {
        f"Go down: \u2068{labels[1]}\u2069",
        f"Go right: \u2068{labels[1]}\u2069",
        "Go right: seed 42",
        "Go down: seed 42",
    }
    assert read(page, "gallery.words.isolated('plain')") == "plain"


def test_money_is_written_as_on_the_command_line(look: Look) -> None:
    """What the service says is exact; what the page itself has reckoned is not."""
    page = look()
    for amount in ("0", "0.175", "0.000347222222", "12", "14000.5"):
        assert read(page, f"gallery.words.usd('{amount}')") == f"${money.shown(Decimal(amount))}"
    assert read(page, "[0.1 + 0.2, 7 / 3, 0].map(gallery.words.usd)") == ["$0.3", "$2.333333", "$0"]


def test_a_damaged_picture_is_told_from_a_black_one(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    def broken(task: Task, number: int) -> bytes:
        whole = picture(task, number)
        return whole if task.index else whole[:60] + bytes(len(whole) - 60)

    job = {"parameters": {"prompt": "x", "samples": 1, "scheduler": "PNDMScheduler"}, "sweep": {"seed": [7, 42]}}
    page = look(at=built(make_run(tmp_path / "broken", job, broken)))
    expect(cell(page, 0, 0)).to_have_text("file is damaged")
    expect(cell(page, 0, 1).locator("img")).to_have_count(1)
    cell(page, 0, 0).click()
    expect(page.locator("#viewer .said")).to_contain_text("The file is damaged: orchestrator verify --repair fetches")


def test_a_bar_that_goes_on_beyond_a_narrow_screen_says_so(look: Look) -> None:
    page = look(viewport={"width": 390, "height": 800})
    bar = page.locator("#bar")
    expect(bar).to_have_class("goes-right")
    bar.evaluate("(bar) => bar.scrollTo(60, 0)")
    expect(bar).to_have_class("goes-right goes-left")
    bar.evaluate("(bar) => bar.scrollTo(bar.scrollWidth, 0)")
    expect(bar).to_have_class("goes-left")
    page = look()
    expect(page.locator("#bar")).to_have_class("")


def test_keys_are_named_only_where_there_are_any(look: Look) -> None:
    page = look("#tab=blind")
    expect(page.locator("#better-a .key")).to_be_visible()
    page = look("#tab=blind", viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    expect(page.locator("#better-a")).to_be_visible()
    expect(page.locator("#better-a .key")).to_be_hidden()
    page.locator("#help-open").click()
    expect(page.locator("#help h3").first).to_have_text("With fingers")


def test_marks_last_and_can_be_taken_back(look: Look) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, "4", "ArrowRight", "x", "ArrowRight", "5", "2", "u", "Enter", "n")
    page.keyboard.type("the best one")
    page.get_by_label("Tags").fill("keep, sky, keep")
    keys(page, "Tab", "Escape")
    page.reload()
    page.wait_for_selector(".frame .stars")
    expect(page.locator(".frame .stars")).to_have_text(["★★★★", "★★★★★"], use_inner_text=True)
    expect(cell(page, 0, 1).locator(".rejected")).to_have_count(1)
    cell(page, 0, 2).locator("img").first.click()
    expect(page.get_by_label("Note")).to_have_value("the best one")
    expect(page.get_by_label("Tags")).to_have_value("keep, sky")


def test_two_tabs_do_not_forget_each_others_marks(look: Look) -> None:
    first = look()
    second = first.context.new_page()
    second.goto(first.url)
    for page, key in ((first, "4"), (second, "x")):
        page.bring_to_front()
        page.locator("#sheet").focus()
        keys(page, *(["ArrowDown"] if page is second else []), key)
        said = "reject" if page is second else "stars"  # it is kept a moment later
        page.wait_for_function(f'() => /"{said}":(4|true)/.test(Object.values(localStorage).join())')
    first.reload()
    first.locator(".rejected").wait_for()
    expect(first.locator(".frame .stars")).to_have_text(["★★★★"], use_inner_text=True)


def test_a_page_that_is_left_keeps_what_another_tab_has_just_kept(look: Look) -> None:
    """Word of it comes a moment later, to a page that is hidden or busy later still."""
    page = look()
    page.locator("#sheet").focus()
    keys(page, "4")
    page.evaluate(
        "() => {const kept = JSON.stringify({marks: {'theirs-0': {stars: 2, at: Date.now()}}});"
        " localStorage.setItem(`orchestrator:${gallery.run.job.key}`, kept);}"
    )
    page.reload()
    marks = "Object.values(JSON.parse(gallery.marks.text()).marks).map((mark) => mark.stars).sort()"
    page.wait_for_function(f"() => {marks}.join() === '2,4'")


def test_marks_go_into_the_run_folder_and_come_back_to_everybody(look: Look, folder: RunFolder) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, "3", "e")
    marks = folder.path / "marks.json"
    try:
        saved(page, "Marks", marks)
        built(folder)
        another = look()
        another.wait_for_selector(".frame .stars")
        expect(another.locator(".frame .stars")).to_have_text(["★★★"], use_inner_text=True)
    finally:
        marks.unlink()
        built(folder)
    third = look()
    expect(third.locator(".frame .stars")).to_have_count(0)
    keys(third, "e")
    content = json.dumps({"format": 1, "marks": {page.evaluate("gallery.sheet.card().key"): {"stars": 2}}, "duels": []})
    upload = {"name": "marks.json", "mimeType": "application/json", "buffer": content.encode()}
    third.get_by_label("Take over a marks file").set_input_files(upload)  # type: ignore[arg-type]  # a dict will do
    third.wait_for_selector(".frame .stars")


def test_what_was_strange_about_files_is_said_beside_them(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    job = {"name": "odd", "parameters": {"samples": 1, "scheduler": "PNDMScheduler"}, "sweep": {"prompt": ["a fox"]}}
    folder = make_run(tmp_path / "odd", job, picture)
    with sqlite3.connect(folder.ledger) as ledger:
        ledger.execute("""UPDATE tasks SET warnings = '["a.png is <b>larger</b>"]'""")
    ledger.close()
    page = look(at=built(folder))
    page.locator("#sheet").press("Enter")
    expect(page.locator("#viewer .calm")).to_have_text("a.png is <b>larger</b>")


def test_what_was_cancelled_has_not_failed(look: Look) -> None:
    page = look()
    page.evaluate("gallery.run.head.status.counts.cancelled = 2; gallery.changed('head')")
    expect(page.locator(".standing")).to_contain_text("16 of 20 done, 1 failed, 2 cancelled, $")


def test_the_page_follows_a_run_that_goes_on(look: Look, folder: RunFolder) -> None:
    place = Place(folder.path)
    head, rows = place.read("head"), place.read("tasks-00000")
    try:
        going = {**head["status"], "state": "running"}
        early = {**head, "status": going, "shards": [5], "active": [[[0, 2, 0], "running", 1]]}
        place.write("tasks-00000", rows[:5])
        place.write("head", early)
        page = look()
        page.clock.install()
        page.reload()
        page.wait_for_selector(".said.running")
        drawn(page)
        assert page.locator(".said.pending").count() > 3
        place.write("tasks-00000", rows)
        place.write("head", head)
        page.clock.fast_forward(3500)
        page.wait_for_function("() => gallery.run.tasks.size > 10")
        page.wait_for_function("() => !document.querySelector('.said.pending')")
        expect(page.locator(".state.running")).to_have_count(0)
    finally:
        built(folder)


def test_each_repeat_that_is_under_way_says_so(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    """Where all of them stand together, their cell does."""
    job = {"parameters": {"samples": 1, "prompt": "a fox"}, "sweep": {"scheduler": list(COLOURS)}, "repeat": 2}

    def under_way(task: Task) -> State:
        return {0: State.DONE, 1: State.RUNNING, 3: State.RUNNING}.get(task.index, State.PENDING)

    page = look("#x=repeat&y=a.scheduler", at=built(make_run(tmp_path / "twice", job, picture, state=under_way)))
    states = "() => [...document.querySelectorAll('.cell')].map((cell) => cell.querySelector('.said')?.innerText)"
    assert read(page, states) == [None, "running", "pending", "running", "pending", "pending"]
    page.evaluate("gallery.view.place('x', ''); gallery.view.set({picks: {repeat: -1}}); gallery.flush()")
    assert read(page, states) == [None, "running", "pending"]


def test_a_page_without_its_data_says_what_to_do(folder: RunFolder, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(Place(folder.path).index.read_bytes())
    (tmp_path / "page").mkdir()
    for path in Place(folder.path).folder.glob("*.*"):
        (tmp_path / "page" / path.name).write_bytes(path.read_bytes())
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    expect(page.locator("#empty")).to_contain_text("orchestrator gallery")
    page.close()
