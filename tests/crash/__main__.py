"""``python -m tests.crash``: kill -9 at every point of every scene, each seed at an occurrence and in an order of its own."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "sync")]


def main() -> int:
    from kills import all_killed, all_recorded, every, report
    from scenes import SCENES

    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="kills of each point (default: %(default)s)")
    parser.add_argument("--scene", choices=SCENES, action="append", help="only this one; may be repeated")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    begun, done = time.monotonic(), 0

    def tell(what: tuple) -> None:
        nonlocal done
        done += 1
        scene, point, number, seed, well = what
        if not well or done % 10 == 0:
            line = (
                f"{done}/{len(chosen)} {'ok' if well else 'FAILED'} {scene} {point} no. {number} seed {seed}"
            )
            print(line, file=sys.stderr, flush=True)

    async def run() -> dict:
        return await all_killed(Path(folder), Path(folder), chosen, tell)

    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        met = asyncio.run(all_recorded(Path(folder)))
        points = {point for recorded, _ in met.values() for point in recorded}
        wanted = {scene: met[scene] for scene in given.scene or SCENES}
        chosen = every(wanted, given.seeds)
        failures = asyncio.run(run())
    print(report(failures))
    print(
        f"{len(chosen)} kills at {len(points)} points in {len(wanted)} scenes, {time.monotonic() - begun:.0f} s:"
        f" {len(failures)} failed"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
