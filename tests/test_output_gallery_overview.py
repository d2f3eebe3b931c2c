"""The overview and the blind comparison in a real browser: what became of the run, and of each value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from paged import COLOURS, JOB, Look, MakeRun, built, drawn, ends, keys, picture, read, seen
from playwright.sync_api import expect

from orchestrator.lifecycle import State
from orchestrator.runs import RunFolder


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return built(make_run(tmp_path_factory.mktemp("page") / "run", JOB, picture, state=ends))


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
    assert read(page, "gallery.marks.duels().map((duel) => duel.won).at(-1)") == "tie"
    assert read(page, "gallery.marks.duels().length") == 23
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
    assert read(page, "document.activeElement.id") == "judge"
    keys(page, "ArrowDown", "ArrowUp", "ArrowRight")
    assert read(page, "gallery.marks.duels().length") == 0
    page.locator("#better-a").focus()
    keys(page, "Enter", "Enter")
    assert read(page, "gallery.marks.duels().map((duel) => duel.won)") == ["a", "a"]


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
    expect(page.locator(".failures li span")).to_have_text(["paid for"], use_inner_text=True)
    expect(page.locator(".figure small", has_text="paid for")).to_have_text(["1 paid for: $0.014"], use_inner_text=True)


def test_what_concerns_the_user_is_told(look: Look) -> None:
    page = look("#tab=wall")
    concerns = {"waiting": [{"tasks": 1, "why": "<b>It sleeps.</b>"}], "undeleted": 3, "alone": True}
    page.evaluate("(told) => Object.assign(gallery.run.head.status, told)", concerns)
    page.locator("#tab-overview").click()
    page.locator(".concerns").wait_for()
    drawn(page)
    assert page.locator(".concerns p").all_inner_texts() == [
        "1 task waits: <b>It sleeps.</b>",
        "The service still has its copies of 3 tasks: the next run deletes them.",
        "Limits could not be shared with other runs that use the same key: the log says why.",
    ]
    page.evaluate("gallery.run.stands({...gallery.run.head.status, waiting: [], undeleted: 0, alone: false})")
    page.locator(".concerns").wait_for(state="detached")


def test_the_overview_counts_by_each_value(look: Look) -> None:
    page = look("#tab=overview")
    table = page.locator("table.values", has_text="By scheduler")
    expect(table.locator("tbody tr").nth(1).locator("td").nth(0)).to_have_text("5 of 6")
    expect(page.locator(".figure", has_text="from the start").locator("b")).to_have_text("\u2013")  # none is known
    charts = page.locator(".charts figure svg")
    assert [str(chart.get_attribute("aria-label")) for chart in charts.all()] == ["Tasks ended: 17", "Spent: $0.056"]
    expect(page.locator(".failures li")).to_have_text(["1\nfailed: the model gave up <b>here</b>"], use_inner_text=True)
    table.get_by_role("button", name="PNDMScheduler").click()
    expect(page.locator("#tab-wall")).to_have_attribute("aria-current", "page")
    assert seen(page) == 2 * 5
    page.go_back()
    page.wait_for_selector("#overview table")
    heads = table.locator("thead th")
    drawn(page)
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
    expect(costs.nth(1)).to_have_text("$0.002917\n$0.0175 in\u00a0all", use_inner_text=True)
    of_outputs = page.locator("table.values", has_text="By output").locator("tr td:nth-of-type(3)")
    expect(of_outputs.first).to_have_text("$0.003294")


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
    expect(done).to_have_text(["1 of 2", "0 of 2"], use_inner_text=True)


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
    assert read(page, "document.documentElement.scrollWidth") == 390
