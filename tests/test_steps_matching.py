"""Which remote task is which of ours: only what is certain is adopted, only what is contradicted is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.lifecycle import Record
from orchestrator.money import FREE
from orchestrator.steps.matching import (
    CLOCK_SLACK_SECONDS,
    Intent,
    Likeness,
    Matching,
    is_older,
    likeness,
    match,
    newest_before,
    spelt,
)
from orchestrator.tasks import Task
from orchestrator.wiro import RemoteTask

MODEL = "Hevok/Studio-Trigger"
NOW = 1_800_000_000.0
DEFAULTS = spelt({"refiner": "--only_base_model", "steps": 60, "negativePrompt": ""})
BOAT = {"prompt": "a boat", "seed": "1"}
LOCAL = {"inputImage": "sha256:" + "0f" * 32}


def doubtful(
    name: str = "a", parameters: Mapping[str, Any] = BOAT, *, newest: int | None = 100, at: float = NOW
) -> Record:
    """A task whose request may have been accepted, sent when `newest` was the newest remote task."""
    return Record(Task(name, 0, parameters, {}, {}, "x")).intended(at, FREE, newest).given_up(at + 1)


def remote(
    identity: int | str, parameters: Mapping[str, Any] | None, *, at: float | None = None, model: str | None = MODEL
) -> RemoteTask:
    return RemoteTask(
        task_id=str(identity),
        token=None,
        model=model,
        parameters=None if parameters is None else dict(parameters),
        status="task_queue",
        exit_text="",
        cost_usd=None,
        outputs=(),
        error_text="",
        debug_output="",
        created_at=at,
        elapsed_seconds=None,
    )


def intent(record: Record, *, ours: bool = True, due: bool = True, out: bool = False) -> Intent:
    return Intent(record.task.id, spelt(record.task.parameters), record.sent, ours=ours, due=due, out=out)


def found(
    uncertain: Sequence[Record],
    shown: Sequence[RemoteTask],
    *,
    posting: Sequence[Mapping[str, Any]] = (),
    due: bool = True,
) -> Matching:
    """What becomes of tasks of ours while requests with the parameters `posting` are out."""
    out = [Intent("", spelt(parameters), None, ours=False, out=True) for parameters in posting]
    return match([*(intent(record, due=due) for record in uncertain), *out], shown, MODEL, DEFAULTS)


def verdict(uncertain: Record, *shown: RemoteTask) -> str:
    """What becomes of one task in doubt."""
    matching = found([uncertain], shown)
    names = {name: getattr(matching, name) for name in ("adopted", "absent", "waiting", "blocked")}
    [name] = [name for name, held in names.items() if uncertain.task.id in held]
    return name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"steps": 4}, {"steps": "4"}),
        ({"scale": "4.0"}, {"scale": Decimal(4)}),
        ({"scale": "0.80"}, {"scale": 0.8}),
        ({"on": True}, {"on": "true"}),
        ({"image": None}, {"image": ""}),
        ({"prompt": " a boat\n"}, {"prompt": "a boat"}),
        ({"images": ["a", "b"]}, {"images": ["a", "b"]}),
        ({"negativePrompt": "fog"}, {"negativeprompt": "fog"}),
        ({"big": "9" * 60}, {"big": "9" * 60}),
    ],
)
def test_spellings_of_one_value_are_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert spelt(one) == spelt(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"seed": "1"}, {"seed": "2"}),
        ({"seed": 10**18}, {"seed": 10**18 + 1}),
        ({"prompt": "A boat"}, {"prompt": "a boat"}),
        ({"seed": "NaN"}, {"seed": "nan"}),
        ({"images": ["a", "b"]}, {"images": ["b", "a"]}),
        ({"a": "x"}, {"b": "x"}),
        ({"refiner": ""}, {"refiner": "--only_base_model"}),
    ],
)
def test_different_values_stay_different(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert spelt(one) != spelt(other)


SCALARS = st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.decimals()


@given(st.dictionaries(st.text(min_size=1), SCALARS | st.lists(st.text())))
def test_any_parameters_have_a_spelling_and_are_like_themselves(parameters: dict[str, Any]) -> None:
    assert likeness(spelt(parameters), spelt(parameters), {}) is Likeness.SAME


@pytest.mark.parametrize(
    ("sent", "shown", "like"),
    [
        (BOAT, BOAT, Likeness.SAME),
        (BOAT, BOAT | {"width": 1024}, Likeness.SAME),  # more, of the service's own
        (BOAT, {"PROMPT": "a boat", "Seed": 1}, Likeness.SAME),
        (BOAT | {"negativePrompt": ""}, BOAT, Likeness.LIKELY),
        (BOAT | {"steps": 60}, BOAT, Likeness.LIKELY),
        (BOAT | {"refiner": "--only_base_model"}, BOAT, Likeness.LIKELY),
        (BOAT | {"refiner": ""}, BOAT, Likeness.LIKELY),
        (BOAT | {"steps": 40}, BOAT, Likeness.UNCLEAR),
        (BOAT | {"steps": 40, "negativePrompt": ""}, BOAT, Likeness.UNCLEAR),
        (BOAT, None, Likeness.UNCLEAR),
        (BOAT, {}, Likeness.UNCLEAR),
        (BOAT | {"negativePrompt": ""}, BOAT | {"negativePrompt": "blurry"}, Likeness.DIFFERENT),
        (BOAT | {"refiner": ""}, BOAT | {"refiner": "--only_base_model"}, Likeness.DIFFERENT),
        (BOAT | {"refiner": "--only_base_model"}, BOAT | {"refiner": ""}, Likeness.DIFFERENT),
        (BOAT | {"steps": 40}, {"seed": "2"}, Likeness.DIFFERENT),
        (BOAT | LOCAL, BOAT | {"inputImage": "", "inputImageUrl": "https://cdn/1.png"}, Likeness.UNCLEAR),
        (BOAT | LOCAL, BOAT | {"inputImage": "https://cdn/1.png"}, Likeness.UNCLEAR),
        (BOAT | LOCAL, BOAT | {"inputImage": "", "seed": "2"}, Likeness.DIFFERENT),
    ],
)
def test_how_like_is_what_is_shown(sent: dict[str, Any], shown: dict[str, Any] | None, like: Likeness) -> None:
    """An empty value is a value: it fits nothing but itself, or what is not shown."""
    assert likeness(spelt(sent), spelt(shown or {}), DEFAULTS) is like


def test_tasks_that_differ_in_an_empty_value_alone_are_told_apart() -> None:
    """A sweep over a value and its absence, one lost before acceptance: only the one that is there is adopted."""
    empty, base = (doubtful(value, BOAT | {"refiner": value}) for value in ("", "--only_base_model"))
    matching = found([empty, base], [remote(101, base.task.parameters)])
    assert {name: task.task_id for name, task in matching.adopted.items()} == {base.task.id: "101"}
    assert matching.absent == {empty.task.id}


def test_what_a_service_leaves_out_is_adopted_where_only_one_fits() -> None:
    """Both an empty value and the default may be left out: with both in doubt nobody knows which one it is."""
    empty, base = (doubtful(value, BOAT | {"refiner": value}) for value in ("", "--only_base_model"))
    assert verdict(base, remote(101, BOAT)) == "adopted"
    assert found([empty, base], [remote(101, BOAT)]).blocked == {empty.task.id, base.task.id}


@pytest.mark.parametrize("base", [0, 10**18])
def test_what_was_there_before_is_not_ours(base: int) -> None:
    """By the order of ids where both are known, however long they are."""
    record = doubtful(newest=base + 100)
    assert verdict(record, remote(base + 99, BOAT), remote(base + 100, BOAT)) == "absent"
    assert verdict(record, remote(base + 101, BOAT, at=NOW - 9999)) == "adopted"


@pytest.mark.parametrize(("ago", "becomes"), [(9999, "absent"), (60, "adopted"), (None, "blocked")])
@pytest.mark.parametrize(("newest", "identity"), [(None, 101), (100, "b7f0"), (None, "b7f0")])
def test_without_ids_to_compare_the_clock_tells_or_nobody(
    newest: int | None, identity: int | str, ago: float | None, becomes: str
) -> None:
    """The service's clock may be some time behind ours; what has neither order nor time is never adopted."""
    shown = remote(identity, BOAT, at=None if ago is None else NOW - ago)
    assert verdict(doubtful(newest=newest), shown) == becomes


