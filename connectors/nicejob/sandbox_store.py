"""What NiceJob knows of a company: its tables, the fields of each, and what may be written into them."""

import base64
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.sandbox import Mode, instant, iso, tidy_email, tidy_phone, tidy_text

PAGE = 20  # "Returns an array of … entities, up to 20 items long."
Check = Callable[[Any, Mode], Any]

# The document's own names of the entities in webhook subscriptions: a Booking is called Job there, and
# a Visit cannot be subscribed to.
ENTITIES = {
    "bookings": "Job",
    "people": "Person",
    "employees": "Employee",
    "reviews": "Review",
    "cases": "Case",
    "campaigns": "Campaign",
    "campaign_enrollments": "CampaignEnrollment",
}
SUBSCRIPTIONS = frozenset(
    {*ENTITIES.values(), "Invoice", "Conversation", "Story", "Photo", "Payment", "notifications"}
)


class MalformedError(ValueError):
    """Input of the wrong type: "requests with malformed input data will return a 400"."""


class NotDoneError(ValueError):
    """Well-formed, but not carried out: "a 200 status code but … an error message in the error field"."""


def _text(value: Any, mode: Mode) -> str:
    if not isinstance(value, str):
        raise MalformedError("must be a string")
    return tidy_text(value, mode)


def _id(value: Any, _mode: Mode) -> str:
    return _text(value, mode=False)


def _email(value: Any, mode: Mode) -> str:
    email = tidy_email(_text(value, mode=False), mode)
    if "@" not in email:
        raise MalformedError("must be an e-mail address")
    return email


def _phone(value: Any, mode: Mode) -> str:
    return tidy_phone(_text(value, mode=False), mode)


def _number(value: Any, _mode: Mode) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedError("must be a number")
    return int(value) if value == int(value) else value  # JavaScript prints 75.0 as 75


def _integer(value: Any, _mode: Mode) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedError("must be an integer")
    return value


def _flag(value: Any, _mode: Mode) -> bool:
    if not isinstance(value, bool):
        raise MalformedError("must be a boolean")
    return value


def _date(value: Any, _mode: Mode) -> str:
    try:
        return iso(instant(_text(value, mode=False)))
    except ValueError:
        raise MalformedError("must be an ISO 8601 date-time with an offset") from None


def _one_of(*words: str) -> Check:
    def check(value: Any, _mode: Mode) -> Any:
        if value not in words:
            raise MalformedError(f"must be one of {', '.join(sorted(words))}")
        return value

    return check


def _many(each: Check) -> Check:
    def check(value: Any, mode: Mode) -> list[Any]:
        if not isinstance(value, list):
            raise MalformedError("must be an array")
        return [each(element, mode) for element in value]

    return check


def _object(**fields: Check) -> Check:
    return lambda value, mode: checked(fields, value, mode)


def checked(fields: dict[str, Check], values: Any, mode: Mode) -> dict[str, Any]:
    """Return the known fields of an input, each checked.

    Inputs are optional (``?``) but none is nullable: only the returned entities have ``| null``.
    """
    if not isinstance(values, dict):
        raise MalformedError("must be an object")
    found = {}
    for key, check in fields.items():
        if key in values:
            try:
                found[key] = check(values[key], mode)
            except MalformedError as problem:
                raise MalformedError(f"{key} {problem}") from None
    return found


ADDRESS = ("address", "city", "country", "state", "unit", "zip")
ADDRESS_FIELD = _object(**dict.fromkeys(ADDRESS, _text))
IDS, TAGS = _many(_id), _many(_text)
ITEM = _object(
    amount=_object(currency_code=_text, value=_integer),
    catalog_product_id=_id,
    description=_text,
    external_source_id=_id,
    name=_text,
    quantity=_integer,
)
FIELDS: dict[str, dict[str, Check]] = {
    "bookings": {
        "amount": _number,
        "complete": _flag,
        "completed_time": _date,
        "created_at": _date,
        "employee_ids": IDS,
        "items": _many(ITEM),
        "name": _text,
        "person_id": _id,
        "person_ids": IDS,
        "scheduled_time": _date,
        "tags": TAGS,
    },
    "visits": {
        "amount": _number,
        "booking_id": _id,
        "complete": _flag,
        "completed_time": _date,
        "created_at": _date,
        "employee_ids": IDS,
        "name": _text,
        "person_id": _id,
        "scheduled_time": _date,
        "tags": TAGS,
    },
    "cases": {
        "completed_time": _date,
        "created_at": _date,
        "description": _text,
        "employee_ids": IDS,
        "name": _text,
        "person_id": _id,
        "status": _one_of("pending", "open", "closed"),
        "tags": TAGS,
    },
    "people": {
        "address": ADDRESS_FIELD,
        "blocked": _flag,
        "company": _text,
        "email": _email,
        "first_name": _text,
        "initial_source": _text,
        "last_name": _text,
        "lifecycle_stage": _text,
        "phone": _phone,
        "position": _text,
        "tags": TAGS,
    },
    "employees": {
        "archived_at": _date,
        "email": _email,
        "first_name": _text,
        "last_name": _text,
        "phone": _phone,
        "position": _text,
    },
    "reviews": {
        "author": _text,
        "author_email": _email,
        "created_at": _text,
        "microsite_url": _text,
        "network": _text,
        "person_id": _id,
        "rating": _number,
        "source_base_url": _text,
        "source_url": _text,
    },
    "campaign_enrollments": {"campaign_id": _id, "person_id": _id},
    "webhooks": {
        "endpoint_url": _text,
        "is_enabled": _flag,
        "subscriptions": _many(_one_of(*SUBSCRIPTIONS)),
    },
}
# What a creation may not leave out. The input lists have no "?" at more names, arrays above all, but the
# same names have none in the update inputs either, where leaving out must be possible.
REQUIRED = {
    "visits": ("booking_id", "person_id"),
    "employees": ("email", "first_name"),
    "campaign_enrollments": ("person_id",),
}
HIDDEN = ("items", "person_id")  # of a booking: accepted on writing, never returned
COMPANY = (
    "id",
    "address",
    "company_name",
    "created_at",
    "email",
    "language_preference",
    "migrated_from",
    "owner_first_name_override",
    "owner_last_name_override",
    "phone",
    "platform",
    "slug",
    "updated_at",
    "website",
)
ARRAYS = frozenset({"employee_ids", "person_ids", "tags"})
FLAGS = frozenset({"blocked", "complete"})
DATES = frozenset({"archived_at", "completed_time", "created_at", "scheduled_time", "updated_at"})


