"""The journal: what altered each record, when, and by what.

Whether one thing was before another is told by positions of the journal and never by times: a machine's clock may be set
back.
"""

import json
from collections.abc import Sequence
from typing import Any

from mapping.model import Kind
from mapping.pairs import Changed
from mapping.record import Record, moment
from state.database import Row, Tx
from state.ledger import get


def changed_after(
    tx: Tx, connection: str, kinds: Sequence[Kind], position: int, limit: int
) -> tuple[list[Record], int]:
    """Records that changed after a position of the journal, and the position behind the last of them."""
    rows = tx.rows(
        "SELECT record, seq FROM journal WHERE stream IN"
        " (SELECT id FROM stream WHERE connection = :c AND kind IN (SELECT value FROM json_each(:k)))"
        " AND seq > :p ORDER BY seq LIMIT :n",
        c=connection,
        k=json.dumps([kind.value for kind in kinds]),
        p=position,
        n=limit,
    )
    ids = dict.fromkeys(row["record"] for row in rows)
    return [get(tx, record) for record in ids], (rows[-1]["seq"] if rows else position)


def since(tx: Tx, stream: int, position: int) -> list[Row]:
    """What altered records of a stream after a position of the journal, oldest first."""
    return tx.rows(
        "SELECT seq, record, via, before FROM journal WHERE stream = :s AND seq > :p ORDER BY seq",
        s=stream,
        p=position,
    )


def end(tx: Tx) -> int:
    """The newest position of the journal."""
    return int(tx.value("SELECT coalesce(max(seq), 0) FROM journal"))


def story(tx: Tx, record: int) -> list[Row]:
    """Every journal row of a record, oldest first."""
    return tx.rows(
        "SELECT seq, at, via, before, added, intent FROM journal WHERE record = :r ORDER BY seq", r=record
    )


def last_change(tx: Tx, record: int) -> int:
    """The journal's position of the last change of a record."""
    return int(tx.value("SELECT coalesce(max(seq), 0) FROM journal WHERE record = :r", r=record))


def known_at(tx: Tx, record: int, position: int) -> bool:
    """Whether a record was known at a position of the journal."""
    return bool(
        tx.value("SELECT 1 FROM journal WHERE record = :r AND seq <= :p LIMIT 1", r=record, p=position)
    )


def status_known_at(tx: Tx, record: int, position: int) -> bool:
    """Whether a record was known at a position of the journal with the very status that it has now."""
    return bool(
        tx.value(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM journal WHERE record = :r AND seq <= :p) AND NOT EXISTS"
            " (SELECT 1 FROM journal WHERE record = :r AND seq > :p AND (json_type(before, '$.status') IS NOT NULL"
            " OR EXISTS (SELECT 1 FROM json_each(added) a WHERE a.value = 'status')))",
            r=record,
            p=position,
        )
    )


def last_changed(tx: Tx, record: Record, name: str, but: Sequence[str] = ()) -> Changed | None:
    """The last change of a field by anybody but these routes; None where there was none.

    We may learn of a change long after it was made. Where it is the record's last one, the platform's own time of the
    last change is nearer to the truth. What a record of ours shows for the first time is what we made it with: the answer
    to a create does not always tell.
    """
    row = tx.row(
        "SELECT j.seq, j.at, j.seq = (SELECT max(seq) FROM journal WHERE record = :r) AS last FROM journal j"
        " WHERE j.record = :r AND (json_type(j.before, '$.' || :n) IS NOT NULL"
        " OR (NOT :ours AND EXISTS (SELECT 1 FROM json_each(j.added) a WHERE a.value = :n)))"
        " AND (j.route IS NULL OR j.route NOT IN (SELECT value FROM json_each(:but))) ORDER BY j.seq DESC LIMIT 1",
        r=record.id,
        n=name,
        ours=made_by_us(tx, record.id),
        but=json.dumps(list(but)),
    )
    if row is None:
        return None
    return Changed(row["seq"], row["at"], moment(record.fields.get("updated_at")) if row["last"] else None)


def made_by_us(tx: Tx, record: int) -> bool:
    """Whether the answer to a write of ours was the first that was ever seen of a record."""
    return bool(
        tx.value("SELECT intent IS NOT NULL FROM journal WHERE record = :r ORDER BY seq LIMIT 1", r=record)
    )


def first_seen(tx: Tx, record: int) -> int:
    """The journal's position at which a record was first seen."""
    return int(tx.value("SELECT coalesce(min(seq), 0) FROM journal WHERE record = :r", r=record))


def as_of(tx: Tx, record: Record, position: int) -> dict[str, Any]:
    """The fields of a record as they stood at a position of the journal; one that nobody had seen by then, as it was first
    seen.
    """
    fields = dict(record.fields)
    for row in tx.rows(
        "SELECT before FROM journal WHERE record = :r AND seq > :p AND before IS NOT NULL ORDER BY seq DESC",
        r=record.id,
        p=position,
    ):
        fields |= json.loads(row["before"])
    return fields


def last_writer(tx: Tx, record: int) -> str | None:
    """The route whose write last changed a record; None: somebody else did."""
    return tx.value(  # type: ignore[no-any-return]
        "SELECT route FROM journal WHERE record = :r ORDER BY seq DESC LIMIT 1",
        r=record,
    )
