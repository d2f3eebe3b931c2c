"""What an option says is read as what it is, or refused with what to write instead."""

from __future__ import annotations

import pytest

from orchestrator.cli import arguments
from orchestrator.errors import RefusedError


@pytest.mark.parametrize(("text", "found"), [(None, None), ("auto", "auto"), ("3", 3)])
def test_concurrency_is_a_number_or_auto(text: str | None, found: object) -> None:
    """As `limits.concurrency` of the job file is."""
    assert arguments.tasks_at_once(text) == found
    for wrong in ("0", "-1", "many", "1.5", "²", "100001", "9" * 5000):
        with pytest.raises(RefusedError, match=r"--concurrency .* write auto or a whole number"):
            arguments.tasks_at_once(wrong)
