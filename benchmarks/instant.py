"""A service that costs next to nothing: each task has ended when it is asked for, and has made one small picture.

Other scripts start it. What a run of 100,000 tasks needs can be measured beside it within minutes. It keeps nothing and
checks nothing, not even credentials; whoever wants a service that behaves takes the emulator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import cast

from orchestrator.cli.invoking import wait
from orchestrator.emulator.pictures import plain
from orchestrator.wiro.catalogue import seed_model

PICTURE_BYTES = 1000
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
TOKEN = re.compile(rb'"t(\d+)"')
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"

TASK = (
    '{{"result": true, "errors": [], "total": "1", "tasklist": [{{"id": "{id}", "socketaccesstoken": "t{id}", '
    '"status": "task_postprocess_end", "pexit": "0", "totalcost": "0.0035", "elapsedseconds": "0.0100", '
    '"outputs": [{{"name": "0.png", "contenttype": "image/png", "size": "{size}", "url": "{base}/{id}/0.png"}}]}}]}}'
)
ACCEPTED = '{{"result": true, "errors": [], "taskid": "{id}", "socketaccesstoken": "t{id}"}}'
TOOL = json.dumps({"result": True, "errors": [], "tool": [seed_model()]}, default=str)
NONE = '{"result": true, "errors": [], "total": "0", "tasklist": []}'


@contextmanager
def serving() -> Iterator[str]:
    """Give the base URL of such a service, which runs in a process of its own meanwhile."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Connection(asyncio.Protocol):
    """Answers one request after the other."""

    ids = count(1)
    base = ""
    picture = b""

    def __init__(self) -> None:
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer what has come whole."""
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n") + 4) > 3:
            stated = LENGTH.search(self.rest, 0, end)
            whole = end + (int(stated[1]) if stated else 0)
            if len(self.rest) < whole:
                return
            path, body, self.rest = self.rest[:end].split(b" ", 2)[1], self.rest[end:whole], self.rest[whole:]
            self.transport.write(replied(path, body))


def replied(path: bytes, body: bytes) -> bytes:
    """Return the whole reply to a request."""
    if path.endswith(b".png"):
        return Connection.picture
    if path.startswith(b"/v1/Run/"):
        return reply(ACCEPTED.format(id=next(Connection.ids)).encode())
    if path == b"/v1/Tool/Detail":
        return reply(TOOL.encode())
    asked = TOKEN.search(body)
    if asked is None:
        return reply(NONE.encode())
    return reply(TASK.format(id=asked[1].decode(), size=PICTURE_BYTES, base=Connection.base).encode())


def reply(content: bytes, kind: str = "application/json") -> bytes:
    """Return a reply with its head."""
    return HEAD.format(kind=kind, length=len(content)).encode() + content


async def serve() -> None:
    """Listen for ever, and say where."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    Connection.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    Connection.picture = reply(plain("a picture", PICTURE_BYTES), "image/png")
    print(f"{Connection.base}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    argparse.ArgumentParser(description=f"{__doc__.partition(chr(10))[0]} Runs until it is ended.").parse_args()
    wait(serve)
