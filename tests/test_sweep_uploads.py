from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.sweep import Job, JobFileError, Schema, load, with_uploads
from orchestrator.tasks import task_id

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ITEMS = [
    {"id": "image", "type": "fileinput", "required": True},
    {"id": "masks", "type": "multifileinput"},
    {"id": "styles", "type": "combinefileinput"},
    {"id": "prompt", "type": "textarea"},
]
SCHEMA = Schema.from_tool({"slugowner": "a", "slugproject": "b", "parameters": [{"items": ITEMS}]})
PICTURES = {"cat.png": b"cat", "inputs/dog.png": b"dog", "inputs/bee.png": b"bee", "inputs/same.png": b"cat"}

Read = Callable[..., Job]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def token(data: bytes) -> str:
    return f"sha256:{digest(data)}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job's folder with pictures in it."""
    for name, data in PICTURES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Read:
    def read(**keys: Any) -> Job:
        path = folder / "job.yaml"
        path.write_text(yaml.safe_dump({"model": "a/b", **keys}, sort_keys=False))
        return load(path, today=NOW).resolve(SCHEMA)

    return read


def test_a_file_stands_as_its_hash(read: Read, folder: Path) -> None:
    job = read(parameters={"image": "cat.png", "prompt": "x"})
    (task,) = job.tasks()
    assert task.parameters == {"image": token(b"cat"), "imageUrl": "", "prompt": "x"}
    assert task.id == task_id("a/b", task.parameters)
    (upload,) = job.uploads(task.parameters)
    assert (upload.sha256, upload.name, upload.bytes) == (digest(b"cat"), "cat.png", 3)
    assert Path(upload.path) == (folder / "cat.png").resolve()


def test_what_is_sent_once_files_are_uploaded(read: Read) -> None:
    """The address goes where the API page says, and the other way of giving a file is sent empty."""
    job = read(parameters={"image": "cat.png", "masks": "inputs/dog.png", "styles": "inputs/same.png"})
    (task,) = job.tasks()
    assert [each.sha256 for each in job.uploads(task.parameters)] == [digest(b"cat"), digest(b"dog")]
    urls = {digest(b"cat"): "https://x/cat", digest(b"dog"): "https://x/dog"}
    assert with_uploads(task.parameters, job.files.places, urls) == {
        "image": "",
        "imageUrl": "https://x/cat",
        "masks": "",
        "masksUrl": "https://x/dog",
        "styles": "https://x/cat",
        "prompt": "",
    }
    with pytest.raises(KeyError):
        with_uploads(task.parameters, job.files.places, {})


def test_a_text_that_looks_like_a_hash_is_left_alone(read: Read) -> None:
    job = read(parameters={"image": "cat.png", "prompt": token(b"cat")})
    (task,) = job.tasks()
    assert with_uploads(task.parameters, job.files.places, {digest(b"cat"): "u"})["prompt"] == token(b"cat")


def test_a_pattern_takes_all_that_fit(read: Read, folder: Path) -> None:
    """In the order of names, hidden ones and folders left out; equal files are one task."""
    (folder / "inputs" / ".hidden.png").write_bytes(b"x")
    (folder / "inputs" / "folder.png").mkdir()
    images = [{"value": "cat.png", "label": "kitty"}, {"files": "inputs/*.png"}]
    job = read(sweep={"image": images}, outputs={"path": "{image}"})
    tasks = list(job.tasks())
    assert [task.axes["image"] for task in tasks] == ["cat.png", "inputs/bee.png", "inputs/dog.png"]
    assert tasks[0].cells == ({"image": "inputs/same.png"},)
    assert [task.path for task in tasks] == ["kitty", "bee", "dog"]
    assert len(job.files.files) == 3
    every = read(sweep={"image": {"files": "**/*.png"}})
    assert [task.axes["image"] for task in every.tasks()] == ["cat.png", "inputs/bee.png", "inputs/dog.png"]


