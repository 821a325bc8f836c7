"""One bookferry over the two little platforms, and what must hold after every step and at the end of every history."""

import asyncio
import json
from collections import Counter

from daemon.explain import explain
from daemon.units import run_unit
from mapping.capability import Voice
from mapping.identity import marks_in, origin_mark
from mapping.model import Kind
from mapping.normal import same
from mapping.record import moment
from state import cursors, inbox, journal, ledger, links, outbox, units
from state.database import Tx
from tests.machine.little import (
    Clock,
    Crash,
    Fate,
    Little,
    StillApp,
    StillDatabase,
    config,
)

ROUNDS = 40
REASONS = (
    "no, says the platform",
    "nobody can see that",
    "the target has no update",
    "has this e-mail address",
    "have this e-mail address",
    "was seen under two names",
    "both sides have changed",
    "undo each other's",
    "the target says that it exists",
)
"""What a human has to decide in these histories. Anything else that is parked is a mistake of ours."""


class Ferry:
    def __init__(self, folder, flavour):
        self.config, self.specs = config(flavour)
        self.flavour, self.pair = flavour, flavour.startswith("pair")
        self.path, self.clock, self.fate = folder / "bookferry.db", Clock(), Fate()
        self.littles = {name: Little(name, spec, self.clock) for name, spec in self.specs.items()}
        self.shop, self.desk = self.littles["shop"], self.littles["desk"]
        self.desk.one_way = self.shop.one_way = not self.pair
        self.loop = asyncio.new_event_loop()
        self.unsettled = set()
        """Connections to which a call was under way when its process ended: the next push looks what became of it."""
        self.parted, self.linked, self.absent, self.over_before = set(), {}, set(), set()
        self.versions, self.judged, self.lists = {}, 0, {}
        self.baseline = {}
        self._process()

    # The process

    def _process(self):
        self.fate.dead, self.fate.dies_in = False, None
        self.db = StillDatabase(self.path, self.fate)
        self.app = StillApp(self.config, self.specs, self.db, self.littles, self.clock, self.fate)
        self.tx = Tx(self.db.connection)

    def run(self, key, dies_in=None):
        """Let a unit work; gives whether the process survived it."""
        self.clock.on()
        self.fate.dies_in = dies_in
        try:
            self.loop.run_until_complete(run_unit(self.app, key))
        except Crash:
            self._bury()
            self._process()
            self.unsettled |= {*self.littles}
            return False
        finally:
            self.fate.dies_in = None
            for little in self.littles.values():
                little.meanwhile.clear()
        problem = (units.get(self.tx, key) or {}).get("problem") or {}
        if "a bug" in problem.get("what", ""):
            self.shop.wrong.append(f"{key}: {problem['what']}")
        if key.startswith("push:"):
            self.unsettled.discard(key.partition(":")[2])
        return True

    def _bury(self):
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.db.gone()

    def close(self):
        self.db.gone()
        self.loop.close()

    # What comes from outside

    def deliver(self, little, event, thin):
        """A webhook arrives at the door: on disk, and only then acknowledged."""
        body = json.dumps({**event, "thin": thin}).encode()
        arrival = inbox.Arrival(little.name, inbox.digest(body), self.clock.on(), "{}", body)
        self.db.now(lambda tx: inbox.store(tx, [arrival]))

    def take_over(self, key):
        """Another process claims the unit while this one waits for an answer."""
        self.db.now(lambda tx: units.claim(tx, key, now=self.clock.ms))

    def arm(self, name):
        if not cursors.route(self.tx, name).armed:
            self.baseline[name] = journal.end(self.tx)
        self.db.now(lambda tx: cursors.arm(tx, name, now=self.clock.on(), since=None))

    def disarm(self, name):
        self.db.now(lambda tx: cursors.disarm(tx, name, now=self.clock.ms))

    def record(self, name, ref, kind=Kind.BOOKINGS):
        return ledger.find(self.tx, name, kind, ref)

    def mark(self, little, ref):
        return origin_mark(little.name, little.name, Kind.BOOKINGS, ref)

    def with_mark(self, little, mark):
        return [ref for ref, row in little.rows[Kind.BOOKINGS].items() if mark in marks_in(row)]

    # What must hold after every step

    def check(self):
        wrong = [each for little in self.littles.values() for each in little.wrong]
        assert not wrong, wrong
        self._one_record_a_mark()
        self._old_never_overwrites_new()
        self._outbox()
        self._attempts()
        self._absence()
        self._pages_are_held()
        end = journal.end(self.tx)
        for route in self.config.routes:
            assert cursors.route(self.tx, route.name).position <= end
        assert not self.db.open_transaction()

    def _one_record_a_mark(self):
        for little in self.littles.values():
            marks = Counter(
                mark
                for ref, row in little.rows[Kind.BOOKINGS].items()
                for mark in marks_in(row)
                if row["status"] != "cancelled"
                and (little.name, ref) not in self.parted
                and not self._revived(little, ref)
            )
            assert not [mark for mark, times in marks.items() if times > 1], (little.name, marks)
            mails = Counter(row["email"] for row in little.rows[Kind.PEOPLE].values() if row.get("email"))
            ours = [mail for mail, times in mails.items() if times > 1]
            assert little.name == "shop" or not ours, ours

    def _old_never_overwrites_new(self):
        for name in self.littles:
            for ref in ledger.refs(self.tx, name, Kind.BOOKINGS):
                version = self.record(name, ref).fields.get("reference", "")
                assert version >= self.versions.get((name, ref), ""), (name, ref)
                self.versions[name, ref] = version

    def _outbox(self):
        rows = self.tx.rows(
            "SELECT route, connection, kind, source, state FROM intent WHERE state IN ('open', 'waiting', 'sending', 'parked')"
        )
        open_ones = Counter((row["route"], row["kind"], row["source"]) for row in rows)
        assert all(times == 1 for times in open_ones.values()), rows
        sending = [row for row in rows if row["state"] == "sending"]
        assert {row["connection"] for row in sending} <= self.unsettled, sending

    def _attempts(self):
        """Loud only where the route allows it; nothing of a route that is not armed, unless a move is
        in the middle; nothing of its baseline.
        """
        rows = self.tx.rows(
            "SELECT a.id, a.loud, i.route, i.source, i.kind, (SELECT min(id) FROM attempt WHERE intent = i.id) AS first,"
            " a.act = 'create' AND EXISTS (SELECT 1 FROM attempt WHERE intent = i.id AND act = 'cancel' AND id < a.id) AS anew"
            " FROM attempt a JOIN intent i ON i.id = a.intent"
            " WHERE a.id > :after ORDER BY a.id",
            after=self.judged,
        )
        for row in rows:
            route, state = self.app.world.routes[row["route"]], cursors.route(self.tx, row["route"])
            assert not row["loud"] or route.notify == "allow", row
            assert state.armed or row["anew"], row
            own = row["kind"] == route.target.kind.value
            # What was sent in doubt before, a human may have tried again after the route was armed anew.
            again = row["first"] < row["id"]
            assert again or not own or self._may_be_pushed(row["source"], row["route"]), row
            self.judged = row["id"]

    def _may_be_pushed(self, source, route):
        return journal.last_change(self.tx, source) > self.baseline[route]

    def _pages_are_held(self):
        """The cursor never passes what the ledger does not hold."""
        passed = self.tx.rows(
            "SELECT p.stream, j.value FROM cursor_page p, json_each(p.refs) j WHERE NOT EXISTS"
            " (SELECT 1 FROM record r WHERE r.stream = p.stream AND r.ref = j.value)"
        )
        assert not passed, passed

    def _absence(self):
        """Only what was away is ever concluded to be gone."""
        rows = self.tx.rows(
            "SELECT s.connection, r.ref FROM journal j JOIN record r ON r.id = j.record JOIN stream s ON s.id = r.stream"
            " WHERE j.via = 'absence'"
        )
        for row in rows:
            name, ref = row["connection"], row["ref"]
            assert self.lists.get((name, ref), 0) >= 2, row
            self.absent.add((name, ref))

    def listed(self, name):
        """A list was read to its end and told the truth: count who was away."""
        for ref in self.littles[name].hidden:
            self.lists[name, ref] = self.lists.get((name, ref), 0) + 1

    # The end of a history

    def converge(self):
        """Everything is told, nothing fails any more: then nothing may be left to do."""
        for little in self.littles.values():
            little.next_writes = {Kind.PEOPLE: [], Kind.BOOKINGS: []}
            little.next_lists.clear()
            little.next_looks.clear()
            little.hidden.clear()
        self.clock.on(60)
        for little in self.littles.values():
            little.settle_late()
            for event in little.events:
                self.deliver(little, event, thin=False)
        for round_ in range(ROUNDS):
            before = self._written()
            for name in self.littles:
                self.run(f"inbox:{name}")
                self.run(f"pull:{name}")
                if round_ == 1:
                    self._ask_the_human()
            for name in self.littles:
                self.run(f"push:{name}")
            due = [outbox.next_due(self.tx, name, [*self.app.world.routes]) for name in self.littles]
            times = [each for each in due if each is not None]
            if not times and round_ > 2 and self._written() == before:
                break
            self.clock.ms = max([self.clock.ms + 1000, *times]) // 1000 * 1000 + 1000
        else:
            raise AssertionError(f"it never comes to rest: {outbox.in_state(self.tx, 'open')}")
        self.check()

    def _ask_the_human(self):
        for intent in outbox.in_state(self.tx, "parked"):
            self.db.now(lambda tx, number=intent.id: outbox.retry(tx, number, now=self.clock.ms))

    def _written(self):
        return sum(len(little.writes) for little in self.littles.values())

    def quiet(self):
        """A second pass writes nothing, and the journal does not grow."""
        written, end = self._written(), journal.end(self.tx)
        for sort in ("inbox", "pull", "push"):
            for name in self.littles:
                self.run(f"{sort}:{name}")
        assert (self._written(), journal.end(self.tx)) == (written, end)

    def agrees(self):
        """The ledger shows what the platforms hold; the target holds what the route wants."""
        for name, little in self.littles.items():
            for kind, rows in little.rows.items():
                for ref, row in rows.items():
                    record = self.record(name, ref, kind)
                    assert record is not None, (name, ref)
                    held = {field: record.fields.get(field) for field in row}
                    assert held == row, (name, ref)
        for parked in outbox.in_state(self.tx, "parked"):
            assert any(reason in parked.problem for reason in REASONS), parked.problem
        for waiting in outbox.in_state(self.tx, "waiting"):
            assert self._person_parked(waiting) or "not known yet" in waiting.problem, waiting
        compared = [self._compare(route) for route in self.config.routes]
        self._explained()
        return sum(compared)

    def _person_parked(self, waiting):
        return any(each.kind is Kind.PEOPLE for each in outbox.in_state(self.tx, "parked"))

    def _compare(self, route):
        """Gives how many records could be compared."""
        if not cursors.route(self.tx, route.name).armed:
            return 0
        source, target = self.littles[route.source.connection], self.littles[route.target.connection]
        compared = 0
        for ref in source.rows[Kind.BOOKINGS]:
            record = self.record(source.name, ref)
            free = (source.name, ref) not in self.parted | self.absent
            if not free or not self._may_be_pushed(record.id, route.name) or self._held_up(route, record):
                continue
            if self._only_aloud(route, target, source.rows[Kind.BOOKINGS][ref]):
                continue
            compared += self._is_carried(source, target, ref)
        return compared

    def _only_aloud(self, route, target, row):
        """Whether it was over before the route was armed, and the target could only be told aloud."""
        if (
            set(target.spec.kinds[Kind.BOOKINGS].acts.values()) != {Voice.LOUD}
            or row["status"] != "completed"
        ):
            return False
        return moment(row["completed_at"]) < cursors.route(self.tx, route.name).cutover

    def _held_up(self, route, record):
        unfinished = outbox.unfinished(self.tx, route.name, Kind.BOOKINGS, record.entity)
        dismissed = [
            each for each in outbox.of_source(self.tx, record.id) if each.state in {"dismissed", "parked"}
        ]
        return unfinished is not None or dismissed

    def _is_carried(self, source, target, ref):
        row = source.rows[Kind.BOOKINGS][ref]
        there = [self.linked[source.name, ref]] if (source.name, ref) in self.linked else []
        # What was linked and could not be moved there was made anew.
        there = [*there, *self.with_mark(target, self.mark(source, ref))] or self._origin(target, row)
        rows = target.rows[Kind.BOOKINGS]
        live = [
            other
            for other in there
            if rows[other]["status"] != "cancelled" and not self._revived(target, other)
        ]
        if any((target.name, other) in self.parted | self.absent for other in there):
            return 0
        if row["status"] == "cancelled" and ref in self.over_before:
            return 0
        if row["status"] == "cancelled":
            assert not live or self._by_hand(target, live, "status"), (ref, live)
            return bool(there)
        assert there, f"{ref} never reached {target.name}"
        if not live:
            assert self._by_hand(target, there, "status") or self._by_hand(source, [ref], "status"), there
            return 0
        shown = target.rows[Kind.BOOKINGS][live[0]]
        for name in ("title", "notes", "starts", "status"):
            wanted = target._tidy(name, row.get(name))
            if (
                name in self._writable(target)
                and wanted is not None
                and not self._excused(source, ref, target, live[0], name)
            ):
                assert same(name, wanted, shown.get(name)), (ref, live[0], name, wanted, shown.get(name))
        return 1

    def _origin(self, target, row):
        """Where the source record itself was made by the route back."""
        found = marks_in(row)
        return [ref for ref in target.rows[Kind.BOOKINGS] if self.mark(target, ref) in found]

    def _writable(self, target):
        return set(target.spec.kinds[Kind.BOOKINGS].writes.values())

    def _by_hand(self, little, refs, name):
        return any((ref, name) in little.by_hand for ref in refs)

    def _excused(self, source, ref, target, other, name):
        """Somebody changed the field at the target, and the source did not change it since."""
        there, here = target.by_hand.get((other, name)), source.by_hand.get((ref, name), 0)
        if self.pair and here and here <= journal.story(self.tx, self.record(source.name, ref).id)[0]["at"]:
            return True  # a record of ours that somebody changed before we ever saw it: it shows what we made of it
        shown = target.rows[Kind.BOOKINGS][other]
        if name == "status" and shown["status"] == "completed" and self._was(source, ref, "completed"):
            return True  # nothing opens again what is over
        if name == "status" or self.pair:
            return there is not None
        return there is not None and (there >= here or name == "notes")

    def _was(self, little, ref, status):
        return any(each["ref"] == ref and each["row"].get("status") == status for each in little.events)

    def _revived(self, little, ref):
        """Somebody there wants what was cancelled, maybe to make room for its new time, after all."""
        return (ref, "status") in little.by_hand and self._was(little, ref, "cancelled")

    def _explained(self):
        """The story of each record, told forward, ends with what is known of it."""
        for name, little in self.littles.items():
            for kind, rows in little.rows.items():
                for ref in rows:
                    record = self.record(name, ref, kind)
                    told, state = explain(self.app.world, self.tx, record, contacts=True), {}
                    for change in told["journal"]:
                        assert (change["via"] == "write") == (change["intent"] is not None), change
                        for field, each in change["changes"].items():
                            assert state.get(field) == each.get("old"), (ref, field)
                            state[field] = each["new"]
                    assert state == dict(record.fields), ref

    def part(self, name, ref):
        one = self.record(name, ref)
        others = [
            (other, each.ref)
            for other in self.littles
            for each in ledger.all_of_entity(self.tx, one.entity, other, Kind.BOOKINGS)
        ]
        self.parted |= {*others}
        self.db.now(lambda tx: links.undo(tx, ledger.get(tx, one.id), now=self.clock.on()))

    def link(self, ref, other):
        self.linked["shop", ref] = other
        one, two = self.record("shop", ref), self.record("desk", other)
        if one.fields["status"] == "cancelled":
            self.over_before.add(ref)  # a link alone writes nothing, and nothing happens to it any more
        self.db.now(lambda tx: links.join(tx, one, two, "explicit", now=self.clock.on()))
