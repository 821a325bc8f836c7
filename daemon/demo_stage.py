"""What the demo plays on: stand-ins of all four platforms, a seeded owner, and a real configuration between them."""

import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.nearbyassist.sandbox import NearbyAssistSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.nowistay.sandbox import NowistaySandbox
from connectors.platforms import PLATFORMS
from connectors.sandbox import Sandbox
from connectors.sandbox import serve as serve_sandbox
from connectors.sandbox_clock import Clock
from daemon.app import App, opened
from daemon.commands.common import say
from daemon.settings import Place, read
from state import cursors
from state.tokens import new_key

ZONE, CHECK_OUT = "Pacific/Auckland", time(11)
_LOFT = {
    "checkOutTime": f"{CHECK_OUT:%H:%M:%S}",
    "address": {"city": "Auckland", "country": "New Zealand", "countryCode": "NZ", "timezone": ZONE},
}
SERVICE = "svc_abc123"
_NOT_DATA = r"^(?!/v2/webhooks|/public/v1/webhooks|.*/oauth/|/api/auth/)"
"""Logging in and seeing to webhooks tells nothing about anybody's bookings."""

CONFIGURATION = """\
server: {{hooks: 127.0.0.1:{port}, admin: 127.0.0.1:0, public_url: "http://127.0.0.1:{port}"}}
connections:
  salon:
    platform: bookatu
    base_url: {bookatu}
    slug: parnell-nails
    api_key: ${{DEMO_BOOKATU_KEY}}
    webhook_secret: ${{DEMO_BOOKATU_SECRET}}
    rate: 10000/m
    poll: 1m
  market:
    platform: nearbyassist
    base_url: {nearbyassist}
    api_key: ${{DEMO_NEARBYASSIST_KEY}}
    webhook_secret: ${{DEMO_NEARBYASSIST_SECRET}}
    rate: 10000/m
    poll: 1m
  stays:
    platform: nowistay
    base_url: {nowistay}
    client_id: client_sandbox
    client_secret: ${{DEMO_NOWISTAY_SECRET}}
    refresh_token: ${{DEMO_NOWISTAY_TOKEN}}
    rate: 10000/m
    poll: 1m
  reviews:
    platform: nicejob
    base_url: {nicejob}
    client_id: nj_client_sandbox
    client_secret: ${{DEMO_NICEJOB_SECRET}}
    refresh_token: ${{DEMO_NICEJOB_TOKEN}}
    rate: 10000/m
    poll: 1m
routes:
  - name: ask for a review after the visit
    from: salon.bookings
    to: reviews.bookings
    set: {{tags: ["bookatu"]}}
    notify: allow
    canary: 0
  - name: keep guests of the marketplace
    from: market.bookings
    to: reviews.bookings
    set: {{tags: ["nearbyassist"]}}
  - name: clean at check-out
    from: stays.bookings
    to: stays.missions
    when: booking.status == "confirmed"
    set:
      type: '"cleaning"'
      title: '"Cleaning of " + booking.title'
      starts: at(booking.departure, booking.check_out, booking.zone)
  - name: ask direct guests after the stay
    from: stays.bookings
    to: reviews.bookings
    when: booking.channel == "direct"
    after: at(booking.departure, booking.check_out, booking.zone)
    set: {{status: '"completed"', tags: ["nowistay"]}}
    notify: allow
    canary: 0
  - name: keep guests of the channels
    from: stays.bookings
    to: reviews.bookings
    when: booking.channel != "direct"
    after: at(booking.departure, booking.check_out, booking.zone)
    set: {{status: '"completed"', tags: ["nowistay"]}}
"""


