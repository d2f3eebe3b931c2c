"""Flat notes of cells lead to the same tasks as dictionaries of them do."""

from __future__ import annotations

from array import array

from hypothesis import given, strategies as st

from orchestrator.sweep.listing import Notes, in_order

KEYS = st.integers(0, 2**64 - 1)
FEW = st.sampled_from([0, 1, 2**56, 2**63, 2**64 - 1])


@given(st.lists(KEYS | FEW))
def test_in_order(keys: list[int]) -> None:
    """All places, by key and then by place."""
    assert list(in_order(array("Q", keys))) == sorted(range(len(keys)), key=keys.__getitem__)


@given(
    st.lists(st.tuples(FEW, FEW)),
    st.none() | st.integers(1, 6),
    st.lists(FEW, max_size=4),
    st.integers(1, 5),
)
def test_as_with_dictionaries(cells: list[tuple[int, int]], count: int | None, rows: list[int], gap: int) -> None:
    """Equal cells fold into the first, a sample is kept, rows fold into what is kept or come behind it."""
    ordinals = [gap * place for place in range(len(cells))]
    numbered = [(gap * len(cells) + place, key) for place, key in enumerate(rows)]
    groups: dict[int, list[int]] = {}
    for ordinal, (key, _) in zip(ordinals, cells, strict=True):
        groups.setdefault(key, []).append(ordinal)
    makers = sorted(groups, key=lambda key: (cells[groups[key][0] // gap][1], groups[key][0]))
    groups = {key: groups[key] for key in groups if key in makers[:count]}
    for number, key in numbered:
        groups.setdefault(key, []).append(number)

    notes = Notes()
    notes.ordinals.extend(ordinals)
    notes.keys.extend(key for key, _ in cells)
    notes.draws.extend(draw for _, draw in cells)
    listing = notes.listing(different=False, count=count, rows=numbered)
    assert list(listing.ordinals) == [first for first, *_ in groups.values()]
    assert [list(listing.twins(first)) for first in listing.ordinals] == [others for _, *others in groups.values()]
    assert len(listing.others) == sum(map(len, groups.values())) - len(groups)


@given(st.sets(KEYS, max_size=6), st.none() | st.integers(1, 6), st.integers(0, 3))
def test_known_differences_change_nothing(keys: set[int], count: int | None, rows: int) -> None:
    """What is known to be different is not compared, with the same result; only rows can be equal to it."""
    notes = Notes()
    notes.ordinals.extend(range(len(keys)))
    notes.keys.extend(sorted(keys))
    notes.draws.extend(key * 7919 % 2**64 for key in sorted(keys))
    numbered = [(len(keys) + number, key) for number, key in enumerate([*sorted(keys)[:rows], 5, 5])]
    told, compared = (notes.listing(different=each, count=count, rows=numbered) for each in (True, False))
    assert told == compared
