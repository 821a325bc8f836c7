"""A machine that invents histories, and what holds in all of them."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mapping.model import Kind
from state import outbox
from tests.machine.ferry import Ferry
from tests.machine.little import FLAVOURS, days_from_start, instant

# A story that is not shortened is enough for a build that is known to be wrong.
PHASES = [Phase.generate, *([] if os.environ.get("BOOKFERRY_NAIVE") else [Phase.shrink])]
SHORT = settings(
    max_examples=12,
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    phases=PHASES,
)
LONG = settings(SHORT, max_examples=1_000, stateful_step_count=50, derandomize=False, print_blob=True)

fates = st.lists(
    st.sampled_from(["applied", "late", "lost", "unsent", "refused", "human", "done"]), min_size=1, max_size=3
)
number = st.integers(0, 10_000)
side = st.sampled_from(["shop", "desk"])
unit = st.sampled_from(["pull:shop", "pull:desk", "inbox:shop", "inbox:desk", "push:desk", "push:shop"])


def pick(things, n):
    things = list(things)
    return things[n % len(things)]


class Histories(RuleBasedStateMachine):
    flavour = "quiet"

    @initialize(known=st.integers(0, 2), armed=st.sampled_from(["yes", "yes", "never"]))
    def begin(self, known, armed):
        self.folder = Path(tempfile.mkdtemp(prefix="histories-"))
        self.ferry = Ferry(self.folder, self.flavour)
        self.count = 0
        for n in range(2):
            self.person(n)
        for n in range(known):
            self.book("shop", n, 0)
        for key in ("pull:shop", "pull:desk"):
            self.ferry.run(key)
        if armed != "never":
            for route in self.ferry.config.routes:
                self.ferry.arm(route.name)

    def person(self, n):
        mail = f"guest{n % 3}@example.nz"
        self.ferry.shop.add(Kind.PEOPLE, full_name=f"Guest {n % 3}", email=mail)

    def new(self, word):
        self.count += 1
        return f" {word}   {self.count} "

    # What people do at the platforms

    @rule(at=side, n=number, days=st.integers(0, 9))
    def book(self, at, n, days):
        little = self.ferry.littles[at]
        if at == "desk" and not self.ferry.pair:
            guest = {}
        else:
            people = list(little.rows[Kind.PEOPLE]) or [little.add(Kind.PEOPLE, full_name="Walk In")]
            guest = {"people": [pick(people, n)]}
        little.add(
            Kind.BOOKINGS,
            title=self.new("visit"),
            status="confirmed",
            starts=days_from_start(days),
            notes=None if n % 2 else self.new("bring"),
            **guest,
        )

    def booking(self, at, n):
        rows = self.ferry.littles[at].rows[Kind.BOOKINGS]
        return pick(rows, n) if rows else None

    @rule(
        at=side,
        n=number,
        name=st.sampled_from(["title", "long", "notes", "starts"]),
        days=st.integers(10, 20),
    )
    def edit(self, at, n, name, days):
        if (ref := self.booking(at, n)) is None:
            return
        value = {"starts": days_from_start(days), "long": self.new("a very long title of a visit")}.get(name)
        mark = self.ferry.littles[at].rows[Kind.BOOKINGS][ref].get("notes") or ""
        kept = next((word for word in mark.split() if word.startswith("bookferry-")), "")
        value = value or self.new(name) + (f" {kept}" if name == "notes" else "")
        field = "title" if name == "long" else name
        self.ferry.littles[at].edit(Kind.BOOKINGS, ref, **{field: value})

    @rule(at=side, n=number, status=st.sampled_from(["cancelled", "completed", "confirmed"]))
    def settle(self, at, n, status):
        if (ref := self.booking(at, n)) is None:
            return
        done = {"completed_at": instant(self.ferry.clock.ms)} if status == "completed" else {}
        self.ferry.littles[at].edit(Kind.BOOKINGS, ref, status=status, **done)

    # What the wires and the platforms do

    @rule(at=side, n=number, thin=st.booleans())
    def deliver(self, at, n, thin):
        little = self.ferry.littles[at]
        if little.events:
            self.ferry.deliver(little, pick(little.events, n), thin)

    @rule(at=side, n=number)
    def deliver_the_newest(self, at, n):
        little = self.ferry.littles[at]
        if little.events:
            self.ferry.deliver(little, little.events[-1 - n % min(3, len(little.events))], thin=False)

    @rule(at=side, fate=fates, kind=st.sampled_from([Kind.PEOPLE, Kind.BOOKINGS]))
    def writes_will_fail(self, at, fate, kind):
        self.ferry.littles[at].next_writes[kind] = fate

    @rule(at=side, lie=st.lists(st.sampled_from(["empty", "broken", "capped", None]), min_size=1, max_size=2))
    def lists_will_lie(self, at, lie):
        self.ferry.littles[at].next_lists = lie

    @rule(at=side, how=st.sampled_from(["fails", "blind"]))
    def looks_will_fail(self, at, how):
        self.ferry.littles[at].next_looks = [how]

    @rule(at=side, n=number, hidden=st.booleans())
    def leave_out_of_the_list(self, at, n, hidden):
        if (ref := self.booking(at, n)) is None:
            return
        away = self.ferry.littles[at].hidden
        away.add(ref) if hidden else away.discard(ref)

    @rule(minutes=st.sampled_from([1, 20]))
    def time_passes(self, minutes):
        self.ferry.clock.on(60 * minutes)

    # What the process does

    @rule(key=unit, dies_in=st.none() | st.integers(0, 14))
    def work(self, key, dies_in):
        self._run(key, dies_in)

    @rule()
    def a_pass(self):
        for sort in ("inbox", "pull", "push"):
            for name in self.ferry.littles:
                self._run(f"{sort}:{name}")

    @rule(
        n=number,
        what=st.sampled_from(["new", "title", "notes", "starts", "cancelled", "completed"]),
        fate=fates,
        dies_in=st.none() | st.integers(0, 14),
        looks=st.booleans(),
        waits=st.booleans(),
    )
    def carry_badly(self, n, what, fate, dies_in, looks, waits):
        """Something changes at the source, and its way to the target meets with a misfortune."""
        if what == "new":
            self.book("shop", n, n % 9)
        elif what in {"cancelled", "completed"}:
            self.settle("shop", n, what)
        else:
            self.edit("shop", n, what, n % 9 + 10)
        self._run("pull:shop")
        if looks:
            self._run("pull:desk")
        self.ferry.desk.next_writes[Kind.BOOKINGS] = fate
        self._run("push:desk", dies_in)
        if waits:
            self.ferry.clock.on(60)
        self._run("push:desk")

    @rule(
        n=number,
        fate=st.sampled_from(["applied", "late", "lost"]),
        looks=st.sampled_from(["well", "fails", "blind"]),
    )
    def an_answer_is_lost(self, n, fate, looks):
        """A record has to be made, and nobody learns whether it was; there is time until the next try."""
        self.book("shop", n, n % 9)
        self._run("pull:shop")
        self.ferry.desk.next_writes[Kind.BOOKINGS] = [fate]
        self._run("push:desk")
        self.ferry.clock.on(60)
        self.ferry.desk.next_looks = [] if looks == "well" else [looks]
        self._run("push:desk")

    @rule(at=side, n=number)
    def an_old_hook_comes_late(self, at, n):
        """The list showed what is newer: whatever comes now was asked for before."""
        self._run(f"pull:{at}")
        self.edit(at, n, "title", 0)
        little = self.ferry.littles[at]
        late = little.events[-1] if little.events else None
        self.edit(at, n, "title", 0)
        self._run(f"pull:{at}")
        if late:
            self.ferry.deliver(little, late, thin=False)
            self._run(f"inbox:{at}")

    @rule(key=unit, at=side, n=number, what=st.sampled_from(["edit", "webhook", "taken over"]))
    def work_meanwhile(self, key, at, n, what):
        """A call is overtaken by what happens at the platforms, or by another process."""
        little = self.ferry.littles[key.partition(":")[2]]

        async def happens():
            if what == "taken over":
                self.ferry.take_over(key)
            else:
                self.edit(at, n, "title", 0)
            if what == "webhook":
                from daemon.units import run_unit

                changed = self.ferry.littles[at]
                if changed.events:
                    self.ferry.deliver(changed, changed.events[-1], thin=False)
                if key != f"inbox:{at}":
                    await run_unit(self.ferry.app, f"inbox:{at}")

        little.meanwhile.append(happens)
        self._run(key)
        if what == "taken over":
            self.ferry.unsettled.add(key.partition(":")[2])

    def _run(self, key, dies_in=None):
        name = key.partition(":")[2]
        told = self.ferry.littles[name].next_lists
        lies = bool(told) and None not in told  # with one that is true among them it may have been this one
        self.ferry.run(key, dies_in)
        if key.startswith("pull") and not lies:
            self.ferry.listed(name)

    # What the user does

    @rule(name=st.sampled_from(["there", "back"]), armed=st.booleans())
    def arm(self, name, armed):
        if name in self.ferry.app.world.routes:
            self.ferry.arm(name) if armed else self.ferry.disarm(name)

    @rule(n=number, retried=st.integers(0, 3))
    def answer_what_is_parked(self, n, retried):
        if parked := outbox.in_state(self.ferry.tx, "parked"):
            number, now = pick(parked, n).id, self.ferry.clock.on()
            act = outbox.retry if retried else outbox.dismiss
            self.ferry.db.now(lambda tx: act(tx, number, now=now))

    @precondition(lambda self: not self.ferry.pair)
    @rule(n=number)
    def unlink(self, n):
        known = [ref for ref in self.ferry.desk.rows[Kind.BOOKINGS] if self.ferry.record("desk", ref)]
        if known:
            self.ferry.part("desk", pick(known, n))

    @precondition(lambda self: not self.ferry.pair)
    @rule(n=number)
    def link(self, n):
        ferry = self.ferry
        walk_in = [
            ref
            for ref, row in ferry.desk.rows[Kind.BOOKINGS].items()
            if ferry.record("desk", ref)
            and "external_ref" not in row
            and "bookferry-" not in (row.get("notes") or "")
            and ref not in ferry.linked.values()
            and ("desk", ref) not in ferry.parted
        ]
        alone = [
            ref
            for ref in ferry.shop.rows[Kind.BOOKINGS]
            if (found := ferry.record("shop", ref))
            and ("shop", ref) not in {*ferry.linked, *ferry.parted}
            and not outbox.of_source(ferry.tx, found.id)
        ]
        if walk_in and alone:
            ferry.link(pick(alone, n), pick(walk_in, n))

    @invariant()
    def holds(self):
        if hasattr(self, "ferry"):
            self.ferry.check()

    def teardown(self):
        if not hasattr(self, "ferry"):
            return
        try:
            self.ferry.converge()
            self.ferry.quiet()
            event(f"compared: {min(self.ferry.agrees(), 5)}")
        finally:
            self.ferry.close()
            shutil.rmtree(self.folder)


def histories(flavour):
    return type(f"Histories_{flavour.replace(' ', '_')}", (Histories,), {"flavour": flavour})


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_histories(flavour):
    run_state_machine_as_test(histories(flavour), settings=SHORT)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_many_histories(flavour):
    run_state_machine_as_test(histories(flavour), settings=LONG)
