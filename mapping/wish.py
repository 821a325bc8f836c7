"""What a route wants of a target, and the one write that would bring it about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mapping.capability import Act
from mapping.model import Kind, Status


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
    """The source platform's ids of the people it is for, where the target links to people of its own."""
    person: dict[str, Any] | None = None
    """Name and contact data, where the target takes them inside the write."""
    ended: Status | None = None
    """The visit will not take place: cancelled or no-show."""
    only_create: bool = False
    """Somebody else needs the record to exist; one that exists is left as it is."""

    def dump(self) -> dict[str, Any]:
        """As JSON values, for the outbox."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """The inverse of ``dump``."""
        ended = dumped.get("ended")
        return cls(**{**dumped, "people": tuple(dumped["people"]), "ended": Status(ended) if ended else None})


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
