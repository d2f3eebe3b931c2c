"""A run played in virtual time: the real engine and the real ledger, a service in the same process, and bad luck.

A `History` says what is to be done and everything that goes wrong meanwhile; it follows from one seed. `play` carries
it out, through as many processes as it takes, and looks after each step whether what the program promises still holds.
"""

from orchestrator.simulation.history import Event, History, draw
from orchestrator.simulation.play import Played, play
from orchestrator.simulation.shrink import shrink

__all__ = ["Event", "History", "Played", "draw", "play", "shrink"]
