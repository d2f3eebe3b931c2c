"""What a limit on calls means, seen from the service."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence


def assert_within(rate: float, starts: Sequence[float]) -> None:
    """Assert that calls begin as far apart, and as few in a second, as a limit says."""
    for earlier, later in itertools.pairwise(starts):
        assert later - earlier >= 1.02 / rate - 1e-6
    most = max(1, math.floor(rate))
    for earlier, later in zip(starts, starts[most:], strict=False):
        assert later - earlier >= 1.02 - 1e-6
