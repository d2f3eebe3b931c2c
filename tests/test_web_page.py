"""Served pages in a real browser: they change while they are looked at, and everybody can use them."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships none
from paged import read
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from orchestrator.clock import SystemClock
from orchestrator.commands.status import read_status
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.output.gallery import Place, build, marks
from orchestrator.output.gallery.writer import PageWriter
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task
from orchestrator.web.app import Site, serving
from orchestrator.web.guard import Guard
from orchestrator.web.shelf import Shelf
from orchestrator.web.watch import Watch

# A browser that goes away while the server opens a file for it leaves that to the garbage collector, which tells of it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file <_io.BufferedReader:ResourceWarning")

HARMFUL = "<img src=x onerror='window.harmed=1'>"
JOB = {"parameters": {"samples": 1}, "sweep": {"prompt": ["a fox", HARMFUL], "seed": [1, 2, 3]}}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, _number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (600, 400), (task.index * 30, 90, 120)).save(file, "PNG")
    return file.getvalue()


def begun(task: Task) -> State:
    return {0: State.DONE, 5: State.RUNNING}.get(task.index, State.PENDING)


@dataclass
class Served:
    """A server in a thread of its own, and what its pages have asked for."""

    base: str
    outputs: Path
    make_run: Callable[..., RunFolder]
    ended: list[str] = field(default_factory=list)

    def run(self, name: str, state: Callable[[Task], State] = lambda _: State.DONE) -> RunFolder:
        """Put a run folder with its page among those that are served."""
        made = self.make_run(self.outputs / name, {**JOB, "name": "foxes"}, picture, state=state)
        with made.opened() as ledger:
            build(made.path, ledger, read_status(made), 1_795_000_100.0)
        return made


@pytest.fixture(scope="module")
def served(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    outputs = tmp_path_factory.mktemp("live") / "outputs"
    outputs.mkdir()
    shelf = Shelf([outputs])
    watch = Watch(shelf, read_status, SystemClock(), beat_seconds=0.1)
    found = Served("", outputs, make_run)
    guard = Guard("127.0.0.1", None)
    site = Site(shelf, watch, guard, cancel=lambda name, _: found.ended.append(name), tell=found.ended.append)
    with start_blocking_portal() as portal, listening(portal, site, watch) as port:
        found.base = f"http://127.0.0.1:{port}/"
        yield found


@contextmanager
def listening(portal: BlockingPortal, site: Site, watch: Watch) -> Iterator[int]:
    with portal.wrap_async_context_manager(serving(site, watch, "127.0.0.1", 0)) as port:
        yield port


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A page; at the end nothing was complained of, and nothing was asked for elsewhere."""
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.extend(outside(request.url, served.base)))
    yield page
    assert read(page, "window.harmed ?? null") is None
    context.close()
    assert wrong == []


def outside(url: str, home: str) -> list[str]:
    return [] if url.startswith((home, "data:", "blob:")) else [url]


class GoingOn:
    """What a process at work in a run folder writes, step by step."""

    def __init__(self, folder: RunFolder, store: SqliteLedger, let_end: Callable[..., Record]) -> None:
        self._folder, self._store, self._let_end = folder, store, let_end
        self._writer = PageWriter.begun(folder.path, store, 1_795_000_200.0)
        assert self._writer.resumed()
        self._tasks = [record.task for record in store.everything() if record.state is State.PENDING]

    def step(self, number: int) -> None:
        for _ in range(number):
            record = self._let_end(self._folder, self._store, self._tasks.pop(0), picture)
            self._writer.add(record, self._writer.previews(record))
        self._writer.tell(read_status(self._folder), (), 1_795_000_300.0 + len(self._tasks))

    def say(self, what: str) -> None:
        with self._folder.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"event": what, "level": "info", "timestamp": "2026-11-22T10:00:00Z"}) + "\n")


@pytest.fixture
def going_on(
    served: Served, let_end: Callable[..., Record], request: pytest.FixtureRequest
) -> Iterator[tuple[str, GoingOn]]:
    name = re.sub(r"\W+", "-", request.node.name)
    folder = served.run(name, begun)
    with folder.held(), folder.written() as store:
        yield name, GoingOn(folder, store, let_end)


