import json
from dataclasses import replace
from itertools import permutations

import pytest
from seen import booking, changes, held, listed, observe, person, poll

from mapping.model import Kind
from mapping.record import Rejected, Via
from state import journal, ledger, named, rejected

B, P = Kind.BOOKINGS, Kind.PEOPLE


class TestObserve:
    def test_new_ones_are_stored_and_told(self, tx):
        stored = observe(tx, booking("b1", 5, title="Gel"), booking("b2", 5))
        assert (stored.new, stored.changed) == (2, 0)
        record = held(tx, "b1")
        assert (record.fields, record.asked_at, record.entity) == ({"title": "Gel"}, 5, record.id)
        (row,) = journal.story(tx, record.id)
        assert (row["before"], row["added"], row["via"], row["at"]) == (None, None, "poll", 1000)

    @pytest.mark.parametrize("at", [4, 5, 6])
    def test_unchanged_ones_write_nothing(self, tx, connection, at):
        observe(tx, booking("b1", 5, title="Gel", notes=None))
        before = connection.total_changes
        stored = observe(tx, booking("b1", at, title="Gel", notes=None))
        partial = observe(tx, booking("b1", at, title="Gel"))
        assert connection.total_changes == before
        assert not stored.altered
        assert not partial.altered
        assert changes(tx) == 1

    def test_a_change_is_one_row_that_says_what_was(self, tx):
        observe(tx, booking("b1", 5, title="Gel", notes="x"))
        stored = observe(tx, booking("b1", 6, title="Cut", channel=None), intent=7)
        assert (stored.new, stored.changed) == (0, 1)
        row = journal.story(tx, held(tx, "b1").id)[1]
        assert json.loads(row["before"]) == {"title": "Gel"}
        assert json.loads(row["added"]) == ["channel"]
        assert row["intent"] == 7
        assert held(tx, "b1").fields == {"title": "Cut", "notes": "x", "channel": None}

    def test_what_was_put_together_is_known_again_by_its_fingerprint(self, tx):
        observe(tx, booking("b1", 5, notes="x"))
        observe(tx, booking("b1", 6, title="Gel"))
        whole = booking("b1", 7, title="Gel", notes="x")
        stamp = tx.value("SELECT fingerprint FROM record")
        assert stamp == ledger.fingerprint(tx.value("SELECT fields FROM record").encode())
        observe(tx, whole)
        observe(tx, booking("fresh", 7, title="Gel", notes="x"))
        assert tx.value("SELECT fingerprint FROM record WHERE ref = 'fresh'") == stamp

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    def test_any_order_of_arrival_ends_the_same(self, tx, order):
        views = [booking("b1", at, title=f"title {at}", notes=None) for at in (1, 2, 3)]
        for each in order:
            observe(tx, views[each])
        assert held(tx, "b1").fields == {"title": "title 3", "notes": None}
        assert held(tx, "b1").asked_at == 3

    def test_the_same_record_twice_in_a_page(self, tx):
        stored = observe(tx, *(booking("b1", 5, title=title) for title in ("a", "c", "b", "c")))
        assert (stored.new, stored.changed) == (1, 1)
        assert held(tx, "b1").fields == {"title": "c"}
        assert observe(tx, *(booking("b1", 6, title="c") for _ in range(3))).altered is False

    def test_streams_do_not_mix(self, tx):
        observe(tx, booking("1", 5, title="Gel"))
        observe(tx, person("1", 5, full_name="Ann"))
        observe(tx, booking("1", 5, title="Cut"), connection="other")
        assert held(tx, "1").fields == {"title": "Gel"}
        assert held(tx, "1", "other").fields == {"title": "Cut"}
        assert held(tx, "1", kind=P).fields == {"full_name": "Ann"}
        assert ledger.find(tx, "nobody", B, "1") is None

    def test_a_hint_that_leads_back_is_not_believed_and_counted(self, tx):
        observe(tx, booking("b1", 5, status="completed"))
        stored = observe(tx, booking("b1", 6, Via.WEBHOOK, status="confirmed"))
        assert (stored.suspicious, stored.altered) == (1, False)
        assert observe(tx, booking("b1", 7, status="confirmed")).changed == 1


class TestStalePages:
    def test_a_page_asked_for_before_a_webhook_does_not_undo_it(self, tx):
        observe(tx, booking("b1", 1, title="old"))
        observe(tx, booking("b1", 10, Via.WEBHOOK, title="new"))
        poll(tx, 8, booking("b1", 8, title="old"))
        assert held(tx, "b1").fields == {"title": "new"}
        assert changes(tx) == 2

    def test_neither_where_the_webhook_found_nothing_new(self, tx):
        observe(tx, booking("b1", 1, title="new"))
        observe(tx, booking("b1", 10, Via.WEBHOOK, title="new"))
        poll(tx, 8, booking("b1", 8, title="old"))
        assert held(tx, "b1").fields == {"title": "new"}

    @pytest.mark.parametrize("via", list(Via))
    def test_neither_where_the_newer_sighting_was_an_unchanged_page(self, tx, via):
        observe(tx, booking("b1", 1, title="new"))
        poll(tx, 10, booking("b1", 10, title="new"))
        assert held(tx, "b1").asked_at == 1
        observe(tx, booking("b1", 8, via, title="old"))
        assert held(tx, "b1").fields == {"title": "new"}
        observe(tx, booking("b1", 11, via, title="newest"))
        assert held(tx, "b1").fields == {"title": "newest"}


