"""Records and sightings of them: what one platform shows, when it was asked, and what a finished listing proves."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from mapping.model import Fields, Kind, Status


class Via(StrEnum):
    """How an observation was made."""

    POLL = "poll"
    WEBHOOK = "webhook"
    FETCH = "fetch"
    WRITE = "write"
    """The target's answer to our own write."""
    ABSENCE = "absence"
    """Concluded from listings that would have shown the record."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One sighting of a record, stamped with the moment it was asked for (epoch milliseconds)."""

    kind: Kind
    ref: str
    """The platform's own id of the record."""
    fields: Fields
    raw: bytes
    """What the platform sent, as JSON, unknown fields included."""
    asked_at: int
    via: Via = Via.POLL
    digest: bytes = b""
    """Of the row as it was listed, and of what its translation depends on; empty for other sightings."""
    embedded: tuple["Observation", ...] = ()
    """What else this view shows: the customer or guest that stands inside a booking."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row of a listing that could not be understood. It is parked; the listing goes on."""

    kind: Kind
    ref: str
    """The platform's id, or the row's place in the listing where even that is missing."""
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A record as the ledger holds it."""

    id: int
    connection: str
    kind: Kind
    ref: str
    entity: int
    fields: Mapping[str, Any]
    """The present fields, as JSON values."""
    asked_at: int
    missing: int = 0
    """In how many listings in a row it should have stood and did not."""
    missing_since: int | None = None
    """When the first of these listings was asked for, in epoch milliseconds."""

    @property
    def status(self) -> Status | None:
        """The canonical status, where one is known."""
        word = self.fields.get("status")
        return Status(word) if word else None


def moment(text: str | None) -> int | None:
    """Epoch milliseconds of an instant as the ledger writes it."""
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)


def begins_at(fields: Mapping[str, Any]) -> int | None:
    """When a booking begins, in epoch milliseconds; a stay at the start of its first day in UTC, for want of better."""
    stay = fields.get("arrival")
    return moment(fields.get("starts")) or (moment(f"{stay}T00:00:00Z") if stay else None)


def ends_at(fields: Mapping[str, Any]) -> int | None:
    """When a visit is over, as far as anybody can tell. A stay is when its last day is, wherever that is."""
    day = fields.get("departure")
    return (
        moment(fields.get("completed_at"))
        or moment(fields.get("ends"))
        or moment(fields.get("starts"))
        or (moment(f"{day}T23:59:59Z") if day else None)
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a finished listing proves by leaving a record out.

    ``complete``: it shows every record of its kind. Otherwise it may still prove something inside a window: every
    record whose status is in ``statuses`` and that starts in ``[starts_from, starts_before)``. A listing that does
    neither (capped, in an order that says nothing) proves nothing.
    """

    complete: bool = False
    statuses: frozenset[str] = frozenset()
    starts_from: int | None = None
    starts_before: int | None = None

    def shows(self, fields: Mapping[str, Any]) -> bool:
        """Whether the listing would have shown a record that is as we believe it to be."""
        if self.complete:
            return True
        starts = moment(fields.get("starts"))
        if self.starts_from is None or starts is None or fields.get("status") not in self.statuses:
            return False
        return self.starts_from <= starts and (self.starts_before is None or starts < self.starts_before)

    def dump(self) -> dict[str, Any]:
        """As JSON values, for the cursor."""
        return {
            "complete": self.complete,
            "statuses": sorted(self.statuses),
            "starts_from": self.starts_from,
            "starts_before": self.starts_before,
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """The inverse of ``dump``."""
        return cls(**{**dumped, "statuses": frozenset(dumped["statuses"])})


PROVES_NOTHING = Coverage()
COMPLETE = Coverage(complete=True)


class UnreadableError(ValueError):
    """A row cannot be understood. The message names fields, never their values."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a listing, as the platform sent it. An unchanged one is known by its digest and never translated."""

    ref: str
    """The platform's own id."""
    raw: bytes
    digest: bytes
    content: Any


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows of a page, and how to understand them."""

    kind: Kind
    rows: Sequence[Row]
    understand: Callable[[Row], Observation]
    """Raises UnreadableError."""
    unnamed: Sequence[Rejected] = ()
    """Rows without an id."""

    @property
    def refs(self) -> list[str]:
        """Whom the page shows: the ids, or the places of rows without one."""
        return [row.ref for row in self.rows] + [row.ref for row in self.unnamed]

    def understood(self, known: Collection[str] = ()) -> tuple[list[Observation], list[Rejected]]:
        """Translate all rows but those whose ids are in ``known``: one that cannot be understood is rejected alone."""
        seen, rejected = [], list(self.unnamed)
        for row in self.rows:
            if row.ref in known:
                continue
            try:
                seen.append(self.understand(row))
            except UnreadableError as error:
                rejected.append(Rejected(self.kind, row.ref, str(error), row.raw))
        return seen, rejected


@dataclass(frozen=True)
class Page:
    """One page of a listing."""

    listing: Listing
    asked_at: int
    next: str | None = None
    """The position of the following page; None ends the walk."""
    coverage: Coverage = PROVES_NOTHING
    """On the last page: what the whole walk proves."""

    @cached_property
    def _understood(self) -> tuple[list[Observation], list[Rejected]]:
        return self.listing.understood()

    @property
    def observations(self) -> list[Observation]:
        """All rows that can be understood."""
        return self._understood[0]

    @property
    def rejected(self) -> list[Rejected]:
        """All rows that cannot."""
        return self._understood[1]


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a connection belongs to, in the platform's own terms, and what its local values mean."""

    id: str
    name: str | None = None
    zone: str | None = None
    country: str | None = None
    """ISO 3166 alpha-2: the default region of phone numbers."""
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A verified webhook, read.

    A thin body gives ``kind`` and ``ref`` alone: a hint, to be fetched. A telling one gives an observation too.
    """

    name: str
    kind: Kind | None
    """None: a type of event that is counted and not followed."""
    ref: str | None = None
    observation: Observation | None = None
    account: str | None = None
    """The platform's account it is about, where one door serves many."""
    poll: bool = False
    """The body does not tell all and the record cannot be fetched by itself: the next listing will show it."""
    drop: bool = False
    """It is counted and not even stored: it tells of what is none of ours, such as what a guest wrote."""
