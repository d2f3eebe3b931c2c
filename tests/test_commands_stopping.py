"""The first signal is answered at once, the second ends everything, even where the disk does not answer any more."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from child import child

from orchestrator.commands.stopping import Notice, stoppable
from orchestrator.engines.control import Control
from orchestrator.steps.outcomes import Stop

HUNG = """
import threading
import anyio, anyio.to_thread
from orchestrator.commands import stopping
stopping.LAST_SECONDS = 0.2

async def work(control):
    control.begun = True
    print("begun", flush=True)
    while not control.left:
        await control.changed.wait()
    print("asked", flush=True)
    await anyio.to_thread.run_sync(threading.Event().wait)  # as a commit to a disk that is gone

anyio.run(lambda: stopping.stoppable(work))
"""


@pytest.mark.parametrize(
    ("number", "code", "again"), [(signal.SIGINT, 130, "press Ctrl-C"), (signal.SIGTERM, 143, "send SIGTERM")]
)
def test_a_disk_that_hangs_holds_nobody_for_ever(number: signal.Signals, code: int, again: str) -> None:
    """After the second signal and a while the process is gone, and has said that nothing is lost."""
    with child([sys.executable, "-c", HUNG], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(number)
        told = process.communicate(timeout=20)[1]
    assert process.returncode == code
    asked, _, told = told.partition("\n")
    assert asked == f"Stopping: finishing what is at hand; {again} again to leave at once."
    assert told.startswith("orchestrator: The disk has not answered")
    assert "Nothing is lost" in told


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("number", "stop", "said", "again"),
    [
        (signal.SIGINT, Stop.INTERRUPTED, "Interrupted.", "press Ctrl-C"),
        (signal.SIGTERM, Stop.TERMINATED, "Ended by SIGTERM.", "send SIGTERM"),
        (signal.SIGHUP, Stop.TERMINATED, "Ended by SIGHUP.", "send SIGHUP"),
    ],
)
async def test_a_signal_is_answered_with_what_is_waited_for(
    number: signal.Signals, stop: Stop, said: str, again: str
) -> None:
    """The sentence is as true later as at first: it counts what is still on its way."""
    told: list[Notice] = []

    async def work(control: Control) -> list[str]:
        control.begun, control.downloads = True, 2
        signal.raise_signal(number)
        while not control.left:
            await control.changed.wait()
        assert control.halt
        assert (control.halt.stop, control.halt.message) == (stop, f"{said} What runs on the service goes on there.")
        first = told[0]()
        control.downloads = 1
        return [first, told[0]()]

    (first, later), came = await stoppable(work, told.append)
    assert (came, len(told)) == (number, 1)
    assert first == f"Stopping: finishing 2 downloads; {again} again to leave at once."
    assert later == f"Stopping: finishing 1 download; {again} again to leave at once."