class TestKeys:
    def keys(self, tx) -> list[str]:
        return [row["key"] for row in tx.rows("SELECT key FROM identity_key ORDER BY key")]

    def test_they_follow_the_record(self, tx):
        observe(tx, person("c1", 1, full_name="Ann", email="Ann@x.nz", phone="021 123 4567"))
        assert self.keys(tx) == ["email:ann@x.nz", "phone:+64211234567"]
        observe(tx, person("c1", 2, email="ann@y.nz"))
        assert self.keys(tx) == ["email:ann@y.nz", "phone:+64211234567"]

    def test_what_is_gone_is_no_key_any_more(self, tx):
        observe(tx, person("c1", 1, full_name="Ann", email="ann@x.nz"))
        observe(tx, person("c1", 2, full_name="Ann", email=None))
        assert self.keys(tx) == []


class TestRejected:
    def row(self, ref: str = "b1", raw: bytes = b"{}") -> Rejected:
        return Rejected(B, ref, "no start", raw)

    def parked(self, tx) -> list[str]:
        return [row["ref"] for row in tx.rows("SELECT ref FROM rejected WHERE dismissed = 0 ORDER BY ref")]

    def test_parked_once_and_again_when_it_changes(self, tx, connection):
        assert rejected.reject(tx, "salon", [self.row(), self.row("b2", b"\xff")], now=1) == 2
        before = connection.total_changes
        assert rejected.reject(tx, "salon", [self.row()], now=2) == 0
        assert connection.total_changes == before
        tx.run("UPDATE rejected SET dismissed = 1")
        assert rejected.reject(tx, "salon", [self.row()], now=2) == 0
        assert self.parked(tx) == []
        assert rejected.reject(tx, "salon", [self.row(raw=b"{1}")], now=3) == 1
        assert self.parked(tx) == ["b1"]

    def test_what_is_understood_is_no_longer_parked(self, tx):
        rejected.reject(tx, "salon", [self.row(), self.row("b2")], now=1)
        rejected.understood(tx, "other", B, ["b1"])
        rejected.understood(tx, "salon", P, ["b1"])
        assert self.parked(tx) == ["b1", "b2"]
        rejected.understood(tx, "salon", B, ["b1", "b9"])
        assert self.parked(tx) == ["b2"]


class TestMissing:
    def test_counting(self, tx):
        observe(tx, booking("b1", 1))
        assert ledger.note_missing(tx, held(tx, "b1"), 5) == (1, 5)
        assert ledger.note_missing(tx, held(tx, "b1"), 9) == (2, 5)
        observe(tx, booking("b1", 10))
        assert (held(tx, "b1").missing, held(tx, "b1").missing_since) == (0, None)
        assert ledger.note_missing(tx, held(tx, "b1"), 12) == (1, 12)
        assert changes(tx) == 1

    def test_what_is_concluded_from_a_list_gives_way_to_an_older_webhook_that_comes_late(self, tx):
        observe(tx, booking("b1", 5, status="confirmed"))
        observe(tx, booking("b1", 9, status="cancelled", via=Via.ABSENCE))
        assert (held(tx, "b1").fields["status"], held(tx, "b1").asked_at) == ("cancelled", 5)
        observe(tx, booking("b1", 7, status="completed", via=Via.WEBHOOK))
        assert held(tx, "b1").fields["status"] == "completed"

    def test_a_change_ends_it_too(self, tx):
        observe(tx, booking("b1", 1))
        ledger.note_missing(tx, held(tx, "b1"), 1)
        observe(tx, booking("b1", 2, title="Gel"))
        assert held(tx, "b1").missing == 0


