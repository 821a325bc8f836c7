"""What would be written now: the very decisions of a push, made on copies of the tables that they write to."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from daemon.units.push import changed, decide_record, standing
from daemon.world import Want, World
from mapping.capability import KindSpec, People
from mapping.config import Route
from mapping.identity import Match, Suggestion
from mapping.model import Kind, iso
from mapping.record import Record
from mapping.wish import Settled, Step, Stuck, Waits, Write
from state import cursors, ledger, outbox, overview
from state.database import Tx
from state.outbox import Intent

_WRITTEN_BY_DECIDING = ("route", "intent", "delivery", "stream")
_AT_ONCE = 500
_MADE_FIRST = "(made first)"


@dataclass(frozen=True, slots=True)
class Planned:
    """One line of the plan."""

    route: str
    target: str
    kind: str
    source: str
    """The source's id of the record."""
    name: str | None
    outcome: str
    """``write``, or why there is none now: ``waits``, ``stuck``, ``parked``, ``later``."""
    why: str
    act: str | None = None
    record: str | None = None
    """The target's id; None: it has to be made."""
    loud: bool = False
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Each written field with what the target shows now (``old``) and what it would be (``new``)."""
    notes: tuple[str, ...] = ()
    intent: int | None = None

    def dump(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that would be written now, and what keeps a route from looking."""

    lines: list[Planned]
    notes: list[str]


def plan(world: World, tx: Tx, now: int) -> Plan:
    """Foresee. ``tx`` must be a look (``state.database.reading``): nothing of this reaches the file."""
    overview.shadow(tx, _WRITTEN_BY_DECIDING)
    top = int(tx_max(tx))
    notes = [note for route in world.config.routes if (note := _decide(world, tx, route, now))]
    intents = [
        intent
        for state in ("open", "waiting", "sending", "parked")
        for intent in outbox.in_state(tx, state)
        if intent.route in world.routes
    ]
    intents.sort(key=lambda intent: (intent.kind is not Kind.PEOPLE, intent.id))
    people = {
        (intent.route, intent.entity)
        for intent in intents
        if intent.kind is Kind.PEOPLE and intent.state != "parked"
    }
    lines = [line for intent in intents if (line := _line(world, tx, intent, people, now, top))]
    return Plan(lines, notes)


def listed(unread: list[tuple[str, Kind]]) -> str:
    """Lists as a person names them."""
    return ", ".join(f"{name}.{kind.value}" for name, kind in unread)


def tx_max(tx: Tx) -> int:
    """The newest intent that is really stored: what is above was only foreseen."""
    return max(
        (row.id for state in ("open", "waiting", "sending", "parked") for row in outbox.in_state(tx, state)),
        default=0,
    )


def _decide(world: World, tx: Tx, route: Route, now: int) -> str | None:
    """Let a route decide on what changed. Gives why it does not."""
    state = cursors.route(tx, route.name)
    if not state.armed and route.since is None:
        return (
            f"route {route.name!r} is not armed: it pushes nothing. Arm it with: bookferry arm {route.name!r}"
        )
    if unread := world.unread(tx, route):
        return f"route {route.name!r}: {listed(unread)} never read to the end; `bookferry sync` reads first, then decides"
    if not state.armed and route.since is not None:
        state = cursors.arm(tx, route.name, now=now, since=round(route.since.timestamp() * 1000))
    while True:
        records, position = changed(tx, world, route, state, _AT_ONCE)
        origins = world.origins(tx, records)
        for record in records:
            decide_record(tx, now, world, route, standing(record, origins))
        if position <= state.position:
            return None
        cursors.move_route(tx, route.name, position)
        state = cursors.route(tx, route.name)


