"""Words in pictures: readable by others, and the pixels are not touched."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, strategies as st
from PIL import Image

from orchestrator.output.export.embedding import OWN, copy_png, save, text_chunks, xmp

TEXTS = {"Title": "harbours", "Description": 'a <fox> & "quotes" שלום 🦊', OWN: '{"seed": "42"}'}


def png() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((40, 30), 90).save(file, "PNG")
    return file.getvalue()


def copied(data: bytes, texts: dict[str, str]) -> bytes:
    target = io.BytesIO()
    copy_png(io.BytesIO(data), target, texts)
    return target.getvalue()


def test_a_copy_holds_the_texts_and_the_same_bytes_of_the_picture() -> None:
    before = png()
    after = copied(before, TEXTS)
    with Image.open(io.BytesIO(after)) as found, Image.open(io.BytesIO(before)) as original:
        assert found.tobytes() == original.tobytes()
        assert {name: found.info[name] for name in TEXTS} == TEXTS
    assert after.replace(text_chunks(TEXTS), b"") == before


@given(
    st.dictionaries(st.sampled_from(["Title", "Description", OWN]), st.text(st.characters(exclude_categories=["C"])))
)
def test_any_text_can_be_read_back(texts: dict[str, str]) -> None:
    with Image.open(io.BytesIO(copied(png(), texts))) as found:
        found.load()
        assert {name: found.info[name] for name in texts} == texts


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\nnothing more", zlib.compress(b"x" * 99)])
def test_what_is_no_png_is_copied_as_it_is(data: bytes) -> None:
    assert copied(data, TEXTS) == data


@pytest.mark.parametrize("ending", [".png", ".webp"])
def test_a_picture_is_saved_with_its_texts(tmp_path: Path, ending: str) -> None:
    save(Image.new("RGB", (8, 8)), tmp_path / "draft", ending, TEXTS, 80)
    with Image.open(tmp_path / "draft") as found:
        assert found.format == ending[1:].upper()
        if ending == ".png":
            assert found.info["Description"] == TEXTS["Description"]
        else:
            told = ET.fromstring(found.info["xmp"])  # noqa: S314 - it is our own
            words = [text.strip() for text in told.itertext() if text.strip()]
            assert sorted(words) == sorted(TEXTS.values())


def test_control_characters_do_not_break_the_packet(tmp_path: Path) -> None:
    assert b"\x00" not in xmp({"Title": "a\x00b\ud800\x1fc"})
    save(Image.new("RGB", (8, 8)), tmp_path / "x", ".png", {"Title": "a\ud800b"}, 80)
