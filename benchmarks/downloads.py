"""How fast big files come home, hashed and durable, beside curl and aria2c: bytes a second and CPU.

    python benchmarks/downloads.py

A server in a process of its own sends bytes that lie in its memory. In each round the clients fetch the same files, one
client after the other. What is told of ours is the program's own way of fetching (addresses checked, hashed,
synchronised with the disk, renamed) without the start of Python and of its event loop, which `start.py` tells. curl and
aria2c only write; what curl takes with sha256sum and sync behind it, which does the same as ours, is told too.
`--folder /dev/shm` leaves the disk out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from costs import Cost, timed
from goals import Goal

MEGABYTE = 2**20
LOADS = {"8 x 64 MB": (8, 64, 0), "1 x 256 MB": (1, 256, 0), "8 x 32 MB, 1 Gbit/s": (8, 32, 125_000_000)}
"""How many files of how many megabytes come over a link of how many bytes a second, 0 for as many as there can be."""

PIECE = 2**17
CURL_AND_ALL = "curl, sha256sum, sync"
PEERS = {"aria2c": "aria2", "curl": "curl"}
"""Programs, and the Debian packages that have them. The goal is about curl, so it runs right before ours."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files go, a folder for temporary files by default")
    arguments = parser.parse_args()
    peers = [peer for peer in PEERS if shutil.which(peer)]
    worst = dict.fromkeys(peers, math.inf)
    print("| files | client | MB/s | CPU s | speed, ours over its |\n| --- | --- | --- | --- | --- |")
    for load, (count, megabytes, rate) in LOADS.items():
        with serving(megabytes * MEGABYTE, rate) as base:
            urls = [f"{base}/{number}.bin" for number in range(count)]
            rounds = [measured(urls, peers, arguments.folder) for _ in range(arguments.rounds)]
        for client in rounds[0]:
            fastest = min(each[client].seconds for each in rounds)
            cpu = min(each[client].cpu_seconds for each in rounds)
            ratio = median(each[client].seconds / each["orchestrator"].seconds for each in rounds)
            if client in worst:
                worst[client] = min(worst[client], ratio)
            print(f"| {load} | {client} | {count * megabytes / fastest:.0f} | {cpu:.2f} | {ratio:.2f} |", flush=True)
    for peer, ratio in worst.items():
        Goal(f"big downloads, bytes a second over those of {peer}", ratio, 0.9, at_most=False).tell()
    for missing in set(PEERS) - set(peers):
        print(f"\n{missing} is not installed, so nothing is compared with it (apt-get install {PEERS[missing]}).")


def measured(urls: Sequence[str], peers: Sequence[str], folder: Path | None) -> dict[str, Cost]:
    """Let each client fetch all files once."""
    found = {}
    hashed = [CURL_AND_ALL] if "curl" in peers else []
    for client in (*hashed, *peers, "orchestrator"):
        with tempfile.TemporaryDirectory(dir=folder) as out:
            found[client] = COMMANDS[client](urls, Path(out))
            sizes = [path.stat().st_size for path in Path(out).iterdir() if path.suffix == ".bin"]
            assert len(sizes) == len(urls), f"{client} has not fetched all"
    return found


def curl(urls: Sequence[str], out: Path) -> Cost:
    """All at once in one process, as `--parallel` does it."""
    named = [word for url in urls for word in ("--output", str(out / url.rpartition("/")[2]), url)]
    return timed(["curl", "--silent", "--fail", "--parallel", *named], quiet=True)


def curl_and_all(urls: Sequence[str], out: Path) -> Cost:
    """curl, and then what it leaves out."""
    fetched, files = curl(urls, out), [str(out / url.rpartition("/")[2]) for url in urls]
    hashed, written = timed(["sha256sum", *files], quiet=True), timed(["sync", *files])
    costs = (fetched, hashed, written)
    return Cost(sum(cost.seconds for cost in costs), sum(cost.cpu_seconds for cost in costs))


def aria2c(urls: Sequence[str], out: Path) -> Cost:
    """As many at once as there are, one connection for a file."""
    (out / "list").write_text("\n".join(urls), encoding="utf-8")
    options = ["--quiet", "--file-allocation=none", f"--max-concurrent-downloads={len(urls)}", "--split=1"]
    return timed(["aria2c", *options, f"--dir={out}", f"--input-file={out / 'list'}"])


