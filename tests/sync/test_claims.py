"""Units: one claim a run, checked in each transaction."""

import pytest
from harbour import harbour

from daemon.units import Unit
from state import units
from state.errors import Fenced


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
