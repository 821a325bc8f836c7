"""The command line. Exit codes: 0 all well, 1 it failed, 2 the configuration or the command line is wrong, 3 done but
something is parked or held, 4 a connection needs a human.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from connectors.errors import NeedsHuman, PlatformError
from daemon.commands import act, alert, backup, hooks, login, look, probe, setup, trial, work
from daemon.commands.common import ConfigFile, Exit, Given, Stop, tell
from mapping.problem import ConfigErrors
from state.errors import StateError

app = typer.Typer(
    name="bookferry",
    help="Keeps booking platforms in step: idempotently, and silently unless asked to speak.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for module in (setup, login, look, act, work, backup, alert, hooks, probe, trial):
    module.register(app)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"bookferry {version('bookferry')}")
        except PackageNotFoundError:
            typer.echo("bookferry (not installed)")
        raise typer.Exit


@app.callback()
def _given(
    ctx: typer.Context,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    _wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    ctx.obj = Given(config=config, json=as_json)


def main() -> None:
    """Run a command; whatever goes wrong is a sentence with what to do, and an exit code."""
    try:
        app()
    except ConfigErrors as errors:
        for problem in errors.errors:
            tell(str(problem))
        sys.exit(Exit.CONFIGURATION)
    except Stop as stop:
        tell(f"bookferry: {stop}")
        sys.exit(stop.code)
    except NeedsHuman as error:
        tell(f"bookferry: {error}")
        sys.exit(Exit.NEEDS_HUMAN)
    except (StateError, PlatformError) as error:
        tell(f"bookferry: {error}")
        sys.exit(Exit.FAILED)
    except BrokenPipeError:  # `bookferry plan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)
    except PermissionError as error:
        tell(f"bookferry: {Path(str(error.filename))}: {error.strerror}. Make it accessible for this user.")
        sys.exit(Exit.FAILED)


if __name__ == "__main__":
    main()
