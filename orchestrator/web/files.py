"""What is handed out of a run folder: outputs, thumbnails and the data of its page, and nothing else.

Scripts come from the package alone. A run folder may be a stranger's, so its data is handed out only if it is data.
"""

from __future__ import annotations

import asyncio
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from orchestrator.output.gallery.place import MOST_BYTES, Place
from orchestrator.web.guard import OUTPUT_POLICY

SCRIPT: Final = "text/javascript"
TYPES: Final = MappingProxyType(
    {
        ".avif": "image/avif",
        ".css": "text/css",
        ".gif": "image/gif",
        ".html": "text/html",
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".js": SCRIPT,
        ".json": "application/json",
        ".mp3": "audio/mpeg",
        ".mp4": "video/mp4",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".txt": "text/plain",
        ".wav": "audio/wav",
        ".webm": "video/webm",
        ".webp": "image/webp",
    }
)
"""Content types by suffix; all else is a file to be saved."""

ALWAYS_ASKED: Final = "private, no-cache"
NEVER_CHANGES: Final = "private, max-age=86400, immutable"

_DATA: Final = re.compile(rb"gallery\.take\('([a-z0-9-]+)','[^'\\\r\n]*+(?:\\.[^'\\\r\n]*+)*+'\)\n")
"""A script that does nothing but hand one text over."""

OPENING_SECONDS: Final = 1.0
"""How long a file may take to be opened for somebody who has gone."""

_ONE_RANGE: Final = re.compile(r"bytes=(?:\d+-\d*|-\d+)", re.ASCII)

_PACKAGED: Final = ("orchestrator.web", "orchestrator.output.gallery")


def asset(name: str) -> bytes | None:
    """Return a script, style or page of the package, None where there is no such one; it blocks."""
    if not re.fullmatch(r"[a-z]+\.(?:css|html|js)", name):
        return None
    found: Traversable
    for package in _PACKAGED:
        found = resources.files(package).joinpath("assets", name)
        if found.is_file():
            return found.read_bytes()
    return None


def data(place: Place, name: str) -> tuple[bytes, str] | None:
    """Return a script file of the page's data and its version, None where there is none that is one; it blocks.

    Args:
        place: Where the page lies.
        name: Without its suffix.
    """
    path = inside(place.run_folder, "page/data", f"{name}.js")
    if path is None or path.stat().st_size > MOST_BYTES:
        return None
    version = stamp(path)
    content = path.read_bytes()
    held = _DATA.fullmatch(content)
    return (content, version) if held is not None and held[1] == name.encode() else None


def inside(run_folder: Path, below: str, path: str) -> Path | None:
    """Return a file of a run folder, None where it is hidden, leads elsewhere or is no file; it blocks.

    Args:
        run_folder: The run folder.
        below: The part of it that must not be left, by `..` or by links either.
        path: From there, as in an address whose percent signs are decoded.
    """
    parts = path.split("/")
    if any(not part or part[0] == "." or re.search(r"[\\:\0]", part) for part in parts):
        return None
    try:
        home = run_folder.resolve() / below
        found = home.joinpath(*parts).resolve(strict=True)
        return found if found.is_relative_to(home) and found.is_file() else None
    except (OSError, ValueError, RuntimeError):  # names too long, not text, links in a circle
        return None


def stamp(path: Path) -> str:
    """Return what changes whenever a file does, empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def served(path: Path, *, keeps: bool) -> web.FileResponse:
    """Return the answer that holds a file, or the part of it that is asked for.

    Args:
        path: The file.
        keeps: Whether what stands at its address never changes.
    """
    kind = TYPES.get(path.suffix.lower())
    headers = {
        "Content-Type": kind or "application/octet-stream",
        "Content-Security-Policy": OUTPUT_POLICY,
        "Cache-Control": NEVER_CHANGES if keeps else ALWAYS_ASKED,
    }
    if kind is None:
        headers["Content-Disposition"] = "attachment"
    return _File(path, headers=headers)


class _File(web.FileResponse):
    """A file, or one part of it; whoever asks for several gets all of it, which RFC 9110 (14.2) allows.

    aiohttp opens it in a thread and forgets it there if it is cancelled meanwhile: whoever asked has gone.
    """

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        asked = request.headers.get(hdrs.RANGE)
        if asked is not None and not _ONE_RANGE.fullmatch(asked):
            kept = request.headers.copy()
            kept.popall(hdrs.RANGE)
            request = request.clone(headers=kept)
        answering = asyncio.ensure_future(super().prepare(request))
        try:
            return await asyncio.shield(answering)
        except asyncio.CancelledError:
            try:
                await asyncio.wait({answering}, timeout=OPENING_SECONDS)
            finally:
                answering.cancel()
            raise
