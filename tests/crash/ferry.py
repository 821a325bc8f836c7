"""One pass, or one hook door, in a process of its own that kills or freezes itself at a named point.

At the Nth occurrence of the point the process gets SIGKILL (``kill``), so nothing is flushed, closed or answered, or SIGSTOP
(``stop``). ``record`` does neither: every point that occurred is told, with how often it did. With a listening socket the
hook door is served there instead of a pass.

Every commit is a point, before and after, by its label; and so is every single request, whatever sends it: before its
bytes leave and after its answer came.
"""

import asyncio
import faulthandler
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from connectors.http import _Chain
from daemon.app import PLATFORMS, opened
from daemon.doors import hook_app, listening
from daemon.passes import sync
from daemon.service import ensure_hooks
from mapping.config import Door
from mapping.load import load
from state.database import Database
from state.errors import TakenOver

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_ID = re.compile(r"(?!v\d$)[\w-]*\d[\w-]*")


class Doom:
    """Counts the points and strikes at the chosen one."""

    def __init__(self, how: str, point: str, number: int, struck: Path) -> None:
        self.how, self.point, self.number, self.struck = how, point, number, struck
        self.met: Counter[str] = Counter()
        self.between = threading.RLock()
        """Held while a transaction is open: who is frozen within one keeps everybody away, and there is no story."""

    def reach(self, point: str) -> None:
        self.met[point] += 1
        if self.how in SIGNALS and point == self.point and self.met[point] == self.number:
            with self.between:
                self.struck.touch()
                os.kill(os.getpid(), SIGNALS[self.how])
                time.sleep(0.2)  # another thread may have got the signal: this one goes no further


class Doomed(Database):
    """A store whose commits are points."""

    doom: Doom

    def _commit_together(self, batch):
        with self.doom.between:
            super()._commit_together(batch)

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


def passage(config: str, db: Path, key: str, told: Path, strike: tuple[str, str, int], held=None) -> None:
    """The whole life of the process. What it has to tell is in ``told``, what it logged beside it."""
    log = os.open(told.with_suffix(".log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable()
    doom = Doomed.doom = Doom(*strike, told.with_suffix(".struck"))
    watch_calls(doom)
    told.write_text(json.dumps(asyncio.run(_pass(config, db, key, held)) | {"met": doom.met}))


async def _pass(text: str, db: Path, key: str, held) -> dict[str, Any]:
    settings = load(
        text, name="bookferry.yaml", platforms=PLATFORMS, env={}, read_file=str, credential=lambda _: None
    )
    async with opened(settings, db, key, settle_ms=0, database=Doomed) as app:
        if held is not None:
            async with listening(hook_app(app), Door("127.0.0.1", 0), label="server.hooks", fd=held.detach()):
                await asyncio.Event().wait()
        if settings.server.public_url:
            await ensure_hooks(app, settings.server.public_url)
        try:
            done = await sync(app)
        except TakenOver as error:
            return {"taken over": str(error)}
    return {"problems": done["problems"]}
