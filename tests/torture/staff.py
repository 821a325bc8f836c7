"""What happens in a story, done to the platforms, the network and the process. Each act is noted for the models."""

from datetime import timedelta
from random import Random
from typing import Any

import httpx

from connectors.sandbox import Refusal
from tests.torture.net import LISTS
from tests.torture.ports import FIRST, GUESTS, Port, Row
from tests.torture.story import Event

WRITES = {
    "bookatu": ("POST", r"/appointments"),
    "nearbyassist": (None, r"/partner/bookings(/[^/]+(/cancel)?)?$"),
    "nicejob": ("POST", r"/v2/"),
    "nowistay": (None, r"/v1/(missions|bookings)"),
}


def history(world: Any) -> None:
    """What stood there before: the program reads it, and never carries it anywhere."""
    dice = Random(f"{world.story.seed} history")
    for name in world.ship.sources:
        port = world.ports[name]
        for number in range(dice.randint(3, 14)):
            starts = FIRST + timedelta(hours=600 + number * 2)
            world.history.append(f"{name} {port.book(starts, GUESTS[-1 - number % 2])}")
    for port in world.ports.values():
        for delivery in port.box.deliveries:
            delivery.state = "lost"
        for task in list(port.box.hooks._tasks):
            task.cancel()


def happen(world: Any, event: Event) -> None:
    """Let one event come true."""
    world.report.counts[event.what] += 1
    act = globals().get(f"_{event.what}")
    if act is not None:
        act(world, event)
    elif event.what == "book":
        _make(world, event)
    else:
        _do(world, event)


def _make(world: Any, event: Event) -> None:
    port: Port = world.ports[event.where]
    starts = FIRST + timedelta(seconds=world.began) + timedelta(hours=event.more["hour"])
    starts = starts.replace(minute=0, second=0, microsecond=0)
    guest = event.more["guest"] % (len(GUESTS) - 2)
    ref = port.book(starts, GUESTS[guest])
    row = port.find(ref)
    assert row is not None
    visit = world.new_visit(event.number, event.where, ref, guest)
    visit.said += [("starts", row.starts or starts), ("amount", row.amount)]
    world.tell(event.where, f"staff book {ref}")


def _do(world: Any, event: Event) -> None:
    visit = next((each for each in world.visits if each.number == event.more["visit"]), None)
    if visit is None or visit.over or visit.twin_over:
        return
    if event.what in {"complete", "no_show", "review", "rate"} and visit.starts > world.now():
        world.tell("story", "it has not begun yet")  # it was moved meanwhile
        return
    if event.what in {"review", "rate"}:
        _opinion(world, event, visit)
        return
    verb, twin = event.what.removeprefix("twin_"), event.what.startswith("twin_")
    port, ref = world.ports[visit.where], visit.ref
    if twin:
        found = _twin(world, visit)
        if found is None:
            world.tell("story", "there is no twin yet")
            return
        port, ref = found
    try:
        _acts(world, event, visit, port, ref, verb, visit.twin_said if twin else visit.said)
    except Refusal as refusal:
        world.tell(port.platform, f"refuses staff: {refusal}")
        return
    if verb in {"cancel", "complete", "no_show"}:
        ended = (world.now(), verb)
        if twin:
            visit.twin_over = ended
        else:
            visit.over = ended


def _acts(world: Any, event: Event, visit: Any, port: Port, ref: str, verb: str, said: list) -> None:
    if verb == "move":
        starts = FIRST + timedelta(seconds=world.began) + timedelta(hours=event.more["hour"])
        port.move(ref, starts.replace(minute=0, second=0, microsecond=0))
        said.append(("starts", _shown(port, ref).starts))
    elif verb == "price":
        port.price(ref, event.more["amount"])
        said.append(("amount", _shown(port, ref).amount))
    elif verb == "call":
        port.call(ref, event.more["phone"])
        world.phones[visit.guest] = event.more["phone"]
    else:
        getattr(port, verb)(ref)
    world.tell(port.platform, f"staff {verb} {ref}")


def _opinion(world: Any, event: Event, visit: Any) -> None:
    """A guest whom NiceJob knows says what they think, or thinks better of it."""
    there, email = world.ports["nicejob"], GUESTS[visit.guest].email
    who = next((row["id"] for row in there.table("people").values() if row["email"] == email), None)
    if who is None:
        world.tell("story", "nobody has asked this guest yet")
    elif visit.review is None:
        visit.review = there.box.add_review(
            rating=event.more["stars"], author="A guest", person_id=who, network="Google"
        )
        visit.stars, visit.reviewed = event.more["stars"], world.now()
    elif event.what == "rate":
        there.box.edit_review(visit.review, rating=event.more["stars"])
        visit.stars = event.more["stars"]


def _shown(port: Port, ref: str) -> Row:
    row = port.find(ref)
    assert row is not None
    return row


def _twin(world: Any, visit: Any) -> tuple[Port, str] | None:
    for name, port in world.ports.items():
        if name != visit.where:
            live = [row for row in port.marked(world.mark(visit)) if not row.off]
            if live:
                return port, live[-1].ref
    return None


# What goes wrong.


def _fault(world: Any, event: Event) -> None:
    more = dict(event.more)
    kind, writes = more.pop("kind"), more.pop("writes")
    method, path = WRITES[event.where] if writes else (None, "")
    if "lists" in more:
        method, path = "GET", LISTS[event.where]
    options: dict[str, Any] = {"method": method, "path": path, "times": more["times"]}
    if kind == "limit":
        kind, options = "error", {**options, "status": 429, "retry_after": more["retry_after"]}
    options |= {name: more[name] for name in ("seconds", "status") if name in more}
    world.ports[event.where].box.fault(kind, **options)


def _lie(world: Any, event: Event) -> None:
    world.net.lies.setdefault(event.where, []).append((event.more["kind"], event.more["seed"]))


def _webhooks(world: Any, event: Event) -> None:
    dice = Random(f"{event.more['seed']} webhooks")
    world.net.troubles.append((world.moment + event.more["for"], event.where, event.more, dice))


def _unreachable(world: Any, event: Event) -> None:
    world.net.unreachable[event.where] = world.moment + event.more["for"]


def _forged(world: Any, event: Event) -> None:
    body, headers = world.ports[event.where].forged()
    request = httpx.Request(
        "POST", f"http://127.0.0.1:8077/hooks/{event.where}", content=body, headers=headers
    )
    request.extensions["sender"] = "somebody"
    world.later(_sent(world, request), "forger")


async def _sent(world: Any, request: httpx.Request) -> None:
    try:
        answer = await world.net.send(request)
    except httpx.HTTPError:
        return
    if answer.status_code == 200:
        world.violate(f"forged: the door took {request.content!r}")


def _expire(world: Any, event: Event) -> None:
    box = world.ports[event.where].box
    if hasattr(box, "expire_tokens"):
        box.expire_tokens()


def _crash(world: Any, event: Event) -> None:
    more, life = event.more, world.life
    if life is None or life.dead:
        return
    world.down_for = more["down"]
    if more["place"] == "any":
        life.kill("where it stands")
    else:
        life.doom = (more["place"], more["edge"], more["nth"])


def _restart(world: Any, event: Event) -> None:
    if world.life is not None and not world.life.dead:
        world.down_for = event.more["down"]
        world.life.stop.set()


def _clock(world: Any, event: Event) -> None:
    world.ahead += event.more["by"]
