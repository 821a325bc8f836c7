import asyncio

import pytest

from state import inbox
from state.database import Database
from state.errors import StoreUnavailable


def store(
    tx, body: bytes = b"{}", now: int = 10, again: bool = False, connection: str = "salon", **more
) -> bool:
    (to_read,) = inbox.store(tx, [arrival(body, now, connection, again=again, **more)])
    return to_read


def arrival(body: bytes = b"{}", now: int = 10, connection: str = "salon", **more) -> inbox.Arrival:
    return inbox.Arrival(connection, inbox.digest(body), now, '{"x": "1"}', body, **more)


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


def test_among_new_ones_each_is_told_apart(tx):
    for body in (b"read", b"waits"):
        store(tx, body)
    inbox.finish(tx, 1, state="done")
    group = [
        arrival(b"a"),
        arrival(b"waits", again=True),
        arrival(b"a"),
        arrival(b"read", again=True),
        arrival(b"read", connection="other"),
        arrival(b"b"),
    ]
    assert inbox.store(tx, group) == [True, False, False, True, True, True]
    assert len(inbox.due(tx, "salon", 99, 9)) == 4
    assert inbox.store(tx, group) == [False] * 6


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


class Watched(Database):
    """Notes how many transactions each commit had, and can refuse them."""

    def __init__(self, path):
        super().__init__(path)
        self.commits, self.full = [], False

    def _commit(self, connection, batch):
        self.commits.append(len(batch))
        if self.full:
            connection.execute("INSERT INTO nowhere VALUES (1)")
        super()._commit(connection, batch)


@pytest.fixture
async def store_of(tmp_path):
    opened = await Watched.open(tmp_path / "b.db")
    yield opened
    await opened.close()


async def test_what_comes_together_is_one_transaction(store_of):
    intake = inbox.Intake(store_of)
    bodies = [b"%d" % (number // 2) for number in range(600)]
    told = await asyncio.gather(
        *(intake.store([arrival(body), arrival(body, connection="b")]) for body in bodies)
    )
    assert told == [[True, True], [False, False]] * 300
    assert store_of.commits == [1] * 5
    assert await store_of.read(lambda tx: tx.value("SELECT count(*) FROM inbox")) == 600
    assert await intake.store([arrival(b"later")]) == [True]


async def test_a_store_that_refuses_tells_all_who_wait_and_takes_the_next(store_of):
    intake, store_of.full = inbox.Intake(store_of), True
    outcomes = await asyncio.gather(
        *(intake.store([arrival(b"%d" % n)]) for n in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    store_of.full = False
    assert await intake.store([arrival(b"0")]) == [True]


async def test_one_who_leaves_stops_nobody(store_of):
    intake = inbox.Intake(store_of)
    for store_of.full in (False, True):
        leaves = asyncio.create_task(intake.store([arrival(b"left")]))
        stays = asyncio.create_task(intake.store([arrival(b"stays")]))
        await asyncio.sleep(0)
        leaves.cancel()
        if store_of.full:
            with pytest.raises(StoreUnavailable):
                await stays
        else:
            assert await stays == [True]
