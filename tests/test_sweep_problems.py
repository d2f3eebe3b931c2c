"""What an error shows of a line: it fits the terminal, and the caret stands below its character."""

from __future__ import annotations

from hypothesis import example, given, strategies as st

from orchestrator.sweep.problems import WIDTH, Problem


@given(
    line=st.text(st.characters(codec="ascii", exclude_characters="\r\n^"), min_size=1, max_size=300),
    column=st.integers(0, 299),
    number=st.integers(1, 99_999),
)
@example(line="x" * 200, column=100, number=7)
def test_the_caret_stays_below_its_character(line: str, column: int, number: int) -> None:
    """However long the line is, and with tabs in it, nothing wraps in a terminal of 80 columns."""
    column %= len(line)
    marked = f"{line[:column]}^{line[column + 1 :]}"
    _, excerpt, caret = Problem("job.yaml", number, column + 1, "", "Wrong.", excerpt=marked).told().split("\n")
    assert max(len(excerpt), len(caret)) <= WIDTH
    assert excerpt.index("^") == caret.index("^")


def test_a_tab_is_shown_as_a_space() -> None:
    assert "1 | a b\n" in Problem("job.yaml", 1, 3, "", "Wrong.", excerpt="a\tb").told()


def test_wide_characters_are_counted_as_wide() -> None:
    """A terminal shows each of these in two columns."""
    _, excerpt, caret = Problem("job.yaml", 5, 7, "", "Wrong.", excerpt="  森の中: x").told().split("\n")
    assert excerpt.endswith("  森の中: x")
    assert caret.endswith("|" + " " * 10 + "^")
