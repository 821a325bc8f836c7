"""Forgetting inside the whole program: the unit of the schedule, and the pass of those who run no service."""

from harbour import harbour
from test_first_ferry import appointment, customer, soon, webhook
from test_promises import advance

from daemon.passes import sync
from daemon.schedule import Schedule
from state import units
from state.units import TIDY


def count(tx):
    return {
        "bodies": tx.value("SELECT count(*) FROM inbox WHERE body <> x''"),
        "webhooks": tx.value("SELECT count(*) FROM inbox"),
        "writes": tx.value("SELECT count(*) FROM intent"),
    }


async def test_what_is_old_is_forgotten_and_a_second_pass_still_writes_nothing(tmp_path):
    async with harbour(tmp_path) as port:
        port.text = "keep: 6h\n" + port.text
        await port.pass_()
        await port.arm("reviews")
        moved, gone = (appointment(port, customer(port), days=days) for days in (3, 4))
        await port.pass_()
        async with port.app() as app:
            await webhook(port, app, "cancel", appointment_id=gone)
            port.salon.act("reschedule", appointment_id=moved, start_at=soon(port, 6))
            await sync(app)
            held = await app.db.read(count)
            assert (held["bodies"], held["webhooks"]) == (1, 1)
            assert held["writes"] > 2
            for hours, left in ((12, (0, 1)), (30, (0, 0))):
                advance(port, hours * 3600)
                app.engine.kick(TIDY)
                await app.engine.idle()
                found = await app.db.read(count)
                assert (found["bodies"], found["webhooks"]) == left, hours
            assert found["writes"] == 0
            unit = await app.db.read(lambda tx: units.get(tx, TIDY))
            assert unit["problem"] is None
            for _ in range(2):
                done = await sync(app)
                assert (done["writes"], done["changes"], done["problems"]) == (0, 0, {})
        assert len(port.bookings()) == 2


async def test_a_pass_forgets_once_a_day_and_the_service_every_hour(tmp_path):
    async with harbour(tmp_path) as port, port.app() as app:

        async def last():
            return (await app.db.read(lambda tx: units.get(tx, TIDY)))["last_ok"]

        await sync(app)
        first = await last()
        advance(port, 3600)
        await sync(app)
        assert await last() == first
        advance(port, 86_400)
        await sync(app)
        assert await last() > first
        schedule = Schedule(app)
        schedule.start()
        assert schedule._bell.get_job(TIDY).trigger.interval.total_seconds() == 3600
        schedule.stop()
