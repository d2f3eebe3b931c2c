"""The settings: from the environment or a `.env` file in the current folder, read once and handed in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dotenv import dotenv_values

from orchestrator.errors import RefusedError
from orchestrator.places import cache_folder, state_folder

BASE_URL: Final = "https://api.wiro.ai/v1"
SOCKET_URL: Final = "wss://socket.wiro.ai/v1"
ADDRESSES: Final = ("WIRO_BASE_URL", "WIRO_SOCKET_URL", "WIRO_DOWNLOAD_HOSTS", "WIRO_PROXY")
NAMES: Final = ("WIRO_API_KEY", "WIRO_API_SECRET", *ADDRESSES)


@dataclass(frozen=True, slots=True)
class Settings:
    """Whom to ask, and as whom.

    Attributes:
        api_key, api_secret: Credentials; without a secret the project is taken to use the key alone.
        base_url: The API's address without a slash at its end.
        socket_url: The address of its socket; None where it has none that is known.
        download_hosts: Hosts that outputs may come from although their address is private.
        proxy: An HTTP proxy for all connections; its address may hold a password.
        cache, state: Where things are kept beyond a run folder, see `places`; None keeps nothing.
    """

    api_key: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)
    base_url: str = BASE_URL
    socket_url: str | None = None
    download_hosts: frozenset[str] = frozenset()
    proxy: str | None = field(default=None, repr=False)
    cache: Path | None = None
    state: Path | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must not appear in any file or message."""
        return tuple(secret for secret in (self.api_key, self.api_secret) if secret)

    @property
    def on_loopback(self) -> bool:
        """Whether the API is a server on this machine."""
        return is_loopback(urlsplit(self.base_url).hostname or "")


def read(environment: Mapping[str, str], folder: Path, *, insecure: bool = False) -> Settings:
    """Read the settings; the environment goes before the file.

    Addresses in the file count only if the key comes from that file too: a file that somebody left
    in a folder cannot send a key from the environment to another server.

    Raises:
        RefusedError: An address is not usable.
    """
    filed = {name: value for name, value in _file(folder).items() if name in NAMES and value}
    given = {name: value for name in NAMES if (value := environment.get(name, "").strip())}
    if "WIRO_API_KEY" in given or "WIRO_API_KEY" not in filed:
        filed = {name: value for name, value in filed.items() if name not in ADDRESSES}
    values = filed | given
    base_url = values.get("WIRO_BASE_URL", BASE_URL).rstrip("/")
    _check_address("WIRO_BASE_URL", base_url, BASE_URL, "the key", insecure=insecure)
    # Task tokens of another service are no business of this one's socket.
    socket_url = values.get("WIRO_SOCKET_URL") or (SOCKET_URL if base_url == BASE_URL else None)
    if socket_url is not None:
        _check_address("WIRO_SOCKET_URL", socket_url, SOCKET_URL, "task tokens", insecure=insecure)
    return Settings(
        api_key=values.get("WIRO_API_KEY"),
        api_secret=values.get("WIRO_API_SECRET"),
        base_url=base_url,
        socket_url=socket_url,
        download_hosts=frozenset(values.get("WIRO_DOWNLOAD_HOSTS", "").replace(",", " ").lower().split()),
        proxy=values.get("WIRO_PROXY"),
        cache=cache_folder(environment),
        state=state_folder(environment),
    )


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    host = host.lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _file(folder: Path) -> Mapping[str, str | None]:
    path = folder / ".env"
    if not path.is_file():
        return {}
    try:
        return dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path} cannot be read: {error}. Fix it or remove it.") from error


def _check_address(name: str, url: str, example: str, secret: str, *, insecure: bool) -> None:
    """See that an address is one, of the example's kind, and plain only where nobody can read `secret` along."""
    safe = urlsplit(example).scheme
    plain = safe.removesuffix("s")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {plain, safe} or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise RefusedError(f"{name} is not an address of the form {example}: {_shown(url)}")
    if parts.scheme == plain and not is_loopback(host) and not insecure:
        raise RefusedError(
            f"{name} is plain {plain} ({_shown(url)}): {secret} would travel in the open."
            f" Use {safe}, or add --insecure if that network is yours."
        )


def _shown(url: str) -> str:
    """Return an address without what may be a credential in it."""
    return re.split("[?#]", url, maxsplit=1)[0].rpartition("@")[2][:200]
