"""What NearbyAssist's answers are compared with, since its page describes none of them. Pure."""

from collections.abc import Mapping
from typing import Any

from connectors.nearbyassist.settings import NearbyAssistSettings, NearbyFields
from connectors.probe import Expected, Look, columns_of, describe, fitting, meaning, rows_of, words_in
from mapping.model import Kind

ELSEWHERE = {
    # Never `my-bookings`: it shows what the owner booked as somebody's customer.
    Kind.BOOKINGS: (
        "/api/integrations/partner/appointments",
        "/api/partner/bookings",
        "/api/businesses/bookings",
    ),
    Kind.REVIEWS: ("/api/partner/reviews", "/api/businesses/reviews", "/api/reviews"),
}
"""Where else a list may be, should the assumed address not exist."""

_AT, _NUMBER, _EMAIL, _OBJECT = "a moment with offset", "a number", "an e-mail address", "an object"

_LISTS = {
    Kind.BOOKINGS: ("items", "appointments", "results", "data", "reservations"),
    Kind.REVIEWS: ("items", "results", "data", "ratings"),
}
# Key of `fields` → the form of its values, and what platforms call it elsewhere.
_TOP: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "total": (_NUMBER, ("count", "totalCount", "totalItems", "total_results")),
    "page": (_NUMBER, ("p", "pageNumber", "currentPage")),
    "limit": (_NUMBER, ("perPage", "pageSize", "size")),
}
_ROWS: Mapping[Kind, Mapping[str, tuple[str, tuple[str, ...]]]] = {
    Kind.BOOKINGS: {
        "id": ("", ("_id", "uid", "uuid", "bookingId", "appointmentId")),
        "status": ("", ("state", "bookingStatus")),
        "service": ("", ("service_id", "offeringId")),
        "service_name": ("", ("service", "offering", "serviceTitle")),
        "staff": ("", ("employeeId", "providerId", "assigneeId")),
        "start": (_AT, ("start", "startsAt", "beginsAt", "startAt", "from", "scheduledAt", "dateTime")),
        "end": (_AT, ("end", "endsAt", "endAt", "until", "to", "finishesAt")),
        "timezone": ("a zone", ("tz", "zone", "timeZone")),
        "price": (_NUMBER, ("amount", "cost", "totalPrice")),
        "currency": ("a currency", ("currencyCode",)),
        "notes": ("", ("note", "comments", "remarks", "message")),
        "external_ref": ("", ("externalId", "reference", "partnerReference", "external_reference")),
        "customer": (_OBJECT, ("client", "guest", "contact", "user", "patient")),
        "customer_id": ("", ("_id", "uid", "uuid", "customerId", "clientId")),
        "customer_first_name": ("", ("givenName", "forename", "first")),
        "customer_last_name": ("", ("familyName", "surname", "last")),
        "customer_email": (_EMAIL, ("emailAddress", "mail")),
        "customer_phone": ("", ("phoneNumber", "mobile", "tel", "telephone")),
        "created_at": (_AT, ("created", "createdOn", "insertedAt")),
        "updated_at": (_AT, ("updated", "modifiedAt", "changedAt")),
    },
    Kind.REVIEWS: {
        "id": ("", ("_id", "uid", "uuid", "reviewId")),
        "review_booking": ("", ("appointmentId", "booking")),
        "review_rating": (_NUMBER, ("stars", "score")),
        "review_title": ("", ("headline", "subject")),
        "review_comment": ("", ("text", "body", "content", "message")),
        "review_author": ("", ("authorName", "reviewer", "name", "displayName")),
        "review_author_email": (_EMAIL, ("authorEmail", "reviewerEmail")),
        "review_created_at": (_AT, ("created", "postedAt", "date", "publishedAt")),
    },
}
_MEANINGS = {
    "pending": ("requested", "new", "awaiting", "unconfirmed", "hold"),
    "confirmed": ("booked", "accepted", "scheduled", "approved", "active"),
    "completed": ("done", "finished", "fulfilled", "attended"),
    "cancelled": ("canceled", "declined", "rejected", "voided"),
    "no_show": ("noshow", "missed", "absent"),
}


def look(asked: str, status: int, answer: Any, kind: Kind, settings: NearbyAssistSettings) -> Look:
    """What a list's answer looks like, and which settings would fit it."""
    fields = settings.fields
    place, rows = rows_of(answer, Expected(kind.value, dict(fields)[kind.value], aliases=_LISTS[kind]))
    if place is None:
        return Look(asked, status, tuple(describe(answer)), notes=("there is no list in it",))
    columns = columns_of(rows)
    found = {} if place == dict(fields)[kind.value] else {kind.value: place}
    if isinstance(answer, Mapping):
        numbers = {name: [value] for name, value in answer.items() if isinstance(value, int)}
        found |= fitting(numbers, _expected(_TOP, fields))
    found |= fitting(columns, _expected(_ROWS[kind], fields))
    found |= _customer(columns, fields, found)
    statuses, notes = _statuses(columns.get(found.get("status", fields.status), []), settings)
    if not rows:
        notes.append("the list is empty: without a row nothing can be said of its fields")
    wanted: dict[str, Mapping[str, Any]] = {
        "fields": found,
        "statuses": statuses if kind is Kind.BOOKINGS else {},
    }
    suggested = {section: keys for section, keys in wanted.items() if keys}
    return Look(
        asked,
        status,
        tuple(describe(answer)),
        suggested,
        tuple(notes) if kind is Kind.BOOKINGS or not rows else (),
    )


def _expected(table: Mapping[str, tuple[str, tuple[str, ...]]], fields: NearbyFields) -> list[Expected]:
    words = dict(fields)
    return [Expected(key, words[key], form, aliases) for key, (form, aliases) in table.items()]


def _customer(columns: Mapping[str, Any], fields: NearbyFields, found: Mapping[str, str]) -> dict[str, str]:
    """The customer's own fields, where the object around them has another name: they are looked for inside it."""
    around = found.get("customer")
    if around is None:
        return {}
    table = _ROWS[Kind.BOOKINGS]
    words = dict(fields)
    keys = [key for key in table if key.startswith("customer_")]
    inside = {path: values for path, values in columns.items() if path.startswith(f"{around}.")}
    moved = [
        Expected(key, f"{around}.{words[key].rpartition('.')[2]}", table[key][0], table[key][1])
        for key in keys
    ]
    return {each.key: each.word for each in moved if each.word in inside} | fitting(inside, moved)


def _statuses(values: list[Any], settings: NearbyAssistSettings) -> tuple[dict[str, list[str]], list[str]]:
    mine = {name: getattr(settings.statuses, name) for name in type(settings.statuses).model_fields}
    known = {word.casefold() for words in mine.values() for word in words}
    found: dict[str, list[str]] = {}
    notes = []
    for word in words_in(values):
        if word.casefold() in known:
            continue
        meant = meaning(word, {name: (*mine[name], *_MEANINGS[name]) for name in mine})
        if meant is None:
            notes.append(f"the status {word!r} is not known: enter it in `statuses` under what it means")
        else:
            found.setdefault(meant, list(mine[meant])).append(word)
    return found, notes
