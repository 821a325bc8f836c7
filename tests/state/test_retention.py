"""Forgetting: what is old goes, and every question that a decision asks has the same answer as before."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.model import Booking, Kind, Status
from mapping.record import Observation, Record, Via
from mapping.wish import Wish
from state import attempts, deliveries, inbox, journal, ledger, outbox, retention
from state.retention import Change, fold

HOUR = 3_600_000
FIELDS = ("notes", "starts", "status", "title")
ROUTES = (None, "there", "back")


def webhook(tx, number, at, state="done", connection="salon"):
    inbox.store(tx, [inbox.Arrival(connection, b"%d" % number, at, '{"x": 1}', b"body %d" % number)])
    made = tx.value("SELECT max(id) FROM inbox")
    if state != "new":
        inbox.finish(tx, made, state=state)
    return made


def all_of(step, tx, **named):
    after = 0
    while after is not None:
        after = step(tx, after, **named)


class TestWebhooks:
    def forget(self, tx, since, **again_since):
        all_of(retention.webhooks, tx, since=since, again_since=again_since)
        return {row["id"]: row for row in tx.rows("SELECT id, state, body, headers FROM inbox")}

    def test_the_content_goes_first_and_all_of_it_when_the_platform_delivers_it_no_more(self, tx):
        old, _, new = (webhook(tx, n, at) for n, at in enumerate((5 * HOUR, HOUR, 10 * HOUR)))
        kept = self.forget(tx, 6 * HOUR, salon=2 * HOUR)
        assert set(kept) == {old, new}
        assert (kept[old]["body"], kept[old]["headers"]) == (b"", "{}")
        assert kept[new]["body"] == b"body 2"

    @pytest.mark.parametrize("state", ["new", "parked"])
    def test_what_was_not_read_stays_as_it_is(self, tx, state):
        made = webhook(tx, 1, 0, state)
        assert self.forget(tx, HOUR, salon=HOUR)[made]["body"] == b"body 1"

    def test_the_same_one_again_is_still_known_without_its_content(self, tx):
        webhook(tx, 1, 0)
        self.forget(tx, HOUR)
        assert inbox.store(tx, [inbox.Arrival("salon", b"1", 2 * HOUR, "{}", b"body 1")]) == [False]

    def test_a_hint_that_comes_again_brings_its_content_again(self, tx):
        made = webhook(tx, 1, 0)
        self.forget(tx, HOUR)
        assert inbox.store(tx, [inbox.Arrival("salon", b"1", 2 * HOUR, "{}", b"body 1", again=True)]) == [
            True
        ]
        (due,) = inbox.due(tx, "salon", 3 * HOUR, 10)
        assert (due.id, due.body) == (made, b"body 1")

    def test_many_are_forgotten_in_steps(self, tx, monkeypatch):
        monkeypatch.setattr(retention, "_WEBHOOKS", 7)
        for number in range(30):
            webhook(tx, number, number, "parked" if number % 3 == 0 else "done")
        assert len(self.forget(tx, 20, salon=20)) == 10 + 7


class TestWrites:
    def want(self, tx, entity, at):
        record = tx.value("SELECT id FROM record WHERE id = :e", e=entity)
        if record is None:
            seen = Observation(Kind.BOOKINGS, f"b{entity}", Booking(title="x"), b"{}", at, Via.POLL)
            ledger.observe(tx, "salon", Kind.BOOKINGS, [seen], now=at)
        wish = Wish(fields={"title": str(at)}, mark="m", why="w")
        number = outbox.put(
            tx, route="r", connection="c", kind=Kind.BOOKINGS, entity=entity, source=entity, wish=wish, now=at
        )
        return outbox.get(tx, number)

    def send(self, tx, intent, at, outcome):
        made = tx.value(
            "INSERT INTO attempt (intent, started_at, position, ended_at, act, loud, fields, outcome)"
            " VALUES (:i, :at, 0, :at, 'create', 0, '{}', :o) RETURNING id",
            i=intent.id,
            at=at,
            o=outcome,
        )
        return int(made)

    def forget(self, tx, since, now):
        all_of(retention.writes, tx, since=since, now=now)
        return [row["id"] for row in tx.rows("SELECT id FROM intent")], [
            row["id"] for row in tx.rows("SELECT id FROM attempt")
        ]

    def test_what_ended_long_ago_goes_with_its_attempts_but_what_was_delivered_stays(self, tx):
        old, new = self.want(tx, 1, 0), self.want(tx, 2, 0)
        for intent, at in ((old, HOUR), (new, 40 * HOUR)):
            self.send(tx, intent, at, "done")
            outbox.done(tx, intent, now=at)
        assert self.forget(tx, 30 * HOUR, 60 * HOUR) == ([new.id], [2])
        assert deliveries.last(tx, "r", Kind.BOOKINGS, 1).sent == {"title": "0"}

    def test_a_day_is_kept_whatever_is_asked_for_since_a_ping_pong_is_counted_over_a_day(self, tx):
        intent = self.want(tx, 1, 0)
        for at in (40 * HOUR, 41 * HOUR, 42 * HOUR):
            self.send(tx, intent, at, "done")
        outbox.done(tx, intent, now=42 * HOUR)
        self.forget(tx, 59 * HOUR, 60 * HOUR)
        assert attempts.repeats(tx, intent, {}, 36 * HOUR) == 3

    def test_what_was_given_up_in_doubt_is_still_looked_for_before_it_is_made_anew(self, tx):
        intent = self.want(tx, 1, 0)
        self.send(tx, intent, 0, "unknown")
        outbox.later(tx, intent, due_at=0, problem="?", doubt_since=5)
        outbox.park(tx, intent, problem="?")
        assert outbox.dismiss(tx, intent.id, now=6)
        self.forget(tx, 90 * HOUR, 100 * HOUR)
        assert self.want(tx, 1, 100 * HOUR).doubt_since == 5

    def test_of_a_write_that_goes_on_only_calls_that_did_nothing_go(self, tx):
        intent = self.want(tx, 1, 0)
        sent = [
            self.send(tx, intent, n, how)
            for n, how in enumerate(("unknown", "later", "done", "later", "later"))
        ]
        assert self.forget(tx, 90 * HOUR, 100 * HOUR) == ([intent.id], [sent[0], sent[2], sent[4]])


def answers(tx, record, moments, end):
    """All that decisions ask the journal about a record."""
    held = ledger.get(tx, record)
    return {
        "first": (journal.first_seen(tx, record), journal.made_by_us(tx, record)),
        "last": (journal.last_change(tx, record), journal.last_writer(tx, record)),
        "as_of": [journal.as_of(tx, held, at) for at in (0, *moments, end)],
        "changed": [
            journal.last_changed(tx, held, name, but)
            for name in FIELDS
            for but in ((), ("there",), ("there", "back"))
        ],
        "status": [journal.status_known_at(tx, record, position) for position in range(30)],
        "known": [journal.known_at(tx, record, position) for position in range(30)],
        "after": [
            [each.id for each in journal.changed_after(tx, "salon", [Kind.BOOKINGS], position, 100)[0]]
            for position in range(30)
        ],
        "end": journal.end(tx),
    }


CHANGES = st.lists(
    st.tuples(st.sets(st.sampled_from(FIELDS), min_size=1), st.sampled_from(ROUTES)), min_size=2, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(CHANGES, st.lists(st.integers(1, 13), max_size=3), st.integers(1, 14))
def test_a_folded_history_gives_every_answer_that_it_gave_before(changes, moments, since):
    from sqlite_utils import Database as Tables

    from state.database import Tx
    from state.migrations import migrate

    tables = Tables(memory=True)
    migrate(tables, None)
    tx = Tx(tables.conn)
    first = Booking(title="0", starts="2026-11-01T00:00:00Z", status=Status.PENDING)
    ledger.observe(
        tx, "salon", Kind.BOOKINGS, [Observation(Kind.BOOKINGS, "b", first, b"{}", 0, Via.POLL)], now=0
    )
    record = tx.value("SELECT id FROM record")
    for number, (names, route) in enumerate(changes, start=1):
        tx.run(
            "INSERT INTO journal (stream, record, at, via, before, added, route) VALUES (1, :r, :at, 'poll', :b, :a, :route)",
            r=record,
            at=number,
            b=json.dumps({name: f"{name}{number}" for name in names if number > 1}),
            a=json.dumps(sorted(names) if number == 1 else []),
            route=route,
        )
    for moment in moments:
        tx.run(
            "INSERT INTO delivery (route, kind, entity, sent, position) VALUES (:n, 'bookings', :r, '{}', :p)",
            n=f"r{moment}-{tx.value('SELECT count(*) FROM delivery')}",
            r=record,
            p=moment,
        )
    before = answers(tx, record, moments, 20)
    count = journal.story(tx, record)
    all_of(retention.histories, tx, since=since)
    assert answers(tx, record, moments, 20) == before
    assert len(journal.story(tx, record)) <= len(count)
    if not moments and since > len(changes) and {route for _, route in changes} == {None}:
        assert len(journal.story(tx, record)) <= 2 + len(FIELDS)
    tables.conn.close()


def test_a_long_history_of_the_same_fields_becomes_short():
    history = [
        Change(0, 0, None),
        *(Change(n, n, None, {"notes": str(n), "starts": str(n)}) for n in range(1, 500)),
    ]
    fold(history, [250], since=400)
    told = [change for change in history[1:] if change.names()]
    assert [change.seq for change in told] == [250, *range(400, 500)]
    assert told[0].before == {"notes": "1", "starts": "1"}, "what it was like at first is still known"


def test_a_record_is_what_it_was(tx):
    for at in range(1, 200):
        seen = Observation(Kind.BOOKINGS, "b", Booking(notes=str(at)), b"{}", at, Via.POLL)
        ledger.observe(tx, "salon", Kind.BOOKINGS, [seen], now=at)
    held: Record = ledger.find(tx, "salon", Kind.BOOKINGS, "b")
    all_of(retention.histories, tx, since=1000)
    assert len(journal.story(tx, held.id)) == 2
    assert journal.as_of(tx, held, 0)["notes"] == "1"
    assert (journal.first_seen(tx, held.id), journal.last_changed(tx, held, "notes").at) == (1, 199)
