"""A task's life is a pure function of time."""

from __future__ import annotations

import statistics

from hypothesis import given, strategies as st

from orchestrator.emulator.life import STAGES, Ending, Life, decide
from orchestrator.emulator.profile import Profile

ORDER = ["task_queue", *(status for _, status in STAGES), "task_error", "task_cancel"]
SECONDS = st.floats(0, 1000)

lives = st.builds(
    Life,
    accepted_at=st.floats(1.7e9, 1.9e9),
    queue_seconds=SECONDS,
    run_seconds=SECONDS,
    ending=st.sampled_from(["done", "failed", "never_ran"]),
)


@given(lives, st.lists(st.floats(-10, 3000), min_size=2))
def test_statuses_follow_one_another_and_the_last_stays(life: Life, offsets: list[float]) -> None:
    moments = sorted(life.accepted_at + offset for offset in offsets)
    places = [ORDER.index(life.status(now)) for now in moments]
    assert places == sorted(places)
    over = [place >= ORDER.index("task_postprocess_end") for place in places]
    assert over == [life.is_over(now) for now in moments]
    progress = [life.progress(now) for now in moments]
    assert progress == sorted(progress)
    assert 0.0 <= progress[0] <= progress[-1] <= 1.0


@given(lives, st.floats(0, 3000))
def test_a_stamp_is_there_exactly_when_its_status_was_reached(life: Life, offset: float) -> None:
    now = life.accepted_at + offset
    place = ORDER.index(life.status(now))
    for status in ("task_accept", "task_start", "task_postprocess_end"):
        reached = life.ending != "never_ran" and place >= ORDER.index(status)
        moment = life.stamp(status, now)
        assert (moment != "0") == reached
        assert moment == "0" or life.accepted_at - 1 <= int(moment) <= now


@given(lives, st.floats(0.001, 500), st.floats(0, 3000))
def test_a_cancelled_task_never_succeeds(life: Life, cancelled_after: float, offset: float) -> None:
    cancelled_at = life.accepted_at + cancelled_after
    if life.is_over(cancelled_at):
        return
    cancelled = Life(life.accepted_at, life.queue_seconds, life.run_seconds, life.ending, cancelled_at)
    now = life.accepted_at + offset
    assert cancelled.exit_code(now) == ""
    assert cancelled.status(now) == ("task_cancel" if now >= cancelled_at else life.status(now))


def test_the_same_seed_and_id_have_the_same_fate() -> None:
    profile = Profile(failure_share=0.3)
    assert decide(profile, 7, "x", 1.8e9) == decide(profile, 7, "x", 1.8e9)
    assert decide(profile, 7, "x", 1.8e9) != decide(profile, 8, "x", 1.8e9)
    assert decide(profile, 7, "x", 1.8e9) != decide(Profile(failure_share=0.3, seed=1), 7, "x", 1.8e9)


def test_times_and_failures_are_distributed_as_the_profile_says() -> None:
    profile = Profile(failure_share=0.25)
    fates = [decide(profile, number, "x", 0.0) for number in range(4000)]
    assert abs(statistics.median(life.run_seconds for life in fates) - 1.0) < 0.05
    assert 0.1 <= min(life.queue_seconds for life in fates) < 0.11
    assert 0.29 < max(life.queue_seconds for life in fates) <= 0.3
    assert abs(sum(life.ending == "failed" for life in fates) / 4000 - 0.25) < 0.03


def test_marks_in_the_prompt_decide_the_ending() -> None:
    endings: dict[str, Ending] = {"a pier": "done", "a [fail] pier": "failed", "[error]": "never_ran"}
    for prompt, ending in endings.items():
        assert decide(Profile(), 1, prompt, 0.0).ending == ending


def test_an_instant_service_is_done_at_once() -> None:
    profile = Profile(queue_seconds=(0, 0), run_seconds_median=0)
    life = decide(profile, 1, "x", 1.8e9)
    assert (life.status(1.8e9), life.exit_code(1.8e9), life.progress(1.8e9)) == ("task_postprocess_end", "0", 1.0)
