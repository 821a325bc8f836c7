"""probe: what a platform's answers look like, and which settings would fit them."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

import typer

from connectors.probe import Look
from daemon.commands.common import ConfigFile, Exit, Json, Stop, place, put_json, say, wants_json
from mapping.problem import instead


def register(app: typer.Typer) -> None:
    """Enter the command."""
    app.command()(probe)


def probe(ctx: typer.Context, connection: str, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show the shape of a platform's answers, values masked, and suggest settings that fit; reads only."""
    from daemon.online import connected

    here = place(ctx, config)
    if connection not in here.config.connections:
        raise Stop(
            f"there is no connection {connection!r}: {instead(connection, here.config.connections, 'connections')}"
        )

    async def work() -> list[Look]:
        async with connected(here, connection) as connector:
            return await connector.probe()

    looks = asyncio.run(work())
    wanted = merged(look.settings for look in looks)
    if wants_json(ctx, as_json):
        put_json({"looks": [asdict(look) for look in looks], "settings": wanted})
    else:
        show(connection, looks, wanted)
    if not all(look.status == HTTPStatus.OK for look in looks):
        raise typer.Exit(Exit.FAILED)


def show(connection: str, looks: Sequence[Look], wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the shapes, and what would fit."""
    for look in looks:
        say(f"{look.asked}: {look.status or 'no answer'}")
        for row in (*look.shape, *look.notes):
            say(f"    {row}")
    if wanted:
        say("\n".join(["", "These settings would fit:", *snippet(connection, wanted)]))
    elif not any(look.notes for look in looks):
        say("\nThe settings fit.")


def merged(parts: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The suggestions of all looks together; where two differ, the first one's."""
    whole: dict[str, dict[str, Any]] = {}
    for part in parts:
        for section, keys in part.items():
            whole[section] = {**keys, **whole.get(section, {})}
    return whole


def snippet(connection: str, settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The settings as they stand in the YAML."""
    lines = ["connections:", f"  {connection}:"]
    for section, keys in settings.items():
        lines.append(f"    {section}:")
        lines += [f"      {key}: {json.dumps(value)}" for key, value in keys.items()]
    return lines
