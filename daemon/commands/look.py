"""plan, status, explain, parked: looks at the store that change nothing and import nothing heavy."""

from typing import Annotated

import typer

from daemon.commands.common import ConfigFile, Exit, Json, Stop, look, now_ms, place, put_json, wants_json


def register(app: typer.Typer) -> None:
    """Enter the commands."""
    for command in (plan, status, explain, parked):
        app.command()(command)


def plan(ctx: typer.Context, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show every write that would happen now, field by field; sends nothing, changes nothing."""
    from daemon.commands import print_plan
    from daemon.forecast import plan as foresee
    from daemon.masks import masked

    here = place(ctx, config)
    with look(here.db) as tx:
        found = foresee(here.world(), tx, now_ms())
    lines = [masked(line.dump()) for line in found.lines]
    if wants_json(ctx, as_json):
        put_json({"writes": lines, "notes": found.notes})
    else:
        print_plan.show(lines, found.notes)


def status(ctx: typer.Context, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show connections, routes, freshness, and what is held or parked and what to do about it."""
    from daemon import views
    from daemon.commands import print_status
    from daemon.masks import masked

    here = place(ctx, config)
    with look(here.db) as tx:
        found = masked(views.status(here.world(), tx, now_ms()))
        human = views.needs_human(tx)
    if wants_json(ctx, as_json):
        put_json(found)
    else:
        print_status.show(found)
    if human or found["parked"] or found["held"]:
        raise typer.Exit(Exit.NEEDS_HUMAN if human else Exit.PARKED)


def parked(ctx: typer.Context, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show what waits for a human: writes, webhooks (w…) and rows that could not be understood (r…)."""
    from daemon import views
    from daemon.commands import print_status
    from daemon.masks import masked

    here = place(ctx, config)
    with look(here.db) as tx:
        rows = masked(views.parked(here.world(), tx))
    if wants_json(ctx, as_json):
        put_json(rows)
    else:
        print_status.show_parked(rows)
    if rows:
        raise typer.Exit(Exit.PARKED)


def explain(
    ctx: typer.Context,
    connection: str,
    kind: str,
    ref: Annotated[str, typer.Argument(metavar="ID")],
    config: ConfigFile = None,
    as_json: Json = False,
    show_contacts: Annotated[
        bool, typer.Option("--show-contacts", help="Show e-mail addresses and telephone numbers.")
    ] = False,
) -> None:
    """Tell the whole story of one record, hop by hop."""
    from daemon import explain as story
    from daemon.commands import print_story

    here = place(ctx, config)
    world = here.world()
    with look(here.db) as tx:
        try:
            record = story.find(world, tx, connection, kind, ref)
        except story.NotFound as error:
            raise Stop(str(error)) from None
        told = story.explain(world, tx, record, contacts=show_contacts)
    if wants_json(ctx, as_json):
        put_json(told)
    else:
        print_story.show(told)
