"""What happened: the only source of truth of a run folder."""

from orchestrator.ledger.errors import ClaimedError, ConflictError, LedgerError, NotALedgerError
from orchestrator.ledger.sqlite import MANIFEST, SqliteLedger
from orchestrator.ledger.totals import Totals
from orchestrator.ledger.writer import Ledger

__all__ = [
    "MANIFEST",
    "ClaimedError",
    "ConflictError",
    "Ledger",
    "LedgerError",
    "NotALedgerError",
    "SqliteLedger",
    "Totals",
]
