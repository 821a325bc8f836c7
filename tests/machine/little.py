"""Two platforms in memory, a store without threads and a clock that is told the time: for histories by the thousand.

All that decides, stores and carries is the product's own; only what has no time here is left out: sockets, threads,
the schedule. A process may die at every commit and at every call (``Fate``), and a call may be overtaken by whatever
happens at the platforms or in the store while it is under way (``Little.meanwhile``).
"""

import copy
import json
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from sqlite_utils import Database as Tables

from connectors.base import Connector, Surroundings, budget_of
from connectors.errors import BadAnswer, NeedsHuman, OutcomeUnknown, Refused, TryLater
from daemon.app import App
from daemon.metrics import Metrics
from daemon.world import World
from mapping.capability import Act, KindSpec, People, Platform, Voice
from mapping.identity import marks_in
from mapping.load import load
from mapping.model import MODEL, Kind, Status, iso
from mapping.record import COMPLETE, PROVES_NOTHING, Account, Event, Listing, Observation, Page, Row, Via
from mapping.settings import ConnectionSettings
from state import inbox, units
from state.database import Database, Tx, connect
from state.migrations import migrate

START_MS = 1_800_000_000_000
ROWS_A_PAGE = 2
METRICS = Metrics()

PEOPLE = KindSpec(
    acts={Act.CREATE: Voice.SILENT, Act.UPDATE: Voice.SILENT},
    writes={"name": "full_name", "mail": "email", "tags": "tags"},
    unique=frozenset({"email"}),
    marked_in="tags",
    fetched=True,
)
QUIET = KindSpec(
    acts={
        Act.CREATE: Voice.SILENT,
        Act.UPDATE: Voice.SILENT,
        Act.COMPLETE: Voice.CHOICE,
        Act.CANCEL: Voice.SILENT,
    },
    writes={name: name for name in ("title", "notes", "starts", "status", "tags", "completed_at")},
    people=People.LINKED,
    marked_in="external_ref",
    quiet_tag="hush",
    statuses={each: each for each in (Status.CONFIRMED, Status.COMPLETED, Status.CANCELLED)},
    fetched=True,
)
LOUD = KindSpec(
    acts={Act.CREATE: Voice.LOUD, Act.CANCEL: Voice.LOUD},
    reasons={Act.CREATE: "it tells the guest", Act.CANCEL: "it tells the guest"},
    writes={name: name for name in ("title", "notes", "starts")},
    people=People.EMBEDDED,
    marked_in="notes",
    fetched=True,
)
SHOWS_ONLY = KindSpec(fetched=True)


def platform(name, bookings, people):
    kinds = {Kind.PEOPLE: people, Kind.BOOKINGS: bookings}
    return Platform(name, name, ConnectionSettings, kinds, f"https://{name}.example", (10**6, 60))


FLAVOURS = {
    "quiet": (platform("shop", SHOWS_ONLY, SHOWS_ONLY), platform("desk", QUIET, PEOPLE), ""),
    "speaks": (platform("shop", SHOWS_ONLY, SHOWS_ONLY), platform("desk", QUIET, PEOPLE), ", notify: allow"),
    "loud": (
        platform("shop", SHOWS_ONLY, SHOWS_ONLY),
        platform("desk", LOUD, SHOWS_ONLY),
        ", notify: allow, on_reschedule: cancel_and_create",
    ),
    "pair": (platform("shop", QUIET, PEOPLE), platform("desk", QUIET, PEOPLE), ""),
    "pair newest": (
        platform("shop", QUIET, PEOPLE),
        platform("desk", QUIET, PEOPLE),
        ", newest: [title, notes, starts]",
    ),
}


def config(flavour):
    shop, desk, more = FLAVOURS[flavour]
    back = "  - {name: back, from: desk.bookings, to: shop.bookings}\n" if flavour.startswith("pair") else ""
    text = (
        "connections:\n  shop: {platform: shop, webhook_secret: x}\n  desk: {platform: desk, webhook_secret: x}\n"
        f"routes:\n  - {{name: there, from: shop.bookings, to: desk.bookings{more}}}\n{back}"
    )
    platforms = {"shop": shop, "desk": desk}
    made = load(
        text, name="little.yaml", platforms=platforms, env={}, read_file=str, credential=lambda _: None
    )
    return made, platforms


