"""The restore drill: a backup, a life after it, a loss, and a life with what the backup knows. And a total loss."""

from collections import Counter

import pytest
from harbour import PEOPLE, REVIEWS, harbour
from test_first_ferry import appointment, customer, soon, webhook
from test_nowistay_ferry import quay
from test_promises import advance
from test_under_bookings import ASKED, DIRECT, LOUD_VISITS, visits

from daemon import guard
from daemon.forecast import plan
from daemon.passes import sync
from state import clearance, outbox, units
from state.backup import backup, restore

ROUTES = REVIEWS + PEOPLE[1:] + LOUD_VISITS[1:] + ASKED[1:]
ALL = ("reviews", "people", "visits", "asked")


def lose(path):
    """As after a crash: what belongs to the lost file may be left over."""
    path.write_bytes(b"")
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).write_bytes(b"left over")


def marks(rows):
    return Counter(tag for row in rows for tag in row["tags"] if tag.startswith("bookferry-"))


def held(port):
    """Everything that NiceJob holds, and whom it has spoken to."""
    return port.people(), port.bookings(), visits(port), list(port.reviews.enrolments)


async def life_before(port):
    """A customer who is enrolled, one who is not, and three visits."""
    one, other = customer(port), customer(port, "Cat Example", "cat@example.com", None)
    port.before = [appointment(port, who, days=days) for who, days in ((one, 3), (one, 4), (other, 5))]
    await port.pass_()


async def life_after(port):
    """What is carried after the backup: new, moved, cancelled, completed; two people are enrolled by their visits."""
    moved, gone, done = port.before
    customer(port, "Bob Example", "bob@example.com", "+64 21 555 0102")
    new = appointment(port, customer(port, "Dan Example", "dan@example.com", None), days=7)
    port.salon.act("reschedule", appointment_id=moved, start_at=soon(port, 9))
    await port.pass_()
    async with port.app() as app:
        for act, which in (("cancel", gone), ("complete", done), ("complete", new)):
            await webhook(port, app, act, appointment_id=which)
        await port.pass_(app)


@pytest.mark.speaks
async def test_after_a_restore_nothing_is_doubled_nobody_is_told_twice_and_all_converges(tmp_path):
    async with harbour(tmp_path, routes=ROUTES) as port:
        port.reviews.set_campaign_settings(visits_enrol=True)
        port.salon.seed(people=3, bookings=3)
        await port.pass_()
        await port.arm(*ALL)
        await life_before(port)
        # Wanted and not carried yet: the backup still holds it as wanted.
        port.reviews.fault("error", method="POST", path="/v2/people", times=None, status=503)
        appointment(port, customer(port, "Eve Example", "eve@example.com", "+64 21 555 0103"), days=6)
        async with port.app() as app:
            for key in ("pull:salon", "push:reviews"):
                app.engine.kick(key)
                await app.engine.idle()
            copy, file = port.path.with_name("kept.db"), port.path
            backup(file, copy, now=app.ms())  # beside the running one
        port.reviews.clear_faults()
        advance(port, 600)
        await life_after(port)
        before = held(port)
        spoken, requests = len(port.reviews.enrolments), len(port.writes())
        assert spoken == 5

        lose(port.path)
        restore(port.path, copy)
        advance(port, 3600)
        async with port.app() as app:
            notes = (await app.db.read(lambda tx: plan(app.world, tx, app.ms()))).notes
            assert sum("never read to the end" in note for note in notes) == len(ALL)
            app.engine.kick("push:reviews")
            await app.engine.idle()
            assert len(port.writes()) == requests, "nothing is pushed before everything was read again"
            first = await sync(app)
        assert first["problems"] == {}
        assert len(port.writes()) == requests, "all of it had been written"
        second = await port.pass_()
        assert (second["writes"], second["changes"], second["problems"]) == (0, 0, {}), second

        people, bookings, visited, enrolled = held(port)
        assert [len(rows) for rows in (people, bookings, visited)] == [len(rows) for rows in before[:3]]
        assert (
            set(marks(bookings).values())
            == set(marks(people).values())
            == set(marks(visited).values())
            == {1}
        )
        assert len(enrolled) == spoken, "nobody is told twice"
        for now, then in zip((people, bookings, visited), before[:3], strict=True):
            assert [{**row, "updated_at": 0} for row in now] == [{**row, "updated_at": 0} for row in then]
        async with port.app() as app:
            parked = await app.db.read(lambda tx: outbox.in_state(tx, "parked"))
        # NiceJob shows no enrolments: whether Bob's and Eve's were sent is asked, and never tried.
        assert [intent.route for intent in parked] == ["asked", "asked"]
        assert all("shows no enrolments" in intent.problem for intent in parked)

        advance(port, 60)
        port.salon.act("reschedule", appointment_id=port.before[0], start_at=soon(port, 11))
        done = await port.pass_()
        assert done["writes"] == 2, "the booking and its visit: life goes on"
        assert len(port.bookings()) == len(bookings)


