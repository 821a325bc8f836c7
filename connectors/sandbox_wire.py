"""The sandbox kit's wire: requests, replies, and a uvicorn whose connections can be broken on purpose."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class Request:
    """One request as a platform's handler sees it; header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    params: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Decode the body; ``ValueError`` where it is not JSON."""
        return orjson.loads(self.raw)

    def fields(self) -> dict[str, Any]:
        """Return the body's fields, JSON or form encoded; ``ValueError`` where it is neither."""
        if FORM in self.headers.get("content-type", ""):
            return dict(parse_qsl(self.raw.decode()))
        body = self.json()
        if not isinstance(body, dict):
            raise ValueError("not an object")  # noqa: TRY004 - one error for every unusable body
        return body


@dataclass(slots=True)
class Reply:
    """An answer: ``body`` is printed as JSON, bytes and text go out as they are, None is an empty body.

    ``applied`` tells the request log whether the platform carried the request out. A write that was
    refused, or that changed nothing, is not applied, whatever its status.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    applied: bool = True

    def content(self) -> bytes:
        """Return the bytes of the body."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else dump(self.body)


class Refusal(Exception):
    """Raised by handlers and staff actions: the platform refuses, with this answer."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.reply = Reply(body, status, headers or {}, applied=False)


@dataclass(slots=True)
class Logged:
    """One line of the request log. Header fields are never kept: they carry the credentials."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    at: str
    status: int | None = None
    applied: bool = False
    fault: str | None = None


def dump(value: Any) -> bytes:
    """Print JSON as JavaScript would: compact, non-ASCII unescaped."""
    return orjson.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"cannot be printed as JSON: {type(value).__name__}")


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Read a whole request off the ASGI channel."""
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return Request(
        scope["method"],
        scope["path"],
        dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        b"".join(chunks),
    )


@dataclass(slots=True)
class Exchange:
    """One request and the ways to answer it, the broken ways included."""

    request: Request
    scope: Scope
    receive: Receive
    send_message: Send
    now: Callable[[], float]
    entry: Logged
    apply: Callable[[], Reply]
    pause: Callable[[float], Awaitable[bool]]
    problem: Callable[[int, str], Any]
    later: Callable[[Awaitable[None]], None]

    async def send(self, reply: Reply, *, content: bytes | None = None, length: int | None = None) -> None:
        """Send an answer; ``length`` announces another length than that of the content."""
        data = reply.content() if content is None else content
        # The Date header follows the sandbox's clock: clients measure the skew between the clocks with it.
        headers = {"date": formatdate(self.now(), usegmt=True)}
        if reply.body is not None:
            headers["content-type"] = JSON
        if reply.status != HTTPStatus.NO_CONTENT:
            headers["content-length"] = str(len(data) if length is None else length)
        headers |= reply.headers
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self.entry.status = reply.status
        await self.send_message({"type": "http.response.start", "status": reply.status, "headers": pairs})
        more = length is not None and length > len(data)
        await self.send_message({"type": "http.response.body", "body": data, "more_body": more})

    async def abort(self, *, reset: bool = False) -> None:
        """Break the connection without an answer; ``reset`` makes it a TCP reset and not an orderly end."""
        transport = self._transport()
        if reset:
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await self._gone()

    async def cut(self, reply: Reply) -> None:
        """Announce the whole body, send half of it and end the connection."""
        data = reply.content()
        await self.send(reply, content=data[: len(data) // 2], length=len(data))
        # close() and not abort(): what was written must still get out, under uvloop too.
        self._transport().close()
        await self._gone()

    def _transport(self) -> asyncio.Transport:
        transport: asyncio.Transport = self.scope["extensions"]["sandbox"]["transport"]
        return transport

    async def _gone(self) -> None:
        # uvicorn answers 500 for an app that returns too early, so wait until it has noticed.
        while (await self.receive())["type"] != "http.disconnect":
            pass


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the transport handed to the application.

    ASGI has no word for breaking a connection, and a fault such as "carried out, but no answer came"
    needs exactly that: an answer with status 500 is another thing, because it is an answer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False  # here, and not in the process-wide logger, which others may use

    def on_message_begin(self) -> None:
        """Start a request, and put the transport where the application finds it."""
        super().on_message_begin()
        self.scope["extensions"] = {"sandbox": {"transport": self.transport}}


@asynccontextmanager
async def listening(app: App, host: str, port: int) -> AsyncIterator[str]:
    """Serve an app with uvicorn's protocol in the running loop; yields the base URL.

    uvicorn's own ``Server`` installs signal handlers and waits for keep-alive connections when it
    stops, so the listener is opened here: it ends at once, by breaking what is still open.
    """
    config = uvicorn.Config(
        app,
        http=SandboxProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=60,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def connection() -> SandboxProtocol:
        return SandboxProtocol(config=config, server_state=state, app_state={})

    server = await loop.create_server(connection, host, port, backlog=1024)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        await _close(server, state)


async def _close(server: asyncio.Server, state: ServerState) -> None:
    server.close()
    for open_connection in list(state.connections):
        if open_connection.transport is not None:
            open_connection.transport.abort()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=2)
    await server.wait_closed()
