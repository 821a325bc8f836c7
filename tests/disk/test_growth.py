"""Seventy-two simulated hours of a busy connection: the file stops growing, and no decision is another one for it."""

import json
import random
from datetime import UTC, datetime

import pytest
from sqlite_utils import Database as Tables

from mapping.model import Booking, Kind, Status
from mapping.record import Observation, Via
from mapping.wish import Act, Wish, Write
from state import cursors, deliveries, inbox, journal, ledger, links, outbox, retention
from state.database import Tx, connect
from state.migrations import migrate

HOUR = 3_600_000
KEEP = 6 * HOUR
AGAIN = {"salon": 24 * HOUR, "reviews": 0}
"""For so long the platforms deliver the same webhook again; a mere hint does not matter."""
LEFT_BY_ONE = 5_000
"""Bytes that a new booking and its copy at the target leave for ever."""
START = 1_790_000_000_000
ROUTE, BACK = "there", "back"


class Life:
    """A store and the hours that pass over it: people edit at both sides, webhooks tell, writes are carried."""

    def __init__(self, path, *, forgets, edits):
        self.connection = connect(path)
        migrate(Tables(self.connection), path)
        self.connection.execute("PRAGMA synchronous=OFF")
        self.edits = edits
        self.tx, self.forgets, self.draw = Tx(self.connection), forgets, random.Random(1)
        self.now, self.made, self.told = START, 0, []
        cursors.arm(self.tx, ROUTE, now=self.now, since=None)
        cursors.arm(self.tx, BACK, now=self.now, since=None)
        for _ in range(40):
            self.book()

    def size(self):
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.tx.value("PRAGMA page_count") * self.tx.value("PRAGMA page_size")

    def seen(self, side, ref, fields, via, at):
        raw = json.dumps({"ref": ref, "padding": "x" * 300} | fields).encode()
        return Observation(Kind.BOOKINGS, ref, Booking(**fields), raw, at, via)

    def book(self):
        self.made += 1
        self.change(
            f"b{self.made}",
            {"title": "Gel manicure", "starts": self.start(), "notes": "new", "status": Status.CONFIRMED},
        )

    def start(self):
        return datetime.fromtimestamp(self.now / 1000 + self.draw.randrange(10**6), UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )

    def change(self, ref, fields):
        """Somebody at the source changes something: a webhook tells, the route carries it, the target echoes."""
        self.now += 1000
        tx, at = self.tx, self.now
        body = json.dumps({"ref": ref, "at": at, "padding": "y" * 600} | fields).encode()
        self.told.append((at, ref, fields, body))
        self.deliver("salon", ref, fields, body, at)
        source = ledger.find(tx, "salon", Kind.BOOKINGS, ref)
        wish = Wish(
            fields={name: source.fields[name] for name in ("title", "starts", "notes")}, mark=ref, why="w"
        )
        number = outbox.put(
            tx, route=ROUTE, connection="reviews", kind=Kind.BOOKINGS, entity=source.entity, source=source.id,
            wish=wish, now=at,
        )  # fmt: skip
        if number is None:
            return
        intent = outbox.get(tx, number)
        held = ledger.of_entity(tx, source.entity, "reviews", Kind.BOOKINGS)
        act = Act.UPDATE if held else Act.CREATE
        attempt = outbox.begin(
            tx, intent, Write(Kind.BOOKINGS, act, held and held.ref, wish.fields, ref, held={}), now=at
        )
        answer = self.seen("reviews", f"t{ref}", wish.fields, Via.WRITE, at + 1)
        ledger.observe(tx, "reviews", Kind.BOOKINGS, [answer], now=at + 1, intent=number)
        target = ledger.find(tx, "reviews", Kind.BOOKINGS, f"t{ref}")
        links.join(tx, source, target, "written", now=at + 1)
        outbox.end_attempt(tx, attempt, outcome="done", now=at + 1, target=target.ref)
        outbox.done(tx, intent, now=at + 1, shown=target.fields)
        before = journal.end(tx)
        self.deliver("reviews", target.ref, wish.fields, b"echo " + body, at + 2)
        assert journal.end(tx) == before, "our own echo is nothing new"

    def edit(self, ref, fields):
        """Somebody at the target changes something."""
        self.now += 1000
        self.deliver(
            "reviews", f"t{ref}", fields, json.dumps({"at": self.now, **fields}).encode() * 8, self.now
        )

    def deliver(self, side, ref, fields, body, at):
        """A webhook comes, is stored, and read; gives whether it was new."""
        tx = self.tx
        if inbox.store(tx, [inbox.Arrival(side, inbox.digest(body), self.now, '{"x-event": "y"}', body)]) != [
            True
        ]:
            return False
        (due,) = inbox.due(tx, side, self.now, 10)
        ledger.observe(tx, side, Kind.BOOKINGS, [self.seen(side, ref, fields, Via.WEBHOOK, at)], now=self.now)
        inbox.finish(tx, due.id, state="done", event="e", kind="bookings", ref=ref)
        return True

    def hour(self):
        self.connection.execute("BEGIN")
        end = self.now + HOUR
        for _ in range(self.edits):
            ref, name = f"b{self.draw.randint(1, self.made)}", self.draw.choice(["notes", "title", "starts"])
            value = self.start() if name == "starts" else f"{name} {self.draw.randrange(10**6)} " + "z" * 60
            (self.change if self.draw.random() < 0.8 else self.edit)(ref, {name: value})
        self.book()
        for route, kind in ((ROUTE, "salon"), (BACK, "reviews")):
            _, position = journal.changed_after(
                self.tx, kind, [Kind.BOOKINGS], cursors.route(self.tx, route).position, 10**6
            )
            cursors.move_route(self.tx, route, position)
        self.connection.execute("COMMIT")
        self.now = end
        if self.forgets:
            self.forget()

    def forget(self):
        again = {name: self.now - ms for name, ms in AGAIN.items()}
        steps = (
            (retention.webhooks, {"since": self.now - KEEP, "again_since": again}),
            (retention.writes, {"since": self.now - KEEP, "now": self.now}),
            (retention.histories, {"since": self.now - KEEP}),
        )
        for step, named in steps:
            place = 0
            while place is not None:
                self.connection.execute("BEGIN")
                place = step(self.tx, place, **named)
                self.connection.execute("COMMIT")

    def decisions(self):
        """What every decision about every record looks at."""
        tx, found = self.tx, {}
        for number in range(1, self.made + 1):
            for side, ref in (("salon", f"b{number}"), ("reviews", f"tb{number}")):
                record = ledger.find(tx, side, Kind.BOOKINGS, ref)
                made = deliveries.last(tx, ROUTE, Kind.BOOKINGS, record.entity)
                linked = links.joined_at(tx, record.entity)
                found[ref] = (
                    record.fields,
                    made,
                    linked,
                    [journal.as_of(tx, record, at) for at in (0, made.position, linked)],
                    [journal.last_changed(tx, record, name, (ROUTE, BACK)) for name in record.fields],
                    (journal.first_seen(tx, record.id), journal.made_by_us(tx, record.id)),
                    (journal.last_change(tx, record.id), journal.last_writer(tx, record.id)),
                    journal.status_known_at(tx, record.id, journal.last_change(tx, record.id)),
                )
        return found


