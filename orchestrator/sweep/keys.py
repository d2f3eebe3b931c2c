"""What may stand at the top of a job file."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from orchestrator.sweep.forms import AXES, ROW, definitions, read_axes, read_row
from orchestrator.sweep.nodes import Node, kind_of
from orchestrator.sweep.problems import Problems
from orchestrator.sweep.readers import TEXT, JsonSchema, Key, Keys, Reader, mapping, members_schema, text, whole, word
from orchestrator.sweep.selection import (
    ROWS,
    RULES,
    SAMPLE,
    ZIP,
    read_rows,
    read_rules,
    read_sample,
    read_zip,
)
from orchestrator.sweep.settings import LIMITS, OUTPUTS, RETRY

LATER = ("notify",)
"""Keys that are described and not built."""

_MODEL = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_BIND = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})", re.ASCII)
_TRACKING = word(("auto", "poll", "socket", "webhook"))


def _read_model(node: Node, problems: Problems) -> str | None:
    found = text(node, problems, "owner/model")
    if found is None or (_MODEL.fullmatch(found) and not set(found.split("/")) & {".", ".."}):
        return found
    hint = "Write the last two parts of the model's address: `model: owner/model`."
    problems.add(node.mark, f"{kind_of(node)} was given where owner/model is expected.", hint)
    return None


def _read_callback_url(node: Node, problems: Problems) -> str | None:
    found = text(node, problems, "the address of a server")
    if found is None or _is_address(found):
        return found
    hint = "Write what the service can reach from the internet: `callback_url: https://host/path`."
    problems.add(node.mark, f"{kind_of(node)} was given where an address without a password is expected.", hint)
    return None


def _is_address(found: str) -> bool:
    try:
        parts = urlsplit(found)
        _, host = parts.port, parts.hostname
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc or re.search(r"[\s\x00-\x1f]", found))
    return parts.scheme in {"http", "https"} and bool(host) and plain


def _read_callback_bind(node: Node, problems: Problems) -> tuple[str, int] | None:
    found = text(node, problems, "HOST:PORT")
    match = None if found is None else _BIND.fullmatch(found)
    if match is not None and int(match[2]) < 2**16:
        return match[1].strip("[]"), int(match[2])
    if found is not None:
        hint = "Write an address of this machine: `callback_bind: 127.0.0.1:8757`."
        problems.add(node.mark, f"{kind_of(node)} was given where HOST:PORT is expected.", hint)
    return None


KEYS: Keys = {
    "name": Key(
        "The run's name and that of its folder; {date} and {time} can stand in it. The file's name by default.", TEXT
    ),
    "model": Key(
        "Which model, owner/model.", Reader(_read_model, {"type": "string", "pattern": f"^{_MODEL.pattern}$"})
    ),
    "parameters": Key("What is sent with every task.", Reader(read_row, ROW)),
    "variables": Key("Axes that only templates use; they are never sent by themselves.", Reader(read_axes, AXES)),
    "sweep": Key("What is varied: every combination, the first axis outermost.", Reader(read_axes, AXES)),
    "zip": Key("Groups of axes that move together.", Reader(read_zip, ZIP)),
    "exclude": Key("Cells to leave out: those where all conditions of a rule hold.", Reader(read_rules, RULES)),
    "include": Key("Extra tasks.", Reader(read_rows, ROWS)),
    "sample": Key("A part of the grid that stays the same.", Reader(read_sample, members_schema(SAMPLE, ["count"]))),
    "repeat": Key("How many times each task is done. 1 by default.", whole(1, 100_000)),
    "order": Key("The order of the tasks. grid by default.", word(("grid", "shuffled"))),
    "limits": Key("What a run may not exceed.", mapping(LIMITS)),
    "retry": Key("How often a failed task is tried.", mapping(RETRY)),
    "tracking": Key("How the end of a task is found out. auto by default.", _TRACKING),
    "callback_url": Key(
        "The public address that the service calls when a task has ended, for `tracking: webhook`.",
        Reader(_read_callback_url, {"type": "string", "pattern": "^https?://"}),
    ),
    "callback_bind": Key(
        "Where the program listens for these calls, HOST:PORT. 127.0.0.1:8757 by default.",
        Reader(_read_callback_bind, {"type": "string", "pattern": f"^{_BIND.pattern}$"}),
    ),
    "outputs": Key("Where outputs go.", mapping(OUTPUTS)),
}


def job_schema() -> JsonSchema:
    """Return the JSON Schema of the job file, for editors; the package ships it as `sweep/job.schema.json`."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A job file of orchestrator",
        **members_schema(KEYS, ["model"]),
        "definitions": definitions(),
    }
