"""The common model: what a booking, a person and a review are, whatever platform they come from.

Every field may be absent, null or a value, and the three are different things:

- *absent*: this view of the platform does not show the field (a webhook without contact data). Nothing is known.
- *null*: the platform says that there is nothing.
- *value*: the platform says what it is.

The presence mask is pydantic's own ``model_fields_set``: a translator passes only what its platform showed.
Instants are UTC with milliseconds; stay dates are calendar dates local to ``zone`` and never become instants.
Money is an integer of minor units with its currency.
"""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer


class Kind(StrEnum):
    """What a stream, a record or a route is about; also the word in ``from:`` and ``to:`` of a route."""

    PEOPLE = "people"
    BOOKINGS = "bookings"
    REVIEWS = "reviews"
    VISITS = "visits"
    """Parts of a booking that a platform keeps under it."""
    MISSIONS = "missions"
    """Work to be done on the spot for a stay: cleaning, a key to hand over."""
    PARAMETERS = "parameters"
    """Fields of the user's own on a booking."""
    ENROLMENTS = "enrolments"
    """Somebody put into a campaign of messages."""

    @property
    def one(self) -> str:
        """The singular, as expressions name it: ``booking.title``."""
        return _SINGULAR[self]

    @classmethod
    def parse(cls, word: str) -> Self:
        """The kind for a word, in the singular or the plural. Raises ValueError for any other word."""
        return cls(
            next((plural for plural, one in _SINGULAR.items() if word.lower() in {one, plural.value}), word)
        )


_SINGULAR = {
    Kind.PEOPLE: "person",
    Kind.BOOKINGS: "booking",
    Kind.REVIEWS: "review",
    Kind.VISITS: "visit",
    Kind.MISSIONS: "mission",
    Kind.PARAMETERS: "parameter",
    Kind.ENROLMENTS: "enrolment",
}


class Status(StrEnum):
    """Where a booking stands. The platform's own word is kept beside it in ``status_word``.

    ``unknown`` is for a word that no table knows: it never triggers a write.
    """

    PENDING = "pending"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
    UNKNOWN = "unknown"

    @property
    def settled(self) -> bool:
        """Whether the visit is over, one way or the other: a hint alone never leads back from here."""
        return self in _SETTLED


_SETTLED = frozenset({Status.COMPLETED, Status.CANCELLED, Status.NO_SHOW})


def iso(moment: datetime) -> str:
    """An instant as the ledger writes it: UTC, milliseconds, ``Z``."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years that there are in UTC") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc), PlainSerializer(iso, return_type=str)]
"""A moment in time. Naive values are refused: a zone is never guessed here."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def fields(self) -> dict[str, Any]:
        """The present fields as JSON values, in the model's order: what the ledger stores and compares."""
        return self.model_dump(mode="json", exclude_unset=True)


Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""A number that JSON and every platform can hold exactly."""


class Money(_Model):
    """An amount in minor units (cents for NZD, yen for JPY) and its ISO 4217 code."""

    minor: Whole
    currency: str = Field(min_length=3, max_length=3)


class Address(_Model):
    """A postal address in the parts that the platforms use."""

    street: str | None = None
    unit: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    country: str | None = None


class Booking(_Model):
    """An appointment, a visit or a stay."""

    reference: str | None = None
    """The human-readable reference, where the platform has one."""
    title: str | None = None
    """What was booked, in words: mostly the name of the service."""
    service: str | None = None
    """The platform's own id of the service."""
    status: Status | None = None
    status_word: str | None = None
    """The platform's own word for the status."""
    starts: Instant | None = None
    ends: Instant | None = None
    arrival: date | None = None
    departure: date | None = None
    zone: str | None = None
    """IANA zone of the place: the zone of ``arrival`` and ``departure``, and of local clock times."""
    check_in: str | None = None
    """Local clock time from which guests may arrive, as ``HH:MM``."""
    check_out: str | None = None
    """Local clock time by which guests leave, as ``HH:MM``."""
    completed_at: Instant | None = None
    amount: Money | None = None
    people: tuple[str, ...] | None = None
    """The platform's own ids of the people it is for."""
    staff: tuple[str, ...] | None = None
    """The platform's own ids of those who do the work."""
    place: str | None = None
    """The platform's own id of the place: the property of a stay."""
    adults: Whole | None = None
    children: Whole | None = None
    notes: str | None = None
    tags: tuple[str, ...] | None = None
    channel: str | None = None
    """Where it was made, in the platform's word: direct, airbnb, …"""
    external_ref: str | None = None
    """What another system calls it, where the platform has a field for that."""
    parameters: dict[str, str | None] | None = None
    """Fields of the user's own, by key."""
    created_at: Instant | None = None
    updated_at: Instant | None = None


class Person(_Model):
    """A customer or a guest."""

    full_name: str | None = None
    """The name as one string, exactly as the platform keeps it; never split."""
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    company: str | None = None
    address: Address | None = None
    blocked: bool | None = None
    """The platform was told not to write to this person."""
    tags: tuple[str, ...] | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None


class Review(_Model):
    """What a customer said in public."""

    rating: float | None = None
    title: str | None = None
    comment: str | None = None
    author: str | None = None
    author_email: str | None = None
    network: str | None = None
    """Where it was written, in the platform's word."""
    url: str | None = None
    person: str | None = None
    """The platform's own id of the person, where it knows one."""
    booking: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None


class Visit(_Model):
    """One part of a booking."""

    booking: str | None = None
    """The platform's own id of the booking."""
    title: str | None = None
    status: Status | None = None
    status_word: str | None = None
    starts: Instant | None = None
    completed_at: Instant | None = None
    amount: Money | None = None
    people: tuple[str, ...] | None = None
    staff: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


class Mission(_Model):
    """Work on the spot, mostly for a booking."""

    place: str | None = None
    booking: str | None = None
    """The platform's own id of the booking."""
    type: str | None = None
    """The platform's word: cleaning, check_in, …"""
    title: str | None = None
    status: Status | None = None
    status_word: str | None = None
    starts: Instant | None = None
    zone: str | None = None
    """IANA zone in which it is shown to the team."""
    staff: tuple[str, ...] | None = None
    """The platform's own ids of those who do the work."""
    notes: str | None = None


class Parameter(_Model):
    """A field of the user's own on one booking."""

    booking: str | None = None
    """The platform's own id of the booking."""
    key: str | None = None
    name: str | None = None
    """What people read, where the key has to be made first."""
    value: str | None = None


class Enrolment(_Model):
    """A person in a campaign."""

    person: str | None = None
    """The platform's own id of the person."""
    campaign: str | None = None


Fields = Booking | Person | Review | Visit | Mission | Parameter | Enrolment

MODEL: dict[Kind, type[Fields]] = {
    Kind.PEOPLE: Person,
    Kind.BOOKINGS: Booking,
    Kind.REVIEWS: Review,
    Kind.VISITS: Visit,
    Kind.MISSIONS: Mission,
    Kind.PARAMETERS: Parameter,
    Kind.ENROLMENTS: Enrolment,
}

FIELD_NAMES: dict[Kind, tuple[str, ...]] = {kind: tuple(model.model_fields) for kind, model in MODEL.items()}


def canonical(fields: dict[str, Any]) -> bytes:
    """The bytes that stand for a content: equal content gives equal bytes."""
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
