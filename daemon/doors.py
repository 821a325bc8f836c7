"""The two doors: where webhooks arrive, and where the operator looks. Two listeners, never one.

The hook door stands behind a public proxy, so it answers one kind of request and tells nobody anything: the same small
JSON for all, a cap on heads and bodies, and a deadline for whoever sends slowly.
"""

import asyncio
import contextlib
import errno
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.metrics import CONTENT_TYPE, NOBODY, Metrics
from daemon.places import Places
from daemon.protocol import BODY_CAP, REFUSED, SWALLOWED, WHOLE, LimitedProtocol
from daemon.receive import LATER, Host, Reception
from mapping.config import Door

DEADLINE_S = 10.0
"""For a request's head, and again for its body."""

_UNFINISHED = 32 * 1024 * 1024
"""Bytes of all requests together that have begun and not ended."""
_FILES = 16_384
_BACKLOG = 2048
CONNECTIONS = 2 * _BACKLOG
"""More than the kernel holds for us: who has waited through a restart is not to be turned away at its end."""
_KEEP_ALIVE_S = 5
_TICK_S = 1.0
_GOOD = b'{"ok":true}'
_SUCCESS, _NOT_FOUND, _NOT_ALLOWED, _TIMEOUT, _TOO_LARGE = 200, 404, 405, 408, 413
_BARE: dict[str, Any] = {
    "docs_url": None,
    "redoc_url": None,
    "openapi_url": None,
    "redirect_slashes": False,
    "telemetry": {"tracing": False, "metrics": False, "logs": False},
}

log = structlog.get_logger()


class DoorError(Exception):
    """A door cannot be opened. The message is a sentence for the operator."""


# The applications.


def hook_app(
    app: Host, metrics: Metrics | None = None, *, cap: int = BODY_CAP, deadline: float = DEADLINE_S
) -> FastAPI:
    """The application of the hook door: ``POST /hooks/{connection}`` and nothing else."""
    counted = metrics or Metrics()
    made = _HookApp(**_BARE)
    # A plain ASGI route: FastAPI's injection costs more than all that we do, and there is nothing to inject.
    hook = _Hook(Reception(app, counted), counted, cap, deadline)
    made.router.routes.append(Route("/hooks/{connection}", hook))
    made.router.default = _nothing_here
    return made


def admin_app(
    app: Host,  # noqa: ARG001 - both doors are opened alike
    health: Callable[[], Awaitable[dict[str, Any]]],
    metrics: Metrics | None = None,
) -> FastAPI:
    """The application of the admin door: health and metrics. ``health`` says ``ok`` and whatever explains it."""
    counted = metrics or Metrics()
    made = FastAPI(**_BARE)
    made.add_exception_handler(HTTPException, _refuse)

    async def healthz(_request: Request) -> Response:
        import orjson

        try:
            told = await health()
        except Exception as error:  # noqa: BLE001 - whatever it is, we are not well
            log.warning("health.failed", error=type(error).__name__)
            told = {"ok": False}
        status = _SUCCESS if told.get("ok") else LATER
        return Response(orjson.dumps(told, default=str), status, media_type="application/json")

    async def measured(_request: Request) -> Response:
        return Response(counted.page(), headers={"content-type": CONTENT_TYPE})

    made.router.routes += [Route("/healthz", healthz), Route("/metrics", measured)]
    return made


class _HookApp(FastAPI):
    """FastAPI without its layers around the router: what they look after, `_Hook` does itself and for less."""

    def build_middleware_stack(self) -> ASGIApp:
        return self.router


async def _refuse(_request: Request, error: Exception) -> Response:
    status, headers = LATER, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    return Response(REFUSED, status, headers=headers, media_type="application/json")


async def _nothing_here(_scope: Scope, _receive: Receive, send: Send) -> None:
    await _answer(send, _NOT_FOUND)


class _Gone(Exception):
    """The sender hung up."""


