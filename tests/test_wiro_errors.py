from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.wiro import errors
from orchestrator.wiro.errors import Acceptance, WiroError

RECORDINGS = Path(__file__).parent / "recordings"
NOW = 1_734_513_809.0

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def judge(
    status: int, reply: dict[str, Any] | None, *, endpoint: str = "/Run", retry_after: str | None = None
) -> WiroError | None:
    return errors.failure(endpoint, status, reply, retry_after=retry_after, now=NOW, hide=str)


def refused(code: object, message: str) -> dict[str, Any]:
    return {"result": False, "errors": [{"code": code, "message": message}]}


@pytest.mark.parametrize(
    ("recording", "status", "outcome"),
    [
        ("error_as_text", 200, errors.InvalidRequest),
        ("error_balance", 200, errors.BalanceUsedUp),
        ("error_concurrency_limit", 200, errors.ConcurrencyLimit),
        ("error_endpoint_http_404", 404, errors.NoSuchEndpoint),
        ("error_no_such_model", 200, errors.NoSuchModel),
        ("error_not_cancellable", 200, errors.NotInState),
        ("error_signature_http_401", 401, errors.CredentialsRefused),
        ("error_validation", 200, errors.InvalidRequest),
        ("error_validation_range", 200, errors.InvalidRequest),
        ("task_not_found", 200, errors.NoSuchTask),
    ],
)
def test_recorded_failures(recording: str, status: int, outcome: type[WiroError]) -> None:
    error = judge(status, json.loads((RECORDINGS / f"{recording}.json").read_text()))
    assert type(error) is outcome
    assert error.accepted is Acceptance.NO
    assert error.http_status == status


@pytest.mark.parametrize(
    ("code", "message", "outcome"),
    [
        (0, "Request files [image] required", errors.InvalidRequest),
        (0, "Value of width is invalid", errors.InvalidRequest),
        ("0", "Request parameter [steps] required", errors.InvalidRequest),
        (0, "Something broke", errors.ServerFault),
        (None, "Something broke", errors.ServerFault),
        (0, "", errors.ServerFault),
        (1, "tool-not-accessible", errors.NoSuchModel),
        (1, "who knows", errors.Refused),
        ("96", "Concurrent task limit", errors.ConcurrencyLimit),
        (None, "You have reached your concurrent task limit.", errors.ConcurrencyLimit),
        (None, "Insufficient balance", errors.BalanceUsedUp),
        (98, "x", errors.CredentialsRefused),
        ("99", "x", errors.CredentialsRefused),
        (1234, "x", errors.Refused),
    ],
)
def test_codes_and_words(code: object, message: str, outcome: type[WiroError]) -> None:
    error = judge(200, refused(code, message))
    assert type(error) is outcome
    assert error.accepted is Acceptance.NO


def test_any_other_code_1_of_a_cancel_means_that_the_task_is_past_it() -> None:
    assert type(judge(200, refused(1, "too late"), endpoint="/Task/Cancel")) is errors.NotInState


@pytest.mark.parametrize(
    ("status", "reply", "outcome", "accepted"),
    [
        (429, None, errors.RateLimited, Acceptance.NO),
        (401, None, errors.CredentialsRefused, Acceptance.NO),
        (403, {"result": True}, errors.CredentialsRefused, Acceptance.NO),
        (404, None, errors.NoSuchEndpoint, Acceptance.NO),
        (400, refused(0, "Request parameter [x] required"), errors.InvalidRequest, Acceptance.NO),
        (400, None, errors.ReplyLost, Acceptance.UNCERTAIN),
        (408, {"message": "slow"}, errors.ReplyLost, Acceptance.UNCERTAIN),
        (200, None, errors.ReplyLost, Acceptance.UNCERTAIN),
        (500, refused(97, "Insufficient balance"), errors.ReplyLost, Acceptance.UNCERTAIN),
        (502, None, errors.ReplyLost, Acceptance.UNCERTAIN),
        (302, refused(97, "Insufficient balance"), errors.ReplyLost, Acceptance.UNCERTAIN),
        (307, None, errors.ReplyLost, Acceptance.UNCERTAIN),
    ],
)
def test_the_http_status_is_judged_before_the_code(
    status: int, reply: dict[str, Any] | None, outcome: type[WiroError], accepted: Acceptance
) -> None:
    error = judge(status, reply)
    assert type(error) is outcome
    assert error.accepted is accepted


@pytest.mark.parametrize("said_no", [False, "false", "0", 0])
@pytest.mark.parametrize(
    "rest",
    [
        {"errors": [], "taskid": "5001", "socketaccesstoken": "token"},
        {"errors": [{"code": 0, "message": "Something broke"}], "taskid": 5001},
        {"errors": [{"code": 96, "message": "concurrent task limit"}], "data": {"socketaccesstoken": "token"}},
        {"errors": []},
        {"errors": None, "taskid": None},
        {"errors": [{}], "data": []},
        {},
    ],
)
def test_a_refusal_of_a_task_that_contradicts_itself_may_be_none(said_no: object, rest: dict[str, Any]) -> None:
    """An id, or no reason at all: what may have been accepted is not sent again."""
    error = judge(200, {"result": said_no, **rest})
    assert isinstance(error, errors.ReplyLost)
    assert error.accepted is Acceptance.UNCERTAIN
    assert isinstance(judge(200, {"result": said_no, **rest}, endpoint="/Task/Detail"), errors.Refused)


