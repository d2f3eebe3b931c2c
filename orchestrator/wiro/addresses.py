"""Which addresses may be connected to on behalf of somebody else's links."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(Exception):  # noqa: N818 - an outcome, told to callers as `FileRefused`
    """All that a name stands for is addresses that may not be connected to."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses may be connected to, beside the public ones.

    Attributes:
        allow_loopback: Whether this machine itself may be asked.
        allowed_hosts: Host names or literal addresses, lowercase, that may stand for any address.
    """

    allow_loopback: bool = False
    allowed_hosts: frozenset[str] = frozenset()

    def permits(self, host: str, address: str) -> bool:
        """Return whether `address`, a literal one, may be connected to on behalf of `host`, a name or the same address.

        Private, link-local, loopback, multicast, reserved and unspecified addresses may not, however they are wrapped.
        """
        if host.lower().rstrip(".") in self.allowed_hosts:
            return True
        try:
            inner = _innermost(address)
        except ValueError:
            return False
        if inner.is_loopback:
            return self.allow_loopback
        if inner.version == 6 and inner not in GLOBAL_UNICAST:
            return False
        return inner.is_global and not (inner.is_multicast or inner.is_reserved)


class CheckedResolver(AbstractResolver):
    """Looks up names and keeps back what may not be connected to; aiohttp connects to what it gives, nothing else."""

    def __init__(self, policy: AddressPolicy, resolver: AbstractResolver) -> None:
        self._policy = policy
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve a name and keep the addresses that may be connected to; see aiohttp's `AbstractResolver`."""
        found = await self._resolver.resolve(host, port, family)
        permitted = [one for one in found if self._policy.permits(host, one["host"])]
        if found and not permitted:
            raise AddressRefused
        return permitted

    async def close(self) -> None:
        """Close the resolver behind this one."""
        await self._resolver.close()


@lru_cache(maxsize=1024)
def _innermost(literal: str) -> _Address:
    """Return an address, or the IPv4 one that an IPv6 one carries, if it carries one (RFC 4291, 3056, 6052).

    Raises:
        ValueError: It is none.
    """
    address = ipaddress.ip_address(literal)
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
