"""What the platforms must hold when the storm is over, told by the staff's own history and the platforms' own tables.

Nothing here looks at the program's store or uses its decisions. Where a platform cannot tell the program what happened,
the model leaves the outcome open and says why (``excuse``).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.torture.ports import GUESTS, Row, leaves


def reviews(world: Any) -> Iterator[str]:
    """Whose visit was completed, and told, is asked once; nobody else is."""
    there = world.ports["nicejob"]
    asked = _asked(world)
    for visit in world.visits:
        rows = there.marked(world.mark(visit))
        yield from _once(visit, rows)
        if visit.ended("complete") and world.told(visit, "booking.completed"):
            if not world.shown(visit) and not rows:
                world.excuse("a visit that no list had shown: its guest is not known")
                continue
            if not rows:
                yield f"missing: {visit} was completed and told, and NiceJob has no booking for it"
                continue
            if not rows[0].done or "noreview" in rows[0].raw["tags"]:
                yield f"differs: {visit} was completed, and its booking is {rows[0].raw}"
            yield from _person(world, visit, rows[0])
            if not any(entry["person_id"] in rows[0].raw["person_ids"] for entry in asked):
                yield f"unasked: {visit} was completed, and its guest was not asked"
        elif rows:
            yield f"unwanted: {visit} was not completed, and NiceJob has {rows[0].raw}"
    complete = {
        row.ref
        for visit in world.visits
        if visit.ended("complete")
        for row in there.marked(world.mark(visit))
    }
    yield from _only_asked(asked, complete)


def mirror(world: Any) -> Iterator[str]:
    """Every appointment stands in NiceJob, silently; one that was edited there stays so until its source changes."""
    there = world.ports["nicejob"]
    for visit in world.visits:
        rows = there.marked(world.mark(visit))
        yield from _once(visit, rows)
        ahead = visit.starts > world.final
        if not visit.over and ahead:
            if not rows:
                yield f"missing: {visit} is to come, and NiceJob has no booking for it"
                continue
            yield from _same(world, visit, rows[0], "starts", "amount")
            yield from _person(world, visit, rows[0])
        for row in rows:
            yield from _ending(world, visit, row, told=_told_end(world, visit))


def market(world: Any) -> Iterator[str]:
    """As ``mirror``; NearbyAssist's list shows everything, so nothing is left open but what was never there alive."""
    there = world.ports["nicejob"]
    for visit in world.visits:
        rows = there.marked(world.mark(visit))
        yield from _once(visit, rows)
        if not visit.ended("cancel") and not visit.ended("no_show"):
            if not rows:
                yield f"missing: {visit} stands at NearbyAssist, and NiceJob has no booking for it"
                continue
            yield from _same(world, visit, rows[0], "starts", "amount")
            yield from _person(world, visit, rows[0], phone=True)
        for row in rows:
            yield from _ending(world, visit, row, told=True)


def departure(world: Any) -> Iterator[str]:
    """Guests of stays that took place are asked when they have left; those of cancelled ones never."""
    there, asked = world.ports["nicejob"], _asked(world)
    complete = set()
    for visit in world.visits:
        rows = there.marked(world.mark(visit))
        yield from _once(visit, rows)
        left = leaves(visit.starts.date().isoformat())
        complete |= {row.ref for row in rows}
        if visit.ended("cancel"):
            if rows and min(map(leaves_on, visit.values("starts"))) > world.storm_ends:
                yield f"unwanted: {visit} was cancelled long before, and NiceJob has {rows[0].raw}"
            continue
        if left > world.final:
            continue
        if not rows:
            yield f"missing: the guest of {visit} has left, and NiceJob has no booking for it"
            continue
        if not rows[0].done or "nowistay" not in rows[0].raw["tags"] or "noreview" in rows[0].raw["tags"]:
            yield f"differs: {visit} is over, and its booking is {rows[0].raw}"
        yield from _same(world, visit, rows[0], "amount")
        if not any(entry["person_id"] in rows[0].raw["person_ids"] for entry in asked):
            yield f"unasked: the guest of {visit} has left and was not asked"
    yield from _only_asked(asked, complete)


def leaves_on(moment: datetime) -> datetime:
    return leaves(moment.date().isoformat())


def cleaning(world: Any) -> Iterator[str]:
    """Every stay has one cleaning at its end."""
    missions: dict[str, list[dict[str, Any]]] = {}
    for row in world.ports["nowistay"].box.tables.missions.values():
        missions.setdefault(str(row["bookingId"]), []).append(row)
    for visit in world.visits:
        rows = missions.pop(visit.ref, [])
        if len(rows) > 1:
            yield f"doubled: {visit} has {len(rows)} cleanings: {rows}"
        elif not rows and not visit.over:
            yield f"missing: {visit} has no cleaning"
        for row in rows:
            at = datetime.fromisoformat(row["scheduledAt"])
            wanted = leaves_on(visit.starts)
            if not visit.over and at != wanted:
                yield f"differs: {visit} ends at {wanted}, and its cleaning is at {at}"
            if row["title"] != f"Cleaning after {GUESTS[visit.guest].name}":
                yield f"differs: the cleaning of {visit} is called {row['title']!r}"
    for ref, rows in missions.items():
        yield f"unwanted: stay {ref} was there before, and has {rows}"


