"""The whole story of one record, hop by hop: a pure look at the store."""

from typing import Any

from daemon.foresee import differences, foresee, title
from daemon.masks import masked
from daemon.world import World
from mapping.config import Route
from mapping.model import Kind
from mapping.problem import instead
from mapping.record import Record
from mapping.wish import Skip, Stuck, Write
from state import attempts, cursors, inbox, journal, ledger, links, losses, outbox, overview
from state.database import Tx
from state.outbox import Intent

_SOME = 5


class NotFound(Exception):
    """There is no such record: the message says what there is."""


def find(world: World, tx: Tx, connection: str, word: str, ref: str) -> Record:
    """The record that somebody means. Raises NotFound."""
    if connection not in world.config.connections:
        raise NotFound(
            f"there is no connection {connection!r}: {instead(connection, world.config.connections, 'connections')}"
        )
    try:
        kind = Kind.parse(word)
    except ValueError:
        raise NotFound(
            f"there is no kind {word!r}: {instead(word, [k.value for k in Kind], 'kinds')}"
        ) from None
    record = ledger.find(tx, connection, kind, ref)
    if record is None:
        some = overview.refs(tx, connection, kind, _SOME)
        there = (
            f"the newest there are: {', '.join(some)}"
            if some
            else "none was ever seen; `bookferry sync` reads them"
        )
        raise NotFound(f"{connection} has no {kind.one} {ref!r}: {there}")
    return record


def explain(world: World, tx: Tx, record: Record, *, contacts: bool = False) -> dict[str, Any]:
    """Everything that is known of a record and why. Contact data only where asked for."""
    story = _journal(tx, record)
    told = {
        "record": _record(record) | {"seen_at": record.asked_at, "missing_from_lists": record.missing},
        "known_from": story[-1]["via"] if story else None,
        "journal": story,
        "webhooks": [
            row
            for row in inbox.of_ref(tx, record.connection, record.ref)
            if row["kind"] in {None, record.kind.value}
        ],
        "stands_for_the_same": [_record(other) for other in _others(world, tx, record)],
        "links": [{**row, "undone": row["undone_at"] is not None} for row in links.of_record(tx, record)],
        "routes": [
            _route(world, tx, route, record)
            for route in world.config.routes
            if (route.source.connection, route.source.kind) == (record.connection, record.kind)
        ],
        "writes": [_intent(tx, intent) for intent in _intents(tx, record)],
    }
    return told if contacts else dict(masked(told))


def _record(record: Record) -> dict[str, Any]:
    return {
        "connection": record.connection,
        "kind": record.kind.value,
        "id": record.ref,
        "name": title(record),
        "fields": dict(record.fields),
    }


def _journal(tx: Tx, record: Record) -> list[dict[str, Any]]:
    """Each change with old and new values: the journal holds the former ones, so it is told backwards."""
    import json

    state, told, lost = dict(record.fields), list[dict[str, Any]](), losses.of_record(tx, record)
    for row in reversed(journal.story(tx, record.id)):
        changes: dict[str, Any] = {}
        first = row["before"] is None
        if first:
            changes = {name: {"new": value} for name, value in state.items()}
        else:
            for name, old in json.loads(row["before"]).items():
                changes[name] = {"old": old, "new": state.get(name)}
                state[name] = old
            for name in json.loads(row["added"] or "[]"):
                changes[name] = {"new": state.pop(name, None)}
        told.append(
            {
                "seq": row["seq"],
                "at": row["at"],
                "via": row["via"],
                "first": first,
                "intent": row["intent"],
                "changes": changes,
                "webhook": (lost[row["seq"]]["cause"] or "not yet") if row["seq"] in lost else None,
            }
        )
    return told[::-1]


def _others(world: World, tx: Tx, record: Record) -> list[Record]:
    found = (
        ledger.of_entity(tx, record.entity, name, kind) for name in world.config.connections for kind in Kind
    )
    others = {other.id: other for other in found if other is not None and other.id != record.id}
    return list(others.values())


def _route(world: World, tx: Tx, route: Route, record: Record) -> dict[str, Any]:
    """What a route wants for the record now, or why it does not."""
    state = cursors.route(tx, route.name)
    told: dict[str, Any] = {"route": route.name, "to": str(route.target), "armed": state.armed}
    if not state.armed:
        why = "its first push arms it by `since`" if route.since else "it is not armed: it pushes nothing"
        return told | {"wants": "nothing yet", "why": why, "steps": []}
    wanted = world.wish_of(tx, route, record)
    if isinstance(wanted, Skip | Stuck):
        return told | {
            "wants": "nothing" if isinstance(wanted, Skip) else "cannot",
            "why": wanted.why,
            "steps": [],
        }
    known = journal.last_change(tx, record.id) <= state.baseline
    held = ledger.of_entity(tx, record.entity, route.target.connection, route.target.kind)
    if known and held is None and route.since is None and not _intents(tx, record):
        why = (
            "it has not changed since the route was armed: it belongs to the baseline, which is never pushed"
        )
        return told | {"wants": "nothing", "why": why, "steps": []}
    wants = world.wants(tx, route, record, wanted)
    people = {(route.name, want.entity) for want in wants if want.kind is Kind.PEOPLE}
    steps = []
    for want in wants:
        step, there, notes = foresee(world, tx, want, people)
        row: dict[str, Any] = {
            "kind": want.kind.value,
            "step": type(step).__name__.lower(),
            "why": step.why,
            "notes": list(notes),
        }
        if isinstance(step, Write):
            row |= {"act": step.act.value, "loud": step.loud, "fields": differences(step, there)}
        steps.append(row)
    return told | {"wants": "cancelled" if wanted.ended else "to hold it", "why": wanted.why, "steps": steps}


def _intents(tx: Tx, record: Record) -> list[Intent]:
    both = {
        intent.id: intent
        for intent in (*outbox.of_source(tx, record.id), *outbox.of_entity(tx, record.entity))
    }
    return [
        both[number]
        for number in sorted(both)
        if both[number].kind is record.kind or both[number].source == record.id
    ]


def _intent(tx: Tx, intent: Intent) -> dict[str, Any]:
    import json

    return {
        "id": intent.id,
        "route": intent.route,
        "to": intent.connection,
        "kind": intent.kind.value,
        "state": intent.state,
        "why": intent.wish.why,
        "problem": intent.problem,
        "due_at": intent.due_at if intent.state == "open" else None,
        "attempts": [
            {
                **{key: row[key] for key in ("started_at", "ended_at", "act", "target", "detail")},
                "loud": bool(row["loud"]),
                "outcome": row["outcome"] or "under way",
                "fields": json.loads(row["fields"]),
            }
            for row in attempts.of_intent(tx, intent.id)
        ],
    }
