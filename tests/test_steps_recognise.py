"""Types and ends of files: real ones by the libraries that write them, cut, mangled and made up."""

from __future__ import annotations

import io
import json
import struct
import wave
import zipfile
from typing import Any, BinaryIO

import pytest
from hypothesis import example, given, strategies as st
from PIL import Image, ImageChops
from typing_extensions import override

from orchestrator.steps.recognise import BLOCK_BYTES, HEAD_BYTES, HTML, TEXT, kind_of


def is_complete(file: BinaryIO) -> bool:
    """Return whether a file is of a known type and all there, as a download finds it by its first bytes and its end."""
    file.seek(0)
    kind = kind_of(file.read(HEAD_BYTES))
    return kind is not None and kind.is_whole(file)


def picture(form: str, **options: Any) -> bytes:
    image = (
        ImageChops.add(Image.linear_gradient("L"), Image.effect_noise((256, 256), 20)).convert("RGB").resize((60, 45))
    )
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def animation() -> bytes:
    frames = [Image.new("P", (20, 20), colour) for colour in (1, 2, 3)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], comment=b"three frames; and more")
    return out.getvalue()


def sound() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        writer.writeframes(bytes(1001 * 2))
    return out.getvalue()


def archive(comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as writer:
        writer.writestr("a.txt", "a lighthouse at dusk" * 20)
        writer.writestr("b.txt", "a harbour in fog" * 20)
        writer.comment = comment
    return out.getvalue()


def box(name: bytes, content: bytes, *, is_large: bool = False) -> bytes:
    if is_large:
        return struct.pack(">I4sQ", 1, name, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), name) + content


def video(brand: bytes = b"isom") -> bytes:
    return box(b"ftyp", brand + bytes(8)) + box(b"moov", bytes(300)) + box(b"mdat", bytes(500), is_large=True)


def svg() -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>\n'


