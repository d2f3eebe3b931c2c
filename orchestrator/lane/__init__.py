"""A lane is one account at one service: what the runs that are in it on this machine have to know of each other."""

from orchestrator.lane.file import LaneError, LaneFile, lane_folder
from orchestrator.lane.neighbours import RUN, Neighbours, known_as

__all__ = ["RUN", "LaneError", "LaneFile", "Neighbours", "known_as", "lane_folder"]
