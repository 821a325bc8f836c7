"""What webhooks lose: noted when a list shows what they should have told, counted for ``status`` and for alerts."""

import json
from collections.abc import Set as AbstractSet
from typing import Any

from daemon.world import World
from mapping.capability import Happening
from mapping.identity import marks_in
from mapping.losses import GRACE_MS, Finding, finding, heard_from
from mapping.model import Kind
from mapping.record import Coverage, Record, Via
from mapping.rhythm import HISTORY_MS, Silence, silence
from state import journal, ledger, losses, overview, tokens
from state.cursors import StreamCursor
from state.database import Tx

DAYS = 7
DAY_MS = 86_400_000


def note(tx: Tx, world: World, name: str, kind: Kind, held: StreamCursor, position: int, *, now: int) -> None:
    """After a list altered records: note what a webhook should have told. ``held``, ``position``: as it stood before.

    The first walk tells of everything, and what we wrote ourselves is nobody's to tell.
    """
    announces, listed_at = world.spec(name, kind).announces, held.finished_at
    if listed_at is None or not announces:
        return
    missed = _missed(tx, announces, held, position, now)
    if not missed or not expected(tx, world, name):
        return
    refs, entities = losses.written(tx, name, kind, listed_at - GRACE_MS)
    for seq, record, found in missed:
        if record.ref not in refs and record.entity not in entities:
            from_then = heard_from(listed_at, losses.changed_before(tx, record.id, seq))
            losses.find(tx, seq, record, found, heard_from=from_then, now=now)


def _missed(
    tx: Tx, announces: AbstractSet[Happening], held: StreamCursor, position: int, now: int
) -> list[tuple[int, Record, Finding]]:
    """What the list altered that is announced; what carries our mark was made by us, whose answer may be lost."""
    missed = []
    for row in journal.since(tx, held.stream, position):
        record, before = ledger.get(tx, row["record"]), json.loads(row["before"] or "null")
        found = finding(
            announces,
            record.fields,
            before,
            Via(row["via"]),
            listed_at=held.finished_at or 0,
            covered=held.coverage or Coverage(),
            now=now,
        )
        if found is not None and not (before is None and marks_in(record.fields)):
            missed.append((row["seq"], record, found))
    return missed


def expected(tx: Tx, world: World, name: str) -> bool:
    """Whether a connection's webhooks are set up. Where they are not, nothing is missed.

    Its secret is known; or another connection's is, whose sender has sent something for this one too.
    """
    if _has_secret(tx, world, name):
        return True
    near = (other for other in world.config.connections if world.platform(other) is world.platform(name))
    return losses.last_heard(tx, name) is not None and any(_has_secret(tx, world, other) for other in near)


def _has_secret(tx: Tx, world: World, name: str) -> bool:
    return bool(world.config.connections[name].webhook_secret or tokens.names(tx, f"hook:{name}:"))


def lost(tx: Tx, name: str, now: int, span: int = DAYS * DAY_MS) -> dict[str, Any]:
    """How many webhooks of a connection came and how many did not, in the last days."""
    since = now - span
    found = losses.counts(tx, name, since)
    return {
        "came": losses.came(tx, name, since),
        "lost": found.get("lost", 0),
        "while_down": found.get("down", 0),
        "undecided": found.get(None, 0),
    }


def last(tx: Tx, name: str, now: int) -> dict[str, Any] | None:
    """The webhook that was lost last, in the last days."""
    return losses.last_lost(tx, name, now - DAYS * DAY_MS)


def quiet(tx: Tx, world: World, name: str, now: int) -> tuple[Silence, bool] | None:
    """Whether nothing comes for longer than the rhythm explains, and whether the lists show nothing new either."""
    last_at = losses.last_heard(tx, name)
    if last_at is None or not expected(tx, world, name):
        return None
    since = last_at - HISTORY_MS
    found = silence(losses.hours(tx, name, since), losses.runs(tx, since), now)
    return None if found is None else (found, _nothing_new(tx, world, name, found, now))


def _nothing_new(tx: Tx, world: World, name: str, found: Silence, now: int) -> bool:
    """Whether every list that shows what webhooks tell was read lately, and showed nothing that they should have told."""
    telling = {kind.value for kind, spec in world.platform(name).kinds.items() if spec.announces}
    rows = (row for row in overview.streams(tx) if row["connection"] == name and row["kind"] in telling)
    read = [row["finished_at"] or 0 for row in rows]
    return now - min(read, default=0) < found.longest and not losses.counts(tx, name, found.since)


def remedy(world: World, name: str) -> str:
    """What to do about webhooks that do not come."""
    public = world.config.server.public_url
    address = (
        f"{public}/hooks/{name}" if public else f"the public address of the hook door with /hooks/{name}"
    )
    known = world.config.connections[name].webhook_secret
    secret = (
        "its secret is `webhook_secret` here" if known else f"`bookferry hooks {name} list` shows it as ours"
    )
    return (
        f"see at {world.platform(name).title} that the webhook is enabled and sends to {address}, that this answers from"
        f" outside, and that {secret}"
    )
