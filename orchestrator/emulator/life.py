"""What becomes of a task, as a pure function of time and of facts fixed when it was accepted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from orchestrator.emulator.faults import Fault
from orchestrator.emulator.profile import Profile

Changes: TypeAlias = Mapping[str, Any]
"""Fields of a `Life`, and what they become."""

Ending: TypeAlias = Literal["done", "failed", "never_ran"]
"""Well; badly, after it ran; or before it ran (`task_error` in `/Task/Detail`)."""

STAGES = (
    (0.00, "task_accept"),
    (0.02, "task_preprocess_start"),
    (0.04, "task_preprocess_end"),
    (0.06, "task_assign"),
    (0.08, "task_start"),
    (0.55, "task_output"),
    (0.88, "task_output_full"),
    (0.90, "task_end"),
    (0.95, "task_postprocess_start"),
    (1.00, "task_postprocess_end"),
)
"""When each status begins, as a share of the time from the queue to the end, in the order of the socket's events."""

STATUSES = frozenset({"task_queue", *(status for _, status in STAGES), "task_error", "task_error_full", "task_cancel"})
"""Every status of the API page's table."""

FOR_EVER_SECONDS = 1e9

BEGINS = {status: share for share, status in STAGES}
BACKWARDS = list(reversed(BEGINS))


@dataclass(frozen=True, slots=True)
class Life:
    """The course of one task; all times in seconds, moments in unix time.

    Attributes:
        accepted_at: When the task was accepted.
        queue_seconds: How long it waits in the queue.
        run_seconds: From the queue to the end.
        ending: How it ends if it is left alone.
        cancelled_at: When it was cancelled or killed; None if it was not.
        hidden_at: From when on the service does not show it; None to show it always.
        shown_again_at: Until when, None for ever.
        outputs_after_seconds: How long after its end its outputs are there.
        last_after_seconds: How much later than the others the last of its outputs is listed.
        turns: Whether its outputs are listed in another order at each look.
        alias: What its status is called while it is under way; empty for what it is.
        older: Whether it is shown in the older form of replies.
    """

    accepted_at: float
    queue_seconds: float
    run_seconds: float
    ending: Ending = "done"
    cancelled_at: float | None = None
    hidden_at: float | None = None
    shown_again_at: float | None = None
    outputs_after_seconds: float = 0.0
    last_after_seconds: float = 0.0
    turns: bool = False
    alias: str = ""
    older: bool = False

    @property
    def leaves_queue_at(self) -> float:
        """The moment at which a worker takes it."""
        return self.accepted_at + self.queue_seconds

    @property
    def ends_at(self) -> float:
        """The moment from which nothing changes any more."""
        if self.cancelled_at is not None:
            return self.cancelled_at
        return self.leaves_queue_at if self.ending == "never_ran" else self.leaves_queue_at + self.run_seconds

    def status(self, now: float) -> str:
        """Return the status at the moment `now`, one of the API page's table."""
        if now >= self.ends_at:
            if self.cancelled_at is not None:
                return "task_cancel"
            return "task_error" if self.ending == "never_ran" else "task_postprocess_end"
        if now < self.leaves_queue_at:
            return "task_queue"
        return next(status for status in BACKWARDS if self._begins_at(status) <= now)

    def is_over(self, now: float) -> bool:
        """Return whether the task has ended and no longer counts for the concurrency limit."""
        return now >= self.ends_at

    def is_hidden(self, now: float) -> bool:
        """Return whether the service does not show the task."""
        if self.hidden_at is None or now < self.hidden_at:
            return False
        return self.shown_again_at is None or now < self.shown_again_at

    def shown_status(self, now: float) -> str:
        """Return what the service calls the status."""
        return self.status(now) if not self.alias or self.is_over(now) else self.alias

    def has_outputs(self, now: float) -> bool:
        """Return whether the task has succeeded and its outputs are there."""
        return self.exit_code(now) == "0" and now >= self.ends_at + self.outputs_after_seconds

    def has_all_outputs(self, now: float) -> bool:
        """Return whether the last of its outputs is listed too."""
        return self.has_outputs(now) and now >= self.ends_at + self.outputs_after_seconds + self.last_after_seconds

    def exit_code(self, now: float) -> str:
        """Return `pexit`: `"0"` for success, `"1"` for failure, empty for a task that has not run to its end."""
        if self.status(now) != "task_postprocess_end":
            return ""
        return "0" if self.ending == "done" else "1"

    @property
    def moments(self) -> list[float]:
        """When something can be told of it, in order: each change of its status, and each tenth of its work."""
        start, full = BEGINS["task_start"], BEGINS["task_output_full"]
        shares = {share for share, _ in STAGES} | {start + (full - start) * tenth / 10 for tenth in range(1, 10)}
        return [self.leaves_queue_at + self.run_seconds * share for share in sorted(shares)]

    def stamp(self, status: str, now: float) -> str:
        """Return when the task reached `status` (from `task_accept` on) in unix seconds, `"0"` if it has not."""
        begins_at = self._begins_at(status)
        reached = begins_at <= now and begins_at <= self.ends_at and self.ending != "never_ran"
        return str(int(begins_at)) if reached else "0"

    def _begins_at(self, status: str) -> float:
        return self.leaves_queue_at + self.run_seconds * BEGINS[status]

    def progress(self, now: float) -> float:
        """Return how much of the model's own work is done at `now`, from 0 to 1."""
        elapsed = min(now, self.ends_at) - self.leaves_queue_at
        if self.ending == "never_ran" or elapsed < 0:
            return 0.0
        share = elapsed / self.run_seconds if self.run_seconds else 1.0
        start, full = BEGINS["task_start"], BEGINS["task_output_full"]
        return min(1.0, max(0.0, (share - start) / (full - start)))


