"""Stays are dates and visits are instants, in every zone and over every change of its clocks; money is exact."""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.expr import compile_expression, known_names, record_scope
from mapping.model import Booking, Kind, iso
from mapping.money import from_major, minor_units, to_major

ZONES = sorted(available_timezones() - {"localtime"})
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
NAMES = known_names(Kind.BOOKINGS)
AT = compile_expression("at(booking.departure, booking.check_out, booking.zone)", NAMES, {})
LOCAL = compile_expression("local(booking.starts, booking.zone)", NAMES, {})
DATE = compile_expression("date(booking.starts, booking.zone)", NAMES, {})


def scope_of(**fields):
    return record_scope(Kind.BOOKINGS, fields, None, connection="villa", ref="1", tables={})


def told(expression, **fields):
    return expression.evaluate(scope_of(**fields))


def hours(moment):
    return int((moment - FIRST).total_seconds()) // 3600


def changes(name):
    """The moments at which the clocks of a zone change, to the hour."""
    zone, step = ZoneInfo(name), timedelta(days=20)
    moment, found = FIRST, []
    while moment < LAST:
        if (moment + step).astimezone(zone).utcoffset() != (was := moment.astimezone(zone).utcoffset()):
            span = range(hours(moment), hours(moment + step) + 1)
            place = bisect_left(
                span, 1, key=lambda hour: (FIRST + timedelta(hours=hour)).astimezone(zone).utcoffset() != was
            )
            found.append(FIRST + timedelta(hours=span[place]))
        moment += step
    return found


@cache
def kinds_of_clocks():
    """One zone of each set of changes: five hundred names stand for far fewer clocks."""
    return {tuple(changes(name)): name for name in ZONES}


def test_around_every_change_of_clocks_a_local_time_is_a_moment_and_comes_back():
    looked_at = 0
    for moments, name in kinds_of_clocks().items():
        zone = ZoneInfo(name)
        for moment in moments:
            for minutes in (-30, 0, 30):
                wall = (moment + timedelta(minutes=minutes)).astimezone(zone)
                given_day, clock = wall.date().isoformat(), wall.strftime("%H:%M")
                found = datetime.fromisoformat(told(AT, departure=given_day, check_out=clock, zone=name))
                assert found.astimezone(zone).strftime("%Y-%m-%dT%H:%M") == f"{given_day}T{clock}"
                shown = scope_of(starts=iso(found), zone=name)
                assert LOCAL.evaluate(shown) == f"{given_day}T{clock}"
                assert DATE.evaluate(shown) == given_day
                looked_at += 1
    assert looked_at > 10_000


@pytest.mark.parametrize(
    ("day", "clock", "zone", "moment"),
    [
        ("2026-07-18", "11:00", "Europe/Paris", "2026-07-18T09:00:00.000Z"),
        ("2026-03-29", "02:30", "Europe/Paris", "2026-03-29T01:30:00.000Z"),  # the clocks skip it: 3:30
        ("2026-10-25", "02:30", "Europe/Paris", "2026-10-25T00:30:00.000Z"),  # it comes twice: the first
        ("2026-09-27", "02:30", "Pacific/Auckland", "2026-09-26T14:30:00.000Z"),
        ("2026-01-01", "00:00", "Pacific/Kiritimati", "2025-12-31T10:00:00.000Z"),
    ],
)  # fmt: skip
def test_a_local_time_that_is_skipped_or_comes_twice(day, clock, zone, moment):
    assert told(AT, departure=day, check_out=clock, zone=zone) == moment


@given(
    st.dates(date(2000, 1, 1), date(2040, 1, 1)),
    st.integers(1, 60),
    st.sampled_from(ZONES),
)
def test_a_stay_is_the_same_days_in_every_zone(arrival, nights, zone):
    departure = arrival + timedelta(days=nights)
    shown = Booking(arrival=arrival, departure=departure, zone=zone).fields()
    assert (shown["arrival"], shown["departure"]) == (arrival.isoformat(), departure.isoformat())
    assert Booking.model_validate(shown).fields() == shown


@given(st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)), st.sampled_from(ZONES))  # noqa: DTZ001 - given a zone below
def test_a_visit_is_the_same_moment_in_every_zone(wall, zone):
    starts = wall.replace(tzinfo=ZoneInfo(zone), microsecond=0)
    shown = Booking(starts=starts).fields()
    assert datetime.fromisoformat(shown["starts"]) == starts.astimezone(UTC)
    assert Booking.model_validate(shown).fields() == shown


@pytest.mark.parametrize("currency", ["JPY", "NZD", "KWD"])
@given(minor=st.integers(-(10**12), 10**12))
def test_amounts_come_back_to_the_last_digit(currency, minor):
    whole = to_major(minor, currency)
    assert from_major(str(whole), currency).minor == minor
    assert minor_units(whole, currency) == minor
    assert -whole.as_tuple().exponent in {0, {"JPY": 0, "NZD": 2, "KWD": 3}[currency]}


@pytest.mark.parametrize(("currency", "too_fine"), [("JPY", "1.5"), ("NZD", "1.005"), ("KWD", "1.0005")])
def test_what_a_currency_cannot_hold_is_refused(currency, too_fine):
    with pytest.raises(ValueError, match="decimals"):
        minor_units(Decimal(too_fine), currency)
