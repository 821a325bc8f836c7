"""One full pass: drain the inbox, poll everything, decide, push, until nothing is left to do."""

import asyncio
from collections.abc import Callable
from typing import Any

from daemon.app import App
from state import attempts, journal, outbox, overview, units
from state.database import Tx

_ROUNDS = 50
_TIDY_EVERY_MS = 86_400_000
_PATIENCE_MS = 60_000
"""A pass waits for what becomes due within a minute."""


async def sync(app: App, *, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Do everything there is to do now. Gives what was done and what waits. Raises StateError when the store fails or was
    taken over.
    """
    tell = progress or (lambda _line: None)
    before = await app.db.read(_totals)
    for name in app.connectors:
        app.engine.kick(f"inbox:{name}")
    await _idle(app)
    for name in app.connectors:
        tell(f"polling {name}")
        app.engine.kick(f"pull:{name}")
    await _idle(app)
    for _ in range(_ROUNDS):
        for name in app.connectors:
            app.engine.kick(f"inbox:{name}")
            app.engine.kick(f"push:{name}")
        await _idle(app)
        due = await app.db.read(lambda tx: _next_due(tx, app))
        if due is None or due - app.ms() > _PATIENCE_MS:
            break
        tell("waiting for what is due")
        await asyncio.sleep(max(0.0, (due - app.ms()) / 1000))
    app.engine.kick(units.ALERT)
    await app.engine.idle()
    if app.taken_over is not None:
        raise app.taken_over
    after = await app.db.read(_totals)
    if await app.db.read(lambda tx: _untidy(tx, app.ms())):
        app.engine.kick(units.TIDY)
        await _idle(app)
    summary = {name: after[name] - before[name] for name in ("changes", "writes", "writes_loud")}
    return (
        summary
        | {name: after[name] for name in ("held", "parked", "open", "waiting")}
        | await app.db.read(_problems)
    )


def _untidy(tx: Tx, now: int) -> bool:
    """Whether what is old was last forgotten long ago: nobody else does it where no service runs."""
    held = units.get(tx, units.TIDY)
    return now - ((held["last_ok"] if held else None) or 0) > _TIDY_EVERY_MS


async def _idle(app: App) -> None:
    await app.engine.idle()
    for error in app.trouble.values():
        raise error


def _next_due(tx: Tx, app: App) -> int | None:
    """When the next thing is due that a pass would wait for."""
    blocked = {row["key"] for row in units.every(tx) if row["problem"]}
    into = {name: [route.name for route in app.world.routes_into(name)] for name in app.connectors}
    due = (outbox.next_due(tx, name, into[name]) for name in into if f"push:{name}" not in blocked)
    open_to = [moment for moment in due if moment is not None]
    return min(open_to, default=None)


def _totals(tx: Tx) -> dict[str, int]:
    waits = {state: len(outbox.in_state(tx, state)) for state in ("parked", "held", "open", "waiting")}
    return {
        "changes": journal.end(tx),
        "writes": attempts.total(tx),
        "writes_loud": attempts.total(tx, loud=True),
        **waits,
        "parked": waits["parked"] + len(overview.rejected(tx)),
    }


def _problems(tx: Tx) -> dict[str, Any]:
    """What stands in the way of the ferry. An alert that could not be delivered does not."""
    stopped = (row for row in units.every(tx) if row["problem"] and row["key"] != units.ALERT)
    return {"problems": {row["key"]: row["problem"] for row in stopped}}
