"""``python -m tests.hostile [--bodies N] [--slow N] [--described N] [--seed N]``: the long forms of the attacks on a running service."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.hostile.bodies import Attack
from tests.hostile.house import clean, house
from tests.hostile.slow import Slow, prompt


async def bodies(folder, amount, seed):
    """Fuzzed bodies and headers at both doors; gives what is wrong."""
    async with house(folder) as made:
        begun, before = time.monotonic(), made.resident()
        attack = Attack(
            made, seed, amount, lambda done: _tell(f"{done} of {amount}, {made.resident():.0f} MB")
        )
        bad = await attack.run(watch=lambda: _tell(f"memory {before:.0f} → {made.resident():.0f} MB"))
        _tell(
            f"{amount} requests in {time.monotonic() - begun:.0f} s, answers: {dict(sorted(attack.told.items()))}"
        )
        _tell(f"{attack.taken} genuine deliveries taken, the slowest in {attack.slowest * 1000:.0f} ms")
    return bad


async def slow(folder, clients, seed, seconds):
    """Slow clients in every place of the hook door, and a genuine delivery every tenth of a second."""
    random, took, memory = Random(seed), [], []
    async with house(folder) as made:
        for number in range(50):
            await prompt(made.hooks, random, number)
        _tell(f"before: {made.resident():.0f} MB")
        async with Slow(made.hooks, clients) as crowd:
            await crowd.all_in(clients)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                took.append(await prompt(made.hooks, random, 100 + len(took)))
                memory.append(made.resident())
                await asyncio.sleep(0.1)
            _tell(f"{clients} slow clients, {crowd.open} connected, {crowd.turned_out} turned out")
        _tell(f"{len(took)} genuine deliveries, the slowest in {max(took) * 1000:.0f} ms")
        first, last = memory[len(memory) // 4], memory[-1]
        _tell(
            f"memory: {memory[0]:.0f} MB at first, {first:.0f} MB after a quarter of the time, {last:.0f} MB at the end"
        )
        await made.settled()
        await made.stop()
        return [
            *clean(made),
            *(["not within a second"] if max(took) > 1 else []),
            *(["memory grows"] if last > first + 5 else []),
        ]


async def by_description(folder, examples, _seed):
    """schemathesis by ``doors.openapi.json``, so many examples of each operation and mode."""
    from tests.hostile import described

    told = Counter()
    async with house(folder) as made:
        for operation in described.OPERATIONS:
            ports = described.ports(made)
            await asyncio.to_thread(
                described.attack, operation, ports, examples, lambda one: told.update([one.status_code])
            )
        await made.stop()
        _tell(f"schemathesis: {sum(told.values())} requests, answers: {dict(sorted(told.items()))}")
        return clean(made)


def _tell(line):
    print(line, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--bodies", type=int, default=0, metavar="N", help="so many fuzzed requests (100000)")
    parser.add_argument("--slow", type=int, default=0, metavar="N", help="so many slow clients (1000)")
    parser.add_argument(
        "--described", type=int, default=0, metavar="N", help="so many cases of schemathesis (1000)"
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long the slow ones stay")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    bad = []
    for amount, attack in ((given.described, by_description), (given.bodies, bodies), (given.slow, slow)):
        if amount:
            more = (given.seconds,) if attack is slow else ()
            with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
                bad += asyncio.run(attack(Path(folder), amount, given.seed, *more))
    for line in bad[:50]:
        print(line[:500])
    print(f"{len(bad)} things are wrong" if bad else "nothing is wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
