"""The step that a wish would lead to, as a push would take it, and how a person would see it: pure looks."""

from typing import Any

from daemon.world import Want, World
from mapping.capability import People
from mapping.identity import Match, Suggestion
from mapping.model import Kind
from mapping.record import Record
from mapping.wish import Step, Stuck, Waits, Write
from state import ledger
from state.database import Tx

_MADE_FIRST = "(made first)"


def foresee(
    world: World, tx: Tx, want: Want, people: set[tuple[str, int]]
) -> tuple[Step, Record | None, tuple[str, ...]]:
    """The step for a wish as a push would take it: matched first, and with the people who are made before it."""
    return matched(world, tx, want, people, *world.step(tx, want))


def matched(
    world: World, tx: Tx, want: Want, people: set[tuple[str, int]], step: Step, held: Record | None
) -> tuple[Step, Record | None, tuple[str, ...]]:
    """The same, where the step as far as links and deliveries tell is known."""
    notes: tuple[str, ...] = ()
    if not isinstance(step, Write | Waits) or (held is not None and isinstance(step, Write)):
        return step, held, notes
    if held is None:
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
