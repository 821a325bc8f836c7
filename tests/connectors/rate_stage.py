"""A simulated day: many connections at work, and a clock that moves on when all of them sleep."""

import asyncio
import heapq
import random
from collections import Counter, defaultdict, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count

from connectors.base import Surroundings, budget_of
from connectors.errors import TryLater
from connectors.registry import CONNECTORS
from connectors.sandbox import instant, serve
from connectors.sandbox_clock import Clock
from tests.contract.surround import NOW, MemoryTokens

MINUTE, HOUR, DAY = 60, 3600, 86_400
CONNECTIONS = 20

TRAVEL = [tenth / 10 for tenth in range(9)]
"""How many seconds a request may be on its way. One that is slow is counted together with those that follow it."""

_AT_REST = 25
"""So many turns of the loop without a request at the platform, and nobody will do anything before the clock moves."""
_TOGETHER = 1e-3
"""Seconds: who wakes so close to another wakes with it."""
_SPREAD = 2.0
"""Seconds between the first polls of two connections, as the schedule has it."""
_SIDE_BY_SIDE = 8
"""How many records the daemon's inbox fetches at once."""
_SHORTEST_PAUSE = 5.0
"""Seconds that the daemon waits before it tries again, whatever moment the error names."""


class Still(Clock):
    """A clock that stands unless it is moved."""

    def time(self):
        return self.offset


def stilled(box):
    """The same sandbox with a clock that stands at the hour of all tests."""
    box.clock = Still()
    box.clock.move(instant(NOW).timestamp())
    return box


class Day:
    """Moves the sandbox's clock to whoever wants to wake next, once nothing is left to do before."""

    def __init__(self, box):
        self.box, self.start = box, box.clock.time()
        self._luck = random.Random(1)
        self._flying, self._landed = 0, asyncio.Event()
        self._asleep, self._numbers = [], count()

    @property
    def now(self):
        """Seconds since the day began."""
        return self.box.clock.time() - self.start

    async def sleep(self, seconds):
        waking = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self.now + max(0.0, seconds), next(self._numbers), waking))
        await waking

    async def until(self, due):
        await self.sleep(due - self.now)

    async def travel(self):
        """A request leaves and arrives after a while. From then on it is real, and the clock waits for its end."""
        await self.sleep(self._luck.choice(TRAVEL))
        self._flying += 1
        self._landed.clear()

    def landed(self, *_about):
        """A request has ended."""
        self._flying -= 1
        if not self._flying:
            self._landed.set()

    async def live(self, actors):
        """Let the actors act until all of them are done."""
        whole = asyncio.ensure_future(_together(actors))
        while not whole.done():
            await self._rest()
            self._wake()
        await whole

    async def _rest(self):
        turns = 0
        while turns < _AT_REST:
            turns += 1
            if self._flying:
                await self._landed.wait()
                turns = 0
            await asyncio.sleep(0)

    def _wake(self):
        if self._asleep:
            self.box.advance(max(0.0, self._asleep[0][0] - self.now))
        while self._asleep and self._asleep[0][0] <= self.now + _TOGETHER:
            waking = heapq.heappop(self._asleep)[2]
            if not waking.done():
                waking.set_result(None)


async def _together(actors):
    async with asyncio.TaskGroup() as group:
        for actor in actors:
            group.create_task(actor)


class Watched:
    """A budget that tells the day of each request that leaves."""

    def __init__(self, budget, day):
        self._budget, self._day = budget, day

    async def take(self, *scopes, **how):
        await self._budget.take(*scopes, **how)
        await self._day.travel()

    def hold(self, scope, until):
        self._budget.hold(scope, until)


@dataclass(frozen=True)
class Deed:
    """Something that had to be done: when it was due and when it was done, in seconds since the day began."""

    what: str
    due: float
    done: float


@dataclass(frozen=True)
class Plan:
    """What each connection does in a day. Moments are in seconds since it began."""

    every: float
    """Seconds between two polls."""
    pushes: tuple[tuple[float, int], ...] = ()
    """When how many writes are due."""
    hooks: tuple[tuple[float, int], ...] = ()
    """When how many webhooks arrive."""
    events: tuple[tuple[float, str], ...] = ()
    """When the platform's people do what."""
    begin: float = 0
    end: float = DAY

    def agenda(self, entries):
        return sorted((due, what) for due, what in entries if self.begin <= due < self.end)


