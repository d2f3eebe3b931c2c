"""The page in a real browser, opened from the disk as people open it."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.status import read_status
from orchestrator.lifecycle import State
from orchestrator.output.export.rows import OWN
from orchestrator.output.gallery import Place, build
from orchestrator.runs import RunFolder
from orchestrator.sweep import Job, Schema, load
from orchestrator.tasks import Task
from orchestrator.wiro.catalogue import seed_model

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
COLOURS = {"DDIMScheduler": 200, "EulerDiscreteScheduler": 120, "PNDMScheduler": 40}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    shade = COLOURS[str(task.parameters["scheduler"])]
    Image.new("RGB", (600, 400), (shade, int(str(task.parameters["seed"])), number * 80)).save(file, "PNG")
    return file.getvalue()


def ends(task: Task) -> State:
    """Let one task fail and one go on; all others are done."""
    return {4: State.FAILED, 5: State.RUNNING}.get(task.index, State.DONE)


def built(folder: RunFolder) -> RunFolder:
    with folder.opened() as ledger:
        build(folder.path, ledger, read_status(folder), 1_800_000_000.0)
    return folder


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("page") / "run", JOB, picture, state=ends))


@pytest.fixture
def look(browser: Browser, folder: RunFolder) -> Iterator[Look]:
    """Open the page; at the end nothing was complained of, and nothing was asked for outside the run folder."""
    wrong: list[str] = []
    contexts = []

    def opened(hash_: str = "", *, at: RunFolder = folder, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        home = (at.path / "").as_uri()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.extend(outside(request.url, home)))
        page.goto(f"{home}/index.html{hash_}")
        page.wait_for_selector("#sheet .cell, #blind .pair, #overview table", state="attached")
        page.set_default_timeout(5000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def outside(url: str, home: str) -> list[str]:
    return [] if url.startswith((home, "data:", "blob:")) else [url]


def keys(page: Page, *names: str) -> None:
    for name in names:
        page.keyboard.press(name)


def heads(page: Page) -> list[str]:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")  # drawn anew
    return [text.strip() for text in page.locator(".column").all_inner_texts()]


def cell(page: Page, row: int, column: int) -> Locator:
    return page.locator(f"#cell-{row}-{column}")


def seen(page: Page) -> Any:
    """Return how many pictures pass the filters."""
    page.wait_for_timeout(50)
    return page.evaluate("gallery.choose.list().length")


def test_the_grid_shows_every_value_and_what_became_of_each_cell(look: Look) -> None:
    page = look()
    assert heads(page) == ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"]
    assert page.locator("[role=rowheader]").first.inner_text().split("\n") == ["=fox <b>", "seed 7"]
    assert page.locator(".cell .said.failed").inner_text().startswith("failed")
    assert "the model gave up <b>here</b>" in page.locator(".cell .said.failed").inner_text()
    assert page.locator(".cell .said.running").count() == 1
    assert cell(page, 0, 0).locator("img").count() == 2  # outputs of one task
    page.wait_for_function("() => document.querySelector('#cell-0-0 img').naturalWidth === 384")  # a thumbnail
    assert cell(page, 0, 0).get_attribute("aria-label") == "=fox <b>, seed 7, DDIMScheduler: done, 2 outputs"
    assert page.title() == "harbours & foxes · orchestrator"


def test_texts_of_a_run_stay_texts(look: Look) -> None:
    page = look()
    cell(page, 0, 0).locator("img").first.click()
    assert page.locator("#viewer td", has_text="a fox").first.inner_text().startswith("a fox </script><script>")
    assert page.evaluate("gallery.run.parameters(gallery.viewer.card.task).prompt") == NASTY
    assert page.evaluate("window.harmed ?? null") is None
    assert page.locator("main script, dialog script, main b").count() == 0


def test_axes_can_be_put_anywhere_and_the_address_says_where(look: Look) -> None:
    page = look()
    page.get_by_label("Columns", exact=True).select_option(
        label="prompt (from row groups)"
    )  # the row groups change places with it
    assert heads(page) == ["=fox <b>", "harbour"]
    assert page.get_by_label("Row groups", exact=True).input_value() == "a.scheduler"
    page.get_by_label("Row groups", exact=True).select_option("")
    page.get_by_label("scheduler", exact=True).select_option(label="PNDMScheduler")
    assert cell(page, 0, 0).get_attribute("aria-label") == "=fox <b>, seed 7, PNDMScheduler: done, 2 outputs"
    page.get_by_label("scheduler: the one before").click()
    assert "EulerDiscreteScheduler" in str(cell(page, 0, 0).get_attribute("aria-label"))
    page.get_by_label("Column groups", exact=True).select_option(label="scheduler")
    page.wait_for_selector(".span")
    assert page.locator(".span").all_inner_texts() == ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"]
    page.reload()
    page.wait_for_selector(".span")
    assert heads(page)[:2] == ["=fox <b>", "harbour"]


def test_outputs_are_an_axis_too(look: Look) -> None:
    page = look()
    page.get_by_label("Columns", exact=True).select_option(label="output")
    assert heads(page) == ["output 1", "output 2"]
    assert cell(page, 0, 0).locator("img").count() == 1


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
    assert page.locator("#count").inner_text() == "32 pictures"
    page.get_by_text("failed", exact=True).first.click()
    assert seen(page) == 1
    assert page.locator("#count").inner_text() == "0 of 32 pictures"
    assert page.locator(".cell").count() == 1  # the other columns and rows have nothing to show
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
    assert page.evaluate("[gallery.sheet.active.column, document.activeElement.id]") == [1, "sheet"]
    page.locator("#size").focus()
    before = page.locator("#size").input_value()
    keys(page, "ArrowRight", "5")
    assert page.locator("#size").input_value() != before
    assert page.evaluate("gallery.sheet.active.column") == 1
    assert page.evaluate("gallery.marks.of(gallery.sheet.card().key).stars") == 5
    page.locator("#side-x").focus()
    keys(page, "0")
    assert page.evaluate("gallery.marks.of(gallery.sheet.card().key).stars") == 5


def test_a_task_without_pictures_gets_no_marks(look: Look) -> None:
    page = look()
    page.locator(".cell .said.failed").click()
    assert page.locator("#viewer .stars, #viewer #note").count() == 0
    keys(page, "5", "n", "t", "Escape", "4", "x", " ")
    page.locator(".cell .said.failed").click(modifiers=["Control"])
    assert page.evaluate("JSON.parse(gallery.marks.text()).marks") == {}
    assert page.evaluate("gallery.marks.picked.size") == 0
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
    assert page.evaluate("gallery.marks.of(gallery.choose.list()[0].key).stars") == 4


def test_an_address_of_another_job_names_no_values(look: Look) -> None:
    page = look()
    axis = page.evaluate("gallery.view.x")
    page = look(f"#x=&y=&ox=&oy=&pick:{axis}=99&hide:{axis}=1.7&order:{axis}=2.-3.1")
    assert page.evaluate("[gallery.view.hidden, gallery.view.order]") == [{axis: [1]}, {axis: [2, 1]}]
    assert page.evaluate(f"gallery.view.picks[{json.dumps(axis)}] ?? 0") == 0


def test_looking_closely_goes_along_the_axes_and_marks_what_changes(look: Look) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, "Enter", "ArrowRight")
    assert page.locator("#viewer tr.changed").all_inner_texts() == ["scheduler\tEulerDiscreteScheduler\nDDIMScheduler"]
    keys(page, "ArrowDown")
    assert page.locator("#viewer tr.changed th").all_inner_texts() == ["seed"]
    page.get_by_title("Go left: DDIMScheduler").click()
    assert page.locator("#viewer h2").inner_text() == "=fox <b> · seed 42 · DDIMScheduler · output 1"
    keys(page, "]")
    assert page.locator(".strip [aria-pressed=true]").get_attribute("aria-label") == "Output 2"
    page.wait_for_function("() => document.querySelector('#viewer .stage img').naturalWidth === 600")
    keys(page, "+", "+")
    assert "scale(1.5" in str(page.locator("#viewer .held").get_attribute("style"))
    keys(page, "z", "Escape")
    assert page.evaluate("[gallery.sheet.active.row, gallery.sheet.active.column]") == [1, 0]
    keys(page, "ArrowRight", "Enter")  # the failed one has something to say too
    assert "the model gave up <b>here</b>" in page.locator("#viewer .error").inner_text()


def test_pictures_are_compared_under_one_zoom(look: Look) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, "c")
    assert page.locator("#say").inner_text().startswith("Pick two to four")
    keys(page, " ", "ArrowRight", " ", "ArrowRight", " ")
    page.get_by_role("button", name="Compare").click()
    assert page.locator("#compare .stage").count() == 3
    assert page.locator("#compare dd").all_inner_texts() == list(COLOURS)
    keys(page, "+")
    styles = {stage.get_attribute("style") for stage in page.locator("#compare .held").all()}
    assert len(styles) == 1
    keys(page, "s")
    handle = page.get_by_role("slider", name="Edge 1")
    before = int(str(handle.get_attribute("aria-valuenow")))
    handle.focus()
    keys(page, "ArrowRight", "ArrowRight")
    assert int(str(handle.get_attribute("aria-valuenow"))) == before + 4
    box = handle.bounding_box()
    assert box
    page.mouse.move(box["x"] + 13, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] - 187, box["y"] + 50)
    page.mouse.up()
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
    values = [{"value": str(number), "label": label} for number, label in enumerate(labels)]
    job = {"parameters": {"samples": 1, "scheduler": "PNDMScheduler"}, "sweep": {"prompt": values, "seed": [7, 42, 99]}}
    page = look("#show=values", at=built(make_run(tmp_path / "turned", job, picture)))
    assert page.locator("#cell-0-0 .names bdi").all_inner_texts() == [labels[0], "seed 7"]
    cell(page, 0, 0).click()
    assert page.locator("#viewer h2 bdi").all_inner_texts() == [labels[0], "seed 7"]
    alt = page.locator("#viewer .stage img").get_attribute("alt")
    assert alt == "\u2068turned\u2069, seed 7"
    assert page.locator(".way.down, .way.right").first.get_attribute("title") in {
        f"Go down: \u2068{labels[1]}\u2069",
        f"Go right: \u2068{labels[1]}\u2069",
        "Go right: seed 42",
        "Go down: seed 42",
    }
    assert page.evaluate("gallery.words.isolated('plain')") == "plain"


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
    assert page.locator(".frame .stars").all_inner_texts() == ["★★★★", "★★★★★"]
    assert cell(page, 0, 1).locator(".rejected").count() == 1
    cell(page, 0, 2).locator("img").first.click()
    assert page.get_by_label("Note").input_value() == "the best one"
    assert page.get_by_label("Tags").input_value() == "keep, sky"


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
    assert first.locator(".frame .stars").all_inner_texts() == ["★★★★"]


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
        assert another.locator(".frame .stars").all_inner_texts() == ["★★★"]
    finally:
        marks.unlink()
        built(folder)
    third = look()
    assert third.locator(".frame .stars").count() == 0
    keys(third, "e")
    content = json.dumps({"format": 1, "marks": {page.evaluate("gallery.sheet.card().key"): {"stars": 2}}, "duels": []})
    upload = {"name": "marks.json", "mimeType": "application/json", "buffer": content.encode()}
    third.get_by_label("Take over a marks file").set_input_files(upload)  # type: ignore[arg-type]  # a dict will do
    third.wait_for_selector(".frame .stars")


def saved(page: Page, button: str, path: Path) -> str:
    """Press a button of the export, and keep what is downloaded."""
    with page.expect_download() as download:
        page.locator("#export").get_by_role("button", name=re.compile(rf"^{button}")).click()
    download.value.save_as(path)
    return path.read_text("utf-8-sig")


def planned(job: Path) -> list[str]:
    """Return the ids of a job file's tasks."""
    return [task.id for task in resolved(job).tasks()]


