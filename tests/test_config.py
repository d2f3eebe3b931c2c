from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config import BASE_URL, SOCKET_URL, Settings, is_loopback, read
from orchestrator.errors import Exit, RefusedError

KEY, SECRET = "k-0123456789abcdef", "s-fedcba9876543210"
ELSEWHERE = "https://api.example.com/v1"
NOTHING = Settings(socket_url=SOCKET_URL)


def dotenv(folder: Path, **values: str) -> None:
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def test_nothing_set_is_the_service_without_a_key(tmp_path: Path) -> None:
    """Without any setting the service's own address stands, and no credentials."""
    settings = read({}, tmp_path)
    assert settings == NOTHING
    assert (settings.base_url, settings.secrets, settings.on_loopback) == (BASE_URL, (), False)


def test_the_environment_is_read(tmp_path: Path) -> None:
    """Every setting is taken from its variable; a slash at the end of the address does not matter."""
    settings = read(
        {
            "WIRO_API_KEY": f" {KEY} ",
            "WIRO_API_SECRET": SECRET,
            "WIRO_BASE_URL": f"{ELSEWHERE}/",
            "WIRO_DOWNLOAD_HOSTS": "CDN.example.com, 10.0.0.7 other.example",
            "WIRO_PROXY": "http://proxy.example:3128",
            "OTHER": "ignored",
        },
        tmp_path,
    )
    assert settings == Settings(
        api_key=KEY,
        api_secret=SECRET,
        base_url=ELSEWHERE,
        download_hosts=frozenset({"cdn.example.com", "10.0.0.7", "other.example"}),
        proxy="http://proxy.example:3128",
    )
    assert settings.secrets == (KEY, SECRET)


def test_the_user_s_folders_are_the_environment_s(tmp_path: Path) -> None:
    """Where things are kept is said by the environment alone, whatever a file in the folder says."""
    dotenv(tmp_path, ORCHESTRATOR_HOME="/elsewhere")
    settings = read({"ORCHESTRATOR_HOME": str(tmp_path)}, tmp_path)
    assert (settings.cache, settings.state) == (tmp_path / "cache", tmp_path / "state")


def test_a_file_is_read(tmp_path: Path) -> None:
    """A file with key and address is taken whole, as it stands: nothing in it is substituted."""
    dotenv(tmp_path, WIRO_API_KEY="'k-${HOME}'", WIRO_API_SECRET=SECRET, WIRO_BASE_URL=ELSEWHERE, WIRO_PROXY="")
    settings = read({"HOME": "elsewhere"}, tmp_path)
    assert settings == Settings(api_key="k-${HOME}", api_secret=SECRET, base_url=ELSEWHERE)


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    """What both set is taken from the environment; an empty variable sets nothing."""
    dotenv(tmp_path, WIRO_API_KEY=KEY, WIRO_API_SECRET=SECRET, WIRO_BASE_URL=ELSEWHERE)
    settings = read({"WIRO_API_SECRET": "another", "WIRO_API_KEY": " "}, tmp_path)
    assert settings == Settings(api_key=KEY, api_secret="another", base_url=ELSEWHERE)


@pytest.mark.parametrize("filed", [{}, {"WIRO_API_KEY": KEY}])
def test_a_file_cannot_send_another_s_key_elsewhere(tmp_path: Path, filed: dict[str, str]) -> None:
    """Addresses in a file count only with the key from that file: it may lie in anybody's folder."""
    dotenv(
        tmp_path,
        WIRO_BASE_URL=ELSEWHERE,
        WIRO_SOCKET_URL="wss://example.com",
        WIRO_DOWNLOAD_HOSTS="10.0.0.7",
        WIRO_PROXY="http://proxy.example:3128",
        **filed,
    )
    assert read({"WIRO_API_KEY": KEY}, tmp_path) == replace(NOTHING, api_key=KEY)


def test_a_file_without_a_key_sets_no_address(tmp_path: Path) -> None:
    """Where there is no key at all the file's addresses do not count either."""
    dotenv(tmp_path, WIRO_BASE_URL=ELSEWHERE)
    assert read({}, tmp_path) == NOTHING


