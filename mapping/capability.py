"""The vocabulary in which a platform declares what it can do.

The decisions and ``bookferry check`` read these declarations and nothing else of a platform, so that no platform's
name appears outside its own folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mapping.model import Kind, Status
from mapping.settings import ConnectionSettings


class Act(StrEnum):
    """One thing a write can do to a record of the target."""

    CREATE = "create"
    UPDATE = "update"
    COMPLETE = "complete"
    CANCEL = "cancel"


class Voice(StrEnum):
    """Whether an act makes the platform speak to a guest."""

    SILENT = "silent"
    """It never does, by the platform's documents."""
    CHOICE = "choice"
    """The write itself says whether it does."""
    LOUD = "loud"
    """It does, or the documents do not rule it out: only a route with ``notify: allow`` may do it."""


class Happening(StrEnum):
    """What a list may show to have happened to a record since the list before it."""

    CREATED = "created"
    RESCHEDULED = "rescheduled"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    LEFT = "left the list"
    """It is missing where it should stand, and so was concluded to be cancelled."""
    CHANGED = "changed"
    """Anything else."""


class People(StrEnum):
    """How a target's booking names the person it is for."""

    LINKED = "linked"
    """By the id of a person record that must exist first."""
    EMBEDDED = "embedded"
    """By name and contact data inside the write."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class KindSpec:
    """What a platform can do with one kind of record."""

    listed: bool = True
    """A stream lists it."""
    inside: Kind | None = None
    """Where no stream lists it: the kind whose records show it inside themselves."""
    fetched: bool = False
    """One record can be fetched by its id."""
    acts: Mapping[Act, Voice] = field(default_factory=dict)
    """The acts that exist, each with its voice. An act that is not here does not exist."""
    reasons: Mapping[Act, str] = field(default_factory=dict)
    """For an act that does not exist or is loud: why, as a sentence with its source."""
    writes: Mapping[str, str] = field(default_factory=dict)
    """Writable fields: the platform's own word → the field of the common model."""
    required: frozenset[str] = frozenset()
    """Fields of the common model without which a create would be refused."""
    unique: frozenset[str] = frozenset()
    """Fields that no two records there share: before a create somebody has to look for them."""
    under: Kind | None = None
    """Each record stands under one of this kind, whose id is in its field of that name (``booking``, ``person``)."""
    people: People = People.NONE
    marked_in: str | None = None
    """The field of the common model that carries our origin mark. None: the platform has no place for one."""
    cancel_leaves_open: bool = False
    """There is no cancelled state: a cancel is an update that adds ``cancel_tags``."""
    cancel_tags: Mapping[Status, tuple[str, ...]] = field(default_factory=dict)
    quiet_tag: str | None = None
    """The tag that makes an act of voice *choice* silent."""
    statuses: Mapping[Status, Status] = field(default_factory=dict)
    """Which status the platform holds for each status that may be wanted. A status that is not here is not written."""
    clearable: frozenset[str] = frozenset()
    """Fields that a write can empty. For all others a null is not written."""
    quiet_costs: Mapping[str, str] = field(default_factory=dict)
    """Field → what else does not happen when it is written silently, as a sentence for ``plan``."""
    told_by: tuple[str, ...] = ()
    """Where there is no place for a mark: fields that together tell a record from all others."""
    announces: frozenset[Happening] = frozenset()
    """Of what a webhook is sent, by the platform's documents. What is not here is never taken for a lost one."""
    thin: bool = False
    """The list shows less of a record than fetching it does."""


def can_cancel(spec: KindSpec) -> bool:
    """Whether a cancelled visit can be shown to the target at all."""
    return Act.CANCEL in spec.acts or spec.cancel_leaves_open


INHERITED = frozenset({"place", "zone", "people"})
"""Fields that a record takes from the one it stands under, unless a route sets them."""

REACH = {
    Kind.BOOKINGS: frozenset({Kind.BOOKINGS, Kind.REVIEWS}),
    Kind.PEOPLE: frozenset({Kind.PEOPLE, Kind.BOOKINGS, Kind.REVIEWS}),
}
"""From which kinds the record is found that another one is to stand under."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything the rest of the program knows of a platform."""

    name: str
    title: str
    settings: type[ConnectionSettings]
    kinds: Mapping[Kind, KindSpec]
    origin: str
    """The documented origin of its API: scheme and host."""
    rate: tuple[int, int]
    """Default budget: so many requests in so many seconds, whatever they are."""
    rates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Further limits, by scope; a scope ``read`` counts each ``read:<route>`` by itself."""
    webhooks: bool = True
    assumptions: tuple[str, ...] = ()
    """What the connector assumes where the documents are silent."""

    def stream_of(self, kind: Kind) -> Kind | None:
        """The stream that shows records of a kind: its own, or that of the records they stand in. None: no stream does."""
        spec = self.kinds.get(kind)
        if spec is None:
            return None
        return kind if spec.listed else spec.inside
