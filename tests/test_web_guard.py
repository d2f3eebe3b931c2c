from __future__ import annotations

import pytest

from orchestrator.config import is_loopback
from orchestrator.web.guard import Guard

HERE = Guard("127.0.0.1", None)
OUT = Guard("192.168.1.5", "t" * 20)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.9", "[::1]"])
def test_this_machine_goes_by_its_own_names(host: str) -> None:
    assert HERE.is_ours(host)
    assert OUT.is_ours(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", ":80"]
)
def test_other_names_are_not_ours(host: str) -> None:
    """A site can let its own name lead to this machine, and read what it answers (DNS rebinding)."""
    assert not HERE.is_ours(host)
    assert not OUT.is_ours(host)


def test_an_address_of_the_network_is_ours_where_it_is_listened_on() -> None:
    assert not HERE.is_ours("192.168.1.5:8080")
    assert OUT.is_ours("192.168.1.5:8080")
    assert Guard("0.0.0.0", "t" * 20).is_ours("10.1.2.3")  # noqa: S104 - nothing listens
    assert Guard("pictures.example", "t" * 20).is_ours("Pictures.example:8080")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - as above
        ("::", False),
        ("example.com", False),
    ],
)
def test_what_is_reached_from_this_machine_alone(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_what_has_to_be_known_to_change_something_is_never_shown() -> None:
    assert HERE.page_token not in repr(HERE)
    assert str(OUT.token) not in repr(OUT)
    assert Guard("127.0.0.1", None).page_token != HERE.page_token
