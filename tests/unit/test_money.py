from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.money import NO_CURRENCY, exponent, from_major, to_major


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("620.00", "NZD", 62000),
        (75.0, "NZD", 7500),
        (0.1, "NZD", 10),
        (1.15, "NZD", 115),
        ("620", "JPY", 620),
        ("620.0", "JPY", 620),
        ("1.234", "KWD", 1234),
        ("1.2345e2", NO_CURRENCY, 123450),
        ("1.5", "xxx", 1500),
        ("-3.50", "EUR", -350),
        ("0", "eur", 0),
    ],
)
def test_into_minor_units(amount, currency, minor):
    money = from_major(amount, currency)
    assert (money.minor, money.currency) == (minor, currency.upper())
    assert type(money.minor) is int


def test_exponents():
    assert [exponent(code) for code in ("JPY", "NZD", "KWD", NO_CURRENCY)] == [0, 2, 3, 3]


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("1.005", "NZD"),
        ("0.5", "JPY"),
        ("1.2345", "KWD"),
        ("NaN", "NZD"),
        ("Infinity", "NZD"),
        ("free", "NZD"),
        ("", "NZD"),
        ("1", "ZZZ"),
        ("1e999999", "NZD"),
        ("1e99999", "NZD"),
        ("99999999999999999999", "NZD"),
    ],
)
def test_what_is_no_amount_is_refused_as_a_value(amount, currency):
    with pytest.raises(ValueError):
        from_major(amount, currency)


@given(st.integers(-(10**12), 10**12), st.sampled_from(["JPY", "NZD", "KWD", NO_CURRENCY]))
def test_there_and_back(minor, currency):
    major = to_major(minor, currency)
    assert isinstance(major, Decimal)
    assert from_major(major, currency).minor == from_major(str(major), currency).minor == minor