class _Hook:
    """The ASGI application behind ``/hooks/{connection}``."""

    def __init__(self, reception: Reception, metrics: Metrics, cap: int, deadline: float) -> None:
        self._reception, self._metrics = reception, metrics
        self._cap, self._deadline = cap, deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Whatever goes wrong here, the sender may try again."""
        try:
            status = await self._status(scope, receive)
        except _Gone:
            return
        except asyncio.CancelledError:
            status = LATER  # we are going down, and this is the end of the task
        except Exception:
            log.exception("webhook.failed")  # without its message, which may quote the payload: see logs
            status = LATER
        await _answer(send, status)

    async def _status(self, scope: Scope, receive: Receive) -> int:
        if scope["method"] != "POST":
            return _NOT_ALLOWED
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            async with asyncio.timeout(None if WHOLE in scope else self._deadline):
                body = await self._body(headers, receive)
        except TimeoutError:
            self._metrics.webhook(NOBODY, "slow")
            return _TIMEOUT
        if body is None:
            self._metrics.webhook(NOBODY, "too_large")
            return _TOO_LARGE
        begun = time.perf_counter()
        status = await self._reception.receive(scope["path_params"]["connection"], headers, body)
        self._metrics.webhook_seconds.observe(time.perf_counter() - begun)
        return status

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes | None:
        """The body, None when it is too large. What the sender says of its length is not relied upon."""
        if int(headers.get("content-length", "0")) > SWALLOWED:
            return None
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            whole: bytes = message.get("body", b"")
            return whole if len(whole) <= self._cap else None
        parts, size = [], 0
        while message["type"] == "http.request":
            part = message.get("body", b"")
            size += len(part)
            if size <= self._cap:
                parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts) if size <= self._cap else None
            if size > SWALLOWED:
                return None
            message = await receive()
        raise _Gone


async def _answer(send: Send, status: int) -> None:
    for message in _messages(status):
        await send(message)


@cache
def _messages(status: int) -> tuple[Message, Message]:
    body = _GOOD if status == _SUCCESS else REFUSED
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == _NOT_ALLOWED:
        headers.append((b"allow", b"POST"))
    if status in {_TIMEOUT, _TOO_LARGE}:
        headers.append((b"connection", b"close"))
    return (
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


# The listener.


@asynccontextmanager
async def listening(
    app: ASGIApp,
    door: Door,
    *,
    label: str,
    fd: int | None = None,
    deadline: float = DEADLINE_S,
    grace: float = DEADLINE_S,
    most: int = CONNECTIONS,
) -> AsyncIterator[Door]:
    """Serve an application at a door while the block runs; gives the address with its real port.

    ``label``: the key of the YAML, for messages. ``fd``: a listening socket that this process was handed; it becomes
    ours. ``grace``: seconds in which requests may finish at the end. ``most``: connections at once; when there are more,
    the one that has kept us waiting longest has to go. Raises DoorError.
    """
    held = _bound(door, label) if fd is None else _handed(fd, label)
    places = Places(_room(most), _UNFINISHED, asyncio.get_running_loop().call_later)
    server = _Server(_settings(app, deadline, grace, places))
    task = asyncio.create_task(server.serve([held]), name=f"door:{label}")
    try:
        await server.ready(task)
        host, port = held.getsockname()[:2] if held.family != socket.AF_UNIX else (str(held.getsockname()), 0)
        log.info("door.open", label=label, door=str(Door(host, port)))
        yield Door(host, port)
    finally:
        server.leave()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _settings(app: ASGIApp, deadline: float, grace: float, places: Places) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=partial(LimitedProtocol, deadline=deadline, places=places),  # type: ignore[arg-type]  # it is called, as a class would be
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace,  # type: ignore[arg-type]  # seconds of any kind
    )


def _room(most: int) -> int:
    """How many connections there may be: each needs a file, for a moment there are twice as many, and others need some too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FILES:  # systemd gives 1024 and lets us have more
        soft = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(most, soft // 4)


def _bound(door: Door, label: str) -> socket.socket:
    held = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            door.host, door.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        held = socket.socket(family, kind, protocol)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(address)
        held.listen(_BACKLOG)  # two programs may bind one port: only the second to listen is told
        held.setblocking(False)
    except OSError as error:
        if held is not None:
            held.close()
        raise DoorError(f"{label}: {door} {_trouble(error)}") from error
    return held


def _trouble(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return (
            "has a host that this machine cannot find. Write an address of this machine, such as 127.0.0.1."
        )
    known = {
        errno.EADDRINUSE: "is in use by another program. Stop that one, or choose another port.",
        errno.EACCES: "may not be opened by this user. Choose a port from 1024 on, or run it as a service that may.",
        errno.EADDRNOTAVAIL: "is no address of this machine. Write one that is, such as 127.0.0.1.",
    }
    remedy = known.get(error.errno or 0)
    return remedy or f"cannot be opened ({error.strerror}). Choose another address."


def _handed(fd: int, label: str) -> socket.socket:
    try:
        held = socket.socket(fileno=fd)
        listens = held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise DoorError(
            f"{label}: file descriptor {fd} is no socket. Check the service's socket unit."
        ) from error
    if held.type != socket.SOCK_STREAM:
        held.detach()
        raise DoorError(
            f"{label}: file descriptor {fd} is no stream socket. Write ListenStream in the socket unit."
        )
    if not listens:
        held.detach()
        raise DoorError(
            f"{label}: file descriptor {fd} does not listen. Check the service's socket unit: without Accept=yes."
        )
    held.setblocking(False)
    return held


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, and asleep while there is nothing to do."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._started = asyncio.Event()
        self._leaving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self.on_tick(0)
        self._started.set()

    async def ready(self, task: asyncio.Task[None]) -> None:
        """Wait until it listens; raises what kept it from that."""
        waiting = asyncio.create_task(self._started.wait())
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await task

    def leave(self) -> None:
        """Take no new requests, finish the ones there are."""
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), _TICK_S)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
