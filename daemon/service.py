"""The service: both doors, the schedule, and a graceful end on SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from connectors.errors import PlatformError
from daemon.app import App
from daemon.doors import admin_app, hook_app, listening
from daemon.loop import settled
from daemon.schedule import Schedule
from state import units
from state.errors import StateError

log = structlog.get_logger()

_HOOKS_EVERY_S = 3600.0
_DRAIN_S = 20.0
"""How long work under way may take to finish; longer than one request may take to be answered."""


async def serve(
    app: App, *, ready: Callable[[str, str], None] | None = None, stop: asyncio.Event | None = None
) -> None:
    """Run until SIGTERM, SIGINT or ``stop``. Raises DoorError when an address cannot be had.

    ``ready`` is told both addresses once they listen.
    """
    ended = stop or asyncio.Event()
    _on_signals(ended)
    server, schedule = app.config.server, Schedule(app)
    async with contextlib.AsyncExitStack() as doors:
        hooks = await doors.enter_async_context(
            listening(hook_app(app, app.metrics), server.hooks, label="server.hooks")
        )
        admin = await doors.enter_async_context(
            listening(admin_app(app, lambda: health(app), app.metrics), server.admin, label="server.admin")
        )
        settled()
        schedule.start()
        log.info("started", hooks=str(hooks), admin=str(admin), connections=len(app.connectors))
        if ready is not None:
            ready(str(hooks), str(admin))
        try:
            await _until(ended, app, server.public_url)
        finally:
            log.info("stopping", busy=list(app.engine.busy))
            schedule.stop()
    await app.engine.drain(_DRAIN_S)


def _on_signals(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, ended.set)


async def _until(ended: asyncio.Event, app: App, public_url: str | None) -> None:
    """Wait for the end, and look after the webhooks meanwhile: new properties have none, failing ones get disabled."""
    while not ended.is_set():
        if public_url:
            await ensure_hooks(app, public_url, ended)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _HOOKS_EVERY_S)


async def ensure_hooks(app: App, public_url: str, ended: asyncio.Event | None = None) -> None:
    """Where a platform lets us manage webhooks: see that ours is there and enabled. A failure is told and stops nothing.

    ``ended`` ends it between two webhooks: hundreds of them take minutes, and one that was made has to be kept.
    """
    for name, connector in app.connectors.items():
        if not hasattr(connector, "webhooks") or app.one_sender(name)[0] != name:
            continue  # one webhook serves all companies of a developer account
        url = f"{public_url.rstrip('/')}/hooks/{name}"
        try:
            async for hook in each(connector.webhooks.ensure(url)):
                await app.keep_hook(name, hook)
                if ended is not None and ended.is_set():
                    return
        except PlatformError as error:
            log.warning("webhooks_not_ensured", connection=name, problem=error.sentence)
        except StateError as error:
            log.warning("webhooks_not_ensured", connection=name, problem=str(error))


async def each(asked: Any) -> AsyncIterator[Any]:
    """What managing webhooks gives: one for the whole account, or one after the other where each property has its own."""
    if isinstance(asked, AsyncIterator):
        async for hook in asked:
            yield hook
    else:
        yield await asked


async def health(app: App) -> dict[str, Any]:
    """For ``/healthz``: well unless the store fails; what needs a human is listed and is no illness."""
    rows = await app.db.read(units.every)
    stuck = {row["key"]: row["problem"]["what"] for row in rows if row["problem"]}
    stuck |= {key: str(error) for key, error in app.trouble.items()}
    return {"ok": not app.trouble, "busy": list(app.engine.busy), "problems": stuck}
