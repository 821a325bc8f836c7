"""What a NearbyAssist business knows, and what may be written into it.

The page describes no entity: their fields are the assumed ones, printed as JavaScript prints them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox import Mode, instant, iso, tidy_email, tidy_phone, tidy_text

SCOPES = frozenset({"bookings:read", "bookings:write", "reviews:read"})
STATUSES = ("pending", "confirmed", "completed", "cancelled", "no_show")
_LONGEST = 2000


@dataclass(slots=True)
class Service:
    """A service."""

    id: str
    name: str
    minutes: int = 60
    price: float = 75.0


@dataclass(slots=True)
class Customer:
    """A customer, who stands inside each of their bookings."""

    id: str
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None

    def public(self) -> dict[str, Any]:
        """Return the customer as a booking shows it."""
        return {
            "id": self.id,
            "firstName": self.first_name,
            "lastName": self.last_name,
            "email": self.email,
            "phone": self.phone,
        }


@dataclass(slots=True)
class Booking:
    """A booking."""

    id: str
    status: str
    service_id: str | None
    service_name: str | None
    staff_id: str | None
    start: datetime
    end: datetime
    price: float | None
    customer_id: str | None
    created_at: datetime
    updated_at: datetime
    notes: str | None = None
    external_ref: str | None = None

    @property
    def live(self) -> bool:
        """Whether it takes up a slot."""
        return self.status in {"pending", "confirmed"}


@dataclass(slots=True)
class Review:
    """A review."""

    id: str
    booking_id: str | None
    rating: float
    title: str | None
    comment: str | None
    author_name: str | None
    author_email: str | None
    created_at: datetime

    def public(self) -> dict[str, Any]:
        """Return the row of the list."""
        return {
            "id": self.id,
            "bookingId": self.booking_id,
            "rating": number(self.rating),
            "title": self.title,
            "comment": self.comment,
            "author": {"name": self.author_name, "email": self.author_email},
            "createdAt": iso(self.created_at),
        }


@dataclass(slots=True)
class Key:
    """An API key: "scoped permissions per key, rotate and revoke anytime"."""

    scopes: frozenset[str] = SCOPES
    revoked: bool = False


@dataclass(slots=True)
class Endpoint:
    """A webhook endpoint."""

    url: str
    secret: str


@dataclass(slots=True)
class Business:
    """The business, with all that is its own. Lists show the newest rows first: the page states no order."""

    timezone: str = "Pacific/Auckland"
    currency: str | None = "NZD"
    services: dict[str, Service] = field(default_factory=dict)
    staff: dict[str, str] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    bookings: dict[str, Booking] = field(default_factory=dict)
    reviews: dict[str, Review] = field(default_factory=dict)
    endpoints: list[Endpoint] = field(default_factory=list)

    def shown(self, booking: Booking) -> dict[str, Any]:
        """Return a booking as every answer shows it."""
        customer = self.customers.get(booking.customer_id or "")
        return {
            "id": booking.id,
            "status": booking.status,
            "serviceId": booking.service_id,
            "serviceName": booking.service_name,
            "staffId": booking.staff_id,
            "startTime": iso(booking.start),
            "endTime": iso(booking.end),
            "timezone": self.timezone,
            "price": number(booking.price),
            "currency": self.currency,
            "notes": booking.notes,
            "externalRef": booking.external_ref,
            "customer": customer.public() if customer else None,
            "createdAt": iso(booking.created_at),
            "updatedAt": iso(booking.updated_at),
        }

    def taken(self, staff_id: str | None, start: datetime, end: datetime, but: str | None = None) -> bool:
        """Tell whether the slot is a duplicate one: the same team member, at an overlapping time."""
        return any(
            row.live and row.staff_id == staff_id and row.start < end and start < row.end and row.id != but
            for row in self.bookings.values()
        )

    def match_customer(self, email: str | None, phone: str | None) -> Customer | None:
        """Find a customer by e-mail address, then by telephone number."""
        for name, value in (("email", email), ("phone", phone)):
            for customer in self.customers.values() if value else ():
                if getattr(customer, name) == value:
                    return customer
        return None


def number(value: float | None) -> float | None:
    """Return a number as JavaScript prints it: 75.0 is 75."""
    return int(value) if value is not None and value == int(value) else value


class InvalidError(ValueError):
    """Input that "failed validation": the complaint by field."""

    def __init__(self, complaints: Mapping[str, str]) -> None:
        super().__init__("validation failed")
        self.complaints = complaints


def _text(value: Any, mode: Mode) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError(f"Must be text of at most {_LONGEST} characters")
    return tidy_text(value, mode)


def _word(value: Any, _mode: Mode) -> str:
    return _text(value, mode=False)


def _email(value: Any, mode: Mode) -> str:
    email = tidy_email(_text(value, mode=False), mode)
    if "@" not in email.strip():
        raise ValueError("Must be an email address")
    return email


def _phone(value: Any, mode: Mode) -> str:
    return tidy_phone(_text(value, mode=False), mode)


def _instant(value: Any, _mode: Mode) -> datetime:
    try:
        return instant(_text(value, mode=False))
    except ValueError:
        raise ValueError("Must be an ISO 8601 date-time with an offset") from None


def _price(value: Any, _mode: Mode) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("Must be a number that is not negative")
    return float(value)


Check = Callable[[Any, Mode], Any]
WRITABLE: dict[str, Check] = {
    "serviceId": _word,
    "serviceName": _text,
    "staffId": _word,
    "startTime": _instant,
    "endTime": _instant,
    "timezone": _word,
    "price": _price,
    "currency": _word,
    "notes": _text,
    "externalRef": _word,
}
CUSTOMER: dict[str, Check] = {"firstName": _text, "lastName": _text, "email": _email, "phone": _phone}


def checked(body: Mapping[str, Any], mode: Mode, *, new: bool) -> dict[str, Any]:
    """Return the fields of a create or an update, each checked; ``InvalidError`` with a complaint for each bad one."""
    found, complaints = _fields(WRITABLE, body, mode, "")
    customer = body.get("customer")
    if isinstance(customer, dict):
        found["customer"], more = _fields(CUSTOMER, customer, mode, "customer.")
        complaints |= more
    if new and "startTime" not in body:
        complaints["startTime"] = "Start time is required"
    if (
        new
        and not (found.get("customer") or {}).get("email")
        and not (found.get("customer") or {}).get("phone")
    ):
        complaints.setdefault("customer", "Email or phone is required")
    if complaints:
        raise InvalidError(complaints)
    return found


def _fields(
    checks: Mapping[str, Check], body: Mapping[str, Any], mode: Mode, prefix: str
) -> tuple[dict[str, Any], dict[str, str]]:
    found, complaints = {}, {}
    for name, check in checks.items():
        if body.get(name) is not None:
            try:
                found[name] = check(body[name], mode)
            except ValueError as problem:
                complaints[prefix + name] = str(problem)
    return found, complaints


def ends(start: datetime, end: datetime | None, service: Service | None) -> datetime:
    """Return when a booking ends: as said, or after as long as the service takes."""
    return end or start + timedelta(minutes=service.minutes if service else 60)
