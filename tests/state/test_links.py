from dataclasses import replace

from seen import held, put

from mapping.capability import Act
from mapping.model import Kind
from mapping.wish import Wish, Write
from state import attempts, ledger, links, outbox

P = Kind.PEOPLE


def pair(tx):
    return put(tx, "c1"), put(tx, "p1", "reviews")


def now_of(tx, *records):
    return [ledger.get(tx, record.id) for record in records]


def entities(tx, *records) -> list[int]:
    return [record.entity for record in now_of(tx, *records)]


def want(tx, entity: int, route: str = "r") -> int:
    made = outbox.put(
        tx,
        route=route,
        connection="reviews",
        kind=P,
        entity=entity,
        source=entity,
        wish=Wish({}, "m", ""),
        now=1,
    )
    assert made is not None
    return made


def sent(tx, intent: int) -> int:
    return outbox.begin(tx, outbox.get(tx, intent), Write(P, Act.CREATE, None, {}, "m", held={}), now=2)


class TestJoin:
    def test_the_target_stands_for_the_sources_entity(self, tx):
        source, target = pair(tx)
        links.join(tx, source, target, "mark", now=5)
        assert entities(tx, source, target) == [source.id, source.id]
        found = ledger.of_entity(tx, source.id, "reviews", P)
        assert found is not None
        assert found.ref == "p1"
        (row,) = links.of_record(tx, held(tx, "p1", "reviews", P))
        assert (row["record"], row["entity"], row["how"], row["undone_at"]) == (
            target.id,
            source.id,
            "mark",
            None,
        )

    def test_twice_is_as_good_as_once(self, tx):
        source, target = pair(tx)
        links.join(tx, source, target, "mark", now=5)
        links.join(tx, *now_of(tx, source, target), "mark", now=6)
        assert len(links.of_record(tx, source)) == 1

    def test_whole_families_are_joined_and_take_their_writes_along(self, tx):
        source, target = pair(tx)
        third = put(tx, "x1", "other")
        links.join(tx, target, third, "match", now=1)
        intent = want(tx, target.id)
        links.join(tx, *now_of(tx, source, target), "explicit", now=2)
        assert entities(tx, source, target, third) == [source.id] * 3
        moved = outbox.get(tx, intent)
        assert moved is not None
        assert moved.entity == source.id


class TestUndo:
    def test_a_record_stands_for_itself_again_and_the_pair_is_remembered(self, tx):
        source, target = pair(tx)
        links.join(tx, source, target, "match", now=5)
        assert not links.undone(tx, *now_of(tx, source, target))
        assert links.undo(tx, ledger.get(tx, target.id), now=6)
        assert entities(tx, source, target) == [source.id, target.id]
        assert links.undone(tx, *now_of(tx, source, target))
        assert links.undone(tx, *now_of(tx, target, source))

    def test_one_that_stands_for_itself_has_nothing_to_undo(self, tx):
        source, _ = pair(tx)
        assert not links.undo(tx, source, now=6)

    def test_of_the_root_leaves_the_others_together(self, tx):
        source, target = pair(tx)
        third, stranger = put(tx, "x1", "other"), put(tx, "z1", "other")
        links.join(tx, source, target, "match", now=1)
        links.join(tx, *now_of(tx, source, third), "match", now=2)
        assert links.undo(tx, ledger.get(tx, source.id), now=3)
        assert entities(tx, source, target, third, stranger) == [source.id, target.id, target.id, stranger.id]
        assert links.undone(tx, *now_of(tx, source, target))
        assert links.undone(tx, *now_of(tx, source, third))
        assert not links.undone(tx, *now_of(tx, target, third))
        assert not links.undone(tx, *now_of(tx, source, stranger))

    def test_a_link_that_a_human_makes_afterwards_holds(self, tx):
        source, target = pair(tx)
        links.join(tx, source, target, "match", now=1)
        links.undo(tx, ledger.get(tx, target.id), now=2)
        links.join(tx, *now_of(tx, source, target), "explicit", now=3)
        assert entities(tx, source, target) == [source.id, source.id]


