"""The demo: stand-ins of all four platforms and the real daemon in one process, as one story that asserts itself."""

import asyncio
import contextlib
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from functools import partial

from connectors.sandbox_clock import instant
from daemon import guard
from daemon.app import App
from daemon.commands.common import say
from daemon.demo_stage import CHECK_OUT, SERVICE, ZONE, Stage, arm, at_check_out, stage
from daemon.passes import sync

_PATIENCE_S = 20.0
_MERE, _TOM, _KIRI = "mere@example.com", "tom@example.com", "kiri@example.com"
_AROHA, _JONAS = "aroha@example.com", "jonas@example.com"


async def story() -> bool:
    """One whole story. Gives whether every fact held."""
    async with stage() as (on, app):
        opening(on)
        await baseline(on, app)
        async with _door(app):
            visit, other = await _appointments(on, app)
            await _completed(on, app, visit)
            await _cancelled(on, app, other)
            await _marketplace(on, app)
            direct, channel = await _stays(on, app)
            await _longer(on, app, direct, channel)
            await _departed(on, app, direct)
            await _imported(on, app)
            await _quiet(on, app)
        on.summary()
        return not on.failed


def opening(on: Stage) -> None:
    """Say who plays."""
    salon, market, stays = on.salon.counts(), on.market.counts(), on.stays.counts()
    say("Stand-ins of four platforms on this machine, and bookferry between them:")
    say(f"   Bookatu: a nail salon with {salon['appointments']} appointments")
    say(f"   NearbyAssist: the same salon on a marketplace, {market['bookings']} bookings")
    say(f"   Nowistay: a holiday loft with {stays['bookings']} stays and {stays['missions']} cleanings")
    say(f"   NiceJob: asks guests for reviews, knows {on.facts()['people']} people")


async def baseline(on: Stage, app: App) -> None:
    """Read everything, arm the routes, write nothing."""
    routes = [route.name for route in app.config.routes]
    say(f"\n1. The first sync reads everything. Then all {len(routes)} routes are armed.")
    first = await sync(app)
    await arm(app, routes)
    await sync(app)
    on.expect("nothing is written: history is a baseline", first["changes"] > 0 and on.writes() == 0)


@asynccontextmanager
async def _door(app: App) -> AsyncIterator[None]:
    from daemon.doors import hook_app, listening
    from daemon.service import ensure_hooks

    server = app.config.server
    async with listening(hook_app(app), server.hooks, label="server.hooks"):
        await ensure_hooks(app, server.public_url or "")
        yield


async def _appointments(on: Stage, app: App) -> tuple[str, str]:
    say("\n2. Salon: two new appointments. Bookatu tells us by webhook.")
    before = on.facts()
    ids = []
    for number, (name, email) in enumerate((("Mere Whaanga", _MERE), ("Tom Baker", _TOM))):
        guest = on.salon.add_customer(name, email, f"+64 21 555 01{number}0")
        ids.append(on.salon.create_appointment(SERVICE, on.in_days(30 + number), guest))
    await until(on, app, lambda: on.facts()["bookings"] >= before["bookings"] + 2)
    after = on.facts()
    on.expect(
        "NiceJob has exactly two people and two open bookings more",
        (after["people"], after["bookings"]) == (before["people"] + 2, before["bookings"] + 2)
        and not any(row["complete"] for email in (_MERE, _TOM) for row in on.bookings_of(email)),
    )
    on.expect("nobody is asked for a review", after["enrolments"] == 0)
    return ids[0], ids[1]


async def _completed(on: Stage, app: App, visit: str) -> None:
    say("\n3. Salon: the first visit is completed. The webhook even comes twice.")
    on.salon.complete(visit)
    await until(on, app, lambda: on.facts()["enrolments"] >= 1)
    on.salon.redeliver(len(on.salon.deliveries) - 1)
    await on.quiet(app)
    on.expect("its guest is asked for a review exactly once", on.asked() == [_MERE])


async def _cancelled(on: Stage, app: App, other: str) -> None:
    say("\n4. Salon: the second one is cancelled.")
    on.salon.cancel(other, "A cold")
    await until(on, app, lambda: _tags(on, _TOM) >= {"cancelled", "noreview"})
    on.expect(
        "NiceJob has it tagged `cancelled` and `noreview`", _tags(on, _TOM) >= {"cancelled", "noreview"}
    )
    on.expect("its guest is not asked", on.asked() == [_MERE])


def _tags(on: Stage, email: str) -> set[str]:
    return {tag for row in on.bookings_of(email) for tag in row["tags"]}


async def _marketplace(on: Stage, app: App) -> None:
    say("\n5. Marketplace: a new booking. Its route is silent.")
    before = on.facts()
    guest = on.market.add_customer("Kiri", "Brown", _KIRI, "+64 21 555 0200")
    booking = on.market.create_booking(on.in_days(40), guest, staff_id="stf_abc")
    await until(on, app, lambda: bool(on.bookings_of(_KIRI)))
    after, rows = on.facts(), on.bookings_of(_KIRI)
    on.expect(
        "NiceJob has one person and one open booking more",
        (after["people"], after["bookings"]) == (before["people"] + 1, before["bookings"] + 1)
        and [row["complete"] for row in rows] == [False],
    )
    on.market.complete(booking)
    await until(on, app, lambda: any(row["complete"] for row in on.bookings_of(_KIRI)))
    on.expect(
        "completed, it is tagged `noreview` there, and its guest is not asked",
        [row["complete"] for row in on.bookings_of(_KIRI)] == [True]
        and "noreview" in _tags(on, _KIRI)
        and on.asked() == [_MERE],
    )


