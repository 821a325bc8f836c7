import sqlite3
from dataclasses import replace

import pytest
from seen import put as put_record

from mapping.capability import Act
from mapping.model import Kind
from mapping.wish import Wish, Write
from state import attempts, clearance, deliveries, outbox, overview

P, B = Kind.PEOPLE, Kind.BOOKINGS
GEL, CUT = Wish({"title": "Gel"}, "m", "why"), Wish({"title": "Cut"}, "m", "why", people=("c1",))
WRITE = Write(B, Act.CREATE, None, {"title": "Gel"}, "m")


@pytest.fixture
def entity(tx) -> int:
    return put_record(tx, "b1", kind=B).id


ALL = ["r", "later"]


def want(tx, entity: int, wish: Wish = GEL, now: int = 10, route: str = "r", kind: Kind = B) -> int | None:
    return outbox.put(
        tx, route=route, connection="reviews", kind=kind, entity=entity, source=entity, wish=wish, now=now
    )


def the(tx, number: int | None = 1) -> outbox.Intent:
    found = outbox.get(tx, number or 0)
    assert found is not None
    return found


def state(tx) -> tuple[str, int]:
    return the(tx).state, the(tx).revision


class TestWanting:
    def test_one_open_intent_a_route_and_entity_and_the_newest_wins(self, tx, entity):
        assert want(tx, entity) == 1
        assert want(tx, entity, now=11) is None
        assert want(tx, entity, CUT, now=12) == 1
        assert (the(tx).wish, the(tx).revision, the(tx).due_at) == (CUT, 2, 12)
        assert want(tx, entity, route="other") == 2
        with pytest.raises(sqlite3.IntegrityError):
            tx.run(
                "INSERT INTO intent (route, connection, kind, entity, source, wish, state, due_at, created_at)"
                " SELECT route, connection, kind, entity, source, wish, 'parked', 1, 1 FROM intent WHERE id = 1"
            )

    def test_after_it_ended_a_new_one_begins(self, tx, entity):
        want(tx, entity)
        outbox.begin(tx, the(tx), WRITE, now=11)
        outbox.done(tx, the(tx), now=12)
        assert outbox.unfinished(tx, "r", B, entity) is None
        assert want(tx, entity, CUT) == 2
        assert [intent.id for intent in outbox.of_entity(tx, entity)] == [1, 2]
        assert [intent.id for intent in outbox.of_source(tx, entity)] == [1, 2]

    def test_people_are_due_before_their_bookings(self, tx, entity):
        want(tx, entity, now=5)
        want(tx, entity, kind=P, now=6)
        want(tx, entity, route="later", now=99)
        assert outbox.due(tx, "reviews", ALL, 10, 10) == [], "nothing was let through yet"
        clearance.clear(tx, [1, 2, 3])
        assert [intent.kind for intent in outbox.due(tx, "reviews", ALL, 10, 10)] == [P, B]
        assert len(outbox.due(tx, "reviews", ALL, 99, 2)) == 2
        assert outbox.due(tx, "other", ALL, 99, 2) == []
        assert (outbox.next_due(tx, "reviews", ALL), outbox.next_due(tx, "other", ALL)) == (5, None)

    def test_nothing_is_due_of_a_route_that_is_gone(self, tx, entity):
        want(tx, entity, now=5)
        want(tx, entity, route="later", now=7)
        clearance.clear(tx, [1, 2])
        assert [intent.route for intent in outbox.due(tx, "reviews", ["later"], 10, 10)] == ["later"]
        assert (outbox.next_due(tx, "reviews", ["later"]), outbox.next_due(tx, "reviews", [])) == (7, None)

    def test_want_nothing_any_more(self, tx, entity):
        want(tx, entity)
        outbox.drop(tx, route="r", kind=B, entity=entity, why="skipped", now=11)
        assert (the(tx).state, the(tx).problem, the(tx).ended_at) == ("done", "skipped", 11)
        assert deliveries.last(tx, "r", B, entity) is None

    def test_what_may_have_been_sent_is_not_dropped(self, tx, entity):
        want(tx, entity)
        outbox.begin(tx, the(tx), WRITE, now=11)
        outbox.drop(tx, route="r", kind=B, entity=entity, why="skipped", now=12)
        assert the(tx).state == "sending"
        outbox.later(tx, the(tx), due_at=20, problem="lost answer", doubt_since=11)
        outbox.drop(tx, route="r", kind=B, entity=entity, why="skipped", now=12)
        assert the(tx).state == "open"


