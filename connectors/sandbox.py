"""The sandbox kit: what every platform's stand-in shares.

A sandbox is a faithful stand-in of a platform's documented API, served over real HTTP on the loopback. It
ships with the package: for the demo, for the tests, and for users without an account. Each has its own
clock, a log of the requests it got, faults that can be armed, and webhooks that are really sent.

Everything that can be done to a sandbox is a method in Python; the control surface under ``/_sandbox``
offers the same methods to other processes. It has no password, so a sandbox belongs on the loopback.
"""

import asyncio
import inspect
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from starlette.routing import compile_path

from connectors.sandbox_clock import Clock, instant, iso
from connectors.sandbox_control import CONTROL, ControlSurface
from connectors.sandbox_faults import KINDS, Fault, Faults
from connectors.sandbox_fiction import Fictional, Mode, people, tidy_email, tidy_phone, tidy_text
from connectors.sandbox_hooks import Delivery, Webhooks, is_public_https
from connectors.sandbox_wire import (
    Exchange,
    Logged,
    Receive,
    Refusal,
    Reply,
    Request,
    Scope,
    Send,
    dump,
    listening,
    read_request,
)

__all__ = [
    "Delivery",
    "Fault",
    "Fictional",
    "Handler",
    "Logged",
    "Mode",
    "Refusal",
    "Reply",
    "Request",
    "Sandbox",
    "change",
    "dump",
    "instant",
    "is_public_https",
    "iso",
    "people",
    "run",
    "serve",
    "tidy_email",
    "tidy_phone",
    "tidy_text",
]

log = logging.getLogger("bookferry.sandbox")
KEPT_REQUESTS = 100_000
SECRET_FIELDS = frozenset({"client_secret", "code", "password", "refresh_token", "token", "access_token"})

Handler = Callable[[Request], Reply]