async def _stays(on: Stage, app: App) -> tuple[int, int]:
    say("\n6. Holiday loft: two stays are booked, one directly and one over Airbnb.")
    before = on.facts(), on.stays.counts()["missions"]
    direct = on.book_stay("Aroha Ngata", _AROHA, 3)
    channel = on.book_stay("Jonas Weber", _JONAS, 2, channel="airbnb")
    await until(on, app, lambda: len(on.missions_of(direct, channel)) >= 2)  # noqa: PLR2004 - both
    on.expect(
        f"each has one cleaning at check-out: {_local(on.departure(direct))} and"
        f" {_local(on.departure(channel))}, {ZONE}",
        _cleaned(on, direct, channel) and on.stays.counts()["missions"] == before[1] + 2,
    )
    on.expect("NiceJob hears nothing of them yet", on.facts() == before[0])
    return direct, channel


async def _longer(on: Stage, app: App, direct: int, channel: int) -> None:
    say("\n7. Holiday loft: the direct guest stays one night longer.")
    missions = on.stays.counts()["missions"]
    departure = on.departure(direct) + timedelta(days=1)
    on.stays.update_booking(direct, departure=departure.isoformat())
    await until(on, app, lambda: _cleaned(on, direct, channel))
    on.expect(
        f"its cleaning moves along to {_local(departure)}; the other one stays",
        _cleaned(on, direct, channel) and on.stays.counts()["missions"] == missions,
    )


def _local(day: date) -> str:
    return f"{day:%A} {CHECK_OUT:%H:%M}"


def _cleaned(on: Stage, *stays: int) -> bool:
    wanted = [at_check_out(on.departure(stay)) for stay in stays]
    return [instant(text) for text in on.missions_of(*stays)] == wanted


async def _departed(on: Stage, app: App, direct: int) -> None:
    say("\n8. Holiday loft: the days pass, and both guests leave.")
    left = at_check_out(on.departure(direct)).timestamp() - on.clock.time()
    on.stays.advance(left - 3600)  # the clock of all four
    await sync(app)
    on.expect("an hour before check-out NiceJob has nothing of the direct guest", not on.bookings_of(_AROHA))
    on.stays.advance(2 * 3600)
    await sync(app)
    on.expect(
        "an hour after it the stay is complete there, and the guest asked for a review",
        [row["complete"] for row in on.bookings_of(_AROHA)] == [True] and on.asked() == [_AROHA, _MERE],
    )
    on.expect(
        "the Airbnb guest's is complete too, quietly as its route says: `noreview`",
        [row["complete"] for row in on.bookings_of(_JONAS)] == [True] and "noreview" in _tags(on, _JONAS),
    )


async def _imported(on: Stage, app: App) -> None:
    say("\n9. Marketplace: an import changes all its bookings at once.")
    for booking in on.market.business.bookings:
        on.market.edit_booking(booking, notes="Imported")
    before = on.facts(), on.writes()
    await sync(app)
    plans = await app.db.read(lambda tx: guard.plans(app.world, tx))
    on.expect(
        "that is more than usual: nothing is written, and it waits", (on.facts(), on.writes()) == before
    )
    on.expect("`bookferry status` says how much, why, and what to type", len(plans) == 1)
    for plan in plans:
        for line in (*plan["why"], f"likely cause: {plan['cause'][0]}", f"bookferry approve {plan['plan']}"):
            say(textwrap.fill(line, 94, initial_indent="      | ", subsequent_indent="      |   "))
        await app.db.transaction(partial(guard.approve, app.world, plan=plan["plan"]), "demo.approve")
        await sync(app)
        on.expect(
            "approved, it goes, as silently as ever",
            on.facts()["bookings"] == before[0]["bookings"] + plan["writes"]["create"]
            and on.facts()["enrolments"] == before[0]["enrolments"],
        )


async def _quiet(on: Stage, app: App) -> None:
    say("\n10. A last sync: nothing has changed.")
    await on.quiet(app)
    before = on.writes()
    done = await sync(app)
    on.expect("nothing is written on any platform", (on.writes(), done["writes"]) == (before, 0))
    on.expect(
        "nothing is held or parked, nothing waits, no connection has a problem",
        not any(done[name] for name in ("held", "parked", "open", "waiting", "problems")),
    )
    on.expect(
        "two guests were asked, as two routes allow; nobody was told anything else",
        [on.told(box) for box in on.boxes] == [0, 0, 0, 2] and on.asked() == [_AROHA, _MERE],
    )


async def until(on: Stage, app: App, reached: Callable[[], bool]) -> None:
    """Wait until something has come about, or for as long as it may take; then until all is quiet."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            while not reached():  # noqa: ASYNC110 - what is awaited happens at the stand-ins
                await asyncio.sleep(0.05)
    await on.quiet(app)
