"""What a webhook should have told and a list had to: pure, with every time as an argument.

Careful rather than complete: what a platform does not promise to announce, and what may be older than the list before,
is never taken for a lost webhook.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from mapping.capability import Happening
from mapping.model import Status
from mapping.record import Coverage, Via, moment

GRACE_MS = 15 * 60_000
"""How long a webhook may take before it counts as lost: platforms try again after seconds or minutes."""
LATE_MS = 3 * 86_400_000
"""A webhook that comes later still takes its loss back until then: no platform tries longer."""

_SLACK_MS = 60_000
"""How far two clocks may differ, and how long a webhook may be on its way."""
_WHENS = frozenset({"starts", "arrival", "departure"})
_BOOKKEEPING = frozenset({"created_at", "updated_at", "status_word"})
_ENDINGS = {Status.CANCELLED.value: Happening.CANCELLED, Status.COMPLETED.value: Happening.COMPLETED}

Run = tuple[int, int]
"""The hook door was open from the one moment to the other."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A list told what a webhook should have told: what happened, and between which moments."""

    what: Happening
    changed_from: int
    changed_by: int


def happening(fields: Mapping[str, Any], before: Mapping[str, Any] | None, via: Via) -> Happening | None:
    """What happened to a record that has these fields now. ``before``: former values; None: it was first seen.

    None: nothing that anybody would announce. A first sighting of what is not confirmed yet is none either.
    """
    if via is Via.ABSENCE:
        return Happening.LEFT
    if before is None:
        return None if fields.get("status") == Status.PENDING else Happening.CREATED
    if "status" in before and fields.get("status") in _ENDINGS:
        return _ENDINGS[fields["status"]]
    if _WHENS & before.keys():
        return Happening.RESCHEDULED
    return Happening.CHANGED if before.keys() - _BOOKKEEPING else None


def finding(
    announces: AbstractSet[Happening],
    fields: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    via: Via,
    *,
    listed_at: int,
    covered: Coverage,
    now: int,
) -> Finding | None:
    """What a webhook should have told of a record that a list showed otherwise than before, or None.

    ``listed_at``, ``covered``: when the list before was read to its end, and what it would have shown. A record that is
    seen for the first time need not be new: it may have come into sight.
    """
    what = happening(fields, before, via)
    if what is None or what not in announces:
        return None
    if (
        what is Happening.LEFT
    ):  # two lists in a row have to miss it: it may have left before the first of them
        return Finding(what, 2 * listed_at - now, now)
    stamp = moment(fields.get("created_at" if what is Happening.CREATED else "updated_at"))
    if stamp is None:
        shown = what is not Happening.CREATED or covered.shows(fields)
        return Finding(what, listed_at, now) if shown else None
    if stamp < listed_at - _SLACK_MS:
        return None
    return Finding(what, min(stamp, now), min(stamp, now))


def heard_from(listed_at: int, changed_at: int | None) -> int:
    """From when on a webhook about a record tells of what a list found.

    ``changed_at``: when the record was known to change before that. What came earlier told of that one.
    """
    return max(listed_at - GRACE_MS, (changed_at or 0) + 1)


def listened(runs: Sequence[Run], begin: int, end: int) -> bool:
    """Whether the hook door was open all the time between two moments, and as long after as a webhook is on its way."""
    return any(opened <= begin and end + _SLACK_MS <= seen for opened, seen in runs)


def open_ms(runs: Sequence[Run], begin: int, end: int) -> int:
    """How long the hook door was open between two moments, in milliseconds."""
    return sum(max(0, min(end, seen) - max(begin, opened)) for opened, seen in runs)
