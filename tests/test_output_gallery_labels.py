"""Long labels that begin alike: what tells them apart is seen wherever they stand beside each other."""

from __future__ import annotations

import io

import pytest
from paged import Look, MakeRun, built
from PIL import Image
from playwright.sync_api import Page, expect

from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

DUSK = "a lighthouse at dusk above a quiet bay with small boats and a long pier, "
PROMPTS = [f"{DUSK}in ink on rough paper", f"{DUSK}in oil on canvas", f"{DUSK}as a photograph", "a fox"]
SEEN = [
    "a lighthouse… in ink on rough paper",
    "a lighthouse… in oil on canvas",
    "a lighthouse… as a photograph",
    "a fox",
]
JOB = {"parameters": {"samples": 1}, "sweep": {"prompt": PROMPTS, "seed": [1, 2], "scheduler": ["DDIMScheduler"]}}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, _number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (task.index * 30, 80, 120)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("labels") / "run", JOB, picture))


@pytest.fixture
def page(look: Look) -> Page:
    page = look()
    page.locator("#cell-0-0 img").wait_for()
    return page


def told(page: Page, texts: list[str]) -> list[str]:
    found = page.evaluate("(texts) => texts.map((text) => gallery.labels.told(texts).get(text)[0])", texts)
    assert len(set(found)) == len(set(texts))
    return list(found)


def test_heads_say_what_differs_and_hold_the_whole_text(page: Page) -> None:
    heads = page.locator("[role=columnheader] .label")
    expect(heads).to_have_text(SEEN, use_inner_text=True)
    expect(heads.first).to_have_attribute("title", PROMPTS[0])
    expect(page.locator(".column").first).to_have_attribute("aria-label", PROMPTS[0])
    page.locator("#cell-0-0").click()
    expect(page.locator("#viewer h2")).to_have_text(f"{SEEN[0]} · seed 1")
    expect(page.locator("#viewer td", has_text=PROMPTS[0])).to_be_visible()


def test_lists_say_it_too(page: Page) -> None:
    page.evaluate("gallery.view.place('x', 'a.seed')")
    page.evaluate("gallery.view.place('y', '')")
    chosen = page.get_by_label("prompt", exact=True)
    told = ["…in ink on rough paper", "…in oil on canvas", "…as a photograph", "a fox"]
    expect(chosen.locator("option")).to_have_text(["all together", *told], use_inner_text=True)
    expect(chosen).to_have_attribute("title", PROMPTS[0])


def test_where_there_is_hardly_any_room_the_difference_alone_is_said(page: Page) -> None:
    page.evaluate("gallery.view.set({size: 100})")
    expect(page.locator(".column .label").first).to_have_text("…in ink on rough paper")
    expect(page.locator(".column .label").last).to_have_text("a fox")


def test_texts_that_share_much_stay_apart(page: Page) -> None:
    assert told(page, ["a fox", "a fox at dusk"]) == ["a fox", "a fox at dusk"]
    several = [
        f"{DUSK}in ink",
        f"{DUSK}in ink on a very large rough sheet",
        f"{DUSK}in ink on a very large rough canvas",
    ]
    assert told(page, several) == [
        "a lighthouse… ink",
        "a lighthouse… ink on a… sheet",
        "a lighthouse… ink on a… canvas",
    ]
    assert told(page, ["\u6d77" * 40 + "\u6708", "\u6d77" * 40 + "\u661f"])[0].endswith("\u6d77\u6708")
    assert told(page, ["\U0001f98a" * 30 + "1", "\U0001f98a" * 30 + "2"])[0].endswith("\U0001f98a1")
    assert told(page, ["", "a" * 10_000, "a" * 10_000 + " b"])[0] == ""


def test_nothing_covers_the_first_head_where_there_are_no_rows(page: Page) -> None:
    page.evaluate("gallery.view.place('y', '')")
    expect(page.locator("[role=rowheader]")).to_have_count(0)
    covering = page.locator(".column .label").first.evaluate(
        "(label) => { const { left, bottom } = label.getBoundingClientRect();"
        " return document.elementFromPoint(left + 2, bottom - 4).className; }"
    )
    assert covering == "label"
