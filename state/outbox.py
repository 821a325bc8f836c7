"""The outbox: wanted writes, each with its attempts. Newest wins; one open intent per route and entity.

States: ``open`` (to be sent when due, once it was let through), ``held`` (more than usual: see ``state/clearance.py``),
``waiting`` (something else has to be known first), ``sending`` (a call is under way; found after a crash, its outcome is
unknown), ``parked`` (waits for a human), ``done``, ``dismissed``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mapping.model import Kind
from mapping.wish import Wish, Write
from state import deliveries, journal
from state.database import Row, Tx

UNFINISHED = ("open", "held", "waiting", "sending", "parked")
_UNFINISHED = str(UNFINISHED)


@dataclass(frozen=True, slots=True)
class Intent:
    """One wanted write."""

    id: int
    route: str
    connection: str
    kind: Kind
    entity: int
    source: int
    wish: Wish
    revision: int
    act: str | None
    loud: int
    cleared: int | None
    plan: str | None
    state: str
    due_at: int
    attempts: int
    failures: int
    doubt_since: int | None
    missed_at: int | None
    problem: str | None
    created_at: int
    ended_at: int | None
    retried_at: int | None
    """When a human last said that it is to go on."""


def of_row(row: Row) -> Intent:
    """The intent that a row of the table is."""
    return Intent(**{**row, "kind": Kind(row["kind"]), "wish": Wish.load(json.loads(row["wish"]))})


def put(
    tx: Tx,
    *,
    route: str,
    connection: str,
    kind: Kind,
    entity: int,
    source: int,
    wish: Wish,
    now: int,
    act: str | None = None,
    loud: bool = False,
) -> int | None:
    """Want something. Replaces the open intent of this route and entity; gives its number, None if nothing is new."""
    dumped = json.dumps(wish.dump(), sort_keys=True)
    due = max(now, wish.not_before or now)
    row = _unfinished(tx, route, kind, entity)
    if row is None:
        return int(
            tx.value(
                # What was given up in doubt, or carried after the backup that this store is, may stand at the target.
                "INSERT INTO intent (route, connection, kind, entity, source, wish, act, loud, state, due_at, created_at, doubt_since)"
                " VALUES (:r, :c, :k, :e, :s, :w, :act, :loud, 'open', :due, :now, coalesce((SELECT doubt_since FROM intent"
                " WHERE route = :r AND kind = :k AND entity = :e ORDER BY id DESC LIMIT 1), (SELECT :now FROM route"
                " WHERE name = :r AND slept_to >= (SELECT max(seq) FROM journal WHERE record = :s)))) RETURNING id",
                due=due,
                r=route,
                c=connection,
                k=kind.value,
                e=entity,
                s=source,
                w=dumped,
                act=act,
                loud=int(loud),
                now=now,
            )
        )
    if row["wish"] == dumped or _but_why(row["wish"]) == _but_why(dumped):
        return None
    tx.run(
        "UPDATE intent SET wish = :w, source = :s, revision = revision + 1, failures = 0, problem = NULL, due_at = :due,"
        " act = :act, loud = :loud, plan = NULL, state = CASE state WHEN 'sending' THEN 'sending' ELSE 'open' END"
        ", missed_at = CASE WHEN doubt_since IS NULL THEN NULL ELSE missed_at END WHERE id = :id",
        w=dumped,
        s=source,
        act=act,
        loud=int(loud),
        due=due,
        id=row["id"],
    )
    return int(row["id"])


def _but_why(dumped: str) -> dict[str, Any]:
    """What is wanted. That somebody is needed by two bookings, each for itself, is no news."""
    return {name: value for name, value in json.loads(dumped).items() if name != "why"}


def drop(tx: Tx, *, route: str, kind: Kind, entity: int, why: str, now: int) -> None:
    """Want nothing any more: an intent that was never sent ends."""
    tx.run(
        "UPDATE intent SET state = 'done', problem = :why, ended_at = :now WHERE route = :r AND kind = :k AND entity = :e"
        " AND state IN ('open', 'held', 'waiting', 'parked') AND doubt_since IS NULL",
        why=why,
        now=now,
        r=route,
        k=kind.value,
        e=entity,
    )


def get(tx: Tx, intent: int) -> Intent | None:
    """The intent with this number."""
    row = tx.row("SELECT * FROM intent WHERE id = :id", id=intent)
    return of_row(row) if row else None


def unfinished(tx: Tx, route: str, kind: Kind, entity: int) -> Intent | None:
    """The intent of a route and an entity that has not ended."""
    row = _unfinished(tx, route, kind, entity)
    return of_row(row) if row else None


def _unfinished(tx: Tx, route: str, kind: Kind, entity: int) -> Row | None:
    return tx.row(
        f"SELECT * FROM intent WHERE route = :r AND kind = :k AND entity = :e AND state IN {_UNFINISHED}",
        r=route,
        k=kind.value,
        e=entity,
    )


def due(tx: Tx, connection: str, routes: Sequence[str], now: int, limit: int) -> list[Intent]:
    """Intents of these routes that were let through and may be sent now: people before the bookings that need them, oldest first."""
    rows = tx.rows(
        "SELECT * FROM intent WHERE connection = :c AND state = 'open' AND due_at <= :now AND cleared = revision"
        " AND route IN (SELECT value FROM json_each(:routes)) ORDER BY kind = 'people' DESC, due_at, id LIMIT :n",
        c=connection,
        routes=json.dumps(routes),
        now=now,
        n=limit,
    )
    return [of_row(row) for row in rows]


def next_due(tx: Tx, connection: str, routes: Sequence[str]) -> int | None:
    """When the next intent of these routes becomes due; None when none is open."""
    return tx.value(  # type: ignore[no-any-return]
        "SELECT min(due_at) FROM intent WHERE connection = :c AND state = 'open'"
        " AND route IN (SELECT value FROM json_each(:routes))",
        c=connection,
        routes=json.dumps(routes),
    )


def in_state(tx: Tx, state: str, connection: str | None = None) -> list[Intent]:
    """All intents in a state, oldest first."""
    only = "" if connection is None else " AND connection = :c"
    rows = tx.rows(f"SELECT * FROM intent WHERE state = :s{only} ORDER BY id", s=state, c=connection)
    return [of_row(row) for row in rows]


def of_source(tx: Tx, source: int) -> list[Intent]:
    """Every intent that a source record gave rise to, oldest first."""
    return [of_row(row) for row in tx.rows("SELECT * FROM intent WHERE source = :s ORDER BY id", s=source)]


def of_entity(tx: Tx, entity: int) -> list[Intent]:
    """Every intent of an entity, oldest first."""
    return [of_row(row) for row in tx.rows("SELECT * FROM intent WHERE entity = :e ORDER BY id", e=entity)]


def begin(tx: Tx, intent: Intent, write: Write, *, now: int) -> int:
    """Mark an intent as being sent, before the call. Gives the number of the attempt."""
    tx.run("UPDATE intent SET state = 'sending', attempts = attempts + 1 WHERE id = :id", id=intent.id)
    return int(
        tx.value(
            "INSERT INTO attempt (intent, started_at, position, act, loud, fields, target)"
            " VALUES (:i, :now, :p, :act, :loud, :f, :t) RETURNING id",
            i=intent.id,
            now=now,
            p=journal.end(tx),
            act=write.act.value,
            loud=int(write.loud),
            f=json.dumps(write.fields),
            t=write.ref,
        )
    )


def end_attempt(
    tx: Tx, attempt: int, *, outcome: str, now: int, target: str | None = None, detail: str | None = None
) -> None:
    """Note how an attempt ended: done, refused, unknown or later."""
    tx.run(
        "UPDATE attempt SET ended_at = :now, outcome = :o, detail = :d, target = coalesce(:t, target) WHERE id = :id",
        now=now,
        o=outcome,
        d=detail,
        t=target,
        id=attempt,
    )


def done(
    tx: Tx,
    intent: Intent,
    *,
    now: int,
    note: str | None = None,
    target: str | None = None,
    shown: Mapping[str, Any] | None = None,
    position: int | None = None,
) -> None:
    """The target holds what this revision wanted. A newer wish stays open."""
    tx.run(
        "UPDATE intent SET doubt_since = NULL, failures = 0, problem = :note, due_at = :now,"
        " state = CASE WHEN revision = :rev THEN 'done' ELSE 'open' END,"
        " ended_at = CASE WHEN revision = :rev THEN :now END WHERE id = :id",
        note=note,
        now=now,
        rev=intent.revision,
        id=intent.id,
    )
    told = deliveries.sent_with(tx, intent.route, intent.kind, intent.entity, intent.wish)
    deliveries.remember(
        tx, intent.route, intent.kind, intent.entity, told, target=target, shown=shown, position=position
    )


def reopen(tx: Tx, intent: Intent, *, now: int) -> None:
    """One write of several is done: go on."""
    tx.run(
        "UPDATE intent SET state = 'open', due_at = :now, doubt_since = NULL, failures = 0 WHERE id = :id",
        now=now,
        id=intent.id,
    )


def later(
    tx: Tx,
    intent: Intent,
    *,
    due_at: int,
    problem: str,
    doubt_since: int | None = None,
    missed_at: int | None = None,
) -> None:
    """Try again at ``due_at``. ``doubt_since``: a write of unknown outcome was sent then; look before writing again.
    ``missed_at``: it was looked for then, and not found.
    """
    tx.run(
        "UPDATE intent SET state = 'open', due_at = :due, problem = :p, failures = failures + 1,"
        " doubt_since = coalesce(:d, doubt_since), missed_at = :m WHERE id = :id AND ended_at IS NULL",
        due=due_at,
        p=problem,
        d=doubt_since,
        m=missed_at,
        id=intent.id,
    )


def wait(tx: Tx, intent: Intent, *, problem: str) -> None:
    """Wait until something else is known; a newer wish that came meanwhile is tried by itself."""
    tx.run(
        "UPDATE intent SET problem = :p, state = CASE WHEN revision = :rev THEN 'waiting' ELSE 'open' END WHERE id = :id AND ended_at IS NULL",
        p=problem,
        rev=intent.revision,
        id=intent.id,
    )


def wake(tx: Tx, intent: Intent, *, now: int) -> None:
    """What a waiting intent waited for may be there."""
    tx.run(
        "UPDATE intent SET state = 'open', due_at = :now WHERE id = :id AND state = 'waiting'",
        now=now,
        id=intent.id,
    )


def settle_doubt(tx: Tx, intent: Intent) -> None:
    """The target was looked at: what was sent has arrived there or never will."""
    tx.run("UPDATE intent SET doubt_since = NULL, missed_at = NULL WHERE id = :id", id=intent.id)


def park(tx: Tx, intent: Intent, *, problem: str) -> None:
    """Wait for a human; a newer wish that came meanwhile is tried by itself."""
    tx.run(
        "UPDATE intent SET problem = :p, state = CASE WHEN revision = :rev THEN 'parked' ELSE 'open' END WHERE id = :id AND ended_at IS NULL",
        p=problem,
        rev=intent.revision,
        id=intent.id,
    )


def retry(tx: Tx, intent: int, *, now: int, decided: bool = False) -> bool:
    """Try a parked intent again. ``decided``: a human says so, and what was written before counts no more."""
    return bool(
        tx.run(
            "UPDATE intent SET state = 'open', failures = 0, missed_at = NULL, due_at = :now,"
            " retried_at = CASE WHEN :decided THEN :now ELSE retried_at END WHERE id = :id AND state = 'parked'",
            now=now,
            decided=decided,
            id=intent,
        )
    )


def dismiss(tx: Tx, intent: int, *, now: int) -> bool:
    """Give up an intent that is parked or held, or that waits and was never sent."""
    return bool(
        tx.run(
            "UPDATE intent SET state = 'dismissed', ended_at = :now WHERE id = :id AND (state IN ('parked', 'held')"
            " OR (state IN ('waiting', 'open') AND problem IS NOT NULL AND attempts = 0 AND doubt_since IS NULL))",
            now=now,
            id=intent,
        )
    )


def leave_to(tx: Tx, left: Intent, kept: Intent, *, now: int) -> None:
    """Two intents of a route are for one entity: one ends, and the other takes over its attempts and its doubt."""
    tx.run("UPDATE attempt SET intent = :kept WHERE intent = :left", kept=kept.id, left=left.id)
    tx.run(
        "UPDATE intent SET state = 'done', problem = :why, doubt_since = NULL, ended_at = :now WHERE id = :id",
        why=f"write {kept.id} is for the same one",
        now=now,
        id=left.id,
    )
    tx.run(
        "UPDATE intent SET attempts = attempts + :n, doubt_since = coalesce(:doubt, doubt_since),"
        " missed_at = CASE WHEN :doubt IS NULL THEN missed_at END WHERE id = :id",
        n=left.attempts,
        doubt=left.doubt_since,
        id=kept.id,
    )


def recover(tx: Tx, connection: str, *, now: int) -> int:
    """After a crash: calls under way have an unknown outcome, and may have been sent until now. Gives how many there were."""
    tx.run(
        "UPDATE attempt SET outcome = 'unknown', ended_at = :now, detail = 'the process ended during the call'"
        " WHERE outcome IS NULL AND intent IN (SELECT id FROM intent WHERE connection = :c AND state = 'sending')",
        now=now,
        c=connection,
    )
    return tx.run(
        "UPDATE intent SET state = 'open', due_at = :now, problem = 'the outcome of the last call is unknown',"
        " doubt_since = :now"
        " WHERE connection = :c AND state = 'sending'",
        now=now,
        c=connection,
    )
