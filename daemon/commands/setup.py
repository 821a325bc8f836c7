"""init, check, schema, forget-tokens: everything before the first ferry."""

import asyncio
import os
from collections.abc import Sized
from pathlib import Path
from typing import Annotated

import typer

from connectors.platforms import PLATFORMS
from daemon.commands.common import (
    ConfigFile,
    Exit,
    Json,
    Stop,
    chosen,
    look,
    place,
    put_json,
    say,
    tell,
    wants_json,
)
from daemon.settings import find_key, key_file
from mapping.schema import json_schema

STARTER = Path(__file__).parent.parent / "starter.yaml"


def register(app: typer.Typer) -> None:
    """Enter the commands."""
    app.command()(init)
    app.command()(check)
    app.command()(schema)
    app.command("forget-tokens")(forget_tokens)


def init(ctx: typer.Context, config: ConfigFile = None) -> None:
    """Write a commented starter configuration, and a sealing key where none is set."""
    file = chosen(ctx, config)
    db = (file.parent / "bookferry.db").resolve()
    if file.exists():
        db = place(ctx, config).db
    made = _make_key(db)
    if file.exists():
        if made is None:
            raise Stop(f"{file} exists already and is kept. Move it away, or name another one with -c FILE.")
        say(f"{file} exists already and is kept.")
    else:
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
                new.write(STARTER.read_bytes())
        except OSError as error:
            raise Stop(f"{file}: cannot be written ({error.strerror}).") from None
        say(f"Wrote {file}. Fill in your accounts, then: bookferry check")
    if made:
        say(f"Made the sealing key {made}. Keep a copy of it: what is sealed cannot be opened without it.")


def _make_key(db: Path) -> Path | None:
    """A new key where none is set; never over sealed data."""
    if find_key(db):
        return None
    from state import tokens

    if db.exists():
        with look(db) as tx:
            if tokens.names(tx):
                raise Stop(
                    f"{db} holds tokens sealed with a key that is not here. Bring it back (systemd credential"
                    " bookferry-key, BOOKFERRY_KEY_FILE, BOOKFERRY_KEY or the key file), or forget them with"
                    " `bookferry forget-tokens`."
                )
    file = key_file(db)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(tokens.new_key() + "\n")
    except OSError as error:
        raise Stop(f"{file}: cannot be written ({error.strerror}).") from None
    return file


def check(
    ctx: typer.Context,
    config: ConfigFile = None,
    as_json: Json = False,
    online: Annotated[
        bool, typer.Option("--online", help="Try credentials, scopes and hooks with read-only calls.")
    ] = False,
) -> None:
    """Validate the configuration; with --online, try it out without changing anything."""
    here = place(ctx, config)
    find_key(here.db)
    here.private()
    for warning in here.config.warnings:
        tell(f"warning: {warning}")
    findings = []
    if online:
        from daemon.online import try_out

        findings = asyncio.run(try_out(here))
    if wants_json(ctx, as_json):
        put_json(
            {
                "ok": all(row["ok"] for row in findings),
                "warnings": [*map(str, here.config.warnings)],
                "findings": findings,
            }
        )
    else:
        for row in findings:
            say(f"{'ok ' if row['ok'] else '!! '} {row['connection']}: {row['what']}")
            if row["remedy"]:
                say(f"    what to do: {row['remedy']}")
        counted = (
            f"{_counted(here.config.connections, 'connection')}, {_counted(here.config.routes, 'route')}"
        )
        well = all(row["ok"] for row in findings)
        say(
            f"{here.file}: {counted}, {'nothing is wrong with it' if well else 'valid; see above (!!) for what to mend'}."
        )
    if not all(row["ok"] for row in findings):
        raise typer.Exit(Exit.NEEDS_HUMAN)


def _counted(things: Sized, one: str) -> str:
    return f"{len(things)} {one}{'' if len(things) == 1 else 's'}"


def schema() -> None:
    """Print the JSON Schema of the configuration."""
    put_json(json_schema(PLATFORMS))


def forget_tokens(
    ctx: typer.Context,
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all sealed tokens and secrets of webhooks, as when the sealing key is lost."""
    from state import tokens
    from state.database import writing

    here = place(ctx, config)
    with look(here.db) as tx:
        held = tokens.names(tx)
    if not held:
        say("There is nothing sealed.")
        return
    hooks = sum(name.startswith("hook:") for name in held)
    tell(
        f"{len(held)} sealed values, {hooks} of them secrets of webhooks (make those anew with `bookferry hooks`)."
    )
    if not yes and not typer.confirm("Forget them all?", err=True):
        raise typer.Exit(Exit.FAILED)
    with writing(here.db) as tx:
        for name in held:
            tokens.forget(tx, name)
    say(f"Forgot {len(held)} sealed values. The next run logs in anew with what the configuration says.")