def test_of_several_tries_it_is_the_last_one_that_counts() -> None:
    """Where a damaged ledger knows none of them, one request stands for all."""
    shown = [remote(number, BOAT) for number in (102, 104, 103)]
    assert found([doubtful()], shown).adopted["a"].task_id == "104"


@pytest.mark.parametrize(
    ("remote_id", "newest", "known", "expected"),
    [("120", 100, 90, 120), ("x", 100, 90, 100), (None, None, 90, 90), (None, None, None, None)],
)
def test_a_further_try_is_newer_than_all_that_was_known(
    remote_id: str | None, newest: int | None, known: int | None, expected: int | None
) -> None:
    attempt = doubtful(newest=newest).sent
    assert newest_before(attempt if remote_id is None else replace(attempt, remote_id=remote_id), known) == expected
    assert newest_before(None, known) == known


def test_another_models_task_is_not_ours() -> None:
    assert verdict(doubtful(), remote(101, BOAT, model="else/model")) == "absent"
    assert verdict(doubtful(), remote(101, BOAT, model=MODEL.lower())) == "adopted"
    assert verdict(doubtful(), remote(101, BOAT, model=None)) == "adopted"


def test_a_task_whose_parameters_nobody_shows_may_be_ours() -> None:
    """Then nothing is certain, and nothing is sent again."""
    assert verdict(doubtful(), remote(101, None)) == "blocked"
    assert verdict(doubtful(), remote(100, None)) == "absent"
    assert verdict(doubtful(), remote(101, None), remote(102, BOAT)) == "adopted"


