"""backup, restore: a copy of everything that is known, and its way back."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.commands.common import ConfigFile, Json, Stop, now_ms, place, put_json, say, wants_json
from daemon.settings import Place, key_file, key_place

File = Annotated[Path, typer.Argument(metavar="FILE")]


def register(app: typer.Typer) -> None:
    """Enter the commands."""
    app.command()(backup)
    app.command()(restore)


def backup(
    ctx: typer.Context,
    file: File,
    config: ConfigFile = None,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Copy the database into a file of its own, verified; also beside a running service."""
    from state.backup import backup as copy

    here = place(ctx, config)
    _see(here, file)
    if file.exists() and not force:
        raise Stop(f"{file} exists already. Name another file, or replace it with --force.")
    _tell(ctx, as_json, here, file, asdict(copy(here.db, file, now=now_ms())))


def restore(ctx: typer.Context, file: File, config: ConfigFile = None, as_json: Json = False) -> None:
    """Put a backup in the place of the database, which is kept beside it; the service must not run."""
    from state.backup import restore as bring_back

    here = place(ctx, config)
    _see(here, file)
    _tell(ctx, as_json, here, here.db, asdict(bring_back(here.db, file)))
    if not wants_json(ctx, as_json):
        say(
            "What happened since the backup is read from the platforms again, before anything is written. Next: bookferry"
            " sync. Whose log-in has ended meanwhile is told there, with the command that renews it."
        )


def _see(here: Place, file: Path) -> None:
    from state.backup import own_files

    if file.is_dir():
        raise Stop(f"{file} is a folder. Name a file in it, such as {file / 'bookferry.backup'}.")
    if file.resolve() in {*own_files(here.db), key_file(here.db), here.file.resolve()}:
        raise Stop(f"{file} is in use by bookferry itself. Name another file.")


def _tell(ctx: typer.Context, as_json: bool, here: Place, file: Path, held: dict[str, Any]) -> None:  # noqa: FBT001 - as the option
    key = key_place(here.db)
    if wants_json(ctx, as_json):
        put_json(
            {"file": str(file), **held, "verified": True, "sealing_key": {"included": False, "place": key}}
        )
        return
    say(
        f"Wrote {file}: {held['bytes'] / 1_000_000:.1f} MB, verified. Records: {held['records']}, deliveries:"
        f" {held['deliveries']}, webhooks to be read: {held['webhooks']}."
    )
    if held["sealed"]:
        say(
            f"The sealing key is not in it, and nothing else opens its {held['sealed']} sealed log-ins and secrets. It is in"
            f" {key or 'no place that is known here'}: keep a copy of it, apart from the backups."
        )
