"""What a human is asked when a write cannot go on by itself: sentences that say what is known and which command answers."""

from connectors.errors import Refused
from daemon.world import Want, World
from mapping.identity import Suggestion
from mapping.wish import Write
from state import journal, ledger
from state.database import Tx
from state.outbox import Intent

HIDDEN = "the target says that it exists, and shows no record of ours"


def same(want: Want, found: Suggestion) -> str:
    """Whether a record of the target is the one that would be made."""
    source, target = want.source, want.route.target.connection
    commands = "; ".join(
        f"bookferry link {source.connection} {source.kind.one} {source.ref} {target} {record.ref}"
        for record in found.records[:3]
    )
    return f"{found.why}: it may be somebody else. If it is the same {source.kind.one}: {commands}"


def undone(tx: Tx, world: World, intent: Intent, write: Write, times: int) -> str:
    """Who is to have his way, where the very same was written this often within a day."""
    target = ledger.find(tx, intent.connection, intent.kind, write.ref or "")
    other = journal.last_writer(tx, target.id) if target else None
    who = f"route {other!r}" if other else f"somebody at {intent.connection}"
    story = f"route {intent.route!r} and {who} undo each other's {', '.join(write.fields)}"
    if other == intent.route:
        story = f"the source of route {other!r} changes {', '.join(write.fields)} back and forth"
    paired = world.back(world.routes[intent.route]) is not None
    remedy = "name an owner with `owns` in the YAML" if paired else "end that there"
    return (
        f"{story}: {times} times the same within a day. It is not written again until you decide: {remedy}, then"
        f" `bookferry retry {intent.id}`; `bookferry dismiss {intent.id}` leaves it as it is"
    )


def refused(error: Refused) -> str:
    """What is wrong with the values, in the target's own words."""
    fields = "; ".join(f"{name}: {said}" for name, said in error.fields.items())
    return f"{error.sentence} ({fields})" if fields else error.sentence
