"""A job file to start from, made from what a model takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from orchestrator.sweep.nodes import unwanted
from orchestrator.sweep.problems import printable, shorten
from orchestrator.sweep.scalars import SurpriseError, meaning, plain, simplest
from orchestrator.sweep.schema import FILE_TYPES, Kind, Parameter, Schema, UnfitError
from orchestrator.tasks import Scalar

PROMPTS: Final = ("a lighthouse at dusk, calm sea, watercolour", "a red sailing boat in a foggy harbour, watercolour")
"""What a required prompt is swept over."""
ADDRESS: Final = "https://example.com/picture.png"
"""What stands in for a required file."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MOST_OPTIONS = 12


def init_text(model: str, tool: Mapping[str, Any]) -> str:
    """Return a commented job file for a model, valid as it stands.

    Args:
        model: `owner/model`.
        tool: The `tool` mapping of a `/Tool/Detail` reply (the API page).

    Returns:
        YAML in which every parameter stands with its type, options, range and default. Where the model requires one
        and states no default, an example stands in.
    """
    parameters = {name: each for name, each in Schema.from_tool(tool).parameters.items() if not unwanted(name)}
    urls = {f"{name}Url" for name, each in parameters.items() if each.type in FILE_TYPES}
    swept = [each for each in parameters.values() if each.required and _takes_prompts(each)]
    fixed = [each for name, each in parameters.items() if each not in swept and name not in urls]
    axes = [axis for axis in map(_axis, fixed) if axis]
    parts = [
        "# yaml-language-server: $schema=job.schema.json",
        "# `orchestrator schema > job.schema.json` puts that one beside this file: editors then complete and check it.",
        f"# A start with {model}: each parameter and what it takes. `orchestrator plan` tells what it would do.",
        f"model: {_spelled(model)}",
        "",
        *_section("parameters", "sent with every task", [_line(each, parameters) for each in fixed]),
        "",
        *_section(
            "sweep",
            "every combination of these; to vary a parameter from above, write it here instead",
            [*(line for each in swept for line in _prompts(each)), *(f"# {axis}" for axis in axes)],
        ),
        "",
        "limits:",
        "  budget_usd: 1.00 # never more, over the whole life of the run folder",
    ]
    return "\n".join(parts) + "\n"


def _takes_prompts(parameter: Parameter) -> bool:
    return parameter.type == "textarea" and all(_fits(parameter, each) for each in PROMPTS)


def _section(key: str, says: str, lines: Iterable[str]) -> list[str]:
    """Return a key with its lines; it is a comment where all of them are."""
    written = list(lines)
    start = "" if any(not line.startswith("#") for line in written) else "# "
    return [f"{start}{key}: # {says}", *(f"  {line}" for line in written)]


def _prompts(parameter: Parameter) -> list[str]:
    return [f"{_key(parameter.name)}: # {_told(parameter)}", *(f"  - {_spelled(each)}" for each in PROMPTS)]


def _line(parameter: Parameter, parameters: Mapping[str, Parameter]) -> str:
    """Return the line of one parameter, a comment where it need not or cannot be given."""
    name, value, told = parameter.name, _example(parameter), _told(parameter)
    if parameter.type in FILE_TYPES and value is not None:
        url = f"{name}Url" if f"{name}Url" in parameters else name
        return f"{_key(url)}: {_spelled(ADDRESS)} # {told}; or {_key(name)}: picture.png, a file beside this one"
    if value is None:
        return f"# {_key(name)}: # {told}"
    return f"{_key(name)}: {value} # {told}"


def _example(parameter: Parameter) -> str | None:
    """Return a value for a parameter as YAML, or None where it has no default and needs none."""
    candidates: list[Scalar] = [parameter.default]
    if parameter.required:
        numbers = [each for each in (parameter.low, parameter.high, Decimal(1)) if each is not None]
        texts = [option.value for option in parameter.options] or [ADDRESS if parameter.type in FILE_TYPES else "text"]
        candidates += texts if parameter.kind is Kind.TEXT else [plain(each) for each in numbers]
    for value in candidates:
        if value is not None and _fits(parameter, value):
            return _spelled(value, number=parameter.kind in (Kind.NUMBER, Kind.DECIMAL))
    return None


def _fits(parameter: Parameter, value: Scalar) -> bool:
    given = value if isinstance(value, (str, bool)) else Decimal(str(value))
    try:
        parameter.send(given)
    except UnfitError:
        return False
    return unwanted(str(value)) is None


def _axis(parameter: Parameter) -> str | None:
    """Return a way to vary a parameter, or None where none suggests itself."""
    name, low, high = _key(parameter.name), parameter.low, parameter.high
    if len(parameter.options) > 1:
        return f"{name}: all"
    if "seed" in parameter.name.lower() and parameter.kind is not Kind.FLAG:
        return f"{name}: {{random: 4, from: {int(low or 1)}, to: {int(high or 2**31 - 1)}}}"
    if parameter.type in FILE_TYPES:
        return f'{name}: {{files: "inputs/*.png"}}'
    if low is not None and high is not None and low < high:
        whole = low == int(low) and high == int(high)
        distance = f"step: {max(1, int(high - low) // 3)}" if whole else "count: 3"
        return f"{name}: {{from: {plain(low)}, to: {plain(high)}, {distance}}}"
    return None


def _told(parameter: Parameter) -> str:
    """Return what a parameter takes, in words on one line."""
    told = [parameter.type, "required"] if parameter.required else [parameter.type]
    if parameter.low is not None or parameter.high is not None:
        ends = (("from", parameter.low), ("to", parameter.high))
        told.append(" ".join(f"{word} {plain(simplest(end))}" for word, end in ends if end is not None))
    if parameter.options:
        told.append(f"one of {_options(parameter)}")
    if parameter.default not in (None, ""):
        told.append(f"default {shorten(_spelled(parameter.default))}")
    return printable(", ".join(told))


def _options(parameter: Parameter) -> str:
    shown = [
        shorten(_spelled(each.value)) + (f" ({shorten(each.label)})" if each.label != each.value else "")
        for each in parameter.options[:_MOST_OPTIONS]
    ]
    return " | ".join(shown) + (" | …" if len(parameter.options) > _MOST_OPTIONS else "")


def _key(name: str) -> str:
    return name if _WORD.fullmatch(name) and _is_plain(name, number=False) else _quoted(name)


def _spelled(value: Scalar, *, number: bool = False) -> str:
    """Return a value as YAML that means the same to every reader; `number` lets a text be one."""
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else plain(Decimal(str(value)))
    if _is_plain(text, number=number or text is not value):
        return text
    quoted = _quoted(text)
    return f"{{raw: {quoted}}}" if "{" in text or "}" in text else quoted  # braces that hold no names


def _is_plain(text: str, *, number: bool) -> bool:
    try:
        meant = meaning(text)
    except SurpriseError:
        return False
    if isinstance(meant, Decimal):
        return plain(meant) == text or number
    return meant == text and all(_WORD.fullmatch(word) for word in re.split("[ /-]", text))


def _quoted(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped)
