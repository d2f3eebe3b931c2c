"""What can become of bytes, texts and JSON on the way or on a disk, as the dice will have it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

Dice = random.Random


def nested(times: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(times):
        value = [value]
    return value


STRANGE: Final[tuple[Any, ...]] = (
    *(None, "", 0, -1, True, False, [], {}, [[]], {"a": None}, ["x"] * 50, nested(60)),
    *(2**63 - 1, -(2**63), 10**30, -(10**30), 1e300, -1.5, float("nan"), float("inf")),
    *("x", "nan", "-1", "1e999", "Infinity", "9" * 500, "0.0000000000001", "\0", "\ud83d", "\x1b[31m", "é\u2028"),
    *("null", "[]", "{}", "[" * 5000, "../../../x", "/nowhere/x", "http://", "http://[::1", "file:///nowhere"),
    *("task_postprocess_end", "task_cancel", "task_error", "pending", "done", "fetching"),
)
"""What nobody wrote; JSON all of it, if `NaN` and `Infinity` are."""


OTHER: Final = (
    *(b"", b"null", b"[]", b"5", b'"x"', b"{}", b'{"result": true}', b'{"result": false}', b"<html>Sorry</html>"),
    b'{"result": "maybe", "errors": [[]]}',
)
"""What may come instead of a reply."""


def dice(seed: int) -> Dice:
    return random.Random(seed)  # noqa: S311 - chooses harms


def trials(few: int, many: int) -> pytest.MarkDecorator:
    """Give a test a `seed` from 0 on: a few times, and `many` times where the long tests run too."""
    more = (pytest.param(seed, marks=pytest.mark.long) for seed in range(few, many))
    return pytest.mark.parametrize("seed", [*range(few), *more])


def harm_json(value: Any, dice: Dice) -> list[Any]:
    """Change, remove or repeat one place inside a JSON value, and return the way to it."""
    way: list[Any] = []
    while keys := list(value) if isinstance(value, dict) else list(range(len(value))):
        way.append(key := dice.choice(keys))
        inner = value[key]
        chance = dice.random()
        if isinstance(inner, (dict, list)) and inner and chance < 0.7:
            value = inner
            continue
        if chance < 0.78:
            del value[key]
        elif chance < 0.82 and isinstance(value, list):
            value.append(inner)
        elif chance < 0.88 and not isinstance(inner, str):
            value[key] = json.dumps(inner)
        else:
            value[key] = dice.choice(STRANGE)
            way.append(value[key])
        break
    return way


def harmed_json(value: Any, dice: Dice) -> Any:
    """Return a copy of a JSON value with a few places changed."""
    copy = json.loads(json.dumps(value))
    for _ in range(dice.choice((1, 1, 2, 4))):
        harm_json(copy, dice)
    return copy


def harmed_bytes(data: bytes, dice: Dice) -> bytes:
    """Return bytes with some flipped, cut off, zeroed or doubled, or others in their place."""
    held = bytearray(data)
    at = dice.randrange(len(held)) if held else 0
    match dice.choice(("flipped", "flipped", "cut", "zeroed", "doubled", "noise")):
        case "flipped":
            for _ in range(dice.choice((1, 1, 5, 30, 300)) if held else 0):
                held[dice.randrange(len(held))] = dice.randrange(256)
        case "cut":
            del held[at:]
        case "zeroed":
            length = min(dice.choice((16, 512, 4096)), len(held) - at)
            held[at : at + length] = bytes(length)
        case "doubled":
            held[at:at] = held[at : at + dice.choice((1, 100, 4096))]
        case _:
            held = bytearray(dice.randbytes(3000))
    return bytes(held)


def harmed_reply(body: bytes, dice: Dice) -> bytes:
    """Return a reply of the service's that is JSON no more, or other JSON."""
    told = json.loads(body)
    first, last = b'{"result": true, "tasklist": [], "tool": [],', b', "tasklist": [{"id": "1"}], "result": false}'
    kinds: list[Callable[[], bytes]] = [
        *[lambda: json.dumps(harmed_json(told, dice)).encode()] * 8,
        lambda: json.dumps(harmed_json(told, dice)).replace('"0"', "NaN").encode(),
        lambda: harmed_bytes(body, dice),
        lambda: first + body[1:],
        lambda: body[:-1] + last,
        lambda: body.replace(b"a", b"\xff", 1),
        lambda: b'{"tasklist":' + b"[" * 100_000 + b"}",
        lambda: b"\xef\xbb\xbf" + body,
        lambda: b"[" + body + b"]",
        lambda: dice.choice(OTHER),
    ]
    return dice.choice(kinds)()


def harmed_text(text: str, words: Sequence[str], dice: Dice) -> str:
    """Return a text with some of its characters, words or lines replaced, left out, doubled or moved."""
    for _ in range(dice.randint(1, 5)):
        at = dice.randint(0, len(text))
        lines, parts = text.split("\n"), re.split(r"(\s+|[:,{}\[\]])", text)
        one, other = dice.randrange(len(parts)), dice.randrange(len(parts))
        line = dice.randrange(len(lines))
        match dice.randrange(6):
            case 0:
                text = text[:at] + dice.choice(words) + text[at + dice.randint(0, 5) :]
            case 1:
                odd = dice.choice((0, 9, 10, 127, 0x2028, 0xD800, 0x1F600, dice.randrange(32, 127)))
                text = text[:at] + chr(odd) + text[at + 1 :]
            case 2:
                text = "\n".join((*lines[:line], lines[line], *lines[line:]))
            case 3:
                text = "\n".join((*lines[:line], *lines[line + 1 :]))
            case 4:
                parts[one], parts[other] = parts[other], parts[one]
                text = "".join(parts)
            case _:
                parts[one] = dice.choice(words)
                text = "".join(parts)
    return text
