"""Between a webhook and its write no statement looks at what is over: a long history costs nothing."""

import re

import pytest
from berths import ANN, BOB
from fleet import fleet

from state import database

GROWS = {"attempt", "delivery", "identity_key", "inbox", "intent", "journal", "link", "record", "volume"}
"""Tables with a row for each booking, person, webhook or write that ever was."""
SHORT = {"inbox_new", "intent_open"}
"""Indexes that hold only what is not over."""

_WHOLE = re.compile(r"SCAN (\w+)")
_ALL_OF_ONE = re.compile(r"SEARCH (\w+) USING (?:COVERING )?INDEX (\w+) \((?:connection|stream|route)=\?\)$")
_NAMED = re.compile(
    r"\b(?:FROM|JOIN|UPDATE(?: OR \w+)?|INTO)\s+(\w+)(?:\s+(?!SET|WHERE|JOIN|ON|ORDER|GROUP|CROSS|LIMIT|AND)(\w+))?"
)
_OTHERS = re.compile(
    r"SELECT count\(\*\) FROM (journal|attempt)$"  # this test's own
    r"|.*\bcursor_page\b"  # a list is held against all that is known
    r"|SELECT connection, digest FROM inbox ORDER BY id DESC LIMIT",  # the last few, when the door opens
    re.DOTALL,
)

ROUTES = {
    "one way": "  - {name: there, from: bookatu.bookings, to: nicejob.bookings, notify: allow, on_cancel: cancel}\n",
    "both ways": """
  - {name: out, from: nearbyassist.bookings, to: bookatu.bookings, set: {service: '"svc_abc123"'}, notify: allow}
  - {name: back, from: bookatu.bookings, to: nearbyassist.bookings, set: {service: '"svc_abc123"'}, notify: allow}
""",
}


def wide(connection, sql):
    """The steps of a statement that look through a table, or through all of a connection's."""
    tables = {alias or table: table for table, alias in _NAMED.findall(sql)}
    for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall():
        found = _WHOLE.match(step) or _ALL_OF_ONE.match(step)
        if found and tables.get(found[1], found[1]) in GROWS and not SHORT & set(found.groups()):
            yield step


@pytest.fixture
def said(monkeypatch):
    """Every statement that any connection runs: one of each shape."""
    statements, connect = {}, database.connect

    def listened(*args, **named):
        made = connect(*args, **named)
        made.set_trace_callback(lambda sql: statements.setdefault(re.sub(r"'[^']*'|\b\d+\b", "?", sql), sql))
        return made

    monkeypatch.setattr(database, "connect", listened)
    return statements


@pytest.mark.speaks
@pytest.mark.parametrize("routes", ROUTES)
async def test_from_a_webhook_to_its_write_nothing_is_read_through(tmp_path, said, routes):
    names = sorted(set(re.findall(r"(\w+)\.bookings", ROUTES[routes])))
    async with fleet(tmp_path, ROUTES[routes], *names) as port:
        said.clear()
        for name, guest in zip(names, (ANN, BOB), strict=True):
            berth = port[name]
            ref = berth.book(5, guest)
            await port.calm()
            berth.move(ref, 7)
            berth.price(ref, 12)
            await port.calm()
        if routes == "one way":
            port["bookatu"].cancel(next(iter(port["bookatu"].visits())))
            await port.calm()
        with database.reading(port.path) as tx:
            tx._connection.set_trace_callback(None)
            asked = [
                sql for sql in said.values() if sql.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}
            ]
            found = {sql: [*wide(tx._connection, sql)] for sql in asked if not _OTHERS.match(sql)}
    assert len(found) > 40
    assert {sql: steps for sql, steps in found.items() if steps} == {}