def blank(table: str) -> dict[str, Any]:
    """Return an entity with every documented field and no values."""
    hidden = HIDDEN if table == "bookings" else ()
    names = sorted({*FIELDS[table], "created_at", "updated_at"} - set(hidden))
    if table == "reviews":
        names.remove("updated_at")
    row: dict[str, Any] = {"id": ""}
    for name in names:
        row[name] = [] if name in ARRAYS else False if name in FLAGS else None
    return row


@dataclass(slots=True)
class Table:
    """Rows with their indexes. Ids are random, so the order of a listing means nothing, but it is stable."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    by_person: dict[str, list[str]] = field(default_factory=dict)
    by_email: dict[str, str] = field(default_factory=dict)

    def put(self, row: dict[str, Any]) -> None:
        """Take a row in."""
        self.rows[row["id"]] = row
        insort(self.order, row["id"])
        for person_id in persons_of(row):
            insort(self.by_person.setdefault(person_id, []), row["id"])
        if row.get("email"):
            self.by_email[_key(row["email"])] = row["id"]

    def take(self, row_id: str) -> dict[str, Any]:
        """Take a row out."""
        row = self.rows.pop(row_id)
        _discard(self.order, row_id)
        for person_id in persons_of(row):
            _discard(self.by_person[person_id], row_id)
        if row.get("email"):
            self.by_email.pop(_key(row["email"]), None)
        return row

    def with_email(self, email: str) -> str | None:
        """Return the id of the row with this e-mail address."""
        return self.by_email.get(_key(email))

    def select(self, query: dict[str, str]) -> list[str]:
        """Return the ids that the documented filters leave, in the listing's order."""
        if "id" in query:
            return [query["id"]] if query["id"] in self.rows else []
        if "person_id" in query:
            return self.by_person.get(query["person_id"], [])
        if "email" in query:
            found = self.with_email(query["email"])
            return [found] if found else []
        return self.order


def persons_of(row: dict[str, Any]) -> Iterable[str]:
    """Return the ids of the people a row is about."""
    if "person_ids" in row:
        return dict.fromkeys(row["person_ids"])
    return [row["person_id"]] if row.get("person_id") else []


def page(ids: list[str], cursor: str | None) -> tuple[list[str], str | None]:
    """Return a page of ids and the cursor of the next one; ``MalformedError`` for a foreign cursor."""
    first = 0 if cursor is None else bisect_right(ids, _last_seen(cursor))
    found = ids[first : first + PAGE]
    more = first + PAGE < len(ids)
    return found, base64.urlsafe_b64encode(b"after:" + found[-1].encode()).decode() if more else None


def _last_seen(cursor: str) -> str:
    try:
        word, _, last = base64.urlsafe_b64decode(cursor).decode().partition(":")
    except ValueError:
        word = last = ""
    if word != "after":
        raise MalformedError("cursor is not one of ours")
    return last


def _key(email: str) -> str:
    return email.strip().lower()


def _discard(rows: list[str], row: str) -> None:
    index = bisect_left(rows, row)
    if index < len(rows) and rows[index] == row:
        del rows[index]


@dataclass(slots=True)
class Company:
    """A company with all that is its own.

    ``completion_enrols`` and ``visits_enrol`` are its campaign settings, which no API call can change.
    """

    id: str
    details: dict[str, Any]
    completion_enrols: bool = True
    visits_enrol: bool = False
    tables: dict[str, Table] = field(default_factory=dict)
    last_enrolled: dict[tuple[str, str], datetime] = field(default_factory=dict)


@dataclass(slots=True)
class Hook:
    """A webhook of the developer account."""

    id: str
    secret: str
    endpoint_url: str | None
    subscriptions: list[str]
    created_at: str
    updated_at: str
    is_enabled: bool = True

    def public(self) -> dict[str, Any]:
        """Return the entity without its secret, which is only told at creation."""
        names = ("id", "created_at", "endpoint_url", "is_enabled", "subscriptions", "updated_at")
        return {name: getattr(self, name) for name in names}
