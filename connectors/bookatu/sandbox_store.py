"""What a Bookatu business knows: services, staff, customers, appointments, opening hours."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox import iso

LIVE = frozenset({"pending", "confirmed"})
SLOT_STEP = 15  # minutes between the slots that are offered
LONGEST = timedelta(hours=24)
# The example week of the document; weekday 0 is Sunday, minutes count from local midnight.
WEEK: dict[int, tuple[int, int] | None] = {
    0: None,
    1: (540, 1080),
    2: (540, 1080),
    3: (540, 1080),
    4: (540, 1080),
    5: (540, 1140),
    6: (600, 960),
}


@dataclass(slots=True)
class Service:
    """A service; only active and online ones are listed and can be booked over the API."""

    id: str
    name: str
    duration_min: int = 60
    price_cents: int = 7500
    description: str | None = None
    category: str | None = None
    deposit_cents: int = 0
    active: bool = True
    online: bool = True
    sort: int = 0
    buffer_min: int = 0


@dataclass(slots=True)
class Staff:
    """A team member."""

    id: str
    name: str
    title: str | None = None
    bio: str | None = None
    bookable: bool = True


@dataclass(slots=True)
class Customer:
    """A customer."""

    id: str
    name: str
    email: str | None
    phone: str | None


@dataclass(slots=True)
class Appointment:
    """An appointment; price, duration and service name are those of the time of booking."""

    id: str
    ref: str
    service_id: str
    service_name: str
    start: datetime
    duration_min: int
    price_cents: int
    status: str
    customer_id: str
    staff_id: str | None
    notes: str | None
    created_at: datetime
    source: str = "admin"
    buffer_min: int = 0
    deposit_paid: bool = False
    forfeited: bool = False
    cancel_reason: str | None = None

    @property
    def end(self) -> datetime:
        """When it ends."""
        return self.start + timedelta(minutes=self.duration_min)

    def public(self) -> dict[str, Any]:
        """Return the row of GET /appointments."""
        return {
            "id": self.id,
            "ref": self.ref,
            "serviceName": self.service_name,
            "startAt": iso(self.start),
            "endAt": iso(self.end),
            "durationMin": self.duration_min,
            "priceCents": self.price_cents,
            "status": self.status,
            "customerId": self.customer_id,
            "staffId": self.staff_id,
            "notes": self.notes,
            "createdAt": iso(self.created_at),
        }


@dataclass(slots=True)
class Endpoint:
    """A webhook endpoint of a business."""

    url: str
    secret: str


@dataclass(slots=True)
class Business:
    """One business with its indexes, so that no listing ever sorts or scans everything."""

    slug: str
    name: str
    timezone: str
    currency: str
    country: str
    locale: str
    industry: str = "nails"
    address: str = "12 Queen St, Auckland"
    phone: str = "09 555 0100"
    notice_min: int = 60
    cancel_window_h: int = 24
    hours: dict[int, tuple[int, int] | None] = field(default_factory=lambda: dict(WEEK))
    services: dict[str, Service] = field(default_factory=dict)
    staff: dict[str, Staff] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    appointments: dict[str, Appointment] = field(default_factory=dict)
    endpoints: list[Endpoint] = field(default_factory=list)
    waitlist: list[tuple[str, str]] = field(default_factory=list)  # service id, e-mail
    _names: list[tuple[str, str]] = field(default_factory=list)
    _emails: dict[str, str] = field(default_factory=dict)
    _phones: dict[str, str] = field(default_factory=dict)
    _upcoming: list[tuple[datetime, str]] = field(default_factory=list)
    _busy: dict[str, list[tuple[datetime, datetime, str]]] = field(default_factory=dict)

    # Customers.

    def add_customer(self, customer: Customer) -> None:
        """Take a customer in."""
        self.customers[customer.id] = customer
        insort(self._names, (customer.name.casefold(), customer.id))
        if customer.email:
            self._emails.setdefault(customer.email.strip().lower(), customer.id)
        if customer.phone:
            self._phones.setdefault(digits(customer.phone), customer.id)

    def remove_customer(self, customer_id: str) -> Customer:
        """Take a customer out; the appointments keep pointing at the id."""
        customer = self.customers.pop(customer_id)
        self._names.remove((customer.name.casefold(), customer.id))
        for index in (self._emails, self._phones):
            for key in [key for key, owner in index.items() if owner == customer_id]:
                del index[key]
        return customer

    def match_customer(self, email: str, phone: str) -> Customer | None:
        """Find a customer "by email then phone"."""
        found = self._emails.get(email.strip().lower()) or self._phones.get(digits(phone))
        return self.customers[found] if found else None

    def first_customers(self, limit: int) -> list[Customer]:
        """Return the first customers by name."""
        return [self.customers[customer_id] for _, customer_id in islice(self._names, limit)]

    # Appointments.

    def put(self, appointment: Appointment) -> None:
        """Take an appointment in, or back in after a change."""
        self.appointments[appointment.id] = appointment
        if appointment.status in LIVE:
            insort(self._upcoming, (appointment.start, appointment.id))
        if appointment.staff_id and appointment.status != "cancelled":
            insort(self._busy.setdefault(appointment.staff_id, []), _span(appointment))

    def take_out(self, appointment: Appointment) -> None:
        """Drop an appointment from the indexes, before it is changed."""
        _discard(self._upcoming, (appointment.start, appointment.id))
        if appointment.staff_id:
            _discard(self._busy.get(appointment.staff_id, []), _span(appointment))

    def upcoming(self, now: datetime, limit: int) -> list[Appointment]:
        """Return pending and confirmed appointments from now on, oldest first."""
        first = bisect_left(self._upcoming, (now, ""))
        return [self.appointments[key] for _, key in self._upcoming[first : first + limit]]

    def starts_with(self, staff_id: str, start: datetime) -> bool:
        """Tell whether a team member already has an appointment at exactly this instant."""
        spans = self._busy.get(staff_id, [])
        index = bisect_left(spans, (start,))
        return index < len(spans) and spans[index][0] == start

    def is_free(self, staff_id: str, start: datetime, end: datetime) -> bool:
        """Tell whether a team member has nothing in this span."""
        spans = self._busy.get(staff_id, [])
        for taken_start, taken_end, _ in reversed(spans[: bisect_left(spans, (end,))]):
            if taken_end > start:
                return False
            if taken_start < start - LONGEST:
                break
        return True

    def free_staff(self, start: datetime, end: datetime) -> str | None:
        """Return a bookable team member who is free in this span."""
        team = (member.id for member in self.staff.values() if member.bookable)
        return next((staff_id for staff_id in team if self.is_free(staff_id, start, end)), None)

    # Opening hours: wall-clock arithmetic in the business's own zone.

    def is_open(self, start: datetime, end: datetime) -> bool:
        """Tell whether a span lies within one day's opening hours."""
        zone = ZoneInfo(self.timezone)
        first, last = start.astimezone(zone), end.astimezone(zone)
        hours = self.hours[first.isoweekday() % 7]
        if hours is None or first.date() != last.date():
            return False
        return hours[0] <= _minutes(first) and _minutes(last) <= hours[1]

    def slots(self, day: date, service: Service, staff_id: str | None, earliest: datetime) -> Iterator[Any]:
        """Offer the bookable slots of a day."""
        hours = self.hours[day.isoweekday() % 7]
        if hours is None:
            return
        for minute in range(hours[0], hours[1] - service.duration_min + 1, SLOT_STEP):
            start = self.wall(day, minute)
            if start is None or start < earliest:
                continue
            end = start + timedelta(minutes=service.duration_min + service.buffer_min)
            free = self.is_free(staff_id, start, end) if staff_id else self.free_staff(start, end)
            if free:
                yield {"startMin": minute, "startAt": iso(start)}

    def wall(self, day: date, minute: int) -> datetime | None:
        """Return the instant of a wall-clock time, or None where the clocks jump over it."""
        zone = ZoneInfo(self.timezone)
        local = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=zone)
        moment = local.astimezone(UTC)
        return moment if moment.astimezone(zone).time() == local.time() else None


def digits(phone: str) -> str:
    """Return the digits of a phone number."""
    return "".join(character for character in phone if character.isdigit())


def _minutes(moment: datetime) -> int:
    return moment.hour * 60 + moment.minute


def _span(appointment: Appointment) -> tuple[datetime, datetime, str]:
    return (
        appointment.start,
        appointment.end + timedelta(minutes=appointment.buffer_min),
        appointment.id,
    )


def _discard(rows: list[Any], row: Any) -> None:
    index = bisect_left(rows, row)
    if index < len(rows) and rows[index] == row:
        del rows[index]