def lived(folder, hours, edits=20):
    lives = [
        Life(folder / f"{name}.db", forgets=name == "forgets", edits=edits)
        for name in ("forgets", "remembers")
    ]
    sizes = [[], []]
    for _ in range(hours):
        for life, grown in zip(lives, sizes, strict=True):
            life.hour()
            grown.append(life.size())
    return lives, sizes


def judged(lives, sizes, hours):
    forgets, remembers = lives
    half = hours // 2 - 1
    stays = LEFT_BY_ONE * (hours - half)
    assert sizes[0][-1] <= 1.1 * sizes[0][half] + stays, (sizes[0][half], sizes[0][-1])
    assert sizes[1][-1] >= 1.5 * sizes[1][half], "it is a busy connection"
    assert forgets.decisions() == remembers.decisions()
    # Old webhooks come again: those the platform may still send are known, older ones lose against what is newer.
    before = journal.end(forgets.tx)
    for at, ref, fields, body in forgets.told:
        new = forgets.deliver("salon", ref, fields, body, at)
        assert not new or at < forgets.now - AGAIN["salon"]
    assert journal.end(forgets.tx) == before
    assert forgets.tx.value("PRAGMA integrity_check") == "ok"
    for life in lives:
        life.connection.close()


def test_after_seventy_two_hours_the_file_grows_no_more_and_nothing_is_decided_otherwise(tmp_path):
    judged(*lived(tmp_path, 72, edits=10), 72)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_after_thirty_days_too(tmp_path, capsys):
    lives, sizes = lived(tmp_path, 720)
    with capsys.disabled():
        for hour in (36, 72, 168, 360, 720):
            print(
                f"\nhour {hour}: {sizes[0][hour - 1] / 1e6:.2f} MB, without forgetting {sizes[1][hour - 1] / 1e6:.2f} MB"
            )
    judged(lives, sizes, 720)
