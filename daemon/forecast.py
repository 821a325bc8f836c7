"""What would be written now: the very decisions of a push, made on copies of the tables that they write to."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from daemon.foresee import differences, foresee, title
from daemon.guard import plans, review
from daemon.units.push import changed, decide_record, standing
from daemon.world import Want, World
from mapping.capability import KindSpec
from mapping.config import Route
from mapping.model import Kind, iso
from mapping.wish import Settled, Stuck, Waits, Write
from state import cursors, ledger, outbox, overview
from state.database import Tx
from state.outbox import Intent

_WRITTEN_BY_DECIDING = ("route", "intent", "delivery", "stream", "held", "volume")
_AT_ONCE = 500


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
    """``write``, or why there is none now: ``waits``, ``stuck``, ``parked``, ``later``, ``held``."""
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
    for route in world.config.routes:
        review(tx, now, world, route)
    intents = [
        intent
        for state in outbox.UNFINISHED
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
    for each in plans(world, tx):
        causes = "".join(f". {cause}" for cause in each["cause"])
        notes.append(
            f"route {each['route']!r} waits: {'; '.join(each['why'])}{causes}. To let it through: {each['command']}"
        )
    return Plan(lines, notes)


def listed(unread: list[tuple[str, Kind]]) -> str:
    """Lists as a person names them."""
    return ", ".join(f"{name}.{kind.value}" for name, kind in unread)


def tx_max(tx: Tx) -> int:
    """The newest intent that is really stored: what is above was only foreseen."""
    return max(
        (row.id for state in outbox.UNFINISHED for row in outbox.in_state(tx, state)),
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
    if intent.state in {"parked", "held"}:
        outcome, why = intent.state, intent.problem or why
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
