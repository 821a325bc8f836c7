"""The surprise guard over real HTTP: what is more than usual waits for an approval, and ordinary life goes on."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from io import StringIO
from unittest.mock import patch

import pytest
from berths import ANN
from commanded import command
from fleet import fleet
from harbour import harbour
from structlog.testing import capture_logs

from connectors.sandbox import iso
from daemon import cli, concerns, forecast, guard, views
from state import clearance, cursors, outbox
from state.database import reading

QUIET = "  - {name: keep, from: nearbyassist.bookings, to: nicejob.bookings}\n"
LOUD = (
    "  - {name: ask, from: nearbyassist.bookings, to: nicejob.bookings, notify: allow,"
    ' when: booking.status == "completed"}\n'
)
DAY = 86_400


class Shore:
    """A marketplace with bookings, and NiceJob, which follows."""

    def __init__(self, port):
        self.port, self.app = port, port.app
        self.market, self.reviews = port["nearbyassist"], port["nicejob"]
        self.box = self.market.box
        self.guests, self.done = 0, []

    def book(self, count, days=30):
        """So many new bookings of one guest."""
        known = self.box.business.match_customer(ANN.email, ANN.phone)
        who = known.id if known else self.box.add_customer(ANN.first, ANN.last, ANN.email, ANN.phone)
        return [
            self.box.create_booking(iso(self.market.day(days + n // 8) + timedelta(hours=n % 8)), who)
            for n in range(count)
        ]

    def visited(self, count):
        """So many visits of as many guests take place; NiceJob asks each guest for one review alone."""
        self.box.hold_webhooks()
        for _ in range(count):
            self.guests += 1
            who = self.box.add_customer(f"Guest{self.guests}", "Example", f"g{self.guests}@example.com")
            ref = self.box.create_booking(iso(self.market.day(1)), who)
            self.done.append(ref)
        self.pass_time(3)
        for ref in self.done[-count:]:
            self.box.complete(ref)

    def pass_time(self, days):
        for berth in self.port.at.values():
            berth.box.advance(days * DAY)

    async def pull(self):
        return await self.port.cycle()

    async def plans(self):
        return await self.app.db.read(lambda tx: guard.plans(self.app.world, tx))

    async def plan_after_pull(self):
        await self.pull()
        return await self.plan()

    async def plan(self):
        (plan,) = await self.plans()
        return plan

    async def approve(self, plan=None):
        plan = plan or (await self.plan())["plan"]
        return await self.app.db.transaction(lambda tx: guard.approve(self.app.world, tx, plan))

    def there(self):
        return self.reviews.visits()

    def cancelled(self):
        return [ref for ref, row in self.there().items() if row["off"]]

    def asked(self):
        return self.reviews.said()


def typed(on, *words):
    """A command in this process; the service goes on as soon as it is over."""
    (on.port.path.parent / "bookferry.yaml").write_text(on.port.text)
    out, err = StringIO(), StringIO()
    given = patch.object(
        sys, "argv", ["bookferry", "-c", str(on.port.path.parent / "bookferry.yaml"), *words]
    )
    with given, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0, " ".join(out.getvalue().split()), err.getvalue()


def shore(folder, routes=QUIET, **options):
    return _Shore(fleet(folder, routes, "nearbyassist", "nicejob", **options))


class _Shore:
    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        return Shore(await self.port.__aenter__())

    async def __aexit__(self, *error):
        return await self.port.__aexit__(*error)


async def settled(on, known):
    """So many bookings, which NiceJob has."""
    on.box.hold_webhooks()
    refs = on.book(known)
    await on.pull()
    assert len(on.there()) == known
    on.box.release_webhooks()
    await on.port.calm()
    return refs


async def test_an_import_that_touches_all_waits_shows_itself_and_goes_once_approved(tmp_path):
    async with shore(tmp_path) as on:
        refs = await settled(on, 20)
        before = on.there()
        on.box.hold_webhooks()
        for ref in refs:
            on.market.move(ref, 40)
        new = on.book(2, days=60)
        on.pass_time(0.5)
        with capture_logs() as logs:
            done = await on.pull()
            await on.pull()
        assert done["held"] == 20
        (told,) = [each for each in logs if each["event"] == "held"]
        assert (told["log_level"], told["writes"], told["route"]) == ("warning", 20, "keep"), (
            "it is told once"
        )
        assert b'bookferry_held{connection="nicejob"} 20.0' in on.app.metrics.page()
        moved = [
            ref for ref, row in on.there().items() if ref in before and row["starts"] != before[ref]["starts"]
        ]
        assert moved == [], "nothing of it was sent"
        assert len(on.there()) == 22, "what is usual goes on"
        plan = await on.plan()
        assert plan["writes"] == {"change": 20}
        assert "20 changed bookings: up to 11 within a day are usual" in plan["why"][0]
        assert "starts" in plan["cause"][0]
        assert "all 20 changed" in plan["cause"][0]
        assert len(plan["samples"]) == 5
        sample = plan["samples"][0]
        assert (sample["act"], set(sample["fields"]) >= {"starts"}, sample["loud"]) == ("update", True, False)
        assert sample["fields"]["starts"]["old"] != sample["fields"]["starts"]["new"]
        assert plan["command"] == f"bookferry approve {plan['plan']}"
        with reading(on.port.path) as tx:
            foreseen = forecast.plan(on.app.world, tx, on.app.ms())
        assert [line.outcome for line in foreseen.lines] == ["held"] * 20
        assert [plan["command"] in note for note in foreseen.notes] == [True]
        assert (await on.approve()) == ("keep", 20)
        done = await on.pull()
        assert (done["held"], done["parked"], done["open"]) == (0, 0, 0)
        moved = [
            ref for ref, row in on.there().items() if ref in before and row["starts"] != before[ref]["starts"]
        ]
        assert len(moved) == 20
        on.market.price(new[0], 99)
        assert (await on.pull())["held"] == 0, "an approval is no volume: the next one goes"
        await on.port.settled()


async def test_a_mass_cancellation_waits_and_one_that_staff_take_back_never_happened(tmp_path):
    async with shore(tmp_path) as on:
        refs = await settled(on, 20)
        on.box.hold_webhooks()
        for ref in refs:
            on.market.cancel(ref)
        assert (await on.pull())["held"] == 20
        assert on.cancelled() == []
        plan = await on.plan()
        assert plan["writes"] == {"cancel": 20}
        told = await on.app.db.read(lambda tx: concerns.concerns(tx, on.app.world, on.app.ms()))
        (concern,) = [each for each in told if each.key == "held:keep"]
        assert "20 cancelled bookings" in concern.text
        assert "which means cancelled" in plan["cause"][0]
        for ref in refs[:17]:
            on.box.confirm(ref)
        done = await on.pull()
        assert done["held"] == 0, "three cancellations are none that surprise"
        assert len(on.cancelled()) == 3
        assert await on.approve(plan["plan"]) is None


async def test_an_approval_is_void_once_the_plan_changed(tmp_path):
    async with shore(tmp_path) as on:
        refs = await settled(on, 16)
        for ref in refs:
            on.market.price(ref, 11)
        await on.pull()
        first = (await on.plan())["plan"]
        on.market.price(refs[3], 12)
        await on.pull()
        second = (await on.plan())["plan"]
        assert first != second
        code, out, err = typed(on, "approve", first)
        assert (code, out) == (1, "")
        assert "void once that changed" in err
        assert f"'keep' waits now: bookferry approve {second}" in err
        assert {row["amount"] for row in on.there().values()} & {11, 12} == set()
        (held, *_) = await on.app.db.read(lambda tx: clearance.writes(tx, "keep", 99))
        assert await on.app.db.transaction(lambda tx: outbox.dismiss(tx, held.id, now=on.app.ms()))
        assert (await on.plan())["plan"] not in {first, second}, "fewer are another plan, too"
        code, out, err = typed(on, "status")
        assert (code, "HELD since" in out, "(in no list)" in out) == (3, True, False), out


async def test_approving_beside_the_running_service(tmp_path):
    """The database is held by the service; the approval comes from a process of its own."""
    async with shore(tmp_path) as on:
        refs = await settled(on, 16)
        for ref in refs:
            on.market.price(ref, 11)
        await on.pull()
        code, out, _ = typed(on, "approve")
        plan = (await on.plan())["plan"]
        assert (code, f"bookferry approve {plan}" in out, "for example" in out) == (
            3,
            True,
            True,
        ), out
        code, out, _ = await command(on.port, "approve", plan)
        assert (code, "16 writes of 'keep'" in out) == (0, True)
        on.app.engine.kick("push:nicejob")  # as the schedule does every minute
        await on.app.engine.idle()
        assert {row["amount"] for row in on.there().values()} == {11}
        code, _, err = typed(on, "approve", plan)
        assert (code, "was approved already" in err) == (1, True)


async def test_what_was_approved_and_not_sent_yet_stays_approved(tmp_path):
    """The process ends in the middle: the rest needs no second approval."""
    routes = "\n  - {name: reviews, from: salon.bookings, to: reviews.bookings, guard: {create: 3}, set: {tags: [a]}}\n"
    async with harbour(tmp_path, routes) as port:
        await port.pass_()
        await port.arm("reviews")
        who = port.salon.add_customer(ANN.name, ANN.email, ANN.phone)
        for day in range(9):
            port.salon.create_appointment("svc_abc123", iso(port.salon.now() + timedelta(days=20 + day)), who)
            if day == 0:
                assert (await port.pass_())["held"] == 0
                port.text = port.text.replace("tags: [a]", "tags: [b]")
        assert (await port.pass_())["held"] == 8
        port.reviews.fault("error", method="POST", path="/v2/bookings", status=503, times=None, after=3)
        async with port.app() as app:
            (plan,) = await app.db.read(lambda tx: guard.plans(app.world, tx))
            assert plan["cause"][0].startswith("`set` of the route changed since its last push")
            assert "were seen for the first time" in plan["cause"][1]
            await app.db.transaction(lambda tx: guard.approve(app.world, tx, plan["plan"]))
            app.engine.kick("push:reviews")
            await app.engine.idle()
        assert len(port.bookings()) == 4
        port.reviews.clear_faults()
        for box in (port.salon, port.reviews):
            box.advance(DAY)
        done = await port.pass_()
        assert (done["held"], done["open"], len(port.bookings())) == (0, 0, 9), done


async def test_a_trickle_is_counted_together(tmp_path):
    """Webhooks bring one change at a time: none of them is much, and together they are."""
    async with shore(tmp_path) as on:
        refs = await settled(on, 24)
        for number, ref in enumerate(refs):
            on.box.reschedule(ref, iso(on.market.day(50 + number)))
            if number % 4 == 3:
                await on.port.calm()
                on.pass_time(0.01)
        plan = await on.plan()
        assert plan["writes"] == {"change": 12}, "half of all that is known went"
        assert "12 changed bookings, after 12 within the last day" in plan["why"][0]
        on.pass_time(2)
        assert (await on.pull())["held"] == 12, "it waits for somebody, not for tomorrow"


async def test_an_ordinary_saturday_is_not_stopped_and_the_first_catastrophe_is(tmp_path):
    async with shore(tmp_path) as on:
        on.book(40)
        assert (await on.pull())["held"] == 0
        assert len(on.there()) == 40
        on.box.hold_webhooks()
        on.book(11, days=90)
        assert (await on.pull())["held"] == 11, "51 on a first day are not"
        plan = await on.plan()
        assert plan["writes"] == {"create": 11}
        assert "the four weeks before had 0" in plan["why"][0]


async def test_the_first_catch_up_after_a_weekend_is_not_stopped(tmp_path):
    async with shore(tmp_path) as on:
        await settled(on, 10)
        on.pass_time(3)  # nobody listens, nobody polls
        hooks = on.box.hold_webhooks()
        on.book(60, days=60)
        done = await on.pull()
        assert (done["held"], len(on.there())) == (0, 70), (done, hooks)


@pytest.mark.speaks
async def test_a_route_that_may_notify_sends_five_and_waits(tmp_path):
    async with shore(tmp_path, LOUD) as on:
        on.visited(9)
        assert (await on.pull())["held"] == 8, "and their guests"
        assert len(on.asked()) == 5
        plan = await on.plan()
        assert "4 loud writes wait until somebody has looked at the first 5" in plan["why"][0]
        assert sorted(plan["sent"]) == sorted(on.there())
        await on.pull()
        assert len(on.asked()) == 5
        await on.approve()
        await on.pull()
        assert len(on.asked()) == 9
        on.visited(7)
        assert (await on.pull())["held"] == 0, "the canary is over"
        assert len(on.asked()) == 16

        def anew(tx):
            cursors.disarm(tx, "ask", now=on.app.ms())
            cursors.arm(tx, "ask", now=on.app.ms(), since=None)

        await on.app.db.transaction(anew)
        on.visited(6)
        assert (await on.plan_after_pull())["writes"]["create"] == 1, "until the route is armed anew"


@pytest.mark.speaks
async def test_whoever_looks_at_the_first_five_at_once_need_not_wait_for_the_sixth(tmp_path):
    async with shore(tmp_path, LOUD) as on:
        on.visited(4)
        await on.pull()
        _, text, _ = typed(on, "status")
        assert "will wait for you" not in text, "one more goes out before"
        on.visited(1)
        await on.pull()
        code, text, _ = typed(on, "status")
        (ready,) = await on.app.db.read(lambda tx: guard.unseen(on.app.world, tx))
        assert code == 0
        assert all(ref in text for ref in on.there()), text
        assert f"bookferry approve {ready['plan']}" in text
        code, text, _ = typed(on, "approve", ready["plan"])
        assert (code, text) == (0, "'ask' goes on: nothing more waits because of its first writes.")
        on.visited(3)
        assert (await on.pull())["held"] == 0
        assert len(on.asked()) == 8
        code, _, err = typed(on, "approve", ready["plan"])
        assert code != 0
        assert "void" in err


async def test_a_silent_route_may_have_a_canary_and_people_do_not_count(tmp_path):
    async with shore(tmp_path, QUIET.replace("}", ", canary: 2}")) as on:
        on.book(3)
        who = on.box.add_customer("Bob", "Sample", "bob@example.com", "+64 21 555 0101")
        on.box.create_booking(iso(on.market.day(70)), who)
        done = await on.pull()
        assert done["held"] == 3, "two bookings, and the person whom only a held one needs"
        assert (len(on.there()), len(on.reviews.table("people"))) == (2, 1)
        assert await on.approve() == ("keep", 3)
        await on.pull()
        assert (len(on.there()), len(on.reviews.table("people"))) == (4, 2)


async def test_since_that_is_meant_to_push_much_needs_one_approval(tmp_path):
    routes = QUIET.replace("}", ", since: 2020-01-01}")

    def history(berths):
        box = berths["nearbyassist"].box
        who = box.add_customer(ANN.first, ANN.last, ANN.email, ANN.phone)
        for n in range(60):
            box.create_booking(iso(berths["nearbyassist"].day(30 + n)), who)

    async with shore(tmp_path, routes, before=history) as on:
        await on.pull()
        assert on.there() == {}
        assert on.reviews.table("people") == {}, "nobody is made for what waits"
        plan = await on.plan()
        assert plan["writes"] == {"create": 60, "person": 1}
        assert any("armed" in cause and "since" in cause for cause in plan["cause"])
        await on.approve()
        done = await on.pull()
        assert (done["held"], len(on.there()), len(on.reviews.table("people"))) == (0, 60, 1)


async def test_a_list_that_shows_all_as_cancelled_waits_and_one_that_is_empty_says_nothing(tmp_path):
    async with shore(tmp_path) as on:
        refs = await settled(on, 12)
        bookings = on.box.business.bookings
        kept = dict(bookings)
        on.box.hold_webhooks()
        bookings.clear()
        for _ in range(3):
            assert (await on.pull())["held"] == 0
        assert on.cancelled() == []
        bookings |= kept
        for ref in refs:
            bookings[ref].status = "cancelled"
        assert (await on.pull())["held"] == 12
        assert on.cancelled() == []


async def test_what_is_held_can_be_given_up_with_its_route_and_newest_wins(tmp_path):
    async with shore(tmp_path) as on:
        refs = await settled(on, 12)
        for ref in refs:
            on.market.price(ref, 11)
        await on.pull()
        on.market.price(refs[0], 75)  # as it was
        done = await on.pull()
        assert done["held"] == 11
        code, out, _ = typed(on, "disarm", "keep")
        assert (code, out) == (0, "Disarmed 'keep'.")
        assert await on.plans() == []
        done = await on.pull()
        assert (done["held"], done["open"], done["writes"]) == (0, 0, 0)
        told = await on.app.db.read(lambda tx: views.status(on.app.world, tx, on.app.ms()))
        assert (told["held"], told["healthy"]) == ([], True)
