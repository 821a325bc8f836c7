"""The live demo: the same four stand-ins, with staff at work and their control surfaces open, until Ctrl-C."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from itertools import count

from connectors.platforms import PLATFORMS
from connectors.sandbox import Refusal
from daemon.app import App
from daemon.commands.common import say
from daemon.demo import baseline, opening
from daemon.demo_stage import SERVICE, Stage, stage

_EVERY_S = 4.0


async def live() -> None:
    """Stay, with staff at work every few seconds."""
    from daemon.service import serve

    async with stage() as (on, app):
        opening(on)
        await baseline(on, app)
        work: list[asyncio.Task[None]] = []

        def ready(hooks: str, admin: str) -> None:
            _invite(on, hooks, admin)
            work.extend(asyncio.create_task(each) for each in (_staff(on, app), _time_passes(on, app)))

        try:
            await serve(app, stop=asyncio.Event(), ready=ready)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            on.summary()


def _invite(on: Stage, hooks: str, admin: str) -> None:
    say("\n2. The service runs, and staff are at work. Play along from another terminal:")
    for box in on.boxes:
        say(f"   {PLATFORMS[box.platform].title:<13} {box.base_url}/_sandbox")
    say("   GET  …/state           what it holds, and what its staff can do: its actions")
    say("   POST …/act/<action>    do one of them; its arguments are a JSON object")
    say("   POST …/clock           let time pass, for all four and for bookferry; four days, say:")
    say(f"""   curl -d '{{"advance": 345600}}' {on.stays.base_url}/_sandbox/clock""")
    say(f"   Health and metrics: http://{admin}/healthz and /metrics. Hook door: {hooks}.")
    say("Ctrl-C ends it.\n")


async def _time_passes(on: Stage, app: App) -> None:
    """Whoever moves the clock need not wait for the next poll."""
    offset = on.clock.offset
    while True:
        await asyncio.sleep(0.5)
        if on.clock.offset != offset:
            offset = on.clock.offset
            for name in app.connectors:
                for sort in ("pull", "push"):
                    app.engine.kick(f"{sort}:{name}")


async def _staff(on: Stage, app: App) -> None:
    """What happens at the desks: new guests, visits, cancellations."""
    chance, numbers = random.Random(), count(1)  # noqa: S311 - it guards nothing
    waiting: list[tuple[str, Callable[[], object]]] = []
    shown = on.facts()
    while True:
        await asyncio.sleep(_EVERY_S)
        if waiting and chance.random() < 0.5:  # noqa: PLR2004 - as often as not
            said, act = waiting.pop(0)
            with contextlib.suppress(LookupError, ValueError, Refusal):  # whoever plays along was faster
                act()
        else:
            said, later = _new(on, next(numbers), chance)
            waiting += later
        say(said)
        await on.quiet(app)
        if on.facts() != shown:
            shown = on.facts()
            say(f"   NiceJob now: {', '.join(f'{name} {amount}' for name, amount in shown.items())}")


_Later = list[tuple[str, Callable[[], object]]]


def _new(on: Stage, number: int, chance: random.Random) -> tuple[str, _Later]:
    """Somebody books somewhere; gives what to say of it, and what will become of it."""
    email, phone = f"guest{number}@example.org", f"+64 21 556 {number:04}"
    where = (number - 1) % 3
    if where == 0:
        ref = on.salon.create_appointment(
            SERVICE, on.in_days(30 + number), on.salon.add_customer(f"Guest {number}", email, phone)
        )
        done = chance.choice((on.salon.complete, on.salon.cancel))
        return f"Bookatu: new appointment {ref}", [(f"Bookatu: {done.__name__} {ref}", lambda: done(ref))]
    if where == 1:
        guest = on.market.add_customer("Guest", str(number), email, phone)
        booked = on.market.create_booking(on.in_days(40 + number), guest, staff_id="stf_abc")
        return f"NearbyAssist: new booking {booked}", [
            (f"NearbyAssist: complete {booked}", lambda: on.market.complete(booked))
        ]
    stay = on.book_stay(f"Guest {number}", email, 2, channel=chance.choice(("direct", "airbnb")))
    return f"Nowistay: new stay {stay}, until {on.departure(stay)}; its cleaning goes along", []
