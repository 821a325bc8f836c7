"""The sandbox kit's webhooks: really sent, retried, held back, reordered, doubled, lost."""

import asyncio
import ipaddress
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from connectors.http import tls_context

Signed = tuple[bytes, dict[str, str]]
AT_ONCE = 20  # deliveries under way at the same time


@dataclass(slots=True)
class Attempt:
    """One try to deliver: ``status`` where there was an answer, ``error`` where there was none."""

    at: str
    number: int
    status: int | None = None
    error: str | None = None


@dataclass(slots=True)
class Delivery:
    """One event for one endpoint. ``build(n)`` gives the signed bytes and headers of attempt ``n``."""

    url: str
    event: str
    build: Callable[[int], Signed]
    delays: tuple[float, ...]
    wanted: Callable[[], bool] = lambda: True
    exhausted: Callable[[], None] = lambda: None
    state: str = "pending"  # held, pending, delivered, failed, lost
    attempts: list[Attempt] = field(default_factory=list)
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """Return what the control surface shows."""
        return {
            "url": self.url,
            "event": self.event,
            "state": self.state,
            "attempts": self.attempts,
            "content": self.content.decode(),
            "headers": self.headers,
        }


def is_public_https(url: str) -> bool:
    """Apply the platforms' rule: https only, no local names, no private, loopback or reserved addresses."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme != "https" or not host or host == "localhost":
        return False
    if host.endswith((".local", ".internal", ".localhost")):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True


class Webhooks:
    """Sends deliveries in background tasks.

    ``pause`` sleeps by the sandbox's clock and answers False once the sandbox is stopped. The back-off is
    multiplied by ``scale``; moving the clock forward also makes a waiting retry due.
    """

    def __init__(
        self,
        *,
        stamp: Callable[[], str],
        pause: Callable[[float], Awaitable[bool]],
        timeout: float,
        scale: float,
        strict: bool,
    ) -> None:
        self.log: list[Delivery] = []
        self.stamp = stamp
        self.pause = pause
        self.timeout = timeout
        self.scale = scale
        self.strict = strict
        self.held: list[Delivery] = []
        self.holding = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._unstarted: list[Delivery] = []
        self._client: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    def submit(self, delivery: Delivery) -> None:
        """Take a delivery on; it is sent in the background unless deliveries are held."""
        self.log.append(delivery)
        if self.holding:
            delivery.state = "held"
            self.held.append(delivery)
        elif self._client is None:
            self._unstarted.append(delivery)
        else:
            self._spawn(self._deliver(delivery))

    def hold(self) -> None:
        """Keep deliveries back from now on."""
        self.holding = True

    def release(self, order: str, *, duplicate: int, drop: int, seed: int) -> list[Delivery]:
        """Send what was held, one after the other in the order wanted; returns it in that order."""
        chosen = random.Random(seed)
        held, self.held, self.holding = self.held, [], False
        lost = set(chosen.sample(range(len(held)), min(drop, len(held))))
        for index in lost:
            held[index].state = "lost"
        kept = [delivery for index, delivery in enumerate(held) if index not in lost]
        twice = set(chosen.sample(range(len(kept)), min(duplicate, len(kept))))
        queue = list(self._with_copies(kept, twice))
        if order == "reversed":
            queue.reverse()
        elif order == "shuffled":
            chosen.shuffle(queue)
        elif order != "fifo":
            raise ValueError(f"the order is fifo, reversed or shuffled, not {order!r}")
        for delivery in queue:
            delivery.state = "pending"
        self._spawn(self._in_order(queue))
        return queue

    def _with_copies(self, kept: list[Delivery], twice: set[int]) -> Iterator[Delivery]:
        for index, delivery in enumerate(kept):
            yield delivery
            if index in twice:
                copy = replace(delivery, attempts=[], headers={})
                self.log.append(copy)
                yield copy

    def redeliver(self, index: int) -> Delivery:
        """Send an old delivery again, once, with the same bytes and the same headers."""
        old = self.log[index]
        signed = (old.content, old.headers) if old.content else old.build(1)
        again = Delivery(old.url, old.event, lambda _n: signed, ())
        self.log.append(again)
        self._spawn(self._deliver(again))
        return again

    async def quiet(self, within: float) -> None:
        """Wait until no delivery is under way or waiting for a retry; held ones do not count."""
        async with asyncio.timeout(within):
            while self._tasks:
                await asyncio.wait(set(self._tasks))

    async def start(self) -> None:
        """Open the client and send what was taken on before."""
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls_context(), keepalive_timeout=2),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=["content-type"],
            timeout=aiohttp.ClientTimeout(total=None),  # see _post
        )
        self._slots = asyncio.Semaphore(AT_ONCE)
        waiting, self._unstarted = self._unstarted, []
        for delivery in waiting:
            self._spawn(self._deliver(delivery))

    async def stop(self) -> None:
        """Give up whatever is still to be sent."""
        client, self._client = self._client, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if client is not None:
            await client.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_order(self, queue: list[Delivery]) -> None:
        for delivery in queue:
            if not await self._attempt(delivery):
                self._spawn(self._retry(delivery))

    async def _deliver(self, delivery: Delivery) -> None:
        if not await self._attempt(delivery):
            await self._retry(delivery)

    async def _retry(self, delivery: Delivery) -> None:
        for delay in delivery.delays:
            if not await self.pause(delay * self.scale) or not delivery.wanted():
                return
            if await self._attempt(delivery):
                return
        delivery.state = "failed"
        delivery.exhausted()

    async def _attempt(self, delivery: Delivery) -> bool:
        async with self._slots:
            attempt = Attempt(self.stamp(), len(delivery.attempts) + 1)
            delivery.content, delivery.headers = delivery.build(attempt.number)
            delivery.attempts.append(attempt)
            await self._post(delivery, attempt)
        done = attempt.status is not None and 200 <= attempt.status < 300  # noqa: PLR2004 - any 2xx
        if done:
            delivery.state = "delivered"
        return done

    async def _post(self, delivery: Delivery, attempt: Attempt) -> None:
        client = self._client
        if client is None or (self.strict and not is_public_https(delivery.url)):
            attempt.error = "address not allowed"
            return
        try:
            post = client.post(
                delivery.url, data=delivery.content, headers=delivery.headers, allow_redirects=False
            )
            async with asyncio.timeout(self.timeout), post as answer:
                await answer.read()
            attempt.status = answer.status
        except TimeoutError:
            attempt.error = "timeout"
        except (aiohttp.ClientError, OSError) as problem:
            attempt.error = type(problem).__name__
