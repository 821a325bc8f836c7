"""One world: it is made, a story is told in it, and then it is judged."""

import asyncio
import contextlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import structlog

import connectors.http
import daemon.service
from connectors.nowistay.sandbox_oauth import Family
from connectors.nowistay.sandbox_store import SCOPES
from daemon import logs
from daemon.app import PLATFORMS, opened
from mapping.config import Config, Door
from mapping.load import load
from state import cursors
from tests.torture import judge
from tests.torture.clock import PlatformClock, told_by
from tests.torture.life import Life, close, living
from tests.torture.loop import OWNER, Livelock, Loop
from tests.torture.net import Net, ToDoor, ToPlatforms
from tests.torture.ports import FIRST, KEY, PORTS, Port
from tests.torture.report import Report
from tests.torture.ships import SHIPS
from tests.torture.store import InlineDatabase
from tests.torture.story import Story, draw

ADDRESSES = {"bookatu": 9001, "nearbyassist": 9002, "nicejob": 9003, "nowistay": 9004}
PUBLIC = "http://127.0.0.1:8077"
CALM_S = 3600.0
"""How long the service goes on after the storm: the longest pause after failures is a quarter of an hour."""
LATER_DAYS = 12
"""Then so many days pass, in which all stays end that a story knows."""


@dataclass
class Visit:
    """What staff have booked, and all that they did to it since. ``number`` is that of the event."""

    number: int
    where: str
    ref: str
    guest: int
    said: list[tuple[str, Any]] = field(default_factory=list)
    twin_said: list[tuple[str, Any]] = field(default_factory=list)
    over: tuple[datetime, str] | None = None
    twin_over: tuple[datetime, str] | None = None
    shown: dict[str, list[Any]] = field(default_factory=dict)
    """What its twin has shown one after the other, by field."""
    review: str | None = None
    stars: int | None = None
    reviewed: datetime | None = None

    def __str__(self) -> str:
        return f"visit #{self.number} ({self.where} {self.ref})"

    def values(self, name: str) -> list[Any]:
        return [value for known, value in self.said if known == name]

    def twin_values(self, name: str) -> list[Any]:
        return [value for known, value in self.twin_said if known == name]

    def last(self, name: str) -> Any:
        return self.values(name)[-1]

    @property
    def starts(self) -> datetime:
        return self.last("starts")

    def ended(self, verb: str) -> bool:
        return self.over is not None and self.over[1] == verb


