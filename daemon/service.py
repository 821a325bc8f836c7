"""The service: both doors, the schedule, and a graceful end on SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import structlog

from connectors.errors import PlatformError
from daemon.app import App
from daemon.doors import admin_app, hook_app, listening
from daemon.loop import settled
from daemon.schedule import Schedule
from daemon.units import Unit, at_work
from state import concerns, losses, units
from state.database import Tx
from state.errors import StateError, TakenOver

log = structlog.get_logger()

DRAIN_S = 20.0
"""How long work under way may take to finish; longer than one request may take to be answered."""
GRACE_S = 3.0
"""How long a request may take to be answered once a door closes. Who is slower tries again: the others wait for us."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What ends the service gracefully."""

_HOOKS_EVERY_S = 3600.0


async def serve(
    app: App,
    *,
    sockets: Mapping[str, int] | None = None,
    ready: Callable[[str, str], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run until SIGTERM, SIGINT or ``stop``. Raises DoorError when an address cannot be had, TakenOver when another
    process took over.

    ``sockets``: listening sockets by door (see ``daemon.handed``), which stand for the addresses of the configuration.
    ``ready`` is told both addresses once they listen.
    """
    ended, held = stop or asyncio.Event(), sockets or {}
    _on_signals(ended)
    app.on_taken_over = ended.set
    server, schedule = app.config.server, Schedule(app)
    looks = admin_app(app, lambda: health(app), app.metrics)
    async with contextlib.AsyncExitStack() as doors:
        hooks = await doors.enter_async_context(
            listening(
                hook_app(app, app.metrics),
                server.hooks,
                label="server.hooks",
                fd=held.get("hooks"),
                grace=GRACE_S,
            )
        )
        admin = await doors.enter_async_context(
            listening(looks, server.admin, label="server.admin", fd=held.get("admin"), grace=GRACE_S)
        )
        settled()
        await _door(app, anew=True)
        schedule.start()
        log.info("started", hooks=str(hooks), admin=str(admin), connections=len(app.connectors))
        if ready is not None:
            ready(str(hooks), str(admin))
        try:
            await _until(ended, app, server.public_url)
        finally:
            log.info("stopping", busy=list(app.engine.busy))
            schedule.stop()
        # The doors go on meanwhile: what they store is read after the next start.
        await app.engine.drain(DRAIN_S)
        await _door(app)
    if app.taken_over is not None:
        raise app.taken_over


async def _door(app: App, *, anew: bool = False) -> None:
    """Note that the hook door is open; what was sent while it was not is nobody's loss but ours."""
    app.serving = anew
    with contextlib.suppress(StateError):
        await app.db.transaction(lambda tx: losses.door_open(tx, now=app.ms(), anew=anew), "door.open")


def _on_signals(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
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
        unit = Unit(app, f"hooks:{name}")
        try:
            with at_work(unit):
                await _ensured(unit, name, f"{public_url.rstrip('/')}/hooks/{name}", ended)
        except PlatformError as error:
            log.warning("webhooks_not_ensured", connection=name, problem=error.sentence)
        except TakenOver as error:
            app.give_way(error)
            return
        except StateError as error:
            log.warning("webhooks_not_ensured", connection=name, problem=str(error))


async def _ensured(unit: Unit, name: str, url: str, ended: asyncio.Event | None) -> None:
    """A webhook whose secret nobody knows is made anew: it was shown once, maybe to a process that died on its way to the disk."""
    app, manager, unknown = unit.app, unit.app.connectors[name].webhooks, list[str]()  # type: ignore[attr-defined]  # looked at before
    await unit.commit(lambda _tx: None, "hooks.begin")
    async for hook in each(manager.ensure(url)):
        if not await app.keep_hook(name, hook, unit):
            unknown.append(hook.id)
        if ended is not None and ended.is_set():
            return
    for webhook in unknown:
        log.warning("webhook_without_secret", connection=name, webhook=webhook)
        await manager.delete(webhook)
    if unknown:
        async for hook in each(manager.ensure(url)):
            await app.keep_hook(name, hook, unit)


async def each(asked: Any) -> AsyncIterator[Any]:
    """What managing webhooks gives: one for the whole account, or one after the other where each property has its own."""
    if isinstance(asked, AsyncIterator):
        async for hook in asked:
            yield hook
    else:
        yield await asked


async def health(app: App) -> dict[str, Any]:
    """For ``/healthz``: well unless the store fails; what needs a human is listed and is no illness."""

    def look(tx: Tx) -> dict[str, Any]:
        stuck = {row["key"]: row["problem"]["what"] for row in units.every(tx) if row["problem"]}
        return {"problems": stuck, "concerns": [row["key"] for row in concerns.standing(tx)]}

    found = await app.db.read(look)
    found["problems"] |= {key: str(error) for key, error in app.trouble.items()}
    return {"ok": not app.trouble, "busy": list(app.engine.busy), **found}
