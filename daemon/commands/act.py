"""arm, disarm, approve, retry, dismiss, link, unlink: what a person decides. Each is one small transaction, beside a daemon too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.commands.common import (
    ConfigFile,
    Exit,
    Json,
    Stop,
    look,
    now_ms,
    place,
    put_json,
    say,
    wants_json,
)
from daemon.settings import Place
from mapping.config import Notify, Route
from mapping.problem import instead
from mapping.record import Record

if TYPE_CHECKING:
    from state.database import Tx

Number = Annotated[str, typer.Argument(metavar="ID", help="As `bookferry parked` shows it.")]
Ref = Annotated[str, typer.Argument(metavar="ID")]


def register(app: typer.Typer) -> None:
    """Enter the commands."""
    for command in (arm, disarm, approve, retry, dismiss, link, unlink):
        app.command()(command)


def _route(here: Place, name: str) -> Route:
    for route in here.config.routes:
        if route.name == name:
            return route
    names = [route.name for route in here.config.routes]
    raise Stop(f"there is no route {name!r}: {instead(name, names, 'routes')}")


def arm(ctx: typer.Context, route: str, config: ConfigFile = None) -> None:
    """Let a route push from now on. All that is known until now is its baseline and is never pushed unless it changes."""
    from daemon.forecast import listed
    from state import cursors, journal
    from state.database import writing

    here = place(ctx, config)
    wanted = _route(here, route)
    with look(here.db) as tx:
        before = cursors.route(tx, route)
        unread = here.world().unread(tx, wanted)
    if before.armed:
        say(f"{route!r} is armed already.")
        return
    if unread and wanted.since is None:
        raise Stop(
            f"{listed(unread)} was never read to the end: what is known when a route is armed is its baseline, so"
            " nothing known would mean everything is pushed. Run `bookferry sync` first."
        )
    since = round(wanted.since.timestamp() * 1000) if wanted.since else None
    with writing(here.db) as tx:
        cursors.arm(tx, route, now=now_ms(), since=since)
        end = journal.end(tx)
    included = (
        f" Bookings that start on or after {wanted.since:%Y-%m-%d} are included." if wanted.since else ""
    )
    say(
        f"Armed {route!r}. Its baseline is all that is known now ({end} changes).{included}{_canaries(wanted)}"
        " Look ahead: bookferry plan"
    )


def _canaries(route: Route) -> str:
    loud = "loud " if route.notify is Notify.ALLOW else ""
    first = f" Its first {route.canaries} {loud}writes go out, then the others wait until you have looked (`canary`)."
    return first if route.canaries else ""


def disarm(ctx: typer.Context, route: str, config: ConfigFile = None) -> None:
    """Stop a route from pushing. What it wanted and never sent is wanted no more."""
    from state import cursors
    from state.database import writing

    here = place(ctx, config)
    wanted = _route(here, route)
    with look(here.db):
        pass  # a missing database is not made by this
    with writing(here.db) as tx:
        was = cursors.disarm(tx, route, now=now_ms())
    say(f"Disarmed {route!r}." if was else f"{route!r} was not armed.")
    if wanted.since:
        say("It has `since` in the configuration, which arms it again: take that out too.")


def approve(
    ctx: typer.Context,
    plan: Annotated[
        str | None, typer.Argument(metavar="PLAN", help="As `bookferry status` shows it.")
    ] = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Let through what is held since it is more than usual: exactly that plan, once. Without PLAN: list what is held."""
    from daemon import guard
    from daemon.commands import print_status
    from daemon.masks import masked
    from state import clearance
    from state.database import writing

    here = place(ctx, config)
    with look(here.db) as tx:
        waits, unseen = masked(guard.plans(here.world(), tx)), guard.unseen(here.world(), tx)
        gone = clearance.approved(tx, plan) if plan else 0
    if plan is None:
        if wants_json(ctx, as_json):
            put_json(waits)
        else:
            print_status.show_held(waits)
            print_status.show_canaries(unseen)
        raise typer.Exit(Exit.PARKED if waits else Exit.OK)
    with writing(here.db) as tx:
        done = guard.approve(here.world(), tx, plan)
    if done is None:
        raise Stop(_void(plan, gone, waits))
    route, writes = done
    if not writes:
        say(f"{route!r} goes on: nothing more waits because of its first writes.")
        return
    say(
        f"Approved: {writes} writes of {route!r} go with the next `bookferry sync`, or by the running service."
    )


