"""Where a person's browser comes back to after a consent: one address on the loopback, good for one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import TYPE_CHECKING

from mapping.config import Door

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from connectors.consent import Attempt

HOST = "127.0.0.1"
PORT = 8079
"""A fixed one, so that the address can be registered with a platform that wants to know it beforehand."""
PATH = "/connect"
TIMEOUT_S = 300
"""How long a person may take, in seconds."""

_GRACE_S = 2.0
_GOOD, _WRONG, _NOT_FOUND = 200, 400, 404
_BACK = "Go back to the terminal. This page can be closed."
_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),  # the address of this page has the code in it
    (b"content-security-policy", b"default-src 'none'"),
    (b"connection", b"close"),
]


def address(port: int) -> str:
    """What to tell the platform."""
    return f"http://{HOST}:{port}{PATH}"


class Landing:
    """The ASGI application behind that address. Nothing else is served, and nothing before ``expect``."""

    def __init__(self) -> None:
        self._attempt: Attempt | None = None
        self._code: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def expect(self, attempt: Attempt) -> None:
        """The browser is about to be sent off."""
        self._attempt = attempt

    async def code(self, seconds: float) -> str:
        """The code that the browser brings. Raises ConsentError, TimeoutError."""
        async with asyncio.timeout(seconds):
            return await self._code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - no body is read
        """Answer one request of the browser."""
        from connectors.consent import ConsentError

        query = scope["query_string"].decode("latin-1")
        if self._attempt is None or not query or (scope["method"], scope["path"]) != ("GET", PATH):
            await _page(send, _NOT_FOUND, "There is nothing here.")
            return
        try:
            code = self._attempt.code_of(f"?{query}")
        except ConsentError as error:
            await _page(send, _WRONG, f"That did not work: {error}")
            if not self._code.done():
                self._code.set_exception(error)
            return
        await _page(send, _GOOD, "bookferry has its answer.")
        if not self._code.done():  # it is when the time has run out meanwhile
            self._code.set_result(code)


@asynccontextmanager
async def landing(port: int) -> AsyncIterator[Landing]:
    """Listen while the block runs. Raises DoorError when the port cannot be had."""
    from daemon.doors import listening

    made = Landing()
    async with listening(made, Door(HOST, port), label="--port", grace=_GRACE_S):
        yield made


async def _page(send: Send, status: int, sentence: str) -> None:
    body = f"<!doctype html><title>bookferry</title><p>{escape(sentence)}</p><p>{_BACK}</p>".encode()
    headers = [*_HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
