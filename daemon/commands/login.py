"""connect and disconnect: a person lets us into an account in the browser, or takes that back."""

import asyncio
import os
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel, SecretStr

from daemon.commands.common import ConfigFile, Exit, Stop, look, place, say, tell
from daemon.commands.paper import line
from daemon.landing import PORT, TIMEOUT_S, address
from daemon.settings import Place
from mapping.problem import instead

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from connectors.consent import Attempt
    from daemon.login import Connected, Desk, Disconnected

_LAST_PORT = 65_535
_LONGEST_S = 86_400
_LONGEST_LINE = 16_384


def register(app: typer.Typer) -> None:
    """Enter the commands."""
    app.command()(connect)
    app.command()(disconnect)


def connect(
    ctx: typer.Context,
    connection: str,
    config: ConfigFile = None,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=1,
            max=_LAST_PORT,
            help="The browser comes back to http://127.0.0.1:PORT/connect, which some platforms want to know beforehand.",
        ),
    ] = PORT,
    timeout: Annotated[
        int, typer.Option("--timeout", min=0, max=_LONGEST_S, help="Seconds to wait for the browser.")
    ] = TIMEOUT_S,
    paste: Annotated[
        bool,
        typer.Option("--paste", help="The browser is on another machine: paste the address it ends up at."),
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open no browser.")
    ] = False,
) -> None:
    """Let bookferry into an account in the browser; what the platform gives is sealed into the database."""
    from connectors.consent import ConsentError
    from daemon import login, logs, loop
    from daemon.doors import DoorError

    here = _known(place(ctx, config), connection)
    _wants_a_consent(here, connection)
    if here.db.exists():
        with look(here.db):
            pass  # a database of another version is told before anybody is asked
    logs.configure("warning")

    def show(attempt: "Attempt") -> None:
        _show(here, connection, attempt, timeout=None if paste else timeout)
        if not (paste or no_browser) and sys.stdout.isatty():
            import webbrowser

            # Some browsers stay in the terminal, and the answer has to be taken meanwhile.
            asyncio.get_running_loop().run_in_executor(None, webbrowser.open, attempt.url)

    async def work() -> login.Connected:
        async with login.desk(here, connection) as at:
            return await login.connect(at, login.Way(show, _pasted if paste else None, port, timeout))

    try:
        told = loop.run(work())
    except ConsentError as error:
        raise Stop(str(error)) from None
    except TimeoutError:
        raise Stop(
            f"no answer came within {timeout} seconds: begin again. If the page complained about the client or the"
            f" address, see that {address(port)} is a redirect address of that client."
        ) from None
    except DoorError as error:
        raise Stop(str(error)) from None
    except KeyboardInterrupt:
        raise Stop("given up: what is kept was left as it is.") from None
    _report(here, connection, told)


def _known(here: Place, name: str) -> Place:
    if name not in here.config.connections:
        raise Stop(
            f"there is no connection {name!r}: {instead(name, here.config.connections, 'connections')}"
        )
    return here


def _wants_a_consent(here: Place, name: str) -> None:
    from connectors.registry import CONNECTORS

    settings = here.config.connections[name]
    made = CONNECTORS[settings.platform]
    if made.consent(settings) is not None:
        return
    keys = "; ".join(
        f"`{key}` ({(field.description or '').rstrip('.')})"
        for key, field in _secrets(type(settings)).items()
    )
    raise Stop(
        f"{made.platform.title} asks nobody in a browser. Put into connection {name} of {here.file}: {keys}."
        " Then: bookferry check --online",
        Exit.CONFIGURATION,
    )


def _secrets(settings: type[BaseModel]) -> dict[str, "FieldInfo"]:
    return {
        name: field
        for name, field in settings.model_fields.items()
        if field.annotation in {SecretStr, SecretStr | None}
    }


def _show(here: Place, name: str, attempt: "Attempt", *, timeout: int | None) -> None:
    say("Open this address in a browser, log in and agree:")
    say(f"\n  {attempt.url}\n")
    if getattr(here.config.connections[name], "client_id", None):
        say(f"(The client of the configuration must have {attempt.redirect_uri} as a redirect address.)")
    if timeout is None:
        say(
            "Afterwards the browser ends up at an address that it cannot open. Paste that whole address here, and Enter:"
        )
    else:
        say(
            f"Waiting {timeout} seconds for it to come back to {attempt.redirect_uri}. No browser on this machine?"
            f" Ctrl-C, then: bookferry connect {name} --paste"
        )
    sys.stdout.flush()