class Sandbox:
    """Base of all sandboxes: a platform adds its routes, its staff's actions and its error envelope.

    ``normalise``: the platform rewrites what it is sent (see ``tidy_text``), stores and returns the new form.
    ``strict_urls``: webhook endpoints must be public https addresses, as the real platforms demand. A sandbox
    allows plain http on the loopback unless told so, since that is where its users live.
    ``retry_scale``: factor on the back-off between webhook attempts.
    ``real_signatures``: sign webhooks with the real time instead of the sandbox's clock.
    ``clock``: one that several sandboxes share, so that time passes for all of them at once.
    """

    platform: ClassVar[str]
    hook_delays: ClassVar[tuple[float, ...]] = ()
    hook_timeout: ClassVar[float] = 10.0

    def __init__(
        self,
        *,
        normalise: Mode = False,
        strict_urls: bool = False,
        retry_scale: float = 1.0,
        real_signatures: bool = False,
        hook_timeout: float | None = None,
        seed: int = 1,
        clock: Clock | None = None,
    ) -> None:
        self.normalise = normalise
        self.strict_urls = strict_urls
        self.real_signatures = real_signatures
        self.rng = random.Random(seed)
        self.clock = clock or Clock()
        self.requests: list[Logged] = []
        self.base_url = ""
        self.hooks = Webhooks(
            stamp=self.stamp,
            pause=self.clock.sleep,
            timeout=self.hook_timeout if hook_timeout is None else hook_timeout,
            scale=retry_scale,
            strict=strict_urls,
        )
        self._faults = Faults()
        self._late: set[asyncio.Task[None]] = set()
        self._routes = [(verb, compile_path(path)[0], handler) for verb, path, handler in self.routes()]
        self._control = ControlSurface(self)
        self._actions = {action.__name__: action for action in self.staff_actions()}

    # What a platform adds.

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return the documented endpoints: method, path template, handler."""
        raise NotImplementedError

    def staff_actions(self) -> list[Callable[..., Any]]:
        """Return the methods that stand for what people do in the platform's own pages."""
        raise NotImplementedError

    def problem(self, status: int, message: str) -> Any:
        """Return an error in the platform's own envelope."""
        raise NotImplementedError

    def rows(self, limit: int) -> dict[str, list[Any]]:
        """Return up to ``limit`` of the newest rows of every kind, for the control surface."""
        raise NotImplementedError

    def counts(self) -> dict[str, int]:
        """Return how many rows of every kind there are."""
        raise NotImplementedError

    # Controls.

    def now(self) -> datetime:
        """Return the sandbox's time."""
        return datetime.fromtimestamp(self.clock.time(), UTC)

    def stamp(self) -> str:
        """Return the sandbox's time as text."""
        return iso(self.now())

    def signing_time(self) -> int:
        """Return the Unix seconds that stand in a webhook's signature."""
        return int(time.time() if self.real_signatures else self.clock.time())

    def advance(self, seconds: float) -> str:
        """Move the clock forward; whatever waits by it becomes due."""
        self.clock.move(self.clock.offset + seconds)
        return self.stamp()

    def set_clock(self, text: str) -> str:
        """Set the clock to an instant, from where it goes on."""
        self.clock.move(instant(text).timestamp() - time.time())
        return self.stamp()

    def fault(
        self,
        kind: str,
        method: str | None = None,
        path: str = "",
        times: int | None = 1,
        after: int = 0,
        **options: Any,
    ) -> Fault:
        """Arm a fault; see ``connectors.sandbox_faults`` for the kinds and their options."""
        return self._faults.add(Fault(kind, method, path, times, after, **options))

    def clear_faults(self) -> None:
        """Disarm every fault."""
        self._faults.waiting.clear()

    @property
    def faults(self) -> list[Fault]:
        """The armed faults."""
        return self._faults.waiting

    def clear_requests(self) -> None:
        """Empty the request log."""
        self.requests.clear()

    def calls(
        self, method: str | None = None, path: str = "", *, applied: bool | None = None
    ) -> list[Logged]:
        """Return the logged requests that fit; ``path`` is an expression, as for faults."""
        wanted = Fault("drop", method, path)
        found = (entry for entry in self.requests if wanted.meets(entry.method, entry.path))
        return [entry for entry in found if applied is None or entry.applied == applied]

    @property
    def deliveries(self) -> list[Delivery]:
        """Every webhook delivery, oldest first, each with its attempts."""
        return self.hooks.log

    def hold_webhooks(self) -> None:
        """Collect deliveries instead of sending them."""
        self.hooks.hold()

    def release_webhooks(
        self, order: str = "fifo", *, duplicate: int = 0, drop: int = 0, seed: int = 0
    ) -> list[Delivery]:
        """Send the collected deliveries one after the other: "fifo", "reversed" or "shuffled" (by ``seed``).

        ``drop`` of them are lost and ``duplicate`` of the rest are sent twice, chosen by ``seed``.
        """
        return self.hooks.release(order, duplicate=duplicate, drop=drop, seed=seed)

    def redeliver(self, index: int) -> Delivery:
        """Send delivery ``index`` once more: the same bytes, the same headers."""
        return self.hooks.redeliver(index)

    async def quiet(self, within: float = 10.0) -> None:
        """Wait until no delivery is pending; ``TimeoutError`` when that takes too long."""
        await self.hooks.quiet(within)

    def seed(self, *, seed: int = 1, **amounts: int) -> dict[str, int]:
        """Fill in invented rows in bulk: ``seed(people=500)`` calls ``seed_people(500)``."""
        for kind, amount in amounts.items():
            getattr(self, f"seed_{kind}")(amount, seed=seed)
        return self.counts()

    def act(self, action: str, /, **arguments: Any) -> Any:
        """Do what staff would do; ``LookupError``: unknown action, ``TypeError``: wrong arguments."""
        call = self._actions[action]
        inspect.signature(call).bind(**arguments)
        return call(**arguments)

    def state(self, rows: int = 100) -> dict[str, Any]:
        """Return everything worth knowing, with up to ``rows`` rows of every kind."""
        general = {"platform": self.platform, "now": self.stamp(), "base_url": self.base_url}
        return {**general, "counts": self.counts(), "rows": self.rows(rows), "actions": sorted(self._actions)}

    def new_id(self, length: int = 12) -> str:
        """Return an identifier of lower-case letters and digits, in no order."""
        return "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))

    # Life.

    async def start(self, base_url: str) -> None:
        """Begin to send webhooks; called by ``serve``."""
        self.base_url = base_url
        self.clock.start()
        await self.hooks.start()

    async def stop(self) -> None:
        """End whatever hangs, waits or is being sent; called by ``serve``."""
        self.clock.stop()
        await asyncio.gather(*self._late)
        await self.hooks.stop()

    # The ASGI application.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = await read_request(scope, receive)
        entry = Logged(request.method, request.path, request.query, _log_body(request), self.stamp())
        exchange = Exchange(
            request,
            scope,
            receive,
            send,
            self.clock.time,
            entry,
            partial(self._apply, request, entry),
            self.clock.sleep,
            self.problem,
            self._run_later,
        )
        if request.path.startswith(CONTROL):
            await exchange.send(await self._control.answer(request))
        else:
            await self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        request, entry = exchange.request, exchange.entry
        if len(self.requests) >= KEPT_REQUESTS:
            del self.requests[: KEPT_REQUESTS // 2]
        self.requests.append(entry)
        fault = self._faults.take(request.method, request.path)
        if fault is None:
            await exchange.send(exchange.apply())
        else:
            entry.fault = fault.kind
            await KINDS[fault.kind](exchange, fault)

    def _apply(self, request: Request, entry: Logged) -> Reply:
        try:
            reply = self.handle(request)
        except Refusal as refusal:
            reply = refusal.reply
        except Exception:
            log.exception("sandbox.broken")
            reply = Reply(self.problem(500, "Unexpected server error."), 500, applied=False)
        entry.applied = reply.applied
        return reply

    def handle(self, request: Request) -> Reply:
        """Carry out one request of the platform's API."""
        known = False
        for verb, pattern, handler in self._routes:
            match = pattern.match(request.path)
            if match:
                known = True
                if verb == request.method:
                    request.params = match.groupdict()
                    return handler(request)
        status, message = (405, "Method not allowed.") if known else (404, "Not found.")
        raise Refusal(status, self.problem(status, message))

    def _run_later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)


