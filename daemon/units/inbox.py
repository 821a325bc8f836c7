"""``inbox:<connection>``: read the webhooks that were stored. A telling one is an observation, a thin one is fetched."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from connectors.base import Connector
from connectors.errors import PlatformError, Refused
from daemon.units import Unit, pause
from mapping.model import Kind
from mapping.record import Event, Observation
from state import accounts, inbox, ledger
from state.database import Tx
from state.errors import StateError
from state.inbox import Delivery

log = structlog.get_logger()

_BATCH = 200
_FETCHES = 8
"""How many records are fetched at once."""


@dataclass(frozen=True, slots=True)
class _Read:
    delivery: Delivery
    event: Event


async def read(unit: Unit, name: str) -> None:
    """Read all that is due, oldest first."""
    app = unit.app
    connector = app.connectors[name]
    more, most = True, _BATCH
    while more:
        try:
            batch = await unit.commit(
                partial(_take, now=app.ms(), connector=connector, most=most), "inbox.read"
            )
        except (PlatformError, StateError):
            raise
        except Exception as error:
            # Ours, not theirs; and one delivery must not keep those behind it from being read.
            log.exception("bug", connection=name, deliveries=most)
            if most == 1:
                await unit.commit(partial(_give_up, now=app.ms(), name=name, error=error), "inbox.bug")
            most = _BATCH if most == 1 else 1
            continue
        more = batch.more  # what comes meanwhile rings the bell
        if batch.poll:
            app.engine.kick(f"pull:{name}")
        if batch.altered:
            app.kick_targets(name)
        if batch.thin and await _fetch_all(unit, name, batch.thin):
            app.kick_targets(name)
    unit.next_due = await app.db.read(lambda tx: inbox.next_due(tx, name))


@dataclass(frozen=True, slots=True)
class _Batch:
    more: bool
    altered: bool
    poll: bool
    """A listing has to show what a webhook did not tell."""
    thin: list[_Read]
    """What has to be fetched."""


def _give_up(tx: Tx, now: int, name: str, error: Exception) -> None:
    for delivery in inbox.due(tx, name, now, 1):
        note = f"a bug in bookferry: {type(error).__name__}. The log has the details."
        inbox.finish(tx, delivery.id, state="parked", note=note)


def _take(tx: Tx, now: int, connector: Connector[Any], most: int) -> _Batch:
    """Take in what webhooks tell; sort out what they only hint at."""
    name = connector.name
    batch = inbox.due(tx, name, now, most)
    events, broken = _events(connector, batch)
    hints = [item for item in events if not item.event.observation]
    listed = [item for item in hints if item.event.poll]
    _end(tx, listed, "done", "the next listing shows it")
    altered, poll = _store(tx, now, name, [item for item in events if item.event.observation], broken)
    thin = [item for item in hints if not item.event.poll]
    return _Batch(len(batch) == most, altered, poll or bool(listed), thin)


async def _fetch_all(unit: Unit, name: str, thin: list[_Read]) -> bool:
    """Fetch what was hinted at, each record once. Gives whether anything was altered."""
    by_record: dict[tuple[Kind, str], list[_Read]] = {}
    for item in thin:
        if item.event.kind and item.event.ref:
            by_record.setdefault((item.event.kind, item.event.ref), []).append(item)
    gate = asyncio.Semaphore(_FETCHES)

    async def one(kind: Kind, ref: str, items: list[_Read]) -> bool:
        async with gate:
            return await _fetch(unit, name, kind, ref, items)

    fetched = await asyncio.gather(*(one(kind, ref, items) for (kind, ref), items in by_record.items()))
    return any(fetched)


def _events(
    connector: Connector[Any], batch: list[Delivery]
) -> tuple[list[_Read], list[tuple[Delivery, str]]]:
    events, broken = [], []
    for delivery in batch:
        try:
            event = connector.read_event(delivery.headers, delivery.body, delivery.received_at)
            events.append(_Read(delivery, event))
        except ValueError as error:
            broken.append((delivery, str(error)))
    return events, broken


def _store(
    tx: Tx, now: int, name: str, telling: list[_Read], broken: list[tuple[Delivery, str]]
) -> tuple[bool, bool]:
    account = accounts.get(tx, name)
    altered, poll = False, False
    for item in telling:
        seen, event = item.event.observation, item.event
        if seen is None:
            continue
        stored = ledger.observe(
            tx, name, seen.kind, [seen], now=now, region=account.country if account else None
        )
        altered |= stored.altered
        poll |= bool(stored.suspicious) or (event.poll and stored.altered)
        note = "not believed by itself: it leads back from a settled status" if stored.suspicious else None
        inbox.finish(
            tx,
            item.delivery.id,
            state="done",
            event=event.name,
            kind=seen.kind.value,
            ref=seen.ref,
            note=note,
        )
    for delivery, problem in broken:
        inbox.finish(tx, delivery.id, state="parked", note=problem)
    return altered, poll


async def _fetch(unit: Unit, name: str, kind: Kind, ref: str, items: list[_Read]) -> bool:
    app = unit.app
    try:
        seen = await app.connectors[name].fetch(kind, ref)
    except Refused as error:
        await unit.commit(partial(_end, items=items, state="parked", note=error.sentence), "inbox.refused")
        return False
    except PlatformError as error:
        due = getattr(error, "retry_at", None) or app.ms() + pause(items[0].delivery.failures)
        await unit.commit(partial(_again, items=items, due=due, note=error.sentence), "inbox.later")
        return False
    return await unit.commit(lambda tx: _fetched(tx, app.ms(), name, seen, items), "inbox.fetched")


def _fetched(tx: Tx, now: int, name: str, seen: Observation | None, items: list[_Read]) -> bool:
    if seen is None:
        # "Returns a null result": missing access and a deleted record look the same, so nothing is concluded.
        _end(tx, items, "done", "the platform shows no such record")
        return False
    account = accounts.get(tx, name)
    stored = ledger.observe(tx, name, seen.kind, [seen], now=now, region=account.country if account else None)
    _end(tx, items, "done", None)
    return stored.altered


def _end(tx: Tx, items: list[_Read], state: str, note: str | None) -> None:
    for item in items:
        kind = item.event.kind.value if item.event.kind else None
        inbox.finish(
            tx, item.delivery.id, state=state, event=item.event.name, kind=kind, ref=item.event.ref, note=note
        )


def _again(tx: Tx, items: list[_Read], due: int, note: str) -> None:
    for item in items:
        inbox.later(tx, item.delivery.id, due_at=due, note=note)
