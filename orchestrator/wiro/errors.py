"""What can go wrong between us and the service, and what it means for a request that is paid for."""

# ruff: noqa: N818 - these are outcomes, and `except ReplyLost` says more than `except ReplyLostError`

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, ClassVar

MESSAGE_LENGTH = 300


class Acceptance(Enum):
    """Whether a `/Run` that failed may still have been accepted, and so be paid for."""

    NO = "certainly not accepted"
    UNCERTAIN = "may have been accepted"


class WiroError(Exception):
    """The root: a call that gave no result.

    Attributes:
        endpoint: The endpoint as the API page names it, without a model: `/Run`, `/Task/Detail`.
        message: The service's words, or ours where it said nothing; one line, at most 300 characters.
        http_status: The HTTP status, where a reply came.
        code: The service's error code, where it gave one.
        accepted: What the failure means for a `/Run`.
    """

    accepted: ClassVar[Acceptance] = Acceptance.NO
    sentence: ClassVar[str] = "The service refused {endpoint}: {message}"

    def __init__(self, endpoint: str, message: str, *, http_status: int | None = None, code: int | None = None) -> None:
        self.endpoint = endpoint
        self.message = one_line(message)
        self.http_status = http_status
        self.code = code
        super().__init__(self.sentence.format(endpoint=endpoint, message=self.message or "no reason given"))


class NotSent(WiroError):
    """The request never left: the name did not resolve, or there was no connection, or no TLS."""

    sentence = "The service could not be reached for {endpoint}: {message}"


class ReplyLost(WiroError):
    """The request left and no usable reply came back: a `/Run` may have been accepted."""

    accepted = Acceptance.UNCERTAIN
    sentence = "The service gave no usable reply to {endpoint}: {message}"


class Refused(WiroError):
    """A complete reply that says no; as such, one with a code that the API page does not know."""


class InvalidRequest(Refused):
    """A parameter is missing or wrong: the same request will fail again."""


class NoSuchModel(Refused):
    """The model does not exist, or this account may not use it."""


class NoSuchTask(Refused):
    """The service does not know the task, or does not show it yet."""


class NotInState(Refused):
    """The task is past the point where it can be cancelled."""


class ConcurrencyLimit(Refused):
    """As many tasks run as the balance allows (code 96).

    Attributes:
        limit: The number of tasks that may run at once, where the message names it.
        balance_usd: The balance, where the message names it.
    """

    def __init__(
        self,
        endpoint: str,
        message: str,
        *,
        http_status: int | None = None,
        code: int | None = None,
        words: str | None = None,
    ) -> None:
        """Read the numbers of `words`, which are the message as it came where secrets were taken out of it since."""
        super().__init__(endpoint, message, http_status=http_status, code=code)
        words = message if words is None else words
        limit = re.search(r"up to (\d{1,9}) task", words)
        balance = re.search(r"\$\s*(\d[\d,]{0,15}(?:\.\d{1,12})?)", words)
        self.limit = int(limit[1]) if limit else None
        self.balance_usd = Decimal(balance[1].replace(",", "")) if balance else None


class BalanceUsedUp(Refused):
    """The account cannot pay for another task (code 97)."""


class CredentialsRefused(Refused):
    """The key or the signature is wrong (codes 98 and 99, HTTP 401 and 403)."""


class ServerFault(Refused):
    """The service failed by its own account (code 0 with HTTP 200): the same request may work later."""


class NoSuchEndpoint(Refused):
    """The address is not the service's (HTTP 404): a wrong base URL."""


class RateLimited(Refused):
    """Calls came too fast (HTTP 429).

    Attributes:
        retry_after_seconds: How long the service asks us to wait, where it says so.
    """

    def __init__(self, endpoint: str, message: str, *, http_status: int, retry_after_seconds: float | None) -> None:
        super().__init__(endpoint, message, http_status=http_status)
        self.retry_after_seconds = retry_after_seconds


VALIDATION = r"request (parameter|files?)\b"
"""How the service's complaints about a request begin, by the API page."""

_NO_NAME: tuple[object, ...] = (None, "", "0", 0, [], {})
"""What may stand in the place of an id or a token where there is none."""

_BY_STATUS: dict[int, type[WiroError]] = {401: CredentialsRefused, 403: CredentialsRefused, 404: NoSuchEndpoint}
_BY_CODE: tuple[tuple[frozenset[int], str, type[Refused]], ...] = (
    (frozenset({96}), r"concurrent task limit", ConcurrencyLimit),
    (frozenset({97}), r"insufficient balance", BalanceUsedUp),
    (frozenset({98, 99}), r"authorization is not valid", CredentialsRefused),
)
_BY_WORDS: tuple[tuple[frozenset[int], str, type[Refused]], ...] = (
    (frozenset({1}), r"slug-owner-project-not-exist|tool-not-accessible", NoSuchModel),
    (frozenset({1}), r"\bno task\b", NoSuchTask),
    (frozenset({1}), r"\bcancell?able state\b", NotInState),
    (frozenset({0}), r"\binvalid\.?$", InvalidRequest),
    (frozenset({0}), r"", ServerFault),
)


