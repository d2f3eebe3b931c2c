from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweep.scalars import Meaning, SurpriseError, json_number, meaning, plain, simplest


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("42", Decimal(42)),
        ("-7", Decimal(-7)),
        ("0.10", Decimal("0.10")),
        (".5", Decimal("0.5")),
        ("1.0e+3", Decimal(1000)),
        ("-0", Decimal(0)),
        ("true", True),
        ("FALSE", False),
        ("no", False),
        ("On", True),
        ("nO", "nO"),
        ("y", "y"),
        ("~", None),
        ("", None),
        ("null", None),
        ("2026-11-22", "2026-11-22"),
        ("1girl", "1girl"),
        ("16:9 picture", "16:9 picture"),
        ("3.5.1", "3.5.1"),
        ("e", "e"),
        ("+", "+"),
        ("...", "..."),
    ],
)
def test_means(word: str, meant: Meaning) -> None:
    found = meaning(word)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    "word",
    [
        "012",
        "0o17",
        "0x1F",
        "0b1",
        "12:30",
        "1:30:00",
        "1e3",
        "1E-3",
        "1.5e3",
        "1_000",
        ".inf",
        "-.INF",
        ".nan",
        "9" * 61,
        "1.0e+99",
    ],
)
def test_surprises_are_refused(word: str) -> None:
    """What YAML readers disagree about is never guessed, and the hint says how to write it."""
    with pytest.raises(SurpriseError) as caught:
        meaning(word)
    assert caught.value.hint


@given(st.text(max_size=40))
def test_any_word_means_something_or_is_refused(word: str) -> None:
    try:
        found = meaning(word)
    except SurpriseError:
        return
    assert found is None or isinstance(found, (str, bool)) or found.is_finite()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_numbers_are_exact(number: Decimal) -> None:
    assert meaning(plain(number)) == number
    assert simplest(number) == number
    assert "E" not in plain(simplest(number))


def test_json_numbers() -> None:
    assert json_number(Decimal("4.0")) == 4
    assert isinstance(json_number(Decimal("4.0")), int)
    assert json_number(Decimal("0.1")) == 0.1
    with pytest.raises(ValueError, match="more digits"):
        json_number(Decimal("0.12345678901234567890"))
