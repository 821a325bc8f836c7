"""The four platforms with the hands of their staff, and what an onlooker reads off their own tables."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox import iso
from mapping.identity import origin_mark
from mapping.model import Kind
from state.tokens import Box
from tests.sync.berths import BERTHS, Guest

KEY = "c2VhbGluZyBrZXkgb2YgdGhlIHRvcnR1cmUgdGVzdCE="
PARIS = ZoneInfo("Europe/Paris")
FIRST = datetime(2026, 7, 10, 6, 0, tzinfo=UTC)
"""When every story begins."""

GUESTS = [
    Guest(first, "Example", f"{first.lower()}@example.com", f"+64 21 555 01{number:02}")
    for number, first in enumerate(("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jon"))
]


def mark(platform: str, account: str, kind: str, ref: str) -> str:
    """Our origin mark, which is made under the sealing key of the story."""
    return origin_mark(platform, account, Kind(kind), ref, Box(KEY).mark_key)


@dataclass
class Row:
    """A booking as its platform's own table has it."""

    ref: str
    starts: datetime | None
    amount: float | None
    off: bool
    done: bool
    marks: list[str]
    raw: Any = field(repr=False)


def _marks(text: Any) -> list[str]:
    words = text if isinstance(text, list) else str(text or "").split()
    return [word.strip(" []().,;").lower() for word in words if "bookferry-" in str(word).lower()]


class Port:
    """One platform. ``platform`` names its connection too."""

    account = ""

    def __init__(self, platform: str, **options: Any) -> None:
        self.platform = platform
        self.berth = BERTHS[platform](**options)
        self.box = self.berth.box
        self.box.hooks.scale = 1.0
        self.berth.day = lambda moment: moment  # type: ignore[method-assign]  # its hands take the very moment

    def rows(self) -> list[Row]:
        raise NotImplementedError

    def book(self, starts: datetime, guest: Guest) -> str:
        return self.berth.book(starts, guest)  # type: ignore[arg-type]

    def move(self, ref: str, starts: datetime) -> None:
        self.berth.move(ref, starts)  # type: ignore[arg-type]

    def price(self, ref: str, amount: int) -> None:
        self.berth.price(ref, amount)

    def cancel(self, ref: str) -> None:
        self.berth.cancel(ref)

    def complete(self, ref: str) -> None:
        self.berth.complete(ref)  # type: ignore[attr-defined]

    def call(self, ref: str, phone: str) -> None:
        self.berth.call(ref, phone)

    def marked(self, wanted: str) -> list[Row]:
        return [row for row in self.rows() if wanted in row.marks]

    def mark(self, ref: str, kind: str = "bookings") -> str:
        return mark(self.platform, self.account, kind, ref)

    def said(self) -> list[Any]:
        return self.berth.said()

    def find(self, ref: str) -> Row | None:
        return next((row for row in self.rows() if row.ref == ref), None)

    def forged(self) -> tuple[bytes, dict[str, str]]:
        """A webhook that somebody else made up."""
        return b'{"event":"booking.cancelled","data":{"id":"x"}}', {"content-type": "application/json"}


class Bookatu(Port):
    account = "parnell-nails"

    def rows(self) -> list[Row]:
        return [
            Row(
                row.id,
                row.start,
                row.price_cents / 100,
                row.status == "cancelled",
                row.status == "completed",
                _marks(row.notes),
                row,
            )
            for row in self.box.business().appointments.values()
        ]

    def no_show(self, ref: str) -> None:
        self.box.no_show(ref)

    def forged(self) -> tuple[bytes, dict[str, str]]:
        ref = next((row.ref for row in self.rows() if not row.off), "apt_none")
        body = f'{{"event":"booking.cancelled","sentAt":"{self.box.stamp()}","data":{{"id":"{ref}","status":"cancelled"}}}}'
        signature = f"t={self.box.signing_time()},v1={'0' * 64}"
        return body.encode(), {"content-type": "application/json", "x-bookatu-signature": signature}


class NearbyAssist(Port):
    account = "nearbyassist"

    def rows(self) -> list[Row]:
        return [
            Row(
                row.id,
                row.start,
                row.price,
                row.status == "cancelled",
                row.status == "completed",
                _marks(row.external_ref),
                row,
            )
            for row in self.box.business.bookings.values()
        ]

    def no_show(self, ref: str) -> None:
        self.box.alter(ref, "booking.updated", status="no_show")


class NiceJob(Port):
    def __init__(self, platform: str, **options: Any) -> None:
        super().__init__(platform, **options)
        self.account = self.box.company().id

    def rows(self) -> list[Row]:
        return [
            Row(
                row["id"],
                row["scheduled_time"] and datetime.fromisoformat(row["scheduled_time"]),
                row["amount"],
                "cancelled" in row["tags"],
                bool(row["complete"]),
                _marks(row["tags"]),
                row,
            )
            for row in self.table("bookings").values()
        ]

    def table(self, name: str) -> dict[str, dict[str, Any]]:
        return self.box.company().tables[name].rows


class Nowistay(Port):
    account = "nowistay"

    def book(self, starts: datetime, guest: Guest) -> str:
        """``starts`` is the day of the departure here: that is what the routes look at."""
        contact = {"guestName": guest.name, "guestEmail": guest.email, "guestPhone": guest.phone}
        return str(self.box.add_booking(**_stay(starts), **contact, amount="75.00", currency="NZD"))

    def move(self, ref: str, starts: datetime) -> None:
        self.box.update_booking(int(ref), **_stay(starts))

    def rows(self) -> list[Row]:
        return [
            Row(
                str(row["id"]),
                leaves(row["departure"]),
                row["amount"] and float(row["amount"]),
                row["status"] == "cancelled",
                False,
                [],
                row,
            )
            for row in self.box.tables.bookings.values()
        ]


def _stay(leaves_on: datetime) -> dict[str, str]:
    day = leaves_on.astimezone(PARIS).date()
    return {"arrival": (day - timedelta(days=2)).isoformat(), "departure": day.isoformat()}


def leaves(day: str) -> datetime:
    """When a stay ends: at eleven, local time."""
    return datetime.fromisoformat(f"{day}T11:00").replace(tzinfo=PARIS).astimezone(UTC)


PORTS: dict[str, type[Port]] = {
    "bookatu": Bookatu,
    "nearbyassist": NearbyAssist,
    "nicejob": NiceJob,
    "nowistay": Nowistay,
}

__all__ = ["FIRST", "GUESTS", "PORTS", "Guest", "Port", "Row", "iso", "leaves", "mark"]