class World:
    """Everything that there is while a story is told."""

    def __init__(self, story: Story, folder: Path, loop: Loop) -> None:
        self.loop = loop
        self.story, self.ship = story, SHIPS[story.ship]
        self.report = Report(story.seed, story.ship)
        self.folder = folder
        self.chance = Random(f"{story.seed} travel")
        self.disk = Random(f"{story.seed} disk")
        self.ahead = 0.0
        self.began = 0.0
        """When the storm has, by the loop's time."""
        self.life: Life | None = None
        self.lives: list[Life] = []
        self.kept: list[asyncio.Task] = []
        self.commits = 0
        self.over = False
        self.visits: list[Visit] = []
        self.history: list[str] = []
        self.phones: dict[int, str] = {}
        self.parked: list[tuple[str, str, str]] = []
        self.unfinished: list[dict[str, Any]] = []
        self.final = self.storm_ends = FIRST
        self.net = Net(self)
        self.ports: dict[str, Port] = {}
        self.tokens: dict[str, str] = {}
        self.secrets: dict[str, str] = {}

    def meddle(self, _world: "World") -> None:
        """Nobody does, unless a test asks for it."""

    # Time, and what is told of it.

    @property
    def moment(self) -> float:
        return self.loop.time()

    def true(self) -> float:
        return FIRST.timestamp() + self.moment

    def machine(self) -> float:
        return self.true() + self.ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.true(), UTC)

    def tell(self, who: str, what: str) -> None:
        self.report.log.append(f"{self.moment:12.3f} {who}: {what}")

    def slow_disk(self) -> float:
        return self.disk.uniform(0, 0.004)

    def excuse(self, why: str) -> None:
        self.report.excused[why] += 1

    def keep(self, task: asyncio.Task) -> None:
        self.kept.append(task)
        task.add_done_callback(self.kept.remove)

    def later(self, work: Any, name: str) -> None:
        """Let something happen beside the story."""
        self.keep(asyncio.get_running_loop().create_task(work, name=name))

    def new_visit(self, number: int, where: str, ref: str, guest: int) -> Visit:
        visit = Visit(number, where, ref, guest)
        self.visits.append(visit)
        return visit

    def watch(self, platform: str) -> None:
        """A write has come to a platform: what its bookings show now, one after the other."""
        port = self.ports[platform]
        rows = {each: row for row in port.rows() if not row.off for each in row.marks}
        for visit in self.visits:
            row = rows.get(self.mark(visit)) if visit.where != platform else None
            for name in ("starts", "amount") if row is not None else ():
                shown = visit.shown.setdefault(name, [])
                if not shown or shown[-1] != getattr(row, name):
                    shown.append(getattr(row, name))

    # What the models ask.

    def mark(self, visit: Visit) -> str:
        return self.ports[visit.where].mark(visit.ref)

    def told(self, visit: Visit, event: str) -> bool:
        """Whether the door has acknowledged Bookatu's webhook of this event."""
        for connection, body, _ in self.net.taken:
            if connection == visit.where:
                content = json.loads(body)
                if content["event"] == event and content["data"]["id"] == visit.ref:
                    return True
        return False

    def shown(self, visit: Visit) -> bool:
        """Whether a record's trace may be demanded: three true answers showed it, of which a crash may throw one away."""
        return len(self.net.listed.get((visit.where, visit.ref), ())) >= 3

    def parked_about(self, visit: Visit, *twins: Any) -> bool:
        refs = {visit.ref, *(row.ref for row in twins)}
        about = [line for line in self.parked if line[1] in refs]
        for *_, problem in about:
            self.excuse(f"parked: {problem.split(':')[0][:60]}")
        return bool(about)

    def settled_end(self, visit: Visit) -> bool:
        """Whether everybody can know that a visit was cancelled: by a list that shows it, or by a webhook taken."""
        cancelled_at = visit.where if visit.over else next(n for n in self.ports if n != visit.where)
        if cancelled_at == "nearbyassist":
            return True
        if visit.over and self.told(visit, "booking.cancelled"):
            return True
        self.excuse(
            "Bookatu did not tell of a cancellation: the webhook is lost, and absence may stay in doubt"
        )
        return False

    # The platforms.

    def build(self) -> None:
        for name in self.ship.platforms:
            clock = PlatformClock(self.true, self.story.skews.get(name, 0.0))
            port = self.ports[name] = PORTS[name](name, clock=clock, seed=self.story.seed + 1)
            url = f"http://127.0.0.1:{ADDRESSES[name]}"
            self.net.boxes[ADDRESSES[name]] = port.box
            port.box.base_url = url
            port.box.clock.start()
            port.box.hooks._client = ToDoor(self.net, name)
            port.box.hooks._slots = asyncio.Semaphore(20)
            self.secrets[name] = port.berth.connection(url, f"{PUBLIC}/hooks/{name}")
        if "bookatu" in self.ports and "nearbyassist" in self.ports:
            self.ports["nearbyassist"].box.business.services["svc_1"].name = "Gel Manicure"

    def yaml(self) -> str:
        polls = {"bookatu": "5m", "nearbyassist": "5m", "nicejob": "10m", "nowistay": "10m"}
        lines = [
            f"  {name}: {{platform: {name}, {keys}, poll: {polls[name]}"
            + (", sensitive: true" if name == "nowistay" else "")
            + "}\n"
            for name, keys in self.secrets.items()
        ]
        public = f"server:\n  public_url: {PUBLIC}\n"
        return public + "connections:\n" + "".join(lines) + f"routes:\n{self.ship.routes}"

    # The program.

    @contextlib.asynccontextmanager
    async def open(self, name: str | None = None) -> Any:
        """The program in a life of its own, without its service."""
        life, config = living(), _loaded(self.yaml())
        path = self.folder / "bookferry.db"
        async with opened(config, path, KEY, now=self.machine, database=InlineDatabase) as app:
            life.app = app
            yield app

    def birth(self) -> Life:
        life = Life(self, len(self.lives) + 1)
        self.lives.append(life)
        self.life = life
        return life

    async def within(self, work: Any) -> Any:
        """Do something in a short life that nobody kills."""
        life = self.birth()
        result = await life.spawn(self._opened(work), "errand")
        life.dead = True
        self.life = None
        return result

    async def _opened(self, work: Any) -> Any:
        async with self.open() as app:
            return await work(app)

    def serve(self) -> Life:
        """Start the service."""
        life = self.birth()
        self.tell(life.name, "starts")
        task = life.spawn(self._serving(life), "service")
        task.add_done_callback(lambda done: self._ended(life, done))
        return life

    async def _serving(self, life: Life) -> None:
        async with self.open() as app:
            await daemon.service.serve(app, ready=lambda _h, _a: life.up.set(), stop=life.stop)

    def _ended(self, life: Life, task: asyncio.Task) -> None:
        if not life.dead and not task.cancelled() and task.exception() is not None:
            self.violate(f"bug: the service ended with {task.exception()!r}")
        life.dead = True
        life.ended.set()

    async def stop(self) -> None:
        life = self.life
        if life is not None and not life.dead:
            self.tell(life.name, "is stopped")
            life.stop.set()
            await life.ended.wait()
        self.life = None

    def violate(self, sentence: str) -> None:
        if sentence not in self.report.violations:
            self.report.violations.append(sentence)
            self.tell("judge", sentence)

    async def look_after(self) -> None:
        """What an operator does: start the process again when it is down, and log in again when that is asked for."""
        down: float | None = None
        while True:
            life = self.life
            if life is not None:
                await life.ended.wait()
                down = self.down_for
                await asyncio.sleep(down)
            self.serve()
            self.down_for = 5.0

    down_for = 5.0

    async def log_in_again(self) -> None:
        port = self.ports.get("nowistay")
        if port is None or self.life is None or self.life.dead or self.life.app is None:
            return
        rows = await self.peek("SELECT problem FROM unit WHERE problem LIKE '%NeedsHuman%'")
        if not rows:
            return
        self.report.counts["logged in again"] += 1
        if self.report.counts["logged in again"] > self.net.tokens_lost:
            self.violate(f"token: a human has to log in again, and no token was lost: {rows[0]['problem']}")
        token = f"nis_refresh_{port.box.new_id(24)}"
        port.box.refresh_tokens[token] = Family(port.box.client_id, " ".join(SCOPES))
        held = self.secrets["nowistay"]
        self.secrets["nowistay"] = held[: held.index("refresh_token")] + held[
            held.index("refresh_token") :
        ].replace(held.split('refresh_token: "')[1].split('"')[0], token)
        self.tell("operator", "logs in to nowistay again")
        self.life.stop.set()

    async def peek(self, sql: str) -> list[dict[str, Any]]:
        """Look into the store as an operator with a command line would."""
        database = self.life.database if self.life else None
        assert database is not None
        return database._read(lambda tx: tx.rows(sql))