def _log_body(request: Request) -> Any:
    try:
        body = request.fields() if request.raw else None
    except ValueError:
        return None
    return body and {key: "***" if key in SECRET_FIELDS else value for key, value in body.items()}


def change(row: Any, changes: dict[str, Any]) -> None:
    """Change some fields of a stored row; a field that it does not have raises TypeError."""
    known = {field.name for field in fields(row)}
    for key, value in changes.items():
        if key not in known:
            raise TypeError(f"no such field: {key}")
        setattr(row, key, value)


@asynccontextmanager
async def serve(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve a sandbox in the running loop, on a free port unless told otherwise; yields its base URL."""
    async with AsyncExitStack() as stack:
        base_url = await stack.enter_async_context(listening(sandbox, host, port))
        # Entered last, so it ends first: a request that hangs must let go before the listener closes.
        stack.push_async_callback(sandbox.stop)
        await sandbox.start(base_url)
        yield base_url


async def run(
    sandboxes: Iterable[tuple[Sandbox, int]],
    host: str = "127.0.0.1",
    ready: Callable[[Sandbox, str], None] = lambda _sandbox, _url: None,
) -> None:
    """Serve several sandboxes, each with its port, until cancelled; ``ready`` is told each base URL."""
    async with AsyncExitStack() as stack:
        for sandbox, port in sandboxes:
            ready(sandbox, await stack.enter_async_context(serve(sandbox, host, port)))
        await asyncio.Event().wait()
