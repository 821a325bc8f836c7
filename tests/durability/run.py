"""Webhooks at a steady rate, a service that is killed all the while, and the books afterwards."""

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.sandbox import iso, serve
from daemon.app import opened
from daemon.passes import sync
from state import cursors, inbox
from state.tokens import new_key
from tests.bench import kit
from tests.bench.hooks import wire
from tests.durability.activator import Activator, deliver

REAL = 150
"""At most so many of the webhooks are about appointments that have customers, and so go on to NiceJob."""
AGAIN = 0.02
"""The share of webhooks that their sender sends once more though they were acknowledged."""
UP_S = 0.6
"""A service that has answered lives at least so long."""
ROUTE = """
  - name: reviews
    from: salon.bookings
    to: reviews.bookings
    when: booking.status == "completed" && booking.title == "Gel Manicure"
    set: {tags: ["bookatu"]}
    notify: allow
    canary: 0
    guard: off  # so many at once surprise nobody here
"""


@dataclass
class Books:
    """What was sent and what became of it."""

    sent: dict[str, bytes] = field(default_factory=dict)
    """The body of each, by the appointment that it is about."""
    acknowledged: Counter[int] = field(default_factory=Counter)
    """How many were at which attempt; 0: never."""
    taken: set[str] = field(default_factory=set)
    kills: int = 0
    ends: int = 0
    slowest: float = 0.0
    """The longest that a sender had to wait for its 2xx, in seconds."""
    stored: int = 0
    lost: int = 0
    """Neither acknowledged nor stored: gone."""
    carried: int = 0
    changes: int = 0

    @property
    def unanswered(self) -> int:
        """Never acknowledged, in any of the three attempts. Its sender gave up, and it may be stored all the same."""
        return self.acknowledged[0]


