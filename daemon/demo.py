"""The demo: both stand-ins, a seeded business, a real configuration and the real daemon in one process."""

import asyncio
import contextlib
import os
import random
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.sandbox import serve as serve_sandbox
from daemon.app import App, opened
from daemon.commands.common import say
from daemon.passes import sync
from daemon.settings import Place, read
from state import cursors
from state.tokens import new_key

ROUTE = "ask for a review after the visit"
_SERVICE = "svc_abc123"
_PATIENCE_S = 20.0
_NIGHTS = 30

CONFIGURATION = """\
server: {{hooks: 127.0.0.1:{port}, admin: 127.0.0.1:0}}
connections:
  salon:
    platform: bookatu
    base_url: {bookatu}
    slug: parnell-nails
    api_key: ${{DEMO_API_KEY}}
    webhook_secret: ${{DEMO_WEBHOOK_SECRET}}
    rate: 10000/m
    poll: 1m
  reviews:
    platform: nicejob
    base_url: {nicejob}
    client_id: nj_client_sandbox
    client_secret: ${{DEMO_CLIENT_SECRET}}
    refresh_token: ${{DEMO_REFRESH_TOKEN}}
    rate: 10000/m
    poll: 1m
routes:
  - name: {route}
    from: salon.bookings
    to: reviews.bookings
    set:
      tags: ["bookatu"]
    notify: allow
"""


@dataclass(slots=True)
class Stage:
    """The two stand-ins and the configuration between them, with what was found to hold."""

    salon: BookatuSandbox
    reviews: NiceJobSandbox
    place: Place
    failed: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, int]:
        """What NiceJob has from us: people, bookings, campaign enrolments."""
        counts = self.reviews.counts()
        return {name: counts[name] for name in ("people", "bookings", "enrolments")}

    def writes(self) -> int:
        """Calls that changed something at either platform."""
        calls = [*self.salon.calls("POST"), *self.reviews.calls("POST")]
        return sum(not call.path.startswith("/oauth") for call in calls)

    def expect(self, what: str, held: bool) -> None:  # noqa: FBT001 - a fact
        """Say whether a fact holds."""
        say(f"   {'ok' if held else 'NOT SO'}: {what}")
        if not held:
            self.failed.append(what)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A seeded business on one side, a company with people of its own on the other."""
    salon, reviews = BookatuSandbox(), NiceJobSandbox()
    account = reviews.add_company("Parnell Nails")
    salon.seed(people=36, bookings=40, history=24)
    reviews.seed(people=8)
    port = _free_port()
    secret = salon.add_webhook(f"http://127.0.0.1:{port}/hooks/salon")
    env = {
        "DEMO_API_KEY": salon.api_keys["parnell-nails"],
        "DEMO_WEBHOOK_SECRET": secret,
        "DEMO_CLIENT_SECRET": reviews.client_secret,
        "DEMO_REFRESH_TOKEN": account.refresh_token,
    }
    with tempfile.TemporaryDirectory(prefix="bookferry-demo-") as folder:
        async with serve_sandbox(salon) as bookatu, serve_sandbox(reviews) as nicejob:
            text = CONFIGURATION.format(port=port, bookatu=bookatu, nicejob=nicejob, route=ROUTE)
            yield Stage(salon, reviews, _written(Path(folder, "bookferry.yaml"), text, env))


def _written(file: Path, text: str, env: dict[str, str]) -> Place:
    file.write_text(text, encoding="utf-8")
    return read(file, {**os.environ, **env})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def story() -> bool:
    """One whole story. Gives whether every fact held."""
    async with stage() as on:
        say(
            f"A salon with {on.salon.counts()['customers']} customers and {on.salon.counts()['appointments']} appointments."
        )
        async with opened(on.place.config, on.place.db, new_key()) as app:
            await _baseline(on, app)
            async with _door(app):
                visit, other = await _appointments(on, app)
                await _completed(on, app, visit)
                await _cancelled(on, app, other)
            await _quiet(on, app)
        _summary(on)
        return not on.failed


@asynccontextmanager
async def _door(app: App) -> AsyncIterator[None]:
    from daemon.doors import hook_app, listening

    async with listening(hook_app(app), app.config.server.hooks, label="server.hooks"):
        yield


async def _baseline(on: Stage, app: App) -> None:
    say("1. First sync: everything is read, nothing is pushed.")
    await sync(app)
    on.expect("0 writes: history is a baseline", on.writes() == 0)
    say(f"2. The route {ROUTE!r} is armed.")
    await app.db.transaction(lambda tx: cursors.arm(tx, ROUTE, now=app.ms(), since=None), "demo.arm")
    await sync(app)
    on.expect("still 0 writes and 0 campaigns", on.writes() == 0 and on.facts()["enrolments"] == 0)


async def _appointments(on: Stage, app: App) -> tuple[str, str]:
    say("3. At the desk, two new guests are booked. Bookatu tells us by webhook.")
    before = on.facts()
    ids = []
    for number, name in enumerate(("Mere Whaanga", "Tom Baker")):
        guest = on.salon.add_customer(name, f"guest{number}@example.com", f"+64 21 555 01{number}0")
        ids.append(on.salon.create_appointment(_SERVICE, _in_days(_NIGHTS + number), guest))
    await until(app, lambda: on.facts()["bookings"] == before["bookings"] + 2)
    after = on.facts()
    on.expect("NiceJob has exactly two bookings more", after["bookings"] == before["bookings"] + 2)
    on.expect("and exactly two people more", after["people"] == before["people"] + 2)
    on.expect("nobody was asked for anything", after["enrolments"] == 0)
    return ids[0], ids[1]


async def _completed(on: Stage, app: App, visit: str) -> None:
    say("4. The first visit is marked complete. The webhook is even sent twice.")
    on.salon.complete(visit)
    await until(app, lambda: on.facts()["enrolments"] >= 1)
    on.salon.redeliver(len(on.salon.deliveries) - 1)
    await on.salon.quiet()
    await app.engine.idle()
    on.expect("the review campaign was started exactly once", on.facts()["enrolments"] == 1)


async def _cancelled(on: Stage, app: App, other: str) -> None:
    say("5. The second one is cancelled.")
    on.salon.cancel(other, "A cold")
    await until(app, lambda: len(_tagged(on)) == 1)
    on.expect("its booking in NiceJob is tagged `cancelled` and `noreview`", len(_tagged(on)) == 1)
    on.expect("its guest was never asked", on.facts()["enrolments"] == 1)


def _tagged(on: Stage) -> list[Any]:
    rows = on.reviews.company().tables["bookings"].rows.values()
    return [row for row in rows if {"cancelled", "noreview"} <= set(row["tags"])]


async def _quiet(on: Stage, app: App) -> None:
    say("6. A last sync: nothing has changed.")
    before = on.writes()
    summary = await sync(app)
    on.expect("0 writes", on.writes() == before)
    on.expect(
        "nothing is parked and nothing waits",
        not any(summary[name] for name in ("parked", "open", "waiting")),
    )


def _summary(on: Stage) -> None:
    facts = on.facts()
    say(
        f"NiceJob holds {facts['people']} people and {facts['bookings']} bookings; {on.writes()} writes in all,"
    )
    say(
        f"{facts['enrolments']} review campaign. "
        + (f"{len(on.failed)} facts do not hold." if on.failed else "Every fact holds.")
    )


def _in_days(days: int) -> str:
    moment = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=days)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


async def until(app: App, reached: Callable[[], bool]) -> None:
    """Wait until something has come about, or for as long as it may take."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            while not reached():  # noqa: ASYNC110 - what is awaited happens at the stand-ins
                await asyncio.sleep(0.05)
    await app.engine.idle()


