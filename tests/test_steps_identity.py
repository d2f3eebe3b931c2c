"""Each output keeps its number, however the service lists them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from orchestrator.lifecycle import Output
from orchestrator.steps.identity import Numbered, by_number, distinct
from orchestrator.wiro import RemoteOutput


def listed(name: str, identity: str = "", url: str | None = None) -> RemoteOutput:
    return RemoteOutput(identity, name, url or f"https://cdn/{name}", "image/png", None, None)


def recorded(number: int, url: str | None) -> Output:
    return Output(f"files/boat-k3v9x2ab-{number}.png", url, "image/png", 1, "00")


def numbers(numbered: Numbered) -> list[RemoteOutput | None]:
    return [numbered.shown(number) for number in range(len(numbered))]


A, B, C = listed("a.png"), listed("b.png"), listed("c.png")


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param([A, B, C], id="by name"),
        pytest.param([listed("x", each, f"https://cdn/{each}/x") for each in "abc"], id="by id"),
        pytest.param([listed("x", "", f"https://cdn/{each}/x") for each in "abc"], id="by path"),
        pytest.param([listed("", "", f"https://cdn/x/{each}") for each in "abc"], id="by file name"),
    ],
)
@given(orders=st.lists(st.permutations(range(3)), max_size=4), growing=st.integers(1, 3))
def test_a_number_stays_with_its_output(
    outputs: list[RemoteOutput], orders: list[tuple[int, ...]], growing: int
) -> None:
    numbered = Numbered({})
    numbered.see(outputs[:growing])
    numbered.see(outputs)
    first = numbers(numbered)
    assert first == outputs
    for order in orders:
        renewed = [replace(output, url=f"{output.url}?look={order}") for output in outputs]
        numbered.see([renewed[place] for place in order])
        assert numbers(numbered) == renewed


def test_other_hosts_and_folders_are_other_addresses_of_the_same_files() -> None:
    numbered = Numbered({number: recorded(number, f"https://cdn/u1/{number}.png") for number in range(2)})
    one, other = (listed("", "", f"https://other/u2/{number}.png?sign=1") for number in range(2))
    numbered.see([other, one])
    assert numbers(numbered) == [one, other]


def test_only_where_nothing_tells_them_apart_is_it_the_place_that_counts() -> None:
    numbered = Numbered({})
    numbered.see([listed("x", "", f"https://cdn/{each}") for each in "ab"])
    numbered.see(new := [listed("x", "", f"https://cdn/{each}") for each in "cd"])
    assert numbers(numbered) == new


def test_what_is_not_listed_for_once_keeps_its_number_and_a_new_one_takes_the_next() -> None:
    numbered = Numbered({})
    for look in ([A, B], [C, A], [B, C]):
        numbered.see(look)
    assert numbers(numbered) == [A, B, C]


def test_the_number_of_what_an_earlier_fetch_could_not_get_is_free() -> None:
    numbered = Numbered({1: recorded(1, B.url)})
    assert (len(numbered), numbers(numbered)) == (2, [None, None])
    numbered.see([B, A])
    assert numbers(numbered) == [A, B]


def test_what_is_called_otherwise_at_each_look_is_not_always_a_further_one() -> None:
    numbered = Numbered({})
    for look in range(50):
        numbered.see([A, listed(f"{look}.png")])
    assert len(numbered) == 4


def test_one_file_is_one_output_however_often_it_is_listed_or_recorded() -> None:
    text = RemoteOutput("", "", None, "raw", None, {"raw": "x"})
    assert distinct([A, B, replace(A, name="again"), text, text]) == (A, B, text, text)
    twice = [recorded(0, A.url), recorded(1, A.url), recorded(2, B.url), recorded(3, None), recorded(4, None)]
    assert list(by_number(twice)) == [0, 2, 3, 4]
