"""Pure looks at the store: what ``status`` and ``parked`` show."""

from collections import Counter
from typing import Any

from daemon import guard, losses
from daemon.world import World
from mapping.capability import People
from mapping.config import Route
from mapping.model import Kind
from mapping.record import Record
from state import concerns, cursors, inbox, journal, ledger, outbox, overview, tokens, units
from state.database import Tx
from state.outbox import Intent

_LONG_MS = 86_400_000
"""What waits for longer than a day is shown one by one."""
_OPEN = outbox.UNFINISHED


def status(world: World, tx: Tx, now: int) -> dict[str, Any]:
    """Connections, routes, freshness, and what is held or parked with what to do about it."""
    stuck, held = parked(world, tx), guard.plans(world, tx)
    return {
        "now": now,
        "file": overview.size(tx),
        "connections": [_connection(world, tx, name, now) for name in world.config.connections],
        "routes": [_route(tx, route) for route in world.config.routes],
        "held": held,
        "canaries": guard.unseen(world, tx),
        "parked": stuck,
        "waiting": waiting(world, tx, now),
        "alerts": _alerts(world, tx),
        "healthy": not held and not stuck and not needs_human(tx),
    }


def needs_human(tx: Tx) -> bool:
    """Whether a connection stands still until somebody acts."""
    return any((row["problem"] or {}).get("remedy") for row in units.every(tx))


def _alerts(world: World, tx: Tx) -> dict[str, Any]:
    """Of what the owner was told and is not told of yet, and whether that can be delivered."""
    unit = units.get(tx, units.ALERT)
    return {
        "set_up": world.config.alerts is not None,
        "concerns": concerns.standing(tx),
        "problem": unit["problem"] if unit else None,
    }


def _connection(world: World, tx: Tx, name: str, now: int) -> dict[str, Any]:
    account = world.account(tx, name)
    held = {
        row["key"].partition(":")[0]: row for row in units.every(tx) if row["key"].partition(":")[2] == name
    }
    streams = [row for row in overview.streams(tx) if row["connection"] == name]
    hooks = {row["state"]: row for row in inbox.counts(tx) if row["connection"] == name}
    return {
        "name": name,
        "platform": world.platform(name).title,
        "account": {"id": account.id, "name": account.name} if account else None,
        "units": {
            sort: {key: row[key] for key in ("last_started", "last_ok", "next_due", "failures", "problem")}
            for sort, row in sorted(held.items())
        },
        "streams": [
            {
                "kind": row["kind"],
                "records": row["records"],
                "read_at": row["finished_at"],
                "reading": bool(row["walking"]),
                "doubt": row["doubt"],
            }
            for row in streams
        ],
        "webhooks": {
            "received": sum(row["n"] for row in hooks.values()),
            "last": max((row["last"] for row in hooks.values()), default=None),
            **{
                state: hooks[state]["n"] if state in hooks else 0
                for state in ("new", "done", "ignored", "parked")
            },
            "sealed_secrets": len(tokens.names(tx, f"hook:{name}:")),
            **_webhooks(world, tx, name, now),
        },
    }


def _webhooks(world: World, tx: Tx, name: str, now: int) -> dict[str, Any]:
    """What the webhooks of a connection told in the last days, and what lists had to tell in their place."""
    quiet, counted = losses.quiet(tx, world, name, now), losses.lost(tx, name, now)
    silent = None
    if quiet is not None:
        silence, nothing_new = quiet
        silent = {
            "since": silence.since,
            "silent_ms": silence.silent,
            "longest_ms": silence.longest,
            "lists_are_quiet_too": nothing_new,
        }
    amiss = counted["lost"] or (silent and not silent["lists_are_quiet_too"])
    return {
        "expected": losses.expected(tx, world, name),
        "days": losses.DAYS,
        **counted,
        "last_lost": losses.last(tx, name, now),
        "silence": silent,
        "remedy": losses.remedy(world, name) if amiss else None,
    }


def _route(tx: Tx, route: Route) -> dict[str, Any]:
    state = cursors.route(tx, route.name)
    counted: Counter[str] = Counter()
    for row in overview.intents(tx):
        if row["route"] == route.name:
            counted[row["state"]] += row["n"]
    return {
        "name": route.name,
        "from": str(route.source),
        "to": str(route.target),
        "notify": route.notify.value,
        "armed_at": state.armed_at,
        "since": route.since.isoformat() if route.since else None,
        "baseline": state.baseline,
        "behind": journal.end(tx) - state.position if state.armed else None,
        "intents": {name: counted[name] for name in (*_OPEN, "done", "dismissed")},
    }