class Stage:
    """Both platforms, one service between them, and the senders."""

    def __init__(self, folder: Path) -> None:
        self.salon, self.reviews = BookatuSandbox(), NiceJobSandbox()
        self.company = self.reviews.add_company("Parnell Nails")
        self.config, self.db, self.key = folder / "bookferry.yaml", folder / "bookferry.db", new_key()
        self.books, self.draw = Books(), random.Random(1)
        self.real: dict[str, str] = {}
        """Appointments of customers, with their beginnings."""
        self.left: list[str] = []

    async def begin(self, urls: dict[str, str], real: int) -> None:
        """History is read and the route armed; from here on every webhook counts."""
        self.real = dict(self._booked(number) for number in range(real))
        self.left = list(self.real)
        connections = {
            "salon": kit.bookatu(urls["salon"], self.salon.api_keys["parnell-nails"]),
            "reviews": kit.nicejob(urls["reviews"], self.company.refresh_token),
        }
        self.config.write_text(kit.yaml(connections, ROUTE))
        self.config.chmod(0o600)
        async with self.app() as app:
            await sync(app)
            await app.db.transaction(lambda tx: cursors.arm(tx, "reviews", now=app.ms(), since=None))

    def _booked(self, number: int) -> tuple[str, str]:
        who = self.salon.add_customer(
            f"Guest Number{number}", f"g{number}@example.com", f"+64 21 555 {number:04}"
        )
        starts = (datetime.now(UTC) + timedelta(days=1 + number // 8)).replace(
            hour=number % 8, minute=0, second=0, microsecond=0
        )
        return self.salon.create_appointment("svc_abc123", iso(starts), who), iso(starts)

    def app(self):
        return opened(kit.configured(self.config.read_text()), self.db, self.key, settle_ms=0)

    async def send(self, activator: Activator, total: int, rate: float) -> None:
        """So many webhooks, spread evenly; the real ones evenly among them."""
        begun, first = time.perf_counter(), len(self.books.sent)
        every = max(1, total // max(1, len(self.left)))
        async with asyncio.TaskGroup() as senders:
            for number in range(total):
                await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
                ref = self.left.pop() if self.left and number % every == 0 else f"apt_{first + number}"
                senders.create_task(self._one(activator, ref))

    async def send_until(self, activator: Activator, total: int, rate: float, kills: int) -> None:
        """The same, and some more until there were so many kills."""
        await self.send(activator, total, rate)
        while self.books.kills < kills:
            await self.send(activator, 20, rate)

    async def _one(self, activator: Activator, ref: str) -> None:
        real = ref in self.real
        if real:
            self.salon.complete(ref)
        sent_at = f"{datetime.now(UTC).isoformat(timespec='milliseconds')[:-6]}Z"
        data = {
            "id": ref,
            "ref": ref.upper(),
            "service": "Gel Manicure" if real else "Express Polish",
            "startAt": self.real.get(ref, "2030-01-01T10:00:00.000Z"),
            "status": "completed",
        }
        build = lambda attempt: wire("/hooks/salon", *kit.hook(attempt, "booking.completed", data, sent_at))  # noqa: E731
        self.books.sent[ref] = kit.hook(1, "booking.completed", data, sent_at)[0]
        begun = time.perf_counter()
        attempt = await deliver(activator.port, build)
        self.books.acknowledged[attempt] += 1
        if attempt:
            self.books.taken.add(ref)
            self.books.slowest = max(self.books.slowest, time.perf_counter() - begun)
            if self.draw.random() < AGAIN:
                await deliver(activator.port, build)

    async def settle(self) -> None:
        """One pass after the storm, then the books."""
        async with self.app() as app:
            done = await sync(app)
            again = await sync(app)
            rows = await app.db.read(_rows)
        if (done["parked"], done["open"], done["problems"]) != (0, 0, {}):
            raise AssertionError(f"something is left: {done}")
        if (again["writes"], again["changes"]) != (0, 0):
            raise AssertionError(f"a second pass does something: {again}")
        self._check(rows)

    def _check(self, rows: tuple[dict[bytes, str], Counter[str]]) -> None:
        stored, changes = rows
        books = self.books
        known = {ref for ref, body in books.sent.items() if inbox.digest(body) in stored}
        missing = books.taken - known
        unread = [state for state in stored.values() if state != "done"]
        if missing or unread:
            raise AssertionError(
                f"acknowledged and not stored: {list(missing)[:5]}; not read: {Counter(unread)}"
            )
        wrong = {ref: changes[ref] for ref in known if changes[ref] != 1}
        if wrong:
            raise AssertionError(f"not exactly one change: {dict(list(wrong.items())[:5])}")
        marks = Counter(
            tag for row in self._table("bookings") for tag in row["tags"] if tag.startswith("bookferry-")
        )
        asked = Counter(row["booking_id"] for row in self.reviews.enrolments)
        real = known & set(self.real)
        counts = len(real), len(marks), marks.total(), len(asked), asked.total()
        if set(counts) != {len(real)}:
            raise AssertionError(f"told, marks, visits with a mark, asked for, requests: {counts}")
        books.stored, books.lost = len(stored), len(books.sent) - len(known)
        books.changes, books.carried = changes.total(), len(marks)

    def _table(self, name: str):
        return self.reviews.rows(1_000_000)[name]


def _rows(tx) -> tuple[dict[bytes, str], Counter[str]]:
    stored = {
        row["digest"]: row["state"]
        for row in tx.rows("SELECT digest, state FROM inbox WHERE connection = 'salon'")
    }
    changes = tx.rows(
        "SELECT r.ref, count(*) AS n FROM journal j JOIN record r ON r.id = j.record JOIN stream s ON s.id = j.stream"
        " WHERE s.connection = 'salon' AND s.kind = 'bookings' AND j.via = 'webhook' GROUP BY r.ref"
    )
    return stored, Counter({row["ref"]: row["n"] for row in changes})


@asynccontextmanager
async def staged(folder: Path, real: int = REAL):
    stage = Stage(folder)
    async with AsyncExitStack() as stack:
        urls = {
            name: await stack.enter_async_context(serve(box))
            for name, box in (("salon", stage.salon), ("reviews", stage.reviews))
        }
        await stage.begin(urls, real)
        activator = Activator(stage.config, stage.key)
        try:
            yield stage, activator
        finally:
            await activator.close()


async def storm(
    folder: Path,
    *,
    deliveries: int,
    rate: float,
    kill_every: float,
    restarts: int,
    kills: int | None = None,
    real: int = REAL,
    tell=lambda _line: None,
) -> Books:
    """The whole run; gives the books. ``kills``: exactly so many, and deliveries meanwhile. Raises AssertionError where something was lost or doubled."""
    async with staged(folder, real) as (stage, activator):
        await activator.start()
        await activator.up()
        sending = asyncio.create_task(stage.send_until(activator, deliveries, rate, kills or 0))
        while not sending.done():
            known = len(stage.books.taken)
            await asyncio.wait({sending}, timeout=kill_every)
            # Who is killed before it listens proves nothing, and Bookatu has three attempts, not three times three.
            await _answered(stage, known + 1, sending)
            await asyncio.wait({sending}, timeout=UP_S)
            if not sending.done() and stage.books.kills != kills:
                await activator.restart(signal.SIGKILL)
                stage.books.kills += 1
                tell(_line(stage.books))
        sending.result()
        if restarts:
            await _restarted(stage, activator, restarts, rate / 4, tell)
        await activator.end(signal.SIGTERM)
        await stage.settle()
        return stage.books


async def _restarted(stage: Stage, activator: Activator, restarts: int, rate: float, tell) -> None:
    """Restarts in the middle of deliveries, each as soon as the service has answered somebody after the last one."""
    going = True

    async def send() -> None:
        while going:
            await stage.send(activator, 10, rate)

    sending = asyncio.create_task(send())
    for number in range(restarts):
        known = len(stage.books.taken)
        await _answered(stage, known + 3, sending)
        await activator.restart(signal.SIGKILL if number % 2 else signal.SIGTERM)
        stage.books.ends += 1
        if number % 10 == 9:
            tell(_line(stage.books))
    going = False
    await sending


async def _answered(stage: Stage, number: int, sending: asyncio.Task[None]) -> None:
    """Wait until so many have been acknowledged, or nobody sends any more."""
    async with asyncio.timeout(60):
        while len(stage.books.taken) < number and not sending.done():
            await asyncio.wait({sending}, timeout=0.02)


def _line(books: Books) -> str:
    return (
        f"{len(books.sent)} sent, {len(books.taken)} acknowledged, {books.kills} kills, {books.ends} restarts"
    )


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
