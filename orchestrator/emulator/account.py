"""The account: its tasks, its money, its limits and its uploads. Nothing here waits."""

from __future__ import annotations

import base64
import hashlib
import heapq
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

from orchestrator.emulator.bodies import SentFile
from orchestrator.emulator.fates import Fates, Subject
from orchestrator.emulator.journal import Record
from orchestrator.emulator.life import Life, afflicted, decide
from orchestrator.emulator.listing import Listing
from orchestrator.emulator.models import CATALOGUE, Model
from orchestrator.emulator.profile import Profile
from orchestrator.emulator.refusal import RefusalError, no_such_task
from orchestrator.emulator.stats import Stats, spelling
from orchestrator.emulator.task import Task, Upload

FIRST_FATE = 534_001
"""What the fate of the first task is drawn from."""
UNLIMITED_ABOVE_USD = 250


class Account:
    """What one key owns. Each change is decided and made at once, and handed back as a record for the journal.

    Attributes:
        concurrency: Tasks at a time; None follows the balance.
        uploads: Uploaded files by folder.
    """

    def __init__(self, profile: Profile, stats: Stats, fates: Fates, now: Callable[[], float]) -> None:
        self.concurrency = profile.concurrency
        self.uploads: dict[str, Upload] = {}
        self._profile = profile
        self._stats = stats
        self._fates = fates
        self._equals: Counter[str] = Counter()
        self._now = now
        self._first_id = int(now() * 1000)  # ids grow over restarts too: an id that is given twice can be paid twice
        self._tasks: list[Task] = []
        self._by_token: dict[str, Task] = {}
        self._by_folder: dict[str, Task] = {}
        self._active: dict[int, Task] = {}
        self._ends: list[tuple[float, int]] = []
        self._reserved = Decimal(0)
        self._balance = profile.balance_usd

    @property
    def balance_usd(self) -> Decimal:
        """The money that is left; what running tasks may cost is not taken off yet."""
        self.settle()
        return self._balance

    @balance_usd.setter
    def balance_usd(self, amount: Decimal) -> None:
        self.settle()
        self._balance = amount

    @property
    def active(self) -> int:
        """How many tasks count for the concurrency limit now."""
        self.settle()
        return len(self._active)

    @property
    def limit(self) -> int | None:
        """How many tasks may run at the same time, None for any number (the API page)."""
        if self.concurrency is not None:
            return self.concurrency
        balance = self.balance_usd
        return None if balance > UNLIMITED_ABOVE_USD else max(1, int(balance / 10))

    def accept(self, model: Model, parameters: Mapping[str, Any]) -> tuple[Task, Record]:
        """Accept a task whose parameters were checked.

        Raises:
            RefusalError: 97, the balance cannot pay for it; 96, too many tasks are running.
        """
        now = self._now()
        count = len(self._tasks)
        number = self._first_id + count
        life = decide(self._profile, FIRST_FATE + count, str(parameters.get("prompt", "")), now)
        if self._fates.may_meet("task"):
            subject = Subject(self._identity(model.name, parameters), parameters)
            life = afflicted(life, self._fates.met_by("task", subject))
        price = model.price_usd(parameters, life.run_seconds)
        self._admit(price)
        digest = hashlib.sha256(f"{self._profile.seed}:{number}:{now}".encode()).digest()
        record = {
            "event": "accepted",
            "id": number,
            "token": base64.b64encode(digest, altchars=b"Ow").decode()[:30],
            "uuid": digest[:16].hex(),
            "model": model.name,
            "parameters": parameters,
            "price_usd": str(price),
            "life": asdict(life),
        }
        self.apply(record)
        return self._tasks[-1], record

    def cancel(self, task: Task) -> Record:
        """Take a task out of the queue.

        Raises:
            RefusalError: It has left the queue.
        """
        if task.life.status(self._now()) != "task_queue":
            raise _not_cancellable()
        return self._stop(task)

    def kill(self, task: Task) -> Record:
        """End a task that has not ended.

        Raises:
            RefusalError: It has ended.
        """
        if task.life.is_over(self._now()):
            raise _not_cancellable()
        return self._stop(task)

    def delete(self, task: Task) -> Record:
        """Delete the files of a finished task; once more does no harm.

        Raises:
            RefusalError: It has not ended.
        """
        if not task.life.is_over(self._now()):
            raise RefusalError(1, "Task is not finished.")
        record = {"event": "deleted", "id": task.id}
        self.apply(record)
        return record

    def upload(self, file: SentFile) -> tuple[Upload, Record]:
        """Keep a file."""
        now = self._now()
        content = hashlib.sha256(file.data).digest()
        name = hashlib.sha256(content + f"{len(self.uploads)}:{now}".encode()).hexdigest()[:32]
        data = base64.b64encode(file.data).decode()
        record = {
            "event": "uploaded",
            "uuid": name,
            "file": {"name": file.name, "content_type": file.content_type, "data": data},
            "at": now,
        }
        self.apply(record)
        return next(reversed(self.uploads.values())), record

    def find(self, *, token: str = "", number: str = "") -> Task:
        """Return the task with this token, or else with this id.

        Raises:
            RefusalError: There is none.
        """
        task = self._by_token.get(token)
        if task is None and number.isdecimal() and len(number) < 19:
            place = int(number) - self._first_id
            task = self._tasks[place] if 0 <= place < len(self._tasks) else None
        if task is None:
            raise no_such_task()
        return task

    def find_folder(self, folder: str) -> Task | None:
        """Return the task whose outputs lie in this folder of the CDN."""
        return self._by_folder.get(folder)

    def newest(
        self, start: int, limit: int, model_name: str = "", listing: Listing | None = None
    ) -> tuple[list[Task], int]:
        """Return one page of the tasks, the newest first, and how many there are in all.

        Args:
            start: How many of the newest to pass over.
            limit: How many to return at most.
            model_name: `owner/model` or the model's part of it; empty for all.
            listing: What goes wrong with it, if anything can.
        """
        tasks = self._tasks
        if listing is not None:
            tasks = [task for task in tasks if listing.shows(task)]
            start, limit = listing.bounds(start, limit)
        if model_name:
            wanted = model_name.lower()
            tasks = [task for task in tasks if wanted in (name := task.model.name.lower(), name.rpartition("/")[2])]
        end = len(tasks) - start
        return tasks[max(0, end - limit) : max(0, end)][::-1], len(tasks)

    def _identity(self, model_name: str, parameters: Mapping[str, Any], *, count: bool = False) -> str:
        """Return the identity of the next task with these parameters; `count` says that this is it."""
        equal = spelling(model_name, parameters)
        number = self._equals[equal] + 1
        if count:
            self._equals[equal] = number
        return f"{equal} {number}"

    def apply(self, record: Record) -> None:
        """Make a change that was decided, now or before a restart."""
        match record["event"]:
            case "accepted":
                self._add(record)
            case "cancelled":
                task = self._tasks[record["id"] - self._first_id]
                task.life = replace(task.life, cancelled_at=record["at"])
                self._release(task)
            case "deleted":
                self._tasks[record["id"] - self._first_id].deleted = True
            case "uploaded":
                sent = record["file"]
                file = SentFile(sent["name"], sent["content_type"], base64.b64decode(sent["data"]))
                upload = Upload(uuid.UUID(record["uuid"]), file, record["at"])
                self.uploads[upload.folder] = upload
            case event:
                raise ValueError(f"The journal holds an event that is not known: {event}.")

    def settle(self) -> None:
        """Account for every task that has ended: free its place, and take its price if it succeeded."""
        self._settle(self._now())

    def _settle(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            task = self._active.get(heapq.heappop(self._ends)[1])
            if task is None:
                continue
            self._release(task)
            if task.life.ending == "done":
                self._balance -= task.price_usd
                self._stats.billed.append(task)

    def _admit(self, price: Decimal) -> None:
        balance, limit = self.balance_usd, self.limit
        if balance - self._reserved < price:
            raise RefusalError(97, "Insufficient balance")
        if limit is not None and len(self._active) >= limit:
            message = (
                "You have reached your concurrent task limit. "
                f"With your current balance of ${balance:.2f}, you can run up to {limit} tasks at the same time. "
                "Add funds to increase your limit."
            )
            raise RefusalError(96, message)

    def _stop(self, task: Task) -> Record:
        record = {"event": "cancelled", "id": task.id, "at": self._now()}
        self.apply(record)
        return record

    def _add(self, record: Record) -> None:
        model, parameters = CATALOGUE[record["model"].lower()], record["parameters"]
        task = Task(
            id=record["id"],
            token=record["token"],
            uuid=uuid.UUID(record["uuid"]),
            model=model,
            parameters=parameters,
            price_usd=Decimal(record["price_usd"]),
            life=Life(**record["life"]),
            identity=self._identity(model.name, parameters, count=True),
        )
        self._settle(task.life.accepted_at)
        if not self._tasks:
            self._first_id = task.id
        self._tasks.append(task)
        self._by_token[task.token] = task
        self._by_folder[task.folder] = task
        self._active[task.id] = task
        self._reserved += task.price_usd
        heapq.heappush(self._ends, (task.life.ends_at, task.id))
        self._stats.accepted.append(task)
        self._stats.peak_concurrency = max(self._stats.peak_concurrency, len(self._active))

    def _release(self, task: Task) -> None:
        if self._active.pop(task.id, None) is not None:
            self._reserved -= task.price_usd


def _not_cancellable() -> RefusalError:
    return RefusalError(1, "Task is not in a cancellable state.")
