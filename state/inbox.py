"""The webhook inbox: durable before the sender gets its 2xx, read afterwards."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from state.database import Row, Tx


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified webhook, exactly as it came."""

    id: int
    connection: str
    received_at: int
    headers: dict[str, str]
    body: bytes
    failures: int


def digest(body: bytes) -> bytes:
    """What makes two deliveries the same."""
    return hashlib.blake2b(body, digest_size=16).digest()


def store(
    tx: Tx,
    connection: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    key: bytes,
    now: int,
    again: bool,
    state: str = "new",
    note: str | None = None,
) -> bool:
    """Store a verified delivery; gives whether it has to be read.

    The same delivery once more is read once. ``again``: it is a mere hint, so it asks for another look.
    """
    return bool(
        tx.run(
            "INSERT INTO inbox (connection, digest, received_at, headers, body, state, due_at, note)"
            " VALUES (:c, :d, :now, :h, :b, :state, :now, :note)"
            " ON CONFLICT (connection, digest) DO UPDATE SET state = 'new', due_at = excluded.due_at, failures = 0"
            " WHERE :again AND inbox.state = 'done'",
            c=connection,
            d=key,
            now=now,
            h=json.dumps(dict(headers)),
            b=body,
            state=state,
            note=note,
            again=int(again),
        )
    )


def due(tx: Tx, connection: str, now: int, limit: int) -> list[Delivery]:
    """Deliveries that have to be read, oldest first."""
    rows = tx.rows(
        "SELECT id, connection, received_at, headers, body, failures FROM inbox"
        " WHERE connection = :c AND state = 'new' AND due_at <= :now ORDER BY id LIMIT :n",
        c=connection,
        now=now,
        n=limit,
    )
    return [Delivery(**{**row, "headers": json.loads(row["headers"])}) for row in rows]


def next_due(tx: Tx, connection: str) -> int | None:
    """When the next delivery becomes due; None when none is new."""
    return tx.value(  # type: ignore[no-any-return]
        "SELECT min(due_at) FROM inbox WHERE connection = :c AND state = 'new'", c=connection
    )


def finish(
    tx: Tx, delivery: int, *, state: str, event: str | None = None, kind: str | None = None, ref: str | None = None,
    note: str | None = None,
) -> None:  # fmt: skip
    """Note what became of a delivery: done, ignored or parked."""
    tx.run(
        "UPDATE inbox SET state = :state, event = coalesce(:e, event), kind = coalesce(:k, kind),"
        " ref = coalesce(:r, ref), note = :n WHERE id = :id",
        state=state,
        e=event,
        k=kind,
        r=ref,
        n=note,
        id=delivery,
    )


def later(tx: Tx, delivery: int, *, due_at: int, note: str) -> None:
    """Read a delivery again at ``due_at``."""
    tx.run(
        "UPDATE inbox SET due_at = :due, failures = failures + 1, note = :n WHERE id = :id",
        due=due_at,
        n=note,
        id=delivery,
    )


def of_ref(tx: Tx, connection: str, ref: str) -> list[Row]:
    """Every delivery about a record, oldest first, without its body."""
    return tx.rows(
        "SELECT id, received_at, event, kind, state, note FROM inbox WHERE connection = :c AND ref = :r ORDER BY id",
        c=connection,
        r=ref,
    )


def parked(tx: Tx) -> list[Row]:
    """Deliveries that could not be read."""
    return tx.rows(
        "SELECT id, connection, received_at, event, ref, note FROM inbox WHERE state = 'parked' ORDER BY id"
    )


def set_parked(tx: Tx, delivery: int, state: str, *, now: int) -> bool:
    """Read a parked delivery again (``new``) or give it up (``ignored``)."""
    return bool(
        tx.run(
            "UPDATE inbox SET state = :s, due_at = :now, failures = 0 WHERE id = :id AND state = 'parked'",
            s=state,
            now=now,
            id=delivery,
        )
    )


def counts(tx: Tx) -> list[Row]:
    """How many deliveries each connection has in each state, and when the last one came."""
    return tx.rows(
        "SELECT connection, state, count(*) AS n, max(received_at) AS last FROM inbox GROUP BY connection, state"
    )
