"""What happened: the only source of truth of a run folder."""

from orchestrator.ledger.errors import (
    ClaimedError,
    ConflictError,
    DamagedLedgerError,
    GoneLedgerError,
    LedgerError,
    NotALedgerError,
    UnbegunLedgerError,
)
from orchestrator.ledger.naming import Fact
from orchestrator.ledger.opening import MARK, UNREADABLE
from orchestrator.ledger.salvage import salvage
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.ledger.totals import Reason, Totals
from orchestrator.ledger.writer import Ledger

__all__ = [
    "MARK",
    "UNREADABLE",
    "ClaimedError",
    "ConflictError",
    "DamagedLedgerError",
    "Fact",
    "GoneLedgerError",
    "Ledger",
    "LedgerError",
    "NotALedgerError",
    "Reason",
    "SqliteLedger",
    "Totals",
    "UnbegunLedgerError",
    "salvage",
]
