"""The archive: unpacked elsewhere it is the page, with nothing of the machine that it was made on."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paged import read
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.lifecycle import State
from orchestrator.output.gallery import Place
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

MakeRun = Callable[..., RunFolder]
JOB = {
    "name": "harbours",
    "parameters": {"samples": 2},
    "sweep": {
        "prompt": ["a fox </script> שלום", "a harbour"],
        "seed": [7, 42],
        "scheduler": ["DDIMScheduler", "PNDMScheduler"],
    },
    "limits": {"budget_usd": 9.5},
}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The browser keeps a loop in this thread; nothing of ours runs in it."""


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    noise = Image.effect_noise((500, 400), 60 + task.index)
    Image.merge("RGB", (noise, noise, Image.new("L", noise.size, number * 90))).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    def ends(task: Task) -> State:
        return {2: State.FAILED, 3: State.PENDING}.get(task.index, State.DONE)

    made = make_run(tmp_path_factory.mktemp("somebodys") / "run", JOB, picture, state=ends)
    with made.opened() as ledger:
        first = next(ledger.everything()).task.id
    marks = {"format": 1, "marks": {f"{first}-1": {"stars": 4, "note": "best"}}, "duels": []}
    (made.path / "marks.json").write_text(json.dumps(marks), "utf-8")
    return made


def unpacked(folder: RunFolder, target: Path, *options: str) -> Path:
    target.mkdir(exist_ok=True)
    done = CliRunner().invoke(
        app, ["export", str(folder.path), "--to", "zip", "--out", str(target / "x.zip"), *options]
    )
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(target / "x.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(target)
    (found,) = (path for path in target.iterdir() if path.is_dir())
    return found


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[[Path], Page]]:
    """Open an unpacked archive; nothing is complained of, and nothing is asked for outside of it."""
    wrong: list[str] = []
    pages = []

    def opened(at: Path) -> Page:
        page = browser.new_page()
        pages.append(page)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda request: wrong.append(request.url))
        allowed = (f"{at.as_uri()}/", "data:", "blob:")
        page.on("request", lambda request: wrong.extend([] if request.url.startswith(allowed) else [request.url]))
        page.goto((at / "index.html").as_uri())
        page.wait_for_function("() => document.querySelector('#sheet img')?.naturalWidth > 0")
        return page

    yield opened
    for page in pages:
        page.close()
    assert wrong == []


def test_it_opens_as_the_page(folder: RunFolder, tmp_path: Path, look: Callable[[Path], Page]) -> None:
    home = unpacked(folder, tmp_path)
    page = look(home)
    assert page.title() == "harbours · orchestrator"
    assert read(page, "gallery.run.tasks.size") == 8
    expect(page.locator(".frame .stars")).to_have_text(["★★★★"])
    expect(page.locator(".said.failed")).to_have_count(1)
    page.locator("#cell-0-0 img").first.click()
    page.wait_for_function("() => document.querySelector('#viewer .stage img').naturalWidth === 500")
    assert sorted(path.name for path in home.iterdir()) == ["files", "index.html", "page"]
    paths = (path for path in folder.files.rglob("*.png"))
    assert all((home / path.relative_to(folder.path)).read_bytes() == path.read_bytes() for path in paths)


def test_a_part_of_a_run_keeps_its_marks(folder: RunFolder, tmp_path: Path, look: Callable[[Path], Page]) -> None:
    """Outputs keep their names, so that marks given on the archive's page fit the run's."""
    page = look(unpacked(folder, tmp_path, "--min-rating", "3"))
    assert read(page, "[...gallery.run.tasks.values()].flatMap((task) => task.cards.map((card) => card.n))") == [1]
    expect(page.locator(".frame .stars")).to_have_text(["★★★★"])
    assert len(list((tmp_path / "x" / "files").rglob("*.png"))) == 1
    expect(page.locator(".said.pending")).to_have_count(0)