def test_what_fits_a_request_that_is_still_out_is_left_to_it() -> None:
    """However it is spelt; one that is contradicted by what that request sends is not held up."""
    record = doubtful()
    assert found([record], [remote(101, BOAT)], posting=[{"seed": 1, "prompt": "a boat"}]).waiting
    assert found([record], [], posting=[BOAT]).waiting
    assert found([record], [remote(101, BOAT)], posting=[BOAT | {"seed": "2"}]).adopted


@given(st.integers(0, 6), st.integers(0, 6))
def test_equal_tasks_are_claimed_once_each(doubts: int, remotes: int) -> None:
    """As many are adopted as there are, the oldest request first; one alone is given what was made last."""
    records = [doubtful(f"task-{number}", at=NOW + number) for number in range(doubts)]
    matching = found(records[::-1], [remote(101 + number, BOAT) for number in range(remotes)])
    both, first = min(doubts, remotes), 100 + remotes if doubts == 1 else 101
    assert [matching.adopted[f"task-{number}"].number for number in range(both)] == [first + n for n in range(both)]
    assert len(matching.absent) == doubts - both


# A small world, in which collisions are frequent: three names, each with few values in several spellings.
SENT = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from(["a boat", "a harbour"]),
        "steps": st.sampled_from([40, 60]),
        "refiner": st.sampled_from(["", "--only_base_model"]),
    }
)
RESPELT = {"prompt": ("prompt", "Prompt"), "steps": ("steps", "STEPS"), "refiner": ("refiner",)}


@st.composite
def shown_parameters(draw: st.DrawFn) -> dict[str, Any] | None:
    """What a service may show: another spelling, not all, or nothing."""
    sent = draw(SENT)
    shown = {
        draw(st.sampled_from(RESPELT[name])): draw(st.sampled_from([value, str(value)])) for name, value in sent.items()
    }
    hidden = draw(st.sets(st.sampled_from(sorted(shown)), max_size=3))
    return draw(st.none() | st.just({name: value for name, value in shown.items() if name not in hidden}))


DOUBTS = st.lists(st.tuples(SENT, st.none() | st.integers(0, 8), st.integers(0, 400)), max_size=5).map(
    lambda drawn: [
        doubtful(f"task-{place}", sent, newest=newest, at=NOW + after)
        for place, (sent, newest, after) in enumerate(drawn)
    ]
)
REMOTES = st.lists(
    st.builds(
        remote,
        st.integers(1, 12) | st.sampled_from(["x", "y"]),
        shown_parameters(),
        at=st.none() | st.integers(-300, 500).map(lambda after: NOW + after),
        model=st.sampled_from([MODEL, MODEL, MODEL.upper(), None, "else/model"]),
    ),
    max_size=6,
    unique_by=lambda task: task.task_id,
)


