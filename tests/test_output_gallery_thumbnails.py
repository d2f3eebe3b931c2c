from __future__ import annotations

import hashlib
import io
import json
import os
import tracemalloc
import zlib
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.lifecycle import Output
from orchestrator.output.gallery import thumbnails
from orchestrator.output.gallery.data import NOTHING, Preview
from orchestrator.output.gallery.place import Place
from orchestrator.output.gallery.thumbnails import preview


def put(place: Place, data: bytes, kind: str = "image/png") -> Output:
    (place.run_folder / "out").write_bytes(data)
    return Output("out", None, kind, len(data), hashlib.sha256(data).hexdigest())


def noise(width: int, height: int, mode: str = "RGB", form: str = "PNG", exif: Image.Exif | None = None) -> bytes:
    """Draw a picture that does not compress to less than a thumbnail."""
    file = io.BytesIO()
    picture = Image.effect_noise((width, height), 90).convert(mode)
    picture.save(file, form, **({"exif": exif} if exif else {}))
    return file.getvalue()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("mode", "form"), [("RGB", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("RGB", "JPEG")]
)
def test_a_picture_gets_a_small_one(place: Place, mode: str, form: str) -> None:
    found = preview(place, put(place, noise(800, 600, mode, form)))
    assert (found.width, found.height) == (800, 600)
    assert found.thumbnail
    with Image.open(place.folder / found.thumbnail) as small:
        assert (small.format, small.size) == ("WEBP", (384, 288))


def test_a_small_picture_is_its_own(place: Place) -> None:
    assert preview(place, put(place, noise(100, 80))) == Preview(None, 100, 80)
    assert not place.thumbnails.exists()


def test_a_thumbnail_is_made_once(place: Place) -> None:
    output = put(place, noise(800, 600))
    first = preview(place, output)
    assert first.thumbnail
    before = (place.folder / first.thumbnail).stat().st_mtime_ns
    assert preview(place, output) == first
    assert (place.folder / first.thumbnail).stat().st_mtime_ns == before


def test_a_file_that_is_another_one_now_gets_none(place: Place) -> None:
    """It would stand for the one that was paid for, and stay once that is fetched again."""
    output = put(place, noise(800, 600))
    put(place, noise(700, 600))
    assert preview(place, output) == Preview(None, 700, 600)
    assert not place.thumbnails.exists()


def test_one_that_is_not_to_be_made_is_left_out(place: Place) -> None:
    output = put(place, noise(800, 600))
    assert preview(place, output, draws=False) == Preview(None, 800, 600)
    preview(place, output)
    assert preview(place, output, draws=False).thumbnail


def test_a_picture_stands_upright(place: Place) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    found = preview(place, put(place, noise(800, 600, form="JPEG", exif=exif)))
    assert found.thumbnail
    assert (found.width, found.height) == (600, 800)
    with Image.open(place.folder / found.thumbnail) as small:
        assert small.size == (288, 384)


def test_a_picture_without_its_end_does_no_harm(place: Place) -> None:
    assert preview(place, put(place, noise(800, 600)[:5000])) == NOTHING
    assert not list(place.thumbnails.rglob("*.*"))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", bytes(5000)])
def test_what_is_no_picture_is_shown_as_it_is(place: Place, data: bytes) -> None:
    assert preview(place, put(place, data)) == NOTHING


def test_a_file_that_is_not_there_is_shown_as_missing(place: Place) -> None:
    assert preview(place, Output("gone.png", None, "image/png", 3, "0" * 64)) == NOTHING
    assert preview(place, Output("gone.json", None, "application/json", 3, "0" * 64)) == NOTHING


def test_a_huge_picture_is_not_decoded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes may say that they are a picture of a billion pixels."""
    monkeypatch.setattr(thumbnails, "_draw", lambda *_: pytest.fail("it was decoded"))
    head = b"IHDR" + (40_000).to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + head + zlib.crc32(head).to_bytes(4) + bytes(30_000)
    assert preview(place, put(place, bomb)) in (Preview(None, 40_000, 40_000), NOTHING)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"prompt": "say", "answer": ["an", "answer"]}, "an\nanswer"),
        ({"raw": "plain words"}, "plain words"),
        ({"other": 1}, '{"other": 1}'),
        ("x" * 5000, '"' + "x" * 1999),
    ],
)
def test_a_text_is_shown_by_its_beginning(place: Place, data: object, text: str) -> None:
    output = put(place, json.dumps(data).encode(), "application/json")
    assert preview(place, output) == Preview(text=text)


def test_other_files_have_no_preview(place: Place) -> None:
    assert preview(place, put(place, b"....", "video/mp4")) == NOTHING


def with_text(png: bytes, size: int) -> bytes:
    """Put a text of that size before the pixels."""
    text = b"tEXtnote\0" + bytes(size)
    return png[:33] + (len(text) - 4).to_bytes(4) + text + zlib.crc32(text).to_bytes(4) + png[33:]


def test_a_large_file_is_not_read_whole(place: Place) -> None:
    """The page shows the picture itself: to make a small one would take twice the file's size of memory."""
    output = put(place, with_text(noise(800, 600), 40_000_000))
    tracemalloc.start()
    try:
        assert preview(place, output) == NOTHING
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("picture", "has_one"),
    [
        (noise(800, 600), True),
        (with_text(noise(800, 600), 1000), True),
        (with_text(noise(800, 600), 5000), False),
        (noise(800, 600)[:8] + bytes.fromhex("00000000 49444154 35af061e") * 500, False),
        (noise(800, 600, "RGB", "JPEG"), False),
    ],
)
def test_of_a_larger_file_there_is_one_where_it_holds_little_but_pixels(
    place: Place, monkeypatch: pytest.MonkeyPatch, picture: bytes, *, has_one: bool
) -> None:
    monkeypatch.setattr(thumbnails, "MOST_BYTES", 5000)
    monkeypatch.setattr(thumbnails, "MOST_BESIDE", 4000)
    assert (preview(place, put(place, picture)).thumbnail is not None) is has_one


@pytest.mark.parametrize("kind", ["image/png", "application/json"])
def test_a_pipe_in_the_place_of_a_file_is_not_opened(place: Place, kind: str) -> None:
    os.mkfifo(place.run_folder / "pipe")
    assert preview(place, Output("pipe", None, kind, 3, "0" * 64)) == NOTHING
