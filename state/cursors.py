"""The two kinds of cursor. Each moves only in the transaction that stores what it passed.

A *stream cursor* says how far a walk through a platform's listing is and what the last finished walk proved. A
*route cursor* is a position in the journal. Reading again from an older one changes nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapping.model import Kind
from mapping.record import Coverage, Page
from state import clearance, journal
from state.database import Tx
from state.ledger import stream_id


@dataclass(frozen=True, slots=True)
class StreamCursor:
    """Where a stream stands."""

    stream: int
    walk: int
    page: int
    position: str | None
    """None between two walks."""
    finished_at: int | None
    rows: int
    coverage: Coverage | None
    doubt: str | None


def stream(tx: Tx, connection: str, kind: Kind) -> StreamCursor:
    """The cursor of a stream; a new one stands before its first walk."""
    number = stream_id(tx, connection, kind)
    row = tx.row("SELECT * FROM cursor WHERE stream = :s", s=number)
    if row is None:
        return StreamCursor(number, 0, 0, None, None, 0, None, None)
    del row["asked_at"], row["finished_before"]
    return StreamCursor(
        **{**row, "coverage": Coverage.load(json.loads(row["coverage"])) if row["coverage"] else None}
    )


def finished(tx: Tx) -> set[tuple[str, Kind]]:
    """The streams that were walked to the end at least once."""
    rows = tx.rows(
        "SELECT s.connection, s.kind FROM cursor c JOIN stream s ON s.id = c.stream WHERE c.finished_at IS NOT NULL"
    )
    return {(row["connection"], Kind(row["kind"])) for row in rows}


def unread_for(tx: Tx, connection: str, kind: Kind, now: int) -> int:
    """For how long a stream was not read to its end: since it last was, or before it last was. In milliseconds."""
    row = tx.row(
        "SELECT c.finished_at, c.finished_before FROM cursor c JOIN stream s ON s.id = c.stream"
        " WHERE s.connection = :c AND s.kind = :k AND c.finished_at IS NOT NULL",
        c=connection,
        k=kind.value,
    )
    if row is None:
        return 0
    return int(
        max(now - row["finished_at"], row["finished_at"] - (row["finished_before"] or row["finished_at"]))
    )


def advance(tx: Tx, cursor: StreamCursor, page: Page, refs: list[str], *, now: int) -> StreamCursor:
    """Move past a page. The last page of a walk ends it."""
    begins = cursor.position is None
    walk, number = cursor.walk + begins, 0 if begins else cursor.page
    last = page.next is None
    rows = (0 if begins else cursor.rows) + len(refs)
    tx.run(
        "INSERT INTO cursor_page (stream, page, walk, asked_at, refs) VALUES (:s, :p, :w, :at, :refs)"
        " ON CONFLICT (stream, page) DO UPDATE SET walk = excluded.walk, asked_at = excluded.asked_at, refs = excluded.refs",
        s=cursor.stream,
        p=number,
        w=walk,
        at=page.asked_at,
        refs=json.dumps(refs),
    )
    tx.run(
        "INSERT INTO cursor (stream, walk, page, position, asked_at, finished_at, rows, coverage)"
        " VALUES (:s, :w, :p, :pos, :at, :fin, :rows, :cov)"
        " ON CONFLICT (stream) DO UPDATE SET walk = excluded.walk, page = excluded.page, position = excluded.position,"
        " asked_at = excluded.asked_at, finished_at = excluded.finished_at,"
        " finished_before = CASE WHEN :last THEN cursor.finished_at ELSE cursor.finished_before END, rows = excluded.rows, coverage = excluded.coverage",
        s=cursor.stream,
        w=walk,
        p=number + 1,
        pos=page.next,
        at=page.asked_at,
        fin=now if last else cursor.finished_at,
        last=int(last),
        rows=rows,
        cov=json.dumps((page.coverage if last else cursor.coverage or Coverage()).dump()),
    )
    if last:
        tx.run("DELETE FROM cursor_page WHERE stream = :s AND walk < :w", s=cursor.stream, w=walk)
    return StreamCursor(
        cursor.stream,
        walk,
        number + 1,
        page.next,
        now if last else cursor.finished_at,
        rows,
        page.coverage if last else cursor.coverage or Coverage(),
        cursor.doubt,
    )


def restart(tx: Tx, cursor: StreamCursor) -> None:
    """Begin the walk anew: its position is no longer worth anything."""
    tx.run("UPDATE cursor SET position = NULL WHERE stream = :s", s=cursor.stream)


def set_doubt(tx: Tx, cursor: StreamCursor, doubt: str | None) -> None:
    """Note why the last finished walk proved nothing, or that it did."""
    tx.run("UPDATE cursor SET doubt = :d WHERE stream = :s AND doubt IS NOT :d", d=doubt, s=cursor.stream)


@dataclass(frozen=True, slots=True)
class RouteState:
    """What is known of a route."""

    armed_at: int | None = None
    cutover: int | None = None
    baseline: int = 0
    position: int = 0
    canary: int | None = 0
    """How many canaries it has sent since; None: somebody has looked at them."""
    said: Mapping[str, Any] | None = None
    """What its text was at the last push (``keys``), and which of them had changed (``changed``, ``at``)."""

    @property
    def armed(self) -> bool:
        """Whether it may push."""
        return self.armed_at is not None


def route(tx: Tx, name: str) -> RouteState:
    """The state of a route; one never heard of is not armed."""
    row = tx.row(
        "SELECT armed_at, cutover, baseline, position, canary, said FROM route WHERE name = :n", n=name
    )
    return RouteState(**{**row, "said": row["said"] and json.loads(row["said"])}) if row else RouteState()


def arm(tx: Tx, name: str, *, now: int, since: int | None) -> RouteState:
    """Let a route push from now on: everything known until now is its baseline, unless ``since`` includes it.

    Arming an armed route changes nothing.
    """
    if route(tx, name).armed:
        return route(tx, name)
    tx.run(
        "INSERT INTO route (name, armed_at, cutover, baseline, position, slept_to)"
        " VALUES (:n, :at, :cut, :end, :pos, (SELECT max(slept_to) FROM route))"
        " ON CONFLICT (name) DO UPDATE SET armed_at = excluded.armed_at, cutover = excluded.cutover,"
        " baseline = excluded.baseline, position = excluded.position, canary = 0",
        n=name,
        at=now,
        cut=now if since is None else since,
        end=(end := journal.end(tx)),
        pos=end if since is None else 0,
    )
    return route(tx, name)


def disarm(tx: Tx, name: str, *, now: int) -> bool:
    """Stop a route from pushing: what it wanted and never sent is wanted no more. Gives whether it was armed."""
    clearance.drop_route(tx, name, why="the route was disarmed", now=now)
    return bool(tx.run("UPDATE route SET armed_at = NULL WHERE name = :n AND armed_at IS NOT NULL", n=name))


def sing(tx: Tx, name: str, canaries: int) -> None:
    """So many more canaries of a route are sent."""
    tx.run("UPDATE route SET canary = canary + :c WHERE name = :n", c=canaries, n=name)


def heard(tx: Tx, name: str) -> None:
    """Somebody has looked at a route's canaries: it needs none any more until it is armed anew."""
    tx.run("UPDATE route SET canary = NULL WHERE name = :n", n=name)


def say(tx: Tx, name: str, said: Mapping[str, Any]) -> None:
    """Remember the text of a route."""
    tx.run("UPDATE route SET said = :s WHERE name = :n", s=json.dumps(said), n=name)


def wake(tx: Tx, name: str) -> None:
    """The lists of a route have been read since the backup that this store was restored from: its knowledge is new."""
    tx.run(
        "UPDATE route SET slept_to = :end WHERE name = :n AND slept_to > :end", n=name, end=journal.end(tx)
    )


def move_route(tx: Tx, name: str, position: int) -> None:
    """Move a route's cursor forward."""
    tx.run("UPDATE route SET position = :p WHERE name = :n AND position < :p", p=position, n=name)
