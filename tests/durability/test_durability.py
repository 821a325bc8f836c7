"""Webhooks through kills and restarts: the short form of ``python -m tests.durability``."""

import pytest

from tests.durability.run import storm


@pytest.mark.speaks
async def test_nothing_acknowledged_is_lost_and_nothing_is_taken_twice(tmp_path):
    books = await storm(tmp_path, deliveries=500, rate=200, kill_every=0.9, restarts=1, real=20)
    assert (books.lost, books.kills + books.ends >= 2) == (0, True), books.acknowledged
    assert books.stored == len(books.sent) >= 500
    assert books.carried == 20
