"""What a pass comes by that is killed: scenes of all platforms, each with much to do at once.

A scene gives a port: configuration, store, platforms, an app for the test's own process, and ``outcome()``, which must be
the same however often the pass was killed.
"""

import os
import random
import socket
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from berths import ANN, BERTHS, BOB, Guest
from fleet import config_of
from harbour import PEOPLE, REVIEWS, harbour

from connectors.sandbox import iso, serve
from daemon.app import opened
from daemon.doors import hook_app, listening
from daemon.passes import sync
from daemon.service import ensure_hooks
from daemon.units import run_unit
from mapping.config import Door
from state import cursors
from state.tokens import new_key

CAROL = Guest("Carol", "Third", "carol@example.com", "+64 21 555 0102")


def day(port, days):
    return iso((port.salon.now() + timedelta(days=days)).replace(hour=10, minute=0, second=0, microsecond=0))


def book(port, who, days):
    return port.salon.act(
        "create_appointment", service_id="svc_abc123", start_at=day(port, days), customer_id=who
    )


def served(app, held):
    return listening(hook_app(app), Door("127.0.0.1", 0), label="server.hooks", fd=os.dup(held.fileno()))


# Bookatu to NiceJob: people, bookings, visits below them, enrolments; webhooks that tell and webhooks that hint.

UNDER = """
  - name: visits
    from: salon.bookings
    to: reviews.visits
    set: {name: booking.title, scheduled_time: booking.starts, tags: ["bookatu"]}
    notify: allow
"""
ASKED = """
  - name: asked
    from: salon.people
    to: reviews.enrolments
    when: person.phone != null
    notify: allow
"""


@asynccontextmanager
async def visits(folder, seed=0, routes=REVIEWS, names=("reviews",)):
    """A baseline, an armed route, three new appointments of two customers; one visit completed and one cancelled, which
    only the inbox knows; and a hint of NiceJob's."""
    folder.mkdir(exist_ok=True)
    async with harbour(folder, routes) as port:
        port.salon.seed(people=5, bookings=5)
        await port.pass_()
        await port.arm(*names)
        ann = port.salon.act(
            "add_customer", name="Ann Example", email="ann@example.com", phone="+64 21 555 0100"
        )
        bob = port.salon.act(
            "add_customer", name="Bob Example", email="bob@example.com", phone="+64 21 555 0101"
        )
        with port.endpoints() as held:
            async with port.app() as app:
                # Stored as the door stores them; the engine is closed, so that nobody reads them yet.
                await app.engine.drain(0)
                done, gone = book(port, ann, 3), book(port, bob, 4)
                book(port, ann, 5)
                await run_unit(app, "pull:salon")
                async with served(app, held):
                    for act in shuffled(
                        seed,
                        lambda: port.salon.act("complete", appointment_id=done),
                        lambda: port.salon.act("cancel", appointment_id=gone),
                        lambda: port.reviews.act(
                            "create_person", first_name="Walk", last_name="In", email="walk@example.com"
                        ),
                    ):
                        act()
                    await port.salon.quiet()
                    await port.reviews.quiet()
        port.outcome = lambda: told(port)
        port.boxes = [port.salon, port.reviews]
        yield port


def told(port):
    """What NiceJob holds, without ids. Bob's appointment was cancelled, maybe before anybody carried it."""
    rows = {name: port.reviews.rows(100_000)[name] for name in ("people", "bookings", "visits")}
    marks = Counter(tag for row in rows["bookings"] for tag in row["tags"] if tag.startswith("bookferry-"))
    return {
        "people": sorted(row["email"] for row in rows["people"] if row["email"] != "bob@example.com"),
        "bobs": max(Counter(row["email"] for row in rows["people"])["bob@example.com"], 1),
        "marks": sorted(set(marks.values())),
        "bookings": sorted(row["complete"] for row in rows["bookings"] if "cancelled" not in row["tags"]),
        "visits": sorted(row["complete"] for row in rows["visits"] if "cancelled" not in row["tags"]),
        "asked": sorted(Counter(row["booking_id"] for row in port.reviews.enrolments).values()),
    }


def under(folder, seed=0):
    return visits(folder, seed, REVIEWS + UNDER[1:], ("reviews", "visits"))


@asynccontextmanager
async def asked(folder, seed=0):
    """People who are enrolled directly: of all writes the one that nobody can look up."""
    folder.mkdir(exist_ok=True)
    async with harbour(folder, PEOPLE + ASKED[1:]) as port:
        port.salon.seed(people=3, bookings=3)
        await port.pass_()
        await port.arm("people", "asked")
        for guest in shuffled(seed, ANN, BOB, CAROL):
            port.salon.act("add_customer", name=guest.name, email=guest.email, phone=guest.phone)
        port.boxes = [port.salon, port.reviews]
        port.outcome = lambda: {"people": sorted(row["email"] for row in port.people())}
        yield port


# Berths: any platforms, with the webhooks that each of them can send.


