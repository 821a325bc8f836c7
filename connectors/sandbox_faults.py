"""The sandbox kit's faults: every way in which a request over a network can go wrong.

What a client sees is the same for many of them; what the platform did is not. That difference is what
the faults are for.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox_wire import Exchange, Reply

HTML = "<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"


@dataclass(slots=True)
class Fault:
    """One fault that waits for its request.

    It meets requests whose method is ``method`` and in whose path the expression ``path`` is found. It
    lets ``after`` of them pass, then strikes ``times`` times (None: for ever). The rest are options of
    single kinds.
    """

    kind: str
    method: str | None = None
    path: str = ""
    times: int | None = 1
    after: int = 0
    seconds: float = 1.0
    status: int = 500
    retry_after: str | None = None
    body: Any = None
    location: str = "/elsewhere"
    reset: bool = False
    fired: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Tell whether the fault is meant for such a request."""
        return self.method in {None, method} and re.search(self.path, path) is not None


@dataclass(slots=True)
class Faults:
    """The waiting faults, oldest first."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> Fault:
        """Let a fault wait; ``ValueError`` for a kind that does not exist."""
        if fault.kind not in KINDS:
            raise ValueError(f"no fault is called {fault.kind!r}; there are: {', '.join(sorted(KINDS))}")
        re.compile(fault.path)
        self.waiting.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that strikes this request, used up by one."""
        for fault in self.waiting:
            if fault.meets(method, path):
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.fired += 1
                if fault.times is not None and fault.fired >= fault.times:
                    self.waiting.remove(fault)
                return fault
        return None


async def _lost_answer(x: Exchange, fault: Fault) -> None:
    x.apply()
    await x.abort(reset=fault.reset)


async def _drop(x: Exchange, fault: Fault) -> None:
    await x.abort(reset=fault.reset)


async def _error(x: Exchange, fault: Fault) -> None:
    body = x.problem(fault.status, "Sandbox fault.") if fault.body is None else fault.body
    headers = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
    await x.send(Reply(body, fault.status, headers))


async def _error_after(x: Exchange, fault: Fault) -> None:
    x.apply()
    await _error(x, fault)


async def _hang_after(x: Exchange, fault: Fault) -> None:
    reply = x.apply()
    if await x.pause(fault.seconds):
        await x.send(reply)
    else:
        await x.abort()


async def _hang_before(x: Exchange, fault: Fault) -> None:
    await x.pause(fault.seconds)
    await x.abort()


async def _late(x: Exchange, fault: Fault) -> None:
    async def apply_later() -> None:
        if await x.pause(fault.seconds):
            x.apply()

    x.later(apply_later())
    await x.abort(reset=fault.reset)


async def _slow(x: Exchange, fault: Fault) -> None:
    if await x.pause(fault.seconds):
        await x.send(x.apply())
    else:
        await x.abort()


async def _truncated(x: Exchange, _: Fault) -> None:
    reply = x.apply()
    data = reply.content()
    await x.send(reply, content=data[: len(data) // 2])


async def _cut(x: Exchange, _: Fault) -> None:
    await x.cut(x.apply())


async def _html(x: Exchange, fault: Fault) -> None:
    await x.send(Reply(fault.body or HTML, 200, {"content-type": "text/html; charset=utf-8"}))


async def _redirect(x: Exchange, fault: Fault) -> None:
    await x.send(Reply(None, 302, {"location": fault.location}))


async def _empty_list(x: Exchange, _: Fault) -> None:
    await x.send(_with_rows(x.apply(), lambda _rows: []))


async def _half_list(x: Exchange, _: Fault) -> None:
    await x.send(_with_rows(x.apply(), lambda rows: rows[::2]))


def _with_rows(reply: Reply, change: Callable[[list[Any]], list[Any]]) -> Reply:
    # Every platform here answers a list as an object with exactly one array at its top.
    body = reply.body
    if isinstance(body, dict):
        body = {key: change(value) if isinstance(value, list) else value for key, value in body.items()}
    return Reply(body, reply.status, reply.headers, reply.applied)


KINDS: dict[str, Callable[[Exchange, Fault], Awaitable[None]]] = {
    "lost_answer": _lost_answer,  # carried out, then the connection breaks
    "drop": _drop,  # the connection breaks before anything is carried out
    "error": _error,  # `status`, nothing carried out; with `retry_after` and `body`
    "error_after": _error_after,  # carried out, then `status`
    "hang_after": _hang_after,  # carried out, answered only after `seconds`
    "hang_before": _hang_before,  # not carried out; after `seconds` the connection breaks
    "late": _late,  # the connection breaks; carried out `seconds` later
    "slow": _slow,  # `seconds` of delay, then as always
    "truncated": _truncated,  # carried out; half of the JSON with a content-length that matches it
    "cut": _cut,  # carried out; the connection ends in the middle of the body
    "html": _html,  # 200 with a page of HTML, nothing carried out
    "empty_list": _empty_list,  # a valid list without its rows
    "half_list": _half_list,  # a valid list without every second row
    "redirect": _redirect,  # 302 to `location`, nothing carried out
}
