"""The forms of the service's replies: pure functions from what is known to JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from orchestrator.emulator import words
from orchestrator.emulator.life import Life
from orchestrator.emulator.profile import Profile
from orchestrator.emulator.refusal import RefusalError
from orchestrator.emulator.task import Task, Upload

Reply = dict[str, Any]

WHY = {"failed": "RuntimeError: out of memory", "never_ran": "Output folder creation failed"}
"""What `debugerror` says, by ending."""


class Replies:
    """Writes replies in the form that the profile asks for.

    Attributes:
        cdn_url: Where the CDN is reached now, without a slash at its end; set once it listens.
    """

    def __init__(self, profile: Profile) -> None:
        self.cdn_url = ""
        self._older = profile.form == "older"
        self._quirks = profile.quirks

    def refused(self, refusal: RefusalError) -> Reply:
        """Return the reply to a request that is refused."""
        as_text = "errors_as_text" in self._quirks
        error = refusal.message if as_text else {"code": refusal.code, "message": refusal.message}
        return {"result": False, "errors": [error]}

    def accepted(self, task: Task) -> Reply:
        """Return the reply to a Run."""
        receipt = {"taskid": str(task.id), "socketaccesstoken": task.token}
        if "run_under_data" in self._quirks:
            return {"result": True, "errors": [], "data": receipt}
        return {"errors": [], **receipt, "result": True}

    def done(self) -> Reply:
        """Return the reply that says no more than yes."""
        return {"result": True, "errors": []}

    def uploaded(self, upload: Upload) -> Reply:
        """Return the reply to an upload."""
        entry = {
            "id": upload.uuid.hex[:16],
            "name": upload.file.name,
            "contenttype": upload.file.content_type,
            "size": str(len(upload.file.data)),
            "parentid": upload.folder,
            "url": self.url(upload.folder, upload.file.name),
            "addedtime": str(int(upload.added_at)),
            "accesskey": upload.uuid.hex[16:],
        }
        return {"result": True, "errors": [], "list": [entry]}

    def tasks(self, entries: list[Reply], total: int) -> Reply:
        """Return the reply that holds tasks; the source that shows parameters as text shows the total as a number."""
        shown = total if "parameters_as_text" in self._quirks else str(total)
        return {"result": True, "errors": [], "total": shown, "tasklist": entries}

    def tools(self, tools: list[Reply], *, summary: bool) -> Reply:
        """Return the reply that holds models, in a summary without their parameters."""
        shown = [{key: value for key, value in tool.items() if not summary or key != "parameters"} for tool in tools]
        return {"result": True, "errors": [], "tool": shown}

    def url(self, folder: str, name: str) -> str:
        """Return the address of a file."""
        return f"{self.cdn_url}/{folder}/{quote(name)}"

    def task(self, task: Task, now: float, sizes: Sequence[int], parameters: Mapping[str, Any] | None = None) -> Reply:
        """Return one task as an entry of `tasklist`.

        Args:
            task: Which.
            now: The moment to tell of, unix seconds.
            sizes: Bytes of each picture it made, empty if there are none (yet).
            parameters: Shown instead of the task's.
        """
        as_text = "parameters_as_text" in self._quirks
        shown = task.parameters if parameters is None else parameters
        common = {
            "id": str(task.id),
            "socketaccesstoken": task.token,
            "parameters": json.dumps(shown, ensure_ascii=False) if as_text else shown,
            "status": task.life.shown_status(now),
            "debugoutput": _debug_output(task, now),
            "starttime": task.life.stamp("task_start", now),
            "endtime": task.life.stamp("task_end", now),
            "elapsedseconds": f"{task.life.run_seconds if task.life.exit_code(now) else 0.0:.4f}",
        }
        older = self._older or task.life.older
        outputs = _text_outputs(task, now) if task.model.writes_text else self._files(task, sizes, older)
        outputs = _listed(task, now, outputs)
        return self._older_form(task, now, common, outputs) if older else _newer_form(task, now, common, outputs)

    def _older_form(self, task: Task, now: float, common: Reply, outputs: list[Reply]) -> Reply:
        life = task.life
        accepted = str(int(life.accepted_at))
        return common | {
            "uuid": str(task.uuid),
            "debugerror": _debug_error(life, now) or "",
            "createtime": accepted,
            "canceltime": _cancel_time(life) or "0",
            "accepttime": life.stamp("task_accept", now),
            "assigntime": life.stamp("task_assign", now),
            "preprocessstarttime": life.stamp("task_preprocess_start", now),
            "preprocessendtime": life.stamp("task_preprocess_end", now),
            "postprocessstarttime": life.stamp("task_postprocess_start", now),
            "postprocessendtime": life.stamp("task_postprocess_end", now),
            "outputs": outputs,
            "size": str(sum(int(output.get("size", 0)) for output in outputs)),
        }

    def _files(self, task: Task, sizes: Sequence[int], older: bool) -> list[Reply]:
        files: list[Reply] = [
            {
                "name": f"{number}.png",
                "contenttype": "image/png",
                "size": str(size),
                "url": self.url(task.folder, f"{number}.png"),
            }
            for number, size in enumerate(sizes)
        ]
        return [_with_origin(file, task) for file in files] if older else files


def _listed(task: Task, now: float, outputs: list[Reply]) -> list[Reply]:
    """Return the outputs that are listed by now, in the order of this look."""
    listed = outputs if task.life.has_all_outputs(now) else outputs[:-1]
    first = task.looks % len(listed) if task.life.turns and listed else 0
    return listed[first:] + listed[:first]


def _newer_form(task: Task, now: float, common: Reply, outputs: list[Reply]) -> Reply:
    exit_code = task.life.exit_code(now)
    entry = common | {
        "pexit": exit_code,
        "totalcost": f"{task.price_usd:.12f}" if exit_code == "0" else "0",
        "modeldescription": task.model.tool["description"],
        "modelslugowner": task.model.tool["slugowner"],
        "modelslugproject": task.model.tool["slugproject"],
        "outputs": outputs,
    }
    if error := _debug_error(task.life, now):
        entry["debugerror"] = error
    if cancelled := _cancel_time(task.life):
        entry["canceltime"] = cancelled
    return entry


def _with_origin(file: Reply, task: Task) -> Reply:
    """Add what the older form tells of a file."""
    digest = hashlib.sha256(f"{task.uuid}/{file['name']}".encode()).hexdigest()
    moment = str(int(task.life.ends_at))
    return file | {
        "id": digest[:32],
        "parentid": task.uuid.hex,
        "uuid": str(task.uuid),
        "addedtime": moment,
        "modifiedtime": moment,
        "accesskey": digest[32:62],
    }


def _cancel_time(life: Life) -> str | None:
    return None if life.cancelled_at is None else str(int(life.cancelled_at))


def _debug_error(life: Life, now: float) -> str | None:
    return WHY.get(life.ending) if life.cancelled_at is None and life.is_over(now) else None


def _text_outputs(task: Task, now: float) -> list[Reply]:
    if not task.life.has_outputs(now) or task.deleted:
        return []
    text = words.write(task.model.with_defaults(task.parameters))
    content = {"prompt": str(task.parameters["prompt"]), "raw": text, "thinking": [], "answer": [text]}
    return [{"contenttype": "raw", "content": content}]


def _debug_output(task: Task, now: float) -> str:
    """Return what the model has written so far: its text, or a progress bar in the manner of the API page."""
    if task.life.stamp("task_start", now) == "0":
        return ""
    progress = task.life.progress(now)
    parameters = task.model.with_defaults(task.parameters)
    if task.model.writes_text:
        text = words.write(parameters)
        return text[: round(len(text) * progress)]
    total = max(1, round(float(parameters.get("steps", 1))))
    step = int(total * progress)
    spent = task.life.run_seconds * 0.8 * progress
    speed = step / spent if spent else 0.0
    left = (total - step) / speed if speed else 0.0
    bar = ("#" * (10 * step // total)).ljust(10)
    return f"{100 * step // total:3d}%|{bar}| {step}/{total} [{_clock(spent)}<{_clock(left)}, {speed:.1f}it/s]"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