def _void(plan: str, gone: int, waits: list[dict[str, Any]]) -> str:
    now = "; ".join(f"{row['route']!r} waits now: bookferry approve {row['plan']}" for row in waits)
    if gone:
        return f"{plan} was approved already. {now or 'Nothing is held.'}"
    void = f"nothing that is held is {plan}: an approval is bound to a plan, and void once that changed"
    return f"{void}. {now or 'Nothing is held any more.'}" + (
        " (look first: bookferry approve)" if now else ""
    )


def retry(ctx: typer.Context, number: Number, config: ConfigFile = None) -> None:
    """Try again what is parked."""
    from state import inbox, outbox
    from state.database import writing

    here = place(ctx, config)
    sort, value = _number(here, number)
    if sort == "r":
        raise Stop(
            f"{number} is a row that could not be understood: correct it on the platform, the next poll reads it."
        )
    with writing(here.db) as tx:
        now = now_ms()
        done = (
            inbox.set_parked(tx, value, "new", now=now)
            if sort == "w"
            else outbox.retry(tx, value, now=now, decided=True)
        )
    if not done:
        raise Stop(f"nothing with the number {number} is parked. `bookferry parked` shows what is.")
    say(f"{number} is tried again with the next `bookferry sync`, or by the running service.")


def dismiss(ctx: typer.Context, number: Number, config: ConfigFile = None) -> None:
    """Give up what is parked or held, or what waits and was never sent."""
    from state import inbox, outbox, overview
    from state.database import writing

    here = place(ctx, config)
    sort, value = _number(here, number)
    with writing(here.db) as tx:
        if sort == "r":
            done = overview.dismiss_rejected(tx, value)
        elif sort == "w":
            done = inbox.set_parked(tx, value, "ignored", now=now_ms())
        else:
            done = outbox.dismiss(tx, value, now=now_ms())
    if not done:
        raise Stop(
            f"nothing with the number {number} is parked or waits. `bookferry parked` and `bookferry status` show what does."
        )
    say(f"{number} is given up.")


def _number(here: Place, text: str) -> tuple[str, int]:

    with look(here.db):
        pass
    sort, digits = (text[0], text[1:]) if text[:1] in {"w", "r"} else ("", text)
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):  # noqa: PLR2004 - what SQLite can hold
        raise Stop(f"{text!r} is no number of something parked. `bookferry parked` shows them: 12, w3, r4.")
    return sort, int(digits)


@contextmanager
def _both(here: Place, kind: str, *named: tuple[str, str]) -> Iterator[tuple["Tx", Record, Record]]:
    """A transaction, and the two records of this kind that are named by connection and id."""
    from daemon.explain import NotFound, find
    from state.database import writing

    with look(here.db):
        pass  # a missing database is not made by this
    world = here.world()
    with writing(here.db) as tx:
        try:
            one, other = (find(world, tx, connection, kind, ref) for connection, ref in named)
        except NotFound as error:
            raise Stop(str(error)) from None
        yield tx, one, other


def link(
    ctx: typer.Context,
    connection: str,
    kind: str,
    ref: Ref,
    other_connection: Annotated[str, typer.Argument(metavar="CONNECTION")],
    other_ref: Ref,
    config: ConfigFile = None,
) -> None:
    """Say that two records stand for the same person, booking or review. `unlink` takes it back."""
    from state import links

    here = place(ctx, config)
    with _both(here, kind, (connection, ref), (other_connection, other_ref)) as (tx, one, other):
        if one.connection == other.connection:
            raise Stop("both are on the same connection: a link joins records of two connections.")
        links.join(tx, one, other, "explicit", now=now_ms())
    same = one.entity == other.entity
    say(
        "They were linked already."
        if same
        else f"Linked. `bookferry retry` what was parked because of it; undo: bookferry unlink {other_connection} {kind} {other_ref} {connection} {ref}"
    )


def unlink(
    ctx: typer.Context,
    connection: str,
    kind: str,
    ref: Ref,
    other_connection: Annotated[str, typer.Argument(metavar="CONNECTION")],
    other_ref: Ref,
    config: ConfigFile = None,
) -> None:
    """Part two linked records. They are not matched by themselves again; `link` joins them anew."""
    from state import links

    here = place(ctx, config)
    with _both(here, kind, (connection, ref), (other_connection, other_ref)) as (tx, one, other):
        if one.entity != other.entity:
            raise Stop("they are not linked.")
        apart = other if other.entity != other.id else one
        links.undo(tx, apart, now=now_ms())
    say("Parted. They are not matched by themselves again.")