@pytest.mark.parametrize("content", [b"WIRO_API_KEY=\xff\xfe\n", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A file that is no text is refused with its path; a folder of that name is no file."""
    if content is None:
        (tmp_path / ".env").mkdir()
        assert read({}, tmp_path) == NOTHING
        return
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(RefusedError, match="Fix it or remove it"):
        read({}, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "http://localhost:8000",
        "http://LOCALHOST/v1",
        "http://api.localhost/v1",
        "http://[::1]:8000/v1",
        "http://127.3.2.1/v1",
    ],
)
def test_plain_http_stays_on_this_machine(tmp_path: Path, url: str) -> None:
    """Plain http to loopback needs no option, and is known as such."""
    settings = read({"WIRO_BASE_URL": url}, tmp_path)
    assert settings.on_loopback
    assert settings.base_url == url


@pytest.mark.parametrize(
    "url", ["http://api.example.com/v1", "http://10.0.0.7/v1", "http://127.0.0.1.example.com/v1", "http://0.0.0.0/v1"]
)
def test_plain_http_elsewhere_is_refused(tmp_path: Path, url: str) -> None:
    """Plain http to another machine is refused, unless the user takes that upon himself."""
    with pytest.raises(RefusedError, match="the key would travel in the open") as raised:
        read({"WIRO_BASE_URL": url}, tmp_path)
    assert raised.value.exit_code is Exit.REFUSED
    assert url in str(raised.value)
    assert read({"WIRO_BASE_URL": url}, tmp_path, insecure=True).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com",
        "ftp://api.example.com",
        "wss://api.example.com",
        "https://",
        "https://api.example.com:port",
        "https://api.example.com:99999",
        "https://[::1",
        "https://api.example.com/v1?key=1",
        "https://api.example.com/v1#top",
        "https://user@api.example.com",
        "https://user:word@api.example.com",
        "https://:word@api.example.com",
    ],
)
@pytest.mark.parametrize("insecure", [True, False])
def test_what_is_no_address_is_refused(tmp_path: Path, url: str, insecure: bool) -> None:
    """An address has a scheme and a host, and nothing that could be a credential."""
    with pytest.raises(RefusedError, match=f"WIRO_BASE_URL is not an address of the form {BASE_URL}"):
        read({"WIRO_BASE_URL": url}, tmp_path, insecure=insecure)


@pytest.mark.parametrize(
    "url",
    [
        f"https://{KEY}:{SECRET}@api.example.com/v1",
        f"https://:{SECRET}@api.example.com/v1",
        f"https://api.example.com/v1?key={KEY}",
        f"https://api.example.com/v1#{SECRET}",
        f"http://{KEY}@[bad/v1?{SECRET}",
    ],
)
def test_messages_hold_no_secret(tmp_path: Path, url: str) -> None:
    """What may be a credential in a wrong address is not repeated, not even in the error's cause."""
    with pytest.raises(RefusedError) as raised:
        read({"WIRO_BASE_URL": url, "WIRO_API_KEY": KEY, "WIRO_API_SECRET": SECRET}, tmp_path)
    told = str(raised.value) + "".join(traceback.format_exception_only(raised.value)) + repr(raised.value.__cause__)
    assert KEY not in told
    assert SECRET not in told


def test_settings_show_no_secret(tmp_path: Path) -> None:
    """Neither credentials nor a proxy's password stand in the settings' repr."""
    settings = read(
        {"WIRO_API_KEY": KEY, "WIRO_API_SECRET": SECRET, "WIRO_PROXY": "http://user:password@proxy.example"}, tmp_path
    )
    for secret in (KEY, SECRET, "password"):
        assert secret not in repr(settings)


@pytest.mark.parametrize("host", ["", "example.com", "128.0.0.1", "localhost.example.com", "10.0.0.1", "::2"])
def test_what_may_be_another_machine_is_not_loopback(host: str) -> None:
    """Only what can mean nothing but this machine is loopback."""
    assert not is_loopback(host)


def test_the_socket_is_the_service_s_own_or_the_one_that_is_named(tmp_path: Path) -> None:
    """Tokens of another service's tasks do not go to this one's socket."""
    named = {"WIRO_SOCKET_URL": "wss://socket.example.com/v1"}
    assert read({}, tmp_path).socket_url == SOCKET_URL
    assert read({"WIRO_BASE_URL": ELSEWHERE}, tmp_path).socket_url is None
    assert read({"WIRO_BASE_URL": ELSEWHERE, **named}, tmp_path).socket_url == named["WIRO_SOCKET_URL"]


def test_a_plain_socket_stays_on_this_machine(tmp_path: Path) -> None:
    assert read({"WIRO_SOCKET_URL": "ws://127.0.0.1:8000/v1"}, tmp_path).socket_url == "ws://127.0.0.1:8000/v1"
    elsewhere = {"WIRO_SOCKET_URL": "ws://socket.example.com/v1"}
    with pytest.raises(RefusedError, match="task tokens would travel in the open"):
        read(elsewhere, tmp_path)
    assert read(elsewhere, tmp_path, insecure=True).socket_url == elsewhere["WIRO_SOCKET_URL"]


@pytest.mark.parametrize(
    "url", ["https://socket.wiro.ai/v1", "wss://", f"wss://user:{SECRET}@host/v1", "wss://host/?k=1"]
)
def test_what_is_no_address_of_a_socket_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(RefusedError, match="WIRO_SOCKET_URL is not an address of the form wss:") as raised:
        read({"WIRO_SOCKET_URL": url}, tmp_path, insecure=True)
    assert SECRET not in str(raised.value)
