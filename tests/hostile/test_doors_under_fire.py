"""A short form of ``python -m tests.hostile --bodies``: a running service, its two doors, and whatever may be sent there."""

import asyncio
from collections import Counter

from tests.hostile import described
from tests.hostile.bodies import Attack
from tests.hostile.house import clean, house


async def test_no_body_and_no_header_breaks_a_door_or_tells_a_secret(tmp_path):
    async with house(tmp_path) as made:
        attack = Attack(made, "suite", 1_500)
        assert await attack.run() == []
        assert attack.taken == 30
        assert attack.slowest < 1
        assert attack.told[200] > 300
        assert {status for status in attack.told if status >= 400} >= {400, 401, 404, 413}
        assert made.inbox().get("new", 0) == 0


async def test_the_doors_are_as_they_are_described(tmp_path):
    async with house(tmp_path) as made:
        told = Counter()
        for operation in described.OPERATIONS:
            await asyncio.to_thread(
                described.attack,
                operation,
                described.ports(made),
                40,
                lambda response: told.update([response.status_code]),
            )
        assert await made.stop() == 0
        assert clean(made) == []
    assert told[200] >= 2
    assert told[401] + told[404] > 6
    assert not {status for status in told if status >= 500}
