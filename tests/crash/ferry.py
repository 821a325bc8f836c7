"""One pass, or one hook door, in a process of its own that kills or freezes itself at a named point.

``python -m tests.crash.ferry CONFIG DB HOW POINT N [FD]``: at the Nth occurrence of POINT the process gets SIGKILL
(``kill``), so nothing is flushed, closed or answered, or SIGSTOP (``stop``). ``record`` does neither: every point that
occurred is printed, with how often it did. With FD, a listening socket, the hook door is served there instead of a pass.

Every commit is a point, before and after, by its label; and so is every single request, whatever sends it: before its
bytes leave and after its answer came.
"""

import asyncio
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from connectors.http import _Chain
from daemon.app import PLATFORMS, opened
from daemon.doors import hook_app, listening
from daemon.passes import sync
from daemon.service import ensure_hooks
from mapping.config import Door
from mapping.load import load
from state.database import Database
from state.errors import Fenced

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_ID = re.compile(r"(?!v\d$)[\w-]*\d[\w-]*")


class Doom:
    """Counts the points and strikes at the chosen one."""

    def __init__(self, how: str, point: str, number: int) -> None:
        self.how, self.point, self.number = how, point, number
        self.met: Counter[str] = Counter()
        self.between = threading.RLock()
        """Held while a transaction is open: who is frozen within one keeps everybody away, and there is no story."""

    def reach(self, point: str) -> None:
        self.met[point] += 1
        if self.how in SIGNALS and point == self.point and self.met[point] == self.number:
            with self.between:
                os.kill(os.getpid(), SIGNALS[self.how])
                time.sleep(0.2)  # another thread may have got the signal: this one goes no further


class Doomed(Database):
    """A store whose commits are points."""

    doom: Doom

    def _commit_together(self, connection, batch):
        with self.doom.between:
            super()._commit_together(connection, batch)

    def _commit(self, connection, batch):
        labels = [job.label for job in batch if job.label]
        for label in labels:
            self.doom.reach(f"before:{label}")
        super()._commit(connection, batch)
        for label in labels:
            self.doom.reach(f"after:{label}")


def called(request) -> str:
    """A request by its method and its path, without anybody's ids."""
    path = "/".join("*" if _ID.fullmatch(part) else part for part in request.url.path.split("/"))
    return f"call:{request.method} {path}"


def watch_calls(doom: Doom) -> None:
    """The one place that every request passes on its way out."""
    exchange = _Chain._exchange

    async def watched(self, request, **options):
        doom.reach(f"before:{called(request)}")
        answer = await exchange(self, request, **options)
        doom.reach(f"after:{called(request)}")
        return answer

    _Chain._exchange = watched


async def main(config: str, db: str, how: str, point: str, number: str, fd: str = "") -> None:
    doom = Doomed.doom = Doom(how, point, int(number))
    watch_calls(doom)
    text = Path(config).read_text()
    settings = load(text, name=config, platforms=PLATFORMS, env={}, read_file=str, credential=lambda _: None)
    told = {}
    async with opened(settings, Path(db), os.environ["BOOKFERRY_KEY"], settle_ms=0, database=Doomed) as app:
        if fd:
            async with listening(hook_app(app), Door("127.0.0.1", 0), label="server.hooks", fd=int(fd)):
                await asyncio.Event().wait()
        if settings.server.public_url:
            await ensure_hooks(app, settings.server.public_url)
        try:
            await sync(app)
        except Fenced as error:
            told["fenced"] = str(error)
    print(json.dumps(told | {"met": doom.met}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