@lru_cache(4)
def _loaded(text: str) -> Config:
    return load(text, name="x.yaml", platforms=PLATFORMS, env={}, read_file=str, credential=lambda _: None)


def _door(world: World, *, app: Any, door: Door) -> Any:
    @contextlib.asynccontextmanager
    async def open_door() -> Any:
        doors, place = living().doors, ("127.0.0.1", door.port)
        doors[place] = app
        try:
            yield door
        finally:
            del doors[place]

    return open_door()


@contextlib.contextmanager
def edges(world: World) -> Iterator[None]:
    """What stands where the program meets the machine: sockets, listeners, signals, the log."""

    def listening(app: Any, door: Door, **_options: Any) -> Any:
        return _door(world, app=app, door=door)

    def heard(_logger: Any, method: str, event: dict[str, Any]) -> Any:
        life = OWNER.get()
        if not world.over and not (isinstance(life, Life) and life.dead):
            judge.line(world, method, event)
        raise structlog.DropEvent

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            life = OWNER.get()
            dead = world.over or (isinstance(life, Life) and life.dead)
            if record.levelno >= logging.WARNING and not dead:
                judge.line(
                    world, record.levelname.lower(), {"event": record.name, "message": record.getMessage()}
                )

    old = structlog.get_config()
    root, handler = logging.getLogger(), Handler()
    held = root.handlers[:]
    structlog.configure(
        processors=[logs.told, logs.redact, heard], wrapper_class=structlog.make_filtering_bound_logger(20)
    )
    root.handlers[:] = [handler]
    try:
        with (
            mock.patch.object(connectors.http, "AiohttpTransport", ToPlatforms),
            mock.patch.object(connectors.http, "tls_context"),
            mock.patch.object(daemon.service, "listening", listening),
            mock.patch.object(daemon.service, "settled"),
        ):
            yield
    finally:
        structlog.configure(**old)
        root.handlers[:] = held


