"""The service's JSON as frozen dataclasses: strings and numbers alike, nothing demanded, nothing raised."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, NoReturn

from orchestrator.wiro.errors import one_line

DEBUG_TAIL = 4096
LARGEST = 10**15
MOST_USD = 10**6  # no task costs as much
DEEPEST = 64
"""How deep a reply may be nested: what comes later (to print, to compare, to store) need not count any more."""

EARLIEST, LATEST = 10**9, 10**10
"""Unix seconds of the moments that can be told: the service is younger than 2001, and milliseconds are beyond it."""
PLAIN_DIGITS = 15

QUEUED = "task_queue"
UNDER_WAY_STATUSES = frozenset(
    {
        QUEUED,
        "task_accept",
        "task_assign",
        "task_preprocess_start",
        "task_preprocess_end",
        "task_start",
        "task_output",
        "task_output_full",
        "task_error_full",
        "task_end",
        "task_postprocess_start",
    }
)
FINISHED, CANCELLED, ENDED_BEFORE_IT_RAN = "task_postprocess_end", "task_cancel", "task_error"
ENDED_STATUSES = frozenset({FINISHED, CANCELLED, ENDED_BEFORE_IT_RAN})

Json = dict[str, Any]
"""A JSON object as received; its fractions are `Decimal`, so write it with `json.dumps(…, default=str)`."""


class Phase(Enum):
    """Where a remote task stands, as far as a client cares."""

    UNDER_WAY = "under way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What `/Run` gives: the id of the remote task and the token that opens it."""

    task_id: str
    token: str | None = field(repr=False)

    @property
    def number(self) -> int | None:
        """See `RemoteTask.number`."""
        return id_number(self.task_id)


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """One output: a file behind a `url`, or (language models) `content` without one.

    Attributes:
        id: What the service calls it, empty where it does not.
        name: The file's name, empty where the service gives none. Not safe to use as a path.
        url: The file's address on the CDN.
        content_type: As the service says; `raw` for text.
        size: Bytes, as the service says.
        content: The text output as received.
    """

    id: str
    name: str
    url: str | None
    content_type: str | None
    size: int | None
    content: Json | None


