"""Deskbook's words and ours. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.wire import instant, shown
from mapping.model import Kind, Status
from mapping.wish import Write

STATUS = {"booked": Status.CONFIRMED, "done": Status.COMPLETED, "off": Status.CANCELLED}
_BOOKING = {"service": "title", "notes": "notes", "reference": "external_ref"}
_GUEST = {"name": "full_name", "email": "email", "phone": "phone"}


def booking(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of GET /bookings."""
    fields = shown(row, _BOOKING) | {"starts": instant(row["startAt"])}
    if "status" in row:
        word = row["status"] if isinstance(row["status"], str) else ""
        fields |= {"status": STATUS.get(word, Status.UNKNOWN), "status_word": str(row["status"])}
    if "guest" in row:
        fields["people"] = (f"booking:{row['id']}",) if row["guest"] else ()
    return fields


def guests(row: Mapping[str, Any]) -> Iterator[tuple[Kind, str, dict[str, Any]]]:
    """The guest inside a booking."""
    if row.get("guest"):
        yield Kind.PEOPLE, f"booking:{row['id']}", shown(row["guest"], _GUEST)


def encoded(write: Write) -> dict[str, Any]:
    """The body of POST /bookings, with our origin mark and with whether the guest is told."""
    person, fields = write.person or {}, write.fields
    body = {theirs: fields[ours] for theirs, ours in _BOOKING.items() if ours in fields}
    guest = {theirs: person[ours] for theirs, ours in _GUEST.items() if person.get(ours)}
    return body | {
        "startAt": fields["starts"],
        "guest": guest,
        "reference": write.mark,
        "notify": write.loud,
    }
