"""Who may call, and how often."""

from __future__ import annotations

import hmac
import math
from collections import deque
from collections.abc import Mapping
from email.utils import formatdate

from orchestrator.emulator.faults import Fault
from orchestrator.emulator.profile import Profile
from orchestrator.emulator.refusal import RefusalError, not_authorised

CREDENTIALS = ("x-api-key", "x-nonce", "x-signature")
"""The headers of an API call that the CDN must never see."""


class Access:
    """The credentials of one project and its rate of calls.

    Attributes:
        rate: API calls in any sliding second; None for no limit.
    """

    def __init__(self, profile: Profile) -> None:
        self.rate = profile.rate
        self._key = profile.api_key.encode()
        self._secret = None if profile.api_secret is None else profile.api_secret.encode()
        self._nonces: set[bytes] | None = set() if profile.refuse_reused_nonces else None
        self._retry_after = profile.retry_after_seconds
        self._arrivals: deque[float] = deque()

    def check_rate(self, now: float) -> None:
        """Count a call that arrives at `now` (seconds).

        Raises:
            RefusalError: HTTP 429, more than `rate` calls have come within the last second, this one included.
        """
        if self.rate is None:
            return
        self._arrivals.append(now)
        while self._arrivals[0] <= now - 1.0:
            self._arrivals.popleft()
        if len(self._arrivals) > self.rate:
            raise RefusalError(0, "Too many requests.", 429)

    def headers_of_refusal(self, refusal: RefusalError) -> dict[str, str]:
        """Return the headers that go with a refusal: `Retry-After` with HTTP 429, where the profile says so."""
        if refusal.status != 429 or self._retry_after is None:
            return {}
        return {"Retry-After": f"{self._retry_after:g}"}

    def check_credentials(self, headers: Mapping[str, str]) -> None:
        """Check key and signature.

        The signature is the hex HMAC-SHA256 whose key is the API key and whose message is the secret followed by the
        nonce (the API page).

        Raises:
            RefusalError: HTTP 401.
        """
        key, nonce, signature = (headers.get(name, "").encode("utf-8", "surrogateescape") for name in CREDENTIALS)
        if not hmac.compare_digest(key, self._key):
            raise not_authorised()
        if self._secret is None:
            return
        expected = hmac.digest(self._key, self._secret + nonce, "sha256").hex().encode()
        if not nonce or not hmac.compare_digest(signature, expected):
            raise not_authorised()
        if self._nonces is not None:
            if nonce in self._nonces:
                raise not_authorised()
            self._nonces.add(nonce)


def retry_after(fault: Fault, now: float) -> dict[str, str]:
    """Return the header of a refusal that a fault brings about, in one of the three forms that clients meet.

    Args:
        fault: `text` is the form: `seconds`, `decimal` or `date`.
        now: Unix seconds.
    """
    if math.isinf(fault.seconds):
        return {}
    match fault.text:
        case "decimal":
            return {"Retry-After": f"{fault.seconds:.3f}"}
        case "date":
            return {"Retry-After": formatdate(math.ceil(now + fault.seconds), usegmt=True)}
        case _:
            return {"Retry-After": str(math.ceil(fault.seconds))}
