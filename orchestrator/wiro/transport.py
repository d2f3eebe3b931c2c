"""One attempt at one endpoint: bytes out, a JSON object or a `WiroError` back."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from orchestrator.wiro import wire
from orchestrator.wiro.auth import HIDDEN, Credentials, Nonce
from orchestrator.wiro.connections import BeforeSend, Call, ConnectionTooOldError, Connector, current_call
from orchestrator.wiro.errors import NotSent, ReplyLost, failure

MAX_REPLY_BYTES: Final = 16 * 1024 * 1024
LARGE_BODY_BYTES: Final = 1 << 20
JSON_TYPE: Final = {"Content-Type": "application/json"}
SESSION_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"orchestrator/{version('orchestrator')}",
}
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
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=Connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect),
            headers=SESSION_HEADERS,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post_json(self, endpoint: str, body: Mapping[str, Any], *, path: str | None = None) -> wire.Json:
        """Send a JSON object to `path` (the endpoint itself where None) and return the reply's."""
        written = _encode(dict(body)).encode()
        # aiohttp warns of large bytes objects, because joining them to the headers copies them.
        data = written if len(written) < LARGE_BODY_BYTES else io.BytesIO(written)
        tokens = [str(body[name]) for name in (TOKEN_FIELDS if path is None else (CALLBACK,)) if name in body]
        return await self._exchange(self._call(endpoint), path or endpoint, data, JSON_TYPE, tokens)

    async def post_form(self, endpoint: str, form: aiohttp.FormData, *, more_seconds: float) -> wire.Json:
        """Send a form, with `more_seconds` on top of the time that a call may take, and return the reply."""
        return await self._exchange(self._call(endpoint, more_seconds), endpoint, form, {}, ())

    def hide(self, text: str, *tokens: str | None) -> str:
        """Return the service's words without the credentials and without these tokens."""
        for token in filter(None, tokens):
            text = text.replace(token, HIDDEN)
        return self._credentials.hide(text)

    def _call(self, endpoint: str, more_seconds: float = 0.0) -> Call:
        seconds = self._timeouts.total + more_seconds
        pays = endpoint == "/Run"
        return Call(endpoint, self._before_send, self._on_send, pays, seconds, asyncio.timeout(None))

    async def _exchange(
        self, call: Call, path: str, data: Any, headers: Mapping[str, str], tokens: Iterable[str]
    ) -> wire.Json:
        status, reply_headers, body = await self._send(call, path, data, headers)
        reply: wire.Json | None
        try:
            reply = wire.parse(_plain(body, reply_headers.get("Content-Encoding")))
        except (ValueError, zlib.error):
            reply = None

        retry_after = reply_headers.get("Retry-After")
        error = failure(
            call.endpoint,
            status,
            reply,
            retry_after=retry_after,
            now=self._now(),
            hide=lambda text: self.hide(text, *tokens),
        )
        if error is not None:
            raise error
        return reply or {}

    async def _send(
        self, call: Call, path: str, data: Any, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Make the attempt; `NotSent` or `ReplyLost` hangs on nothing but whether bytes may have left."""
        if self._session is None:
            raise RuntimeError("The client is used before it is entered.")
        url = self._urls.get(path) or self._urls.setdefault(path, URL(self._base + path))
        signed = self._credentials.headers(self._nonce)
        signed.update(headers)
        context = current_call.set(call)
        try:
            async with (
                call.deadline,
                self._session.post(url, data=data, headers=signed, allow_redirects=False, proxy=self._proxy) as reply,
            ):
                return reply.status, reply.headers, await _body(reply)
        except FOREIGN as error:
            lost = ReplyLost if call.sent else NotSent
            raise lost(call.endpoint, _reason(error, call)) from None
        finally:
            current_call.reset(context)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


async def _body(reply: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    while chunk := await reply.content.readany():
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            raise ValueError("the reply is larger than 16 MB")
        chunks.append(chunk)
    return b"".join(chunks)


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
    if call.deadline.expired():
        return f"no answer within {call.seconds:g} s"
    return reason(error) or "the reply breaks the rules of HTTP, or is larger than 16 MB"
