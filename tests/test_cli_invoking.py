"""How the command line carries out what it was asked for."""

from __future__ import annotations

from orchestrator.cli.invoking import wait


def test_what_comes_back_is_not_spelt_out() -> None:
    """At the end of a loop asyncio looks for its signal handler in a way that spells out the task and its result."""
    spelt = 0

    class Vast:
        def __repr__(self) -> str:
            nonlocal spelt
            spelt += 1
            return "vast"

    async def found() -> Vast:
        return Vast()

    assert isinstance(wait(found), Vast)
    assert spelt == 0
