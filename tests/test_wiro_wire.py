from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.wiro import Phase, wire

RECORDINGS = Path(__file__).parent / "recordings"
TASKS = sorted(path.stem for path in RECORDINGS.glob("task_detail_*.json"))

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["0", "1e9999", "-1", "9" * 60, "{}", "[[", "\ud83d", "task_error"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def read(name: str) -> wire.RemoteTask:
    page = wire.read_page(recording(name))
    assert page is not None
    return page.tasks[0]


def recording(name: str) -> dict[str, Any]:
    return wire.parse((RECORDINGS / f"{name}.json").read_bytes())


@pytest.mark.parametrize("name", ["run_accepted", "run_accepted_under_data"])
def test_the_ids_of_a_run_stand_at_the_top_or_under_data(name: str) -> None:
    accepted = wire.read_accepted(recording(name))
    assert accepted == wire.Accepted("2221", "kT9vQ2hXw7LmZc4RbN8sJy1FdPgAe0")
    assert "kT9v" not in repr(accepted)


def test_an_id_may_be_a_number_and_has_to_be_there() -> None:
    assert wire.read_accepted({"taskid": 2221}) == wire.Accepted("2221", None)
    no_id: list[dict[str, Any]] = [{}, {"taskid": None}, {"taskid": ""}, {"taskid": True}, {"data": []}]
    for reply in no_id:
        assert wire.read_accepted({"socketaccesstoken": "x", **reply}) is None


def test_a_finished_task() -> None:
    task = read("task_detail_done")
    assert (task.task_id, task.number, task.model) == ("534574", 534574, "Hevok/Studio-Trigger")
    assert (task.phase, task.exit_code, task.known_status) == (Phase.SUCCEEDED, 0, True)
    assert str(task.cost_usd) == "0.014"
    assert task.parameters is not None
    assert task.parameters["seed"] == "123456"
    assert [output.name for output in task.outputs] == ["0.png", "1.png", "2.png", "3.png"]
    assert (task.outputs[0].size, task.outputs[0].content_type) == (202472, "image/png")
    assert task.created_at is None
    assert (task.elapsed_seconds, task.progress) == (6.0, 1.0)
    assert task.token == "kT9vQ2hXw7LmZc4RbN8sJy1FdPgAe0"
    assert task.token not in repr(task)


def test_a_running_task_tells_how_far_it_is() -> None:
    task = read("task_detail_running")
    assert (task.phase, task.exit_text, task.progress) == (Phase.UNDER_WAY, "", 0.4)
    assert task.cost_usd == 0


@pytest.mark.parametrize(
    ("name", "phase", "exit_code", "error"),
    [
        ("task_detail_failed", Phase.FAILED, 1, "RuntimeError: out of memory"),
        ("task_detail_cancelled", Phase.CANCELLED, None, ""),
        ("task_detail_ended_before_it_ran", Phase.FAILED, None, "Output folder creation failed"),
        ("task_detail_older_form", Phase.SUCCEEDED, None, ""),
        ("task_detail_parameters_as_text", Phase.SUCCEEDED, 0, ""),
    ],
)
def test_other_ends(name: str, phase: Phase, exit_code: int | None, error: str) -> None:
    task = read(name)
    assert (task.phase, task.exit_code, task.error_text, task.known_status) == (phase, exit_code, error, True)


def test_the_older_form_says_when_a_task_was_created() -> None:
    task = read("task_detail_older_form")
    assert (task.created_at, task.cost_usd, task.model) == (1734513807.0, None, None)


def test_parameters_may_be_json_text() -> None:
    assert read("task_detail_parameters_as_text").parameters == read("task_detail_done").parameters


@pytest.mark.parametrize("value", ["not json", "[1]", None, 5, []])
def test_parameters_that_cannot_be_read_are_none(value: object) -> None:
    assert wire.read_task({"parameters": value}).parameters is None


def test_a_language_model_gives_content_without_an_address() -> None:
    (output,) = read("task_detail_language_model").outputs
    assert (output.content_type, output.url) == ("raw", None)
    assert output.content is not None
    assert output.content["answer"] == ["Hello!"]
    (output,) = wire.read_task({"outputs": [{"contenttype": "raw", "content": "just text"}]}).outputs
    assert output.content == {"raw": "just text"}


def test_a_list_of_tasks() -> None:
    page = wire.read_page(recording("task_list"))
    assert page is not None
    assert ([task.number for task in page.tasks], page.total) == ([534575, 534574], 2)


@pytest.mark.parametrize("tasklist", [None, {}, "", [None], [{"id": "1"}, "x"]])
def test_a_list_that_may_hide_a_task_is_not_read(tasklist: object) -> None:
    assert wire.read_page({"tasklist": tasklist}) is None
    assert wire.read_page({"tasklist": []}) == wire.TaskPage((), None)


@pytest.mark.parametrize(
    ("pexit", "outputs", "phase"),
    [
        ("0", [], Phase.SUCCEEDED),
        (0, [], Phase.SUCCEEDED),
        ("0.0", [], Phase.SUCCEEDED),
        ("1", [{"url": "https://x/y"}], Phase.FAILED),
        (-9, [{"url": "https://x/y"}], Phase.FAILED),
        ("killed", [{"url": "https://x/y"}], Phase.SUCCEEDED),
        ([], [{"url": "https://x/y"}], Phase.SUCCEEDED),
        (False, [{"url": "https://x/y"}], Phase.SUCCEEDED),
        (" ", [{"url": "https://x/y"}], Phase.SUCCEEDED),
        ("\0", [{"url": "https://x/y"}], Phase.SUCCEEDED),
        ("killed", [], Phase.FAILED),
        ("", [{"url": "https://x/y"}], Phase.SUCCEEDED),
        (None, [{"url": "https://x/y"}], Phase.SUCCEEDED),
        (None, [], Phase.FAILED),
    ],
)
def test_pexit_tells_success_and_where_it_is_no_number_the_outputs_do(
    pexit: object, outputs: list[Any], phase: Phase
) -> None:
    assert wire.read_task({"status": "task_postprocess_end", "pexit": pexit, "outputs": outputs}).phase is phase


@pytest.mark.parametrize(
    ("fields", "unclear"),
    [
        ({}, True),
        ({"outputs": None}, True),
        ({"outputs": [], "pexit": None, "totalcost": "0.014"}, True),
        ({"totalcost": "0"}, True),
        ({"pexit": "killed", "totalcost": "0"}, True),
        ({"pexit": "0"}, False),
        ({"pexit": 1}, False),
        ({"outputs": [{"url": "https://cdn1.example/0.png"}]}, False),
        ({"status": "task_cancel"}, False),
    ],
)
def test_one_that_ended_without_a_word_may_have_succeeded(fields: dict[str, Any], unclear: bool) -> None:
    """Older replies have no `pexit`, and outputs and costs may be written down late: a cost of 0 proves nothing."""
    page = wire.read_page({"tasklist": [{"id": "1", "status": "task_postprocess_end", **fields}]})
    assert page is not None
    assert page.tasks[0].unclear is unclear


@pytest.mark.parametrize(
    ("task_id", "number"),
    [
        ("2221", 2221),
        ("1234567890123456789", 1234567890123456789),
        ("9" * 40, int("9" * 40)),
        ("b7f0", None),
        ("-5", None),
        ("1.0", None),
        ("1e5", None),
        ("\u0661", None),
    ],
)
def test_ids_have_an_order_however_long_they_are(task_id: str, number: int | None) -> None:
    accepted = wire.read_accepted({"taskid": task_id})
    page = wire.read_page({"tasklist": [{"id": task_id}]})
    assert accepted is not None
    assert page is not None
    assert accepted.number == page.tasks[0].number == number


@pytest.mark.parametrize("status", ["task_teleported", "", None, 7, {}])
def test_an_unknown_status_means_under_way(status: object) -> None:
    task = wire.read_task({"status": status, "pexit": "1"})
    assert (task.phase, task.known_status) == (Phase.UNDER_WAY, False)


@pytest.mark.parametrize("status", ["Task_Postprocess_End", " TASK_POSTPROCESS_END\n"])
def test_a_status_is_read_in_any_case(status: str) -> None:
    assert wire.read_task({"status": status, "pexit": "0"}).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("status", ["task_cancel", "task_error"])
def test_what_ended_with_0_and_outputs_was_made_whatever_its_end_is_called(status: str) -> None:
    made = {"status": status, "pexit": "0", "outputs": [{"url": "https://x/y"}]}
    assert wire.read_task(made).phase is Phase.SUCCEEDED
    assert wire.read_task(made | {"outputs": []}).has_failed
    assert wire.read_task(made | {"pexit": ""}).has_failed


@pytest.mark.parametrize(
    ("fields", "unbilled"),
    [
        ({"totalcost": "0"}, True),
        ({}, True),
        ({"totalcost": ""}, True),
        ({"totalcost": "0", "outputs": [{"url": "https://x/y"}]}, True),
        ({"outputs": [{"url": "https://x/y"}]}, False),
        ({"outputs": {"0": {"url": "https://x/y"}}}, False),
        ({"totalcost": "0.01"}, False),
        ({"totalcost": "abc"}, False),
        ({"totalcost": []}, False),
        ({"totalcost": -1}, False),
        ({"totalcost": "0", "pexit": "killed"}, False),
        ({"totalcost": "0", "pexit": None}, False),
        ({"totalcost": "0", "status": "task_start"}, False),
        ({"status": "task_error", "pexit": ""}, True),
        ({"status": "task_error", "pexit": "0"}, False),
    ],
)
def test_only_what_plainly_failed_for_nothing_is_unbilled(fields: dict[str, Any], unbilled: bool) -> None:
    assert wire.read_task({"status": "task_postprocess_end", "pexit": "1", **fields}).unbilled is unbilled


@pytest.mark.parametrize("status", sorted(wire.UNDER_WAY_STATUSES))
def test_statuses_on_the_way(status: str) -> None:
    task = wire.read_task({"status": status})
    assert (task.phase, task.known_status) == (Phase.UNDER_WAY, True)


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("0.014000000000", "0.014"),
        (Decimal("0.1"), "0.1"),
        (3, "3"),
        ("1e1", "10"),
        ("100", "100"),
        ("0", "0"),
        ("-1", None),
        ("NaN", None),
        ("Infinity", None),
        ("1000001", None),  # more than anything costs, and than the ledger can add up
        ("1e999999999", None),
        ("٣", None),
        (True, None),
        (None, None),
    ],
)
def test_money_is_exact(written: object, amount: str | None) -> None:
    assert wire.money(written) == (None if amount is None else Decimal(amount))
    assert amount is None or str(wire.money(written)) == amount