def resolved(job: Path) -> Job:
    return load(job, today=datetime(2026, 11, 22, tzinfo=UTC)).resolve(Schema.from_tool(seed_model()))


def test_what_is_picked_becomes_the_next_job(look: Look, tmp_path: Path) -> None:
    """The job file makes exactly these tasks, under the ids that they had."""
    page = look()
    page.locator("#sheet").focus()
    keys(page, " ", "ArrowRight", " ", *["ArrowDown"] * 4, "End", " ", "e")
    wanted = page.evaluate("gallery.compare.found(gallery.marks.picked).map((card) => card.task.id)")
    assert len(wanted) == 3
    saved(page, "Job file", tmp_path / "next.yaml")
    assert planned(tmp_path / "next.yaml") == wanted


def test_the_next_job_is_run_as_the_one_before(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    """What the user has set stays set; where the service calls, and a path of what these tasks do not have, do not."""
    job = {
        "parameters": {"samples": 1, "scheduler": "PNDMScheduler"},
        "variables": {"style": ["ink", "oil"]},
        "sweep": {"prompt": ["a fox, {style}", "a harbour, {style}"], "seed": [7, 42]},
        "repeat": 2,
        "limits": {"budget_usd": 0.5, "task_timeout": "10m", "concurrency": 3},
        "retry": {"attempts": 5},
    }
    told = {"path": "{{x}}/{seed} {prompt}", "delete_remote": True}
    poll = {"tracking": "poll", "outputs": told}
    address = "https://hooks.example.com/o"
    webhook = {"tracking": "webhook", "callback_url": address, "outputs": {**told, "path": "{style}"}}
    for name, more in {"poll": poll, "webhook": webhook}.items():
        folder = built(make_run(tmp_path / name, {**job, **more}, picture))
        page = look(at=folder)
        keys(page, "e")
        page.locator("#export").get_by_text("All: ").click()
        text = saved(page, "Job file", tmp_path / f"{name}-next.yaml")
        assert text.startswith('# 8 chosen tasks of "')
        assert "example.com" not in text
        wanted = page.evaluate("[...gallery.run.tasks.values()].map((task) => task.id)")
        assert sorted(planned(tmp_path / f"{name}-next.yaml")) == sorted(wanted)
        old, new = resolved(tmp_path / f"{name}.yaml"), resolved(tmp_path / f"{name}-next.yaml")
        assert (new.limits, new.retry, new.recipe.repeat) == (old.limits, old.retry, 2)
        assert new.outputs.delete_remote
        assert (new.tracking, new.outputs.path) == {
            "poll": ("poll", "{{x}}/{seed} {prompt}"),
            "webhook": ("auto", "{prompt}"),
        }[name]


def test_one_picture_alone_becomes_a_job_too(look: Look, tmp_path: Path) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, " ", "e")
    saved(page, "Job file", tmp_path / "next.yaml")
    assert planned(tmp_path / "next.yaml") == [page.evaluate("gallery.sheet.card().task.id")]
    assert resolved(tmp_path / "next.yaml").warnings == ()