@dataclass(frozen=True, slots=True)
class RemoteTask:
    """A task as the service shows it. Whatever it leaves out, or writes in a way that cannot be read, is None or empty.

    Attributes:
        task_id: The service's number for it, as text.
        token: Opens the task; a secret.
        model: `owner/model`.
        parameters: As the service repeats them, fractions as `Decimal`; None where absent or unreadable.
        status: The service's word, in lower case.
        exit_text: `pexit` as received, empty where it is neither a text nor a number.
        cost_usd: What it was billed.
        outputs: What it made.
        error_text: The end of what it wrote to its error stream.
        debug_output: The end of what the model has written so far.
        created_at: Unix seconds; the newer reply form does not say it.
        elapsed_seconds: Run time by the service's account.
        garbled: Whether a cost or outputs stand there in a way that cannot be read.
    """

    task_id: str
    token: str | None = field(repr=False)
    model: str | None
    parameters: Json | None
    status: str
    exit_text: str
    cost_usd: Decimal | None
    outputs: tuple[RemoteOutput, ...]
    error_text: str
    debug_output: str
    created_at: float | None
    elapsed_seconds: float | None
    garbled: bool = False

    @property
    def number(self) -> int | None:
        """The id as a number; a task that was created later has a greater one."""
        return id_number(self.task_id)

    @property
    def exit_code(self) -> int | None:
        """`pexit` as a number; None where it is absent or no number."""
        return whole(self.exit_text)

    @property
    def known_status(self) -> bool:
        """Whether the API page knows the status."""
        return is_known(self.status)

    @property
    def phase(self) -> Phase:
        """What the status means; an unknown one means under way.

        A `pexit` that is no number says as little as none: outputs tell success there. Where it is 0 and outputs are
        there, the task was made, whatever its end is called.
        """
        if self.status not in ENDED_STATUSES:
            return Phase.UNDER_WAY
        if self.exit_code == 0 and (self.outputs or self.status == FINISHED):
            return Phase.SUCCEEDED
        if self.status == FINISHED:
            return Phase.SUCCEEDED if self.exit_code is None and self.outputs else Phase.FAILED
        return Phase.CANCELLED if self.status == CANCELLED else Phase.FAILED

    @property
    def unclear(self) -> bool:
        """Whether it ended without saying how: no `pexit` that is a number, and no outputs (yet).

        A cost of 0 does not say it: it may be written down later than the end.
        """
        return self.status == FINISHED and self.exit_code is None and not self.outputs

    @property
    def has_failed(self) -> bool:
        """Whether it is plain that it failed or was cancelled."""
        phase = self.phase
        return (phase is Phase.FAILED or phase is Phase.CANCELLED) and not self.unclear

    @property
    def unbilled(self) -> bool:
        """Whether it plainly failed for nothing: it says so, or shows no sign of a cost or of outputs.

        The API page: failed and cancelled tasks are not billed; older replies leave their cost out.
        """
        if self.cost_usd is not None:
            return self.has_failed and self.cost_usd == 0
        return self.has_failed and not (self.garbled or self.outputs or self.exit_code == 0)

    @property
    def queued(self) -> bool:
        """Whether nothing has begun to work on it yet."""
        return self.status == QUEUED

    @property
    def progress(self) -> float | None:
        """The share done, 0 to 1, by the last progress bar in the model's output."""
        return bar_share(self.debug_output)


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of the account's tasks, newest first, and how many there are in all (None where not said)."""

    tasks: tuple[RemoteTask, ...]
    total: int | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that now lies on the service."""

    url: str
    name: str
    size: int | None


def parse(body: bytes) -> Json:
    """Read a reply.

    Raises:
        ValueError: The body is no JSON object: bad UTF-8, too deep, a number beyond bounds, NaN, a list, half of it.
    """
    try:
        value = _decode(body.decode())
        # JavaScript cuts text between the halves of a character; such halves can be neither printed nor stored.
        value = _mended(value) if b"\\ud" in body.lower() else value
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ValueError("no JSON that can be read") from error
    if not isinstance(value, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - to a caller, all that is wrong with a body is one error
    if body.count(b"[") + body.count(b"{") > DEEPEST and _is_deep(value, DEEPEST):
        raise ValueError("nested too deep")
    return value


def read_status(value: object) -> str:
    """Return a status in lower case on one line; empty where it is no text."""
    return one_line(text(value)).lower()


def is_known(status: str) -> bool:
    """Return whether the API page knows a status."""
    return status in UNDER_WAY_STATUSES or status in ENDED_STATUSES


def bar_share(shown: str) -> float | None:
    """Return the share that the last progress bar in a text shows, 0 to 1; None where there is none."""
    bars = _BAR.findall(shown)
    return min(int(bars[-1]), 100) / 100 if bars else None


def read_accepted(reply: Mapping[str, Any]) -> Accepted | None:
    """Read the reply of `/Run`; the ids stand at its top or under `data`. None where there is no id."""
    data = reply.get("data")
    for place in (reply, data if isinstance(data, dict) else {}):
        task_id = text(place.get("taskid"))
        if task_id:
            return Accepted(task_id, _token(place))
    return None


def read_page(reply: Mapping[str, Any]) -> TaskPage | None:
    """Read a `tasklist`; None where it cannot be read whole (an entry that is hidden from us may be one of ours)."""
    entries = reply.get("tasklist")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return None
    return TaskPage(tuple(map(read_task, entries)), whole(reply.get("total")))


def read_task(entry: Mapping[str, Any]) -> RemoteTask:
    """Read an entry of a `tasklist`."""
    owner, model = _slug(entry.get("modelslugowner")), _slug(entry.get("modelslugproject"))
    cost, outputs = entry.get("totalcost"), entry.get("outputs")
    cost_usd, listed = money(cost), outputs if isinstance(outputs, list) else []
    made = tuple(_output(output) for output in listed if isinstance(output, dict))
    return RemoteTask(
        task_id=text(entry.get("id")),
        token=_token(entry),
        model=f"{owner}/{model}" if owner and model else None,
        parameters=_parameters(entry.get("parameters")),
        status=read_status(entry.get("status")),
        exit_text=text(entry.get("pexit")),
        cost_usd=cost_usd,
        outputs=made,
        error_text=text(entry.get("debugerror"))[-DEBUG_TAIL:],
        debug_output=text(entry.get("debugoutput"))[-DEBUG_TAIL:],
        created_at=_moment(entry.get("createtime")),
        elapsed_seconds=_seconds(entry.get("elapsedseconds")),
        garbled=(cost_usd is None and cost not in (None, "")) or bool(outputs and not made),
    )


def read_upload(reply: Mapping[str, Any]) -> Upload | None:
    """Read the reply of `/File/Upload`; None where there is no address in it."""
    files = reply.get("list")
    first = files[0] if isinstance(files, list) and files else None
    if not isinstance(first, dict) or not text(first.get("url")):
        return None
    return Upload(text(first.get("url")), text(first.get("name")), whole(first.get("size")))


def text(value: object) -> str:
    """Return a text or a number as text without spaces around it, anything else as the empty text."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else ""


