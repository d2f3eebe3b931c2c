"""Bodies of requests: JSON under any header, forms with files, and rubbish."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.emulator.bodies import SentFile, read_body
from orchestrator.emulator.refusal import RefusalError

FORM = "multipart/form-data; boundary=frontier"


def part(disposition: str, content: bytes) -> bytes:
    return f"--frontier\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()))
def test_json_is_read_under_any_header(fields: dict[str, Any]) -> None:
    for content_type in ("application/json", FORM, "multipart/form-data", ""):
        assert read_body(content_type, json.dumps(fields).encode()).fields == fields


@given(st.binary().filter(lambda content: b"--frontier" not in content))
def test_a_file_in_a_form_keeps_its_bytes(content: bytes) -> None:
    body = part('name="text"', "Möwe".encode()) + part('name="file"; filename="a.png"', content) + b"--frontier--\r\n"
    read = read_body(FORM, body)
    assert read.fields == {"text": "Möwe"}
    assert read.files == {"file": [SentFile("a.png", "text/plain", content)]}


@pytest.mark.parametrize("name", ["boat.png", "../boat.png", "C:\\boats\\boat.png", "..%2Fboat.png"])
def test_a_file_name_has_no_folders(name: str) -> None:
    read = read_body(FORM, part(f'name="file"; filename="{name}"', b"x") + b"--frontier--")
    assert read.files["file"][0].name == "boat.png"


def test_nothing_is_an_empty_body() -> None:
    assert read_body("application/json", b" ").fields == {}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"[1]"),
        ("application/json", b"{"),
        ("application/json", b"\xff"),
        ("multipart/form-data", b"--frontier"),
        (FORM, part("", b"x") + b"--frontier--"),
    ],
)
def test_rubbish_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(RefusalError, match="Request body invalid"):
        read_body(content_type, body)
