"""Which records stand for the same entity: rows that say how we know, and that can be undone."""

import json
from collections.abc import Iterable

from mapping.model import Kind
from mapping.record import Record
from state import journal, ledger, outbox
from state.database import Row, Tx
from state.outbox import Intent


def candidates(
    tx: Tx, connection: str, kind: Kind, keys: Iterable[str]
) -> list[tuple[Record, frozenset[str]]]:
    """Records of a connection that carry one of the keys, each with all its keys."""
    rows = tx.rows(
        # The planner would rather look through all records of the connection than begin with the few keys.
        "SELECT DISTINCT r.id FROM identity_key k CROSS JOIN record r ON r.id = k.record CROSS JOIN stream s ON s.id = r.stream"
        " WHERE s.connection = :c AND s.kind = :k AND k.key IN (SELECT value FROM json_each(:keys)) ORDER BY r.id",
        c=connection,
        k=kind.value,
        keys=json.dumps(list(keys)),
    )
    return [(ledger.get(tx, row["id"]), _keys(tx, row["id"])) for row in rows]


def _keys(tx: Tx, record: int) -> frozenset[str]:
    return frozenset(
        row["key"] for row in tx.rows("SELECT key FROM identity_key WHERE record = :r", r=record)
    )


def shared(tx: Tx, keys: Iterable[str]) -> frozenset[str]:
    """Those of the keys that were seen under more than one name: they identify nobody any more."""
    rows = tx.rows(
        "SELECT key FROM identity_key WHERE key IN (SELECT value FROM json_each(:keys)) AND name <> ''"
        " GROUP BY key HAVING count(DISTINCT name) > 1",
        keys=json.dumps([key for key in keys if not key.startswith("mark:")]),
    )
    return frozenset(row["key"] for row in rows)


def join(tx: Tx, source: Record, target: Record, how: str, *, now: int) -> None:
    """Let the target's record stand for the source's entity."""
    if source.entity == target.entity:
        return
    moved = tx.rows("SELECT id FROM record WHERE id = :e OR joined = :e", e=target.entity)
    for row in moved:
        tx.run("UPDATE record SET joined = :e WHERE id = :r", e=source.entity, r=row["id"])
    tx.run(
        "INSERT INTO link (record, entity, how, at, position) VALUES (:r, :e, :how, :now, :p)",
        r=target.id,
        e=source.entity,
        how=how,
        now=now,
        p=journal.end(tx),
    )
    tx.run(
        "UPDATE OR IGNORE delivery SET entity = :new WHERE entity = :old",
        new=source.entity,
        old=target.entity,
    )
    for intent in outbox.of_entity(tx, target.entity):
        _move(tx, intent, source.entity, now=now)


def joined_at(tx: Tx, entity: int) -> int | None:
    """The journal's position at which records were last linked to stand for this entity."""
    return tx.value("SELECT max(position) FROM link WHERE entity = :e AND undone_at IS NULL", e=entity)  # type: ignore[no-any-return]


def undo(tx: Tx, record: Record, *, now: int) -> bool:
    """Let a record stand for itself again. The pair is remembered: it is not matched by itself a second time."""
    others = tx.rows(
        "SELECT id FROM record WHERE joined = :e AND id <> :r ORDER BY id", e=record.entity, r=record.id
    )
    if record.entity == record.id and not others:
        return False
    tx.run(
        "UPDATE link SET undone_at = :now WHERE undone_at IS NULL AND (record = :r OR (entity = :r AND :root))",
        now=now,
        r=record.id,
        root=record.entity == record.id,
    )
    if record.entity == record.id:
        heir = others[0]["id"]
        tx.run("UPDATE record SET joined = :h WHERE joined = :r", h=heir, r=record.id)
        tx.run("UPDATE record SET joined = NULL WHERE id = :h", h=heir)
    else:
        tx.run("UPDATE record SET joined = NULL WHERE id = :r", r=record.id)
    return True


def follow(tx: Tx, intent: int, *, now: int) -> Intent | None:
    """The intent with this number, for the entity that its source stands for by now."""
    found = outbox.get(tx, intent)
    if (
        found is None
        or found.ended_at is not None
        or (entity := ledger.entity(tx, found.source)) == found.entity
    ):
        return found
    _move(tx, found, entity, now=now)
    return outbox.get(tx, intent)


def _move(tx: Tx, intent: Intent, entity: int, *, now: int) -> None:
    """Where its route still has another write for the entity, one of the two is left, with the attempts and the doubt of both:
    the one that may have been sent already. If calls are under way for both, they are looked at again before the next one.
    """
    open_ = intent.state in outbox.UNFINISHED
    other = outbox.unfinished(tx, intent.route, intent.kind, entity) if open_ else None
    if other is not None:
        if intent.state == other.state == "sending":
            return
        kept, left = (other, intent) if _progress(other) >= _progress(intent) else (intent, other)
        outbox.leave_to(tx, left, kept, now=now)
        intent = kept
    tx.run("UPDATE intent SET entity = :e WHERE id = :id", e=entity, id=intent.id)


def _progress(intent: Intent) -> tuple[bool, int]:
    states = ("parked", "held", "waiting", "open", "sending")
    return intent.state == "sending" or intent.doubt_since is not None, states.index(intent.state)


def undone(tx: Tx, one: Record, other: Record) -> bool:
    """Whether a human has parted these two."""
    return bool(
        tx.value(
            "SELECT 1 FROM link WHERE undone_at IS NOT NULL AND ((record = :a AND entity IN (:b, :be))"
            " OR (record = :b AND entity IN (:a, :ae))) LIMIT 1",
            a=one.id,
            ae=one.entity,
            b=other.id,
            be=other.entity,
        )
    )


def of_record(tx: Tx, record: Record) -> list[Row]:
    """The link rows that concern a record's entity, oldest first, undone ones too."""
    return tx.rows(
        "SELECT l.id, l.record, l.entity, l.how, l.at, l.undone_at, s.connection, s.kind, r.ref"
        " FROM link l JOIN record r ON r.id = l.record JOIN stream s ON s.id = r.stream"
        " WHERE l.record = :r OR l.entity = :e OR l.entity = :r ORDER BY l.id",
        r=record.id,
        e=record.entity,
    )