def failure(
    endpoint: str,
    http_status: int,
    reply: Mapping[str, Any] | None,
    *,
    retry_after: str | None,
    now: float,
    hide: Callable[[str], str],
) -> WiroError | None:
    """Say what a reply means; the HTTP status is judged before the code.

    Args:
        endpoint: The endpoint as in `WiroError.endpoint`.
        http_status: The HTTP status.
        reply: The body, or None where it was no JSON object.
        retry_after: The `Retry-After` header.
        now: Unix seconds, for a `Retry-After` that is a date.
        hide: Takes our secrets out of the service's words.

    Returns:
        The error, or None where the call succeeded.
    """
    refused = reply is not None and _is_false(reply.get("result"))
    if 200 <= http_status < 300 and reply is not None and not refused:
        return None
    code, words = _first_error(reply or {})
    message = hide(words) or ("a refusal without a reason" if refused and http_status == 200 else "")
    doubtful = endpoint == "/Run" and reply is not None and _contradicts_itself(http_status, reply, code, words)
    if http_status == 429 and not doubtful:
        wait = retry_after_seconds(retry_after, now)
        return RateLimited(endpoint, message or "too many calls", http_status=429, retry_after_seconds=wait)
    outcome = ReplyLost if doubtful else _BY_STATUS.get(http_status)
    if outcome is None and refused and (200 <= http_status < 300 or 400 <= http_status < 500):
        outcome = _refusal(endpoint, code, words)
    message = message or f"HTTP status {http_status}"
    if outcome is ConcurrencyLimit:
        return ConcurrencyLimit(endpoint, message, http_status=http_status, code=code, words=words)
    return (outcome or ReplyLost)(endpoint, message, http_status=http_status, code=code)


def _refusal(endpoint: str, code: int | None, said: str) -> type[Refused]:
    """Older replies have words without a code: there the words decide alone.

    A complaint about a parameter comes first: it may repeat the parameter's value, and so any words at all.
    """
    if code in {None, 0} and re.match(VALIDATION, said, re.IGNORECASE):
        return InvalidRequest
    for codes, words, outcome in _BY_CODE:
        if code in codes or (code is None and re.search(words, said, re.IGNORECASE)):
            return outcome
    for codes, words, outcome in _BY_WORDS:
        if (code is None or code in codes) and re.search(words, said, re.IGNORECASE):
            return outcome
    if code == 1 and endpoint in {"/Task/Cancel", "/Task/Kill"}:
        return NotInState
    return Refused


def _contradicts_itself(http_status: int, reply: Mapping[str, Any], code: int | None, words: str) -> bool:
    """Return whether what refuses a task names one, or says `result: false` and not a word of why.

    The API page knows no such reply; who wrote it may have accepted the task.
    """
    data = reply.get("data")
    places = (reply, data if isinstance(data, dict) else {})
    if any(place.get(name) not in _NO_NAME for place in places for name in ("taskid", "socketaccesstoken")):
        return True
    return 200 <= http_status < 300 and code is None and not words


def _is_false(result: object) -> bool:
    return result is not True and str(result).strip().lower() in {"false", "0"}


def _first_error(reply: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return the first error's code and the words of all of them; errors are objects or plain text."""
    errors = reply.get("errors")
    entries = errors if isinstance(errors, list) else [errors]
    codes: list[int] = []
    words: list[str] = []
    for entry in entries[:5]:
        found = entry if isinstance(entry, dict) else {"message": entry}
        code, message = found.get("code"), found.get("message")
        if re.fullmatch(r"-?\d{1,9}", str(code)):
            codes.append(int(str(code)))
        if isinstance(message, str) and message:
            words.append(message)
    return (codes[0] if codes else None), one_line("; ".join(words))


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """Read a `Retry-After` header: seconds (whole or decimal) or an HTTP date (RFC 9110, section 10.2.3).

    Args:
        header: The header, or None.
        now: Unix seconds that a date is counted from.

    Returns:
        Seconds from now, never negative; None where there is no header or it cannot be read.
    """
    text = (header or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{0,9})?", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def one_line(text: str) -> str:
    """Return foreign words as one short line that is safe to print: no control characters, single spaces."""
    text = text[: 8 * MESSAGE_LENGTH]
    printable = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    words = " ".join(printable.split())
    return words if len(words) <= MESSAGE_LENGTH else f"{words[: MESSAGE_LENGTH - 1]}…"