class Port:
    """Some berths, and a bookferry between them that is not running."""

    def __init__(self, folder, berths):
        self.at, self.path, self.key, self.yaml = berths, folder / "bookferry.db", new_key(), ""
        self.boxes = [berth.box for berth in berths.values()]

    def app(self, settle_ms=0):
        now = lambda: self.boxes[0].now().timestamp()  # noqa: E731
        return opened(config_of(self.yaml), self.path, self.key, now=now, settle_ms=settle_ms)

    def outcome(self):
        """What every platform shows, without its ids, and how often it was told to whom."""
        shown = {}
        for name, berth in self.at.items():
            rows = berth.visits().values()
            shown[name] = sorted(f"{row['starts']} {row['amount']} {row['off']}" for row in rows)
            shown[f"{name} said"] = len(berth.said())
        if "nowistay" in self.at:
            tables = self.at["nowistay"].box.tables
            shown["missions"] = sorted(
                f"{row['title']} {row['scheduledAt']}" for row in tables.missions.values()
            )
            shown["fields"] = sorted(str(row["customParameters"]) for row in tables.bookings.values())
            shown["hooks"] = [len(tables.hooks), len(self.at["nicejob"].box.webhooks)]
        return shown


@asynccontextmanager
async def berthed(folder, routes, platforms, history, acts, *, lookups="", public=False, seed=0, **options):
    folder.mkdir(exist_ok=True)
    berths = {name: BERTHS[name](**(options if name == "nowistay" else {})) for name in platforms}
    port = Port(folder, berths)
    async with AsyncExitStack() as stack:
        held = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = f"http://127.0.0.1:{held.getsockname()[1]}"
        lines = []
        for name, berth in berths.items():
            url = await stack.enter_async_context(serve(berth.box))
            lines.append(
                f"  {name}: {{platform: {name}, {berth.connection(url, f'{address}/hooks/{name}')}, rate: 100000/m}}"
            )
        text = "connections:\n" + "\n".join(lines) + f"\n{lookups}routes:\n{routes}"
        port.yaml = text
        known = history(berths)
        async with port.app() as app:
            if not public:
                await ensure_hooks(app, address)
            await sync(app)
            await app.db.transaction(
                lambda tx: [
                    cursors.arm(tx, route.name, now=app.ms(), since=None) for route in app.config.routes
                ]
            )
            await app.engine.drain(0)
            async with served(app, held):
                for act in shuffled(seed, *acts(berths, known)):
                    act()
                for berth in berths.values():
                    await berth.box.quiet()
        if public:
            port.yaml = text + f"server: {{public_url: '{address}'}}\n"
        yield port


PAIR = """
  - name: to bookatu
    from: nearbyassist.bookings
    to: bookatu.bookings
    when: booking.status != "completed"
    set: {serviceId: "'svc_abc123'", startAt: booking.starts}
    notify: allow
    on_reschedule: cancel_and_create
    newest: [starts]
  - name: to nearbyassist
    from: bookatu.bookings
    to: nearbyassist.bookings
    when: booking.status != "completed"
    set: {serviceId: "'svc_1'", startTime: booking.starts}
    notify: allow
"""


def pair(folder, seed=0):
    """Two routes that lead back. One visit on each side is new, and one that both know is moved where it cannot be moved."""

    def history(berths):
        for berth in berths.values():
            berth.book(9, BOB)
        return berths["nearbyassist"]

    def acts(berths, market):
        return [
            lambda: market.book(3, ANN),
            lambda: berths["bookatu"].book(5, CAROL),
            lambda: berths["bookatu"].book(6, ANN),
        ]

    return berthed(folder, PAIR, ("bookatu", "nearbyassist"), history, acts, seed=seed)


@asynccontextmanager
async def moved(folder, seed=0):
    """The same pair once it is in step: a visit that is moved has to be cancelled and made anew at Bookatu."""
    async with pair(folder, seed) as port:
        async with port.app() as app:
            await sync(app)
            await sync(app)
        market = port.at["nearbyassist"]
        late = max(market.live(), key=market.starts)
        for act in shuffled(
            seed, lambda: market.move(late, 12), lambda: market.cancel(min(market.live(), key=market.starts))
        ):
            act()
        yield port


STAYS = """
  - name: cleaning
    from: nowistay.bookings
    to: nowistay.missions
    when: booking.status == "confirmed"
    set:
      missionType: "'cleaning'"
      title: "'Cleaning after ' + default(person.full_name, 'the guest')"
      scheduledAt: at(booking.departure, default(booking.check_out, "11:00"), booking.zone)
  - name: guests
    from: nowistay.bookings
    to: nicejob.bookings
    when: booking.status == "confirmed"
    set: {scheduled_time: "at(booking.arrival, booking.check_in, booking.zone)"}
  - name: field
    from: nowistay.bookings
    to: nowistay.parameters
    when: booking.status == "confirmed"
    set: {key: "'arrives'", name: "'Arrives'", value: string(booking.arrival)}
"""


@asynccontextmanager
async def stays(folder, seed=0):
    """Stays with their cleaning, their guests and a field of our own; every token has ended, and is renewed by using it up;
    webhooks have to be made first. A token that was used up may be used once more for a while: without that grace a kill
    between the answer and the disk costs a log-in, and nobody can help it."""

    def history(berths):
        berths["nowistay"].book(9, BOB)

    def acts(berths, _known):
        villa = berths["nowistay"]
        return [lambda: villa.book(4, ANN), lambda: villa.book(6, CAROL)]

    async with berthed(
        folder, STAYS, ("nowistay", "nicejob"), history, acts, public=True, seed=seed, reuse_grace=300
    ) as port:
        async with port.app() as app:
            await sync(app)
        port.at["nowistay"].book(8, CAROL)
        port.at["nowistay"].box.expire_tokens()
        yield port


SCENES = {"visits": visits, "under": under, "asked": asked, "pair": pair, "moved": moved, "stays": stays}


def shuffled(seed, *acts):
    acts = list(acts)
    if seed:
        random.Random(seed).shuffle(acts)
    return acts