def test_names_in_paths_and_templates(read: Read) -> None:
    job = read(
        sweep={"image": {"files": "inputs/[bd]*.png"}, "prompt": ["a {image}"]},
        outputs={"path": "{image}"},
    )
    assert [(task.parameters["prompt"], task.path) for task in job.tasks()] == [("a bee", "bee"), ("a dog", "dog")]


def test_addresses_need_no_upload(read: Read) -> None:
    job = read(
        parameters={"imageUrl": "https://x/a.png", "image": "", "styles": "https://x/{prompt}.png"},
        sweep={"prompt": ["p"]},
    )
    (task,) = job.tasks()
    assert task.parameters["image"] == ""
    assert task.parameters["imageUrl"] == "https://x/a.png"
    assert task.parameters["styles"] == "https://x/p.png"
    assert job.uploads(task.parameters) == []


def test_editing_names_renames_no_task(read: Read, folder: Path) -> None:
    """A moved file is the same task, a changed one is another."""
    before = [task.id for task in read(parameters={"image": "cat.png"}).tasks()]
    assert [task.id for task in read(parameters={"image": "inputs/same.png"}).tasks()] == before
    (folder / "cat.png").write_bytes(b"another cat")
    assert [task.id for task in read(parameters={"image": "cat.png"}).tasks()] != before


def test_the_files_rest_in_the_job(read: Read) -> None:
    job = read(sweep={"image": {"files": "inputs/*.png"}})
    again = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert again == job
    assert [again.uploads(task.parameters) for task in again.tasks()] == [
        job.uploads(task.parameters) for task in job.tasks()
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"parameters": {"image": "kat.png"}}, "no file `kat.png` beside the job file"),
        ({"parameters": {"image": "../job.yaml"}}, "outside the folder"),
        ({"parameters": {"image": "inputs"}}, "it is a folder"),
        ({"parameters": {"image": "empty.png"}}, "`empty.png` is empty"),
        ({"parameters": {"image": "large.png"}}, "over 100 MB"),
        ({"parameters": {"image": "{prompt}.png", "prompt": "cat"}}, "cannot name a local file"),
        ({"parameters": {"image": "https://x/cat.png"}}, "An address was given where a local file is expected"),
        ({"parameters": {"image": "cat.png", "imageUrl": "https://x"}}, "takes only one of them"),
        ({"sweep": {"image": {"files": "inputs/*.jpg"}}}, "No file fits `inputs/*.jpg`"),
        ({"sweep": {"image": {"files": "/etc/*"}}}, "outside the folder"),
        ({"sweep": {"image": {"files": "../*"}}}, "outside the folder"),
        ({"sweep": {"image": {"files": "*/../../*"}}}, "goes up again"),
        ({"sweep": {"image": {"files": "**x/*"}}}, "`**x/*`"),
        ({"sweep": {"image": ["cat.png"], "prompt": {"files": "*.png"}}}, "`prompt` takes none"),
        ({"parameters": {"image": "cat.png"}, "variables": {"v": {"files": "*.png"}}}, "A variable takes no files"),
        ({"parameters": {"image": ""}}, "requires `image`"),
    ],
)
def test_what_cannot_be_sent(read: Read, folder: Path, keys: dict[str, Any], message: str) -> None:
    (folder / "empty.png").touch()
    with (folder / "large.png").open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(JobFileError) as caught:
        read(**keys)
    (problem,) = caught.value.problems
    assert message in problem.message


def test_a_pattern_follows_no_link_out(read: Read, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.png").write_bytes(b"secret")
    (folder / "inputs" / "link.png").symlink_to(outside / "secret.png")
    (folder / "linked").symlink_to(outside)
    for pattern in ("inputs/*.png", "linked/*.png"):
        with pytest.raises(JobFileError, match="outside the folder"):
            read(sweep={"image": {"files": pattern}})
