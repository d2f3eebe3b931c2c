"""What is written beside the file whose place it takes, so that the old one stands until the new one is whole."""

from __future__ import annotations

from pathlib import Path


def draft_of(path: Path) -> Path:
    """Return a hidden name beside a file, at which nothing lies.

    What was left there, or put there by somebody, is taken away: a link must not be written through.

    Raises:
        OSError: It cannot be taken away.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    return draft


def replace(path: Path, content: bytes) -> None:
    """Let a file hold this, if it does not: the old content stands until the new one does.

    Raises:
        OSError: It cannot be written.
    """
    if (
        path.is_file()
        and not path.is_symlink()
        and path.stat().st_size == len(content)
        and path.read_bytes() == content
    ):
        return
    draft = draft_of(path)
    draft.write_bytes(content)
    draft.replace(path)
