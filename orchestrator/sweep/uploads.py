"""Local files that tasks send: known by their contents, uploaded once, replaced by their addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from orchestrator.tasks import Parameters

PREFIX = "sha256:"
"""How a local file stands in a task's parameters: this, and the SHA-256 of its bytes."""
MOST_BYTES = 100_000_000
"""How large a file the service takes (the API page)."""

_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be uploaded.

    Attributes:
        sha256: Of its bytes, in hexadecimal: its name among the job's files.
        path: Where it lies, absolute, links resolved.
        name: What it is called.
        bytes: Its size.
    """

    sha256: str
    path: str
    name: str
    bytes: int


@dataclass(frozen=True)
class Uploads:
    """The local files of a job.

    Attributes:
        places: The model's parameters that take files, each with the parameter that takes a file's address instead;
            also where the job has no files: tasks that an earlier edition sent may have had some.
        files: The files by their SHA-256.
    """

    places: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, LocalFile] = field(default_factory=dict)

    def of(self, parameters: Parameters) -> list[LocalFile]:
        """Return the files that a task sends, each once.

        Args:
            parameters: A task's parameters, in which a local file stands as `"sha256:…"`.
        """
        return [self.files[digest] for digest in self.digests(parameters)]

    def digests(self, parameters: Parameters) -> list[str]:
        """Return the SHA-256 of each file that a task sends, once; the job may hold the file no longer."""
        return list(dict.fromkeys(_digests(parameters, self.places).values()))

    def to_json(self) -> dict[str, Any]:
        """Return the files as plain JSON."""
        return {"places": dict(self.places), "files": [asdict(each) for each in self.files.values()]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Uploads:
        """Return the files that `to_json` gave."""
        files = [LocalFile(**each) for each in data["files"]]
        return cls(data["places"], {each.sha256: each for each in files})


def with_uploads(parameters: Parameters, places: Mapping[str, str], urls: Mapping[str, str]) -> dict[str, Any]:
    """Return parameters as they are sent once their files are uploaded.

    The API page: a file parameter takes an address in `{id}Url` and is then itself sent empty; only a
    `combinefileinput` takes it in `{id}`.

    Args:
        parameters: A task's parameters, in which a local file stands as `"sha256:…"`.
        places: `Uploads.places`.
        urls: The address of each uploaded file, by its SHA-256 in hexadecimal.

    Raises:
        KeyError: A file is not uploaded yet.
    """
    sent = dict(parameters)
    for name, digest in _digests(parameters, places).items():
        sent[name] = ""
        sent[places[name]] = urls[digest]
    return sent


def hashed(file: BinaryIO) -> tuple[str, int]:
    """Return the SHA-256 of an open file in hexadecimal, and its size in bytes."""
    digest = hashlib.sha256()
    size = 0
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _digests(parameters: Parameters, places: Mapping[str, str]) -> dict[str, str]:
    standing = {name: parameters.get(name) for name in places}
    return {
        name: value.removeprefix(PREFIX)
        for name, value in standing.items()
        if isinstance(value, str) and value.startswith(PREFIX)
    }
