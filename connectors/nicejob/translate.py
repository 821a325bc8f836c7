"""NiceJob's words and ours. Pure. The tables follow the entities of "NiceJob's v2 REST API"."""

from collections.abc import Mapping
from typing import Any

import phonenumbers

from connectors.nicejob.platform import NOREVIEW, PLATFORM
from connectors.wire import instant, shown
from mapping.capability import Act, Voice
from mapping.model import Kind, Status
from mapping.money import NO_CURRENCY, minor_units, to_major
from mapping.normal import folded
from mapping.record import Account
from mapping.wish import Write

PATHS = {
    Kind.PEOPLE: "/people",
    Kind.BOOKINGS: "/bookings",
    Kind.REVIEWS: "/reviews",
    Kind.VISITS: "/visits",
    Kind.ENROLMENTS: "/campaign_enrollments",
}

_PERSON = {"first_name": "first_name", "last_name": "last_name", "email": "email", "phone": "phone", "company": "company",
           "blocked": "blocked", "tags": "tags"}  # fmt: skip
_BOOKING = {"name": "title", "employee_ids": "staff", "person_ids": "people", "tags": "tags"}
_VISIT = {"name": "title", "booking_id": "booking", "employee_ids": "staff", "tags": "tags"}
_ENROLMENT = {"campaign_id": "campaign", "person_id": "person"}
_REVIEW = {"author": "author", "author_email": "author_email", "network": "network", "source_url": "url",
           "person_id": "person", "rating": "rating"}  # fmt: skip
_ADDRESS = {
    "address": "street",
    "unit": "unit",
    "city": "city",
    "state": "state",
    "zip": "zip",
    "country": "country",
}
_INSTANTS = {"created_at": "created_at", "updated_at": "updated_at"}
_WORK_INSTANTS = {"scheduled_time": "starts", "completed_time": "completed_at"}