def stars(world: Any) -> Iterator[str]:
    """As ``departure``, and what a guest has said of a stay stands there, as it was said last."""
    yield from departure(world)
    for visit in world.visits:
        row = world.ports["nowistay"].find(visit.ref).raw
        shown = row["customParameters"].get("review_stars")
        if sum(other.guest == visit.guest for other in world.visits) > 1:
            world.excuse("a guest with several stays: which of them a review is about is a guess")
        elif visit.stars is None and shown is not None:
            yield f"invented: nobody has reviewed {visit}, and it shows {shown}"
        elif visit.stars is not None and shown != str(visit.stars):
            yield f"differs: {visit} has {visit.stars} stars, and shows {shown}"


def visits(world: Any) -> Iterator[str]:
    """As ``mirror``, with one visit under each booking; who came is enrolled once, and nobody else."""
    yield from mirror(world)
    there, asked = world.ports["nicejob"], _asked(world)
    under = there.table("visits").values()
    expected = set()
    for visit in world.visits:
        bookings = there.marked(world.mark(visit))
        own = world.ports[visit.where].mark(f"{visit.ref}\0visits")
        rows = [row for row in under if own in row["tags"]]
        if len(rows) > 1:
            yield f"doubled: {visit} has {len(rows)} visits: {rows}"
        if visit.over is None and visit.starts > world.final:
            if not rows:
                yield f"missing: {visit} is to come, and NiceJob has no visit for it"
            elif datetime.fromisoformat(rows[0]["scheduled_time"]) != visit.starts:
                yield f"differs: {visit} starts at {visit.starts}, and there is {rows[0]}"
            elif bookings and rows[0]["booking_id"] != bookings[0].ref:
                yield f"differs: {rows[0]} stands under another booking than {bookings[0].ref}"
        if any(row["complete"] for row in rows):
            yield f"invented: nobody may complete {rows}"
        if visit.ended("complete") and bookings:
            expected |= set(bookings[0].raw["person_ids"])
            known = any(entry["person_id"] in bookings[0].raw["person_ids"] for entry in asked)
            told = world.told(visit, "booking.completed") and world.shown(visit)
            if told and not known and not world.parked_about(visit):
                yield f"unasked: {visit} was completed, and its guest was not enrolled"
    for entry in asked:
        if entry["cause"] != "direct" or entry["person_id"] not in expected:
            yield f"surprise: nobody wanted to enrol {entry}"


def two_way(world: Any) -> Iterator[str]:
    """Each visit has one twin alive on the other side, at the same time; what one side cancels is off on both."""
    for visit, twins in _pairs(world):
        live = [row for row in twins if not row.off]
        if len(live) > 1:
            yield f"doubled: {visit} has {len(live)} twins alive"
        if world.parked_about(visit, *twins):
            continue
        own = world.ports[visit.where].find(visit.ref)
        ahead = visit.last("starts") > world.final
        if visit.over is None and visit.twin_over is None:
            if own.off:
                yield f"lost: nobody cancelled {visit}, and it is off"
            elif not live and ahead:
                yield f"missing: {visit} has no twin"
            elif live and ahead and live[0].starts != own.starts:
                yield f"differs: {visit} starts at {own.starts}, its twin at {live[0].starts}"
        elif ahead and live and not own.off and world.settled_end(visit):
            yield f"alive: {visit} was cancelled, and both sides still stand"
        elif ahead and world.settled_end(visit) and (live or not own.off):
            yield f"alive: {visit} was cancelled on one side, and not on the other"
    yield from _messages(world)


def pair(world: Any) -> Iterator[str]:
    """Both sides show the same; NearbyAssist owns the amount, and the newest move counts."""
    for visit, twins in _pairs(world):
        yield from _once(visit, twins)
        own = world.ports[visit.where].find(visit.ref)
        if world.parked_about(visit, *twins):
            continue
        if not twins:
            yield f"missing: {visit} has no twin"
            continue
        if own.off or twins[0].off:
            yield f"lost: nobody cancelled {visit}, and it is off"
        if own.starts != twins[0].starts:
            yield f"differs: {visit} starts at {own.starts}, its twin at {twins[0].starts}"
        elif own.starts not in {*visit.values("starts"), *visit.twin_values("starts")}:
            yield f"invented: {visit} starts at {own.starts}, which nobody has said"
        owner, other = (own, twins[0]) if visit.where == "nearbyassist" else (twins[0], own)
        theirs = visit.values("amount") if owner is own else visit.twin_values("amount")
        others = visit.twin_values("amount") if owner is own else visit.values("amount")
        if theirs and owner.amount != theirs[-1]:
            yield f"differs: {visit} costs {owner.amount} where {theirs[-1]} was said last by its owner"
        if other.amount != owner.amount and other.amount not in others:
            yield f"differs: {visit} costs {owner.amount}, its twin {other.amount}"
    yield from _messages(world)


# What several of them ask.


