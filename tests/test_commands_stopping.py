"""The second signal ends everything, even where the disk does not answer any more."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_disk_that_hangs_holds_nobody_for_ever(number: signal.Signals, code: int) -> None:
    """After the second signal and a while the process is gone, and has said that nothing is lost."""
    with subprocess.Popen(
        [sys.executable, "-c", HUNG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            child.send_signal(number)
            assert child.stdout.readline() == "asked\n"
            child.send_signal(number)
            told = child.communicate(timeout=20)[1]
        finally:
            child.kill()
    assert child.returncode == code
    assert told.startswith("orchestrator: The disk has not answered")
    assert "Nothing is lost" in told
