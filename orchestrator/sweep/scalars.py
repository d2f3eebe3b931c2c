"""What an unquoted word of YAML means here: exact numbers, and nothing that surprises."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

Meaning: TypeAlias = str | Decimal | bool | None
"""What a scalar can mean; the number is exact, as written."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
_LIKE_A_NUMBER = re.compile(r"[-+]?(?:[0-9.]|0[xob])[0-9a-fA-FxobE_:.+-]*")
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")
_OTHER_BASE = re.compile(r"[-+]?0(?:[0-9_]+|o[0-7_]+|x[0-9a-fA-F_]+|b[01_]+)")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_UNDERSCORED = re.compile(r"[-+]?[0-9][0-9_.]*")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_LOOSE_FLAGS = {"yes": True, "on": True, "no": False, "off": False}
_LARGEST_EXPONENT = 30
_LONGEST = 60
_BIGGEST = f"numbers up to 1e{_LARGEST_EXPONENT} with at most {_LONGEST} characters can be used."


class SurpriseError(ValueError):
    """A word that YAML readers take for different things; `hint` says how to write what is meant."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def meaning(word: str) -> Meaning:
    """Return what an unquoted word stands for.

    Args:
        word: The scalar's text, as it stands in the file.

    Returns:
        An exact number, a truth value (`yes`, `no`, `on`, `off` among them), None for nothing, or the text itself.

    Raises:
        SurpriseError: The word means different things to different readers: octals, `12:30`, `1e3`, `1_000`, `.nan`.
    """
    folded = word.lower()
    if word in (folded, folded.capitalize(), folded.upper()):
        if folded in _WORDS:
            return _WORDS[folded]
        if folded in _LOOSE_FLAGS:
            return _LOOSE_FLAGS[folded]
    if _LIKE_A_NUMBER.fullmatch(word) is None and _NOT_FINITE.fullmatch(word) is None:
        return word
    if _INTEGER.fullmatch(word) or _DECIMAL.fullmatch(word):
        return exact(word)
    _refuse_surprises(word)
    return word


def exact(word: str) -> Decimal:
    """Return the number that digits spell.

    Raises:
        SurpriseError: It has too many digits, or is out of reach.
    """
    if len(word) > _LONGEST:
        raise SurpriseError("a number with too many digits", f'Put it in quotes if it is text: "…"; {_BIGGEST}')
    number = Decimal(word)
    if number and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise SurpriseError(f"`{word}` is out of reach", f'Put it in quotes if it is text: "{word}"; {_BIGGEST}')
    return abs(number) if number == 0 else number


def plain(number: Decimal) -> str:
    """Return a number as plain text in its own digits: `3.50`, never `8E-1`."""
    return format(number, "f")


def simplest(number: Decimal) -> Decimal:
    """Return an equal number with no needless digits, so that 3.0 and 3 are one."""
    whole = number.to_integral_value()
    return Decimal(int(whole)) if number == whole else number.normalize()


def json_number(number: Decimal) -> int | float:
    """Return a number as JSON has it: whole ones without a point.

    Raises:
        ValueError: The number has more digits than a JSON number keeps.
    """
    if number == number.to_integral_value():
        return int(number)
    nearest = float(number)
    if Decimal(repr(nearest)) != number:
        raise ValueError(f"{plain(number)} has more digits than can be sent")
    return nearest


def _refuse_surprises(word: str) -> None:
    quoted = f'put it in quotes if it is text: "{word}"'
    if _OTHER_BASE.fullmatch(word):
        digits = word.lstrip("+-").lstrip("0")
        number = f"write {digits} if it is a decimal number, " if digits.isdigit() else ""
        raise SurpriseError(f"`{word}` reads as an octal, hexadecimal or binary number", f"{number}{quoted}.")
    if _SEXAGESIMAL.fullmatch(word):
        raise SurpriseError(f"`{word}` reads as a number to the base of 60", f"{quoted}.")
    if _EXPONENT.fullmatch(word):
        hint = f"write all digits if it is a number ({_digits(word)}), {quoted}."
        raise SurpriseError(f"`{word}` is text to some YAML readers and a number to others", hint)
    if _NOT_FINITE.fullmatch(word):
        raise SurpriseError(f"`{word}` is not a finite number", f"{quoted}.")
    if _UNDERSCORED.fullmatch(word) and "_" in word:
        without = word.replace("_", "")
        raise SurpriseError(
            f"`{word}` is text to some YAML readers and a number to others", f"write {without}, or {quoted}."
        )


def _digits(word: str) -> str:
    try:
        number = Decimal(word)
    except InvalidOperation:  # the exponent is beyond all reason
        return "1000 for 1e3"
    return plain(number) if abs(number.adjusted()) <= _LARGEST_EXPONENT else "1000 for 1e3"
