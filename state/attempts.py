"""What was tried to fulfil the intents of the outbox: one row a call."""

import json
from collections.abc import Mapping
from typing import Any

from mapping.model import Kind
from mapping.wish import Write
from state import deliveries, outbox
from state.database import Row, Tx
from state.outbox import Intent


def repeats(tx: Tx, intent: Intent, fields: Mapping[str, Any], since: int) -> int:
    """How often its route wrote the very same fields for an intent's entity: since a moment, and since a human let it go on."""
    return int(
        tx.value(
            "SELECT count(*) FROM attempt a JOIN intent i ON i.id = a.intent WHERE i.route = :r AND i.kind = :k"
            " AND i.entity = :e AND a.outcome = 'done' AND a.started_at > :since AND a.fields = :f"
            " AND a.started_at >= coalesce((SELECT max(retried_at) FROM intent WHERE route = :r AND kind = :k"
            " AND entity = :e), 0)",
            r=intent.route,
            k=intent.kind.value,
            e=intent.entity,
            since=since,
            f=json.dumps(fields),
        )
    )


def creating(tx: Tx, route: str, kind: Kind, until: int) -> bool:
    """Whether a create of a route, sent before that position of the journal, is still without an answer."""
    return bool(
        tx.value(
            "SELECT 1 FROM intent i JOIN attempt a ON a.intent = i.id WHERE i.route = :r AND i.kind = :k"
            f" AND i.state IN {outbox.UNFINISHED}"
            " AND (i.state = 'sending' OR (i.state IN ('open', 'held') AND i.doubt_since IS NOT NULL))"
            " AND a.target IS NULL AND a.position < :until LIMIT 1",
            r=route,
            k=kind.value,
            until=until,
        )
    )


def last(tx: Tx, intent: Intent) -> Row | None:
    """The last attempt of this route for this entity: a doubt outlives the intent that was given up with it."""
    return tx.row(
        "SELECT a.* FROM attempt a JOIN intent i ON i.id = a.intent WHERE i.route = :r AND i.kind = :k AND i.entity = :e"
        " ORDER BY a.id DESC LIMIT 1",
        r=intent.route,
        k=intent.kind.value,
        e=intent.entity,
    )


def of_intent(tx: Tx, intent: int) -> list[Row]:
    """All attempts of an intent, oldest first."""
    return tx.rows("SELECT * FROM attempt WHERE intent = :i ORDER BY id", i=intent)


def begin(tx: Tx, intent: Intent, write: Write, *, now: int) -> int:
    """Mark an intent as being sent, before the call. Gives the number of the attempt."""
    if write.then_create:
        _make_room(tx, intent, write)
    return outbox.begin(tx, intent, write, now=now)


def _make_room(tx: Tx, intent: Intent, write: Write) -> None:
    """Remember from when a record is moved, whoever made it: only so is it known afterwards that we made room."""
    made = deliveries.last(tx, intent.route, intent.kind, intent.entity)
    sent = made.sent if made else {}
    if sent.get("starts") is None and write.held.get("starts"):
        sent = {**sent, "starts": write.held["starts"]}
        deliveries.remember(tx, intent.route, intent.kind, intent.entity, sent)


def total(tx: Tx, *, loud: bool = False) -> int:
    """How many there were; only those that may have spoken to somebody if ``loud``."""
    return int(tx.value("SELECT count(*) FROM attempt WHERE loud >= :loud", loud=int(loud)))