def _pairs(world: Any) -> Iterator[tuple[Any, list[Row]]]:
    for visit in world.visits:
        (other,) = [port for name, port in world.ports.items() if name != visit.where]
        yield visit, other.marked(world.mark(visit))


def _once(visit: Any, rows: list[Row]) -> Iterator[str]:
    if len(rows) > 1:
        yield f"doubled: {visit} is there {len(rows)} times: {[row.ref for row in rows]}"


def _asked(world: Any) -> list[dict[str, Any]]:
    return [entry for entry in world.ports["nicejob"].box.enrolments if entry["by"] == "api"]


def _only_asked(asked: list[dict[str, Any]], complete: set[str]) -> Iterator[str]:
    seen = set()
    for entry in asked:
        if entry["booking_id"] not in complete:
            yield f"surprise: nobody wanted to ask for {entry}"
        if entry["booking_id"] in seen:
            yield f"surprise: asked twice for {entry}"
        seen.add(entry["booking_id"])


def _told_end(world: Any, visit: Any) -> bool:
    """Whether Bookatu has told how a visit ended: its list shows only what is to come, and a no-show has no event."""
    if visit.over is None:
        return True
    event = {"cancel": "booking.cancelled", "complete": "booking.completed"}.get(visit.over[1])
    if event is not None and world.told(visit, event):
        return True
    world.excuse("Bookatu did not tell how a visit ended: the webhook is lost, and no list shows it")
    return False


def _ending(world: Any, visit: Any, row: Row, *, told: bool) -> Iterator[str]:
    tags, verb = set(row.raw["tags"]), visit.over[1] if visit.over else None
    if "cancelled" in tags and verb != "cancel":
        yield f"lost: nobody cancelled {visit}, and NiceJob has {row.raw}"
    if row.done and verb != "complete":
        yield f"invented: nobody completed {visit}, and NiceJob has {row.raw}"
    if not told or verb is None:
        return
    if verb == "cancel" and not {"cancelled", "noreview"} <= tags:
        yield f"alive: {visit} was cancelled, and NiceJob has {row.raw}"
    if verb == "complete" and not (row.done and "noreview" in tags):
        yield f"alive: {visit} was completed, and NiceJob has {row.raw}"
    if verb == "no_show" and not {"no-show", "noreview"} <= tags:
        yield f"alive: {visit} was a no-show, and NiceJob has {row.raw}"


def _same(world: Any, visit: Any, row: Row, *fields: str) -> Iterator[str]:
    for name in fields:
        shown, said, there = getattr(row, name), visit.values(name), visit.twin_values(name)
        # An edit at the target stays until the source changes that very field.
        allowed = [there[-1]] if len(said) == 1 and there else [said[-1], *there]
        if shown not in allowed:
            yield f"differs: the {name} of {visit} is {said[-1]}, and there is {shown}"


def _person(world: Any, visit: Any, row: Row, *, phone: bool = False) -> Iterator[str]:
    people = world.ports["nicejob"].table("people")
    held = [people[ref] for ref in row.raw["person_ids"] if ref in people]
    guest = GUESTS[visit.guest]
    if [(person["email"] or "").lower() for person in held] != [guest.email]:
        yield f"differs: {visit} is for {guest.email}, and NiceJob has {held}"
        return
    if phone:
        shown = "".join(filter(str.isdigit, held[0]["phone"] or ""))
        wanted = "".join(filter(str.isdigit, world.phones.get(visit.guest, guest.phone)))
        if shown != wanted:
            yield f"differs: the phone of guest {visit.guest} is {wanted}, and there is {shown}"


def _messages(world: Any) -> Iterator[str]:
    """Nobody is told of a new booking more often than one was made or moved, nor of a cancellation without one."""
    for name, port in world.ports.items():
        if name not in {"bookatu", "nearbyassist"}:
            continue
        by_ref = {row.ref: row for row in port.rows()}
        ours = {world.mark(visit): visit for visit in world.visits if visit.where != name}
        made: dict[int, int] = {}
        for message in port.said():
            row = by_ref[message.get("appointment_id") or message.get("booking_id")]
            visit = next((ours[each] for each in row.marks if each in ours), None)
            own = next((v for v in world.visits if v.where == name and v.ref == row.ref), None)
            if message["kind"] == "booking_created":
                if visit is None:
                    yield f"surprise: a guest was told of {row.raw}, which nobody booked"
                    continue
                if (
                    name == "bookatu"
                    and visit.twin_over
                    and row.off
                    and not world.net.heard_of(name, row.ref)
                ):
                    world.excuse(
                        "Bookatu lists nothing that is cancelled: a twin was made and called off unseen"
                    )
                    continue
                made[visit.number] = made.get(visit.number, 0) + 1
                if made[visit.number] > len(visit.values("starts")):
                    yield f"surprise: a guest was told of {visit} {made[visit.number]} times"
            elif message["kind"] == "booking_cancelled":
                moved = visit is not None and len(visit.values("starts")) > 1
                if not moved and not any(v and (v.over or v.twin_over) for v in (visit, own)):
                    yield f"surprise: a guest was told that {row.raw} is off, which nobody cancelled"
