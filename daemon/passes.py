"""One full pass: drain the inbox, poll everything, decide, push, until nothing is left to do."""

import asyncio
from collections.abc import Callable
from typing import Any

from daemon.app import App
from state import outbox, units
from state.database import Tx

_ROUNDS = 50
_PATIENCE_MS = 60_000
"""A pass waits for what becomes due within a minute."""


async def sync(app: App, *, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Do everything there is to do now. Gives what was done and what waits."""
    tell = progress or (lambda _line: None)
    before = await app.db.read(_totals)
    for name in app.connectors:
        app.engine.kick(f"inbox:{name}")
    await app.engine.idle()
    for name in app.connectors:
        tell(f"polling {name}")
        app.engine.kick(f"pull:{name}")
    await app.engine.idle()
    for _ in range(_ROUNDS):
        for name in app.connectors:
            app.engine.kick(f"inbox:{name}")
            app.engine.kick(f"push:{name}")
        await app.engine.idle()
        due = await app.db.read(lambda tx: _next_due(tx, app))
        if due is None or due - app.ms() > _PATIENCE_MS:
            break
        tell("waiting for what is due")
        await asyncio.sleep(max(0.0, (due - app.ms()) / 1000))
    after = await app.db.read(_totals)
    summary = {name: after[name] - before[name] for name in ("changes", "writes", "writes_loud")}
    return (
        summary
        | {name: after[name] for name in ("held", "parked", "open", "waiting")}
        | await app.db.read(_problems)
    )


def _next_due(tx: Tx, app: App) -> int | None:
    """When the next thing is due that a pass would wait for."""
    blocked = {row["key"] for row in units.every(tx) if row["problem"]}
    names = [name for name in app.connectors if app.world.routes_into(name) and f"push:{name}" not in blocked]
    open_to = [
        moment for name in names if (moment := outbox.next_due(tx, name, app.world.routes)) is not None
    ]
    return min(open_to, default=None)


def _totals(tx: Tx) -> dict[str, int]:
    return {
        "changes": int(tx.value("SELECT coalesce(max(seq), 0) FROM journal")),
        "writes": int(tx.value("SELECT count(*) FROM attempt")),
        "writes_loud": int(tx.value("SELECT count(*) FROM attempt WHERE loud = 1")),
        "parked": len(outbox.in_state(tx, "parked"))
        + int(tx.value("SELECT count(*) FROM rejected WHERE dismissed = 0")),
        "held": int(tx.value("SELECT count(*) FROM intent WHERE state = 'held'")),
        "open": len(outbox.in_state(tx, "open")),
        "waiting": len(outbox.in_state(tx, "waiting")),
    }


def _problems(tx: Tx) -> dict[str, Any]:
    return {"problems": {row["key"]: row["problem"] for row in units.every(tx) if row["problem"]}}
