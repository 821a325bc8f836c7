"""One life of the program: from its start until it ends or is killed. The next one opens the same file."""

import asyncio
from typing import Any

from tests.torture.loop import OWNER, Loop, Owner, inside

EDGES = {"commit": ("before", "after"), "call": ("before", "during", "after"), "any": ("now",)}
"""Where a life may end: around a commit of the store, around a call to a platform, or wherever it stands."""


class Killed(BaseException):
    """Nobody lives here any more."""


class Life(Owner):
    """What dies with the process: its tasks, its timers, its open calls and its transactions."""

    def __init__(self, world: Any, number: int) -> None:
        self.world, self.name = world, f"life {number}"
        self.tasks: list[asyncio.Task] = []
        self.database: Any = None
        self.app: Any = None
        self.doors: dict[tuple[str, int], Any] = {}
        self.asked: list[asyncio.Future] = []
        self.stop = asyncio.Event()
        self.up, self.ended = asyncio.Event(), asyncio.Event()
        self.renews = False
        """Whether a platform may have given a token that is not on disk yet."""
        self.doom: tuple[str, str, int] | None = None
        self.context = inside(self)

    def spawn(self, work: Any, name: str) -> asyncio.Task:
        return asyncio.get_running_loop().create_task(work, name=name, context=self.context.copy())

    def meets(self, place: str, edge: str) -> bool:
        """Pass a point; gives whether this was the last thing that was done."""
        if self.dead:
            return True
        if self.doom is None or self.doom[:2] != (place, edge):
            return False
        self.doom = (place, edge, self.doom[2] - 1)
        if self.doom[2] > 0:
            return False
        self.kill(f"{edge} a {place}")
        return True

    async def passes(self, place: str, edge: str) -> None:
        """As ``meets``, for whoever can wait for ever."""
        if self.meets(place, edge):
            await asyncio.get_running_loop().create_future()

    def kill(self, where: str) -> None:
        """Nothing of it is ever run again: no clean-up, no open transaction, no answer to whoever has asked."""
        if self.dead:
            return
        self.dead = True
        self.world.tell(self.name, f"is killed {where}")
        self.world.net.tokens_lost += self.renews
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        loop.forget(self)
        if self.database is not None:
            self.database.let_go()
        for waiting in self.asked:
            if not waiting.done():
                waiting.set_result(None)
        self.ended.set()

    def bury(self) -> None:
        """Close what a dead one has left unfinished."""
        self.dead = True
        for task in self.tasks:
            close(task)


def close(task: asyncio.Task) -> None:
    """End a task that will never be run again. What it would still like to do on its way out is refused."""
    task._log_destroy_pending = False
    for _ in range(50):
        if task.done():
            return
        try:
            task.get_coro().close()
        except RuntimeError:  # it waits for something more on its way out
            continue
        except BaseException:  # noqa: BLE001 - nobody is there to be told
            return
        return


def living() -> Life:
    """Whose code is running."""
    life = OWNER.get()
    assert isinstance(life, Life)
    return life
