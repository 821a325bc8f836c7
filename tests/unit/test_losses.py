import pytest

from daemon.concerns import stamp
from mapping.capability import Happening
from mapping.losses import Finding, finding, happening, heard_from, listened, open_ms
from mapping.record import COMPLETE, PROVES_NOTHING, Via

ALL = frozenset(Happening)
MINUTE = 60_000
LISTED, NOW = 1_790_000_000_000, 1_790_000_300_000


def judge(fields, before, via=Via.POLL, announces=ALL, covered=COMPLETE):
    return finding(announces, fields, before, via, listed_at=LISTED, covered=covered, now=NOW)


@pytest.mark.parametrize(
    ("fields", "before", "via", "what"),
    [
        ({"status": "confirmed"}, None, Via.POLL, Happening.CREATED),
        ({"status": "pending"}, None, Via.POLL, None),
        ({"status": "cancelled"}, {"status": "confirmed"}, Via.POLL, Happening.CANCELLED),
        ({"status": "completed"}, {"status": "confirmed", "starts": "x"}, Via.FETCH, Happening.COMPLETED),
        ({"status": "no_show"}, {"status": "confirmed"}, Via.POLL, Happening.CHANGED),
        ({"starts": "y"}, {"starts": "x", "notes": ""}, Via.POLL, Happening.RESCHEDULED),
        ({"departure": "y"}, {"departure": "x"}, Via.POLL, Happening.RESCHEDULED),
        ({"notes": "y"}, {"notes": "x"}, Via.POLL, Happening.CHANGED),
        ({"updated_at": "y"}, {"updated_at": "x"}, Via.POLL, None),
        ({"notes": "y"}, {}, Via.POLL, None),
        ({"status": "cancelled"}, {"status": "confirmed"}, Via.ABSENCE, Happening.LEFT),
    ],
)
def test_what_happened(fields, before, via, what):
    assert happening(fields, before, via) == what


def test_what_is_not_announced_is_no_loss():
    assert judge({"notes": "y"}, {"notes": "x"}, announces=ALL - {Happening.CHANGED}) is None
    assert judge({"notes": "y"}, {"notes": "x"}) == Finding(Happening.CHANGED, LISTED, NOW)


def test_a_record_that_comes_into_sight_is_not_new():
    row = {"status": "confirmed"}
    assert judge(row, None, covered=PROVES_NOTHING) is None
    assert judge(row, None, covered=COMPLETE) is not None
    assert judge(row | {"created_at": stamp(LISTED - 5 * MINUTE)}, None) is None
    made = judge(row | {"created_at": stamp(LISTED + MINUTE)}, None, covered=PROVES_NOTHING)
    assert made == Finding(Happening.CREATED, LISTED + MINUTE, LISTED + MINUTE)


def test_a_change_that_is_older_than_the_list_before_is_no_loss():
    old = {"notes": "y", "updated_at": stamp(LISTED - 5 * MINUTE)}
    assert judge(old, {"notes": "x"}) is None
    ahead = judge(old | {"updated_at": stamp(NOW + 5 * MINUTE)}, {"notes": "x"})
    assert ahead == Finding(Happening.CHANGED, NOW, NOW), "its clock is ahead of ours"


def test_from_when_on_a_webhook_tells_of_a_change():
    assert heard_from(LISTED, None) == LISTED - 15 * MINUTE
    assert heard_from(LISTED, LISTED - 5 * MINUTE) == LISTED - 5 * MINUTE + 1, (
        "an earlier one told of the change before"
    )


def test_when_the_door_was_open():
    runs = [(10, 20 + MINUTE), (30 + MINUTE, 40 + 2 * MINUTE)]
    assert listened(runs, 11, 20)
    assert not listened(runs, 11, 21), "a webhook takes its time"
    assert not listened(runs, 15, 35 + MINUTE)
    assert not listened(runs, 5, 15)
    assert open_ms([(10, 20), (30, 40)], 15, 35) == 10
    assert open_ms([], 0, 100) == 0