def test_pictures_appear_while_the_run_goes_on_and_nothing_else_moves(
    page: Page, served: Served, going_on: tuple[str, GoingOn]
) -> None:
    name, run = going_on
    page.goto(f"{served.base}run/{name}/#tab=grid")
    expect(page.locator(".cell img")).to_have_count(1)
    expect(page.locator(".word")).to_have_text("live")
    page.locator("#sheet").press(" ")
    page.wait_for_selector("#pick-none")  # it is drawn as picked
    page.evaluate("document.querySelector('.cell img').dataset.mine = 'yes'")
    run.step(2)
    expect(page.locator(".cell img")).to_have_count(3)
    expect(page.locator(".standing")).to_contain_text("3 of 6 done")
    expect(page.locator(".pace")).to_contain_text("1 under way · 2 pending")
    run.step(1)
    expect(page.locator(".cell img")).to_have_count(4)
    assert read(page, "document.querySelector('.cell img').dataset.mine") == "yes"  # drawn once
    assert read(page, "gallery.marks.picked.size") == 1
    assert page.url.endswith("#tab=grid")


@pytest.mark.parametrize("place", ["", "run/full/"])
def test_one_page_too_many_says_so_and_goes_on_when_another_has_closed(
    browser: Browser, served: Served, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if not (served.outputs / "full").exists():
        served.run("full")
    monkeypatch.setattr("orchestrator.web.watch.MOST_READERS", 0)
    page = browser.new_page()
    page.clock.install()
    page.goto(served.base + place)
    expect(page.locator(".word.offline")).to_have_text(
        "Too many pages are open: close some, and this one goes on by itself."
    )
    monkeypatch.undo()
    page.clock.fast_forward(6000)
    expect(page.locator(".word")).to_have_text("live")
    page.context.close()


def test_the_log_is_told_as_it_grows(page: Page, served: Served, going_on: tuple[str, GoingOn]) -> None:
    name, run = going_on
    run.say("run started")
    page.goto(f"{served.base}run/{name}/")
    page.locator("#log-open").click()
    expect(page.locator("#log b")).to_have_text(["done", "run started"])
    run.say(HARMFUL)
    expect(page.locator("#log b").last).to_have_text(HARMFUL)
    run.say("task ended")  # it is told by name
    run.step(2)
    expect(page.locator("#log b")).to_have_text(["done", "done", "done", "run started", HARMFUL])
    expect(page.locator("#log span").nth(1)).to_have_text("a fox · seed 2 · 5.0 s · $0.0035")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_contain_text("the log")
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    expect(page.locator("#log")).to_be_hidden()


def test_cancelling_is_asked_twice(page: Page, served: Served, going_on: tuple[str, GoingOn]) -> None:
    name, _ = going_on
    page.goto(f"{served.base}run/{name}/")
    page.locator("#cancel-open").click()
    page.locator("#cancel-not").click()
    assert name not in served.ended
    page.locator("#cancel-open").click()
    expect(page.locator("#cancel-not")).to_be_focused()
    with page.expect_response("**/cancel") as answer:
        page.locator("#cancel-sure").click()
    assert answer.value.status == 202
    assert name in served.ended
    expect(page.get_by_text("cancelling…")).to_be_visible()
    expect(page.locator("#cancel-open")).to_be_hidden()


@pytest.mark.parametrize(("pressed", "shown"), [("#cancel-open", "#sure"), ("#log-open", "#log")])
def test_a_slow_press_holds_over_what_happens_meanwhile(
    page: Page, served: Served, going_on: tuple[str, GoingOn], pressed: str, shown: str
) -> None:
    name, run = going_on
    page.goto(f"{served.base}run/{name}/")
    expect(page.locator(".pace")).to_contain_text("4 pending")
    page.locator(pressed).hover()
    page.mouse.down()
    run.step(1)
    expect(page.locator(".pace")).to_contain_text("3 pending")
    page.mouse.up()
    expect(page.locator(shown)).to_be_visible()


def test_marks_are_kept_in_the_run_folder(page: Page, served: Served, browser: Browser) -> None:
    folder = served.run("marked")
    page.goto(f"{served.base}run/marked/")
    page.wait_for_selector(".cell img")
    with page.expect_response("**/marks") as answer:
        page.locator("#sheet").press("4")
    assert answer.value.status == 200
    (mark,) = marks.read(folder.path)["marks"].values()
    assert mark["stars"] == 4
    elsewhere = browser.new_context().new_page()
    elsewhere.goto(f"{served.base}run/marked/")
    elsewhere.wait_for_selector(".cell img")
    assert elsewhere.evaluate("gallery.marks.of(gallery.sheet.card().key).stars") == 4
    with page.expect_response("**/marks"):
        page.locator("#sheet").press("2")
    elsewhere.wait_for_function("() => gallery.marks.of(gallery.sheet.card().key).stars === 2")  # it is told
    elsewhere.context.close()


def test_a_star_and_a_note_by_two_people_at_one_moment_are_both_kept(
    page: Page, served: Served, browser: Browser
) -> None:
    """Neither page has heard of the other one's, and their clocks show the same."""
    folder = served.run("together")
    other = browser.new_context().new_page()
    key = "gallery.sheet.card().key"
    for each in (page, other):
        each.goto(f"{served.base}run/together/")
        each.wait_for_selector(".cell img")
        each.evaluate("() => {Date.now = () => 1_795_000_000_000}")
    with page.expect_response("**/marks"), other.expect_response("**/marks"):
        page.evaluate(f"gallery.marks.set({key}, {{stars: 5}})")
        other.evaluate(f"gallery.marks.set({key}, {{note: 'the best'}})")
    for each in (page, other):
        each.wait_for_function(
            f"() => gallery.marks.of({key}).stars === 5 && gallery.marks.of({key}).note === 'the best'"
        )
    (mark,) = marks.read(folder.path)["marks"].values()
    assert (mark["stars"], mark["note"]) == (5, "the best")
    page.evaluate("gallery.marks.undo()")
    other.wait_for_function(f"() => gallery.marks.of({key}).stars === 0")
    assert other.evaluate(f"gallery.marks.of({key}).note") == "the best"
    other.context.close()


def test_marks_that_the_browser_had_kept_are_put_there_too(page: Page, served: Served) -> None:
    folder = served.run("kept")
    key = Place(folder.path).read("job")["key"]
    kept = {"marks": {"a-0": {"stars": 5, "at": 7}}, "duels": [{"a": "x", "b": "y", "won": "a", "at": 8}]}
    page.goto(served.base)
    page.evaluate("([key, kept]) => localStorage.setItem(key, kept)", [f"orchestrator:{key}", json.dumps(kept)])
    with page.expect_response("**/marks"):
        page.goto(f"{served.base}run/kept/")
    held = marks.read(folder.path)
    assert held["marks"]["a-0"]["stars"] == 5
    assert held["duels"] == kept["duels"]


def test_the_overview_shows_every_run_and_what_becomes_of_it(
    page: Page, served: Served, going_on: tuple[str, GoingOn]
) -> None:
    name, run = going_on
    page.goto(served.base)
    card = page.locator(f"[data-run={name}]")
    expect(card.locator(".state")).to_have_text("running")
    expect(card).to_contain_text("1 done, 1 under way, 4 pending")
    expect(page.locator(".card").first).to_have_attribute("data-run", name)  # those at work come first
    run.step(4)
    expect(card).to_contain_text("5 done, 1 under way")
    expect(card.locator("img")).to_have_count(5)
    served.run("later")
    expect(page.locator("[data-run=later] .state")).to_have_text("finished")
    card.locator("a").click()
    expect(page.locator(".cell img")).to_have_count(5)
    page.locator("#all-runs").click()
    expect(page.locator("h1")).to_have_text("Runs")


def test_runs_have_a_date_and_an_order(page: Page, served: Served) -> None:
    names = [f"ordered-{number}" for number in (2, 10)]
    for name in reversed(names):
        with SqliteLedger(served.run(name).ledger) as ledger, ledger.transaction(durable=False):
            ledger.state({"updated_at": "1795000000"})
    page.goto(served.base)
    expect(page.locator("[data-run=ordered-10]")).to_contain_text("2026")
    page.get_by_label("Order").select_option("by name")
    shown = "[...document.querySelectorAll('.card')].map((card) => card.dataset.run)"
    assert [name for name in page.evaluate(shown) if name in names] == names


def test_runs_are_found_by_name_model_date_and_state(page: Page, served: Served) -> None:
    """All words have to be there; what is looked for stands in the address, so a reload shows the same."""
    for name in ("found-gulls", "found-terns"):
        served.run(name)
    with SqliteLedger(served.outputs / "found-terns" / "ledger.sqlite") as ledger, ledger.transaction(durable=False):
        ledger.state({"updated_at": "1700000000"})
    page.goto(served.base)
    shown = page.locator(".card:visible")
    page.locator("[data-run=found-gulls]").wait_for()
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    for words, names in {
        "FOUND-": ["found-gulls", "found-terns"],
        "found- studio-trigger gul": ["found-gulls"],
        "found- 2023-11": ["found-terns"],
        "found- finished": ["found-gulls", "found-terns"],
        "found- running": [],
    }.items():
        page.locator("#find").fill(words)
        expect(shown).to_have_count(len(names))
        assert sorted(str(card.get_attribute("data-run")) for card in shown.all()) == names
        expect(page.locator("#unfound")).to_be_visible(visible=not names)
    page.locator("#find").fill("found- gulls/&#")
    page.locator("#find").fill("found- gulls")
    expect(page.locator("#sum")).to_contain_text("1 of ")
    page.reload()
    expect(page.locator("#find")).to_have_value("found- gulls")
    expect(shown).to_have_count(1)
    page.evaluate("location.hash = ''")
    expect(page.locator("#find")).to_have_value("")
    page.locator("[data-run=found-terns]").wait_for()


def test_light_or_dark_is_chosen_for_all_pages_at_once(page: Page, served: Served) -> None:
    """Each press is seen, whatever the system has."""
    served.run("dressed")
    look = "getComputedStyle(document.documentElement).colorScheme"
    page.emulate_media(color_scheme="light")
    page.goto(f"{served.base}run/dressed/")
    page.locator("#theme").click()
    assert read(page, look) == "dark"
    page.locator("#all-runs").click()
    page.locator(".card").first.wait_for()
    assert read(page, look) == "dark"
    page.locator("#theme").click()
    assert read(page, look) == "light dark"  # as the system is, from here on
    expect(page.locator("#say")).to_have_text("The page is light, as the system is.")


def test_a_picture_that_has_gone_is_not_shown(browser: Browser, served: Served) -> None:
    folder = served.run("gone")
    next((folder.path / "page" / "thumbnails").rglob("*.webp")).unlink()
    page = browser.new_page()
    page.goto(served.base)
    expect(page.locator("[data-run=gone] img")).to_have_count(5)
    page.context.close()
    shutil.rmtree(folder.path)  # other tests want no request to fail


def complaints(page: Page) -> object:
    return Axe().run(page, options=RULES).response["violations"]


def test_everybody_can_use_the_overview(page: Page, served: Served, going_on: tuple[str, GoingOn]) -> None:
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(served.base)
    page.wait_for_selector(f"[data-run={going_on[0]}]")
    assert complaints(page) == []
    assert read(page, "document.documentElement.scrollWidth") == 390


def test_everybody_can_use_what_a_served_page_has_more(
    page: Page, served: Served, going_on: tuple[str, GoingOn]
) -> None:
    name, run = going_on
    run.say("run started")
    page.goto(f"{served.base}run/{name}/")
    page.wait_for_selector(".cell img")
    page.keyboard.press("l")
    page.wait_for_selector("#log li")
    assert complaints(page) == []
    page.locator("#cancel-open").click()
    assert complaints(page) == []


def test_a_page_that_is_not_there_yet_comes_by_itself(browser: Browser, served: Served) -> None:
    folder = served.make_run(served.outputs / "early", {**JOB, "name": "early"}, picture)
    page = browser.new_page()
    page.goto(f"{served.base}run/early/")
    expect(page.locator("#empty")).to_be_visible()
    with folder.opened() as ledger:
        build(folder.path, ledger, read_status(folder), 1_795_000_100.0)
    expect(page.locator(".cell img")).to_have_count(6)
    page.context.close()
