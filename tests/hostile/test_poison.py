"""One delivery that cannot be read, for whatever reason, is parked; those behind it are read."""

import asyncio
import json
from datetime import datetime

import pytest
from pydantic import ValidationError

from connectors.wire import instant, is_ref, listing, raw_of
from mapping.model import Booking, Kind, Money, canonical
from state import inbox, ledger, units
from tests.daemon.hook_house import appointment, house
from tests.hostile.contents import STAMPS, WORDS


class Here:
    """As much of an app as reading an inbox needs."""

    def __init__(self, made, reign):
        self.reign, self.trouble = reign, {}
        self.__dict__.update(
            db=made.db, connectors=made.connectors, engine=made.engine, kick_targets=lambda _: None
        )

    def ms(self):
        return 2_000_000_000_000


async def test_a_delivery_that_the_ledger_cannot_take_stops_nobody_else(tmp_path, monkeypatch):
    from daemon.units import Unit
    from daemon.units import inbox as reading

    observe = ledger.observe

    def allergic(tx, name, kind, seen, **more):
        if any(each.ref == "apt_3" for each in seen):
            raise OverflowError("date value out of range")
        return observe(tx, name, kind, seen, **more)

    monkeypatch.setattr(ledger, "observe", allergic)
    async with house(tmp_path) as made:
        bodies = [appointment(ref=f"apt_{number}") for number in range(8)]
        arrivals = [inbox.Arrival("salon", inbox.digest(body), 1, "{}", body) for body in bodies]
        await made.db.transaction(lambda tx: inbox.store(tx, arrivals), "t")
        reign = await made.db.transaction(lambda tx: units.claim(tx, units.STORE, now=1), "t")
        async with asyncio.timeout(10):
            await reading.read(Unit(Here(made, reign), "inbox:salon"), "salon")
        rows = await made.rows()
        assert [row["state"] for row in rows] == ["done"] * 3 + ["parked"] + ["done"] * 4
        assert rows[3]["note"] == "a bug in bookferry: OverflowError. The log has the details."


@pytest.mark.parametrize("stamp", STAMPS)
def test_an_instant_is_one_in_utc_or_none(stamp):
    try:
        found = Booking(starts=stamp).fields()
    except ValidationError:
        with pytest.raises(ValueError):
            instant(stamp)
        assert stamp.startswith("0001")
    else:
        assert json.loads(canonical(found))["starts"].endswith("Z")
        assert instant(stamp) == datetime.fromisoformat(stamp)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 10**30, 1e30])
def test_numbers_that_json_cannot_hold_are_refused(number):
    with pytest.raises(ValidationError):
        Money(minor=number, currency="NZD")
    with pytest.raises(ValidationError):
        Booking(adults=number)


def test_what_can_be_an_id():
    assert all(map(is_ref, ("apt_1", 7, "a/b", "Zoë", "a b", "..a", "Z2lkOi8v+/=", 2**70)))
    bad = [
        "",
        " ",
        ".",
        "..",
        "a\nb",
        "a\r",
        "a\0",
        "\x1b[2J",
        "\u202ea",
        "\ufeff",
        "x" * 256,
        True,
        None,
        1.5,
        [],
        {},
    ]
    assert not any(map(is_ref, bad))
    assert sum(map(is_ref, WORDS)) > 10


def test_a_row_that_is_nested_too_deeply_costs_itself_alone():
    deep = json.loads('{"id": 1, "a": ' + "[" * 400 + "]" * 400 + "}")
    with pytest.raises(ValueError, match="deep"):
        raw_of(deep)
    made = listing(Kind.BOOKINGS, [{"id": 1}, deep, {"id": 2}], lambda _row: {"notes": "x"}, 0, b"")
    assert [row.ref for row in made.rows] == ["1", "2"]
    assert [row.reason for row in made.unnamed] == ["nested too deeply"]