@pytest.mark.parametrize("http_status", [400, 401, 403, 404, 429, 500])
def test_a_reply_that_names_the_task_is_no_refusal_whatever_its_status(http_status: int) -> None:
    for reply in ({"taskid": "5001"}, refused(99, "Authorization is not valid") | {"taskid": "5001"}):
        error = judge(http_status, reply)
        assert error is not None
        assert error.accepted is Acceptance.UNCERTAIN
        assert error.http_status == http_status


@pytest.mark.parametrize("empty", [None, "", "0", 0, [], {}])
def test_a_refusal_with_an_empty_id_is_one(empty: object) -> None:
    error = judge(200, refused(96, "concurrent task limit") | {"taskid": empty, "socketaccesstoken": empty})
    assert isinstance(error, errors.ConcurrencyLimit)


def test_success_is_no_error() -> None:
    assert judge(200, {"result": True, "errors": []}) is None
    assert judge(200, {"taskid": "1"}) is None


def test_the_concurrency_limit_and_the_balance_are_read_from_the_message() -> None:
    error = judge(200, json.loads((RECORDINGS / "error_concurrency_limit.json").read_text()))
    assert isinstance(error, errors.ConcurrencyLimit)
    assert (error.limit, error.balance_usd, error.code) == (5, Decimal("50.00"), 96)
    error = judge(200, refused(96, "Balance of $1,250.5: you can run up to 250 tasks at the same time"))
    assert isinstance(error, errors.ConcurrencyLimit)
    assert (error.limit, error.balance_usd) == (250, Decimal("1250.5"))
    error = judge(200, refused(96, "full"))
    assert isinstance(error, errors.ConcurrencyLimit)
    assert (error.limit, error.balance_usd) == (None, None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-3", None),
        ("soon", None),
        ("nan", None),
        ("1e9", None),
        ("Wed, 18 Dec 2024 09:23:59 GMT", 30.0),
        ("Wed, 18 Dec 2024 09:00:00 GMT", 0.0),
        ("Wed, 99 Dec 2024 09:00:00 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    error = judge(429, None, retry_after=header)
    assert isinstance(error, errors.RateLimited)
    assert error.retry_after_seconds == seconds


def test_a_message_is_one_short_line_and_the_error_a_sentence() -> None:
    error = judge(200, refused(0, "broken\n\x1b[31m  badly\u202e" + "x" * 5000))
    assert error is not None
    assert error.message.startswith("broken [31m badly x")
    assert len(error.message) == errors.MESSAGE_LENGTH
    assert str(error) == f"The service refused /Run: {error.message}"


def test_secrets_are_taken_out_before_the_message_is_cut() -> None:
    reply = refused(0, f"bad key s3cret {'x' * 400}")
    error = errors.failure("/Run", 200, reply, retry_after=None, now=NOW, hide=lambda text: text.replace("s3cret", "…"))
    assert error is not None
    assert "s3cret" not in f"{error!r} {error} {error.message}"


@pytest.mark.parametrize("key", ["5", "task"])
def test_a_reply_is_understood_before_secrets_are_taken_out(key: str) -> None:
    """A key may be a word, or a number, that the service says for another reason."""
    reply = refused(None, "Concurrent task limit: with $50 you can run up to 5 tasks at the same time")
    error = errors.failure("/Run", 200, reply, retry_after=None, now=NOW, hide=lambda text: text.replace(key, "…"))
    assert isinstance(error, errors.ConcurrencyLimit)
    assert (error.limit, error.balance_usd) == (5, Decimal(50))
    assert key not in error.message


@given(st.integers(100, 599), st.dictionaries(st.sampled_from(["result", "errors", "x"]), json_values))
def test_no_reply_is_too_odd(status: int, reply: dict[str, Any]) -> None:
    error = judge(status, reply)
    if status >= 500 or 300 <= status < 400:
        assert isinstance(error, errors.ReplyLost)
    elif error is not None:
        assert str(error).isprintable()


@given(json_values, json_values)
def test_no_error_entry_is_too_odd(code: object, message: object) -> None:
    error = judge(200, {"result": False, "errors": [{"code": code, "message": message}]})
    assert isinstance(error, errors.Refused | errors.ReplyLost)


@given(st.text())
def test_no_retry_after_is_too_odd(header: str) -> None:
    seconds = errors.retry_after_seconds(header, NOW)
    assert seconds is None or seconds >= 0


WORDS = ("concurrent task limit", "Insufficient balance", "There is no task yet.", "tool-not-accessible")


@given(
    st.sampled_from([0, "0", None]),
    st.sampled_from(
        ["Request parameter [{}] required", "request parameter [{}] must be a number", "Request files [{}]"]
    ),
    st.sampled_from(WORDS) | st.text(max_size=20),
    st.sampled_from([200, 400]),
)
def test_a_complaint_about_a_parameter_is_one_whatever_it_repeats(
    code: object, form: str, value: str, status: int
) -> None:
    """The request is wrong, and sent again it would be wrong again: its task fails, and the run goes on."""
    error = judge(status, refused(code, form.format(value)))
    assert type(error) is errors.InvalidRequest


@given(st.text().filter(lambda text: "invalid" not in text.lower() and "request" not in text.lower()))
def test_any_other_word_with_code_0_is_a_fault_that_can_pass(message: str) -> None:
    """No wording that the page does not know ends a task."""
    assert type(judge(200, refused(0, message))) is errors.ServerFault
