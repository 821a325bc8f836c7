"""sandbox and demo: trying it out without an account."""

import asyncio
import importlib
import io
import os
import sys
from typing import Annotated, Any

import typer

from connectors.platforms import PLATFORMS
from daemon.commands.common import Exit, Stop, say
from mapping.problem import instead

_LAST_PORT = 65_535


def register(app: typer.Typer) -> None:
    """Enter the commands."""
    app.command()(sandbox)
    app.command()(demo)


def sandbox(
    platforms: Annotated[
        list[str] | None,
        typer.Argument(metavar="PLATFORM…", help=f"Which: {', '.join(PLATFORMS)}. Default: all of them."),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            "--port", min=0, max=_LAST_PORT, help="The first one's port; the next has the next. 0: any."
        ),
    ] = 0,
) -> None:
    """Serve stand-ins of platforms on this machine, until Ctrl-C; prints the connections of a configuration for them."""
    from connectors.sandbox import run as serve

    boxes = []
    for index, name in enumerate(dict.fromkeys(platforms or PLATFORMS)):
        if name not in PLATFORMS:
            raise Stop(
                f"there is no platform {name!r}: {instead(name, PLATFORMS, 'platforms')}", Exit.CONFIGURATION
            )
        boxes.append((make(name), port + index if port else 0))
    snippets: list[str] = []

    def ready(box: Any, url: str) -> None:
        snippets.append(snippet(box, url))
        if len(snippets) == len(boxes):
            say("# Stand-ins; what they hold ends with them. Control surface: POST <base_url>/_sandbox/act/…")
            say("connections:\n" + "\n".join(snippets))
            sys.stdout.flush()

    try:
        asyncio.run(serve(boxes, ready=ready))
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number).lower() if number else "there are not so many ports"
        raise Stop(f"port {port}: {why}. Choose another one with --port.") from None
    except KeyboardInterrupt:
        return


def make(name: str) -> Any:
    """A sandbox with something in it."""
    module = importlib.import_module(f"connectors.{name}.sandbox")
    made = next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and getattr(value, "platform", None) == name
    )
    box = made()
    if name == "nicejob":
        box.add_company("Parnell Nails")
    box.seed(**getattr(box, "sample", {"people": 12, "bookings": 12}))
    return box


def snippet(box: Any, url: str) -> str:
    """The connection's part of a configuration."""
    lines = [f"  my-{box.platform}:", f"    platform: {box.platform}", f"    base_url: {url}"]
    if box.platform == "bookatu":
        slug, key = next(iter(box.api_keys.items()))
        lines += [f"    slug: {slug}", f"    api_key: {key}"]
    elif box.platform == "nearbyassist":
        lines.append(f"    api_key: {box.api_key}")
    else:
        token = next(iter(box.refresh_tokens))
        lines += [
            f"    client_id: {box.client_id}",
            f"    client_secret: {box.client_secret}",
            f"    refresh_token: {token}",
        ]
    return "\n".join([*lines, "    poll: 1m"])


def demo(
    once: Annotated[bool, typer.Option("--once", help="One whole story with a summary, and out.")] = False,
) -> None:
    """Stand-ins of all four platforms with history, a real configuration and the real daemon together."""
    from daemon import logs
    from daemon.demo import story
    from daemon.demo_live import live

    logs.configure("error")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # who pipes it watches too
    if once:
        raise typer.Exit(Exit.OK if asyncio.run(story()) else Exit.FAILED)
    try:
        asyncio.run(live())
    except KeyboardInterrupt:
        say("The demo has ended; nothing of it is kept.")
