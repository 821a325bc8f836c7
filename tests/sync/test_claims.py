"""Units: one claim a run, checked in each transaction."""

import asyncio

import pytest
from harbour import REVIEWS, harbour
from test_first_ferry import appointment, customer

from daemon.service import serve
from daemon.units import Unit, run_unit
from state import units
from state.errors import Fenced, TakenOver


async def test_a_unit_that_was_taken_over_writes_nothing_more(tmp_path):
    async with harbour(tmp_path) as port, port.app() as app:
        unit = Unit(app, "push:reviews")
        await unit.commit(lambda tx: None, "first")
        await app.db.transaction(lambda tx: units.claim(tx, "push:reviews", now=app.ms()))
        with pytest.raises(Fenced):
            await unit.commit(lambda tx: tx.run("INSERT INTO lease VALUES ('x', 'y', 1)"), "second")
        assert await app.db.read(lambda tx: tx.value("SELECT count(*) FROM lease")) == 0


async def test_a_failed_first_transaction_claims_nothing(tmp_path):
    async with harbour(tmp_path) as port, port.app() as app:
        unit = Unit(app, "push:reviews")

        def fail(_tx):
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await unit.commit(fail, "first")
        assert unit.held is None
        assert (
            await unit.commit(
                lambda tx: tx.value("SELECT epoch FROM unit WHERE key = 'push:reviews'"), "second"
            )
            == 1
        )


def opened_elsewhere(app):
    return app.db.transaction(lambda tx: units.claim(tx, units.STORE, now=app.ms()))


async def test_a_store_that_another_process_opened_is_left_alone(tmp_path):
    async with harbour(tmp_path) as port, port.app() as app:
        unit = Unit(app, "push:reviews")
        await opened_elsewhere(app)
        with pytest.raises(TakenOver, match="One at a time"):
            await unit.commit(lambda tx: None, "first")
        assert await app.db.read(units.every) == [], "nothing is claimed either"


async def test_a_write_that_waited_is_not_sent_once_the_store_is_another_s(tmp_path):
    """Decided, committed, sent and refused for its rate: the repetition comes later, and by then it is no longer ours."""
    async with harbour(tmp_path, routes=REVIEWS) as port:
        await port.pass_()
        await port.arm("reviews")
        appointment(port, customer(port))
        async with port.app() as app:
            await run_unit(app, "pull:salon")
            await app.engine.drain(0)
            port.reviews.fault("error", "POST", "/v2/people", status=429, retry_after="0")
            pushing = asyncio.create_task(run_unit(app, "push:reviews"))
            async with asyncio.timeout(10):
                while not port.reviews.calls("POST", "/v2/people"):
                    await asyncio.sleep(0)
            await opened_elsewhere(app)
            await pushing
            assert isinstance(app.taken_over, TakenOver)
            assert len(port.reviews.calls("POST", "/v2/people")) == 1
        done = await port.pass_()
        assert (done["parked"], done["open"], len(port.people()), len(port.bookings())) == (0, 0, 1, 1)


async def test_the_service_ends_once_the_store_is_another_s(tmp_path):
    async with harbour(tmp_path) as port:
        port.text += "server: {hooks: 127.0.0.1:0, admin: 127.0.0.1:0}\n"
        async with port.app() as app:
            ready = asyncio.Event()
            serving = asyncio.create_task(serve(app, ready=lambda *_: ready.set()))
            await ready.wait()
            await opened_elsewhere(app)
            app.engine.kick("inbox:salon")
            with pytest.raises(TakenOver, match="taken over by another bookferry"):
                async with asyncio.timeout(20):
                    await serving
