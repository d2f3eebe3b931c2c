"""Files are fetched from addresses that a stranger may name: none of them is inside this network."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress

import pytest
from fileserver import Names, read, redirect, reply, serving
from hypothesis import given, strategies as st

from orchestrator.wiro.addresses import AddressPolicy
from orchestrator.wiro.files import MAX_REDIRECTS, FileMisled, FileRefused, Files

LOOPBACK = AddressPolicy(allow_loopback=True)
STRICT = AddressPolicy()


async def test_redirects_are_followed_a_few_times() -> None:
    hops = [redirect("/elsewhere?a=b"), *[redirect("next")] * (MAX_REDIRECTS - 1)]
    async with serving(*hops, reply(200, b"abc")) as server, Files(LOOPBACK) as files:
        assert (await read(files, server.url))[1] == b"abc"
        assert server.heads[1].startswith("GET /elsewhere?a=b ")
    async with serving(redirect("again")) as server, Files(LOOPBACK) as files:
        with pytest.raises(FileMisled, match="redirects"):
            await read(files, server.url)
        assert len(server.heads) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:text/plain,abc",
        "http://10.0.0.1/x",
        "http://[::ffff:10.0.0.1]/x",
        "//169.254.169.254/latest/meta-data",
        "http://",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://" + "a" * 70 + ".example/",
        "http://a..example/",
    ],
)
async def test_a_redirect_passes_the_same_check(location: str) -> None:
    async with serving(redirect(location)) as server, Files(LOOPBACK) as files:
        with pytest.raises(FileMisled):
            await read(files, server.url)


async def test_a_redirect_to_a_name_that_stands_for_another_machine_is_refused() -> None:
    names = Names("192.168.1.1")
    async with serving(redirect("http://inside.example/x")) as server, Files(LOOPBACK, resolver=names) as files:
        with pytest.raises(FileRefused, match=r"inside\.example"):
            await read(files, server.url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001", "127.0.0.1.", "localhost"]
)
async def test_this_machine_is_refused_in_every_spelling(host: str) -> None:
    async with serving(reply(200, b"abc")) as server:
        async with Files(STRICT) as files:
            with pytest.raises(FileRefused, match="not a public one"):
                await read(files, server.url.replace("127.0.0.1", host))
        assert server.heads == []


async def test_what_a_name_stands_for_is_checked_and_it_is_looked_up_once() -> None:
    """A name that stands for another address the second time gains nothing."""
    async with serving(reply(200, b"abc")) as server:
        url = server.url.replace("127.0.0.1", "cdn.example")
        names = Names("127.0.0.1")
        async with Files(STRICT, resolver=names) as files:
            with pytest.raises(FileRefused, match=r"cdn\.example"):
                await read(files, url)
            assert server.heads == []
        names = Names("127.0.0.1", "10.0.0.1")
        async with Files(LOOPBACK, resolver=names) as files:
            assert (await read(files, url))[1] == b"abc"
        assert names.asked == ["cdn.example"]


async def test_many_at_once_are_refused_each_for_itself() -> None:
    async with Files(STRICT, resolver=Names("10.0.0.1")) as files:
        jobs = [read(files, f"http://cdn.example/{number}") for number in range(5)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(result) for result in results] == [FileRefused] * 5


async def test_an_allowed_host_may_stand_for_anything() -> None:
    async with serving(reply(200, b"abc")) as server:
        policy = AddressPolicy(allowed_hosts=frozenset({"nas.example"}))
        async with Files(policy, resolver=Names("127.0.0.1")) as files:
            assert (await read(files, server.url.replace("127.0.0.1", "NAS.example")))[1] == b"abc"
            with pytest.raises(FileRefused):
                await read(files, server.url.replace("127.0.0.1", "other.example"))


async def test_behind_a_proxy_names_are_its_business_and_literal_addresses_ours() -> None:
    async with serving(reply(200, b"abc")) as proxy, Files(STRICT, proxy=proxy.url) as files:
        assert (await read(files, "http://cdn.example/x?y"))[1] == b"abc"
        assert proxy.heads[0].startswith("GET http://cdn.example/x?y ")
        with pytest.raises(FileRefused):
            await read(files, "http://10.0.0.1/x")


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing listens here, it is asked about
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("cdn.example", False),
        ("", False),
    ],
)
def test_only_public_addresses_are_permitted(address: str, is_public: bool) -> None:
    assert STRICT.permits("cdn.example", address) is is_public
    assert LOOPBACK.permits("cdn.example", address) is is_public


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_loopback_is_permitted_where_it_is_allowed(address: str) -> None:
    assert LOOPBACK.permits("cdn.example", address)
    assert not STRICT.permits("cdn.example", address)


@given(st.ip_addresses(v=4))
def test_an_address_wrapped_in_another_is_judged_by_what_is_inside(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    wrapped = [0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80]
    verdicts = {STRICT.permits("cdn.example", str(ipaddress.IPv6Address(one))) for one in wrapped}
    assert verdicts == {STRICT.permits("cdn.example", str(inner))}


@given(st.one_of(st.text(), st.text().map("http://".__add__), st.from_regex(r"https?://[^/]*:[0-9]*/.*")))
def test_no_text_for_an_address_makes_it_fail(text: str) -> None:
    files = Files(STRICT)
    first = files._permitted("https://cdn.example/u/x.png")
    with suppress(FileRefused):
        assert files._permitted(text, first).scheme in {"http", "https"}
