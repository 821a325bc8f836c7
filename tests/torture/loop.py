"""An event loop whose time is virtual: where nothing is ready, it is the next timer's time already."""

import asyncio
import contextvars
from collections.abc import Callable

OWNER: contextvars.ContextVar["Owner | None"] = contextvars.ContextVar("owner", default=None)
"""The life of the program that a task or a callback belongs to; None: the platforms, the staff, the story itself."""


class Owner:
    """Whoever runs tasks and may die: nothing of a dead one is ever run again."""

    dead = False
    tasks: list[asyncio.Task]


class Deadlock(Exception):
    """Nothing is ready and no timer will ever ring."""


class Livelock(Exception):
    """Somebody is at work without end, and time hardly passes."""


_MOST_TURNS = 30_000
"""Of the loop in one simulated minute: fifty times more than a full pass needs."""


class _Jump:
    """In the place of a selector: there are no files to wait for, so waiting is moving the clock."""

    def __init__(self, loop: "Loop") -> None:
        self._loop, self._minute, self._turns = loop, 0, 0

    def select(self, timeout: float | None) -> list:
        self._turns += 1
        if self._loop.moment // 60 != self._minute:
            self._minute, self._turns = self._loop.moment // 60, 0
        if self._turns > _MOST_TURNS:
            raise Livelock
        if timeout is None:
            pending = [task for task in asyncio.all_tasks(self._loop) if not _gone(task)]
            raise Deadlock(", ".join(sorted(task.get_name() for task in pending)))
        if timeout > 0:
            self._loop.moment += timeout
        return []


def _gone(task: asyncio.Task) -> bool:
    owner = task.get_context().get(OWNER) if hasattr(task, "get_context") else None
    return owner is not None and owner.dead


class _Never:
    """What a dead one asked for."""

    def cancel(self) -> None:
        pass

    def cancelled(self) -> bool:
        return True


class Loop(asyncio.BaseEventLoop):
    """Single-threaded, without sockets; ``moment`` is its time in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0
        self._selector = _Jump(self)
        self.set_task_factory(_made)

    def time(self) -> float:
        return self.moment

    def _process_events(self, event_list: list) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def call_soon(self, callback: Callable, *args: object, context: contextvars.Context | None = None):
        if _dead(context):
            return _Never()
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable, *args: object, context: contextvars.Context | None = None
    ):
        if _dead(context):
            return _Never()
        return super().call_at(when, callback, *args, context=context)

    def forget(self, owner: Owner) -> None:
        """Take everything back that a dead one has asked for."""
        for handle in [*self._scheduled, *self._ready]:
            if not handle.cancelled() and handle._context.get(OWNER) is owner:
                handle.cancel()


def _dead(context: contextvars.Context | None) -> bool:
    owner = OWNER.get() if context is None else context.get(OWNER)
    return owner is not None and owner.dead


def _made(loop: asyncio.AbstractEventLoop, work, context: contextvars.Context | None = None) -> asyncio.Task:
    task = asyncio.Task(work, loop=loop, context=context) if context else asyncio.Task(work, loop=loop)
    owner = context.get(OWNER) if context else OWNER.get()
    if owner is not None:
        owner.tasks.append(task)
    return task


def outside() -> contextvars.Context:
    """The context of what belongs to no life of the program."""
    context = contextvars.copy_context()
    context.run(OWNER.set, None)
    return context


def inside(owner: Owner) -> contextvars.Context:
    """The context of what lives and dies with one."""
    context = contextvars.copy_context()
    context.run(OWNER.set, owner)
    return context