def contradicts(task: RemoteTask, sent: Mapping[str, Any]) -> bool:
    """Whether a value that is shown is not the one that was sent: said again, in the plainest way."""
    shown = {name.lower(): str(value) for name, value in (task.parameters or {}).items()}
    return any(name in shown and shown[name] != str(value) for name, value in sent.items())


def certainly_newer(task: RemoteTask, record: Record) -> bool:
    newest = record.sent.newest_known
    if task.task_id.isdigit() and newest is not None:
        return int(task.task_id) > newest
    return task.created_at is not None and task.created_at >= record.sent.intent_at - CLOCK_SLACK_SECONDS


@given(DOUBTS, REMOTES, st.lists(SENT, max_size=2))
def test_only_what_is_certain_is_adopted(
    records: list[Record], remotes: list[RemoteTask], posting: list[dict[str, Any]]
) -> None:
    """Nothing that contradicts what was sent, nothing that may be older, nothing twice, nothing of another model."""
    adopted = found(records, remotes, posting=posting).adopted
    by_name = {record.task.id: record for record in records}
    for name, task in adopted.items():
        assert not contradicts(task, by_name[name].task.parameters)
        assert certainly_newer(task, by_name[name])
        assert task.parameters
        assert task.model != "else/model"
    assert len({task.task_id for task in adopted.values()}) == len(adopted)


@given(DOUBTS, REMOTES, st.lists(SENT, max_size=2))
def test_a_task_in_doubt_is_one_of_four_things(
    records: list[Record], remotes: list[RemoteTask], posting: list[dict[str, Any]]
) -> None:
    matching = found(records, remotes, posting=posting)
    parts = [set(matching.adopted), set(matching.absent), set(matching.waiting), set(matching.blocked)]
    assert set.union(*parts) == {record.task.id for record in records}
    assert sum(map(len, parts)) == len(records)


@given(DOUBTS, REMOTES, st.lists(SENT, max_size=2))
def test_absent_is_only_what_all_that_is_left_contradicts(
    records: list[Record], remotes: list[RemoteTask], posting: list[dict[str, Any]]
) -> None:
    """What may be ours keeps a request from being sent again, and so does an equal one that is out."""
    matching = found(records, remotes, posting=posting)
    taken = {task.task_id for task in matching.adopted.values()}
    left = [task for task in remotes if task.task_id not in taken and task.model != "else/model"]
    for record in records:
        if record.task.id in matching.absent:
            assert record.task.parameters not in posting
            for task in left:
                assert is_older(task, record.sent) or contradicts(task, record.task.parameters)


@given(st.lists(st.tuples(SENT, st.booleans(), st.integers(0, 3)), max_size=8), st.randoms())
def test_with_all_shown_everything_is_settled_rightly(drawn: list[tuple[dict[str, Any], bool, int]], luck: Any) -> None:
    """Each one that was accepted is adopted as a task of its parameters, each other one is absent."""
    records, remotes, newest = [], [], 100
    for place, (sent, accepted, others) in enumerate(drawn):
        records.append(doubtful(f"task-{place}", sent, newest=newest, at=NOW + place))
        if accepted:
            newest += 1 + others
            remotes.append(remote(newest, sent))
    strangers = [remote(number, {"prompt": "a meadow"}) for number in range(500, 503)]
    shuffled = [*records], [*remotes, *strangers]
    for each in shuffled:
        luck.shuffle(each)
    matching = found(*shuffled)
    by_name = {record.task.id: record for record in records}
    assert all(task.parameters == by_name[name].task.parameters for name, task in matching.adopted.items())
    assert len(matching.adopted) == len(remotes)
    assert not matching.blocked
    assert not matching.waiting


def test_a_likely_one_is_adopted_only_where_nothing_else_is_possible() -> None:
    """What the service hides altogether tells two doubts apart for nobody: neither is given the other's picture."""
    shown = remote(101, {"prompt": "a boat"})
    plain = doubtful("plain", {"prompt": "a boat", "negativePrompt": ""})
    other = doubtful("other", {"prompt": "a boat", "negativePrompt": "blurry"})
    assert set(found([plain], [shown]).adopted) == {"plain"}
    both = found([plain, other], [shown])
    assert not both.adopted
    assert set(both.blocked) == {"plain", "other"}
    waiting = found([plain], [shown], posting=[other.task.parameters])
    assert not waiting.adopted
    assert set(waiting.blocked) == {"plain"}


