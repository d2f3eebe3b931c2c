"""Who is let in, and what browsers are told that they may do with what they get."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from aiohttp import web

from orchestrator.config import is_loopback

HEADER: Final = "X-Orchestrator-Token"
"""What every request that changes something has to carry: a page of ours was told it, other sites cannot know it."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
OUTPUT_POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"
"""For what a model has made: to be looked at, and to run nothing, whatever it is."""

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
"""On every answer, unless it says otherwise itself."""

KEPT_OUT: Final = "This page needs its token: open the address that `orchestrator serve` has printed, to its very end."


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides on requests.

    Attributes:
        host: The address that is listened on.
        token: What has to be known to see anything, None for nothing.
        page_token: What has to be known to change anything; a new one at each start.
        cookie: The name of the cookie that keeps the token once it was shown.
    """

    host: str
    token: str | None = field(repr=False)
    cookie: str = "orchestrator"
    page_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def check(self, request: web.Request) -> None:
        """See that a request comes from where it may.

        Raises:
            HTTPForbidden: It was made by another site, or for a name that is not this machine's.
            HTTPUnauthorized: It knows no token.
            HTTPSeeOther: It has shown the token: the browser keeps it, and it is no longer in the address.
        """
        if not self.is_ours(request.headers.get("Host", "")):
            raise web.HTTPForbidden(text="This server does not go by that name.")
        if _is_foreign(request.headers, request.method):
            raise web.HTTPForbidden(text="Other sites cannot use this one.")
        if self.token is not None:
            self._check_token(request, self.token)

    def check_write(self, request: web.Request) -> None:
        """See that a request which changes something comes from a page of ours.

        Raises:
            HTTPForbidden: It does not.
        """
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
            raise web.HTTPForbidden(text="Other sites cannot use this one.")
        if not _equal(request.headers.get(HEADER, ""), self.page_token):
            raise web.HTTPForbidden(text="This page is of an earlier start of the server: load it again.")

    def is_ours(self, host: str) -> bool:
        """Return whether a `Host` header names this server.

        Another site can make its own name lead here (DNS rebinding), but not an address or a name that is ours.
        """
        name = _without_port(host).lower()
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names()
        return address.is_loopback or not is_loopback(self.host)

    def _names(self) -> set[str]:
        names = {"localhost", self.host.lower()}
        if not is_loopback(self.host):
            machine = socket.gethostname().lower()
            names |= {machine, f"{machine}.local", machine.removesuffix(".local")}
        return names

    def _check_token(self, request: web.Request, token: str) -> None:
        if _equal(request.cookies.get(self.cookie, ""), token):
            return
        if request.method != "GET" or not _equal(request.query.get("token", ""), token):
            raise web.HTTPUnauthorized(text=KEPT_OUT)
        seen = web.HTTPSeeOther(request.rel_url.without_query_params("token"))
        seen.set_cookie(self.cookie, token, httponly=True, samesite="Lax")
        raise seen


def _is_foreign(headers: Mapping[str, str], method: str) -> bool:
    """Return whether a browser says that another site asks (Fetch Metadata); following a link to a page is no harm."""
    if headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}:
        return False
    follows = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return not (follows and method == "GET")


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _equal(given: str, known: str) -> bool:
    """Compare in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode(errors="replace"), known.encode())
