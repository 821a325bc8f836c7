"""How a new sighting changes what the ledger holds: absent is not null, and old never overwrites new."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapping.model import Kind, Status
from mapping.record import Via


@dataclass(frozen=True, slots=True)
class Merge:
    """The outcome of a merge: the new content, and the former value of each field that changed."""

    fields: dict[str, Any]
    before: dict[str, Any]
    """Former values of the changed fields; a field that was absent is listed in ``added`` alone."""
    added: tuple[str, ...]
    asked_at: int
    suspicious: bool = False
    """A hint wanted to lead back from a settled status: ignored until a listing or a fetch says so."""

    @property
    def changed(self) -> bool:
        """Whether the content is another one than before."""
        return bool(self.before or self.added)


_RANK = {Status.PENDING: 1, Status.CONFIRMED: 2, Status.NO_SHOW: 3, Status.COMPLETED: 4, Status.CANCELLED: 5}


def merge(
    kind: Kind, held: Mapping[str, Any], held_at: int, seen: Mapping[str, Any], seen_at: int, via: Via
) -> Merge:
    """What the ledger holds after ``seen``, asked for at ``seen_at``, whatever the order of arrival.

    - Fields absent in ``seen`` stay as they are.
    - A sighting asked for before the held one fills fields of which nothing was known, and changes no other.
    - At the same millisecond the status that is further on wins, then the greater content: any order of arrival ends
      the same.
    - A webhook never leads back from a settled status (completed, cancelled, no-show): only a view that was asked for
      does.
    """
    wins = _supersedes(held, held_at, seen, seen_at)
    back = kind is Kind.BOOKINGS and via is Via.WEBHOOK and _leads_back(held, seen)
    fields, before, added = dict(held), {}, []
    for name, value in seen.items():
        if name not in held:
            fields[name] = value
            added.append(name)
        elif wins and held[name] != value and not (back and name in _STATUS_FIELDS):
            fields[name] = value
            before[name] = held[name]
    # What is concluded from a list is no sighting: a webhook of before that comes late still knows better.
    at = held_at if via is Via.ABSENCE else max(held_at, seen_at)
    return Merge(fields, before, tuple(added), at, suspicious=back and wins)


_STATUS_FIELDS = {"status", "status_word", "completed_at"}


def _supersedes(held: Mapping[str, Any], held_at: int, seen: Mapping[str, Any], seen_at: int) -> bool:
    if seen_at != held_at:
        return seen_at > held_at
    return _tie_break(seen, seen) > _tie_break(held, seen)


def _tie_break(fields: Mapping[str, Any], of: Mapping[str, Any]) -> tuple[int, str]:
    word = fields.get("status")
    rank = _RANK.get(Status(word), 0) if word else 0
    return rank, repr([fields.get(name) for name in sorted(of)])


def _leads_back(held: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    was, now = held.get("status"), seen.get("status")
    return was is not None and now is not None and Status(was).settled and not Status(now).settled
