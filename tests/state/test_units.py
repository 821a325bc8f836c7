import pytest

from state import units
from state.errors import Fenced


def test_who_claims_anew_fences_the_former_off(tx):
    first = units.claim(tx, "pull:salon", now=1)
    units.fence(tx, first)
    second = units.claim(tx, "pull:salon", now=2)
    units.claim(tx, "push:salon", now=2)
    units.fence(tx, second)
    assert (first.epoch, second.epoch) == (1, 2)
    with pytest.raises(Fenced, match="pull:salon"):
        units.fence(tx, first)


def test_a_unit_that_is_not_there_is_fenced_off(tx):
    with pytest.raises(Fenced):
        units.fence(tx, units.Claim("pull:nobody", 1))


def test_failures_are_counted_since_the_first_and_end_with_a_success(tx):
    units.claim(tx, "pull:salon", now=1)
    units.failed(tx, "pull:salon", now=5, next_due=6, problem={"what": "401"})
    units.failed(tx, "pull:salon", now=9, next_due=None, problem={"what": "503"})
    row = units.get(tx, "pull:salon")
    assert row is not None
    assert (row["failures"], row["next_due"], row["problem"]) == (2, None, {"what": "503", "since": 5})
    units.succeeded(tx, "pull:salon", now=10, next_due=20)
    (row,) = units.every(tx)
    assert (row["failures"], row["problem"], row["last_ok"], row["next_due"], row["epoch"]) == (
        0,
        None,
        10,
        20,
        1,
    )
    assert units.get(tx, "pull:nobody") is None
