"""``alert:``: tell the owner what needs attention, once when it begins and once when it is over.

At most one message a minute, with all that there is to tell in it. A message that cannot be delivered waits in the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from connectors.errors import PlatformError
from daemon.concerns import Concern, concerns, stamp
from daemon.units import Unit
from state import concerns as store
from state import losses
from state.database import Row, Tx
from state.errors import StateError

if TYPE_CHECKING:
    from daemon.app import App

log = structlog.get_logger()

_APART_MS = 55_000
"""Between two messages; the bell rings every minute."""
_LISTED, _ATTACHED = 10, 100
"""So many concerns stand in the text of one message, and so many beside it; the others are counted."""


async def tell(unit: Unit, _name: str) -> None:
    """Settle what webhooks lost, see what stands, and tell what was not told yet."""
    app = unit.app
    await unit.commit(lambda tx: _settle(tx, app), "alert.settle")
    # A look of its own: where thousands are parked, webhooks need not wait for it.
    found = await app.db.read(lambda tx: concerns(tx, app.world, app.ms()))
    app.metrics.concerns.set(len(found))
    begun, over = await unit.commit(lambda tx: _keep(tx, found, app.ms()), "alert.keep")
    for row in begun:
        log.warning("concern", key=row["key"], about=row["text"])
    for row in over:
        log.info("concern_over", key=row["key"])
    await _store_is_back(app)
    news = await app.db.read(lambda tx: _due(tx, app.ms()))
    if not news:
        return
    if app.alerts is not None:
        await app.alerts.post(message(news))
    await unit.commit(lambda tx: store.tell(tx, news, now=app.ms()), "alert.told")


def _settle(tx: Tx, app: App) -> None:
    if app.serving:
        losses.door_open(tx, now=app.ms())
    for name in losses.settle(tx, now=app.ms()):
        app.metrics.lost.labels(name).inc()


def _keep(tx: Tx, found: list[Concern], now: int) -> tuple[list[Row], list[Row]]:
    standing = {
        each.key: {"connection": each.connection, "text": each.text, "since": each.since} for each in found
    }
    return store.keep(tx, standing, now=now)


def _due(tx: Tx, now: int) -> list[Row]:
    """What is to be told now: nothing right after a message."""
    return [] if 0 <= now - store.last_told(tx) < _APART_MS else store.untold(tx)


def message(news: list[Row]) -> dict[str, Any]:
    """One message for all of these: ``text`` for a person, and ``concerns`` for a machine."""
    told = [_told(row) for row in news]
    lines = [each["text"] for each in told[:_LISTED]]
    if len(told) > _LISTED:
        lines.append(f"… and {len(told) - _LISTED} more: `bookferry status` shows them.")
    alone = told[0] if len(told) == 1 else {"event": "several", "connection": None}
    return {
        "text": "\n".join(lines),
        "event": alone["event"],
        "connection": alone["connection"],
        "concerns": told[:_ATTACHED],
    }


def _told(row: Row) -> dict[str, Any]:
    ends, known = row["ended_at"], row["told_at"] is not None
    text = f"It is over: {row['text']}" if known else row["text"] + (" It is over already." if ends else "")
    return {
        "key": row["key"],
        "event": row["key"].partition(":")[0],
        "state": "over" if ends else "begins",
        "connection": row["connection"],
        "since": stamp(row["since"]),
        "over_at": stamp(ends) if ends else None,
        "text": text,
    }


async def store_fails(app: App, error: StateError) -> None:
    """Tell that the store fails. It cannot remember that itself, so this process does."""
    if not app.store_trouble:
        app.store_trouble = await _tell_of_store(
            app, f"The store of bookferry fails, and nothing is ferried: {error}"
        )


async def _store_is_back(app: App) -> None:
    if app.store_trouble:
        app.store_trouble = not await _tell_of_store(app, "It is over: the store of bookferry works again.")


async def _tell_of_store(app: App, text: str) -> bool:
    log.warning("store_concern", about=text)
    if app.alerts is None:
        return True
    try:
        await app.alerts.post({"text": text, "event": "store", "connection": None, "concerns": []})
    except PlatformError as problem:
        log.warning("alert_not_delivered", problem=problem.sentence)
        return False
    return True
