"""One attempt at one endpoint: bytes out, a JSON object or a `WiroError` back."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from orchestrator.wiro import wire
from orchestrator.wiro.auth import HIDDEN, Credentials, Nonce
from orchestrator.wiro.connections import BeforeSend, Call, ConnectionTooOldError, Connector, current_call
from orchestrator.wiro.errors import NotSent, ReplyLost, failure
from orchestrator.wiro.exchange import USER_AGENT, Exchange, whole

MAX_REPLY_BYTES: Final = 16 * 1024 * 1024
JSON_TYPE: Final = {"Content-Type": "application/json"}
SESSION_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
Reply: TypeAlias = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""

CALLBACK: Final = "callbackUrl"
"""What `/Run` takes beside the model's parameters: the address to call when the task has ended (the API page)."""

TOKEN_FIELDS: Final = ("tasktoken", "socketaccesstoken")
FOREIGN: Final = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, EOFError)
"""All that aiohttp, ssl and the sockets below them raise; time-outs are `OSError`."""

REASONS: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]] = (
    ((aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError), "its TLS certificate cannot be trusted"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "TLS failed"),
    (aiohttp.ClientConnectorDNSError, "its name does not resolve"),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "the proxy refused"),
    (aiohttp.ClientConnectorError, "no connection"),
    (TimeoutError, "no connection in time"),
    (ConnectionTooOldError, "the connection closed while the call waited for its turn"),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError), "the connection dropped"),
    (aiohttp.ClientPayloadError, "the reply broke off"),
)
"""Plain words for foreign errors; their own text may repeat addresses that hold credentials."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to resolve, connect and do TLS; and from the first byte written to the last byte read."""

    connect: float = 10.0
    total: float = 60.0


STANDARD_TIMEOUTS: Final = Timeouts()


class Transport:
    """The session below `Client`, which says what the arguments mean."""

    def __init__(
        self,
        credentials: Credentials,
        base_url: str,
        *,
        before_send: BeforeSend | None,
        on_send: Callable[[str], None] | None,
        timeouts: Timeouts,
        nonce: Nonce,
        now: Callable[[], float],
        proxy: str | None,
    ) -> None:
        base = URL(base_url)
        if base.scheme not in {"http", "https"} or not base.host or base.user or base.query_string or base.fragment:
            raise ValueError("The base URL must be a plain http or https address, such as https://api.wiro.ai/v1.")
        self._base = str(base).rstrip("/")
        self._credentials = credentials
        self._before_send = before_send
        self._on_send = on_send
        self._timeouts = timeouts
        self._nonce = nonce
        self._now = now
        self._proxy = proxy
        self._urls: dict[str, URL] = {}
        self._exchange: Exchange | None = None
        self._uploads: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector, connect_seconds = Connector(), self._timeouts.connect
        headers = SESSION_HEADERS | JSON_TYPE
        self._exchange = Exchange(connector, headers, connect_seconds=connect_seconds, proxy=self._proxy)
        self._uploads = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds),
            headers=SESSION_HEADERS,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._uploads is not None:
            await self._uploads.close()  # and the connector with it

    async def post_json(
        self, endpoint: str, body: Mapping[str, Any], *, path: str | None = None, most_seconds: float = math.inf
    ) -> wire.Json:
        """Send a JSON object to `path` (the endpoint itself where None) and return the reply's.

        It takes no longer than a call may, nor than `most_seconds`.
        """
        data = _encode(dict(body)).encode()
        tokens = [str(body[name]) for name in (TOKEN_FIELDS if path is None else (CALLBACK,)) if name in body]
        call = self._call(endpoint, min(self._timeouts.total, most_seconds))
        return await self._attempt(call, self._posted(path or endpoint, data, call), tokens)

    async def post_form(self, endpoint: str, form: aiohttp.FormData, *, more_seconds: float) -> wire.Json:
        """Send a form, with `more_seconds` on top of the time that a call may take, and return the reply."""
        call = self._call(endpoint, self._timeouts.total + more_seconds)
        return await self._attempt(call, self._uploaded(endpoint, form, call), ())

    def hide(self, text: str, *tokens: str | None) -> str:
        """Return the service's words without the credentials and without these tokens."""
        for token in filter(None, tokens):
            text = text.replace(token, HIDDEN)
        return self._credentials.hide(text)

    def _call(self, endpoint: str, seconds: float) -> Call:
        return Call(endpoint, self._before_send, self._on_send, endpoint == "/Run", seconds)

    async def _attempt(self, call: Call, asking: Awaitable[Reply], tokens: Iterable[str]) -> wire.Json:
        status, headers, body = await self._told(call, asking)
        reply: wire.Json | None
        try:
            reply = wire.parse(_plain(body, headers.get("Content-Encoding")))
        except (ValueError, zlib.error):
            reply = None

        error = failure(
            call.endpoint,
            status,
            reply,
            retry_after=headers.get("Retry-After"),
            now=self._now(),
            hide=lambda text: self.hide(text, *tokens),
        )
        if error is not None:
            raise error
        return reply or {}

    async def _told(self, call: Call, asking: Awaitable[Reply]) -> Reply:
        """Make the attempt; `NotSent` or `ReplyLost` hangs on nothing but whether bytes may have left."""
        context = current_call.set(call)
        try:
            return await asking
        except FOREIGN as error:
            lost = ReplyLost if call.sent else NotSent
            raise lost(call.endpoint, _reason(error, call)) from None
        finally:
            current_call.reset(context)

    async def _posted(self, path: str, data: bytes, call: Call) -> Reply:
        if self._exchange is None:
            raise RuntimeError("The client is used before it is entered.")
        signed = self._credentials.headers(self._nonce)
        return await self._exchange.post(
            self._url(path), signed, data, seconds=call.seconds, most_bytes=MAX_REPLY_BYTES
        )

    async def _uploaded(self, path: str, form: aiohttp.FormData, call: Call) -> Reply:
        """Send a form by aiohttp's session: it reads the file as it is sent, and uploads are few."""
        if self._uploads is None:
            raise RuntimeError("The client is used before it is entered.")
        signed = self._credentials.headers(self._nonce)
        posting = self._uploads.post(
            self._url(path), data=form, headers=signed, allow_redirects=False, proxy=self._proxy
        )
        async with asyncio.timeout(None) as call.deadline, posting as reply:
            return reply.status, reply.headers, await whole(reply.content, MAX_REPLY_BYTES)

    def _url(self, path: str) -> URL:
        return self._urls.get(path) or self._urls.setdefault(path, URL(self._base + path))


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _plain(body: bytes, encoding: str | None) -> bytes:
    """Undo a compression that we did not ask for, up to the size of a reply."""
    if encoding is None or encoding.strip().lower() in {"", "identity"}:
        return body
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip and zlib alike
    plain = inflater.decompress(body, MAX_REPLY_BYTES)
    if not inflater.eof:
        raise ValueError("cut off, or larger than a reply may be")
    return plain


def reason(error: BaseException) -> str | None:
    """Return plain words for a foreign error, None for one that there are none for."""
    return next((words for kinds, words in REASONS if isinstance(error, kinds)), None)


def _reason(error: BaseException, call: Call) -> str:
    if call.sent and isinstance(error, TimeoutError):
        return f"no answer within {call.seconds:g} s"
    return reason(error) or "the reply breaks the rules of HTTP, or is larger than 16 MB"