class Fleet:
    """Connections of one platform, and what they did. ``write`` and ``fetch`` say what those of a number send."""

    def __init__(self, box, plan, write, fetch):
        self.box, self.plan, self._write, self._fetch = box, plan, write, fetch
        self.day = Day(box)
        self.budgets, self.connectors, self.deeds = {}, [], []

    def connect(self, platform, settings, *, shared):
        """As the daemon does it: one budget for each credential. Not ``shared``: one for each connection."""
        made, name, now = CONNECTORS[platform], f"c{len(self.connectors):02}", self.box.clock.time
        key = made.credential(settings) if shared else name
        if key not in self.budgets:
            self.budgets[key] = Watched(budget_of(made.platform, settings, now, self.day.sleep), self.day)
        around = Surroundings(
            self.budgets[key], MemoryTokens(), now, on_request=self.day.landed, sleep=self.day.sleep
        )
        self.connectors.append(made(name, settings, around))
        return self.connectors[-1]

    async def live(self):
        acts = (self._poll, self._push, self._hear)
        actors = [act(number, each) for number, each in enumerate(self.connectors) for act in acts]
        await self.day.live([*actors, self._staff()])

    async def _poll(self, number, connector):
        due = self.plan.begin + number * _SPREAD
        while due < self.plan.end:
            await self.day.until(due)
            for kind in connector.streams:
                await self._walk(connector, kind)
            self._did("poll", due)
            due += self.plan.every

    async def _walk(self, connector, kind):
        page = await self._insist(partial(connector.pull, kind, None))
        while page.next is not None:
            page = await self._insist(partial(connector.pull, kind, page.next))

    async def _push(self, number, connector):
        for due, amount in self.plan.agenda(self.plan.pushes):
            await self.day.until(due)
            for turn in range(amount):
                await self._insist(partial(connector.write, self._write(number, f"{due}, {turn}")))
                self._did("push", due)

    async def _hear(self, number, connector):
        for due, amount in self.plan.agenda(self.plan.hooks):
            await self.day.until(due)
            gate = asyncio.Semaphore(_SIDE_BY_SIDE)
            await asyncio.gather(*(self._look(number, connector, due, gate) for _ in range(amount)))

    async def _look(self, number, connector, due, gate):
        async with gate:
            assert await self._insist(partial(connector.fetch, *self._fetch(number))) is not None
            self._did("hook", due)

    async def _staff(self):
        for due, action in self.plan.agenda(self.plan.events):
            await self.day.until(due)
            self.box.act(action)

    async def _insist(self, work):
        """As the daemon's units: what was put off is tried again at the moment that the error names."""
        while True:
            try:
                return await work()
            except TryLater as error:
                named = 0.0 if error.retry_at is None else error.retry_at / 1000 - self.box.clock.time()
                await self.day.sleep(max(named, _SHORTEST_PAUSE))

    def _did(self, what, due):
        self.deeds.append(Deed(what, due, self.day.now))

    # What came of it.

    def done(self):
        return Counter(deed.what for deed in self.deeds)

    def latest(self, what):
        """By how many seconds the latest of them was late."""
        return max(deed.done - deed.due for deed in self.deeds if deed.what == what)

    def refused(self):
        """How often the platform said that it was too much."""
        return sum(call.status == 429 for call in self.box.requests)

    def busiest(self, seconds, scope):
        """By the platform's own record, the most requests in any such time, for each name that ``scope`` gives."""
        most, recent = Counter(), defaultdict(deque)
        for call in self.box.requests:
            at, name = instant(call.at).timestamp(), scope(call)
            stamps = recent[name]
            stamps.append(at)
            while stamps[0] <= at - seconds:
                stamps.popleft()
            most[name] = max(most[name], len(stamps))
        return most


async def fleet(box, plan, platform, settings, write, fetch, *, shared=True):
    """Twenty connections with the ``settings`` of (address, number), after their day."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(box))
        made = Fleet(box, plan, write, fetch)
        for number in range(CONNECTIONS):
            connector = made.connect(platform, settings(url, number), shared=shared)
            stack.push_async_callback(connector.aclose)
        await made.live()
    return made
