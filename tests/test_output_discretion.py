from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.output.discretion import Discretion
from orchestrator.runs import RunFolder
from orchestrator.sweep import Schema
from orchestrator.wiro.catalogue import seed_model

TOOL = {
    **seed_model(),
    "parameters": [{"items": [{"id": "image", "type": "fileinput"}, {"id": "prompt", "type": "text"}]}],
}


def discretion(make_run: Callable[..., RunFolder], home: Path) -> Discretion:
    (home / "inputs").mkdir()
    (home / "inputs" / "cat.png").write_bytes(b"cat")
    job = {"parameters": {"prompt": "x"}, "sweep": {"image": ["inputs/cat.png"]}}
    folder = make_run(home / "run", job, lambda *_: b"", tool=TOOL)
    with folder.opened() as ledger:
        facts = ledger.facts()
    return Discretion(resolved_job(facts), Schema.from_tool(frozen_tool(facts)), Path(facts["source"]).parent)


def test_a_file_is_named_without_the_folders_above_the_job(make_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    told = discretion(make_run, tmp_path)
    assert told.path(str(tmp_path / "inputs" / "cat.png")) == "inputs/cat.png"
    assert told.path("/home/somebody/dog.png") == "dog.png"
    assert told.path("../else/dog.png") == "dog.png"
    assert told.path("https://host/dog.png") == "https://host/dog.png"
    assert told.value("image", "/home/somebody/dog.png") == "dog.png"


def test_a_text_that_only_looks_like_a_path_stays(make_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    told = discretion(make_run, tmp_path)
    assert told.value("prompt", "/imagine a fox/dusk") == "/imagine a fox/dusk"
    assert told.value("image", None) is None


def test_an_error_names_no_folder(make_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    told = discretion(make_run, tmp_path)
    assert told.message(f"{tmp_path}/inputs/cat.png has changed") == "inputs/cat.png has changed"
    assert told.message(f"{tmp_path}/other.png is gone") == "other.png is gone"