async def _pasted() -> str:
    """A line of stdin. Read by a thread that nobody has to wait for, so that Ctrl-C ends it at once."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        text = b""
        while not text.endswith(b"\n") and len(text) < _LONGEST_LINE:
            # Not sys.stdin: a lock of its buffer that is held at the end of the process is fatal.
            part = os.read(sys.stdin.fileno(), _LONGEST_LINE)
            if not part:
                break
            text += part
        loop.call_soon_threadsafe(came.set_result, text.decode(errors="replace").partition("\n")[0])

    threading.Thread(target=read, daemon=True, name="paste").start()
    return await came


def _report(here: Place, name: str, told: "Connected") -> None:
    title = here.world().platform(name).title
    if told.account is not None:
        line(f"Connected {name} to {title}: {told.account.name or told.account.id}.")
    else:
        line(f"{title} let us in, and what it gave is sealed.")
    for scope, feature in told.lost:
        line(f"!! the scope {scope} was not granted: without it there is no {feature}.")
    if told.lost:
        line(f"what to do: bookferry connect {name} once more, or leave them out of `scopes`", indent=3)
    if not told.lasting:
        line("!! no refresh token came along: this lasts only as long as its access token.")
    if getattr(here.config.connections[name], "refresh_token", None):
        line(
            f"`refresh_token` in {here.file} is not used any more. Leave the line as it is: this log-in stands in its place,"
            " and another value would begin anew."
        )
    if told.problem is not None:
        raise told.problem
    line("What to do next: bookferry check --online, then bookferry sync.")
    line("A running service goes on with its next poll, within a quarter of an hour, and needs no restart.")


def disconnect(
    ctx: typer.Context,
    connection: str,
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Forget it all even if the platform cannot be told.")
    ] = False,
) -> None:
    """End a consent where the platform can, and forget all that is sealed for a connection. Its records stay."""
    from daemon import login, logs, loop

    here = _known(place(ctx, config), connection)
    with look(here.db):
        pass  # a missing database is not made by this
    logs.configure("warning")

    async def work() -> "Disconnected | None":
        async with login.desk(here, connection) as at:
            webhooks = await _agreed(at, yes=yes)
            return None if webhooks is None else await login.disconnect(at, webhooks=webhooks, force=force)

    try:
        told = loop.run(work())
    except login.StillThere as error:
        raise Stop(
            f"the platform could not be told, so nothing was forgotten: {error} Try again later; --force forgets it all"
            " the same."
        ) from None
    if told is None:
        raise typer.Exit(Exit.FAILED)
    _farewell(here, connection, told)


async def _agreed(at: "Desk", *, yes: bool) -> bool | None:
    """Whether our webhooks are to be deleted too; None: nothing is to be done."""
    from daemon import login

    names = await login.sealed_names(at)
    others = [name for name in at.kin if name != at.name]
    tell(
        f"{at.name}: {len(names)} sealed values will be forgotten, and the consent be ended where that can be done."
    )
    if others:
        tell(f"Its webhook and the secret of that serve {', '.join(others)} too: both stay.")
    if not yes and not sys.stdin.isatty():
        raise Stop("nobody is here to be asked: say --yes. Nothing was done.")
    if not yes and not typer.confirm(f"Disconnect {at.name}?", err=True):
        return None
    door = login.our_door(at)
    if door is None:
        return False
    return yes or typer.confirm(f"Delete the webhooks that send to {door}, too?", default=True, err=True)


def _farewell(here: Place, name: str, told: "Disconnected") -> None:
    for done in told.done:
        line(f"{done[:1].upper()}{done[1:]}.")
    by_hand = [*told.by_hand]
    if getattr(here.config.connections[name], "refresh_token", None):
        by_hand.append(f"take `refresh_token` of {name} out of {here.file}: it would be used again")
    by_hand.append(
        f"take {name} and its routes out of {here.file}, or log in again: bookferry connect {name}"
        if _has_consent(here, name)
        else f"take {name} and its routes out of {here.file}"
    )
    line("What to do by hand:")
    for todo in by_hand:
        line(f"- {todo}.", indent=2)
    line("What was read of it stays in the database.")


def _has_consent(here: Place, name: str) -> bool:
    from connectors.registry import CONNECTORS

    settings = here.config.connections[name]
    return CONNECTORS[settings.platform].consent(settings) is not None
