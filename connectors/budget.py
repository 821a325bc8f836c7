"""How fast one credential may ask: an exact sliding window over the wall clock.

A token bucket of N, refilled at N per window, lets almost 2N through in the worst window, and platforms count
exactly that window. So every request leaves a stamp, and the next one goes when the window has room.

The clock is the wall clock and not the monotonic one because the stamps survive a restart.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import Any, NamedTuple

from connectors.errors import TryLater

Windows = Sequence[tuple[int, float]]
"""(how many requests, in how many seconds), all of which hold at once."""

EVERYTHING = "all"
"""The scope of a budget that has only one."""

LONGEST_HOLD = 900.0
"""Seconds. However long a platform asks for: a quarter of an hour later it is asked again."""

# Two stamps are never exactly one window apart: nobody knows which end of its window a platform includes.
_MARGIN = 0.001
# What the travel of a request may cost of a window: a limit of so many a second must not become half of it.
_SHARE = 0.1
# Seconds. Whoever is let through while asleep, and wakes later than this, has to ask again: the stamp is too old.
_STALE = 0.5
# How many grants may go past the head of a queue before it is served whatever its lane.
_OVERTAKEN = 8


class Lane(IntEnum):
    """Who goes first when there is too little for all."""

    HOOK = 0
    PUSH = 1
    POLL = 2
    BACKFILL = 3


class Remaining(NamedTuple):
    """What is left of one window: `left` of `limit` in `seconds`; `held` seconds have to pass first."""

    scope: str
    left: int
    limit: int
    seconds: float
    held: float


@dataclass(eq=False, slots=True)
class _Ticket:
    number: int
    served: bool = False
    at: float = 0.0


@dataclass(eq=False, slots=True)
class _Queue:
    """All who wait in one lane for the same scopes: first come, first served."""

    lane: Lane
    scopes: tuple[str, ...]
    tickets: deque[_Ticket] = field(default_factory=deque)
    passed: int = 0

    def rank(self) -> tuple[int, int, int]:
        overdue = self.passed if self.passed >= _OVERTAKEN else 0
        return (-overdue, self.lane, self.tickets[0].number)


class Budget:
    """The request budget of one credential, shared by everything that uses it.

    `windows` are those of the only scope, or a mapping of several. A scope `read:/bookings/{id}` that is not
    listed has windows of its own like those of `read`, for platforms that count by route.
    """

    def __init__(
        self,
        windows: Windows | Mapping[str, Windows],
        *,
        headroom: float = 0.1,
        travel: float = 0.0,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Leave the fraction `headroom` of every limit to other users of the same account.

        `travel`: a request may arrive, and be counted, so many seconds after its stamp.
        """
        listed = windows if isinstance(windows, Mapping) else {EVERYTHING: windows}
        self._windows = {scope: _with_headroom(pairs, headroom) for scope, pairs in listed.items()}
        self._travel = travel
        self._stamps: dict[str, deque[float]] = {}
        self._holds: dict[str, float] = {}
        self._queues: dict[tuple[Lane, tuple[str, ...]], _Queue] = {}
        self._waiting = 0
        self._numbers = count()
        self._now = now
        self._sleep = sleep

    async def take(self, *scopes: str, lane: Lane = Lane.POLL, patience: float = math.inf) -> None:
        """Wait until one more request fits into all `scopes`, and stamp all of them at once.

        `TryLater` where that cannot be within `patience` seconds: longer waits belong to a schedule.
        """
        wanted = scopes or (EVERYTHING,)
        now = self._now()
        if not self._waiting and self.wait(wanted, now) <= 0:
            self._stamp(wanted, now)
            return
        await self._queue_up(wanted, lane, now + patience)

    def wait(self, scopes: Iterable[str], now: float) -> float:
        """Say how many seconds the windows and holds of `scopes` ask for, whoever else is in line."""
        return max((self._wait(scope, now) for scope in scopes), default=0.0)

    def hold(self, scope: str, until: float) -> None:
        """Let nothing through before `until` (epoch seconds), as a 429 or a Retry-After asks."""
        until = min(until, self._now() + LONGEST_HOLD)
        self._holds[scope] = max(until, self._holds.get(scope, 0.0))

    def remaining(self) -> list[Remaining]:
        """Show what is left, for the status page."""
        now = self._now()
        return [
            Remaining(
                scope,
                max(0, limit - sum(stamp > now - seconds for stamp in self._recent(scope, now))),
                limit,
                seconds,
                max(0.0, self._holds.get(scope, 0.0) - now),
            )
            for scope in sorted(self._windows.keys() | self._stamps.keys())
            for limit, seconds in self._limits(scope)
        ]

    def dump(self) -> dict[str, Any]:
        """Give what a restart must not forget, ready for JSON: stamps and holds in epoch milliseconds."""
        now = self._now()
        stamps = {s: [math.ceil(stamp * 1000) for stamp in self._recent(s, now)] for s in self._stamps}
        holds = {scope: math.ceil(until * 1000) for scope, until in self._holds.items() if until > now}
        return {"stamps": {scope: kept for scope, kept in stamps.items() if kept}, "holds": holds}

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Remember what an earlier process dumped. Scopes that no longer exist are forgotten."""
        for scope, stamps in dumped.get("stamps", {}).items():
            if self._known(scope):
                known = self._stamps.get(scope, ())
                self._stamps[scope] = deque(sorted([*known, *(stamp / 1000 for stamp in stamps)]))
        for scope, until in dumped.get("holds", {}).items():
            if self._known(scope):
                self.hold(scope, until / 1000)

    async def _queue_up(self, scopes: tuple[str, ...], lane: Lane, deadline: float) -> None:
        queue = self._queues.setdefault((lane, scopes), _Queue(lane, scopes))
        ticket = _Ticket(next(self._numbers))
        queue.tickets.append(ticket)
        self._waiting += 1
        try:
            # No await may come between the look at the windows and the stamp: both are in _serve.
            while not self._serve(ticket):
                delay = self._until_next(scopes)
                if (due := self._now() + delay) > deadline:
                    raise TryLater("the request budget is used up for now", retry_at=math.ceil(due * 1000))
                await self._sleep(delay)
                if ticket.served and self._now() - ticket.at > _STALE:
                    ticket.served = False
                    queue.tickets.appendleft(ticket)
                    self._waiting += 1
        finally:
            if not ticket.served:
                queue.tickets.remove(ticket)
                self._waiting -= 1

    def _serve(self, ticket: _Ticket) -> bool:
        """Let all through who may go now, and tell whether `ticket` has been among them, now or before."""
        now = self._now()
        while not ticket.served and (queue := self._first(now)):
            self._stamp(queue.scopes, now)
            let = queue.tickets.popleft()
            let.served, let.at = True, now
            self._waiting -= 1
            queue.passed = 0
            for other in self._lined_up():
                other.passed += other is not queue and not set(other.scopes).isdisjoint(queue.scopes)
        return ticket.served

    def _first(self, now: float) -> _Queue | None:
        """Find who goes next: nobody takes from a scope that a better ranked one is waiting for."""
        reserved: set[str] = set()
        for queue in sorted(self._lined_up(), key=_Queue.rank):
            short = {scope for scope in queue.scopes if scope in reserved or self._wait(scope, now) > 0}
            if not short:
                return queue
            # The others of its scopes may be used meanwhile, until it was overtaken too often.
            reserved |= set(queue.scopes) if queue.passed >= _OVERTAKEN else short
        return None

    def _lined_up(self) -> Iterator[_Queue]:
        return (queue for queue in self._queues.values() if queue.tickets)

    def _until_next(self, scopes: tuple[str, ...]) -> float:
        """Seconds until looking again makes sense; where others are in front, until one of them can go."""
        now = self._now()
        if (own := self.wait(scopes, now)) > 0:
            return own
        others = (self.wait(queue.scopes, now) for queue in self._lined_up())
        return min((delay for delay in others if delay > 0), default=_MARGIN)

    def _stamp(self, scopes: Iterable[str], now: float) -> None:
        for scope in scopes:
            self._stamps.setdefault(scope, deque()).append(now)

    def _wait(self, scope: str, now: float) -> float:
        stamps = self._recent(scope, now)
        delay = min(self._holds.get(scope, 0.0) - now, LONGEST_HOLD)
        for limit, seconds in self._limits(scope):
            if len(stamps) >= limit:
                delay = max(delay, stamps[-limit] + seconds + self._margin(seconds) - now)
        return delay

    def _recent(self, scope: str, now: float) -> deque[float]:
        stamps = self._stamps.setdefault(scope, deque())
        if stamps and stamps[-1] > now:  # the clock was set back: as if they had all been now
            self._stamps[scope] = stamps = deque(min(stamp, now) for stamp in stamps)
        longest = max((seconds for _, seconds in self._limits(scope)), default=0.0)
        horizon = now - longest - self._margin(longest)
        while stamps and stamps[0] <= horizon:
            stamps.popleft()
        return stamps

    def _margin(self, seconds: float) -> float:
        """One that was slow is counted after its stamp, one of the next window may be fast: both in one window there."""
        return _MARGIN + min(self._travel, seconds * _SHARE)

    def _limits(self, scope: str) -> Windows:
        return self._windows.get(scope) or self._windows[scope.partition(":")[0]]

    def _known(self, scope: str) -> bool:
        return scope in self._windows or scope.partition(":")[0] in self._windows


def _with_headroom(windows: Windows, headroom: float) -> Windows:
    return [(max(1, math.floor(limit * (1 - headroom) + 1e-9)), seconds) for limit, seconds in windows]