def parked(world: World, tx: Tx) -> list[dict[str, Any]]:
    """Everything that waits for a human, each with a number for ``retry`` and ``dismiss`` and what to do."""
    rows: list[dict[str, Any]] = [
        {
            "id": str(intent.id),
            "what": "write",
            "where": intent.connection,
            "kind": intent.kind.value,
            "record": _source(tx, intent.source),
            "route": intent.route,
            "since": intent.created_at,
            "problem": intent.problem or "",
            "remedy": _remedy(world, intent.route, intent.id),
        }
        for intent in outbox.in_state(tx, "parked")
    ]
    rows += [
        {
            "id": f"w{row['id']}",
            "what": "webhook",
            "where": row["connection"],
            "kind": row["event"] or "",
            "record": row["ref"] or "",
            "route": None,
            "since": row["received_at"],
            "problem": row["note"] or "",
            "remedy": f"bookferry retry w{row['id']} reads it again; the next poll shows the record anyway",
        }
        for row in inbox.parked(tx)
    ]
    return rows + [
        {
            "id": f"r{row['id']}",
            "what": "row",
            "where": row["connection"],
            "kind": row["kind"],
            "record": row["ref"],
            "route": None,
            "since": row["first_at"],
            "problem": row["reason"],
            "remedy": f"correct it on the platform (the next poll reads it), or: bookferry dismiss r{row['id']}",
        }
        for row in overview.rejected(tx)
    ]


def waiting(world: World, tx: Tx, now: int) -> list[dict[str, Any]]:
    """Writes that are wanted for long and were never sent: since when, why, and what to do."""
    read = {(row["connection"], row["kind"]): row["finished_at"] or 0 for row in overview.streams(tx)}
    rows = []
    for intent in [*outbox.in_state(tx, "waiting"), *outbox.in_state(tx, "open")]:
        source = ledger.get(tx, intent.source)
        nobody = _nobody(world, intent)
        # A booking that webhooks told of has its guest after the next poll; one that the poll did not show has not.
        unshown = nobody and read.get((source.connection, source.kind.value), 0) > intent.created_at
        if now - intent.created_at < _LONG_MS and not unshown:
            continue
        why = intent.problem or "it was not tried yet"
        rows.append(
            {
                "id": str(intent.id),
                "where": intent.connection,
                "kind": intent.kind.value,
                "record": _source(tx, intent.source),
                "route": intent.route,
                "since": intent.created_at,
                "why": f"{why}: no list of {source.connection} has shown its guest" if nobody else why,
                "remedy": f"{_way_out(world, tx, intent, source)}; or give it up: bookferry dismiss {intent.id}",
            }
        )
    return sorted(rows, key=lambda row: row["since"])


def _nobody(world: World, intent: Intent) -> bool:
    """Whether a write waits since nobody knows whom its booking is for: webhooks alone do not always say."""
    if intent.route not in world.routes or intent.kind is not Kind.BOOKINGS:
        return False
    linked = world.spec(intent.connection, intent.kind).people is People.LINKED
    return linked and not intent.wish.people and intent.wish.ended is None


def _way_out(world: World, tx: Tx, intent: Intent, source: Record) -> str:
    """What would let a write go on."""
    if intent.route not in world.routes:
        return "its route is no longer in the configuration"
    if _nobody(world, intent):
        return f"see that {source.connection} lists it with its guest, then the next poll brings it"
    for ref in intent.wish.people:
        person = ledger.find(tx, source.connection, Kind.PEOPLE, ref)
        if person is None:
            return f"see that {source.connection} lists person {ref}, then the next poll brings it"
        first = outbox.unfinished(tx, intent.route, Kind.PEOPLE, person.entity)
        if first is not None and first.state == "parked":
            return f"settle {first.id} first, which is parked"
    unit = units.get(tx, f"push:{intent.connection}")
    if unit and unit["problem"]:
        return f"mend what stops push of {intent.connection}, see above"
    return "it is tried again by itself while `bookferry run` runs"


def _source(tx: Tx, number: int) -> str:
    record = ledger.get(tx, number)
    return f"{record.connection} {record.kind.one} {record.ref}"


def _remedy(world: World, route: str, number: int) -> str:
    if route not in world.routes:
        return f"its route is no longer in the configuration: bookferry dismiss {number}"
    return f"correct the record or the route, then: bookferry retry {number}; or give it up: bookferry dismiss {number}"