class Crash(BaseException):
    """The process is gone."""


class Fate:
    """Decides when the process dies: at the n-th of its commits and calls from now on."""

    def __init__(self):
        self.dies_in = None
        self.dead = False

    def step(self, where):
        if self.dies_in is not None and not self.dead:
            self.dies_in -= 1
            self.dead = self.dies_in < 0
        if self.dead:
            raise Crash(where)


class StillDatabase(Database):
    """The store on one connection and no thread: a transaction is over when ``transaction`` returns."""

    def __init__(self, path: Path, fate: Fate):
        self.path, self.fate = path, fate
        self.connection = connect(path)
        self.connection.execute("PRAGMA synchronous=OFF")  # only this process dies here, never the machine
        migrate(Tables(self.connection), path)

    async def transaction(self, fn, label=""):
        self.fate.step(f"before {label}")
        result = self.now(fn, lambda: self.fate.step(f"in {label}"))
        self.fate.step(f"after {label}")
        return result

    async def read(self, fn):
        self.fate.step("read")
        return fn(Tx(self.connection))

    def now(self, fn, before_commit=lambda: None):
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = fn(Tx(self.connection))
            before_commit()
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()
        return result

    def open_transaction(self):
        return self.connection.in_transaction

    def gone(self):
        with suppress(sqlite3.Error):
            self.connection.rollback()
        self.connection.close()


class Clock:
    def __init__(self):
        self.ms = START_MS

    def now(self):
        return self.ms / 1000

    def on(self, seconds=1):
        self.ms += seconds * 1000
        return self.ms


class Little:
    """One platform: what it holds, what it told, whom it spoke to, and what it will do to the next calls."""

    def __init__(self, name, spec, clock):
        self.name, self.spec, self.clock = name, spec, clock
        self.rows = {Kind.PEOPLE: {}, Kind.BOOKINGS: {}}
        self.made = 0
        self.events = []
        self.told_guests = []
        self.writes = []
        self.next_writes = {Kind.PEOPLE: [], Kind.BOOKINGS: []}
        self.next_lists = []
        self.next_looks = []
        self.hidden = set()
        self.late = []
        self.meanwhile = []
        self.taken = {}
        """(ref, field) → what a write last set it to, as far as its answer arrived."""
        self.by_hand = {}
        """(ref, field) → when somebody changed it here last, in epoch milliseconds."""
        self.one_way = True
        self.wrong = []
        """What must never happen and did."""

    def add(self, kind, **fields):
        self.made += 1
        ref = f"{self.name}-{self.made}"
        self.rows[kind][ref] = {"notes": None} if kind is Kind.BOOKINGS else {}
        return self.change(kind, ref, **fields)

    def change(self, kind, ref, **fields):
        """Whoever did it: a new version of the row, and a webhook about it. Time goes on with every change."""
        at = self.clock.on()
        row = self.rows[kind][ref]
        row |= {name: self._tidy(name, value) for name, value in fields.items()}
        self.made += 1
        if kind is Kind.BOOKINGS:
            row["reference"] = f"{self.made:06}"
        self.events.append({"kind": kind.value, "ref": ref, "at": at, "row": copy.deepcopy(row)})
        return ref

    def edit(self, kind, ref, **fields):
        """Somebody does it here by hand."""
        self.change(kind, ref, **fields)
        for name in fields:
            self.by_hand[ref, name] = self.clock.ms

    def _tidy(self, name, value):
        """Platforms trim, and cut what is too long: the desk shows less than it was sent."""
        if name == "title" and self.name == "desk" and value is not None:
            return " ".join(value.split())[:20]
        return value.strip() if name == "notes" and value else value

    def settle_late(self):
        for due, apply in [*self.late]:
            if due <= self.clock.ms:
                self.late.remove((due, apply))
                apply()

    def apply(self, write):
        fields = dict(write.fields)
        row = self.rows[write.kind].get(write.ref, {})
        if "tags" in fields:
            fields["tags"] = [*dict.fromkeys([*row.get("tags", []), *fields["tags"]])]
        if write.act is Act.CANCEL:
            fields["status"] = "cancelled"
        if write.kind is Kind.BOOKINGS:
            self._speak(write, row, fields)
        if write.ref is not None:
            return self.change(write.kind, write.ref, **fields)
        mails = [each.get("email") for each in self.rows[write.kind].values()]
        if write.kind is Kind.PEOPLE and fields.get("email") and fields["email"] in mails:
            raise Refused("this e-mail address exists")
        if write.kind is Kind.BOOKINGS:
            fields.setdefault("status", "confirmed")
        if self.spec.kinds[write.kind].marked_in == "notes":
            fields["notes"] = f"{fields.get('notes') or ''} {write.mark}"
        return self.add(write.kind, **fields)

    def sent_again(self, write):
        """Fields that a write sets to what the last one set them to: whoever changed them since is to be left alone.

        Tags are added; after an end that was taken back the time is told anew.
        """
        fields = [(name, value) for name, value in write.fields.items() if name not in {"tags", "starts"}]
        return [name for name, value in fields if self.taken.get((write.ref, name)) == value]

    def took(self, write, ref, again):
        if again and self.one_way:
            self.wrong.append(f"sent again though nothing changed: {again} of {ref}")
        self.taken |= {(ref, name): value for name, value in write.fields.items()}

    def _speak(self, write, row, fields):
        act = self.spec.kinds[Kind.BOOKINGS].acts
        hush = "hush" in fields.get("tags", row.get("tags", []))
        completes = fields.get("status") == "completed" and row.get("status") != "completed"
        if act[write.act] is Voice.LOUD or (completes and not hush):
            self.told_guests.append((write, self.clock.ms))
            if not write.loud:
                self.wrong.append(f"a silent write spoke: {write}")