def _line(
    world: World, tx: Tx, intent: Intent, people: set[tuple[str, int]], now: int, top: int
) -> Planned | None:
    route = world.routes[intent.route]
    source = ledger.get(tx, intent.source)
    want = Want(route, intent.kind, intent.entity, source, intent.wish)
    step, held, notes = foresee(world, tx, want, people)
    if isinstance(step, Settled):
        return None
    outcome, why = "write", intent.wish.why
    if intent.state == "parked":
        outcome, why = "parked", intent.problem or why
    elif intent.wish.not_before and intent.wish.not_before > now and not isinstance(step, Stuck):
        outcome, why = (
            "later",
            f"not before {iso(datetime.fromtimestamp(intent.wish.not_before / 1000, UTC))}",
        )
    elif isinstance(step, Waits | Stuck):
        outcome, why = ("waits" if isinstance(step, Waits) else "stuck"), step.why
    elif intent.due_at > now:
        outcome, why = "later", intent.problem or why
    elif intent.doubt_since is not None:
        notes = (
            *notes,
            "the outcome of the last call is unknown: the target is looked at before anything is sent",
        )
    write = step if isinstance(step, Write) else None
    if write is not None:
        notes = (*notes, *quiet_costs(world.spec(route.target.connection, intent.kind), write))
    return Planned(
        route=route.name,
        target=route.target.connection,
        kind=intent.kind.value,
        source=f"{source.connection} {source.kind.one} {source.ref}",
        name=title(source),
        outcome=outcome,
        why=why,
        act=write.act.value if write else None,
        record=write.ref if write else (held.ref if held else None),
        loud=bool(write and write.loud),
        fields=differences(write, held) if write else {},
        notes=notes,
        intent=intent.id if intent.id <= top else None,
    )


def quiet_costs(spec: KindSpec, write: Write) -> list[str]:
    """What else does not happen since a write is silent, each with the fields that it is about."""
    fields: dict[str, list[str]] = {}
    for name in write.fields if not write.loud else ():
        if name in spec.quiet_costs:
            fields.setdefault(spec.quiet_costs[name], []).append(name)
    return [f"{', '.join(names)}: {cost}" for cost, names in fields.items()]


def foresee(
    world: World, tx: Tx, want: Want, people: set[tuple[str, int]]
) -> tuple[Step, Record | None, tuple[str, ...]]:
    """The step for a wish as a push would take it: matched first, and with the people who are made before it."""
    step, held = world.step(tx, want)
    notes: tuple[str, ...] = ()
    if held is None and isinstance(step, Write | Waits):
        found = world.identify(tx, want)
        if isinstance(found, Suggestion):
            return Stuck(f"{found.why}: a human decides whether they are the same"), None, ()
        if isinstance(found, Match):
            held, notes = found.record, (f"it is {found.record.ref} there ({found.how}) and is linked",)
    there = world.people_there(tx, want) or _coming(world, tx, want, people)
    if held is None and (there is None or isinstance(step, Write)):
        return step, held, notes
    return world.step_for(tx, want, held, there), held, notes


def _coming(world: World, tx: Tx, want: Want, people: set[tuple[str, int]]) -> tuple[str, ...] | None:
    """The people of a booking, those who are made first included; None where somebody is missing."""
    target = want.route.target.connection
    if world.spec(target, want.kind).people is not People.LINKED:
        return None
    refs = []
    for ref in want.wish.people:
        person = ledger.find(tx, want.source.connection, Kind.PEOPLE, ref)
        there = ledger.of_entity(tx, person.entity, target, Kind.PEOPLE) if person else None
        if there is None and (person is None or (want.route.name, person.entity) not in people):
            return None
        refs.append(there.ref if there else _MADE_FIRST)
    return tuple(refs) or None


def differences(write: Write, held: Record | None) -> dict[str, dict[str, Any]]:
    """Every field that a write sets, with what the target shows now."""
    shown = held.fields if held else {}
    new = {**(write.person or {}), **write.fields}
    return {
        name: {"old": shown.get(name), "new": _joined(name, shown.get(name), value)}
        for name, value in new.items()
    }


def _joined(name: str, old: Any, new: Any) -> Any:
    """Tags are added, never taken away."""
    return list(dict.fromkeys([*(old or []), *new])) if name == "tags" else new


def title(record: Record) -> str | None:
    """How a person would call a record."""
    for name in ("title", "full_name", "author", "service_name", "first_name"):
        if found := record.fields.get(name):
            return str(found)
    return None
