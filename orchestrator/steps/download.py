"""One output brought home: fetched, checked, and only then put at its final name."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from orchestrator.clock import Clock
from orchestrator.steps.landing import UNKNOWN_EXTENSION, Landed, Landing, NotWhole
from orchestrator.threads import Hop, in_thread
from orchestrator.wiro.files import Body, FileBroken, FileError, FileGone, FileMisled, Files, FileUnavailable

GATHER_BYTES = 2**19
ATTEMPTS = 4
FIRST_ANSWER_SECONDS = 10.0
"""How long a server may take to begin with a file; after each failure twice as long.

To ask again costs nothing, and a server that has lost a request often answers the next one at once. It is longer where
the server takes its time for all that it is asked for.
"""

MOST_TIMES, MOST_BYTES_MORE = 64, 2**26
"""How much more than the service states may come where the server says no length: so many times that, and as much."""

LONGEST_WAIT_SECONDS = 60.0
UNKNOWN_CONTENT_TYPE = "application/octet-stream"

Reason: TypeAlias = Literal["refused", "misled", "expired", "unavailable", "broken", "blocked", "disk"]

IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP})
"""What the system says where one place cannot be written, and the rest of the disk can."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the service says of an output, and where it belongs.

    Attributes:
        url: Where it is.
        path_stem: Our path for it, relative, `/` between its parts, without an ending; never the service's words.
        content_type: As the service states it.
        size: As the service states it, bytes.
    """

    url: str
    path_stem: str
    content_type: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that stands whole and on disk at its final name.

    Attributes:
        path: Relative to the folder of the outputs, `/` between its parts.
        bytes: Its size.
        sha256: Of its bytes, 64 hexadecimal digits.
        content_type: By its bytes.
        warnings: Whole sentences: what was stated and did not fit.
    """

    path: str
    bytes: int
    sha256: str
    content_type: str
    warnings: tuple[str, ...] = ()


