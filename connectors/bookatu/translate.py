"""Bookatu's words and ours. Pure. The tables follow the endpoint reference of the "Bookatu API" page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.errors import Refused
from connectors.wire import instant, shown
from mapping.identity import MARK_PREFIX
from mapping.model import Status
from mapping.record import PROVES_NOTHING, Account, Coverage, Listing, Observation, Row
from mapping.wish import Write

# The five words that stand for a booking's status "across responses".
STATUS = {
    "pending": Status.PENDING,
    "confirmed": Status.CONFIRMED,
    "completed": Status.COMPLETED,
    "cancelled": Status.CANCELLED,
    "no_show": Status.NO_SHOW,
}

# The order does not matter; what a row does not have stays absent.
_APPOINTMENT = {"ref": "reference", "serviceName": "title", "notes": "notes"}
_CUSTOMER = {"name": "full_name", "email": "email", "phone": "phone"}

LIST_CAP = 200
"""GET /appointments: "max 200 rows"."""

LISTED = frozenset({Status.PENDING.value, Status.CONFIRMED.value})
"""GET /appointments: "Only pending + confirmed, startAt >= now, oldest first"."""

_CLOCK_MARGIN_MS = 120_000
"""Between the server's clock and ours, and between its list and our reading of its clock."""

_NOTES_MAX = 500
_NAME_MAX = 80


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What appointments name without spelling it out: services with their prices' currency, and the business's zone."""

    currency: str | None = None
    zone: str | None = None
    currencies: Mapping[str, str] = field(default_factory=dict)
    """By name of the service."""
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids by name: two services may share one."""

    @classmethod
    def read(cls, business: Mapping[str, Any], services: Mapping[str, Any]) -> "Catalogue":
        """From GET /business and GET /services."""
        rows = [row for row in services.get("services", []) if isinstance(row, Mapping) and "id" in row]
        ids: dict[str, tuple[str, ...]] = {}
        for row in rows:
            ids[row.get("name", "")] = (*ids.get(row.get("name", ""), ()), str(row["id"]))
        return cls(
            currency=business.get("currency"),
            zone=business.get("timezone"),
            currencies={
                row["name"]: row["currency"] for row in rows if row.get("currency") and "name" in row
            },
            services=ids,
        )


def account(slug: str, business: Mapping[str, Any], country: str | None) -> Account:
    """From GET /business."""
    return Account(
        id=slug,
        name=business.get("name"),
        zone=business.get("timezone"),
        country=country or business.get("country"),
        currency=business.get("currency"),
    )


def status(word: Any) -> dict[str, Any]:
    """The canonical status and Bookatu's own word for it."""
    return {"status": STATUS.get(word, Status.UNKNOWN), "status_word": str(word)}


def amount(cents: Any, service: Any, catalogue: Catalogue) -> dict[str, Any]:
    """``priceCents`` with the currency of the service, or of the business for a service that is no longer listed.

    Where no currency is known the amount stays absent: it is never guessed.
    """
    currency = catalogue.currencies.get(service) or catalogue.currency
    if cents is None:
        return {"amount": None}
    return {"amount": {"minor": cents, "currency": currency}} if currency else {}


def appointment(row: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """A row of GET /appointments."""
    fields = shown(row, _APPOINTMENT)
    fields["starts"] = instant(row["startAt"])
    if "endAt" in row:
        fields["ends"] = instant(row["endAt"])
    if "status" in row:
        fields |= status(row["status"])
    if "priceCents" in row:
        fields |= amount(row["priceCents"], row.get("serviceName"), catalogue)
    for theirs, ours in (("customerId", "people"), ("staffId", "staff")):
        if theirs in row:
            fields[ours] = () if row[theirs] is None else (str(row[theirs]),)
    if "createdAt" in row:
        fields["created_at"] = instant(row["createdAt"])
    if catalogue.zone:
        fields["zone"] = catalogue.zone
    return fields


def customer(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of GET /customers."""
    return shown(row, _CUSTOMER)


def coverage(listing: Listing, server_now: int) -> Coverage:
    """What GET /appointments proves: pending and confirmed ones from now on, up to the last row once it is full.

    A row without an id may be any record. A list that is not ordered by start breaks the document's word; then its
    end proves nothing either.
    """
    starts = [when for row in listing.rows if (when := _start_of(row)) is not None]
    if listing.unnamed or starts != sorted(starts):
        return PROVES_NOTHING
    full = len(listing.rows) >= LIST_CAP
    return Coverage(
        statuses=LISTED,
        starts_from=server_now + _CLOCK_MARGIN_MS,
        starts_before=(starts[-1] if starts else 0) if full else None,
    )


def _start_of(row: Row) -> int | None:
    try:
        starts = instant(row.content.get("startAt"))
    except ValueError:
        return None
    return None if starts is None else round(starts.timestamp() * 1000)


def local_date(starts: str, zone: str | None) -> str:
    """The date of an instant in the business's zone, as GET /availability wants it."""
    return datetime.fromisoformat(starts).astimezone(ZoneInfo(zone or "UTC")).date().isoformat()


def new_booking(write: Write, service: str, staff: str | None) -> dict[str, Any]:
    """The body of POST /book and POST /appointments. Raises Refused when a field cannot hold its value."""
    person = write.person or {}
    name = (
        person.get("full_name") or " ".join(filter(None, (person.get("first_name"), person.get("last_name"))))
    ).strip()
    if not 2 <= len(name) <= _NAME_MAX:  # noqa: PLR2004 - "Customer name, 2-80 characters (trimmed)"
        raise Refused(
            "the customer's name must have 2 to 80 characters", fields={"name": "2 to 80 characters"}
        )
    missing = [word for word in ("email", "phone") if not person.get(word)]
    if missing:
        raise Refused(
            f"Bookatu wants the customer's {' and '.join(missing)}: contact data is never invented",
            fields=dict.fromkeys(missing, "required"),
        )
    body = {
        "serviceId": service,
        "startAt": write.fields["starts"],
        "name": name,
        "email": person["email"],
        "phone": person["phone"],
        "notes": _marked(write.fields.get("notes"), write.mark),
    }
    return body | ({"staffId": staff} if staff else {})


def _marked(notes: str | None, mark: str) -> str:
    """Notes with our origin mark as their last word: it must survive the limit of 500 characters."""
    room = _NOTES_MAX - len(mark) - 1
    return f"{(notes or '')[:room].rstrip()} {mark}".strip()


def carries(observation: Observation, mark: str) -> bool:
    """Whether an appointment's notes carry our mark."""
    notes = observation.fields.fields().get("notes") or ""
    return mark in notes.lower() and mark.startswith(MARK_PREFIX)


def created(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the answer to a create shows."""
    return {"reference": answer.get("ref")} | (status(answer["status"]) if "status" in answer else {})