class TestSending:
    def test_the_story_of_a_success(self, tx, entity):
        want(tx, entity)
        attempt = outbox.begin(tx, the(tx), WRITE, now=11)
        assert (the(tx).state, the(tx).attempts) == ("sending", 1)
        assert outbox.due(tx, "reviews", ALL, 99, 9) == []
        outbox.end_attempt(tx, attempt, outcome="done", now=12, target="t1")
        outbox.done(tx, the(tx), now=12)
        (row,) = attempts.of_intent(tx, 1)
        assert (row["outcome"], row["target"], row["act"], row["loud"]) == ("done", "t1", "create", 0)
        assert (the(tx).state, the(tx).ended_at) == ("done", 12)
        assert deliveries.last(tx, "r", B, entity).sent == {"title": "Gel"}

    def test_a_wish_that_comes_meanwhile_is_sent_afterwards(self, tx, entity):
        want(tx, entity)
        outbox.begin(tx, the(tx), WRITE, now=11)
        taken = the(tx)
        assert want(tx, entity, CUT, now=12) == 1
        assert state(tx) == ("sending", 2)
        outbox.done(tx, taken, now=13)
        assert (the(tx).state, the(tx).wish, the(tx).ended_at) == ("open", CUT, None)
        assert deliveries.last(tx, "r", B, entity).sent == {"title": "Gel"}

    @pytest.mark.parametrize("how", [outbox.park, outbox.wait])
    def test_a_wish_that_comes_meanwhile_is_neither_parked_nor_waiting(self, tx, entity, how):
        want(tx, entity)
        taken = the(tx)
        want(tx, entity, CUT)
        how(tx, taken, problem="the old one")
        assert the(tx).state == "open"

    def test_waiting_and_waking(self, tx, entity):
        want(tx, entity)
        outbox.wait(tx, the(tx), problem="nobody there")
        assert (the(tx).state, the(tx).problem) == ("waiting", "nobody there")
        outbox.wake(tx, the(tx), now=20)
        assert (the(tx).state, the(tx).due_at) == ("open", 20)

    def test_later_keeps_the_doubt_until_it_is_settled(self, tx, entity):
        want(tx, entity)
        outbox.later(tx, the(tx), due_at=20, problem="lost answer", doubt_since=11)
        outbox.later(tx, the(tx), due_at=30, problem="not reachable")
        assert (the(tx).doubt_since, the(tx).failures, the(tx).due_at) == (11, 2, 30)
        assert want(tx, entity, CUT, now=31) == 1
        assert (the(tx).doubt_since, the(tx).failures) == (11, 0)
        outbox.settle_doubt(tx, the(tx))
        assert the(tx).doubt_since is None

    def test_after_a_crash_the_outcome_is_unknown(self, tx, entity):
        want(tx, entity)
        want(tx, entity, route="idle")
        first = outbox.begin(tx, the(tx), WRITE, now=11)
        outbox.end_attempt(tx, first, outcome="later", now=12)
        outbox.later(tx, the(tx), due_at=13, problem="503")
        outbox.begin(tx, the(tx), WRITE, now=15)
        assert outbox.recover(tx, "other", now=20) == 0
        assert outbox.recover(tx, "reviews", now=20) == 1
        assert (the(tx).state, the(tx).doubt_since, the(tx).due_at) == ("open", 20, 20), (
            "it may have been sent until now"
        )
        assert [row["outcome"] for row in attempts.of_intent(tx, 1)] == ["later", "unknown"]
        assert the(tx, 2).doubt_since is None
        assert outbox.recover(tx, "reviews", now=21) == 0


class TestParked:
    def test_it_waits_for_a_human_or_a_newer_wish(self, tx, entity):
        want(tx, entity)
        outbox.park(tx, the(tx), problem="refused")
        assert [intent.problem for intent in outbox.in_state(tx, "parked")] == ["refused"]
        assert outbox.in_state(tx, "parked", "other") == []
        assert want(tx, entity) is None
        assert the(tx).state == "parked"
        assert want(tx, entity, CUT) == 1
        assert (the(tx).state, the(tx).problem) == ("open", None)

    def test_retry_and_dismiss(self, tx, entity):
        want(tx, entity)
        assert not outbox.retry(tx, 1, now=20)
        assert not outbox.dismiss(tx, 1, now=20)
        outbox.park(tx, the(tx), problem="refused")
        assert outbox.retry(tx, 1, now=20)
        assert (the(tx).state, the(tx).due_at) == ("open", 20)
        outbox.park(tx, the(tx), problem="refused")
        assert outbox.dismiss(tx, 1, now=21)
        assert (the(tx).state, the(tx).ended_at) == ("dismissed", 21)
        assert overview.intents(tx) == [{"route": "r", "connection": "reviews", "state": "dismissed", "n": 1}]

    def test_what_a_human_lets_go_on_is_counted_anew(self, tx, entity):
        def written(now):
            want(tx, entity, replace(GEL, why=f"{now}"), now=now)
            pending = outbox.unfinished(tx, "r", B, entity)
            outbox.end_attempt(tx, outbox.begin(tx, pending, WRITE, now=now), outcome="done", now=now)
            outbox.done(tx, pending, now=now)
            return repeats(pending)

        def repeats(intent, fields=WRITE.fields, since=0):
            return attempts.repeats(tx, intent, fields, since)

        assert [written(now) for now in (11, 12, 13)] == [1, 2, 3]
        assert (repeats(the(tx), {"title": "Cut"}), repeats(the(tx), since=12)) == (0, 1)
        parked = want(tx, entity, now=14)
        for now, decided, counted in ((20, False, 3), (21, True, 0)):
            outbox.park(tx, the(tx, parked), problem="again and again")
            assert outbox.retry(tx, parked, now=now, decided=decided)
            assert repeats(the(tx, parked)) == counted
        outbox.done(tx, the(tx, parked), now=22)
        assert [written(now) for now in (23, 24)] == [1, 2], "the next intent knows of it too"

    def test_the_wish_comes_back_as_it_was(self, tx, entity):
        loud = replace(CUT, loud=True, person={"email": "a@x.nz"})
        want(tx, entity, loud)
        assert the(tx).wish == loud

    def test_what_was_given_up_in_doubt_is_looked_for_before_it_is_made_anew(self, tx, entity):
        want(tx, entity)
        outbox.later(tx, the(tx), due_at=20, problem="no answer", doubt_since=15)
        outbox.park(tx, the(tx), problem="nobody can see it")
        assert outbox.dismiss(tx, 1, now=21)
        again = want(tx, entity, CUT, now=30)
        assert the(tx, again).doubt_since == 15
        assert the(tx, want(tx, entity, route="other")).doubt_since is None
        outbox.done(tx, the(tx, again), now=31)
        assert the(tx, want(tx, entity, now=40)).doubt_since is None