class LittleConnector(Connector):
    streams = (Kind.PEOPLE, Kind.BOOKINGS)

    def __init__(self, name, settings, around, little, db, fate):
        super().__init__(name, settings, around)
        self.platform = little.spec
        self.little, self.db, self.fate = little, db, fate

    @classmethod
    def credential(cls, settings):
        return settings.platform

    async def account(self):
        return Account(self.little.name, self.little.name, "UTC", "NZ", "NZD")

    async def pull(self, kind, position, lane=None):
        asked = await self._call("pull")
        lie = self.little.next_lists.pop(0) if kind is Kind.BOOKINGS and self.little.next_lists else None
        refs = sorted(self.little.rows[kind], key=lambda ref: int(ref.rpartition("-")[2]))
        left = [ref for ref in refs if ref not in self.little.hidden]
        left = left[left.index(position) + 1 :] if position in left else left
        if lie == "empty":
            left = []
        if lie == "broken":
            raise BadAnswer("the list is half a JSON")
        shown = left[:ROWS_A_PAGE]
        rows = [self._row(kind, ref) for ref in shown]
        await self._answer()
        more = len(left) > len(shown) and lie != "capped"
        coverage = PROVES_NOTHING if more or lie == "capped" else COMPLETE
        listing = Listing(kind, rows, lambda row: self._seen(kind, row.ref, row.content, asked, Via.POLL))
        return Page(listing, asked, shown[-1] if more else None, coverage)

    async def fetch(self, kind, ref):
        asked = await self._call("fetch")
        row = copy.deepcopy(self.little.rows[kind].get(ref))
        await self._answer()
        return None if row is None else self._seen(kind, ref, row, asked, Via.FETCH)

    async def find(self, write):
        asked = await self._call("find")
        if self.little.next_looks and write.kind is Kind.BOOKINGS:
            raise {"fails": TryLater, "blind": Refused}[self.little.next_looks.pop(0)]("nobody can see that")
        rows = self.little.rows[write.kind]
        refs = [ref for ref, row in rows.items() if ref == write.ref or write.mark in marks_in(row)]
        if not refs and write.kind is Kind.PEOPLE:
            refs = [ref for ref, row in rows.items() if row.get("email") == write.fields.get("email")]
        newest = [
            self._seen(write.kind, ref, copy.deepcopy(rows[ref]), asked, Via.FETCH) for ref in refs[::-1]
        ]
        await self._answer()
        return newest

    async def write(self, write):
        asked = await self._call("write")
        self.little.writes.append(write)
        again = self.little.sent_again(write)
        fates = self.little.next_writes[write.kind]
        fate = fates.pop(0) if fates else "done"
        if fate == "refused":
            raise Refused("no, says the platform")
        if fate == "unsent":
            raise TryLater("nobody answers")
        if fate == "human":
            raise NeedsHuman("the key is not accepted", remedy="wait.")
        if fate == "lost":
            raise OutcomeUnknown("the answer was lost")
        if fate == "late":
            self.little.late.append((self.little.clock.ms + 5_000, lambda: self._late(write)))
            raise OutcomeUnknown("the answer was lost, and it is still under way")
        ref = self.little.apply(write)
        row = copy.deepcopy(self.little.rows[write.kind][ref])
        await self._answer()
        if fate == "applied":
            raise OutcomeUnknown("the answer was lost")
        self.little.took(write, ref, again)
        return self._seen(write.kind, ref, row, asked, Via.WRITE)

    def _late(self, write):
        with suppress(Refused):
            self.little.apply(write)

    def verify(self, headers, body, secrets):
        pass

    def read_event(self, headers, body, received_at):
        told = json.loads(body)
        kind, ref = Kind(told["kind"]), told["ref"]
        if told["thin"]:
            return Event("changed", kind, ref)
        row = {name: value for name, value in told["row"].items() if name not in {"notes", "people"}}
        return Event("changed", kind, ref, self._seen(kind, ref, row, told["at"], Via.WEBHOOK))

    async def _call(self, what):
        self.fate.step(f"calling: {what}")
        if self.db.open_transaction():
            self.little.wrong.append(f"a transaction is open across a call ({what})")
        self.little.settle_late()
        return self.little.clock.on()

    async def _answer(self):
        self.fate.step("answered")
        while self.little.meanwhile:
            await self.little.meanwhile.pop(0)()
        self.fate.step("answer read")

    def _row(self, kind, ref):
        content = copy.deepcopy(self.little.rows[kind][ref])
        raw = orjson.dumps(content)
        return Row(ref, raw, inbox.digest(raw), content)

    def _seen(self, kind, ref, row, asked, via):
        raw = orjson.dumps(row)
        digest = inbox.digest(raw) if via is Via.POLL else b""
        return Observation(kind, ref, MODEL[kind](**row), raw, asked, via, digest)


class Bells:
    """An engine that only notes who was rung for."""

    def __init__(self):
        self.rung = set()

    def kick(self, key):
        self.rung.add(key)


class StillApp(App):
    """One process: the product's App over the little platforms."""

    def __init__(self, config, platforms, db, littles, clock, fate):
        self.around = littles, db, fate
        reign = db.now(lambda tx: units.claim(tx, units.STORE, now=clock.ms))
        super().__init__(config, db, None, clock.now, reign)
        self.world = World(config, platforms)
        self.metrics, self.engine = METRICS, Bells()

    def _connector(self, name, settings):
        littles, db, fate = self.around
        self.budgets[name] = budget_of(littles[name].spec, settings, self.now)
        around = Surroundings(self.budgets[name], None, self.now)
        return LittleConnector(name, settings, around, littles[name], db, fate)


def instant(ms):
    return iso(datetime.fromtimestamp(ms / 1000, UTC))


def days_from_start(days):
    return iso(datetime.fromtimestamp(START_MS / 1000, UTC) + timedelta(days=days))
