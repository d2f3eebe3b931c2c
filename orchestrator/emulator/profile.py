"""All that can be chosen about an emulated service before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from orchestrator.emulator.faults import Change, Fault

LoseReplies: TypeAlias = Callable[[str, int], Literal["before", "after"] | None]
"""Given an endpoint (`Run`, `Task/Detail`, …) and which call to it this is (from 1), says whether its connection is
dropped before the call is handled, after it (the reply is lost), or not at all."""

Quirk: TypeAlias = Literal["run_under_data", "errors_as_text", "parameters_as_text"]


@dataclass(frozen=True)
class Profile:
    """How the emulated service behaves; the defaults are the quickstart's.

    Attributes:
        api_key: The one key that is accepted.
        api_secret: The secret of a signature project; None makes a project that is known by its key alone.
        refuse_reused_nonces: Whether a signed request whose nonce was seen before is refused.
        balance_usd: The account's money at the start.
        concurrency: Tasks at a time; None follows the balance, as the API page says.
        rate: API calls in any sliding second, more are answered with HTTP 429; None for no limit.
        retry_after_seconds: Sent as `Retry-After` with a 429; None leaves the header out.
        queue_seconds: The shortest and the longest wait in the queue, evenly distributed.
        run_seconds_median: Median of the time from the queue to the end; 0 for an instant service.
        run_seconds_sigma: Spread of that time: it is lognormal, this is the deviation of its logarithm.
        failure_share: Share of tasks (0 to 1) that fail, drawn for each.
        form: `newer` replies leave the time stamps out, `older` ones have them and no `pexit`.
        quirks: Shapes that only some sources show, added to either form.
        picture_side: Pixels of a picture's longer side, its proportions kept; None draws in the size asked for.
        plain_bytes: Size of an output in bytes, made without drawing (for benchmarks); None draws pictures.
        faults: What goes wrong.
        changes: Limits that move, in the order of their moments.
        seed: Chooses times, failures and faults: the same seed, the same fate of the n-th task and the same faults.
    """

    api_key: str = field(default="emulated-key", repr=False)
    api_secret: str | None = field(default="emulated-secret", repr=False)
    refuse_reused_nonces: bool = False
    balance_usd: Decimal = Decimal(200)
    concurrency: int | None = None
    rate: int | None = None
    retry_after_seconds: float | None = None
    queue_seconds: tuple[float, float] = (0.1, 0.3)
    run_seconds_median: float = 1.0
    run_seconds_sigma: float = 0.35
    failure_share: float = 0.0
    form: Literal["newer", "older"] = "newer"
    quirks: frozenset[Quirk] = frozenset()
    picture_side: int | None = 256
    plain_bytes: int | None = None
    faults: tuple[Fault, ...] = ()
    changes: tuple[Change, ...] = ()
    seed: int = 0