def _instants(row: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    return {ours: instant(value) for ours, value in shown(row, words).items()}


def person(row: Mapping[str, Any]) -> dict[str, Any]:
    """A Person entity."""
    fields = shown(row, _PERSON) | _instants(row, _INSTANTS)
    if "first_name" in row or "last_name" in row:
        parts = (row.get("first_name"), row.get("last_name"))
        fields["full_name"] = " ".join(part.strip() for part in parts if part) or None
    if "address" in row:
        fields["address"] = None if row["address"] is None else shown(row["address"], _ADDRESS)
    return fields


def booking(row: Mapping[str, Any]) -> dict[str, Any]:
    """A Booking entity."""
    return shown(row, _BOOKING) | _instants(row, _INSTANTS) | _work(row)


def visit(row: Mapping[str, Any]) -> dict[str, Any]:
    """A Visit entity: it is for one person."""
    fields = shown(row, _VISIT) | _work(row)
    if "person_id" in row:
        fields["people"] = None if row["person_id"] is None else (row["person_id"],)
    return fields


def _work(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a booking and its visits share: two states, ``complete`` or not; ``amount`` comes without a currency."""
    fields = _instants(row, _WORK_INSTANTS)
    if "complete" in row:
        if not isinstance(row["complete"], bool):
            raise ValueError("complete: neither true nor false")
        fields["status"] = Status.COMPLETED if row["complete"] else Status.CONFIRMED
        fields["status_word"] = "complete" if row["complete"] else "open"
    if "amount" in row:
        fields["amount"] = (
            None
            if row["amount"] is None
            else {"minor": minor_units(row["amount"], NO_CURRENCY), "currency": NO_CURRENCY}
        )
    return fields


def review(row: Mapping[str, Any]) -> dict[str, Any]:
    """A Review entity. Its ``created_at`` is documented as a plain string: kept only where it is an instant."""
    fields = shown(row, _REVIEW)
    try:
        fields |= _instants(row, {"created_at": "created_at"})
    except ValueError:
        fields.pop("created_at", None)
    return fields


def enrolment(row: Mapping[str, Any]) -> dict[str, Any]:
    """A CampaignEnrollment entity. Whom it is about is not among its documented fields."""
    return shown(row, _ENROLMENT)


TRANSLATE = {
    Kind.PEOPLE: person,
    Kind.BOOKINGS: booking,
    Kind.REVIEWS: review,
    Kind.VISITS: visit,
    Kind.ENROLMENTS: enrolment,
}


def account(row: Mapping[str, Any], country: str | None) -> Account:
    """The Company entity. Its country is free text: only what is a region's code is used."""
    said = ((row.get("address") or {}).get("country") or "").strip().upper()
    region = said if said in phonenumbers.SUPPORTED_REGIONS else None
    return Account(id=str(row["id"]), name=row.get("company_name"), country=country or region)


def forbidden(write: Write) -> str | None:
    """Why a write may not be sent: there is no such call, or it would speak without permission."""
    spec = PLATFORM.kinds[write.kind]
    act = Act.COMPLETE if _completes(write) and Act.COMPLETE in spec.acts else write.act
    voice = spec.acts.get(act)
    if voice is None or (voice is Voice.LOUD and not write.loud):
        return spec.reasons.get(act, "NiceJob's API has no call for that")
    return None


def encoded(write: Write, has_tags: list[str] | None) -> dict[str, Any]:
    """The body of a write.

    ``has_tags``: the tags that the entity has right now; an update overwrites them, so they are sent along. A booking
    that is completed without permission to speak carries ``noreview`` in the same request, whatever else was asked.
    """
    if write.kind is Kind.ENROLMENTS:
        return {theirs: write.fields[ours] for theirs, ours in _ENROLMENT.items() if write.fields.get(ours)}
    body = _person_body(write) if write.kind is Kind.PEOPLE else _work_body(write)
    tags = list(write.fields.get("tags", []))
    if _completes_quietly(write):
        tags.append(NOREVIEW)
    if tags:
        body["tags"] = union([*(has_tags or [])], tags)
    return body


def needs_tags(write: Write) -> bool:
    """Whether an update has to read the entity's tags first: whatever is sent replaces them."""
    return "tags" in write.fields or _completes_quietly(write)


def _completes(write: Write) -> bool:
    return write.fields.get("status") == Status.COMPLETED


def _completes_quietly(write: Write) -> bool:
    return write.kind is Kind.BOOKINGS and _completes(write) and not write.loud


def union(has: list[str], wanted: list[str]) -> list[str]:
    """All tags that are there, in their order, then what is missing. Case and white space make no second tag."""
    known = {folded(tag) for tag in has}
    result = list(has)
    for tag in wanted:
        if folded(tag) not in known:
            known.add(folded(tag))
            result.append(tag)
    return result


def _person_body(write: Write) -> dict[str, Any]:
    fields = write.fields
    body = {
        theirs: fields[ours]
        for theirs, ours in _PERSON.items()
        if ours in fields and ours not in {"blocked", "tags"}
    }
    if "full_name" in fields and not {"first_name", "last_name"} & set(body):
        # One string is never split: a wrong half in a greeting is worse than a long one.
        body["first_name"] = fields["full_name"]
        if write.held.get("last_name"):
            body["last_name"] = ""
    if fields.get("address"):
        body["address"] = {
            theirs: fields["address"][ours]
            for theirs, ours in _ADDRESS.items()
            if fields["address"].get(ours)
        }
    return {name: value for name, value in body.items() if value is not None}


def _work_body(write: Write) -> dict[str, Any]:
    """A booking's or a visit's."""
    fields = write.fields
    words = _VISIT if write.kind is Kind.VISITS else _BOOKING
    body: dict[str, Any] = {
        theirs: fields[ours] for theirs, ours in words.items() if ours in fields and ours != "tags"
    }
    if write.kind is Kind.VISITS and fields.get("people"):
        people = fields["people"]
        body["person_id"] = people if isinstance(people, str) else people[0]
    if "starts" in fields:
        body["scheduled_time"] = fields["starts"]
    if fields.get("amount"):
        body["amount"] = float(to_major(fields["amount"]["minor"], fields["amount"]["currency"]))
    if "status" in fields:
        body["complete"] = fields["status"] == Status.COMPLETED
    if "completed_at" in fields and body.get("complete", True):
        body["completed_time"] = fields["completed_at"]
    if isinstance(body.get("employee_ids"), str):
        body["employee_ids"] = [body["employee_ids"]]
    return body