class TestCandidates:
    def test_by_key_on_one_connection(self, tx):
        put(tx, "c1", full_name="Ann", email="a@x.nz")
        put(tx, "p1", "reviews", full_name="Ann", email="A@x.nz", phone="021 123 4567")
        put(tx, "p2", "reviews", full_name="Bob", email="b@x.nz")
        ((record, keys),) = links.candidates(tx, "reviews", P, ["email:a@x.nz", "phone:+64211234567"])
        assert (record.ref, keys) == ("p1", {"email:a@x.nz", "phone:+64211234567"})
        assert links.candidates(tx, "reviews", P, []) == []

    def test_a_key_under_two_names_is_shared(self, tx):
        put(tx, "c1", full_name="Ann", email="a@x.nz")
        put(tx, "p1", "reviews", full_name="ANN ", email="a@x.nz")
        put(tx, "p2", "reviews", email="a@x.nz")
        keys = ["email:a@x.nz", "mark:bookferry-x"]
        assert links.shared(tx, keys) == frozenset()
        put(tx, "p3", "reviews", full_name="Bob", email="a@x.nz")
        assert links.shared(tx, keys) == {"email:a@x.nz"}

    def test_a_stale_view_of_a_record_is_still_the_record(self, tx):
        source, target = pair(tx)
        links.join(tx, replace(source, fields={}), target, "match", now=1)
        assert entities(tx, target) == [source.id]


class TestWantedForBoth:
    """What a route still wants for two entities that turn out to be one."""

    def test_one_is_left(self, tx):
        source, target = pair(tx)
        first, second = want(tx, source.id), want(tx, target.id)
        links.join(tx, source, target, "match", now=5)
        kept, left = outbox.get(tx, first), outbox.get(tx, second)
        assert (kept.state, kept.entity) == ("open", source.id)
        assert (left.state, left.problem, left.ended_at) == ("done", f"write {first} is for the same one", 5)

    def test_the_one_that_may_have_been_sent_with_the_attempts_of_both(self, tx):
        source, target = pair(tx)
        first, second = want(tx, source.id), want(tx, target.id)
        outbox.end_attempt(tx, sent(tx, first), outcome="later", now=3)
        outbox.later(tx, outbox.get(tx, first), due_at=3, problem="")
        outbox.end_attempt(tx, sent(tx, second), outcome="unknown", now=4)
        outbox.later(tx, outbox.get(tx, second), due_at=4, problem="", doubt_since=4)
        links.join(tx, source, target, "match", now=5)
        kept = outbox.unfinished(tx, "r", P, source.id)
        assert (kept.id, kept.doubt_since, kept.attempts) == (second, 4, 2)
        assert [row["outcome"] for row in attempts.of_intent(tx, second)] == ["later", "unknown"]

    def test_a_doubt_goes_over_to_the_one_that_is_being_sent(self, tx):
        source, target = pair(tx)
        first, second = want(tx, source.id), want(tx, target.id)
        outbox.later(tx, outbox.get(tx, second), due_at=4, problem="", doubt_since=4, missed_at=4)
        sent(tx, first)
        links.join(tx, source, target, "match", now=5)
        kept = outbox.unfinished(tx, "r", P, source.id)
        assert (kept.id, kept.doubt_since, kept.missed_at) == (first, 4, None)

    def test_two_calls_under_way_both_get_their_answer(self, tx):
        source, target = pair(tx)
        first, second = want(tx, source.id), want(tx, target.id)
        sent(tx, first), sent(tx, second)
        links.join(tx, source, target, "match", now=5)
        outbox.later(tx, outbox.get(tx, second), due_at=6, problem="")
        assert links.follow(tx, second, now=7).state == "done"
        assert links.follow(tx, first, now=7).state == "sending"

    def test_what_comes_late_for_the_other_one_opens_nothing(self, tx):
        source, target = pair(tx)
        want(tx, source.id)
        late = outbox.get(tx, want(tx, target.id))
        links.join(tx, source, target, "match", now=5)
        outbox.later(tx, late, due_at=6, problem="")
        outbox.park(tx, late, problem="")
        outbox.wait(tx, late, problem="")
        assert outbox.get(tx, late.id).state == "done"

    def test_one_whose_source_was_parted_goes_with_it(self, tx):
        source, target = pair(tx)
        links.join(tx, source, target, "match", now=5)
        mine = want(tx, source.id)
        outbox.done(tx, outbox.get(tx, mine), now=6)
        theirs = outbox.put(
            tx, route="r", connection="reviews", kind=P, entity=source.id, source=target.id, wish=Wish({}, "m", ""), now=6
        )  # fmt: skip
        links.undo(tx, ledger.get(tx, target.id), now=7)
        assert links.follow(tx, theirs, now=8).entity == target.id
        assert outbox.get(tx, mine).entity == source.id