def test_fractions_never_pass_through_binary() -> None:
    assert wire.read_task(wire.parse(b'{"totalcost": 0.1000000000000000055}')).cost_usd == Decimal(
        "0.1000000000000000055"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"text"',
        b'{"a": 1',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\xff"}',
        b'{"a": 1e99999999999999999999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_one_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        wire.parse(body)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_what_is_nested_deeper_than_anything_we_ask_for_is_not_read(opening: bytes) -> None:
    """Whatever prints, compares or stores it later need not count."""
    closing = bytes({b"[": b"]", b"{": b"}"}[bytes([c])][0] for c in reversed(opening) if bytes([c]) in b"[{")

    def nested(times: int) -> bytes:
        return b'{"content":' + opening * times + b"1" + closing * times + b"}"

    assert wire.parse(nested(25))
    for times in (70, 1000, 100_000):
        with pytest.raises(ValueError, match=r"nested|read"):
            wire.parse(nested(times))
    assert wire.parse(b'{"tasklist":[' + b",".join([b"{}"] * 500) + b"]}")


@pytest.mark.parametrize("written", ["1800000000000", 10**10, "99999999999999", "-5", "1e15"])
def test_a_moment_that_no_calendar_has_is_none(written: object) -> None:
    assert wire.read_task({"createtime": written}).created_at is None


def test_a_status_is_one_short_line_that_is_safe_to_print() -> None:
    assert wire.read_task({"status": "\x1b[2Jtask\nqueue"}).status == "[2jtask queue"
    assert len(wire.read_task({"status": "x" * 10**6}).status) <= 300


def test_half_a_character_can_be_stored_and_printed() -> None:
    value = wire.parse(rb'{"cut \ud83d": ["\ud83d", "\uD83D\uDE00"], "n": 1}')
    assert value == {"cut \ufffd": ["\ufffd", "\U0001f600"], "n": 1}


def test_what_was_written_last_is_kept_of_long_output() -> None:
    task = wire.read_task({"debugoutput": "x" * 10_000 + " 41%|####", "debugerror": "y" * 10_000})
    assert (len(task.debug_output), len(task.error_text), task.progress) == (wire.DEBUG_TAIL, wire.DEBUG_TAIL, 0.41)


@pytest.mark.parametrize("name", TASKS)
@given(data=st.data())
def test_no_field_is_too_odd(name: str, data: st.DataObject) -> None:
    """Any field of a recorded task replaced by any JSON gives a task whose properties can all be read."""
    entry = json.loads((RECORDINGS / f"{name}.json").read_text())["tasklist"][0]
    for target in (entry, *entry["outputs"]):
        field = data.draw(st.sampled_from(sorted(target)))
        target[field] = data.draw(json_values)
    task = wire.read_task(entry)
    assert task.phase in Phase
    assert isinstance(task.known_status, bool)
    assert task.progress is None or 0 <= task.progress <= 1
    assert isinstance(task.exit_code, int | None)
    assert isinstance(task.number, int | None)
    assert isinstance(task.parameters, dict | None)
    assert all(isinstance(output.url, str | None) for output in task.outputs)


@given(
    st.dictionaries(st.sampled_from(["taskid", "data", "tasklist", "total", "list", "socketaccesstoken"]), json_values)
)
def test_no_reply_is_too_odd(reply: dict[str, Any]) -> None:
    wire.read_accepted(reply)
    wire.read_page(reply)
    wire.read_upload(reply)


@given(st.binary())
def test_no_body_is_too_odd(body: bytes) -> None:
    try:
        assert isinstance(wire.parse(body), dict)
    except ValueError as error:
        assert "JSON" in str(error)  # noqa: PT017 - most bodies raise, and some do not


def test_an_upload() -> None:
    upload = wire.read_upload(recording("file_upload"))
    assert upload == wire.Upload("https://cdn1.wiro.ai/71aa/boat.png", "boat.png", 48211)
    assert wire.read_upload({"list": []}) is None