def test_a_text_that_only_looks_like_a_number_is_a_text() -> None:
    assert likeness(spelt({"seed": "042"}), spelt({"seed": 42}), {}) is Likeness.DIFFERENT
    assert likeness(spelt({"seed": "42"}), spelt({"seed": 42}), {}) is Likeness.SAME


def test_of_equal_requests_none_is_given_what_may_be_anothers() -> None:
    """The earlier one's is not shown yet: were the later one's given to it, the later one would pass its over."""
    early, late = doubtful("early", newest=100), doubtful("late", newest=101, at=NOW + 1)
    assert found([early, late], [remote(102, BOAT)], due=False).waiting == {"early", "late"}
    both = found([early, late], [remote(101, BOAT), remote(102, BOAT)], due=False)
    assert {name: task.number for name, task in both.adopted.items()} == {"early": 101, "late": 102}
    assert set(found([early, late], [remote(101, BOAT)], due=False).adopted) == {"early"}


def test_what_may_be_another_runs_is_left_to_it() -> None:
    """As long as that run hears of it, or it may not be shown yet; then the earliest request goes first."""
    ours, theirs = doubtful("ours", newest=100), doubtful("theirs", newest=101, at=NOW + 1)
    shown = [remote(102, BOAT)]
    for due, out in ((True, True), (False, False)):
        matching = match([intent(ours), intent(theirs, ours=False, due=due, out=out)], shown, MODEL, DEFAULTS)
        assert matching.waiting == {"ours"}
    assert set(match([intent(ours), intent(theirs, ours=False)], shown, MODEL, DEFAULTS).adopted) == {"ours"}
    assert match([intent(ours, ours=False), intent(theirs)], shown, MODEL, DEFAULTS).absent == {"theirs"}
    assert match([intent(ours, ours=False, due=False), intent(theirs)], [remote(101, BOAT)], MODEL, DEFAULTS).absent


@dataclass
class World:
    """Equal requests of several runs: which of them were accepted, as which remote task, and shown when.

    Attributes:
        sent: For each request its run, when it was given up, how many strangers' tasks came before it, and after how
            long the list shows its remote task; None where it was not accepted.
    """

    sent: list[tuple[int, int, int, int | None]]

    def __post_init__(self) -> None:
        self.records: list[Record] = []
        self.remote: list[tuple[float, RemoteTask]] = []
        newest = 100
        for place, (_, gave_up_at, others, lag) in enumerate(self.sent):
            self.records.append(doubtful(f"task-{place}", newest=newest, at=NOW + place))
            newest += others
            if lag is not None:
                newest += 1
                self.remote.append((gave_up_at + lag, remote(newest, BOAT)))


SETTLE_AFTER = 5
REQUESTS = st.tuples(
    st.integers(0, 2), st.integers(0, 8), st.integers(0, 2), st.none() | st.integers(0, SETTLE_AFTER - 1)
)


@given(st.lists(REQUESTS, min_size=1, max_size=6), st.randoms())
def test_runs_that_settle_one_after_the_other_lose_nothing_and_pay_nothing_twice(
    sent: list[tuple[int, int, int, int | None]], luck: Any
) -> None:
    """Whoever looks when, and however late the list shows what: in the end every accepted one is somebody's, once."""
    world = World(sent)
    taken: dict[str, str] = {}
    given_up = {record.task.id: sent[place][1] for place, record in enumerate(world.records)}
    owner = {record.task.id: sent[place][0] for place, record in enumerate(world.records)}
    open_now = {record.task.id: record for record in world.records}
    for moment, run in enumerate([*luck.choices(range(3), k=20), 0, 1, 2]):
        shown = [task for at, task in world.remote if at <= moment and task.task_id not in taken.values()]
        intents = [
            intent(
                record,
                ours=owner[name] == run and moment >= given_up[name],
                due=moment - given_up[name] >= SETTLE_AFTER,
                out=moment < given_up[name],
            )
            for name, record in open_now.items()
        ]
        matching = match(intents, shown, MODEL, DEFAULTS)
        for name, task in matching.adopted.items():
            assert task.task_id not in taken.values()
            taken[name] = task.task_id
            del open_now[name]
        for name in matching.absent:
            if moment - given_up[name] >= SETTLE_AFTER:
                del open_now[name]
    assert not open_now
    assert sorted(taken.values()) == sorted(task.task_id for _, task in world.remote)
