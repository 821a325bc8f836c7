"""What is forgotten when it is old, in small steps, so that the file stops growing; and what never is.

Forgotten are webhooks that were read, writes that ended, and the single steps by which a record became what it is. Kept
for ever is all that a decision may still need: records, links (undone ones too), what was delivered, the last writes in
doubt, what waits for a human; and of each record's history its beginning, its end, and for each field the last change
of everyone who changed it. The pages that become free are used again, so the file is as large as it ever had to be.

Each step takes a place to go on from and gives the next one, None at the end.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from state.database import Row, Tx

_WEBHOOKS, _WRITES, _RECORDS = 1000, 500, 200
"""How many rows one step looks at: it holds the writer for a few milliseconds."""
_LEAST_MS = 86_400_000
"""Writes are remembered for a day at least: the same write three times within one day stops a record."""


def webhooks(tx: Tx, after: int, *, since: int, again_since: Mapping[str, int]) -> int | None:
    """Of what was received before ``since`` and read: forget the content, and all of it where the platform delivers
    it no more. ``again_since``: by connection, since when it may; one that is not there does for ever.
    """
    rows = tx.rows(
        "SELECT id, connection, received_at, state IN ('done', 'ignored') AS over, length(body) AS size FROM inbox"
        " WHERE id > :after ORDER BY id LIMIT :n",
        after=after,
        n=_WEBHOOKS,
    )
    old = [row for row in rows if row["over"] and row["received_at"] < since]
    gone = [row["id"] for row in old if row["received_at"] < again_since.get(row["connection"], 0)]
    tx.run("DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(:ids))", ids=json.dumps(gone))
    bare = [row["id"] for row in old if row["size"]]
    tx.run(
        "UPDATE inbox SET body = x'', headers = '{}' WHERE id IN (SELECT value FROM json_each(:ids))",
        ids=json.dumps(bare),
    )
    return _next(rows, "id", _WEBHOOKS) if rows and rows[-1]["received_at"] < since else None


def writes(tx: Tx, after: int, *, since: int, now: int) -> int | None:
    """Forget writes that ended before ``since``, and of those that go on the calls that surely did nothing."""
    since = min(since, now - _LEAST_MS)
    rows = tx.rows(
        "SELECT id, state IN ('done', 'dismissed') AS over, ended_at, created_at, doubt_since FROM intent"
        " WHERE id > :after ORDER BY id LIMIT :n",
        after=after,
        n=_WRITES,
    )
    gone = [
        row["id"] for row in rows if row["over"] and row["ended_at"] < since and row["doubt_since"] is None
    ]
    for table, key in (("attempt", "intent"), ("intent", "id")):
        tx.run(
            f"DELETE FROM {table} WHERE {key} IN (SELECT value FROM json_each(:ids))", ids=json.dumps(gone)
        )
    tx.run(
        "DELETE FROM attempt WHERE intent IN (SELECT value FROM json_each(:ids)) AND ended_at < :since"
        " AND outcome IN ('later', 'refused', 'conflict')"
        " AND id < (SELECT max(last.id) FROM attempt last WHERE last.intent = attempt.intent)",
        ids=json.dumps([row["id"] for row in rows if not row["over"]]),
        since=since,
    )
    return _next(rows, "id", _WRITES) if rows and rows[-1]["created_at"] < since else None


def histories(tx: Tx, after: int, *, since: int) -> int | None:
    """Fold the steps older than ``since`` of each record's history into later ones."""
    rows = tx.rows(
        "SELECT record, count(*) AS n FROM journal WHERE record > :after GROUP BY record ORDER BY record LIMIT :n",
        after=after,
        n=_RECORDS,
    )
    for row in rows:
        if row["n"] > 2:  # noqa: PLR2004 - the first and the last stay
            _fold(tx, row["record"], since)
    return _next(rows, "record", _RECORDS)


def _next(rows: Sequence[Row], key: str, limit: int) -> int | None:
    return int(rows[-1][key]) if len(rows) == limit else None


@dataclass(slots=True)
class Change:
    """A row of the journal."""

    seq: int
    at: int
    route: str | None
    before: dict[str, Any] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)

    def names(self) -> set[str]:
        """The fields that it changed."""
        return {*self.before, *self.added}

    def take(self, earlier: "Change", name: str) -> None:
        """Tell of a field for an earlier change too."""
        if name in earlier.added:
            earlier.added.remove(name)
        if name in earlier.before:
            self.before[name] = earlier.before.pop(name)


def fold(history: Sequence[Change], moments: Sequence[int], since: int) -> None:
    """Let later changes of a record tell what those older than ``since`` told; in place, oldest first.

    Whoever asks when a field was last changed by anybody but certain routes, or what the record was like at one of the
    ``moments``, before all of them or from now on, is told the same as before.
    """
    for number, change in enumerate(history[1:-1], start=1):
        if change.at >= since:
            return
        for name in sorted(change.names()):
            later = next((other for other in history[number + 1 :] if name in other.names()), None)
            if later is None or later.route not in {None, change.route}:
                continue
            if not any(change.seq <= moment < later.seq for moment in moments):
                later.take(change, name)


def _fold(tx: Tx, record: int, since: int) -> None:
    history = [
        Change(
            row["seq"],
            row["at"],
            row["route"],
            json.loads(row["before"] or "{}"),
            json.loads(row["added"] or "[]"),
        )
        for row in tx.rows(
            "SELECT seq, at, route, before, added FROM journal WHERE record = :r ORDER BY seq", r=record
        )
    ]
    if history[1].at >= since:
        return
    told = {change.seq: (dict(change.before), list(change.added)) for change in history}
    fold(history, _moments(tx, record), since)
    for change in history[1:]:
        if change.names() and told[change.seq] != (change.before, change.added):
            tx.run(
                "UPDATE journal SET before = :b, added = :a WHERE seq = :s",
                b=json.dumps(change.before),
                a=json.dumps(change.added),
                s=change.seq,
            )
    gone = [change.seq for change in history[1:-1] if not change.names()]
    tx.run("DELETE FROM journal WHERE seq IN (SELECT value FROM json_each(:s))", s=json.dumps(gone))


def _moments(tx: Tx, record: int) -> list[int]:
    """When something was agreed on that a decision may go back to: writes and links of the record's entity."""
    rows = tx.rows(
        "SELECT d.position FROM record r JOIN delivery d ON d.entity IN (r.id, r.joined) WHERE r.id = :r"
        " UNION SELECT l.position FROM record r JOIN link l ON l.entity IN (r.id, r.joined) OR l.record = r.id WHERE r.id = :r",
        r=record,
    )
    return [row["position"] for row in rows]
