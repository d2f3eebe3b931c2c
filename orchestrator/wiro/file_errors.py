"""Why a file was not fetched."""

# ruff: noqa: N818 - these are outcomes, and `except FileGone` says more than `except FileGoneError`

from __future__ import annotations

from typing import ClassVar


class FileError(Exception):
    """A file was not fetched; the text is a whole sentence that names the host but no path or query.

    Attributes:
        host: The host that was asked, as it stands in the address.
        reason: What happened, a clause.
    """

    sentence: ClassVar[str] = "A file from {host} was not fetched: {reason}."

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(self.sentence.format(host=host or "an address without a host", reason=reason))
        self.host = host
        self.reason = reason


class FileRefused(FileError):
    """The address, or one that it redirects to, is none that may be asked; nothing was sent to it."""

    sentence = "A file from {host} was refused: {reason}."


class FileMisled(FileRefused):
    """It is a redirect that leads where nothing may be asked; another answer may lead elsewhere."""


class FileGone(FileError):
    """The server has no such file for us (any more): HTTP 403, 404, 410 and other 4xx that time does not heal."""

    sentence = "A file is not to be had from {host}, expired or deleted: {reason}."


class FileUnavailable(FileError):
    """The server could not be reached or could not serve; this passes.

    Attributes:
        retry_after_seconds: How long the server asks to be left alone, if it says so.
    """

    sentence = "A file could not be fetched from {host} just now: {reason}."

    def __init__(self, host: str, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(host, reason)
        self.retry_after_seconds = retry_after_seconds


class FileBroken(FileError):
    """What came is not the file, or not all of it."""

    sentence = "A file from {host} did not arrive whole: {reason}."


class FileTooLarge(FileError):
    """The file is, or turned out to be, larger than is accepted."""

    sentence = "A file from {host} is too large: {reason}."