SAMPLES: dict[str, tuple[bytes, str, str]] = {
    "png": (picture("PNG"), "png", "image/png"),
    "jpeg": (picture("JPEG", quality=80), "jpg", "image/jpeg"),
    "jpeg, progressive": (picture("JPEG", progressive=True, exif=b"Exif\x00\x00" + bytes(40)), "jpg", "image/jpeg"),
    "jpeg, restarts": (picture("JPEG", restart_marker_blocks=2), "jpg", "image/jpeg"),
    "webp": (picture("WEBP"), "webp", "image/webp"),
    "gif": (animation(), "gif", "image/gif"),
    "pdf": (picture("PDF"), "pdf", "application/pdf"),
    "wav": (sound(), "wav", "audio/wav"),
    "mp4": (video(), "mp4", "video/mp4"),
    "mov": (video(b"qt  "), "mov", "video/quicktime"),
    "m4a": (video(b"M4A "), "m4a", "audio/mp4"),
    "avif": (video(b"avif"), "avif", "image/avif"),
    "zip": (archive(), "zip", "application/zip"),
    "zip, comment": (archive(b"made by hand"), "zip", "application/zip"),
    "glb": (b"glTF" + struct.pack("<II", 2, 200) + bytes(188), "glb", "model/gltf-binary"),
    "svg": (svg(), "svg", "image/svg+xml"),
    "svg, declared": (b'<?xml version="1.0"?>\n<!-- drawn -->\n' + svg(), "svg", "image/svg+xml"),
    "json": (json.dumps({"a": ['} "\\', [1, {"b": "\\\\"}]], "ö": None}).encode(), "json", "application/json"),
    "mp3": (b"\xff\xfb\x90\x64" + bytes(413), "mp3", "audio/mpeg"),
    "mp3, tagged": (
        b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128) + b"\xff\xfb\x90\x64" + bytes(50),
        "mp3",
        "audio/mpeg",
    ),
    "text": ("Ein Leuchtturm in der Dämmerung.\n".encode(), "txt", "text/plain"),
}
WITH_AN_END = [name for name in SAMPLES if not name.startswith(("mp3", "text", "svg, "))]
PICTURES = ["png", "jpeg", "jpeg, progressive", "webp", "gif"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_whole_file_is_known_and_complete(name: str) -> None:
    data, extension, content_type = SAMPLES[name]
    kind = kind_of(data[:HEAD_BYTES])
    assert kind is not None
    assert (kind.extension, kind.content_type) == (extension, content_type)
    assert is_complete(io.BytesIO(data))


@pytest.mark.parametrize("name", WITH_AN_END)
@given(data=st.data())
def test_a_file_without_its_end_is_not_complete(name: str, data: st.DataObject) -> None:
    whole = SAMPLES[name][0].rstrip(b"\n")
    cut = data.draw(st.integers(16, len(whole) - 1))
    assert not is_complete(io.BytesIO(whole[:cut]))


@pytest.mark.parametrize("name", PICTURES)
@given(more=st.binary(min_size=1, max_size=50))
def test_bytes_behind_the_end_of_a_picture_are_tolerated(name: str, more: bytes) -> None:
    assert is_complete(io.BytesIO(SAMPLES[name][0] + more))


@given(st.data())
def test_a_changed_byte_in_a_png_is_noticed(data: st.DataObject) -> None:
    png = bytearray(SAMPLES["png"][0])
    png[data.draw(st.integers(8, len(png) - 1))] ^= data.draw(st.integers(1, 255))
    assert not is_complete(io.BytesIO(png))


def test_a_png_needs_pixels() -> None:
    whole = SAMPLES["png"][0]
    assert not is_complete(io.BytesIO(whole[:33] + whole[-12:]))


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_picture() -> None:
    """An EXIF segment holds a whole small JPEG, its end mark included."""
    whole = SAMPLES["jpeg"][0]
    segment = b"Exif\x00\x00" + whole
    outer = b"\xff\xd8\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + whole[2:]
    assert is_complete(io.BytesIO(outer))
    assert not is_complete(io.BytesIO(outer[: 6 + len(segment)]))
    assert not is_complete(io.BytesIO(outer[: -len(whole) // 2]))


def test_a_marker_across_the_border_of_two_blocks_is_seen() -> None:
    head = b"\xff\xd8\xff\xda\x00\x02"
    for shift in range(-3, 3):
        scan = b"\x11" * (BLOCK_BYTES + shift)
        assert is_complete(io.BytesIO(head + scan + b"\xff\xd9"))
        assert not is_complete(io.BytesIO(head + scan + b"\xff\x00\xd9\xff\xd3\xd9"))


def test_an_escape_across_the_border_of_two_blocks_is_seen() -> None:
    for shift in range(-4, 4):
        text = b'{"' + b"a" * (BLOCK_BYTES + shift) + rb"\"}\\"
        assert is_complete(io.BytesIO(text + b'"}'))
        assert not is_complete(io.BytesIO(text))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_sound_written_to_a_pipe_has_no_size(size: int) -> None:
    data = bytearray(sound())
    data[4:8] = struct.pack("<I", size)
    assert is_complete(io.BytesIO(data))


def test_a_box_of_size_0_reaches_to_the_end_and_a_video_needs_its_index() -> None:
    head = box(b"ftyp", b"isom" + bytes(8))
    assert is_complete(io.BytesIO(head + box(b"moov", b"") + struct.pack(">I4s", 0, b"mdat") + bytes(99)))
    assert not is_complete(io.BytesIO(head + box(b"mdat", bytes(99))))
    assert not is_complete(io.BytesIO(head + box(b"moov", bytes(99))))


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><title>Sign in</title>",
        b"\xef\xbb\xbf\r\n  <HTML lang=en>",
        b"<!-- a --> <!-- b -->\n<html>",
        b'<?xml version="1.0"?><!DOCTYPE  html PUBLIC "x"><html>',
        b"<head><title>502 Bad Gateway</title></head>",
        b"<html></html>",
    ],
)
def test_a_web_page_is_known_and_never_complete(page: bytes) -> None:
    assert kind_of(page) is HTML
    assert not is_complete(io.BytesIO(page))


@pytest.mark.parametrize(
    "head", [b"", b"\x00\x01\x02", b"\x7fELF\x02", "Ä".encode("latin-1"), b"plain\x00text", bytes(99)]
)
def test_other_bytes_are_of_no_known_type(head: bytes) -> None:
    assert kind_of(head) is None
    assert not is_complete(io.BytesIO(head))


@pytest.mark.parametrize("text", [b"[verse 1] la la", b"{braces}", b"<note>", b"a <html> tag is no page", b"12"])
def test_text_that_looks_like_something_is_text(text: bytes) -> None:
    assert kind_of(text) is TEXT
    assert is_complete(io.BytesIO(text))


def test_a_character_cut_by_the_end_of_the_head_is_no_fault() -> None:
    text = ("a" + "ö" * HEAD_BYTES).encode()
    assert kind_of(text[:HEAD_BYTES]) is TEXT
    assert kind_of(text[: HEAD_BYTES - 2]) is None


class Frugal(io.BytesIO):
    """A file that must be read in small pieces."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 <= size <= 2 * BLOCK_BYTES
        return super().read(size)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 2_000_000,
        b"\xff\xd8\xff\xda\x00\x02" + b"\xff\x00" * 1_000_000,
        b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffIDAT" + bytes(2_000_000),
        b"GIF89a" + bytes(7) + b"!\xf9" + b"\x01" * 2_000_000,
        b"\x00\x00\x00\x08ftyp" * 200_000,
        b'{"' + b"\\" * 2_000_000,
        b"[" * 2_000_000,
        b"PK\x03\x04" + b"PK\x05\x06" * 500_000,
        b"<!---->" * (HEAD_BYTES // 7),
        b" " * 2_000_000,
    ],
    ids=range(10),
)
def test_hostile_files_cost_linear_time_and_constant_memory(data: bytes) -> None:
    is_complete(Frugal(data))


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_files_are_read_in_pieces(name: str) -> None:
    assert is_complete(Frugal(SAMPLES[name][0]))


@given(st.sampled_from([sample[0] for sample in SAMPLES.values()]), st.integers(0, 40), st.binary(max_size=80))
@example(b"RIFF", 4, b"\x00\x00\x00\x00WEBP")
@example(b"PK\x05\x06", 4, b"")
def test_no_bytes_make_it_fail(start: bytes, kept: int, rest: bytes) -> None:
    is_complete(io.BytesIO(start[:kept] + rest))


@pytest.mark.parametrize(
    ("name", "stated", "fits"),
    [
        ("png", "image/png", True),
        ("png", "Image/PNG; charset=binary", True),
        ("png", "application/octet-stream", True),
        ("png", "", True),
        ("png", "image/jpeg", False),
        ("jpeg", "image/jpg", True),
        ("wav", "audio/x-wav", True),
        ("json", "text/html", False),
        ("text", "text/csv", True),
        ("text", "model/obj", True),
        ("text", "image/png", False),
    ],
)
def test_stated_types_fit_under_their_other_names(name: str, stated: str, fits: bool) -> None:
    kind = kind_of(SAMPLES[name][0][:HEAD_BYTES])
    assert kind is not None
    assert kind.fits(stated) is fits
