"""Where things are kept is the environment's to say, and nothing else is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.places import cache_folder, state_folder

HOME = Path(Path.cwd().anchor) / "home" / "ada"


@pytest.mark.parametrize(
    ("platform", "variable", "cache", "state"),
    [
        ("linux", "HOME", ".cache/orchestrator", ".local/state/orchestrator"),
        ("darwin", "HOME", "Library/Caches/orchestrator", "Library/Application Support/orchestrator"),
        ("win32", "LOCALAPPDATA", "orchestrator/cache", "orchestrator/state"),
    ],
)
def test_each_platform_has_its_custom(platform: str, variable: str, cache: str, state: str) -> None:
    """Below the user's own folder, where other applications keep such things too."""
    environment = {variable: str(HOME)}
    assert cache_folder(environment, platform) == HOME / cache
    assert state_folder(environment, platform) == HOME / state


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_variables_go_before_the_custom(platform: str) -> None:
    """The XDG variables on every platform, and before them the program's own."""
    environment = {
        "HOME": str(HOME),
        "LOCALAPPDATA": str(HOME),
        "XDG_CACHE_HOME": str(HOME / "c"),
        "XDG_STATE_HOME": str(HOME / "s"),
    }
    assert cache_folder(environment, platform) == HOME / "c" / "orchestrator"
    assert state_folder(environment, platform) == HOME / "s" / "orchestrator"
    environment["ORCHESTRATOR_HOME"] = str(HOME / "o")
    assert cache_folder(environment, platform) == HOME / "o" / "cache"
    assert state_folder(environment, platform) == HOME / "o" / "state"


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_without_a_home_there_is_no_place(platform: str) -> None:
    """A relative path is no home, and the user database is not asked: an empty environment leaves nothing behind."""
    environment = {"HOME": "somewhere", "LOCALAPPDATA": "", "XDG_CACHE_HOME": "c", "XDG_STATE_HOME": "s"}
    for given in ({}, environment):
        assert (cache_folder(given, platform), state_folder(given, platform)) == (None, None)
