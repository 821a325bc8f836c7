"""Sightings for the tests of the store."""

from collections.abc import Sequence
from typing import Any

from mapping.model import MODEL, Kind
from mapping.record import Listing, Observation, Page, Record, Row, Via
from state import ledger
from state.cursors import StreamCursor, advance, stream
from state.database import Tx
from state.ledger import Stored


def booking(ref: str, at: int, via: Via = Via.POLL, kind: Kind = Kind.BOOKINGS, **fields: Any) -> Observation:
    return Observation(kind, ref, MODEL[kind](**fields), f'{{"at":{at}}}'.encode(), at, via)


def person(ref: str, at: int, via: Via = Via.POLL, **fields: Any) -> Observation:
    return booking(ref, at, via, Kind.PEOPLE, **fields)


def observe(tx: Tx, *seen: Observation, connection: str = "salon", **more: Any) -> Stored:
    return ledger.observe(tx, connection, seen[0].kind, seen, **{"now": 1000, "region": "NZ", **more})


def put(tx: Tx, ref: str, connection: str = "salon", kind: Kind = Kind.PEOPLE, **fields: Any) -> Record:
    observe(tx, booking(ref, 1, kind=kind, **fields), connection=connection)
    return held(tx, ref, connection, kind)


def held(tx: Tx, ref: str, connection: str = "salon", kind: Kind = Kind.BOOKINGS) -> Record:
    found = ledger.find(tx, connection, kind, ref)
    assert found is not None
    return found


def poll(tx: Tx, at: int, *seen: Observation, following: str | None = None, **more: Any) -> StreamCursor:
    """What a unit does with a page: the ledger and the cursor."""
    if seen:
        observe(tx, *seen)
    page = Page(listed(seen), at, following, **more)
    cursor = stream(tx, "salon", Kind.BOOKINGS)
    return advance(tx, cursor, page, [each.ref for each in seen], now=at)


def listed(seen: Sequence[Observation], kind: Kind = Kind.BOOKINGS) -> Listing:
    """A listing that shows these, already understood."""
    return Listing(
        kind, [Row(each.ref, each.raw, each.digest, each) for each in seen], lambda row: row.content
    )


def changes(tx: Tx) -> int:
    return int(tx.value("SELECT count(*) FROM journal"))