def run(
    seed: int,
    *,
    hours: float | None = None,
    ship: str | None = None,
    only: Iterable[int] | None = None,
    meddle: Callable[["World"], None] | None = None,
    story: Story | None = None,
) -> Report:
    """Tell the story of a seed and judge what it left.

    ``only``: nothing but the events with these numbers. ``story``: another one than the seed draws. ``meddle`` is given the world right before it is judged: what it
    spoils has to be noticed.
    """
    told = story or draw(seed, hours, ship)
    if only is not None:
        wanted = set(only)
        told = Story(
            told.seed, told.ship, told.hours, tuple(e for e in told.events if e.number in wanted), told.skews
        )
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    loop = Loop()
    world = World(told, folder, loop)
    world.meddle = meddle or world.meddle
    loop.set_exception_handler(lambda _loop, about: _trouble(world, about))
    try:
        with told_by(world.machine, loop.time, told.seed), edges(world):
            try:
                loop.run_until_complete(_tell(world))
            except Livelock:
                world.report.violations.append(
                    f"livelock: at {world.report.log[-1].strip()} the program works without end"
                )
            finally:
                world.report.seconds = loop.moment
                _clear(loop, world)
    finally:
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)
    return world.report


def _trouble(world: World, about: dict[str, Any]) -> None:
    life = OWNER.get()
    if world.over or (isinstance(life, Life) and life.dead):
        return
    world.violate(f"bug: {about.get('message')} {about.get('exception')!r}")


def _clear(loop: Loop, world: World) -> None:
    world.over = True
    for life in world.lives:
        life.bury()
    for task in asyncio.all_tasks(loop):
        close(task)


async def _tell(world: World) -> None:
    from tests.torture import staff

    world.build()
    staff.history(world)
    await world.within(_baseline)
    world.began = world.moment
    world.tell("story", f"the storm begins, over {world.story.ship}")
    world.serve()
    keeper = asyncio.create_task(world.look_after(), name="operator")
    watch = asyncio.create_task(_watch(world), name="watch")
    for event in world.story.events:
        await asyncio.sleep(max(0.0, world.began + event.at - world.moment))
        world.tell("story", str(event).strip())
        staff.happen(world, event)
    await asyncio.sleep(max(0.0, world.began + world.story.hours * 3600 - world.moment))
    world.tell("story", "the storm is over")
    world.storm_ends = world.now()
    _calm(world)
    await asyncio.sleep(CALM_S)
    keeper.cancel()
    watch.cancel()
    await world.stop()
    await judge.everything(world, LATER_DAYS)


def _calm(world: World) -> None:
    world.ahead = 0.0
    world.net.unreachable.clear()
    world.net.lies.clear()
    world.net.troubles.clear()
    for port in world.ports.values():
        port.box.clear_faults()
    if world.life is not None:
        world.life.doom = None


async def _watch(world: World) -> None:
    while True:
        await asyncio.sleep(1200)
        await world.log_in_again()
        life = world.life
        if life is not None and not life.dead and life.app is not None:
            life.spawn(judge.approved(life.app), "approval")


async def _baseline(app: Any) -> None:
    from daemon.passes import sync

    await sync(app)
    names = [route.name for route in app.config.routes]
    await app.db.transaction(
        lambda tx: [cursors.arm(tx, name, now=app.ms(), since=None) for name in names], "arm"
    )
