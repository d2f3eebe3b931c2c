"""What happened: the only source of truth of a run folder."""

from orchestrator.ledger.errors import (
    ClaimedError,
    ConflictError,
    DamagedLedgerError,
    LedgerError,
    NotALedgerError,
    UnbegunLedgerError,
)
from orchestrator.ledger.opening import AT_WORK, MARK, UNREADABLE
from orchestrator.ledger.salvage import salvage
from orchestrator.ledger.sqlite import MANIFEST, SqliteLedger
from orchestrator.ledger.totals import Reason, Totals
from orchestrator.ledger.writer import Ledger

__all__ = [
    "AT_WORK",
    "MANIFEST",
    "MARK",
    "UNREADABLE",
    "ClaimedError",
    "ConflictError",
    "DamagedLedgerError",
    "Ledger",
    "LedgerError",
    "NotALedgerError",
    "Reason",
    "SqliteLedger",
    "Totals",
    "UnbegunLedgerError",
    "salvage",
]
