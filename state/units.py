"""Units of work: keys such as ``pull:salon``, claimed by one runner at a time and fenced by an epoch."""

import json
from dataclasses import dataclass
from typing import Any

from state.database import Row, Tx
from state.errors import Fenced, TakenOver

STORE = "store"
"""The key of the whole store: claimed by each process that opens it, and so taken away from the one before."""

ALERT, TIDY = "alert:", "tidy:"
"""Units of no connection: one tells the owner what needs attention, one forgets what is old."""
OF_NONE = frozenset({ALERT, TIDY})


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a unit, until somebody claims it anew."""

    key: str
    epoch: int


def claim(tx: Tx, key: str, *, now: int) -> Claim:
    """Take a unit over from whoever had it."""
    epoch = tx.value(
        "INSERT INTO unit (key, epoch, last_started) VALUES (:k, 1, :now)"
        " ON CONFLICT (key) DO UPDATE SET epoch = unit.epoch + 1, last_started = excluded.last_started RETURNING epoch",
        k=key,
        now=now,
    )
    return Claim(key, epoch)


def fence(tx: Tx, *held: Claim) -> None:
    """First statement of each of a unit's transactions. Raises Fenced when something of it was claimed anew."""
    for claimed in held:
        if tx.value("SELECT epoch FROM unit WHERE key = :k", k=claimed.key) == claimed.epoch:
            continue
        if claimed.key != STORE:
            raise Fenced(f"{claimed.key} was claimed anew")
        raise TakenOver(
            "this database was taken over by another bookferry, so this one writes nothing more and ends."
            " One at a time may use it."
        )


def succeeded(tx: Tx, key: str, *, now: int, next_due: int | None = None) -> None:
    """The unit did what was to be done."""
    tx.run(
        "UPDATE unit SET last_ok = :now, failures = 0, next_due = :due, problem = NULL WHERE key = :k",
        now=now,
        due=next_due,
        k=key,
    )


def failed(tx: Tx, key: str, *, now: int, next_due: int | None, problem: dict[str, Any]) -> None:
    """Something stands in the unit's way. ``next_due`` None: until a human acts."""
    held = tx.row("SELECT problem FROM unit WHERE key = :k", k=key)
    since = json.loads(held["problem"])["since"] if held and held["problem"] else now
    tx.run(
        "UPDATE unit SET failures = failures + 1, next_due = :due, problem = :p WHERE key = :k",
        due=next_due,
        p=json.dumps({**problem, "since": since}),
        k=key,
    )


def get(tx: Tx, key: str) -> Row | None:
    """What is known of a unit, with its problem decoded."""
    row = tx.row("SELECT * FROM unit WHERE key = :k", k=key)
    return _decoded(row) if row else None


def every(tx: Tx) -> list[Row]:
    """All units."""
    return [
        _decoded(row) for row in tx.rows("SELECT * FROM unit WHERE key <> :store ORDER BY key", store=STORE)
    ]


def _decoded(row: Row) -> Row:
    return {**row, "problem": json.loads(row["problem"]) if row["problem"] else None}
