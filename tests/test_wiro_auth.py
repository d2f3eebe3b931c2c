from __future__ import annotations

import hashlib
import hmac
import time

import pytest

from orchestrator.wiro import Credentials, fresh_nonce


def test_a_secret_signs_the_nonce_as_the_api_page_says() -> None:
    headers = Credentials("the-key", "the-secret").headers(lambda: "1734513809")
    expected = hmac.new(b"the-key", b"the-secret1734513809", hashlib.sha256).hexdigest()
    assert headers == {"x-api-key": "the-key", "x-nonce": "1734513809", "x-signature": expected}


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_the_key_stands_alone(secret: str | None) -> None:
    assert Credentials("the-key", secret).headers() == {"x-api-key": "the-key"}


def test_nonces_are_integers_that_begin_with_the_time_and_never_repeat() -> None:
    nonces = [fresh_nonce() for _ in range(1000)]
    assert len(set(nonces)) == 1000
    assert all(nonce.isdecimal() and abs(int(nonce[:-9]) / 1000 - time.time()) < 60 for nonce in nonces)


def test_neither_key_nor_secret_shows() -> None:
    credentials = Credentials("the-key", "the-secret")
    shown = f"{credentials!r} {credentials} {credentials.fingerprint}"
    assert "the-key" not in shown
    assert "the-secret" not in shown
    assert credentials.hide("no the-key, no the-secret") == "no …, no …"


def test_the_fingerprint_tells_keys_apart() -> None:
    assert Credentials("the-key", "a").fingerprint == hashlib.sha256(b"the-key").hexdigest()[:12]


@pytest.mark.parametrize("key", ["", " k3y", "k3y\n", "kéy", "k3\ry", "k3\x00y"])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        Credentials(key)
    assert not key or key not in str(caught.value)
