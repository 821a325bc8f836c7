"""Which bookings are for whom: an index that is brought up to date when it is needed.

To keep it with every booking would cost each first pull a fifth more, and only routes that follow people ever ask.
"""

import json
from collections.abc import Sequence

from mapping.model import Kind
from mapping.record import Record
from state import journal, ledger
from state.database import Tx

_SINCE = "SELECT record FROM journal WHERE stream = :s AND seq > (SELECT named FROM stream WHERE id = :s)"


def catch_up(tx: Tx, connection: str) -> None:
    """Take in the bookings that have changed since the last time."""
    stream = ledger.stream_id(tx, connection, Kind.BOOKINGS)
    tx.run(
        "INSERT OR IGNORE INTO named (stream, person, record) SELECT :s, j.value, r.id FROM record r,"
        f" json_each(r.fields, '$.people') j WHERE r.id IN ({_SINCE})",
        s=stream,
    )
    tx.run("UPDATE stream SET named = :end WHERE id = :s", end=journal.end(tx), s=stream)


def bookings(tx: Tx, connection: str, people: Sequence[str]) -> list[Record]:
    """The bookings of a connection that are for one of these people, in the order in which they were first seen."""
    rows = tx.rows(
        "SELECT r.id FROM stream s CROSS JOIN record r WHERE s.connection = :c AND s.kind = 'bookings' AND r.id IN"
        " (SELECT record FROM named WHERE stream = s.id AND person IN (SELECT value FROM json_each(:people))"
        " UNION SELECT record FROM journal WHERE stream = s.id AND seq > s.named)"
        # Some may be for somebody else by now.
        " AND EXISTS (SELECT 1 FROM json_each(r.fields, '$.people') j WHERE j.value IN"
        " (SELECT value FROM json_each(:people))) ORDER BY r.id",
        c=connection,
        people=json.dumps(people),
    )
    return [ledger.get(tx, row["id"]) for row in rows]
