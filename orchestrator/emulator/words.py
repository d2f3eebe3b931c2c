"""Text for the outputs of language models: a pure function of what was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.emulator.chance import chance

OPENINGS = ("By the water", "Above the roofs", "Far out", "Between two tides", "Under the lamp", "Past the last pier")
SUBJECTS = ("a gull", "the keeper", "a painted boat", "the wind", "an old clock", "the morning train")
DEEDS = ("waits for", "remembers", "hums to", "draws", "counts", "answers")
OBJECTS = ("the fog", "seven stars", "a quiet street", "the first snow", "its own shadow", "a letter from the north")


def write(parameters: Mapping[str, Any]) -> str:
    """Write an answer.

    Args:
        parameters: All parameters of the run, defaults filled in; `sentences` says how many.

    Returns:
        The same text for the same parameters.
    """
    dice = chance(json.dumps(parameters, sort_keys=True))
    choices = (OPENINGS, SUBJECTS, DEEDS, OBJECTS)
    sentences = (" ".join(map(dice.choice, choices)) for _ in range(int(float(parameters.get("sentences", 1)))))
    return ". ".join(sentences) + "."