def number(value: object) -> Decimal | None:
    """Return a number, or a text that is one, as an exact number; None for all else and beyond ±10¹⁵."""
    written = text(value)
    if not _NUMBER.fullmatch(written):
        return None
    found = Decimal(written)
    return found if abs(found) <= LARGEST else None


def whole(value: object) -> int | None:
    """Return a whole number, also where it is written `6.0000`; None for all else."""
    if isinstance(value, str) and len(value) <= PLAIN_DIGITS and value.isascii() and value.isdigit():
        return int(value)  # nearly every reply, and so worth a short way
    if value is None:
        return None
    found = number(value)
    return int(found) if found is not None and found == found.to_integral_value() else None


def id_number(task_id: str) -> int | None:
    """Return a task's id as a number however long it is; None where it is none, and so has no order."""
    return int(task_id) if re.fullmatch(r"\d{1,100}", task_id, re.ASCII) else None


def money(value: object) -> Decimal | None:
    """Return an amount in USD without trailing zeros; None where it is none, negative, or more than anything costs."""
    found = number(value)
    if found is None or not 0 <= found <= MOST_USD:
        return None
    plain = found.normalize()
    return plain if plain.as_tuple().exponent <= 0 else plain.quantize(Decimal(1))  # type: ignore[operator]  # finite


_BAR = re.compile(r"(?<!\d)(\d{1,3})%\|", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?", re.ASCII)


def _token(entry: Mapping[str, Any]) -> str | None:
    return text(entry.get("socketaccesstoken")) or text(entry.get("tasktoken")) or None


def _slug(value: object) -> str:
    """Return half of a model's name; empty for what is none, which then speaks for no other model."""
    written = text(value)
    return written if re.fullmatch(r"[\w.-]*[^\W\d_][\w.-]*", written) else ""


def _seconds(value: object) -> float | None:
    seconds = whole(value)
    found = number(value) if seconds is None else seconds
    return None if found is None or found < 0 else float(found)


def _moment(value: object) -> float | None:
    seconds = _seconds(value)
    return seconds if seconds is not None and EARLIEST <= seconds < LATEST else None


def _output(entry: Mapping[str, Any]) -> RemoteOutput:
    url, content = text(entry.get("url")) or None, entry.get("content")
    if content is not None and not isinstance(content, dict):
        content = {"raw": content}
    return RemoteOutput(
        id=text(entry.get("id")),
        name=text(entry.get("name")),
        url=url,
        content_type=text(entry.get("contenttype")) or None,
        size=whole(entry.get("size")),
        content=content if url is None else None,
    )


def _parameters(value: object) -> Json | None:
    if isinstance(value, str):
        try:
            return parse(value.encode())
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_decode = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse).decode


def _is_deep(value: object, left: int) -> bool:
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(left == 0 or _is_deep(item, left - 1) for item in held)


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return {_mended(name): _mended(item) for name, item in value.items()} if isinstance(value, dict) else value