@pytest.mark.parametrize(
    ("winners", "paths"),
    [
        ((0, 2), ["DDIMScheduler/lighthouse-7", "PNDMScheduler/lighthouse-7"]),
        ((0,), ["DDIMScheduler/lighthouse-7"]),
        ((0, 10), ["DDIMScheduler/lighthouse-7", "EulerDiscreteScheduler/harbour-42"]),
    ],
)
def test_winners_keep_their_labels(
    look: Look, make_run: MakeRun, tmp_path: Path, winners: tuple[int, ...], paths: list[str]
) -> None:
    """Also those that all of them share; the job after the next one has them too, and nothing is warned of."""
    prompts = {"lighthouse": "a lighthouse at dusk", "harbour": "a harbour in fog"}
    job = {
        "parameters": {"samples": 1},
        "sweep": {
            "prompt": [{"value": text, "label": label} for label, text in prompts.items()],
            "seed": [7, 42],
            "scheduler": list(JOB["sweep"]["scheduler"]),  # type: ignore[index]  # it is a mapping
        },
        "outputs": {"path": "{scheduler}/{prompt}-{seed}"},
    }
    for name in ("next", "after"):
        page = look(at=built(make_run(tmp_path / f"before-{name}", job, picture)))
        starred = [*winners] if name == "next" else [*range(len(winners))]
        tasks = "[...gallery.run.tasks.values()].filter((task) => starred.includes(task.index))"
        page.evaluate(
            f"(starred) => {tasks}.forEach((task) => gallery.marks.set(task.shots[0].key, {{stars: 5}}))", starred
        )
        keys(page, "e")
        page.locator("#export").get_by_text("4 stars or more").click()
        job = yaml.safe_load(saved(page, "Job file", tmp_path / f"{name}.yaml"))
        made = resolved(tmp_path / f"{name}.yaml")
        assert ([task.path for task in made.tasks()], made.warnings) == (paths, ())