def ours(urls: Sequence[str], out: Path) -> Cost:
    """What the program does, in a process that tells what the fetching alone took."""
    command = [sys.executable, __file__, "fetch", str(out), *urls]
    return Cost(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=600).stdout))


COMMANDS = {"curl": curl, "aria2c": aria2c, CURL_AND_ALL: curl_and_all, "orchestrator": ours}


def fetch(out: Path, urls: Sequence[str]) -> Cost:
    """Fetch files the way that a run does."""
    import anyio  # noqa: PLC0415 - only the process that is measured needs these

    from orchestrator.cli.invoking import wait  # noqa: PLC0415 - as above
    from orchestrator.clock import SystemClock  # noqa: PLC0415 - as above
    from orchestrator.commands.workshop import DISK_THREADS  # noqa: PLC0415 - as above
    from orchestrator.engines.downloading import Downloads  # noqa: PLC0415 - as above
    from orchestrator.steps.download import Wanted, download  # noqa: PLC0415 - as above
    from orchestrator.threads import Hop, crew  # noqa: PLC0415 - as above
    from orchestrator.wiro.files import AddressPolicy, Files  # noqa: PLC0415 - as above

    clock = SystemClock()

    async def one(files: Files, downloads: Downloads, hop: Hop, url: str) -> None:
        await downloads.acquire()
        try:
            wanted = Wanted(url, url.rpartition("/")[2].removesuffix(".bin"))
            landed = await download(files, wanted, out, clock, hop=hop)
            assert len(landed.sha256) == 64
        finally:
            downloads.release()

    async def fetch_all() -> Cost:
        before, started = time.process_time(), time.perf_counter()
        async with (
            Files(AddressPolicy(allow_loopback=True)) as files,
            crew(DISK_THREADS) as hop,
            anyio.create_task_group() as measuring,
        ):
            downloads = Downloads(files.arrivals, clock)
            measuring.start_soon(downloads.run)
            async with anyio.create_task_group() as group:
                for url in urls:
                    group.start_soon(one, files, downloads, hop, url)
            measuring.cancel_scope.cancel()
        return Cost(time.perf_counter() - started, time.process_time() - before)

    return wait(fetch_all)


@contextmanager
def serving(size: int, bytes_per_second: int = 0) -> Iterator[str]:
    """Give the address of a server of files of so many bytes, which runs in a process of its own meanwhile."""
    command = [sys.executable, __file__, "serve", str(size), str(bytes_per_second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


@dataclass
class Link:
    """What all connections share: so many bytes a second, 0 for no limit."""

    bytes_per_second: int
    free_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self, most: int) -> int:
        """Wait until more may be sent, and return how many bytes."""
        if not self.bytes_per_second:
            return most
        piece = min(most, PIECE)
        with self.lock:
            now = time.perf_counter()
            self.free_at = max(self.free_at, now - 0.01) + piece / self.bytes_per_second
            wait = self.free_at - now
        time.sleep(max(0.0, wait))
        return piece


def serve(size: int, bytes_per_second: int) -> None:
    """Send the same bytes to whoever asks, without copying them."""
    link = Link(bytes_per_second)
    content = os.memfd_create("content")
    for _ in range(size // MEGABYTE):
        os.write(content, os.urandom(MEGABYTE))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, content, size, link), daemon=True).start()


def answer(connection: socket.socket, content: int, size: int, link: Link) -> None:
    """Answer the requests that come over a connection, whole or from where they ask for (RFC 9110, 14)."""
    with connection, connection.makefile("rb") as lines:
        while lines.readline():
            head = b"".join(iter(lines.readline, b"\r\n"))
            asked = re.search(rb"(?i)\r?\nrange: *bytes=(\d+)-", b"\n" + head)
            first = int(asked[1]) if asked else 0
            status = f"206 Partial\r\nContent-Range: bytes {first}-{size - 1}/{size}" if asked else "200 OK"
            length = f'Content-Length: {size - first}\r\nContent-Type: application/octet-stream\r\nETag: "1"'
            connection.sendall(f"HTTP/1.1 {status}\r\n{length}\r\n\r\n".encode())
            while first < size:
                first += os.sendfile(connection.fileno(), content, first, link.turn(size - first))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*map(int, sys.argv[2:]))
    elif sys.argv[1:2] == ["fetch"]:
        print(json.dumps(vars(fetch(Path(sys.argv[2]), sys.argv[3:]))))
    else:
        main()
