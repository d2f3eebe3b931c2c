"""A lane is one account at one service: what the runs that are in it on this machine have to know of each other."""

from orchestrator.lane.file import WORD_SECONDS, LaneError, LaneFile, lane_folder
from orchestrator.lane.lease import Lease, calls_lease, places_lease
from orchestrator.lane.neighbours import Neighbours, copy_at_work, known_as
from orchestrator.lane.pool import Pool, Share, fair

__all__ = [
    "WORD_SECONDS",
    "LaneError",
    "LaneFile",
    "Lease",
    "Neighbours",
    "Pool",
    "Share",
    "calls_lease",
    "copy_at_work",
    "fair",
    "known_as",
    "lane_folder",
    "places_lease",
]
