from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.merge import Merge, merge
from mapping.model import Kind, Status
from mapping.record import Via

BOOKINGS, PEOPLE = Kind.BOOKINGS, Kind.PEOPLE


def poll(held, held_at, seen, seen_at, kind=BOOKINGS) -> Merge:
    return merge(kind, held, held_at, seen, seen_at, Via.POLL)


class TestPresence:
    def test_absent_stays_as_it_is(self):
        merged = poll({"title": "Gel", "notes": "door 3"}, 1, {"title": "Gel"}, 2)
        assert merged.fields == {"title": "Gel", "notes": "door 3"}
        assert (merged.changed, merged.asked_at) == (False, 2)

    def test_null_is_a_statement(self):
        merged = poll({"notes": "door 3"}, 1, {"notes": None}, 2)
        assert (merged.fields, merged.before, merged.added) == ({"notes": None}, {"notes": "door 3"}, ())

    def test_null_where_nothing_was_known_is_news(self):
        merged = poll({}, 1, {"notes": None}, 2)
        assert (merged.fields, merged.before, merged.added) == ({"notes": None}, {}, ("notes",))
        assert merged.changed

    def test_a_value_replaces_null(self):
        merged = poll({"notes": None}, 1, {"notes": "door 3"}, 2)
        assert (merged.fields, merged.before) == ({"notes": "door 3"}, {"notes": None})

    def test_what_was_held_is_not_touched(self):
        held = {"title": "Gel"}
        poll(held, 1, {"title": "Cut", "notes": "x"}, 2)
        assert held == {"title": "Gel"}


class TestStale:
    def test_it_overwrites_nothing_and_fills_what_was_unknown(self):
        merged = poll({"title": "new"}, 9, {"title": "old", "notes": "door 3"}, 5)
        assert merged.fields == {"title": "new", "notes": "door 3"}
        assert (merged.before, merged.added, merged.asked_at) == ({}, ("notes",), 9)

    def test_it_does_not_overwrite_null(self):
        assert not poll({"notes": None}, 9, {"notes": "old"}, 5).changed

    def test_at_the_same_millisecond_the_status_further_on_wins_both_ways(self):
        early, late = {"status": "confirmed", "title": "z"}, {"status": "completed", "title": "a"}
        assert poll(early, 5, late, 5).fields == late
        assert poll(late, 5, early, 5).fields == late


class TestSettled:
    @pytest.mark.parametrize("was", ["completed", "cancelled", "no_show"])
    @pytest.mark.parametrize("now", ["pending", "confirmed", "unknown"])
    def test_a_webhook_never_leads_back_and_a_poll_may(self, was, now):
        held = {"status": was, "status_word": "w", "completed_at": "x", "title": "Gel"}
        seen = {"status": now, "status_word": "v", "completed_at": None, "title": "Cut"}
        hint = merge(BOOKINGS, held, 1, seen, 2, Via.WEBHOOK)
        assert hint.suspicious
        assert hint.fields == {**held, "title": "Cut"}
        for via in (Via.POLL, Via.FETCH, Via.WRITE):
            asked = merge(BOOKINGS, held, 1, seen, 2, via)
            assert (asked.fields, asked.suspicious) == (seen, False)

    def test_a_stale_hint_is_merely_stale(self):
        hint = merge(BOOKINGS, {"status": "completed"}, 5, {"status": "confirmed"}, 2, Via.WEBHOOK)
        assert (hint.changed, hint.suspicious) == (False, False)

    @pytest.mark.parametrize("now", ["completed", "cancelled", "no_show"])
    def test_from_one_settled_status_to_another_a_webhook_may_lead(self, now):
        hint = merge(BOOKINGS, {"status": "completed"}, 1, {"status": now}, 2, Via.WEBHOOK)
        assert (hint.fields["status"], hint.suspicious) == (now, False)

    def test_forward_a_webhook_may_lead(self):
        assert merge(BOOKINGS, {"status": "pending"}, 1, {"status": "cancelled"}, 2, Via.WEBHOOK).changed


TITLES = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))
VIEWS = st.fixed_dictionaries(
    {"status": st.sampled_from([status.value for status in Status]), "title": TITLES, "notes": TITLES}
)


def converged(kind: Kind, sightings: list[tuple[int, dict]]) -> set[str]:
    ends = set()
    for order in permutations(sightings):
        (held_at, held), *rest = order
        for seen_at, seen in rest:
            merged = poll(held, held_at, seen, seen_at, kind)
            held, held_at = merged.fields, merged.asked_at
        ends.add(repr((held_at, sorted(held.items()))))
    return ends


class TestAnyOrder:
    @given(st.lists(st.tuples(st.integers(0, 3), VIEWS), min_size=2, max_size=4))
    def test_full_views_converge_even_at_the_same_millisecond(self, sightings):
        assert len(converged(BOOKINGS, sightings)) == 1

    @given(st.lists(st.fixed_dictionaries({"email": TITLES}), min_size=2, max_size=4))
    def test_so_do_people(self, views):
        assert len(converged(PEOPLE, list(enumerate(views)))) == 1

    @given(
        st.permutations(["title", "notes", "channel"]),
        st.lists(TITLES, min_size=3, max_size=3),
    )
    def test_views_of_different_fields_add_up(self, names, values):
        sightings = [(at, {name: value}) for at, (name, value) in enumerate(zip(names, values, strict=True))]
        assert len(converged(BOOKINGS, sightings)) == 1

    @given(VIEWS, VIEWS, st.integers(0, 9), st.integers(0, 9))
    def test_the_same_sighting_twice_is_as_good_as_once(self, held, seen, held_at, seen_at):
        once = poll(held, held_at, seen, seen_at)
        twice = poll(once.fields, once.asked_at, seen, seen_at)
        assert (twice.changed, twice.fields) == (False, once.fields)
