"""The engine: it runs a unit of work for a key, one runner a key. A kick carries nothing but the key."""

import asyncio
from collections.abc import Awaitable, Callable


class Engine:
    """Asyncio in this process. ``kick`` is idempotent and returns at once."""

    def __init__(self, run: Callable[[str], Awaitable[None]]) -> None:
        self._run = run
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._open = True

    def kick(self, key: str) -> None:
        """Let the unit look for work. While it is at work already, it looks once more afterwards."""
        if not self._open:
            return
        if key in self._busy:
            self._again.add(key)
            return
        task = asyncio.get_running_loop().create_task(self._work(key), name=key)
        self._busy[key] = task

    async def _work(self, key: str) -> None:
        try:
            while True:
                self._again.discard(key)
                await self._run(key)
                if key not in self._again or not self._open:
                    return
        finally:
            del self._busy[key]

    def stop(self) -> None:
        """Start nothing new."""
        self._open = False

    async def idle(self) -> None:
        """Wait until no unit is at work."""
        while self._busy:
            await asyncio.wait(list(self._busy.values()))

    @property
    def busy(self) -> tuple[str, ...]:
        """The keys at work."""
        return tuple(self._busy)

    async def drain(self, seconds: float) -> None:
        """Start nothing new, let what is at work finish for so long, then cancel it: a crash would do no less."""
        self.stop()
        tasks = list(self._busy.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
