"""The command that runs all benchmarks finds its scripts, their goals, and where in the page their tables belong."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the command."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("all")


def test_each_part_has_a_script_and_a_place_in_the_page(everything: ModuleType) -> None:
    """Nothing is measured in vain, and no table stands in the page that is not measured."""
    page = everything.PAGE.read_text("utf-8")
    assert page.count("<!-- /") == len(everything.PARTS) + 1
    for name, part in everything.PARTS.items():
        assert (BENCHMARKS / f"{name}.py").is_file()
        table, before, _ = everything.marked(name, page)
        assert table.startswith("| ")
        assert before.rpartition("\n## ")[2].startswith(part.title)


def test_what_is_a_script_has_help_and_the_rest_says_that_it_is_none() -> None:
    for path in BENCHMARKS.glob("*.py"):
        text = path.read_text("utf-8")
        is_script = '__name__ == "__main__"' in text
        assert ("ArgumentParser(" in text) is is_script, path
        assert ("No script:" in text) is not is_script, path
    command = [sys.executable, str(BENCHMARKS / "instant.py"), "-h"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "usage: instant.py" in ended.stdout


def test_a_goal_is_found_again_in_what_is_printed(everything: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """What a script tells of a goal reaches the table of all of them."""
    for goal in (
        everything.Goal("peak memory", 96.9, 150, unit=" MB"),
        everything.Goal("calls beyond a limit", 0.0, 0.5, unit=" %"),
        everything.Goal("share of 25 places", 94.0, 95, at_most=False, unit=" %"),
    ):
        goal.tell()
        report = everything.Report(capsys.readouterr().out.splitlines())
        assert report.goals == [goal]
        assert report.table == ""


def test_what_is_measured_stands_in_the_page_and_the_rest_stays(
    everything: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that did not come to its end leaves its table and its goals as they were."""
    before = everything.PAGE.read_text("utf-8")
    page, picture = tmp_path / "page.md", tmp_path / "goals.svg"
    page.write_text(before, "utf-8")
    monkeypatch.setattr(everything, "PAGE", page)
    monkeypatch.setattr(everything, "PICTURE", picture)
    lines = ["| limit | share |", "| 7 calls | 99% |", "goal | share of 7 calls | at least 97 % | 99 % | met |"]
    broken = everything.Report(["| half a table |"])
    everything.write({"limits": everything.Report(lines, well=True), "kills": broken}, "A machine")
    after = page.read_text("utf-8")
    assert everything.marked("limits", after)[0] == "| limit | share |\n| 7 calls | 99% |\n"
    assert everything.marked("kills", after)[0] == everything.marked("kills", before)[0]
    goals = everything.marked("goals", after)[0]
    assert goals.startswith("A machine.\n")
    assert len(goals.splitlines()) == len(everything.marked("goals", before)[0].splitlines()) + 1
    assert "7 calls" in picture.read_text("utf-8")


def test_a_quick_look_gives_no_verdict(
    everything: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What did less than a goal is meant for has not missed it; whoever reads the table sees that."""
    (tmp_path / "memory.py").write_text("print('| peak | 9 MB |\\ngoal | memory | at most 5 MB | 9 MB | missed |')")
    monkeypatch.setattr(everything, "__file__", str(tmp_path / "all.py"))
    monkeypatch.setattr(everything.signal, "signal", lambda *_: None)  # this process ends as it always does
    for extent, verdict in ((["--quick"], "quick: not comparable"), ([], "missed")):
        monkeypatch.setattr(sys, "argv", ["all.py", "--only", "memory", *extent])
        everything.main()
        rows = [line for line in capsys.readouterr().out.splitlines() if "| memory |" in line]
        assert rows == [f"{start}| memory | at most 5 MB | 9 MB | {verdict} |" for start in ("goal ", "")]


def test_the_page_takes_no_figures_of_a_quick_look() -> None:
    """Less of each tells whether it works, not how good it is."""
    command = [sys.executable, str(BENCHMARKS / "all.py"), "--quick", "--docs"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "--docs goes without --quick" in ended.stderr
