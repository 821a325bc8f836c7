"""``push:<connection>``: decide what a target is to hold, then send it, one task an entity, many entities at once."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from daemon.foresee import matched
from daemon.guard import Alarm, review
from daemon.units import Unit
from daemon.units.carry import Carrier, put
from daemon.world import Want, World
from mapping.capability import People
from mapping.config import Route
from mapping.model import Kind
from mapping.record import Record
from mapping.surprise import sort_of
from mapping.wish import Settled, Skip, Stuck, Wish
from state import clearance, cursors, deliveries, journal, links, named, outbox, units
from state.cursors import RouteState
from state.database import Tx
from state.outbox import Intent

log = structlog.get_logger()

_DECIDED_AT_ONCE = 200
_SENT_AT_ONCE = 64
_SIDE_BY_SIDE = 8
_TRIES = 5
"""How often one intent is taken up in one run of the unit."""


async def push(unit: Unit, name: str) -> None:
    """Decide everything first, then carry it out."""
    app = unit.app
    routes = app.world.routes_into(name)
    if not routes:
        return
    more = True
    while more:
        decided = await unit.commit(lambda tx: _decide(tx, unit, name, routes), "push.decide")
        more = decided.more
        for key in decided.unread:
            app.engine.kick(f"pull:{key}")
        for alarm in decided.alarms:
            log.warning("held", route=alarm.route, writes=alarm.writes, why=alarm.why, command=alarm.command)
        if decided.blind:
            return
    await _send(unit, name, decided)
    unit.next_due, waits = await app.db.read(
        lambda tx: (
            outbox.next_due(tx, name, [route.name for route in routes]),
            clearance.waits_for_human(tx, name),
        )
    )
    app.metrics.waits(name, **waits)


@dataclass(frozen=True, slots=True)
class _Decided:
    more: bool
    """There are more changes to decide on."""
    unread: set[str]
    """Connections that have to be read first, and can be."""
    blind: bool
    """The target itself was never read: who is known there decides who has to be made."""
    due: list[Intent]
    alarms: list[Alarm]
    """Of routes whose writes are held from now on."""
    ready: dict[int, Carrier]
    """Carriers of the first of those that are due, each with its first move made."""


def _decide(tx: Tx, unit: Unit, name: str, routes: list[Route]) -> _Decided:
    """Decide on the next changes of all routes; intents and cursors in one transaction."""
    now, world = unit.app.ms(), unit.app.world
    outbox.recover(tx, name, now=now)
    unread = {connection for connection, _ in world.unread(tx, *routes)}
    # One that has failed is read again when its own time has come: asking at once would go round for ever.
    able = {key for key in unread if not (units.get(tx, f"pull:{key}") or {}).get("problem")}
    if name in unread:
        return _Decided(more=False, unread=able, blind=True, due=[], alarms=[], ready={})
    read = [route for route in routes if route.source.connection not in unread]
    left = [_decide_some(tx, now, world, route) for route in read]  # all of them, not up to the first
    more = any(left)
    _wake(tx, now, name)
    if more:  # nothing is sent before everything is decided: only then is it known how much it is
        return _Decided(more=True, unread=able, blind=False, due=[], alarms=[], ready={})
    alarms = [alarm for route in routes if (alarm := review(tx, now, world, route))]
    due = _due(tx, unit, name)
    return _Decided(more=False, unread=able, blind=False, due=due, alarms=alarms, ready=_ready(tx, unit, due))


def _due(tx: Tx, unit: Unit, name: str) -> list[Intent]:
    """What may be sent now: nothing of a route that was taken out of the configuration."""
    app = unit.app
    names = [route.name for route in app.world.routes_into(name)]
    return outbox.due(tx, name, names, app.ms(), _SENT_AT_ONCE)


def _ready(tx: Tx, unit: Unit, due: list[Intent]) -> dict[int, Carrier]:
    """Make the first move of what will be sent at once: a commit of its own would only make everybody wait."""
    one_each = {intent.entity: intent for intent in reversed(_first(due))}
    ready = {intent.id: Carrier(unit, intent) for intent in list(one_each.values())[-_SIDE_BY_SIDE:]}
    for carrier in ready.values():
        carrier.prepare(tx)
    return ready


def _first(due: list[Intent]) -> list[Intent]:
    """People before the bookings that need them."""
    return [intent for intent in due if intent.kind is Kind.PEOPLE] or due


def _decide_some(tx: Tx, now: int, world: World, route: Route) -> bool:
    state = cursors.route(tx, route.name)
    if not state.armed:
        if route.since is None:
            return False
        state = cursors.arm(tx, route.name, now=now, since=round(route.since.timestamp() * 1000))
    cursors.wake(tx, route.name)
    records, position = changed(tx, world, route, state, _DECIDED_AT_ONCE)
    if position > state.position and _follows_people(world, route):
        named.catch_up(tx, route.source.connection)
    origins = world.origins(tx, records)
    for record in records:
        if record.id in origins:
            links.join(tx, origins[record.id], record, "mark", now=now)
        decide_record(tx, now, world, route, standing(record, origins))
    cursors.move_route(tx, route.name, position)
    return state.position < position < journal.end(tx)


def changed(tx: Tx, world: World, route: Route, state: RouteState, limit: int) -> tuple[list[Record], int]:
    """The records that a route has to look at next: changed ones, and bookings whose person changed."""
    source = route.source
    kinds = [source.kind, Kind.PEOPLE] if _follows_people(world, route) else [source.kind]
    found, position = journal.changed_after(tx, source.connection, kinds, state.position, limit)
    records = [record for record in found if record.kind is source.kind]
    people = [record.ref for record in found if record.kind is not source.kind]
    if people and source.kind is Kind.BOOKINGS:
        known = {record.id for record in records}
        naming = named.bookings(tx, source.connection, people)
        records += [record for record in naming if record.id not in known]
    return records, position


def _follows_people(world: World, route: Route) -> bool:
    """Whether a change of a person changes what a route wants for his bookings."""
    told_whom = world.spec(route.target.connection, route.target.kind).people is People.EMBEDDED
    asks = any(path.startswith("person.") for path in _paths(route))
    return route.source.kind is not Kind.PEOPLE and (told_whom or asks)


def standing(record: Record, origins: Mapping[int, Record]) -> Record:
    """A record as one of the entity that its mark names."""
    return replace(record, entity=origins[record.id].entity) if record.id in origins else record


def _paths(route: Route) -> list[str]:
    expressions = [route.when, *route.set.values()]
    return [path for expression in expressions for path in getattr(expression, "paths", ())]


def decide_record(tx: Tx, now: int, world: World, route: Route, record: Record) -> None:
    """Put what a route wants for a record into the outbox, or take back what it no longer wants."""
    wanted = world.wish_of(tx, route, record)
    if isinstance(wanted, Skip):
        outbox.drop(
            tx, route=route.name, kind=route.target.kind, entity=record.entity, why=wanted.why, now=now
        )
        return
    if isinstance(wanted, Stuck):
        _park_undecided(tx, now, world, route, record, wanted)
        return
    for want in world.wants(tx, route, record, wanted):
        step, held = world.step(tx, want)
        if not isinstance(step, Stuck):
            _ask_again(tx, now, world, want)
        if isinstance(step, Settled) and outbox.unfinished(tx, route.name, want.kind, want.entity) is None:
            made = deliveries.last(tx, route.name, want.kind, want.entity)
            if made is not None and not want.wish.only_create:
                told = deliveries.sent_with(tx, route.name, want.kind, want.entity, want.wish)
                deliveries.remember(tx, route.name, want.kind, want.entity, told)
            continue
        step, _, _ = matched(world, tx, want, set(), step, held)
        put(tx, now, want, sort_of(want.wish, step, world.spec(want.route.target.connection, want.kind)))


def _ask_again(tx: Tx, now: int, world: World, want: Want) -> None:
    """Where one side of two has no question to a human any more, that of the route back is looked at again."""
    back = world.back(want.route)
    asked = outbox.unfinished(tx, back.name, want.source.kind, want.entity) if back else None
    if asked is not None and asked.state == "parked":
        outbox.retry(tx, asked.id, now=now)


def _park_undecided(tx: Tx, now: int, world: World, route: Route, record: Record, stuck: Stuck) -> None:
    empty = Wish(fields={}, mark=world.mark(tx, record), why=stuck.why)
    put(tx, now, Want(route, route.target.kind, record.entity, record, empty))
    pending = outbox.unfinished(tx, route.name, route.target.kind, record.entity)
    if pending is not None:
        outbox.park(tx, pending, problem=stuck.why)


def _wake(tx: Tx, now: int, name: str) -> None:
    for intent in outbox.in_state(tx, "waiting", name):
        outbox.wake(tx, intent, now=now)


async def _send(unit: Unit, name: str, decided: _Decided) -> None:
    """Send what is due, until nothing more is due."""
    app, due, ready = unit.app, decided.due, decided.ready
    gate = asyncio.Semaphore(_SIDE_BY_SIDE)
    tried: Counter[int] = Counter()
    owners = {app.world.spec(name, route.target.kind).under for route in app.world.routes_into(name)}
    made = False

    async def one(intents: list[Intent]) -> None:
        nonlocal made
        async with gate:
            for intent in intents:
                done = await (ready.pop(intent.id, None) or Carrier(unit, intent)).carry()
                made = made or (done and intent.kind in owners)

    while due:
        due = [intent for intent in due if tried[intent.id] < _TRIES]
        batch = _first(due)
        if not batch:
            return
        tried.update(intent.id for intent in batch)
        entities: dict[tuple[Kind, int], list[Intent]] = {}
        for intent in batch:
            entities.setdefault((intent.kind, intent.entity), []).append(intent)
        await _all([asyncio.create_task(one(intents)) for intents in entities.values()])
        if batch[0].kind is Kind.PEOPLE:
            await unit.commit(lambda tx: _wake(tx, app.ms(), name), "push.wake")
        due = await app.db.read(lambda tx: _due(tx, unit, name))
        if made and not due:
            # What stands under a record that was made just now has waited for it.
            made = False
            await unit.commit(lambda tx: _wake(tx, app.ms(), name), "push.wake")
            due = await app.db.read(lambda tx: _due(tx, unit, name))


async def _all(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for all, then raise the first thing that stops the whole connection."""
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
