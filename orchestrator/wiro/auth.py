"""Who we are to the service: the key, the secret and the headers that prove them."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Nonce = Callable[[], str]
"""Gives a text of digits that is never given twice."""

HIDDEN = "…"
NINE_DIGITS = 10**9
_counted = itertools.count(secrets.randbelow(NINE_DIGITS))


def fresh_nonce() -> str:
    """Return the unix time in milliseconds followed by nine digits, as one integer.

    The digits count on from a random number: no two processes are likely to give the same, and one never does.
    """
    return f"{time.time_ns() // 1_000_000}{next(_counted) % NINE_DIGITS:09}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key and, for projects that sign, its secret; neither shows in a `repr`.

    Attributes:
        key: The API key.
        secret: The API secret, or None (or empty) for a project that takes the key alone.

    Raises:
        ValueError: Where no HTTP header could carry the key. The text does not repeat it.
    """

    key: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    _begun: hmac.HMAC = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.key and self.key.isascii() and self.key.isprintable() and self.key == self.key.strip()):
            raise ValueError(
                "The API key is empty or holds characters that a key never has, such as spaces at its end."
            )
        begun = hmac.new(self.key.encode(), (self.secret or "").encode(), "sha256")
        object.__setattr__(self, "_begun", begun)  # what all signatures have in common

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that tell one key from another without giving it away."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:12]

    def headers(self, nonce: Nonce = fresh_nonce) -> dict[str, str]:
        """Return the headers of one attempt; each attempt needs its own.

        The form is the API page's: `x-signature` is the hexadecimal HMAC-SHA256 with the key as its key and the
        secret followed by the nonce as its message. Without a secret `x-api-key` stands alone.
        """
        if not self.secret:
            return {"x-api-key": self.key}
        once = nonce()
        signature = self._begun.copy()
        signature.update(once.encode())
        return {"x-api-key": self.key, "x-nonce": once, "x-signature": signature.hexdigest()}

    def hide(self, text: str) -> str:
        """Return `text` without the key and the secret, should somebody have repeated them."""
        for word in (self.key, self.secret):
            if word:
                text = text.replace(word, HIDDEN)
        return text