def decide(profile: Profile, number: int, prompt: str, accepted_at: float) -> Life:
    """Decide the life of a task when it is accepted.

    Args:
        profile: Times, share of failures, and the seed of all draws.
        number: Tells the task from the account's others; the same seed and number give the same times.
        prompt: `[fail]` in it makes the task fail, `[error]` makes it end before it runs.
        accepted_at: Unix seconds.

    Returns:
        A life that is not cancelled.
    """
    digest = hashlib.sha256(f"{profile.seed}:{number}".encode()).digest()
    queue, run, luck = (_uniform(digest[at : at + 6]) for at in (0, 6, 12))
    shortest, longest = profile.queue_seconds
    spread = math.exp(profile.run_seconds_sigma * NormalDist().inv_cdf(run))
    ending: Ending = "done"
    if "[error]" in prompt:
        ending = "never_ran"
    elif "[fail]" in prompt or luck < profile.failure_share:
        ending = "failed"
    return Life(
        accepted_at=accepted_at,
        queue_seconds=shortest + (longest - shortest) * queue,
        run_seconds=profile.run_seconds_median * spread,
        ending=ending,
    )


def afflicted(life: Life, faults: Iterable[Fault]) -> Life:
    """Return what faults of a task make of its life."""
    for fault in faults:
        if fault.kind in _MAKES:
            life = replace(life, **_MAKES[fault.kind](life, fault))
    return life


def _hidden(life: Life, fault: Fault) -> Changes:
    hidden_at = life.accepted_at + fault.after_seconds
    shown_again_at = hidden_at + fault.seconds
    return {"hidden_at": hidden_at, "shown_again_at": shown_again_at if math.isfinite(shown_again_at) else None}


_MAKES: Mapping[str, Callable[[Life, Fault], Changes]] = MappingProxyType(
    {
        "fails": lambda _life, _fault: {"ending": "failed"},
        "never_runs": lambda _life, _fault: {"ending": "never_ran"},
        "stuck": lambda _life, _fault: {"run_seconds": FOR_EVER_SECONDS},
        "late": lambda life, fault: {"run_seconds": life.run_seconds + fault.seconds},
        "unseen": _hidden,
        "bare": lambda _life, fault: {"outputs_after_seconds": min(fault.seconds, FOR_EVER_SECONDS)},
        "grows": lambda _life, fault: {"last_after_seconds": fault.seconds},
        "turns": lambda _life, _fault: {"turns": True},
        "strange": lambda _life, fault: {"alias": fault.text},
        "older": lambda _life, _fault: {"older": True},
    }
)
"""What each kind of fault changes in a life."""


def _uniform(six_bytes: bytes) -> float:
    """Return a number strictly between 0 and 1."""
    return (int.from_bytes(six_bytes, "big") + 0.5) / 2**48
