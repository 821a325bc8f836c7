"""Rows of listings that could not be understood, until they can be or somebody dismisses them."""

import json
from collections.abc import Iterable, Sequence

from mapping.model import Kind
from mapping.record import Rejected
from state.database import Tx
from state.ledger import stream_id


def reject(tx: Tx, connection: str, rows: Iterable[Rejected], *, now: int) -> int:
    """Park rows of a listing that could not be understood. Gives how many are new."""
    new = 0
    for row in rows:
        new += tx.run(
            "INSERT INTO rejected (stream, ref, reason, raw, first_at) VALUES (:s, :ref, :reason, :raw, :now)"
            " ON CONFLICT (stream, ref) DO UPDATE SET reason = excluded.reason, raw = excluded.raw, dismissed = 0"
            " WHERE rejected.raw <> excluded.raw",
            s=stream_id(tx, connection, row.kind),
            ref=row.ref,
            reason=row.reason,
            raw=row.raw.decode(errors="replace"),
            now=now,
        )
    return new


def understood(tx: Tx, connection: str, kind: Kind, refs: Sequence[str]) -> None:
    """Rows that could not be understood before and can be now are no longer parked."""
    stream = stream_id(tx, connection, kind)
    if tx.value("SELECT 1 FROM rejected WHERE stream = :s LIMIT 1", s=stream):
        tx.run(
            "DELETE FROM rejected WHERE stream = :s AND ref IN (SELECT value FROM json_each(:refs))",
            s=stream,
            refs=json.dumps(refs),
        )