@dataclass(slots=True)
class Stage:
    """The four stand-ins, one clock for all, and the configuration between them, with what was found to hold."""

    clock: Clock
    salon: BookatuSandbox
    market: NearbyAssistSandbox
    stays: NowistaySandbox
    reviews: NiceJobSandbox
    loft: int = 0
    place: Place = field(init=False)
    failed: list[str] = field(default_factory=list)

    @property
    def boxes(self) -> tuple[Sandbox, ...]:
        """All four."""
        return self.salon, self.market, self.stays, self.reviews

    @property
    def today(self) -> date:
        """The date in the holiday home's own zone."""
        return datetime.fromtimestamp(self.clock.time(), ZoneInfo(ZONE)).date()

    def facts(self) -> dict[str, int]:
        """What NiceJob has: people, bookings, campaign enrolments."""
        counts = self.reviews.counts()
        return {name: counts[name] for name in ("people", "bookings", "enrolments")}

    def writes(self, box: Sandbox | None = None) -> int:
        """Calls that changed something at a platform, or at any."""
        return sum(
            len(each.calls(method, _NOT_DATA))
            for each in ([box] if box else self.boxes)
            for method in ("POST", "PATCH", "PUT", "DELETE")
        )

    def told(self, box: Sandbox) -> int:
        """How often a platform spoke to somebody because of us."""
        names = ("messages_to_guests", "guest_messages", "calendar_pushes", "enrolments")
        return sum(amount for name, amount in box.counts().items() if name in names)

    def bookings_of(self, email: str) -> list[dict[str, Any]]:
        """The bookings that NiceJob has for a guest."""
        tables = self.reviews.company().tables
        who = {row["id"] for row in tables["people"].rows.values() if row["email"] == email}
        return [row for row in tables["bookings"].rows.values() if who & {*row["person_ids"]}]

    def asked(self) -> list[str]:
        """Who was asked for a review, by e-mail address."""
        people = self.reviews.company().tables["people"].rows
        return sorted(people[row["person_id"]]["email"] for row in self.reviews.enrolments)

    def missions_of(self, *stays: int) -> list[str]:
        """When the cleanings after these stays are, in the order of the stays."""
        rows = [row for row in self.stays.tables.missions.values() if row["bookingId"] in stays]
        return [row["scheduledAt"] for row in sorted(rows, key=lambda row: stays.index(row["bookingId"]))]

    def in_days(self, days: int) -> str:
        """The next full hour, days ahead."""
        moment = datetime.fromtimestamp(self.clock.time(), UTC).replace(minute=0, second=0, microsecond=0)
        return f"{moment + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"

    def book_stay(self, name: str, email: str, nights: int, **more: Any) -> int:
        """Let a reservation of the loft arrive, from tomorrow on; gives its id."""
        arrival = self.today + timedelta(days=1)
        dates = {"arrival": arrival, "departure": arrival + timedelta(days=nights)}
        guest = {"guestName": name, "guestEmail": email}
        days = {word: day.isoformat() for word, day in dates.items()}
        return self.stays.add_booking(propertyId=self.loft, **days, **guest, **more)

    def departure(self, stay: int) -> date:
        """The day on which a stay ends."""
        return date.fromisoformat(self.stays.tables.bookings[stay]["departure"])

    async def quiet(self, app: App) -> None:
        """Wait until every webhook was taken (or for as long as that may take) and all that follows was done."""
        with contextlib.suppress(TimeoutError):
            for box in self.boxes:
                await box.quiet()
        await app.engine.idle()

    def expect(self, what: str, held: bool) -> None:  # noqa: FBT001 - a fact
        """Say whether a fact holds."""
        say(f"   {'ok' if held else 'NOT SO'}: {what}")
        if not held:
            self.failed.append(what)

    def summary(self) -> None:
        """What is where, what bookferry wrote, and whom it made a platform speak to."""
        say(f"\n{'':<14}{'holds':<28}{'our writes':>10}   messages to guests")
        for box in self.boxes:
            title, held, writes = PLATFORMS[box.platform].title, _held(box), self.writes(box)
            said = f"{self.told(box)}{' review campaigns' if box is self.reviews else ''}"
            say(f"{title:<14}{held:<28}{writes:>10}   {said}")
        say(f"\nDid not hold: {'; '.join(self.failed)}." if self.failed else "\nEvery fact holds.")


def _held(box: Sandbox) -> str:
    names = ("appointments", "people", "bookings", "missions")
    return ", ".join(f"{amount} {name}" for name, amount in box.counts().items() if name in names)


def at_check_out(day: date) -> datetime:
    """When guests of the loft leave, as an instant."""
    return datetime.combine(day, CHECK_OUT, ZoneInfo(ZONE)).astimezone(UTC)


@asynccontextmanager
async def stage() -> AsyncIterator[tuple[Stage, App]]:
    """An owner with history on all four platforms, and bookferry between them."""
    clock, port = Clock(), _free_port()
    on = Stage(
        clock,
        BookatuSandbox(clock=clock),
        NearbyAssistSandbox(clock=clock),
        NowistaySandbox(clock=clock),
        NiceJobSandbox(clock=clock),
    )
    env = _furnished(on, f"http://127.0.0.1:{port}/hooks")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bookferry-demo-"))
        urls = {box.platform: await stack.enter_async_context(serve_sandbox(box)) for box in on.boxes}
        text = CONFIGURATION.format(port=port, **urls)
        on.place = _written(Path(folder, "bookferry.yaml"), text, env)
        opening = opened(on.place.config, on.place.db, new_key(), now=clock.time)
        yield on, await stack.enter_async_context(opening)


def _furnished(on: Stage, hooks: str) -> dict[str, str]:
    """Let there be history; gives the secrets that the configuration asks for."""
    company = on.reviews.add_company("Parnell Nails")
    on.reviews.seed(people=8)
    on.salon.seed(people=36, bookings=40, history=24)
    on.market.seed(people=12, bookings=60)
    on.loft = on.stays.add_property("Parnell Loft", **_LOFT)
    on.stays.seed(team=2, bookings=9, missions=3)
    return {
        "DEMO_BOOKATU_KEY": on.salon.api_keys["parnell-nails"],
        "DEMO_BOOKATU_SECRET": on.salon.add_webhook(f"{hooks}/salon"),
        "DEMO_NEARBYASSIST_KEY": on.market.api_key,
        "DEMO_NEARBYASSIST_SECRET": on.market.add_webhook(f"{hooks}/market"),
        "DEMO_NOWISTAY_SECRET": on.stays.client_secret,
        "DEMO_NOWISTAY_TOKEN": next(iter(on.stays.refresh_tokens)),
        "DEMO_NICEJOB_SECRET": on.reviews.client_secret,
        "DEMO_NICEJOB_TOKEN": company.refresh_token,
    }


def _written(file: Path, text: str, env: dict[str, str]) -> Place:
    file.write_text(text, encoding="utf-8")
    return read(file, {**os.environ, **env})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def arm(app: App, routes: Sequence[str]) -> None:
    """Arm routes, as `bookferry arm` does."""
    await app.db.transaction(
        lambda tx: [cursors.arm(tx, name, now=app.ms(), since=None) for name in routes], "demo.arm"
    )
