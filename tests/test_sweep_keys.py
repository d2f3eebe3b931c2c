"""The JSON Schema of the job file: true to the reader, and shipped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestrator.emulator.models import CATALOGUE
from orchestrator.sweep import JobFileError, Schema, job_schema, load
from orchestrator.sweep.nodes import ListNode, MapNode, Node, ScalarNode, parse
from orchestrator.sweep.problems import Problems, Source

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "orchestrator" / "sweep" / "job.schema.json"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
TYPES = {"string": str, "number": Decimal, "boolean": bool, "array": list, "object": dict, "integer": Decimal}


def fits(value: Any, schema: Any) -> bool:
    """Return whether a value is valid, as far as draft 7 of JSON Schema is used here; an unknown word is an error."""
    words = schema.keys() - {"description", "title", "$schema", "definitions"}
    return all(CHECKS[word](value, schema[word], schema) for word in words)


def is_type(value: Any, wanted: str | list[str], _: Any) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    whole = isinstance(value, Decimal) and value == value.to_integral_value()
    return any(isinstance(value, TYPES[name]) and (name != "integer" or whole) for name in names)


def members_fit(value: Any, properties: Any, _: Any) -> bool:
    return not isinstance(value, dict) or all(fits(value[key], properties[key]) for key in properties.keys() & value)


def others_fit(value: Any, wanted: Any, schema: Any) -> bool:
    others = (
        []
        if not isinstance(value, dict)
        else [each for key, each in value.items() if key not in schema.get("properties", {})]
    )
    return all(wanted is not False and fits(each, wanted) for each in others)


def referred(value: Any, name: str, _: Any) -> bool:
    return fits(value, job_schema()["definitions"][name.removeprefix("#/definitions/")])


CHECKS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "$ref": referred,
    "type": is_type,
    "properties": members_fit,
    "additionalProperties": others_fit,
    "required": lambda value, keys, _: not isinstance(value, dict) or set(keys) <= value.keys(),
    "items": lambda value, wanted, _: not isinstance(value, list) or all(fits(each, wanted) for each in value),
    "minItems": lambda value, least, _: not isinstance(value, list) or len(value) >= least,
    "minProperties": lambda value, least, _: not isinstance(value, dict) or len(value) >= least,
    "anyOf": lambda value, ways, _: any(fits(value, way) for way in ways),
    "allOf": lambda value, ways, _: all(fits(value, way) for way in ways),
    "enum": lambda value, known, _: value in known,
    "const": lambda value, only, _: value == only,
    "pattern": lambda value, pattern, _: not isinstance(value, str) or re.search(pattern, value) is not None,
    "minimum": lambda value, least, _: not isinstance(value, Decimal) or value >= least,
    "maximum": lambda value, most, _: not isinstance(value, Decimal) or value <= most,
    "exclusiveMinimum": lambda value, bound, _: not isinstance(value, Decimal) or value > bound,
}


def plain(node: Node) -> Any:
    """Return what a job file says as an editor sees it."""
    if isinstance(node, ScalarNode):
        return node.meaning
    if isinstance(node, ListNode):
        return [plain(each) for each in node.items]
    return {key: plain(each) for key, each in node.entries.items()}


def said(text: str) -> Any:
    node = parse(Source("job.yaml", text), Problems())
    assert isinstance(node, MapNode)
    return plain(node)


def test_the_shipped_schema_is_that_of_the_code() -> None:
    """After a change: `python -m orchestrator schema > orchestrator/sweep/job.schema.json`."""
    assert SHIPPED.read_text(encoding="utf-8") == json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n"


def test_every_key_says_what_it_means() -> None:
    def properties(schema: Any) -> list[Any]:
        if isinstance(schema, dict):
            found = list(schema["properties"].values()) if isinstance(schema.get("properties"), dict) else []
            return found + [each for inner in schema.values() for each in properties(inner)]
        return [each for inner in schema for each in properties(inner)] if isinstance(schema, list) else []

    found = properties(job_schema())
    assert len(found) > 40
    assert all(each["description"].endswith((".", ".)")) for each in found)


def examples() -> list[str]:
    text = (ROOT / "docs/job-file.md").read_text(encoding="utf-8")
    jobs = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "jobs").glob("*.yaml"))]
    return jobs + re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_name_the_schema(path: Path) -> None:
    """Editors complete and check a file whose first line tells where its schema is."""
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found is not None
    assert (path.parent / found[1]).resolve() == SHIPPED


@pytest.mark.parametrize("text", examples())
def test_examples_fit(text: str) -> None:
    assert fits(said(text), job_schema())


@pytest.mark.parametrize(
    "wrong",
    [
        "{}",
        "{model: [a]}",
        "{model: a}",
        "{model: a/b, swep: {}}",
        "{model: a/b, sweep: {x: 5}}",
        "{model: a/b, sweep: {x: []}}",
        "{model: a/b, sweep: {x: {value: 3}}}",
        "{model: a/b, sweep: {x: {from: 1, to: 2}}}",
        "{model: a/b, sweep: {x: {from: 1, to: 2, step: 1, count: 2}}}",
        "{model: a/b, sweep: {x: [[1]]}}",
        "{model: a/b, sweep: {x: {file: a.txt, colum: b}}}",
        "{model: a/b, parameters: {x: {from: 1, to: 2, step: 1}}}",
        "{model: a/b, zip: [[a]]}",
        "{model: a/b, exclude: [{x: {above: 1}}]}",
        "{model: a/b, include: [5]}",
        "{model: a/b, sample: {rng: 1}}",
        "{model: a/b, repeat: 0}",
        "{model: a/b, order: random}",
        "{model: a/b, limits: {task_timeout: 30 minutes}}",
        "{model: a/b, limits: {concurrency: many}}",
        "{model: a/b, retry: {attempts: 1.5}}",
        "{model: a/b, outputs: {delete_remote: maybe}}",
    ],
)
def test_what_the_reader_refuses_does_not_fit(tmp_path: Path, wrong: str) -> None:
    """What an editor marks, the reader refuses too."""
    assert not fits(said(wrong), job_schema())
    path = tmp_path / "job.yaml"
    path.write_text(wrong)
    model = CATALOGUE["hevok/studio-trigger"]
    with pytest.raises(JobFileError):
        load(path, today=NOW).resolve(Schema.from_tool(model.tool))
