"""A job that is run within this process, on a service that is emulated in it too, both in a hurry."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

from hurry import HurriedClock

from orchestrator.commands.carrying import Result, Watcher
from orchestrator.commands.options import Options
from orchestrator.commands.prepare import Prepared
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines.control import Control
from orchestrator.runs import RunFolder
from orchestrator.status import Status

MODEL: Final = "Hevok/Studio-Trigger"
INSTANT: Final = Profile(plain_bytes=300, queue_seconds=(0, 0), run_seconds_median=0, balance_usd=Decimal(10_000))
TIMES_FASTER: Final = 20.0


class Silent:
    """Watches nothing."""

    def show(self, _: Status) -> None:
        """See `orchestrator.commands.carrying.Watcher`."""


@dataclass
class Bench:
    """A folder with a job file and its run folder, and the service that it is run on."""

    folder: Path
    service: Emulator
    clock: HurriedClock

    @classmethod
    @asynccontextmanager
    async def on(cls, folder: Path, profile: Profile = INSTANT) -> AsyncIterator[Self]:
        """Give a bench with a service like this; both go by one clock."""
        clock = HurriedClock(TIMES_FASTER)
        async with Emulator(profile, now=clock.now, sleep=clock.sleep) as service:
            yield cls(folder, service, clock)

    @property
    def path(self) -> Path:
        """The job file."""
        return self.folder / "job.yaml"

    @property
    def out(self) -> RunFolder:
        return RunFolder(self.folder / "out")

    @property
    def settings(self) -> Settings:
        profile = self.service.profile
        return Settings(profile.api_key, profile.api_secret, self.service.base_url)

    @property
    def go(self) -> dict[str, Any]:
        """What every command is given beside its own arguments."""
        return {"control": Control(), "clock": self.clock, "watcher": Silent()}

    async def carry_out(
        self,
        job: Mapping[str, Any],
        *,
        settings: Settings | None = None,
        control: Control | None = None,
        watcher: Watcher | None = None,
        agreed: Callable[[Prepared], Awaitable[bool]] | None = None,
        **options: Any,
    ) -> Result:
        """Write the job file, and run it or go on with its run."""
        self.path.write_text(json.dumps({"model": MODEL, **job}))
        return await run(
            self.path,
            Options(**{"out": self.out.path, **options}),
            settings or self.settings,
            control=control or Control(),
            clock=self.clock,
            watcher=watcher or Silent(),
            agreed=agreed,
        )

    def manifest(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.manifest.read_text("utf-8").splitlines()]