async def approved(port):
    async with port.app() as app:
        name = await app.db.read(lambda tx: clearance.plan(tx, "asked"))
        assert await app.db.transaction(lambda tx: guard.approve(app.world, tx, name)) == ("asked", 3)
    return await port.pass_()


@pytest.mark.speaks
async def test_what_the_backup_holds_back_and_was_approved_after_it_is_not_said_twice(tmp_path):
    routes = DIRECT.replace("notify: allow", "notify: allow\n    canary: 0\n    guard: {create: 1}")
    async with harbour(tmp_path, routes=routes) as port:
        await port.pass_()
        await port.arm("people", "asked")
        for number in range(3):
            customer(port, f"Guest{number} Example", f"g{number}@example.com", f"+64 21 555 010{number}")
        await port.pass_()
        assert not port.reviews.enrolments
        copy = port.path.with_name("kept.db")
        async with port.app() as app:
            backup(port.path, copy, now=app.ms())
        await approved(port)
        assert len(port.reviews.enrolments) == 3
        lose(port.path)
        restore(port.path, copy)
        advance(port, 3600)
        await port.pass_()
        # What cannot be looked at is a question to a human, whoever approves it.
        assert (await approved(port))["parked"] == 3
        assert len(port.reviews.enrolments) == 3


@pytest.mark.speaks
async def test_after_a_total_loss_routes_armed_anew_push_nothing_and_find_what_is_theirs(tmp_path):
    async with harbour(tmp_path, routes=ROUTES) as port:
        port.reviews.set_campaign_settings(visits_enrol=True)
        await port.pass_()
        await port.arm(*ALL)
        await life_before(port)
        await life_after(port)
        before, requests = held(port), len(port.writes())
        port.path.unlink()

        await port.pass_()
        await port.arm(*ALL)
        for _ in range(2):
            assert (await port.pass_())["writes"] == 0
        assert (held(port), len(port.writes())) == (before, requests)

        advance(port, 60)
        port.salon.act("reschedule", appointment_id=port.before[0], start_at=soon(port, 12))
        done = await port.pass_()
        assert done["problems"] == {}
        people, bookings, visited, enrolled = held(port)
        assert len(enrolled) == len(before[3])
        assert (len(people), len(bookings), len(visited)) == tuple(map(len, before[:3])), (
            "found by their marks"
        )
        moved = {row["scheduled_time"][:19] for row in bookings}
        assert soon(port, 12)[:19] in moved
        assert (await port.pass_())["writes"] == 0


async def test_a_restored_log_in_that_has_ended_says_how_to_log_in_again(tmp_path):
    async with quay(tmp_path) as port:
        async with port.app() as app:
            await sync(app)
        copy = tmp_path / "kept.db"
        backup(port.path, copy, now=0)
        port.villa.advance(7200)
        async with port.app() as app:
            assert (await sync(app))["problems"] == {}  # renews: the token in the backup is used up
        port.villa.advance(7200)
        restore(port.path, copy)
        async with port.app() as app:
            done = await sync(app)
            row = await app.db.read(lambda tx: units.get(tx, "pull:villa"))
        assert set(done["problems"]) == {"pull:villa"}, done
        assert "bookferry connect villa" in row["problem"]["remedy"]
