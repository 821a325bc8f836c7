"""What Nowistay knows of a host: the rows of each kind, and what may be written into them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox import Mode, instant, iso, tidy_text

SCOPES = (
    "properties.read",
    "bookings.read",
    "bookings.sensitive.read",
    "bookings.write",
    "booking_parameters.read",
    "booking_parameters.write",
    "missions.read",
    "missions.write",
    "activity.read",
    "team_members.read",
    "webhooks.read",
    "webhooks.write",
)
CHANNELS = ("direct", "airbnb", "booking", "vrbo", "expedia")
STATUSES = ("confirmed", "pending", "cancelled")
EVENTS = ("booking.created", "booking.updated")
SENSITIVE = ("guestEmail", "guestPhone", "guestAddress", "smartLockCode")
"""Of a booking: only with bookings.sensitive.read, only in the detail, and never in a webhook."""
HOOKS_PER_PROPERTY = 3
MOST = 100
"""Of a page: "Pagination with limit (max 100)"; the sample shows 50 where none was asked for."""

KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
KEY_RULE = "Parameter key must be lowercase snake_case, start with a letter, and be at most 40 characters"
_AMOUNT = re.compile(r"\d{1,9}(\.\d{1,2})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")

Check = Callable[[Any, Mode], Any]


class InvalidError(ValueError):
    """Well-formed, but not valid: "422: Validation failed"."""


def _text(value: Any, mode: Mode) -> str:
    if not isinstance(value, str):
        raise InvalidError("must be a string")
    return tidy_text(value, mode)


def _or_null(check: Check) -> Check:
    return lambda value, mode: None if value is None else check(value, mode)


def _date(value: Any, _mode: Mode) -> str:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise InvalidError("must be a date, YYYY-MM-DD")
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise InvalidError("must be a date, YYYY-MM-DD") from None


def _count(value: Any, _mode: Mode) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidError("must be a whole number")
    return value


def _id(value: Any, _mode: Mode) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidError("must be an id, which is a number")
    return value


def _flag(value: Any, _mode: Mode) -> bool:
    if not isinstance(value, bool):
        raise InvalidError("must be true or false")
    return value


def _amount(value: Any, _mode: Mode) -> str:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise InvalidError('must be an amount as text, such as "620.00"')
    return f"{float(value):.2f}"


def _currency(value: Any, _mode: Mode) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise InvalidError("must be an ISO 4217 code")
    return value


def _instant(value: Any, _mode: Mode) -> str:
    try:
        return iso(instant(value))
    except (ValueError, TypeError):
        raise InvalidError("must be an ISO 8601 date-time with an offset") from None


def _zone(value: Any, _mode: Mode) -> str:
    try:
        return str(ZoneInfo(value))
    except (ValueError, KeyError, OSError, TypeError, AttributeError):
        raise InvalidError("must be an IANA time zone") from None


def _values(value: Any, mode: Mode) -> dict[str, str | None]:
    if not isinstance(value, dict):
        raise InvalidError("must be an object")
    return {key: None if given is None else _text(given, mode) for key, given in value.items()}


def _one_of(*words: str) -> Check:
    def check(value: Any, _mode: Mode) -> Any:
        if value not in words:
            raise InvalidError(f"must be one of {', '.join(words)}")
        return value

    return check


def _events(value: Any, _mode: Mode) -> list[str]:
    if not isinstance(value, list) or not value or not set(value) <= set(EVENTS):
        raise InvalidError(f"must be some of {', '.join(EVENTS)}")
    return value


FIELDS: dict[str, dict[str, Check]] = {
    "booking_patch": {
        "arrival": _date,
        "departure": _date,
        "adults": _count,
        "children": _count,
        "amount": _amount,
        "currency": _currency,
        "notes": _or_null(_text),
        "customParameters": _values,
        "silent": _flag,
    },
    "bookings": {
        "propertyId": _id,
        "channel": _one_of(*CHANNELS),
        "status": _one_of(*STATUSES),
        "arrival": _date,
        "departure": _date,
        "adults": _count,
        "children": _count,
        "amount": _or_null(_amount),
        "currency": _or_null(_currency),
        "notes": _or_null(_text),
        "guestName": _or_null(_text),
        "guestEmail": _or_null(_text),
        "guestPhone": _or_null(_text),
        "guestAddress": _or_null(_text),
        "smartLockCode": _or_null(_text),
        "customParameters": _values,
    },
    "missions": {
        "propertyId": _id,
        "bookingId": _or_null(_id),
        "missionType": _text,
        "title": _text,
        "scheduledAt": _instant,
        "timezone": _zone,
        "assignedTeamMemberId": _or_null(_id),
    },
    "parameters": {"key": _text, "name": _text},
    "webhooks": {
        "propertyId": _id,
        "url": _text,
        "events": _events,
        "description": _text,
        "status": _one_of("active", "paused"),
    },
}
REQUIRED = {
    "missions": ("propertyId", "missionType", "title", "scheduledAt"),
    "parameters": ("key", "name"),
    "webhooks": ("propertyId", "url", "events"),
}


def checked(table: str, values: Any, mode: Mode = False, *, new: bool = False) -> dict[str, Any]:
    """Return the fields of an input, each checked; a field that is not documented is refused."""
    fields = FIELDS[table]
    if not isinstance(values, dict):
        raise InvalidError("the body must be an object")
    if unknown := sorted(set(values) - set(fields)):
        raise InvalidError(f"unknown field {unknown[0]}")
    if missing := [name for name in REQUIRED.get(table, ()) if new and name not in values]:
        raise InvalidError(f"{', '.join(missing)} missing")
    found = {}
    for key, value in values.items():
        try:
            found[key] = fields[key](value, mode)
        except InvalidError as problem:
            raise InvalidError(f"{key} {problem}") from None
    return found


def blank_booking(number: int, property_id: int, now: str) -> dict[str, Any]:
    """Return a booking with every field."""
    return {
        "id": number,
        "propertyId": property_id,
        "channel": "direct",
        "status": "confirmed",
        "arrival": "2026-07-14",
        "departure": "2026-07-18",
        "adults": 2,
        "children": 0,
        "amount": None,
        "currency": "EUR",
        "notes": None,
        "guestName": None,
        "guestEmail": None,
        "guestPhone": None,
        "guestAddress": None,
        "smartLockCode": None,
        "customParameters": {},
        "createdAt": now,
        "updatedAt": now,
    }


@dataclass(slots=True)
class Hook:
    """A webhook of one property."""

    id: str
    property_id: int
    url: str
    events: list[str]
    description: str
    secret: str
    created_at: str
    updated_at: str
    status: str = "active"

    def public(self) -> dict[str, Any]:
        """Return what the API shows: the secret is told at creation alone."""
        return {
            "id": self.id,
            "propertyId": self.property_id,
            "url": self.url,
            "events": self.events,
            "description": self.description,
            "status": self.status,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }


@dataclass(slots=True)
class Tables:
    """All rows of the host, by id."""

    properties: dict[int, dict[str, Any]] = field(default_factory=dict)
    bookings: dict[int, dict[str, Any]] = field(default_factory=dict)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    missions: dict[int, dict[str, Any]] = field(default_factory=dict)
    team: dict[int, dict[str, Any]] = field(default_factory=dict)
    activity: list[dict[str, Any]] = field(default_factory=list)
    hooks: dict[str, Hook] = field(default_factory=dict)


def page(rows: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """Return a page in the documented envelope. Raises InvalidError."""
    limit, offset = _number(query, "limit", 50), _number(query, "offset", 0)
    if not 1 <= limit <= MOST:
        raise InvalidError(f"limit must be 1 to {MOST}")
    total = len(rows)
    pages = {"page": offset // limit + 1, "limit": limit, "totalItems": total}
    return {
        "data": rows[offset : offset + limit],
        "pagination": {**pages, "totalPages": -(-total // limit)},
    }


def _number(query: dict[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not text.isdecimal():
        raise InvalidError(f"{name} must be a number")
    return int(text)
