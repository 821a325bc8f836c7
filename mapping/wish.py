"""What a route wants of a target, and the one write that would bring it about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mapping.capability import Act
from mapping.model import Kind, Status

MOVING = frozenset({"starts", "ends", "arrival", "departure"})
"""Fields that say when a booking is."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The state that a route wants its target's record to have. It says nothing of what is there already."""

    fields: dict[str, Any]
    """Wanted fields of the common model, as JSON values; tags are to be added, all others to be set."""
    mark: str
    """Our origin mark, for a record that has to be made."""
    why: str
    loud: bool = False
    """Whether the target may speak to a guest."""
    people: tuple[str, ...] = ()
    """The source platform's ids of the people it is for: where the target links to people of its own, or wants contact
    data that is not known yet."""
    person: dict[str, Any] | None = None
    """Name and contact data, where the target takes them inside the write."""
    ended: Status | None = None
    """The visit will not take place: cancelled or no-show."""
    only_create: bool = False
    """Somebody else needs the record to exist; one that exists is left as it is."""
    only_tags: bool = False
    """An ended one is not cancelled there: it gets tags."""
    moves: bool = False
    """Where the target cannot move a booking, it may be cancelled and made anew."""
    not_before: int | None = None
    """Epoch milliseconds before which nothing is written."""
    untouched: tuple[str, ...] = ()
    """Fields that the source shows as our own last write to it left them: nothing that the source said."""

    def dump(self) -> dict[str, Any]:
        """As JSON values, for the outbox."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """The inverse of ``dump``."""
        ended = dumped.get("ended")
        lists = {name: tuple(dumped.get(name, ())) for name in ("people", "untouched")}
        return cls(**{**dumped, **lists, "ended": Status(ended) if ended else None})


@dataclass(frozen=True, slots=True)
class Write:
    """One call that changes a record of the target."""

    kind: Kind
    act: Act
    ref: str | None
    """The target's id; None: the record has to be made."""
    fields: dict[str, Any]
    """What has to be set, in the common model; tags are to be added."""
    mark: str
    loud: bool = False
    person: dict[str, Any] | None = None
    held: Mapping[str, Any] = field(default_factory=dict)
    """The target's fields as last seen."""
    why: str = ""
    then_create: bool = False
    """It makes room: the record is made anew afterwards."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The route back, where two routes keep two sides in step: who may write which field."""

    back: str
    """The name of the other route."""
    owned_here: frozenset[str] = frozenset()
    """Fields that this route's source decides."""
    owned_there: frozenset[str] = frozenset()
    newest: frozenset[str] = frozenset()
    """Fields that are as whoever changed them last wants them."""
    newer_there: frozenset[str] = frozenset()
    """Those of ``newest`` that the target changed last."""
    shared: frozenset[str] = frozenset()
    """Fields that the other route writes too: of all others there is no second opinion."""
    agreed: Mapping[str, Any] | None = None
    """What the target showed when both sides last agreed; None: they never did."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing has to be written."""

    why: str


@dataclass(frozen=True, slots=True)
class Waits:
    """Nothing can be written yet: something else has to be known first."""

    why: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """It cannot be written until a human changes something."""

    why: str


@dataclass(frozen=True, slots=True)
class Skip:
    """The route wants nothing for this record."""

    why: str


Step = Write | Settled | Waits | Stuck
