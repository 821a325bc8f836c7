"""sync and run: the commands that talk to the platforms."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer

from daemon.commands.common import ConfigFile, Exit, Json, Stop, place, put_json, wants_json

Level = Annotated[
    Literal["debug", "info", "warning", "error"], typer.Option("--log", help="How much is logged.")
]


def register(app: typer.Typer) -> None:
    """Enter the commands."""
    app.command()(sync)
    app.command()(run)


def sync(
    ctx: typer.Context, config: ConfigFile = None, as_json: Json = False, log: Level = "warning"
) -> None:
    """One full pass and out: drain the inbox, poll everything, decide, push, until nothing is left to do."""
    from daemon import logs, loop, passes
    from daemon.app import opened

    here = place(ctx, config)
    key = here.key()
    logs.configure(log)

    async def work() -> dict[str, Any]:
        async with opened(here.config, here.db, key) as app:
            with _watched() as progress:
                return await passes.sync(app, progress=progress)

    summary = loop.run(work())
    if wants_json(ctx, as_json):
        put_json(summary)
    else:
        _show(summary)
    if any((problem or {}).get("remedy") for problem in summary.get("problems", {}).values()):
        raise typer.Exit(Exit.NEEDS_HUMAN)
    if summary.get("parked") or summary.get("held"):
        raise typer.Exit(Exit.PARKED)
    if summary.get("problems"):
        raise typer.Exit(Exit.FAILED)


@contextmanager
def _watched() -> Iterator[Callable[[str], None] | None]:
    """A spinner with the newest line, when a person watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("starting") as shown:
        yield lambda line: shown.update(Text(line))


def _show(summary: dict[str, Any]) -> None:
    from daemon.commands.paper import line, put, row, table

    made = table("what", "how many")
    for name, value in summary.items():
        if name != "problems":
            row(made, name.replace("_", " "), str(value))
    put(made)
    for key, problem in summary.get("problems", {}).items():
        line(f"{key}: {problem.get('what')}", style="red")
        if problem.get("remedy"):
            line(f"what to do: {problem['remedy']}", indent=4)
    if summary.get("held"):
        line("Something is held, since it is more than usual: bookferry approve")
    if summary.get("parked"):
        line("Something is parked: bookferry parked")


def run(
    ctx: typer.Context,
    config: ConfigFile = None,
    log: Level = "info",
) -> None:
    """The service: polls, receives webhooks and pushes until SIGTERM."""
    from daemon import logs, loop, service
    from daemon.app import opened
    from daemon.doors import DoorError
    from daemon.handed import handed

    here = place(ctx, config)
    key = here.key()
    logs.configure(log)

    async def work(sockets: dict[str, int]) -> None:
        async with opened(here.config, here.db, key) as app:
            await service.serve(app, sockets=sockets)

    try:
        loop.run(work(handed(os.environ)))
    except DoorError as error:
        raise Stop(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.OK) from None
