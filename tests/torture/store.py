"""The store without its threads: the same file, the same transactions, committed where the event loop stands.

Transactions that arrive within a drawn moment share one commit, as they do with the writer's thread. Each commit is a
point at which the process may be killed, before it or after it.
"""

import asyncio
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from state.database import Database, Tx, _Job, _migrated, connect
from state.errors import StoreUnavailable
from tests.torture.life import Killed, Life, living

T = TypeVar("T")


class InlineDatabase(Database):
    """One connection that writes and one that reads, both used in the loop's own thread."""

    life: Life

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[_Job] = []
        self._jobs = queue.SimpleQueue()
        self._read_from = self._write_to = None
        self._closing = False

    @classmethod
    async def open(cls, path: Path | str) -> Self:
        database = cls(Path(path))
        database.life = living()
        database._write_to = connect(database.path)
        database._write_to.execute("PRAGMA synchronous=OFF")  # the machine never dies here, only the process
        _migrated(database._write_to, database.path)
        database.life.database = database
        return database

    async def close(self) -> None:
        self._closing = True
        while self._waiting:
            self._flush()
        self.let_go()

    def let_go(self) -> None:
        """As when the process ends: what is not committed never was."""
        for connection in (self._write_to, self._read_from):
            if connection is not None:
                connection.close()
        self._write_to = self._read_from = None

    async def transaction(self, fn: Callable[[Tx], T], label: str = "") -> T:
        if self.life.dead:
            raise Killed
        if self._closing:
            raise StoreUnavailable(f"{self.path}: this store is being closed. Nothing was stored.")
        job = _Job(fn, label)
        self._waiting.append(job)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(self.life.world.slow_disk(), self._flush)
        result: T = await job.future
        return result

    async def read(self, fn: Callable[[Tx], T]) -> T:
        if self.life.dead:
            raise Killed
        await asyncio.sleep(0)
        return self._read(fn)

    def _flush(self) -> None:
        batch, self._waiting = self._waiting[:256], self._waiting[256:]
        if batch:
            labels = sorted(job.label for job in batch)
            if self.life.meets("commit", "before"):
                return
            self._commit_together(batch)
            self.life.world.commits += 1
            if "token.put" in labels:
                self.life.renews = False
            self.life.world.tell(self.life.name, "commits " + " ".join(labels))
            self.life.meets("commit", "after")

    def _commit(self, connection: Any, batch: list[_Job]) -> None:
        connection.commit()
