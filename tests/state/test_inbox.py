import pytest

from state import inbox


def store(
    tx, body: bytes = b"{}", now: int = 10, again: bool = False, connection: str = "salon", **more
) -> bool:
    key = inbox.digest(body)
    return inbox.store(tx, connection, {"x": "1"}, body, key=key, now=now, again=again, **more)


def test_a_delivery_is_kept_exactly_as_it_came(tx):
    assert store(tx, b"\xff\x00{")
    (delivery,) = inbox.due(tx, "salon", 10, 9)
    assert (delivery.body, delivery.headers, delivery.received_at) == (b"\xff\x00{", {"x": "1"}, 10)
    assert inbox.due(tx, "other", 10, 9) == []
    assert (inbox.next_due(tx, "salon"), inbox.next_due(tx, "other")) == (10, None)


@pytest.mark.parametrize("again", [False, True])
def test_the_same_once_more_is_read_once(tx, again):
    store(tx)
    assert not store(tx, now=11, again=again)
    assert len(inbox.due(tx, "salon", 99, 9)) == 1
    assert store(tx, connection="other")


def test_one_that_was_read_is_read_again_only_as_a_hint(tx):
    store(tx)
    inbox.later(tx, 1, due_at=11, note="busy")
    inbox.finish(tx, 1, state="done", event="booking.updated", kind="bookings", ref="b1")
    assert not store(tx, now=20)
    assert inbox.due(tx, "salon", 99, 9) == []
    assert store(tx, now=21, again=True)
    (delivery,) = inbox.due(tx, "salon", 21, 9)
    assert (delivery.id, delivery.failures) == (1, 0)


@pytest.mark.parametrize("state", ["ignored", "parked"])
def test_one_that_was_put_aside_stays_there(tx, state):
    store(tx, state=state, note="why")
    assert not store(tx, again=True)
    assert inbox.due(tx, "salon", 99, 9) == []


def test_later(tx):
    store(tx)
    inbox.later(tx, 1, due_at=50, note="busy")
    assert inbox.due(tx, "salon", 49, 9) == []
    assert inbox.next_due(tx, "salon") == 50
    (delivery,) = inbox.due(tx, "salon", 50, 9)
    assert delivery.failures == 1


def test_oldest_first_and_not_more_than_asked_for(tx):
    for number in range(5):
        store(tx, b"%d" % number, now=10 - number)
    assert [delivery.id for delivery in inbox.due(tx, "salon", 10, 3)] == [1, 2, 3]


def test_the_story_of_a_record(tx):
    store(tx)
    inbox.finish(tx, 1, state="done", event="e", kind="bookings", ref="b1")
    inbox.finish(tx, 1, state="done", note="again")
    (row,) = inbox.of_ref(tx, "salon", "b1")
    assert (row["event"], row["kind"], row["state"], row["note"]) == ("e", "bookings", "done", "again")
    assert "body" not in row
    assert inbox.of_ref(tx, "other", "b1") == []


def test_parked(tx):
    store(tx)
    assert not inbox.set_parked(tx, 1, "new", now=11)
    inbox.later(tx, 1, due_at=12, note="odd")
    inbox.finish(tx, 1, state="parked", note="malformed")
    assert [row["note"] for row in inbox.parked(tx)] == ["malformed"]
    assert inbox.set_parked(tx, 1, "new", now=13)
    assert inbox.due(tx, "salon", 13, 9)[0].failures == 0
    (count,) = inbox.counts(tx)
    assert (count["state"], count["n"], count["last"]) == ("new", 1, 10)
