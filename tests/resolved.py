"""Jobs as they are once they are read and resolved, from what stands under their keys."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from orchestrator.sweep import Job, Schema, load

MODEL = "Hevok/Studio-Trigger"
RECORDED = Path(__file__).parent / "recordings" / "tool_detail_studio_trigger.json"
SCHEMA = Schema.from_tool(json.loads(RECORDED.read_text())["tool"][0])


def read(*sets: str, **keys: Any) -> Job:
    """Read a job from what stands under its keys, with what the command line sets in its place."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.yaml"
        path.write_text(yaml.safe_dump({"model": MODEL, **keys}, sort_keys=False, allow_unicode=True))
        return load(path, today=datetime(2026, 11, 22, tzinfo=UTC), sets=sets).resolve(SCHEMA)
