"""What is promised, tried on this machine: the machine itself, runs in virtual time, and a real one that is killed.

It needs no key and no network, and writes nothing outside a temporary folder.
"""

from orchestrator.selftest.rounds import prove
from orchestrator.selftest.verdict import Verdict, Violation

__all__ = ["Verdict", "Violation", "prove"]
