"""Upload the local files that a task sends: each once, for every task and every later run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from orchestrator.ledger import Fact, Ledger
from orchestrator.logs import REDACTED, Log, silent
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.landing import sha256_of
from orchestrator.steps.outcomes import Outcome, judge
from orchestrator.steps.saving import shielded
from orchestrator.sweep import LocalFile, Uploads, with_uploads
from orchestrator.tasks import Parameters
from orchestrator.wiro import Client, InvalidRequest, Upload, WiroError

UPLOADED: Final = "file uploaded"
"""The event by which the log tells a file's address, for `recover`, should the ledger be lost."""


@dataclass(slots=True)
class Uploader:
    """Turns a task's parameters into what is sent.

    Attributes:
        uploads: The job's local files.
        urls: The addresses of those that are uploaded, by SHA-256.
        lost: The SHA-256 of those that had another address before, which nobody knows any more.
        log: Where the address of each file is told that had none before.
    """

    uploads: Uploads
    urls: dict[str, str]
    calls: Calls
    ledger: Ledger
    lost: frozenset[str] = frozenset()
    log: Log = field(default_factory=silent)
    _one_at_a_time: anyio.Lock = field(default_factory=anyio.Lock)

    def sent(self, parameters: Parameters) -> Parameters:
        """Return parameters as they may have been sent, as far as all addresses of their files are known."""
        known = {digest: url for digest, url in self.urls.items() if digest not in self.lost}
        return as_sent(parameters, self.uploads, known)

    async def ready(self, parameters: Parameters) -> Parameters | Outcome:
        """Upload what is not uploaded yet.

        Returns:
            The parameters as they are sent, or what stood in the way of an upload: to be given up where a file has
            changed or gone.

        Raises:
            LedgerError: An address could not be written down.
        """
        try:
            for file in self.uploads.of(parameters):
                async with self._one_at_a_time:
                    if file.sha256 not in self.urls:
                        await self._upload(file)
        except (WiroError, TurnLostError) as error:
            return judge(error, paying=False)
        return as_sent(parameters, self.uploads, self.urls)

    async def _upload(self, file: LocalFile) -> None:
        path = Path(file.path)
        try:
            found = await anyio.to_thread.run_sync(sha256_of, path)
        except OSError as error:
            raise InvalidRequest("/File/Upload", f"{file.path} cannot be read: {error.strerror}") from error
        if found != file.sha256:
            raise InvalidRequest("/File/Upload", f"{file.path} has changed since the job file was read")

        async def upload(client: Client) -> Upload:
            return await client.upload(path, name=file.name)

        uploaded = await self.calls.make(Urgency.SUBMIT, upload)
        await shielded(self.ledger.state({f"{Fact.UPLOAD}{file.sha256}": uploaded.url}, durable=True))
        self.urls[file.sha256] = uploaded.url
        if file.sha256 not in self.lost and _opens_nothing(uploaded.url):
            self.log.info(UPLOADED, sha256=file.sha256, url=uploaded.url)


def as_sent(parameters: Parameters, uploads: Uploads, urls: Mapping[str, str]) -> Parameters:
    """Return parameters as they are sent, also where the job has dropped their files.

    Where a file has no address, they are returned without any word of where it would stand.
    """
    known = [digest in urls for digest in uploads.digests(parameters)]
    if all(known):
        return with_uploads(parameters, uploads.places, urls) if known else parameters
    held = uploads.places.values() - uploads.places.keys()
    return {name: value for name, value in parameters.items() if name not in held}


def known_urls(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of uploaded files that a ledger's facts hold, by SHA-256."""
    return {name.removeprefix(Fact.UPLOAD): url for name, url in facts.items() if name.startswith(Fact.UPLOAD)}


def logged_urls(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the addresses of uploaded files that a log tells, by SHA-256.

    Where it tells two, or a secret was taken out of one, nobody knows which was sent: such a file has none.
    """
    told: dict[str, set[str]] = {}
    for event in events:
        match event:
            case {"event": str(said), "sha256": str(digest), "url": str(url)} if said == UPLOADED:
                told.setdefault(digest, set()).add(url)
    return {digest: url for digest, (url, *others) in told.items() if not others and REDACTED not in url}


def lost_urls(facts: Mapping[str, str]) -> frozenset[str]:
    """Return the SHA-256 of the files that had an address before the ledger was made anew, and that was lost."""
    return frozenset(name.removeprefix(Fact.LOST_UPLOAD) for name in facts if name.startswith(Fact.LOST_UPLOAD))


def _opens_nothing(url: str) -> bool:
    """Return whether an address holds no key to what lies there, and so may be told."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return "@" not in parts.netloc and not parts.query
