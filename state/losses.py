"""Which webhooks came, when the door was open for them, and what lists had to tell in their place."""

from mapping.losses import GRACE_MS, LATE_MS, Finding, Run, listened
from mapping.model import Kind
from mapping.record import Record
from state.database import Row, Tx

_HOUR = 3_600_000
_KEPT_MS = 90 * 86_400_000
_HEARD_KEPT_MS = 400 * 86_400_000
"""A rhythm is needed for as long as somebody is silent."""
_ASLEEP_MS = 5 * 60_000
"""A run that nobody has seen for so long was not one: the process stood still."""

_CAME = (
    "EXISTS (SELECT 1 FROM inbox i WHERE i.connection = finding.connection AND i.ref = finding.ref"
    " AND i.kind = finding.kind AND i.due_at >= finding.heard_from)"
)


def hear(tx: Tx, delivery: int) -> None:
    """A delivery was read: its hour counts one more. It came, or came again, when it was due."""
    tx.run(
        "INSERT INTO heard (connection, hour, n, last_at)"
        " SELECT connection, due_at / :hour, 1, due_at FROM inbox WHERE id = :id"
        " ON CONFLICT (connection, hour) DO UPDATE SET n = heard.n + 1, last_at = max(heard.last_at, excluded.last_at)",
        hour=_HOUR,
        id=delivery,
    )


def hours(tx: Tx, connection: str, since: int) -> list[int]:
    """When webhooks of a connection came: the last of each hour, oldest first."""
    rows = tx.rows(
        "SELECT last_at FROM heard WHERE connection = :c AND hour >= :h ORDER BY hour",
        c=connection,
        h=since // _HOUR,
    )
    return [row["last_at"] for row in rows]


def came(tx: Tx, connection: str, since: int) -> int:
    """How many webhooks of a connection were read since a moment, to the hour."""
    asked = "SELECT coalesce(sum(n), 0) FROM heard WHERE connection = :c AND hour >= :h"
    return int(tx.value(asked, c=connection, h=since // _HOUR))


def last_heard(tx: Tx, connection: str) -> int | None:
    """When the last webhook of a connection came."""
    return tx.value("SELECT max(last_at) FROM heard WHERE connection = :c", c=connection)  # type: ignore[no-any-return]


def door_open(tx: Tx, *, now: int, anew: bool = False) -> None:
    """The hook door is open now. ``anew``: it has just been opened."""
    seen = "UPDATE door_run SET seen_at = :now WHERE opened_at = (SELECT max(opened_at) FROM door_run)"
    going_on = f"{seen} AND :now - seen_at BETWEEN 0 AND :asleep"
    if anew or not tx.run(going_on, now=now, asleep=_ASLEEP_MS):
        tx.run(
            "INSERT INTO door_run (opened_at, seen_at) VALUES (:now, :now) ON CONFLICT DO NOTHING", now=now
        )


def runs(tx: Tx, since: int) -> list[Run]:
    """When the hook door was open since a moment, oldest first."""
    rows = tx.rows("SELECT opened_at, seen_at FROM door_run WHERE seen_at >= :s ORDER BY opened_at", s=since)
    return [(row["opened_at"], row["seen_at"]) for row in rows]


def written(tx: Tx, connection: str, kind: Kind, since: int) -> tuple[set[str], set[int]]:
    """What we wrote at a connection since a moment: ids of its records there, and the entities."""
    rows = tx.rows(
        "SELECT a.target, i.entity FROM attempt a JOIN intent i ON i.id = a.intent"
        " WHERE a.started_at >= :s AND i.connection = :c AND i.kind = :k",
        s=since,
        c=connection,
        k=kind.value,
    )
    return {row["target"] for row in rows}, {row["entity"] for row in rows}


def changed_before(tx: Tx, record: int, seq: int) -> int | None:
    """When a record was known to change for the last time before a row of the journal."""
    return tx.value(  # type: ignore[no-any-return]
        "SELECT max(at) FROM journal WHERE record = :r AND seq < :s", r=record, s=seq
    )


def find(tx: Tx, seq: int, record: Record, found: Finding, *, heard_from: int, now: int) -> None:
    """Note what a list told in place of a webhook. Until it is settled that webhook may still come."""
    tx.run(
        "INSERT INTO finding (seq, connection, kind, ref, what, changed_from, changed_by, heard_from, found_at)"
        " VALUES (:q, :c, :k, :ref, :w, :f, :b, :h, :now)",
        q=seq,
        c=record.connection,
        k=record.kind.value,
        ref=record.ref,
        w=found.what.value,
        f=found.changed_from,
        b=found.changed_by,
        h=heard_from,
        now=now,
    )


def settle(tx: Tx, *, now: int) -> list[str]:
    """Decide what became of webhooks; gives the connections of those that are lost from now on.

    One that came after all takes its finding back, also after it was given up. While a delivery of the connection is
    still unread nothing is decided.
    """
    tx.run(f"DELETE FROM finding WHERE found_at >= :late AND {_CAME}", late=now - LATE_MS)
    due = tx.rows(
        "SELECT seq, connection, changed_from, changed_by FROM finding WHERE cause IS NULL AND found_at <= :due"
        " AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.connection = finding.connection AND i.state = 'new')",
        due=now - GRACE_MS,
    )
    open_then = runs(tx, min((row["changed_from"] for row in due), default=now))
    lost = []
    for row in due:
        cause = "lost" if listened(open_then, row["changed_from"], row["changed_by"]) else "down"
        tx.run("UPDATE finding SET cause = :c WHERE seq = :s", c=cause, s=row["seq"])
        lost += [row["connection"]] if cause == "lost" else []
    _forget(tx, now)
    return lost


def _forget(tx: Tx, now: int) -> None:
    tx.run("DELETE FROM finding WHERE found_at < :b", b=now - _KEPT_MS)
    tx.run("DELETE FROM heard WHERE hour < :h", h=(now - _HEARD_KEPT_MS) // _HOUR)
    tx.run("DELETE FROM door_run WHERE seen_at < :b", b=now - _HEARD_KEPT_MS)


def counts(tx: Tx, connection: str, since: int) -> dict[str | None, int]:
    """How many findings of a connection there are since a moment, by their cause."""
    rows = tx.rows(
        "SELECT cause, count(*) AS n FROM finding WHERE connection = :c AND found_at >= :s GROUP BY cause",
        c=connection,
        s=since,
    )
    return {row["cause"]: row["n"] for row in rows}


def last_lost(tx: Tx, connection: str, since: int) -> Row | None:
    """The newest lost webhook of a connection since a moment."""
    return tx.row(
        "SELECT kind, ref, what, changed_from, changed_by, found_at FROM finding"
        " WHERE connection = :c AND cause = 'lost' AND found_at >= :s ORDER BY seq DESC LIMIT 1",
        c=connection,
        s=since,
    )


def of_record(tx: Tx, record: Record) -> dict[int, Row]:
    """What lists told of a record in place of webhooks, by its row of the journal."""
    rows = tx.rows(
        "SELECT seq, what, cause FROM finding WHERE connection = :c AND kind = :k AND ref = :r",
        c=record.connection,
        k=record.kind.value,
        r=record.ref,
    )
    return {row.pop("seq"): row for row in rows}
