"""The judgement: what must hold for every ship, whatever its routes say."""

import asyncio
import json
import re
from functools import partial
from typing import Any

import orjson

from connectors.errors import PlatformError
from daemon import guard
from daemon.passes import sync
from state import clearance, inbox, ledger
from tests.torture.ports import GUESTS


def line(world: Any, method: str, event: dict[str, Any]) -> None:
    """A line of the program's own log."""
    text = json.dumps(event, default=str, sort_keys=True)
    told = {key: value for key, value in event.items() if key != "where"}
    world.tell("log", f"{method} {json.dumps(told, default=str, sort_keys=True)}")
    if event.get("event") == "pushed":
        world.net.pushed.add(event["target"])
    if event.get("event") == "bug" or method in {"error", "critical", "exception"}:
        world.violate(f"bug: the log says {text}")
    for secret in secrets(world):
        if secret in text:
            world.violate(f"secret: {secret} stands in the log: {text}")


def secrets(world: Any) -> list[str]:
    """What no line may show: keys and tokens, and what guests are called."""
    keys = [text for keys in world.secrets.values() for text in re.findall(r'"([^"]{12,})"', keys)]
    keys = [key for key in keys if not key.startswith("http")]
    boxes = [port.box for port in world.ports.values()]
    tokens = [token for box in boxes for token in (getattr(box, "tokens", None) or ())]
    tokens += [token for box in boxes for token in (getattr(box, "refresh_tokens", None) or ())]
    return [*keys, *tokens, *(guest.email for guest in GUESTS)]


async def everything(world: Any, days: int) -> None:
    """Faults are over. Webhooks still to come arrive at a door that is closed: the lists have to do."""
    await asyncio.sleep(days * 86_400)
    world.final = world.now()
    world.tell("judge", "one full pass")
    # Twice, since what a list leaves out is gone only if the next one leaves it out too; and a visit whose person was
    # made in one pass may follow in the next.
    for _ in range(2):
        await world.within(sync)
        while await world.within(approved):
            await world.within(sync)
    before = writes(world)
    await world.within(look)
    for _ in range(2):
        await world.within(sync)
    if (after := writes(world)) != before:
        world.violate(f"restless: another pass wrote: {before} calls had changed something, and now {after}")
    world.meddle(world)
    for sentence in world.ship.judge(world):
        world.violate(sentence)
    for name in world.ship.silent:
        if said := world.ports[name].said():
            world.violate(f"surprise: {name} was to be silent, and said {said}")
    _order(world)
    _history(world)
    _people(world)


async def approved(app: Any) -> int:
    """A human lets through what is held since it is more than usual. Gives how many plans there were."""

    def let(tx: Any) -> int:
        plans = [clearance.plan(tx, each.route) for each in clearance.every(tx)]
        return sum(guard.approve(app.world, tx, plan) is not None for plan in plans)

    let_through: int = await app.db.transaction(let, "approve")
    for name in app.connectors if let_through else ():
        app.engine.kick(f"push:{name}")
    app.db.life.world.report.counts["approved"] += let_through
    return let_through


def writes(world: Any) -> int:
    return sum(port.berth.writes() for port in world.ports.values())


def _order(world: Any) -> None:
    """What was said earlier never takes the place of what was said later."""
    for visit in world.visits:
        for name, shown in visit.shown.items():
            said, edits = visit.values(name), visit.twin_values(name)
            if visit.where in world.net.outdated or len(set(said)) < len(said):
                continue
            turns = [said.index(value) for value in shown if value in said and value not in edits]
            if turns != sorted(turns):
                world.violate(f"order: the {name} of {visit} was {said}, and its twin showed {shown}")


def _history(world: Any) -> None:
    """What was there before the routes were armed has gone nowhere."""
    for line in world.history:
        name, ref = line.split()
        own = world.ports[name]
        row = own.find(ref)
        if row is None or row.off:
            world.violate(f"lost: nobody cancelled {line}, which was there before")
        for other in world.ports.values():
            if other is not own and other.marked(own.mark(ref)):
                world.violate(f"unwanted: {line} was there before, and was carried to {other.platform}")


def _people(world: Any) -> None:
    if "nicejob" not in world.ports:
        return
    rows = list(world.ports["nicejob"].table("people").values())
    emails = [row["email"].lower() for row in rows if row["email"]]
    for email in sorted({email for email in emails if emails.count(email) > 1}):
        world.violate(f"doubled: {emails.count(email)} people have the address {email}")


async def look(app: Any) -> None:
    """What the store says of itself, and whether it says what the platforms do."""
    world = app.db.life.world
    rows = app.db._read(
        lambda tx: tx.rows(
            "SELECT i.state, i.problem, s.connection, r.ref FROM intent i JOIN record r ON r.id = i.source"
            " JOIN stream s ON s.id = r.stream WHERE i.state NOT IN ('done', 'dismissed') ORDER BY i.id"
        )
    )
    for row in rows:
        if row["state"] == "sending":
            world.violate(f"stuck: a write for {row['connection']} {row['ref']} is still being sent")
        elif row["state"] == "parked":
            world.parked.append((row["connection"], row["ref"], row["problem"]))
            if not re.search(world.ship.parked, row["problem"]):
                world.violate(f"parked: {row['connection']} {row['ref']}: {row['problem']}")
        else:
            world.unfinished.append(row)
            world.tell("judge", f"unfinished: {row['connection']} {row['ref']}: {row['problem']}")
    problems = app.db._read(
        lambda tx: tx.rows("SELECT key, problem FROM unit WHERE problem IS NOT NULL ORDER BY key")
    )
    for row in problems:
        world.violate(f"problem: {row['key']} has {row['problem']}")
    rejected = app.db._read(lambda tx: tx.rows("SELECT * FROM rejected WHERE dismissed = 0"))
    for row in rejected:
        world.violate(f"rejected: {row}")
    _inbox(world, app)
    try:
        await _records(world, app)
    except PlatformError as error:
        world.violate(f"problem: {error.sentence}")


def _inbox(world: Any, app: Any) -> None:
    """Nothing that was acknowledged is missing, and nothing waits in it."""
    held = app.db._read(lambda tx: tx.rows("SELECT connection, digest, state, note FROM inbox"))
    known = {(row["connection"], row["digest"]) for row in held}
    for connection, body, headers in world.net.taken:
        connector = app.connectors[connection]
        event = connector.read_event(headers, body, app.ms())
        if not event.drop and (connection, inbox.digest(connector.event_key(body))) not in known:
            world.violate(f"unstored: {connection} was told {orjson.loads(body)}, and it is gone")
    for row in held:
        if row["state"] in {"new", "parked"}:
            world.violate(f"unread: a webhook of {row['connection']} is {row['state']}: {row['note']}")


async def _records(world: Any, app: Any) -> None:
    """What a list shows now is what the store holds."""
    for name, connector in app.connectors.items():
        for kind in connector.streams:
            position, more = None, True
            while more:
                page = await connector.pull(kind, position)
                for seen in page.observations:
                    found = partial(ledger.find, connection=name, kind=kind, ref=seen.ref)
                    _compare(world, f"{name} {kind.value} {seen.ref}", seen, app.db._read(found))
                position, more = page.next, page.next is not None


def _compare(world: Any, which: str, seen: Any, record: Any) -> None:
    if record is None:
        world.violate(f"unknown: {which} is listed, and the store does not know it")
        return
    for field, value in seen.fields.fields().items():
        if record.fields.get(field) != value:
            world.violate(
                f"stale: {which} shows {field} {value!r}, and the store has {record.fields.get(field)!r}"
            )