def test_a_part_of_a_run_tells_nothing_of_the_rest(
    folder: RunFolder, tmp_path: Path, look: Callable[[Path], Page]
) -> None:
    """It is whole by itself: no empty cells, no counts of what is not in it; and it may be handed to anybody."""
    home = unpacked(folder, tmp_path, "--only", "prompt=a harbour", "--only", "seed=42")
    page = look(home)
    expect(page.locator(".cell")).to_have_count(2)
    expect(page.locator(".cell:has(img)")).to_have_count(2)
    expect(page.locator(".standing")).to_have_text(re.compile(r"^finished\n2 of 2 done"), use_inner_text=True)
    page.evaluate("gallery.view.set({tab: 'overview'})")
    page.locator(".by").first.wait_for()
    expect(page.locator("#overview .figure b").first).to_have_text("2 of 2")
    expect(page.locator("#overview .figures").get_by_text("calls")).to_have_count(0)
    assert page.locator(".by td:nth-child(2) .value").all_inner_texts()[:2] == ["1 of 1", "1 of 1"]
    told = b"".join(path.read_bytes() for path in (home / "page" / "data").iterdir())
    assert b"harbour" in told
    assert not [word for word in (b"a fox", b"budget", b"9.5") if word in told]


def test_reduced_pictures_are_smaller_and_say_what_they_are(
    folder: RunFolder, tmp_path: Path, look: Callable[[Path], Page]
) -> None:
    home = unpacked(folder, tmp_path, "--pictures", "reduced", "--pixels", "200", "--embed")
    page = look(home)
    page.locator("#cell-0-0 img").first.click()
    page.wait_for_function("() => document.querySelector('#viewer .stage img').naturalWidth === 200")
    files = list(home.joinpath("files").rglob("*.*"))
    assert {path.suffix for path in files} == {".webp"}
    with Image.open(files[0]) as found:
        assert found.size == (200, 160)
        assert b"Hevok/Studio-Trigger" in found.info["xmp"]


def test_files_that_are_left_out_are_not_asked_for(
    make_run: MakeRun, tmp_path: Path, look: Callable[[Path], Page]
) -> None:
    made = make_run(tmp_path / "some" / "run", {**JOB, "parameters": {"samples": 1}}, picture)
    gone, changed, *_ = sorted(made.files.rglob("*.png"))
    gone.unlink()
    changed.write_bytes(b"something else")
    page = look(unpacked(made, tmp_path / "there"))
    expect(page.locator(".said.failed")).to_have_count(2)
    assert sorted(page.locator(".said.failed").all_inner_texts()) == ["file is damaged", "file is missing"]
    page.locator(".said.failed", has_text="missing").click()
    expect(page.locator("#viewer .stage")).to_have_text("The file was missing when this page was exported.")
    expect(page.get_by_text("Open file")).to_have_count(0)
    assert (
        page.evaluate("gallery.choose.passing().filter(gallery.cell.isPicture).length") == 6
    )  # of those blind ones are drawn


def test_parameters_are_embedded_in_copies_alone(folder: RunFolder, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in folder.files.rglob("*.png")}
    home = unpacked(folder, tmp_path, "--embed")
    for path, data in before.items():
        assert path.read_bytes() == data
        copy = home / path.relative_to(folder.path)
        with Image.open(copy) as found, Image.open(path) as original:
            assert found.tobytes() == original.tobytes()
            told = json.loads(found.info["orchestrator"])
            assert found.info["Description"] == told["parameters"]["prompt"]
            assert told["task"][:8] in path.name


def test_nothing_names_the_machine(folder: RunFolder, tmp_path: Path) -> None:
    home = unpacked(folder, tmp_path, "--embed")
    for path in home.rglob("*"):
        assert "somebodys" not in path.as_posix().removeprefix(tmp_path.as_posix())
        if path.is_file():
            data = path.read_bytes()
            assert str(folder.path.parent).encode() not in data
            assert b"secret-token" not in data
    assert Place(home).index.is_file()
    assert not list(home.rglob("*.sqlite")) + list(home.rglob("*.log"))
