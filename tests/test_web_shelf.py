from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.web.shelf import Shelf


def run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "run.log").write_text("{}\n")
    return path


def test_run_folders_are_found_below_a_folder_and_named_after_themselves(tmp_path: Path) -> None:
    run(tmp_path / "b")
    run(tmp_path / "deeper" / "a")
    run(tmp_path / ".hidden" / "c")
    run(tmp_path / "b" / "files" / "not-a-run-of-its-own")
    (tmp_path / "something else").mkdir()
    shelf = Shelf([tmp_path])
    assert shelf.look() == ["b", "a"]
    found = shelf.folder("a")
    assert found is not None
    assert found.path == tmp_path / "deeper" / "a"
    assert shelf.folder("c") is None
    assert shelf.folder("../b") is None


def test_folders_of_one_name_are_told_apart_and_keep_their_names(tmp_path: Path) -> None:
    first, second = run(tmp_path / "one" / "fox"), run(tmp_path / "two" / "fox")
    shelf = Shelf([first, second, first])
    names = shelf.look()
    assert names[0] == "fox"
    assert names[1].startswith("fox-")
    assert [shelf.folder(name) for name in names] != [None, None]
    shutil.rmtree(first)
    assert shelf.look() == names[1:]
    assert shelf.folder("fox") is None
    run(first)
    assert sorted(shelf.look()) == sorted(names)


def test_a_folder_that_comes_or_goes_is_noticed(tmp_path: Path) -> None:
    shelf = Shelf([tmp_path / "outputs"])
    assert shelf.look() == []
    run(tmp_path / "outputs" / "new")
    assert shelf.look() == ["new"]


def test_a_run_folder_that_is_the_current_one_has_a_name(tmp_path: Path) -> None:
    run(tmp_path / "fox")
    assert Shelf([tmp_path / "fox" / "." / ".." / "fox"]).look() == ["fox"]
