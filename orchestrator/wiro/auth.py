"""Who we are to the service: the key, the secret and the headers that prove them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Nonce = Callable[[], str]
"""Gives a text of digits that is never given twice."""

HIDDEN = "…"


def fresh_nonce() -> str:
    """Return the unix time in milliseconds followed by nine random digits, as one integer."""
    return f"{time.time_ns() // 1_000_000}{secrets.randbelow(1_000_000_000):09}"


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

    def __post_init__(self) -> None:
        if not (self.key and self.key.isascii() and self.key.isprintable() and self.key == self.key.strip()):
            raise ValueError(
                "The API key is empty or holds characters that a key never has, such as spaces at its end."
            )

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
        signature = hmac.digest(self.key.encode(), f"{self.secret}{once}".encode(), "sha256").hex()
        return {"x-api-key": self.key, "x-nonce": once, "x-signature": signature}

    def hide(self, text: str) -> str:
        """Return `text` without the key and the secret, should somebody have repeated them."""
        for word in (self.key, self.secret):
            if word:
                text = text.replace(word, HIDDEN)
        return text