async def live() -> None:
    """Stay, with staff at work every few seconds, until Ctrl-C."""
    from daemon.service import serve

    async with stage() as on, opened(on.place.config, on.place.db, new_key()) as app:
        await _baseline(on, app)
        stop = asyncio.Event()
        staff = asyncio.create_task(_staff(on, app))
        try:
            await serve(
                app,
                stop=stop,
                ready=lambda hooks, admin: say(
                    f"Hook door {hooks}, health and metrics http://{admin}/healthz and /metrics. Ctrl-C ends it."
                ),
            )
        finally:
            staff.cancel()
            await asyncio.gather(staff, return_exceptions=True)
            _summary(on)


async def _staff(on: Stage, app: App) -> None:
    """What happens at a desk: new guests, visits, cancellations."""
    chance, number = random.Random(), 0  # noqa: S311 - it guards nothing
    waiting: list[str] = []
    while True:
        await asyncio.sleep(3)
        number += 1
        if waiting and chance.random() < 0.5:  # noqa: PLR2004 - as often as not
            booking = waiting.pop(0)
            act = chance.choice((on.salon.complete, on.salon.cancel))
            act(booking)
            say(f"Staff: {act.__name__} {booking}")
        else:
            guest = on.salon.add_customer(
                f"Guest {number}", f"guest{number}@example.org", f"+64 21 556 {number:04}"
            )
            waiting.append(on.salon.create_appointment(_SERVICE, _in_days(_NIGHTS + number), guest))
            say(f"Staff: new appointment {waiting[-1]}")
        await asyncio.sleep(1)
        await app.engine.idle()
        say(f"       NiceJob: {on.facts()}")
