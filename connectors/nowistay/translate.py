"""Nowistay's words and ours. Pure. The tables follow "Using the Nowistay public REST API"."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from connectors.errors import Refused
from connectors.wire import instant, shown
from mapping.model import Kind, Status
from mapping.money import NO_CURRENCY, minor_units, to_major
from mapping.wish import Write

# The document shows these three paths; those of the assumptions can be changed with `paths`.
PATHS = {
    "properties": "/properties",
    "bookings": "/bookings",
    "missions": "/missions",
    "booking_parameters": "/booking-parameters",
    "team_members": "/team-members",
    "webhooks": "/webhooks",
}
COLLECTION = {Kind.BOOKINGS: "bookings", Kind.MISSIONS: "missions"}

STATUS = {
    "confirmed": Status.CONFIRMED,
    "pending": Status.PENDING,
    "cancelled": Status.CANCELLED,
}
MISSION_STATUS = {
    "pending": Status.PENDING,
    "assigned": Status.CONFIRMED,
    "completed": Status.COMPLETED,
    "cancelled": Status.CANCELLED,
}

DIRECT = "direct"
"""The channel of the bookings that can be edited."""

_BOOKING = {"channel": "channel", "adults": "adults", "children": "children", "notes": "notes"}
_INSTANTS = {"createdAt": "created_at", "updatedAt": "updated_at"}
_GUEST = {"guestName": "full_name", "guestEmail": "email", "guestPhone": "phone"}
_MISSION = {"missionType": "type", "title": "title", "timezone": "zone", "notes": "notes"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(:[0-5]\d)?")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
# The name of the field is not documented: whatever calls itself a code of a lock, a door or a key is one.
_DOOR_CODE = re.compile(r"(lock|door|access|entry|key|gate).{0,8}(code|pin)|^pin(code)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Words:
    """The platform's words where the document leaves them open, as the YAML has them."""

    fields: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[str, Status] = field(default_factory=dict)
    door_codes: bool = False

    @property
    def cancelled(self) -> list[str]:
        """The words for a booking that was cancelled: those of the YAML, or the assumed one."""
        return [word for word, means in (self.statuses or STATUS).items() if means is Status.CANCELLED] or [
            word for word, means in STATUS.items() if means is Status.CANCELLED
        ]

    def named(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same row with the assumed names: what is called otherwise there gets its assumed name here."""
        if not self.fields:
            return row
        found = {ours: _at(row, theirs) for ours, theirs in self.fields.items()}
        others = {name: value for name, value in row.items() if name not in self.fields}
        return others | {name: value for name, (there, value) in found.items() if there}

    def cleaned(self, value: Any) -> Any:
        """The same JSON without door codes, unless they are wanted."""
        return value if self.door_codes else _without_codes(value)


def _at(row: Any, path: str) -> tuple[bool, Any]:
    for part in path.split("."):
        if not isinstance(row, Mapping) or part not in row:
            return False, None
        row = row[part]
    return True, row


def _without_codes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _without_codes(item) for name, item in value.items() if not _DOOR_CODE.search(str(name))
        }
    return [_without_codes(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Place:
    """What bookings name by its id alone: a property."""

    name: str | None = None
    zone: str | None = None
    check_in: str | None = None
    check_out: str | None = None
    country: str | None = None


Places = Mapping[str, Place]


def place(row: Mapping[str, Any]) -> Place:
    """A row of GET /properties. What makes no sense in it is left out: it must not cost the bookings."""
    address = row.get("address")
    address = address if isinstance(address, Mapping) else {}
    name, country = row.get("name"), address.get("countryCode")
    return Place(
        name=name if isinstance(name, str) and name else None,
        zone=zone(address.get("timezone")),
        check_in=clock(row.get("checkInTime")),
        check_out=clock(row.get("checkOutTime")),
        country=country.upper()
        if isinstance(country, str) and re.fullmatch("[A-Za-z]{2}", country)
        else None,
    )


@lru_cache(maxsize=256)
def _known_zone(name: str) -> str | None:
    try:
        return str(ZoneInfo(name))
    except (ValueError, KeyError, OSError):
        return None


def zone(name: Any) -> str | None:
    """An IANA zone; None for anything else."""
    return _known_zone(name) if isinstance(name, str) and name else None


def clock(text: Any) -> str | None:
    """``16:00:00`` as ``16:00``; None for what is no time of day."""
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    return f"{found[1]}:{found[2]}" if found else None


def stay_date(value: Any, name: str) -> date | None:
    """A date of a stay. It is local to the property: an instant is never cut down to one. Raises ValueError."""
    if value is None:
        return None
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError(f"{name}: not a date")
    return date.fromisoformat(value)


def person_ref(booking: Any) -> str:
    """A guest has no id there: the booking's tells them."""
    return f"booking:{booking}"


def booking(row: Mapping[str, Any], places: Places, words: Words) -> dict[str, Any]:
    """A booking of a list, of its detail, or of a webhook."""
    row = words.named(row)
    fields = shown(row, _BOOKING) | {ours: instant(value) for ours, value in shown(row, _INSTANTS).items()}
    for name in ("arrival", "departure"):
        if name in row:
            fields[name] = stay_date(row[name], name)
    if "status" in row:
        fields |= _status(row["status"], {**STATUS, **words.statuses})
    if "amount" in row:
        fields |= _amount(row["amount"], row.get("currency"))
    if "customParameters" in row:
        fields["parameters"] = _parameters(row["customParameters"])
    if "propertyId" in row:
        fields |= _place(row["propertyId"], places)
    if any(name in row for name in _GUEST):
        fields["people"] = (person_ref(row["id"]),) if any(row.get(name) for name in _GUEST) else ()
    return fields


def _status(word: Any, table: Mapping[str, Status]) -> dict[str, Any]:
    known = table.get(word, Status.UNKNOWN) if isinstance(word, str) else Status.UNKNOWN
    return {"status": known, "status_word": str(word)}


def _amount(amount: Any, currency: Any) -> dict[str, Any]:
    """``"620.00"`` and its currency; without one it stays absent, as it is never guessed."""
    if amount is None:
        return {"amount": None}
    if isinstance(amount, bool) or not isinstance(amount, str | int | float):
        raise ValueError("amount: not an amount")  # noqa: TRY004 - it is the value of a row that is wrong
    if not isinstance(currency, str) or not currency:
        return {}
    return {"amount": {"minor": minor_units(amount, currency.upper()), "currency": currency.upper()}}


def _parameters(values: Any) -> dict[str, str | None] | None:
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise ValueError("customParameters: not an object")  # noqa: TRY004 - it is the value of a row that is wrong
    return {str(key): as_text(value) for key, value in values.items()}


def as_text(value: Any) -> str | None:
    """A custom field's value: what is not text is written as JSON."""
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _place(number: Any, places: Places) -> dict[str, Any]:
    if number is None:
        return {"place": None}
    known = places.get(str(number), Place())
    found = {
        "title": known.name,
        "zone": known.zone,
        "check_in": known.check_in,
        "check_out": known.check_out,
    }
    return {"place": str(number)} | {name: value for name, value in found.items() if value is not None}


def guests(row: Mapping[str, Any], words: Words) -> Iterator[tuple[Kind, str, dict[str, Any]]]:
    """The guest inside a booking. What the view omits is absent, and says nothing."""
    row = words.named(row)
    if not any(row.get(name) for name in _GUEST):
        return
    fields = shown(row, _GUEST)
    if "guestAddress" in row:
        fields["address"] = _address(row["guestAddress"])
    yield Kind.PEOPLE, person_ref(row["id"]), fields


def _address(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        return {"street": value}
    if not isinstance(value, Mapping):
        return None
    return shown(value, {name: name for name in ("street", "unit", "city", "state", "zip", "country")})


def mission(row: Mapping[str, Any]) -> dict[str, Any]:
    """A mission. ``scheduledAt`` is taken for the instant that it says."""
    fields = shown(row, _MISSION)
    if "scheduledAt" in row:
        fields["starts"] = instant(row["scheduledAt"])
    for theirs, ours in (("propertyId", "place"), ("bookingId", "booking")):
        if theirs in row:
            fields[ours] = None if row[theirs] is None else str(row[theirs])
    if "assignedTeamMemberId" in row:
        member = row["assignedTeamMemberId"]
        fields["staff"] = () if member is None else (str(member),)
    if "status" in row:
        fields |= _status(row["status"], MISSION_STATUS)
    return fields


# Writing.


def checked_key(key: Any) -> str:
    """A key of a custom field. Raises Refused with the platform's own rule."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise Refused(
            "Parameter key must be lowercase snake_case, start with a letter, and be at most 40 characters",
            fields={"key": "lowercase snake_case, at most 40 characters"},
        )
    return key


def parameters_of(write: Write) -> Mapping[str, Any]:
    """The custom fields that a write sets. Raises Refused."""
    values = write.fields.get("parameters") or {}
    if not isinstance(values, Mapping):
        raise Refused(
            "customParameters must be an object of keys and values", fields={"customParameters": "no object"}
        )
    return values


def booking_body(write: Write) -> dict[str, Any]:
    """The body of PATCH /bookings/{id}. ``silent`` is always spelt out: nobody has to trust a default."""
    fields = write.fields
    body: dict[str, Any] = {
        name: fields[name]
        for name in ("arrival", "departure", "adults", "children", "notes")
        if name in fields
    }
    if fields.get("amount"):
        body |= _priced(fields["amount"], write.held.get("amount"))
    if parameters := parameters_of(write):
        body["customParameters"] = {checked_key(key): as_text(value) for key, value in parameters.items()}
    return body | {"silent": not write.loud}


def _priced(amount: Mapping[str, Any], held: Mapping[str, Any] | None) -> dict[str, Any]:
    """``"620.00"`` and its currency: an amount without one is meant in the booking's own."""
    major, currency = to_major(amount["minor"], amount["currency"]), amount["currency"]
    if currency == NO_CURRENCY:
        if not held:
            raise Refused(
                "the amount has no currency, and the booking shows none", fields={"amount": "no currency"}
            )
        currency = held["currency"]
    try:
        exact = to_major(minor_units(major, currency), currency)
    except ValueError as error:
        raise Refused(f"amount: {error}", fields={"amount": str(error)}) from None
    return {"amount": str(exact), "currency": currency}


def mission_body(write: Write, places: Places) -> dict[str, Any]:
    """The body of POST /missions and PATCH /missions/{id}."""
    fields = write.fields
    body: dict[str, Any] = {
        theirs: fields[ours]
        for theirs, ours in (("missionType", "type"), ("title", "title"), ("scheduledAt", "starts"))
        if ours in fields
    }
    for theirs, ours in (("propertyId", "place"), ("bookingId", "booking")):
        if fields.get(ours) is not None:
            body[theirs] = number(fields[ours], theirs)
    if "staff" in fields:
        staff = fields["staff"]
        one = staff if isinstance(staff, str | int) else next(iter(staff or ()), None)
        body["assignedTeamMemberId"] = None if one is None else number(one, "assignedTeamMemberId")
    zoned = fields.get("zone") or (write.ref is None and places.get(str(fields.get("place")), Place()).zone)
    return body | ({"timezone": zoned} if zoned else {})


def number(ref: Any, name: str) -> int:
    """An id as the platform writes it. Raises Refused for what cannot be one."""
    text = str(ref)
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise Refused(
            f"{name} must be one of Nowistay's ids, which are numbers", fields={name: "not a number"}
        )
    return int(text)


def parameter_ref(ref: str) -> tuple[str, str]:
    """The booking and the key of ``"<booking>/<key>"``."""
    owner, _, key = ref.partition("/")
    return owner, key
