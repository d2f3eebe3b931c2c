"""Files that are exported: whole or not at all, and never in the place of a stranger's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.drafts import draft_of
from orchestrator.errors import RefusedError


@contextmanager
def whole(path: Path, *, replaces: bool) -> Iterator[Path]:
    """Give a hidden name beside a path to write to; what is written there takes the path once the block is through.

    Args:
        path: Where the file is to stand.
        replaces: Whether one that stands there already gives way.

    Raises:
        RefusedError: One stands there, or nothing can be written there.
    """
    if path.exists() and not (replaces and path.is_file()):
        hint = "Choose another --out" + ("." if path.is_dir() else ", or add --force to replace it.")
        raise RefusedError(f"{path} is there already. {hint}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = draft_of(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> RefusedError:
    return RefusedError(f"{error.filename or path} cannot be written: {error.strerror or error}.")