def test_a_row_can_be_copied_into_a_job(look: Look, tmp_path: Path) -> None:
    page = look(permissions=["clipboard-read", "clipboard-write"])
    cell(page, 3, 1).locator("img").first.click()
    page.get_by_role("button", name="Copy as job row").click()
    page.wait_for_function("() => document.getElementById('say').textContent === 'The row is copied.'")
    row = page.evaluate("navigator.clipboard.readText()")
    head = "model: Hevok/Studio-Trigger\nparameters: {steps: 20, samples: 2, prompt: other}\nsweep: {seed: [1]}\n"
    (tmp_path / "job.yaml").write_text(f"{head}include:\n  {row}\n", "utf-8")
    assert planned(tmp_path / "job.yaml")[1] == page.evaluate("gallery.viewer.card.task.id")


def test_tables_hold_everything_and_no_formula(look: Look, tmp_path: Path) -> None:
    page = look()
    page.locator("#sheet").focus()
    keys(page, "5", "e")
    table = saved(page, "CSV", tmp_path / "table.csv")
    told = list(csv.DictReader(io.StringIO(table, newline="")))
    assert list(told[0])[:5] == ["task", "index", "state", "repeat", "output"]
    assert tuple(told[0])[: len(OWN)] == OWN
    assert (told[0]["labels.prompt"], told[0]["axes.seed"], told[0]["parameters.seed"]) == ("'=fox <b>", "7", "7")
    assert [row["cost_usd"] for row in told[:2]] == ["0.0035", ""]
    held = json.loads(saved(page, "JSON", tmp_path / "table.json"))
    assert len(held) == 33
    assert (held[0]["stars"], held[0]["labels"]["prompt"], held[0]["axes"]["prompt"]) == (5, "=fox <b>", NASTY)
    assert held[0]["parameters"]["prompt"] == NASTY
    fields = page.evaluate("['=1+1', '+1', '-2.5', '@x', '\\tx', 'a,\"b\"', '-x', null].map(gallery.records.field)")
    assert fields == ["'=1+1", "+1", "-2.5", "'@x", "'\tx", '"a,""b"""', "'-x", ""]


