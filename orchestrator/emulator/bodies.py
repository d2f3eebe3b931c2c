"""What stands in the body of a request: JSON, or a form with files."""

from __future__ import annotations

import email
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from orchestrator.emulator.refusal import RefusalError


@dataclass(frozen=True)
class SentFile:
    """A file in a form: its name without folders, its content type and its bytes."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True)
class Body:
    """The fields of a request and the files in it, by the name of their field."""

    fields: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[SentFile]] = field(default_factory=dict)


def read_body(content_type: str, body: bytes) -> Body:
    """Read a request's body.

    A JSON object is taken under any header: the model page's own sample sends one as `multipart/form-data` (the API
    page).

    Args:
        content_type: The whole `Content-Type` header.
        body: The bytes as they came.

    Returns:
        The fields and files; nothing for an empty body.

    Raises:
        RefusalError: It is neither a JSON object nor a form.
    """
    if not body.strip():
        return Body()
    if content_type.startswith("multipart/form-data") and not body.lstrip().startswith(b"{"):
        return _read_form(content_type, body)
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise RefusalError(0, "Request body invalid")
    return Body(fields)


def _read_form(content_type: str, body: bytes) -> Body:
    boundary = email.message_from_string(f"Content-Type: {content_type}\n\n").get_param("boundary")
    if not isinstance(boundary, str):
        raise RefusalError(0, "Request body invalid")
    form = Body()
    # The first delimiter has no line break of its own before it (RFC 2046, 5.1.1).
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, content = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        _add_part(form, head, content)
    return form


def _add_part(form: Body, head: bytes, content: bytes) -> None:
    headers = email.message_from_bytes(head + b"\r\n\r\n")
    name = headers.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise RefusalError(0, "Request body invalid")
    file_name = headers.get_filename()
    if file_name is None:
        form.fields[name] = content.decode("utf-8", "replace")
        return
    base_name = unquote(file_name).replace("\\", "/").rpartition("/")[2] or "file"
    form.files.setdefault(name, []).append(SentFile(base_name, headers.get_content_type(), content))