class DownloadFailed(Exception):  # noqa: N818 - an outcome: `except DownloadFailed` says all
    """An output is not there.

    Attributes:
        kind: `refused`: an address or a size that is not accepted. `misled`: the same of where the address redirects
            to. `expired`: the address is good no longer, ask `/Task/Detail` for a new one. `unavailable`: the server
            could not be reached or serve, which passes. `broken`: what came is no whole file, however often.
            `blocked`: something else stands at its place. `disk`: our side could not write; `errno` says why.
        message: A whole sentence, the same one for whatever fails alike.
        errno: The system's number of a `disk` or `blocked` failure, else None.
        kept: Where what came broken is kept, relative to the run folder; empty if it is not.
    """

    def __init__(self, kind: Reason, message: str, errno: int | None = None, kept: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.errno = errno
        self.kept = kept


async def download(
    files: Files,
    wanted: Wanted,
    folder: Path,
    clock: Clock,
    *,
    attempts: int = ATTEMPTS,
    keep: bool = True,
    hop: Hop = in_thread,
) -> Downloaded:
    """Fetch one output and put it into a folder.

    Args:
        files: Fetches.
        wanted: The output.
        folder: Where the outputs are; nothing is written outside.
        clock: For the waits between attempts.
        attempts: How many attempts in a row may fail before it gives up; one that brought the file further than any
            before by at least `GATHER_BYTES` starts the count again.
        keep: Whether what came broken is kept under `.suspect/` for people to look at.
        hop: Where the disk is written.

    Returns:
        The file as it stands on disk. One of the same name is replaced, unless it holds the same.

    Raises:
        DownloadFailed: It is not there.
        ValueError: The path is not relative or leads out of the folder.
    """
    arrival = _Arrival(Landing(folder, wanted.path_stem), hop)
    landing = arrival.landing
    try:
        landed = await _fetch(files, wanted, arrival, clock, attempts)
    except FileError as error:
        kept = await _abandon(landing, hop, keep=keep and isinstance(error, FileBroken))
        raise DownloadFailed(_reason(error), str(error), kept=kept and f"{folder.name}/{kept}") from error
    except OSError as error:
        await _abandon(landing, hop)
        raise await _disk_failure(error, folder, wanted.path_stem, hop) from error
    finally:
        landing.close()
    return _told(landed, wanted.content_type or arrival.content_type, wanted.size)


async def save_content(
    content: Mapping[str, object], path_stem: str, folder: Path, *, hop: Hop = in_thread
) -> Downloaded:
    """Put an output that came as text within a reply into a folder, as a JSON file.

    Args:
        content: What the service gave, JSON values.
        path_stem: As in `Wanted`.
        folder: As in `download`.
        hop: As in `download`.

    Returns:
        The file as it stands on disk.

    Raises:
        DownloadFailed: It could not be written (`disk`).
        ValueError: The path is not relative or leads out of the folder.
    """
    landing = Landing(folder, path_stem)

    def save() -> Landed:
        text = json.dumps(content, ensure_ascii=False, indent=2, default=_plain_number) + "\n"
        # Half a surrogate pair has no UTF-8; as the escape that it came as, it is still the same JSON.
        landing.take(text.encode(errors="backslashreplace"))
        return landing.land()

    try:
        return _told(await hop(save), None, None)
    except OSError as error:
        await _abandon(landing, hop)
        raise await _disk_failure(error, folder, path_stem, hop) from error
    finally:
        landing.close()


@dataclass(slots=True)
class _Arrival:
    """A landing, and which version of the file its bytes are of."""

    landing: Landing
    hop: Hop
    validator: str | None = None
    content_type: str | None = None
    is_spoiled: bool = False

    def begin(self, body: Body) -> None:
        """Get ready for the bytes of an answer, which may start again at 0."""
        if body.offset != self.landing.size:
            self.landing.restart()
        if body.offset == 0:
            self.validator = body.validator
            self.content_type = body.content_type

    def take(self, chunk: bytes, body: Body, stated_size: int | None) -> None:
        """Add bytes.

        Raises:
            FileBroken: They have no end, as it seems; nothing is kept of them.
        """
        self.landing.take(chunk)
        if body.total is not None or stated_size is None:
            return
        if self.landing.size > MOST_TIMES * stated_size + MOST_BYTES_MORE:
            self.landing.restart()
            raise FileBroken(body.host, f"far more came than the {stated_size} bytes that are stated")


async def _fetch(files: Files, wanted: Wanted, arrival: _Arrival, clock: Clock, attempts: int) -> Landed:
    failed = furthest = 0
    while True:
        wait = 0.0
        try:
            patience = max(FIRST_ANSWER_SECONDS, files.arrivals.unusual_seconds)
            return await _attempt(files, wanted, arrival, patience * 2.0**failed)
        except (FileBroken, FileUnavailable) as error:
            size = arrival.landing.size
            failed = 1 if size >= furthest + GATHER_BYTES else failed + 1
            furthest = max(furthest, size)
            if failed >= attempts:
                raise
            if isinstance(error, FileUnavailable):
                wait = error.retry_after_seconds or 0.0
        await clock.sleep(min(max(wait, 2.0 ** (failed - 1)), LONGEST_WAIT_SECONDS))


async def _attempt(files: Files, wanted: Wanted, arrival: _Arrival, answer_seconds: float) -> Landed:
    """Bring the rest of a file, or all of it where what is here cannot be gone on with, and land it."""
    landing = arrival.landing
    if arrival.is_spoiled:
        landing.restart()
        arrival.is_spoiled = False
    here = landing.size
    try:
        validator = arrival.validator
        async with files.open(wanted.url, offset=here, validator=validator, answer_seconds=answer_seconds) as body:
            arrival.begin(body)
            async for chunk in body.chunks():
                arrival.take(chunk, body, wanted.size)
                if landing.waiting_bytes >= GATHER_BYTES:
                    await arrival.hop(landing.flush)
    except FileBroken:
        arrival.is_spoiled = landing.size == here  # a resumption that brings nothing is not tried twice
        raise
    try:
        return await arrival.hop(landing.land)
    except NotWhole as error:
        arrival.is_spoiled = True
        raise FileBroken(body.host, str(error)) from error


async def _abandon(landing: Landing, hop: Hop, *, keep: bool = False) -> str:
    try:
        return await hop(partial(landing.abandon, keep=keep))
    except OSError:
        return ""  # the caller has something to tell that came before


def _plain_number(value: object) -> float | str:
    """Return a fraction, which replies hold as exact decimals, as JSON has it; what no float can hold, as text."""
    number = float(str(value))
    return number if math.isfinite(number) else str(value)


def _reason(error: FileError) -> Reason:
    match error:
        case FileGone():
            return "expired"
        case FileMisled():
            return "misled"
        case FileUnavailable():
            return "unavailable"
        case FileBroken():
            return "broken"
        case _:
            return "refused"


async def _disk_failure(error: OSError, folder: Path, path_stem: str, hop: Hop) -> DownloadFailed:
    what = f"The output {folder.name}/{path_stem} could not be written: {error.strerror or error}."
    if error.errno in IN_THE_WAY and await hop(folder.is_dir):
        return DownloadFailed("blocked", f"{what} Move away what stands at its place.", error.errno)
    remedy = "Make room" if error.errno in FULL else "Fix the cause"
    return DownloadFailed("disk", f"{what} {remedy}: nothing that the service has made is lost.", error.errno)


def _told(landed: Landed, stated_type: str | None, stated_size: int | None) -> Downloaded:
    """Set what was stated against what is there."""
    kind = landed.kind
    warnings = []
    if stated_size is not None and stated_size != landed.bytes:
        warnings.append(f"The service states {stated_size} bytes, the file has {landed.bytes}.")
    if kind is None:
        warnings.append(f"The file is of no known type and kept as .{UNKNOWN_EXTENSION}.")
    elif stated_type is not None and not kind.fits(stated_type):
        warnings.append(f"The stated content type does not fit: by its bytes the file is {kind.content_type}.")
    content_type = kind.content_type if kind else UNKNOWN_CONTENT_TYPE
    return Downloaded(landed.path, landed.bytes, landed.sha256, content_type, tuple(warnings))
