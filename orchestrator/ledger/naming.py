"""Under which names a ledger keeps what it knows of its run besides the tasks."""

from __future__ import annotations

from enum import StrEnum


class Fact(StrEnum):
    """The name of a fact, or what such names begin with; moments are in unix seconds."""

    # What the run is, and how much of it is written down

    JOB = "job"  # the resolved job, as JSON
    TOOL = "tool"  # the model's catalogue entry, as JSON
    MODEL = "model"  # owner/model
    SOURCE = "source"  # the path of the job file
    SERVICE = "service"  # the service's address, or what stands for the emulated one
    ACCOUNT = "account"  # the fingerprint of the key
    RUN = "run"  # the run's id: its folder can be moved
    EDITION = "edition"  # how often the job has changed, from 1
    TOTAL = "total"  # how many tasks the job has
    ENTERED = "entered"  # how many of them the ledger holds
    STARTED_AT = "started_at"

    # What a run at work says of itself

    UPDATED_AT = "updated_at"
    SECONDS_LEFT = "seconds_left"  # an estimate
    DOUBT_SECONDS_LEFT = "doubt_seconds_left"  # after so long what is in doubt is sent again
    PROGRESS = "progress"  # the share that running tasks have done on average
    WAITING = "waiting"  # what tasks wait for longer than they should, as JSON
    ALONE = "alone"  # it can share nothing with the other runs that use its key

    # What is asked of it, and what those after it have to know

    CANCEL = "cancel"  # when the user said so
    UNORDERED = "unordered"  # the service's ids were once seen not to grow
    UNPROVEN = "unproven_until"  # up to then requests may have been sent that a ledger made anew lacks
    ANEW = "anew"  # the ledger was made anew after it had been damaged, and its run was not at work since
    CALLBACK_SECRET = "callback_secret"  # noqa: S105 - this is its name; it stands in the address that is called back
    UPLOAD = "upload "  # followed by a file's SHA-256: its address
    LOST_UPLOAD = "lost upload "  # followed by a file's SHA-256: it had an address, which is lost
    OWED = "delete "  # followed by a task's id: the token of the copies that are to go

    # What the files beside the ledger tell; whatever makes one stale takes its fact away in the same commit

    MANIFEST = "manifest"  # its stamp while it tells what the ledger holds
    HEARD = "heard"  # its stamp when a ledger was made anew, which took from it what it believed
    PAGE = "page"  # the manifest's stamp when the page told the same

    # The ledger's own

    AT_WORK = "at work"  # stands in the file itself, not only in its side file, while a process writes
    COMMITS = "commits"  # how many were waited for until they were on the disk
