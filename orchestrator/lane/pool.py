"""What the runs of a lane have together and each has a share of: calls in a second, places on the service.

A share counts from the moment it is granted until a while after it was given back, so that at no time more is in use
than there is: who joins waits until the others have given something up, who dies is waited for, and who stood still for
so long that its share was handed on is one who joins.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.lane.file import LaneFile

LEASE_SECONDS: Final = 3.0
"""After so long without a word from its holder a share is on its way back."""

GRACE_SECONDS: Final = 2.0
"""How long such a share counts on: the holder may only be slow, or the clock may have been set."""

STAYS_SECONDS: Final = 60.0
"""How long a place counts that a run has left a task on: most have ended by then, or their run goes on with them."""

TURN_SECONDS: Final = 8.0
"""How long somebody has what is too little for all of them."""

WINDOW_SECONDS: Final = 1.1
"""How long a call counts: a limit is one for any second, and a little for the network."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a holder may use.

    Attributes:
        units: How much of it.
        cap: The lowest limit of all holders, infinite where none knows any.
    """

    units: float
    cap: float

    @property
    def is_all(self) -> bool:
        """Whether nobody else has any."""
        return self.units >= units_of(self.cap)


def units_of(cap: float) -> float:
    """Return how many parts a limit can be divided into; one of less than 1 is handed on as a whole."""
    return cap if math.isinf(cap) else max(1, math.floor(cap))


def fair(total: int, wanted: Mapping[str, int], turn: int = 0) -> dict[str, int]:
    """Divide units: nobody gets more than it wants while another lacks some; what is left over is spread as well.

    Args:
        total: How many there are.
        wanted: How many each can use.
        turn: With fewer units than holders, who has them moves on with this number.
    """
    names = sorted(wanted)
    places = {name: (place + turn) % len(names) for place, name in enumerate(names)}
    order = sorted(names, key=lambda name: (wanted[name], places[name]))
    shares = {}
    for done, name in enumerate(order):
        shares[name] = min(wanted[name], total // (len(order) - done))
        total -= shares[name]
    for done, name in enumerate(order):
        more = total // (len(order) - done)
        shares[name] += more
        total -= more
    return shares


_INSERT: Final = (
    "INSERT INTO shares (kind, holder, cap, wanted, units, expires_at, active, left_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


class Pool:
    """One kind of thing that is shared; every call may block for a moment."""

    def __init__(self, file: LaneFile, kind: str, *, lingers: bool) -> None:
        """Share a kind of thing.

        Args:
            file: Where the runs of the lane write down their shares.
            kind: A word for it.
            lingers: Whether what is used counts for a while after it was used, as a call does.
        """
        self._file = file
        self._kind = kind
        self._lingers = lingers

    def renew(
        self, holder: str, cap: float | None, *, using: int | None, wanted: int, now: float, active: int = 0
    ) -> Share:
        """Ask for a share, or tell that it is still in use.

        Args:
            holder: Who asks.
            cap: The limit for all together as far as the holder knows one.
            using: What the holder uses at most from now on; what it had beyond that it gives back, and what was taken
                back from it meanwhile it has no more. None takes over what a process that was killed may have left to
                the holder.
            wanted: How much it could use.
            now: Unix seconds.
            active: How much of it is in use whatever becomes of the holder: it counts for a while should that one die,
                and even where it was handed on.

        Returns:
            What it may use: more than `using` at once; where it is less, it is to be given back.

        Raises:
            LaneError: It cannot be written down; the last share lapses after `LEASE_SECONDS`.
        """
        with self._file.transaction() as db:
            held = self._take(db, holder)
            using = max(active, held if using is None else min(using, held))
            row = (self._kind, holder, cap, wanted)
            db.execute(_INSERT, (*row, using, now + LEASE_SECONDS, active, None))
            lowest = self._lowest(db)
            self._expire(db, now, lowest)
            self._linger(db, held - using, now, lowest)
            share = Share(math.inf, lowest) if math.isinf(lowest) else self._granted(db, holder, using, lowest, now)
            if using < share.units < math.inf:
                self._take(db, holder)
                db.execute(_INSERT, (*row, share.units, now + LEASE_SECONDS, active, None))
        return share

    def leave(self, holder: str, now: float, active: int = 0) -> None:
        """Give all back but what stays in use for a while.

        Raises:
            LaneError: It cannot be written down; it lapses by itself.
        """
        with self._file.transaction() as db:
            lowest = self._lowest(db)
            self._linger(db, self._take(db, holder), now, lowest)
            self._stay(db, holder, active, now)

    def _take(self, db: sqlite3.Connection, holder: str) -> int:
        """Take a holder's share off the books, and return how much it was."""
        whose = "kind = ? AND (holder = ? OR left_by = ?)"
        row = (self._kind, holder, holder)
        [held] = db.execute(f"SELECT sum(units) FROM shares WHERE {whose}", row).fetchone()  # noqa: S608 - constants only
        db.execute(f"DELETE FROM shares WHERE {whose}", row)  # noqa: S608 - constants only
        return int(held or 0)

    def _lowest(self, db: sqlite3.Connection) -> float:
        [cap] = db.execute(
            "SELECT min(cap) FROM shares WHERE kind = ? AND holder IS NOT NULL", (self._kind,)
        ).fetchone()
        return math.inf if cap is None else float(cap)

    def _granted(self, db: sqlite3.Connection, holder: str, using: int, cap: float, now: float) -> Share:
        wanted = dict(
            db.execute("SELECT holder, wanted FROM shares WHERE kind = ? AND holder IS NOT NULL", (self._kind,))
        )
        [in_use] = db.execute("SELECT sum(units) FROM shares WHERE kind = ?", (self._kind,)).fetchone()
        total = int(units_of(cap))
        target = fair(total, wanted, int(now / TURN_SECONDS) if total < len(wanted) else 0)[holder]
        return Share(min(target, max(0, using + total - in_use)), cap)

    def _expire(self, db: sqlite3.Connection, now: float, cap: float) -> None:
        """Take back what lapsed; a moment too far ahead was written before the clock was set back."""
        grace = GRACE_SECONDS + self._window(cap)
        lapsed = (self._kind, now, now + LEASE_SECONDS + max(grace, STAYS_SECONDS))
        db.execute("DELETE FROM shares WHERE holder IS NULL AND kind = ? AND NOT expires_at BETWEEN ? AND ?", lapsed)
        gone = db.execute(
            "UPDATE shares SET holder = NULL, cap = NULL, left_by = holder, units = max(0, units - active),"
            " expires_at = ? WHERE holder IS NOT NULL AND kind = ? AND NOT expires_at BETWEEN ? AND ?"
            " RETURNING left_by, active",
            (now + grace, *lapsed),
        ).fetchall()
        for holder, active in gone:
            self._stay(db, holder, active, now)

    def _stay(self, db: sqlite3.Connection, holder: str, active: int, now: float) -> None:
        if active > 0:
            db.execute(_INSERT, (self._kind, None, None, 0, active, now + STAYS_SECONDS, 0, holder))

    def _linger(self, db: sqlite3.Connection, units: int, now: float, cap: float) -> None:
        if units > 0 and self._lingers:
            db.execute(_INSERT, (self._kind, None, None, 0, units, now + self._window(cap), 0, None))

    def _window(self, cap: float) -> float:
        return WINDOW_SECONDS * max(1.0, 1 / cap) if self._lingers else 0.0
