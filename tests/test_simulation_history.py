from __future__ import annotations

import pickle

from hypothesis import given, strategies as st

from orchestrator.simulation.history import MISFORTUNES, chance, draw


@given(st.integers(0, 2**64))
def test_a_seed_stands_for_one_history(seed: int) -> None:
    history = draw(seed)
    assert history == draw(seed) == pickle.loads(pickle.dumps(history))  # noqa: S301 - our own
    for event in history.events:
        assert event.kind in MISFORTUNES[event.victim][2].split()
        assert (event.number > 0) is not (event.at > 0)


def test_every_misfortune_comes() -> None:
    met = {event.what for seed in range(3000) for event in draw(seed).events}
    assert met == {f"{victim} {kind}" for victim, (_, _, kinds) in MISFORTUNES.items() for kind in kinds.split()}


def test_chance_hangs_on_its_key_alone() -> None:
    drawn = [chance(7, "latency", number) for number in range(1000)]
    assert drawn == [chance(7, "latency", number) for number in range(1000)]
    assert all(0 <= each < 1 for each in drawn)
    assert 0.45 < sum(drawn) / 1000 < 0.55