def test_the_page_and_the_command_write_the_same_table(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    """Byte for byte, whatever is in it: one is a spreadsheet of the other's pictures."""
    job = {
        "name": "twins",
        "parameters": {"steps": 20, "samples": 2, "negativePrompt": "=blur"},
        "variables": {"style": ["ink", "oil, old"]},
        "sweep": {
            "seed": [7, {"value": -42, "label": "@odd"}, 99],
            "prompt": [{"raw": NASTY, "label": "fox"}, "a harbour, {style}"],
            "scheduler": ["DDIMScheduler", "PNDMScheduler"],
            "scale": [3, 3.5],
        },
        "repeat": 2,
    }
    folder = make_run(tmp_path / "twins", job, picture, state=ends)
    with sqlite3.connect(folder.ledger) as ledger:  # moments as clocks give them, and something strange
        ledger.execute("UPDATE attempts SET submitted_at = submitted_at + 0.0236, elapsed = elapsed / 7")
        ledger.execute("UPDATE tasks SET finished_at = finished_at + 0.1234567 * rowid")
        ledger.execute("""UPDATE tasks SET warnings = '["a \\"size\\"", "=odd"]' WHERE rowid % 3 = 0""")
    ledger.close()
    page = look(at=built(folder))
    keys(page, "e")
    page.locator("#export").get_by_text("All: ").click()
    saved(page, "CSV", tmp_path / "page.csv")
    done = CliRunner().invoke(
        app, ["export", str(folder.path), "--to", "csv", "--state", "done,failed", "--out", str(tmp_path / "ours.csv")]
    )
    assert done.exit_code == 0
    theirs, ours = ((tmp_path / name).read_bytes().decode("utf-8-sig") for name in ("page.csv", "ours.csv"))
    assert theirs.splitlines() == ours.splitlines()
    assert theirs == ours


def test_what_was_strange_about_files_is_said_beside_them(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    job = {"name": "odd", "parameters": {"samples": 1, "scheduler": "PNDMScheduler"}, "sweep": {"prompt": ["a fox"]}}
    folder = make_run(tmp_path / "odd", job, picture)
    with sqlite3.connect(folder.ledger) as ledger:
        ledger.execute("""UPDATE tasks SET warnings = '["a.png is <b>larger</b>"]'""")
    ledger.close()
    page = look(at=built(folder))
    page.locator("#sheet").press("Enter")
    assert page.locator("#viewer .calm").inner_text() == "a.png is <b>larger</b>"


def test_what_was_cancelled_has_not_failed(look: Look) -> None:
    page = look()
    page.evaluate("gallery.run.head.status.counts.cancelled = 2; gallery.changed('head')")
    expect(page.locator(".standing")).to_contain_text("16 of 20 done, 1 failed, 2 cancelled, $")


def test_blind_answers_rank_the_values_of_an_axis(look: Look) -> None:
    page = look("#tab=blind")
    for _ in range(24):
        assert "Scheduler" not in page.locator(".pair").inner_text()
        names = page.evaluate("gallery.blind.pair.map((card) => gallery.run.parameters(card.task).scheduler)")
        assert names[0] != names[1]
        keys(page, "ArrowLeft" if COLOURS[names[0]] > COLOURS[names[1]] else "ArrowRight")
    page.get_by_text("Ranking of scheduler after 24 answers").click()
    expect(page.locator(".ranking tbody th")).to_have_text(list(COLOURS))
    keys(page, "u", "u", "ArrowDown", "ArrowUp")
    assert page.evaluate("gallery.marks.duels().map((duel) => duel.won).at(-1)") == "tie"
    assert page.evaluate("gallery.marks.duels().length") == 23
    page.reload()
    page.get_by_text("Ranking of scheduler after 23 answers").wait_for()


def test_blind_says_nothing_of_the_judged_value_to_anybody(look: Look) -> None:
    page = look("#tab=blind")
    alts = [image.get_attribute("alt") for image in page.locator(".pair img").all()]
    assert alts == ["The first one", "The second one"]


def test_choosing_what_to_judge_keeps_the_focus(look: Look) -> None:
    page = look("#tab=blind")
    page.get_by_label("What to judge").select_option(label="seed")
    page.wait_for_timeout(50)
    page.get_by_label("What to judge").focus()
    keys(page, "Home")
    page.wait_for_timeout(50)
    assert page.evaluate("document.activeElement.id") == "judge"
    keys(page, "ArrowDown", "ArrowUp", "ArrowRight")
    assert page.evaluate("gallery.marks.duels().length") == 0
    page.locator("#better-a").focus()
    keys(page, "Enter", "Enter")
    assert page.evaluate("gallery.marks.duels().map((duel) => duel.won)") == ["a", "a"]


def test_the_ranking_knows_how_sure_it_is(look: Look) -> None:
    """More answers make ranges narrower; the strengths are those of the model."""
    page = look()
    rank = "(n) => gallery.ranking.rank(Array.from({length: n}, (_, i) => ({a: 0, b: 1, won: i % 4 ? 'a' : 'b'})), 2)"
    few, many = (page.evaluate(rank, answers) for answers in (8, 200))
    assert [each["value"] for each in many] == [0, 1]
    assert many[0]["strength"] - many[1]["strength"] == pytest.approx(1.0986, abs=0.03)  # odds of 3 to 1
    assert many[0]["high"] - many[0]["low"] < few[0]["high"] - few[0]["low"]
    assert many[0]["low"] < many[0]["strength"] < many[0]["high"]


def test_what_was_paid_for_and_failed_all_the_same_is_told(look: Look) -> None:
    page = look("#tab=wall")
    page.evaluate(
        "() => {for (const task of gallery.run.tasks.values()) if (task.state === 'failed') task.cost = 0.014;"
        " Object.assign(gallery.run.head.status, {paid_in_vain: 1, paid_in_vain_usd: '0.014'});}"
    )
    page.locator("#tab-overview").click()
    assert page.locator(".failures li span").all_inner_texts() == ["paid for"]
    assert page.locator(".figure small", has_text="paid for").all_inner_texts() == ["1 paid for: $0.014"]


def test_the_overview_counts_by_each_value(look: Look) -> None:
    page = look("#tab=overview")
    table = page.locator("table.values", has_text="By scheduler")
    assert table.locator("tbody tr").nth(1).locator("td").nth(0).inner_text() == "5 of 6"
    assert page.locator(".figure", has_text="from the start").locator("b").inner_text() == "\u2013"  # none is known
    charts = page.locator(".charts figure svg")
    assert [str(chart.get_attribute("aria-label")) for chart in charts.all()] == ["Tasks ended: 17", "Spent: $0.056"]
    assert page.locator(".failures li").all_inner_texts() == ["1\nfailed: the model gave up <b>here</b>"]
    table.get_by_role("button", name="PNDMScheduler").click()
    assert page.locator("#tab-wall").get_attribute("aria-current") == "page"
    assert seen(page) == 2 * 5
    page.go_back()
    page.wait_for_selector("#overview table")
    heads = table.locator("thead th")
    assert heads.all_inner_texts() == [
        "scheduler",
        "done",
        "failed",
        "cost each",
        "time each",
    ]  # nobody has judged anything
    keys(page, "g")
    page.locator("#sheet").focus()
    keys(page, "4", "o")
    expect(heads).to_have_text(["scheduler", "done", "failed", "cost each", "time each", "stars", "rejected"])


def test_what_a_value_cost_is_told_in_all_and_for_each(look: Look) -> None:
    """A picture's share of what its task cost is known to nobody: outputs have no sum of their own."""
    page = look("#tab=overview")
    costs = page.locator("table.values", has_text="By scheduler").locator("tr td:nth-of-type(3)")
    assert costs.nth(1).inner_text().split("\n") == ["$0.0029", "$0.0175 in\u00a0all"]
    of_outputs = page.locator("table.values", has_text="By output").locator("tr td:nth-of-type(3)")
    assert of_outputs.first.inner_text() == "$0.0033"


@pytest.mark.parametrize(
    ("lasted", "told"),
    [
        (90, ["08:00:00", "08:01:30"]),
        (3600, ["08:00", "09:00"]),
        (90_000, ["15 Jan, 08:00", "16 Jan, 09:00"]),
    ],
)
def test_plots_say_when_they_begin_and_end(look: Look, lasted: int, told: list[str]) -> None:
    page = look("#tab=wall", locale="en-GB", timezone_id="UTC")
    page.evaluate(
        "(lasted) => {gallery.run.head.progress ="
        " [0, 0.5, 1].map((part) => [1_800_000_000 + part * lasted, 1, '0', 1, 1]);}",
        lasted,
    )
    page.locator("#tab-overview").click()
    plot, moments = page.locator(".charts svg").first, page.locator(".charts figure").first.locator("time")
    expect(moments).to_have_text(told)
    above, below = plot.bounding_box(), moments.last.bounding_box()
    assert above
    assert below
    assert 0 <= below["y"] - above["y"] - above["height"] < 10
    assert abs(above["x"] + above["width"] - below["x"] - below["width"]) < 1


def test_the_overview_counts_tasks_that_have_not_begun(look: Look, make_run: MakeRun, tmp_path: Path) -> None:
    job = {
        "name": "begun",
        "parameters": {"samples": 2, "scheduler": "DDIMScheduler"},
        "sweep": {"prompt": ["a fox", "a harbour"], "seed": [7, 42]},
    }
    folder = make_run(tmp_path / "begun", job, picture, state=lambda task: State.PENDING if task.index else State.DONE)
    page = look("#tab=overview", at=built(folder))
    done = page.locator("table.values", has_text="By prompt").locator("tr td:nth-of-type(1)")
    assert done.all_inner_texts() == ["1 of 2", "0 of 2"]


def test_words_stay_whole_in_the_overview_of_a_narrow_screen(look: Look) -> None:
    page = look("#tab=overview", viewport={"width": 390, "height": 800})
    for word in ("harbour", "Discrete"):
        label = page.locator(".values th button", has_text=word).first
        whole = """(button, word) => {
            const walker = document.createTreeWalker(button, NodeFilter.SHOW_TEXT);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                const place = node.data.indexOf(word);
                if (place < 0) continue;
                const range = new Range();
                range.setStart(node, place);
                range.setEnd(node, place + word.length);
                return range.getClientRects().length === 1;
            }
        }"""
        assert label.evaluate(whole, word) is True
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_page_follows_a_run_that_goes_on(look: Look, folder: RunFolder) -> None:
    place = Place(folder.path)
    head, rows = place.read("head"), place.read("tasks-00000")
    try:
        going = {**head["status"], "state": "running"}
        early = {**head, "status": going, "shards": [5], "active": [[[0, 2, 0], "running"]]}
        place.write("tasks-00000", rows[:5])
        place.write("head", early)
        page = look()
        page.clock.install()
        page.reload()
        page.wait_for_selector(".said.running")
        assert page.locator(".said.pending").count() > 3
        place.write("tasks-00000", rows)
        place.write("head", head)
        page.clock.fast_forward(3500)
        page.wait_for_function("() => gallery.run.tasks.size > 10")
        page.wait_for_function("() => !document.querySelector('.said.pending')")
        assert page.locator(".state.running").count() == 0
    finally:
        built(folder)


def test_a_page_without_its_data_says_what_to_do(folder: RunFolder, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(Place(folder.path).index.read_bytes())
    (tmp_path / "page").mkdir()
    for path in Place(folder.path).folder.glob("*.*"):
        (tmp_path / "page" / path.name).write_bytes(path.read_bytes())
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    assert "orchestrator gallery" in page.locator("#empty").inner_text()
    page.close()
