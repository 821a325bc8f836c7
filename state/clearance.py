"""What the surprise guard keeps: which intents it let through, which it holds and why, and how many are usual.

An intent may be sent once its newest revision was let through. A plan is all that is held of a route; its id is a
digest of those writes, so that an approval is bound to them: when any of them changes, it is another plan.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mapping.surprise import PERSON, WEEKS_LOOKED_AT, Change, Pending, Sort
from state.database import Row, Tx
from state.outbox import Intent, of_row

_HOUR_MS = 3_600_000
_DAY = 24
_LOOKED_AT = WEEKS_LOOKED_AT * 7 * _DAY
_PENDING = (  # the states twice, for the index: most intents are over
    "i.route = :r AND i.connection = :c AND i.state IN ('open', 'held') AND ((i.state = 'open' AND i.due_at <= :now AND i.cleared IS NOT i.revision)"
    " OR i.state = 'held')"
)


def standing(tx: Tx, connection: str, route: str, now: int) -> dict[str, int]:
    """How many intents are held, and how many are due and were not let through yet (``fresh``); people included."""
    rows = tx.rows(
        f"SELECT i.state, count(*) AS n FROM intent i WHERE {_PENDING} GROUP BY i.state",
        r=route,
        c=connection,
        now=now,
    )
    found = {row["state"]: row["n"] for row in rows}
    return {"held": found.get("held", 0), "fresh": found.get("open", 0)}


def pending(tx: Tx, connection: str, route: str, now: int) -> list[Pending]:
    """What is due and was not let through yet, and what is held: oldest first, without the people that others need."""
    rows = tx.rows(
        f"SELECT id, act, loud FROM intent i WHERE {_PENDING} AND act IS NOT :person ORDER BY due_at, id",
        r=route,
        c=connection,
        now=now,
        person=PERSON,
    )
    return [Pending(row["id"], row["act"], bool(row["loud"])) for row in rows]


def clear(tx: Tx, ids: Iterable[int]) -> None:
    """Let intents through."""
    _each(
        tx,
        ids,
        "problem = CASE state WHEN 'held' THEN NULL ELSE problem END, state = 'open', cleared = revision",
    )


def _each(tx: Tx, ids: Iterable[int], change: str, **named: Any) -> None:
    """One change of several intents; mostly there are none."""
    if some := list(ids):
        tx.run(
            f"UPDATE intent SET {change} WHERE id IN (SELECT value FROM json_each(:ids))",
            ids=json.dumps(some),
            **named,
        )


def may_be_sent(intent: Intent) -> bool:
    """Whether the guard let its newest revision through, and nobody is at it."""
    return intent.state in {"open", "waiting"} and intent.cleared == intent.revision


def hold(tx: Tx, ids: Iterable[int], *, problem: str) -> None:
    """Hold intents until a human approves them."""
    _each(tx, ids, "state = 'held', problem = :p", p=problem)


def people(tx: Tx, connection: str, route: str, *, holding: bool, problem: str, now: int) -> None:
    """Whoever is needed by a booking that was let through may be made; whoever only held ones need is held with them."""
    rows = tx.rows(
        f"SELECT i.id, i.state = 'held' AS held, r.ref FROM intent i JOIN record r ON r.id = i.source"
        f" WHERE {_PENDING} AND i.act = :person",
        r=route,
        c=connection,
        now=now,
        person=PERSON,
    )
    if not holding and not any(row["held"] for row in rows):
        clear(tx, [row["id"] for row in rows])
        return
    needed: dict[bool, set[str]] = {True: set(), False: set()}
    for row in tx.rows(
        "SELECT DISTINCT i.state <> 'held' AS free, p.value AS ref FROM intent i,"
        " json_each(i.wish, '$.people') p WHERE i.route = :r AND i.connection = :c"
        " AND i.state IN ('held', 'open', 'waiting', 'sending') AND (i.state = 'held' OR i.cleared = i.revision)",
        r=route,
        c=connection,
    ):
        needed[bool(row["free"])].add(row["ref"])
    caged = needed[False] - needed[True]
    hold(tx, [row["id"] for row in rows if row["ref"] in caged], problem=problem)
    forgotten = [row for row in rows if row["held"] and row["ref"] not in needed[False] | needed[True]]
    give_up(tx, [row["id"] for row in forgotten], why="nobody needs it any more", now=now)
    clear(tx, [row["id"] for row in rows if row["ref"] not in caged and row not in forgotten])


def give_up(tx: Tx, ids: Iterable[int], *, why: str, now: int) -> None:
    """End intents that were never sent."""
    _each(tx, ids, "state = 'done', problem = :why, ended_at = :now", why=why, now=now)


def drop_route(tx: Tx, route: str, *, why: str, now: int) -> None:
    """A route wants nothing any more. What it sent with an unknown outcome stays until it was looked up, and what it may have
    cancelled to make it anew at another time until that is done.
    """
    tx.run(
        "UPDATE intent SET state = 'done', problem = :why, ended_at = :now WHERE route = :r"
        " AND state IN ('open', 'held', 'waiting', 'parked') AND doubt_since IS NULL"
        " AND NOT (attempts AND json_extract(wish, '$.moves'))",
        why=why,
        now=now,
        r=route,
    )


def count(tx: Tx, route: str, let_through: Iterable[Pending], now: int) -> None:
    """Count what was let through."""
    sorts = Counter(sort for each in let_through for sort in each.sorts)
    for sort, n in sorts.items():
        tx.run(
            "INSERT INTO volume (route, hour, sort, n) VALUES (:r, :h, :s, :n)"
            " ON CONFLICT (route, hour, sort) DO UPDATE SET n = volume.n + excluded.n",
            r=route,
            h=now // _HOUR_MS,
            s=sort.value,
            n=n,
        )
    if sorts:
        tx.run(
            "DELETE FROM volume WHERE route = :r AND hour < :h",
            r=route,
            h=now // _HOUR_MS - _DAY - _LOOKED_AT,
        )


def passed(tx: Tx, route: str, sort: Sort, now: int) -> int:
    """How many of a sort were let through within the last day."""
    return sum(_hours(tx, route, sort, now // _HOUR_MS - _DAY, now // _HOUR_MS).values())


def busiest(tx: Tx, route: str, sort: Sort, now: int) -> int:
    """How many of a sort were let through on the busiest day, any 24 hours, of the weeks before the last day."""
    today = now // _HOUR_MS - _DAY
    hours = _hours(tx, route, sort, today - _LOOKED_AT, today)
    return max((sum(hours.get(hour - back, 0) for back in range(_DAY)) for hour in hours), default=0)


def _hours(tx: Tx, route: str, sort: Sort, after: int, until: int) -> dict[int, int]:
    rows = tx.rows(
        "SELECT hour, n FROM volume WHERE route = :r AND sort = :s AND hour > :after AND hour <= :until",
        r=route,
        s=sort.value,
        after=after,
        until=until,
    )
    return {row["hour"]: row["n"] for row in rows}


def known(tx: Tx, connection: str, kind: str) -> int:
    """How many records of a stream there are."""
    return int(
        tx.value(
            "SELECT count(*) FROM record WHERE stream = (SELECT id FROM stream WHERE connection = :c AND kind = :k)",
            c=connection,
            k=kind,
        )
    )


@dataclass(frozen=True, slots=True)
class Held:
    """Why writes of a route wait."""

    route: str
    since: int
    why: Mapping[str, Any]


def get(tx: Tx, route: str) -> Held | None:
    """Why writes of a route wait; None: none do."""
    row = tx.row("SELECT * FROM held WHERE route = :r", r=route)
    return _held(row) if row else None


def every(tx: Tx) -> list[Held]:
    """All routes of which writes wait, the longest first."""
    return [_held(row) for row in tx.rows("SELECT * FROM held ORDER BY since, route")]


def _held(row: Row) -> Held:
    return Held(row["route"], row["since"], json.loads(row["why"]))


def note(tx: Tx, route: str, why: Mapping[str, Any] | None, *, now: int) -> None:
    """Note why writes of a route wait; None: none do any more."""
    if why is None:
        tx.run("DELETE FROM held WHERE route = :r", r=route)
        return
    tx.run(
        "INSERT INTO held (route, since, why) VALUES (:r, :now, :w)"
        " ON CONFLICT (route) DO UPDATE SET why = excluded.why WHERE held.why <> excluded.why",
        r=route,
        now=now,
        w=json.dumps(why),
    )


def waits_for_human(tx: Tx, connection: str) -> dict[str, int]:
    """How many intents are parked, and how many are held."""
    return {
        state: int(
            tx.value(
                "SELECT count(*) FROM intent WHERE connection = :c AND state = :s", c=connection, s=state
            )
        )
        for state in ("parked", "held")
    }


def plan(tx: Tx, route: str) -> str | None:
    """The id of all that is held of a route; None: nothing is."""
    digest, some = hashlib.blake2b(digest_size=4), False
    for row in tx.rows(
        "SELECT kind, entity, act, loud, wish FROM intent WHERE route = :r AND state = 'held' ORDER BY kind, entity",
        r=route,
    ):
        digest.update(json.dumps([route, *row.values()]).encode())
        some = True
    return f"p{digest.hexdigest()}" if some else None


def looked_at(route: str, armed_at: int, sent: Sequence[str]) -> str:
    """The id by which somebody says that he has looked at what a route sent since it was armed."""
    return f"p{hashlib.blake2b(json.dumps([route, armed_at, *sent]).encode(), digest_size=4).hexdigest()}"


def writes(tx: Tx, route: str, limit: int) -> list[Intent]:
    """The oldest writes that are held of a route, without the people that they need."""
    rows = tx.rows(
        "SELECT * FROM intent WHERE route = :r AND state = 'held' AND act IS NOT :person ORDER BY due_at, id LIMIT :n",
        r=route,
        person=PERSON,
        n=limit,
    )
    return [of_row(row) for row in rows]


def counts(tx: Tx, route: str) -> dict[str, int]:
    """How many writes of each sort are held of a route."""
    rows = tx.rows(
        "SELECT act, sum(loud) AS loud, count(*) AS n FROM intent WHERE route = :r AND state = 'held' GROUP BY act",
        r=route,
    )
    loud = sum(row["loud"] for row in rows)
    return {row["act"]: row["n"] for row in rows if row["act"]} | ({Sort.NOTIFY.value: loud} if loud else {})


def approve(tx: Tx, route: str, plan_id: str) -> int:
    """Let through all that is held of a route, uncounted: what somebody had to look at is no measure. Gives how many."""
    released = tx.run(
        "UPDATE intent SET state = 'open', problem = NULL, cleared = revision, plan = :p WHERE route = :r AND state = 'held'",
        p=plan_id,
        r=route,
    )
    note(tx, route, None, now=0)
    return released


def approved(tx: Tx, plan_id: str) -> int:
    """How many writes were approved as this plan."""
    return int(tx.value("SELECT count(*) FROM intent WHERE plan = :p", p=plan_id))


def changes(tx: Tx, route: str) -> list[Change]:
    """What last happened to the records that are behind the held writes of a route, our own writes apart."""
    rows = tx.rows(
        "SELECT j.at, j.via, j.before, j.added, json_extract(r.fields, '$.status_word') AS word,"
        " json_extract(r.fields, '$.status') AS status FROM intent i JOIN record r ON r.id = i.source JOIN journal j ON j.seq ="
        " (SELECT max(seq) FROM journal WHERE record = i.source AND intent IS NULL)"
        " WHERE i.route = :r AND i.state = 'held' AND i.act IS NOT :person",
        r=route,
        person=PERSON,
    )
    return [Change(row["at"], row["via"], _fields(row), row["word"], row["status"]) for row in rows]


def _fields(row: Row) -> tuple[str, ...]:
    if row["before"] is None:
        return ()
    return (*json.loads(row["before"]), *json.loads(row["added"] or "[]"))


def sent(tx: Tx, route: str, since: int, *, only_loud: bool, limit: int) -> Sequence[str]:
    """The target's ids of what a route wrote since a moment, oldest first."""
    rows = tx.rows(
        "SELECT a.target FROM attempt a JOIN intent i ON i.id = a.intent WHERE i.route = :r AND i.act IS NOT :person"
        " AND a.outcome = 'done' AND a.target IS NOT NULL AND a.started_at >= :since AND a.loud >= :loud"
        " GROUP BY a.target ORDER BY min(a.id) LIMIT :n",
        r=route,
        person=PERSON,
        since=since,
        loud=int(only_loud),
        n=limit,
    )
    return [row["target"] for row in rows]
