"""The service's endpoints as methods: one attempt each, no retries, every failure a `WiroError`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from orchestrator.wiro import wire
from orchestrator.wiro.auth import Credentials, Nonce, fresh_nonce
from orchestrator.wiro.catalogue import parse_model
from orchestrator.wiro.connections import BeforeSend
from orchestrator.wiro.errors import InvalidRequest, NoSuchModel, NoSuchTask, ReplyLost
from orchestrator.wiro.transport import STANDARD_TIMEOUTS, Timeouts, Transport
from orchestrator.wiro.wire import Accepted, Json, RemoteTask, TaskPage, Upload

MAX_UPLOAD_BYTES: Final = 100 * 1000 * 1000
SLOWEST_UPLOAD_BYTES_PER_SECOND: Final = 50_000


class Client:
    """A session with the service; an async context manager.

    Every method makes one attempt and raises `WiroError` (see its classes) where that fails. POST is never repeated
    (aiohttp repeats only what it counts as idempotent, and POST is not), redirects are never followed, cookies and
    proxy settings of the environment are ignored, and the credentials go to the base URL alone.
    """

    def __init__(
        self,
        credentials: Credentials,
        base_url: str,
        *,
        before_send: BeforeSend | None = None,
        on_send: Callable[[str], None] | None = None,
        timeouts: Timeouts = STANDARD_TIMEOUTS,
        nonce: Nonce = fresh_nonce,
        now: Callable[[], float] = time.time,
        proxy: str | None = None,
    ) -> None:
        """Set the client up; nothing is opened before it is entered.

        Args:
            credentials: Sent with each call, and nowhere but to `base_url`.
            base_url: The API base with its version, http or https; whether http is acceptable is the caller's say.
            before_send: Awaited with the endpoint (`/Run`, `/Task/Detail`, …) when a connection is held, immediately
                before the request is written. What it raises reaches the caller, and nothing is sent.
            on_send: Told the endpoint of each request that is really written.
            timeouts: See `Timeouts`; waiting in `before_send` does not count.
            nonce: Gives a new nonce for each attempt.
            now: The wall clock in unix seconds, for a `Retry-After` that is a date.
            proxy: The address of an HTTP proxy.

        Raises:
            ValueError: `base_url` is no plain http(s) address.
        """
        self._transport = Transport(
            credentials,
            base_url,
            before_send=before_send,
            on_send=on_send,
            timeouts=timeouts,
            nonce=nonce,
            now=now,
            proxy=proxy,
        )

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def run(self, model: str, parameters: Mapping[str, Any]) -> Accepted:
        """Submit a task, which costs money; ask the error's `accepted` before sending it again.

        Args:
            model: `owner/model`.
            parameters: As they are to be sent: anything that `json` writes.

        Raises:
            WiroError: No id came back.
            ValueError: `model` has another form, or `parameters` cannot be written as JSON.
        """
        owner, name = parse_model(model)
        reply = await self._transport.post_json("/Run", parameters, path=f"/Run/{owner}/{name}")
        accepted = wire.read_accepted(reply)
        if accepted is None:
            raise ReplyLost("/Run", "success without a task id", http_status=200)
        return accepted

    async def task(
        self, *, token: str | None = None, task_id: str | None = None, seconds: float = math.inf
    ) -> RemoteTask:
        """Return a task by its token, or by its id where there is none.

        Args:
            token: The task's.
            task_id: The task's; beside a token it only tells whether the reply is about this task.
            seconds: How long writing and reading may take, where that is less than `Timeouts.total`.

        Raises:
            WiroError: `NoSuchTask` where the service does not show it (yet), `ReplyLost` where it shows another one,
                and the others.
        """
        asked = _given(tasktoken=token) or _given(taskid=task_id)
        reply = await self._transport.post_json("/Task/Detail", asked, most_seconds=seconds)
        page = wire.read_page(reply)
        if page is None:
            raise ReplyLost("/Task/Detail", "no task list that can be read", http_status=200)
        if not page.tasks:
            raise NoSuchTask("/Task/Detail", "the list of tasks is empty", http_status=200)
        task = page.tasks[0]
        if _is_another(task, token, task_id):
            raise ReplyLost("/Task/Detail", "the reply shows another task", http_status=200)
        if not task.error_text:
            return task
        return replace(task, error_text=self._transport.hide(task.error_text, task.token))

    async def tasks(self, *, start: int, limit: int, model: str | None = None) -> TaskPage:
        """Return part of the account's tasks, newest first; a page that cannot be read whole is `ReplyLost`.

        Args:
            start: How many of the newest to skip.
            limit: How many to return.
            model: Only this model's, named as the service names it.
        """
        query = {"type": "model", "sort": "id", "order": "DESC", "start": str(start), "limit": str(limit)}
        page = wire.read_page(await self._transport.post_json("/Task/List", query | _given(modelName=model)))
        if page is None or not all(task.task_id.strip("0") for task in page.tasks):
            raise ReplyLost("/Task/List", "no task list that can be read", http_status=200)
        return page

    async def cancel(self, *, task_id: str, token: str | None) -> None:
        """Take a task out of the queue; `NotInState` where it is past that."""
        # Documented with `tasktoken`, while the official client sends `taskid` (the API page): both are sent.
        await self._transport.post_json("/Task/Cancel", _given(taskid=task_id, tasktoken=token))

    async def kill(self, *, task_id: str, token: str | None) -> None:
        """End a running task."""
        await self._transport.post_json("/Task/Kill", _given(taskid=task_id, tasktoken=token, socketaccesstoken=token))

    async def delete_outputs(self, token: str) -> None:
        """Delete a finished task's files on the service; doing it twice is no error."""
        await self._transport.post_json("/Task/InputOutputDelete", {"tasktoken": token})

    async def tool(self, model: str) -> Json:
        """Return a model's entry in the catalogue as received; fractions are `Decimal`.

        Raises:
            WiroError: `NoSuchModel` and the others.
            ValueError: `model` has another form than `owner/model`.
        """
        owner, name = parse_model(model)
        tools = await self._tools("/Tool/Detail", {"slugowner": owner, "slugproject": name})
        if not tools:
            raise NoSuchModel("/Tool/Detail", f"the catalogue has no {model}", http_status=200)
        return tools[0]

    async def tools(self, words: str, start: int, limit: int) -> list[Json]:
        """Return part of the catalogue, filtered by `words` (all of it where empty), as received."""
        return await self._tools("/Tool/List", {"start": str(start), "limit": str(limit), "search": words})

    async def upload(self, path: Path, *, name: str | None = None) -> Upload:
        """Put a file of at most 100 MB on the service.

        Args:
            path: The file.
            name: What it is called there; the file's own name where None.

        Raises:
            WiroError: `InvalidRequest` where the file is too large, and the others.
            OSError: The file cannot be opened.
        """
        size = (await asyncio.to_thread(path.stat)).st_size
        if size > MAX_UPLOAD_BYTES:
            raise InvalidRequest("/File/Upload", f"{path.name} has {size:,} bytes; 100 MB is the most")
        file = await asyncio.to_thread(path.open, "rb")
        try:
            form = aiohttp.FormData()
            form.add_field("file", file, filename=name or path.name, content_type="application/octet-stream")
            more_seconds = size / SLOWEST_UPLOAD_BYTES_PER_SECOND
            reply = await self._transport.post_form("/File/Upload", form, more_seconds=more_seconds)
        finally:
            await asyncio.to_thread(file.close)
        upload = wire.read_upload(reply)
        if upload is None:
            raise ReplyLost("/File/Upload", "success without an address", http_status=200)
        return upload

    async def _tools(self, endpoint: str, query: Mapping[str, str]) -> list[Json]:
        tools = (await self._transport.post_json(endpoint, query)).get("tool")
        if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
            raise ReplyLost(endpoint, "no list of models that can be read", http_status=200)
        return tools


def _given(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def _is_another(task: RemoteTask, token: str | None, task_id: str | None) -> bool:
    """Return whether nothing of what a reply says a task is called is what was asked for, though something could be."""
    names = [(token, task.token), (task_id, task.task_id)]
    same = [asked == shown for asked, shown in names if asked and shown]
    return bool(same) and not any(same)