class TestJournal:
    def test_what_a_record_of_ours_shows_for_the_first_time_was_changed_by_nobody(self, tx):
        observe(tx, booking("b1", 1, via=Via.WRITE, status="confirmed"), intent=7, now=10)
        observe(tx, booking("b1", 2, title="Gel"), now=20)
        assert journal.last_changed(tx, held(tx, "b1"), "title") is None
        observe(tx, booking("b1", 3, title="Shellac"), now=30)
        assert journal.last_changed(tx, held(tx, "b1"), "title").at == 30

    def test_changes_are_read_in_order_each_record_once(self, tx):
        observe(tx, booking("b1", 1), booking("b2", 1))
        observe(tx, person("c1", 1))
        observe(tx, booking("b1", 2, title="Gel"))
        end = journal.end(tx)
        assert end == 4
        first = [row["ref"] for row in tx.rows("SELECT ref FROM record ORDER BY id")]
        assert first == ["b1", "b2", "c1"]
        assert [row["seq"] for row in journal.story(tx, held(tx, "b1").id)] == [1, 4]

    def test_an_empty_one_ends_at_nothing(self, tx):
        assert journal.end(tx) == 0

    def test_a_record_that_is_not_there(self, tx):
        with pytest.raises(LookupError):
            ledger.get(tx, 99)


class TestUnchanged:
    """A row that a listing shows again, byte for byte, need not be understood again."""

    def shown(self, tx, *seen):
        return ledger.unchanged(tx, "salon", B, listed(seen).rows)

    def row(self, at=5, digest=b"d1", ref="b1", **fields):
        return replace(booking(ref, at, **fields), digest=digest)

    def test_the_same_row_is_known_and_another_is_not(self, tx):
        observe(tx, self.row(title="Gel"))
        assert self.shown(tx, self.row()) == {"b1"}
        assert self.shown(tx, self.row(digest=b"d2")) == set()
        assert self.shown(tx, self.row(ref="b2")) == set()

    def test_shown_in_two_versions_each_counts(self, tx):
        observe(tx, self.row(title="Gel"))
        assert self.shown(tx, self.row(), self.row()) == {"b1"}
        assert self.shown(tx, self.row(digest=b"d2"), self.row()) == set()
        assert self.shown(tx, self.row(), self.row(digest=b"d2")) == set()

    def test_a_record_that_something_else_altered_is_weighed_again(self, tx):
        observe(tx, self.row(status="confirmed"))
        observe(tx, booking("b1", 6, Via.WEBHOOK, status="cancelled"))
        assert self.shown(tx, self.row(7)) == set()
        observe(tx, self.row(7, status="confirmed"))
        assert held(tx, "b1").fields["status"] == "confirmed"

    def test_a_stale_row_that_lost_is_weighed_again_when_a_later_list_shows_it(self, tx):
        observe(tx, booking("b1", 6, Via.WEBHOOK, status="cancelled"))
        observe(tx, self.row(5, status="confirmed"))
        assert held(tx, "b1").fields["status"] == "cancelled"
        assert self.shown(tx, self.row(7)) == set()

    def test_a_missing_record_is_seen_again(self, tx):
        observe(tx, self.row(title="Gel"))
        ledger.note_missing(tx, held(tx, "b1"), 6)
        assert self.shown(tx, self.row()) == set()
        observe(tx, self.row(6, title="Gel"))
        assert held(tx, "b1").missing == 0
        assert self.shown(tx, self.row()) == {"b1"}

    def test_other_bytes_of_the_same_content_are_known_from_then_on(self, tx):
        observe(tx, self.row(title="Gel"))
        assert not observe(tx, self.row(digest=b"d2", title="Gel")).altered
        assert self.shown(tx, self.row(digest=b"d2")) == {"b1"}


def test_who_stands_inside_a_booking_is_stored_too(tx):
    guest = person("p1", 5, full_name="Ann")
    inside = replace(booking("b1", 5, people=["p1"]), embedded=(guest,))
    stored = observe(tx, inside)
    assert stored.new == 2
    assert held(tx, "p1", kind=P).fields == {"full_name": "Ann"}
    assert not observe(tx, inside).altered


class TestNamed:
    """Which bookings are for whom."""

    def of(self, tx, *people):
        return [record.ref for record in named.bookings(tx, "salon", people)]

    def test_before_and_after_they_were_taken_in(self, tx):
        observe(
            tx, booking("b1", 1, people=["ann"]), booking("b2", 1, people=["bob", "ann"]), booking("b3", 1)
        )
        assert self.of(tx, "ann") == ["b1", "b2"]
        named.catch_up(tx, "salon")
        assert (self.of(tx, "ann"), self.of(tx, "bob", "carol")) == (["b1", "b2"], ["b2"])

    def test_what_is_for_somebody_else_by_now(self, tx):
        observe(tx, booking("b1", 1, people=["ann"]))
        named.catch_up(tx, "salon")
        observe(tx, booking("b1", 2, people=["bob"]))
        assert (self.of(tx, "ann"), self.of(tx, "bob")) == ([], ["b1"])
        named.catch_up(tx, "salon")
        assert (self.of(tx, "ann"), self.of(tx, "bob")) == ([], ["b1"])
        observe(tx, booking("b1", 3, people=["ann"]))
        assert self.of(tx, "ann") == ["b1"]

    def test_another_connection_has_people_of_its_own(self, tx):
        observe(tx, booking("b1", 1, people=["ann"]), connection="reviews")
        assert self.of(tx, "ann") == []
