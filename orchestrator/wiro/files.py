"""Files on the network: which addresses may be asked for them, and what comes back, whole or said not to be."""

from __future__ import annotations

import asyncio
import math
import re
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from orchestrator.wiro.addresses import AddressPolicy, AddressRefused, CheckedResolver
from orchestrator.wiro.arrivals import Arrivals, Line
from orchestrator.wiro.exchange import USER_AGENT, Answer, Exchange
from orchestrator.wiro.file_errors import (
    FileBroken,
    FileError,
    FileGone,
    FileMisled,
    FileRefused,
    FileTooLarge,
    FileUnavailable,
)
from orchestrator.wiro.inflating import ENCODINGS, Inflater

__all__ = [
    "AddressPolicy",
    "Body",
    "FileBroken",
    "FileError",
    "FileGone",
    "FileMisled",
    "FileRefused",
    "FileTooLarge",
    "FileUnavailable",
    "Files",
]

MAX_REDIRECTS = 5
MAX_BYTES = 16 * 2**30
READ_BUFFER_BYTES = 2**18
SLOW_BYTES = 2**15
SLOW_SECONDS = 60.0
"""So much has to come in so long: a server that drips holds nobody up."""

FOREIGN = (AddressRefused, aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
"""What a request raises; time-outs are `OSError`."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One answer: what it says about the file, and its bytes.

    Attributes:
        host: The host that answered, after redirects.
        status: 200, 206, or 416 where nothing was left to send.
        offset: Where in the file these bytes start: 0, or what was asked for.
        total: The size of the whole file in bytes, if stated; that of a compressed answer says nothing of it.
        validator: The strong ETag, else Last-Modified: what a later resumption has to name; none if compressed.
        content_type: As the server states it.
    """

    host: str
    status: int
    offset: int
    total: int | None
    validator: str | None
    content_type: str | None
    _content: aiohttp.StreamReader = field(repr=False)
    _max_bytes: int = field(repr=False)
    _line: Line = field(repr=False)
    _slow_seconds: float = field(default=SLOW_SECONDS, repr=False)
    _inflater: Inflater | None = field(default=None, repr=False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the bytes as they come; at the end they are as many as was promised.

        Raises:
            FileBroken: Fewer or more bytes came than were promised, or the connection dropped.
            FileUnavailable: Nothing, or next to nothing, came for too long.
            FileTooLarge: More came than is accepted.
        """
        reached = marked = self.offset
        time = asyncio.get_running_loop().time
        due = time() + self._slow_seconds
        if self.status != 416:
            while chunk := await self._next():
                self._line.heard(len(chunk))
                for piece in self._plain(chunk):
                    reached += len(piece)
                    if reached > self._max_bytes:
                        raise FileTooLarge(self.host, f"more than {self._max_bytes} bytes came")
                    yield piece
                if time() >= due:
                    if reached - marked < SLOW_BYTES:
                        raise FileUnavailable(self.host, "it sends too slowly")
                    marked, due = reached, time() + self._slow_seconds
        if self._inflater is not None and not self._inflater.is_whole:
            raise FileBroken(self.host, "it came compressed, and lacks its end")
        if self.total is not None and reached != self.total:
            raise FileBroken(
                self.host, "fewer bytes came than it has" if reached < self.total else "more bytes came than it has"
            )

    def _plain(self, chunk: bytes) -> Iterator[bytes]:
        try:
            yield from self._inflater.pieces(chunk) if self._inflater else (chunk,)
        except zlib.error:
            raise FileBroken(self.host, "it came compressed, and damaged") from None

    async def _next(self) -> bytes:
        """Return what has come by now, or comes next; nothing at the end."""
        self._line.waits = True
        try:
            return await self._content.readany()
        except FOREIGN as error:
            raise _outcome(error, self.host, dropped=FileBroken) from error
        finally:
            self._line.waits = False


class Files:
    """Fetches files by their addresses, which others chose: it trusts none of them and sends no credentials.

    The address that is really connected to is checked, for each redirect anew. Behind a proxy it is the proxy that
    looks up names; then only literal addresses can be checked here.

    Args:
        policy: Which addresses may be connected to.
        connect_seconds: How long name look-up, connecting and TLS may take together.
        idle_seconds: How long the server may send nothing.
        answer_seconds: How long the head of an answer may take from the request on, connecting included.
        slow_seconds: How long `SLOW_BYTES` of a file may take.
        resolver: Looks up names instead of the system; its answers are checked all the same.
        connector: Connects instead of one made here, and is not closed; whoever gives it checks the addresses.
        proxy: The address of a proxy for all requests.
        max_bytes: The largest file that is accepted.

    Attributes:
        arrivals: What has come so far, and of how much nothing comes just now.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        connect_seconds: float = 10,
        idle_seconds: float = 30,
        answer_seconds: float = 60,
        slow_seconds: float = SLOW_SECONDS,
        resolver: AbstractResolver | None = None,
        connector: aiohttp.BaseConnector | None = None,
        proxy: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._policy = policy
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._answer_seconds = answer_seconds
        self._slow_seconds = slow_seconds
        self._resolver = resolver
        self._connector = connector
        self._proxy = proxy
        self._max_bytes = max_bytes
        self._own: aiohttp.BaseConnector | None = None
        self._exchange: Exchange | None = None
        self.arrivals = Arrivals()

    async def __aenter__(self) -> Self:
        self._own = None if self._connector else self._own_connector()
        connector = self._connector or self._own
        assert connector is not None  # noqa: S101 - it is either given or our own
        self._exchange = Exchange(
            connector,
            {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT},
            connect_seconds=self._connect_seconds,
            idle_seconds=self._idle_seconds,
            read_buffer_bytes=READ_BUFFER_BYTES,
            proxy=self._proxy,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exchange = None
        if self._own is not None:
            await self._own.close()

    def open(
        self, url: str, *, offset: int = 0, validator: str | None = None, answer_seconds: float = math.inf
    ) -> AbstractAsyncContextManager[Body]:
        """Ask for a file, or for what is left of it.

        Args:
            url: Its address; http or https, credentials in it are left out.
            offset: How many bytes are here already. They are asked for again where the server knows no ranges or
                its file has changed: look at `Body.offset`.
            validator: What an earlier `Body` of this file gave; without one the file is read from its start.
            answer_seconds: How long the head of its answer may take, where that is less than it may take at all.

        Returns:
            The body, open as long as the context is.

        Raises:
            FileRefused: No address that may be asked; `FileMisled` where it is one that it redirects to.
            FileGone: The server does not give it (any more).
            FileUnavailable: Not now; this passes.
            FileBroken: The answer makes no sense: an unknown compression, a wrong range.
            FileTooLarge: Its stated size is more than is accepted.
        """
        return self._open(url, offset if validator else 0, validator, answer_seconds)

    @asynccontextmanager
    async def _open(self, url: str, offset: int, validator: str | None, answer_seconds: float) -> AsyncIterator[Body]:
        headers = {"Range": f"bytes={offset}-", "If-Range": validator} if offset and validator else {}
        line = self.arrivals.open()
        try:
            host, answer = await self._answer(url, headers, min(answer_seconds, self._answer_seconds))
            try:
                line.answered()
                yield self._read_head(host, answer, offset, validator, line)
            finally:
                answer.close()
        finally:
            line.close()

    async def _answer(self, url: str, headers: dict[str, str], seconds: float) -> tuple[str, Answer]:
        """Return the host that answers, after redirects, and its answer."""
        target, redirected = self._permitted(url), False
        for _ in range(MAX_REDIRECTS + 1):
            try:
                answer = await self._asked_in_time(target, headers, seconds)
                if answer.status not in REDIRECTS:
                    return _host(target), answer
                answer.close()
                redirected = True
                target = self._permitted(answer.headers.get("Location", ""), target)
            except FileRefused as error:
                if redirected:
                    raise FileMisled(error.host, error.reason) from error
                raise
        raise FileMisled(_host(target), f"it took more than {MAX_REDIRECTS} redirects")

    async def _asked_in_time(self, target: URL, headers: dict[str, str], seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                return await self._asked(target, headers)
        except FOREIGN as error:
            raise _outcome(error, _host(target), dropped=FileUnavailable) from error

    async def _asked(self, target: URL, headers: dict[str, str]) -> Answer:
        """Ask once; once more where a server has closed a connection that was kept, which tells nothing of the file."""
        if self._exchange is None:
            raise RuntimeError("Files is used outside its context.")
        try:
            return await self._exchange.ask("GET", target, headers)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            return await self._exchange.ask("GET", target, headers)

    def _read_head(self, host: str, answer: Answer, offset: int, validator: str | None, line: Line) -> Body:
        """Judge an answer by its status line and headers."""
        headers, most = answer.headers, self._max_bytes
        start, total = _place(host, answer, offset)
        if total is not None and total > most:
            raise FileTooLarge(host, f"it has {total} bytes, at most {most} are accepted")
        etag = headers.get("ETag", "")
        found = etag if etag.startswith('"') else headers.get("Last-Modified")
        if start and found and found != validator:
            raise FileBroken(host, "a part of another version came")
        inflater = _inflater(host, headers.get("Content-Encoding", ""), start)
        if inflater is not None:  # what the head says is of the compressed file
            total = found = None
        stated, slow_seconds = headers.get("Content-Type"), self._slow_seconds
        return Body(
            host, answer.status, start, total, found, stated, answer.content, most, line, slow_seconds, inflater
        )

    def _permitted(self, url: str, base: URL | None = None) -> URL:
        before = _host(base) if base else ""
        try:
            target = base.join(URL(url)) if base else URL(url)
            host = _host(target)
            port_is_sound = target.port is None or target.port > 0
        except ValueError:
            raise FileRefused(before, "its address cannot be read") from None
        if target.scheme not in {"http", "https"} or not host or not port_is_sound:
            raise FileRefused(host or before, "only http and https addresses are fetched")
        # Numbers are no names: aiohttp connects to them without asking the resolver, in whatever notation they are.
        if (":" in host or host.replace(".", "").isdigit()) and not self._policy.permits(host, host):
            raise FileRefused(host, "its address is not a public one")
        return target if target.raw_user is None and target.raw_password is None else target.with_user(None)

    def _own_connector(self) -> aiohttp.TCPConnector:
        if self._proxy is not None:
            return aiohttp.TCPConnector(limit=0, resolver=self._resolver)
        resolver = CheckedResolver(self._policy, self._resolver or aiohttp.ThreadedResolver())
        return aiohttp.TCPConnector(limit=0, resolver=resolver)


def _host(url: URL) -> str:
    return url.raw_host or ""


def _place(host: str, answer: Answer, offset: int) -> tuple[int, int | None]:
    """Return where the bytes of an answer start and how large the file is (RFC 9110, 14 and 15)."""
    status = answer.status
    if status == 200:
        length = answer.headers.get("Content-Length")
        return 0, None if length is None else int(length)
    if status in {408, 429} or status >= 500:
        raise FileUnavailable(host, f"it answered HTTP {status}", _retry_after(answer.headers))
    if 400 <= status < 500 and status != 416:
        raise FileGone(host, f"it answered HTTP {status}")
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if match and offset:
        first, last, size = match.groups()
        if status == 416 and size == str(offset):
            return offset, offset
        if status == 206 and first and int(first) == offset and size in {str(int(last) + 1), "*"}:
            return offset, int(last) + 1
    raise FileBroken(host, f"it answered HTTP {status}, which does not fit what was asked")


def _inflater(host: str, encoding: str, start: int) -> Inflater | None:
    """Return what undoes a compression that was not asked for; a part of a compressed file is of no use."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return None
    if start or encoding not in ENCODINGS:
        raise FileBroken(host, "it came compressed, which was not asked for")
    return Inflater()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`; a date is read against the server's own clock, its `Date`."""
    text = headers.get("Retry-After", "")
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return float(text)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _outcome(error: Exception, host: str, *, dropped: type[FileError]) -> FileError:
    """Return what an error of the network or of aiohttp means; `dropped` says what a lost connection is."""
    match error:
        case AddressRefused():
            return FileRefused(host, "its name stands for an address that is not a public one")
        case TimeoutError():
            return FileUnavailable(host, "it took too long to answer")
        case aiohttp.ClientConnectorError() | aiohttp.ClientHttpProxyError():
            return FileUnavailable(host, "it could not be reached")
        case aiohttp.ClientConnectionError() | OSError():
            return dropped(host, "the connection was lost")
        case ValueError():  # aiohttp's InvalidURL is one, and so are names that cannot be encoded
            return FileRefused(host, "its address cannot be read")
        case _:
            return FileBroken(host, "the answer broke off or is not HTTP")
