"""hooks: the webhooks that a platform lets us manage. Secrets of those made here are sealed into the store."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

import typer

from daemon.commands.common import ConfigFile, Json, Stop, place, put_json, say, wants_json
from mapping.problem import instead

COMMANDS = ("list", "ensure", "rotate", "delete")


def register(app: typer.Typer) -> None:
    """Enter the command."""
    app.command()(hooks)


def hooks(
    ctx: typer.Context,
    connection: str,
    what: Annotated[str, typer.Argument(metavar="list|ensure|rotate|delete")],
    webhook: Annotated[str | None, typer.Argument(metavar="[ID]", help="For delete.")] = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Manage webhooks: list, ensure (make or enable one), rotate (a second one, new secret), delete ID."""
    from daemon.app import opened

    here = place(ctx, config)
    if connection not in here.config.connections:
        raise Stop(
            f"there is no connection {connection!r}: {instead(connection, here.config.connections, 'connections')}"
        )
    if what not in COMMANDS:
        raise Stop(f"there is no {what!r}: {instead(what, COMMANDS, 'actions')}")
    if (what == "delete") != (webhook is not None):
        raise Stop(
            "delete needs the ID of a webhook (and no other action does): `bookferry hooks CONNECTION list`."
        )
    key = here.key()

    async def work() -> list[dict[str, Any]]:
        async with opened(here.config, here.db, key) as app:
            return await _do(app, connection, what, webhook)

    rows = asyncio.run(work())
    if wants_json(ctx, as_json):
        put_json(rows)
        return
    for row in rows:
        from daemon.commands.paper import line

        line(f"{row['id']} {row['url']}: {row['state']}")
    if not rows:
        say("No webhook is registered.")


async def _do(app: Any, name: str, what: str, webhook: str | None) -> list[dict[str, Any]]:
    manager = getattr(app.connectors[name], "webhooks", None)
    if manager is None:
        title = app.world.platform(name).title
        raise Stop(
            f"{title} has no call that manages webhooks: enter the address there by hand, and its secret as webhook_secret."
        )
    url = f"{app.config.server.public_url}/hooks/{name}"
    if what in {"ensure", "rotate"} and not app.config.server.public_url:
        raise Stop("server.public_url is missing: the address at which the platform reaches the hook door.")
    acts: dict[str, Callable[[], Awaitable[list[dict[str, Any]]]]] = {
        "list": lambda: _list(manager),
        "ensure": lambda: _ensure(app, manager, name, url),
        "rotate": lambda: _rotate(app, manager, name, url),
        "delete": lambda: _delete(app, manager, name, str(webhook)),
    }
    return await acts[what]()


def _row(hook: Any, note: str = "") -> dict[str, Any]:
    state = "enabled" if hook.enabled else "disabled"
    return {"id": hook.id, "url": hook.url, "state": state + note, "subscriptions": list(hook.subscriptions)}


async def _list(manager: Any) -> list[dict[str, Any]]:
    return [_row(hook) for hook in await manager.registered()]


async def _ensure(app: Any, manager: Any, name: str, url: str) -> list[dict[str, Any]]:
    from daemon.service import each
    from state import tokens

    rows = []
    async for hook in each(manager.ensure(url)):
        await app.keep_hook(name, hook)
        held = await app.db.read(partial(tokens.names, prefix=f"hook:{name}:{hook.id}"))
        known = held or app.config.connections[name].webhook_secret
        note = "" if known else ", but its secret is not known here: `rotate` makes one whose secret is"
        rows.append(_row(hook, note))
    return rows


async def _rotate(app: Any, manager: Any, name: str, url: str) -> list[dict[str, Any]]:
    from daemon.service import each

    rows = []
    async for hook, old in each(manager.rotate(url)):
        await app.keep_hook(name, hook)
        rows.append(_row(hook, ", new"))
        rows += [_row(one, ", older: delete it once the new one delivers") for one in old]
    return rows


async def _delete(app: Any, manager: Any, name: str, webhook: str) -> list[dict[str, Any]]:
    there = [hook.id for hook in await manager.registered()]
    if webhook in there:
        await manager.delete(webhook)
    await app.drop_hook(name, webhook)
    if webhook not in there:
        raise Stop(f"there is no webhook {webhook!r}: {instead(webhook, there, 'webhooks')}")
    return await _list(manager)
