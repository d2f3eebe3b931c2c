from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from PIL import Image, ImageDraw

from orchestrator.errors import RefusedError
from orchestrator.output.sheet.lettering import Lettering, is_right_to_left, shortened, wrapped

WIDE_LETTERS = 2.0


def measure(text: str) -> float:
    """Count capitals twice."""
    return sum(WIDE_LETTERS if letter.isupper() else 1.0 for letter in text)


@given(st.text(max_size=200), st.integers(2, 40), st.integers(1, 5))
def test_lines_fit_and_hold_the_text(text: str, width: int, most: int) -> None:
    lines = wrapped(text, width, most, measure)
    assert len(lines) <= most
    assert all(measure(line) <= width for line in lines)
    whole = "".join(text.split())
    said = "".join("".join(lines).split())
    if "…" not in said:
        assert said == "".join(letter for letter in whole if not (ord(letter) < 32 or ord(letter) == 127))


def test_a_long_text_loses_its_middle() -> None:
    (line,) = wrapped("a harbour in fog, ink wash on paper", 20, 1, len)
    assert line.startswith("a harbour in")
    assert line.endswith("paper")
    assert "…" in line


def test_words_stay_whole_where_they_can() -> None:
    assert wrapped("a harbour in fog\nat dusk", 10, 9, len) == ["a harbour", "in fog at", "dusk"]
    assert wrapped("EulerAncestralDiscreteScheduler", 16, 9, len) == ["EulerAncestral", "Discrete", "Scheduler"]
    assert wrapped("DDIMScheduler", 11, 9, len) == ["DDIM", "Scheduler"]
    assert wrapped("abcdefghijklmnop", 12, 9, len) == ["abcdefghijkl", "mnop"]


@given(st.text(), st.integers(1, 50))
def test_shortened_keeps_both_ends(text: str, most: int) -> None:
    found = shortened(text, most)
    assert len(found) <= most
    assert found == text or found[0] in {text[0], "…"}


@pytest.mark.parametrize(
    ("text", "is_so"), [("שלום", True), ("1. שלום", True), ("fox שלום", False), ("", False), ("مرحبا", True)]
)
def test_the_first_letter_says_from_where_it_is_read(text: str, is_so: bool) -> None:
    assert is_right_to_left(text) is is_so


def test_a_text_in_english_needs_no_font_of_the_system() -> None:
    lettering = Lettering()
    assert lettering.fitting("A fox, 42?", 15).getname() == ("Aileron", "Regular")  # type: ignore[union-attr]  # Pillow's
    assert lettering.lacking == set()


def test_letters_that_no_font_has_are_told() -> None:
    lettering = Lettering()
    lettering.fitting("a \U0010fffd\U000e0fff", 15)
    lettering.fitting("\u2fff\U0001fbf0", 15)
    assert lettering.lacking <= {"\u2fff", "\U0001fbf0"}


def test_a_font_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ttf").write_bytes(b"no font")
    for path in (tmp_path / "x.ttf", tmp_path / "missing.ttf"):
        with pytest.raises(RefusedError, match="cannot be read as a font"):
            Lettering(path)


def ink(text: str) -> tuple[int, int, int, int]:
    picture = Image.new("L", (300, 40))
    Lettering().write(ImageDraw.Draw(picture), (10, 5, 290, 35), text, 15, "white")
    box = picture.getbbox()
    assert box
    return box


def test_words_stand_where_they_are_read_from() -> None:
    assert ink("fox")[0] < 20
    assert ink("שלום")[2] > 280
