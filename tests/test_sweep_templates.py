from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweep.templates import Ref, TemplateError, names, parse, render


def test_parts() -> None:
    assert parse("a {style} boat, {{literal}}") == ("a ", Ref("style"), " boat, {literal}")
    assert parse("{a}{b-c}") == (Ref("a"), Ref("b-c"))
    assert parse("{{{a}}}") == ("{", Ref("a"), "}")
    assert names(parse("{a} {b} {a}")) == {"a", "b"}


@pytest.mark.parametrize("text", ["{", "a } b", "{}", "{a b}", "{a{b}}", "{a", "}}}"])
def test_lone_braces_are_errors(text: str) -> None:
    with pytest.raises(TemplateError):
        parse(text)


@given(st.text())
def test_escaped_text_comes_back(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert render(parse(escaped), str) == text


@given(st.lists(st.tuples(st.text(alphabet="xyz ,{}"), st.sampled_from(["a", "b"]))))
def test_names_are_replaced(pieces: list[tuple[str, str]]) -> None:
    template = "".join(text.replace("{", "{{").replace("}", "}}") + f"{{{name}}}" for text, name in pieces)
    expected = "".join(text + name.upper() for text, name in pieces)
    assert render(parse(template), str.upper) == expected
