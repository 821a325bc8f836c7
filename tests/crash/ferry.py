"""One `sync`, or one hook door, in a process of its own that kills itself at a named point.

``python -m tests.crash.ferry CONFIG DB POINT N [FD]``: at the Nth occurrence of POINT the process gets SIGKILL, so
nothing is flushed, closed or answered. The point ``record`` kills nothing: every point that occurred is printed, with
how often it did. With FD, a listening socket, the hook door is served there instead of a pass.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from daemon.app import PLATFORMS, opened
from daemon.doors import hook_app, listening
from daemon.passes import sync
from mapping.config import Door
from mapping.load import load
from state.database import Database

CALLS = ("pull", "find", "fetch", "write")


class Doom:
    """Counts the points and strikes at the chosen one."""

    def __init__(self, point: str, number: int) -> None:
        self.point, self.number = point, number
        self.met: Counter[str] = Counter()

    def reach(self, point: str) -> None:
        self.met[point] += 1
        if point == self.point and self.met[point] == self.number:
            os.kill(os.getpid(), signal.SIGKILL)


class Doomed(Database):
    """A store whose commits are points."""

    doom: Doom

    def _commit(self, connection, batch):
        labels = [job.label for job in batch if job.label]
        for label in labels:
            self.doom.reach(f"before:{label}")
        super()._commit(connection, batch)
        for label in labels:
            self.doom.reach(f"after:{label}")


async def watched(doom, name, call, *args, **named):
    doom.reach(f"before:call:{name}")
    result = await call(*args, **named)
    doom.reach(f"after:call:{name}")
    return result


async def main(config: str, db: str, point: str, number: str, fd: str = "") -> None:
    doom = Doomed.doom = Doom(point, int(number))
    text = Path(config).read_text()
    settings = load(text, name=config, platforms=PLATFORMS, env={}, read_file=str, credential=lambda _: None)
    async with opened(settings, Path(db), os.environ["BOOKFERRY_KEY"], settle_ms=0, database=Doomed) as app:
        for connector in app.connectors.values():
            for name in CALLS:
                setattr(connector, name, partial(watched, doom, name, getattr(connector, name)))
        if fd:
            async with listening(hook_app(app), Door("127.0.0.1", 0), label="server.hooks", fd=int(fd)):
                await asyncio.Event().wait()
        await sync(app)
    if point == "record":
        print(json.dumps(doom.met))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
