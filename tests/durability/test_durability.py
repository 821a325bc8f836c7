"""Webhooks through kills and restarts: the short form of ``python -m tests.durability``."""

import pytest

from tests.durability.run import storm


@pytest.mark.speaks
async def test_nothing_acknowledged_is_lost_and_nothing_is_taken_twice(tmp_path):
    # Two kills: whoever is hit by both has a third attempt.
    books = await storm(tmp_path, deliveries=500, rate=200, kill_every=0.9, kills=2, restarts=1, real=20)
    assert (books.kills, books.ends) == (2, 1)
    assert (books.lost, books.stored) == (0, len(books.sent)), books.acknowledged
    assert books.changes == books.stored >= 500
    assert books.carried == 20
