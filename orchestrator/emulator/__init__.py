"""The service, pretended, on loopback: for trying things out without a key, and for tests."""

from orchestrator.emulator.faults import Change, Fault
from orchestrator.emulator.profile import LoseReplies, Profile
from orchestrator.emulator.server import Emulator, serve
from orchestrator.emulator.stats import Stats, canonical
from orchestrator.emulator.task import Task

__all__ = ["Change", "Emulator", "Fault", "LoseReplies", "Profile", "Stats", "Task", "canonical", "serve"]
