from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from orchestrator.names import COMPONENT_LIMIT, PART_LIMIT, file_stem, join_parts, safe_part

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a lighthouse at dusk, ink wash", "a-lighthouse-at-dusk-ink-wash"),
        ("DDIMScheduler", "DDIMScheduler"),
        ("--only_base_model", "only_base_model"),
        ("3.5", "3.5"),
        ("../../etc/passwd", "etc-passwd"),
        (".hidden", "hidden"),
        ("trailing. ", "trailing"),
        ("CON", "CON_"),
        ("nul.txt", "nul_txt"),
        ("COM¹", "COM¹_"),
        ("", "empty"),
        ("🌊🌊", "empty"),
        ("Straße am Meer", "Straße-am-Meer"),
        ("e\u0301te\u0301", "été"),
        ("灯台 の 夕暮れ", "灯台-の-夕暮れ"),
        ('a<b>c:d"e|f?g*h\\i', "a-b-c-d-e-f-g-h-i"),
        ("line\nbreak\x00", "line-break"),
    ],
)
def test_reads_well(text: str, part: str) -> None:
    assert safe_part(text) == part


@given(st.text(max_size=300), st.integers(min_value=16, max_value=PART_LIMIT))
@example("a" * 300, PART_LIMIT)
@example("\U0001f1e9" + "字" * 300, PART_LIMIT)
@example("con." + "a" * 80, 16)
def test_safe_everywhere(text: str, limit: int) -> None:
    """Whatever a prompt holds, its part of a path is safe on every system, and stays as it is."""
    part = safe_part(text, limit)
    assert 0 < len(part) <= limit
    assert len((file_stem(part, "abcdefgh", 9999) + ".jpeg").encode()) <= 255
    assert not {part[0], part[-1]} & set(".- ")
    assert not set(part) & set('<>:"/\\|?*\0')
    assert part.isprintable()
    assert part.split(".")[0].lower() not in RESERVED
    assert unicodedata.is_normalized("NFC", part)
    assert safe_part(part, limit) == part


def test_shortened_at_a_word() -> None:
    text = "a very long prompt that goes on and on about a lighthouse and the sea around it in the evening"
    part = safe_part(text)
    assert len(part) <= PART_LIMIT
    assert text.replace(" ", "-").startswith(part + "-")


def test_no_letter_loses_its_mark() -> None:
    text = "x" * (PART_LIMIT - 1) + "q\u0323\u0307"
    assert safe_part(text) == "x" * (PART_LIMIT - 1)


def test_the_longest_piece_gives_way() -> None:
    joined = join_parts(["lighthouse " * 20, "-", "12345"])
    assert joined.endswith("-12345")
    assert len(joined) <= PART_LIMIT


def test_file_name_within_the_limit() -> None:
    name = file_stem("x" * PART_LIMIT, "abcdefgh", 12) + ".png"
    assert name.endswith("-abcdefgh-12.png")
    assert len(name) <= COMPONENT_LIMIT
