"""The surprise guard: when so much would be written at once that somebody should look first. Pure, and told the figures.

What is pending is sorted by what it does, and what speaks to a guest counts a second time. Each sort is compared with
what is usual within a day. What surprises is held, all of it; whatever else a route wants goes on.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mapping.capability import Act, KindSpec, Voice
from mapping.model import Kind, Status
from mapping.wish import Step, Waits, Wish, Write

DAY_MS = 86_400_000
WEEKS_LOOKED_AT = 4
CANARY = 5
"""So many loud writes go out after arming a route before somebody has to look, unless the route says otherwise."""


class Sort(StrEnum):
    """What writes are counted as."""

    CREATE = "create"
    CHANGE = "change"
    CANCEL = "cancel"
    NOTIFY = "notify"
    """Whatever may speak to a guest, besides what it is otherwise."""


PERSON = "person"
"""Instead of a sort: somebody whom a booking needs. They go, and are held, with it."""

FLOORS: Mapping[Sort, int] = {Sort.CREATE: 50, Sort.CHANGE: 50, Sort.CANCEL: 10, Sort.NOTIFY: 50}
"""So many within a day never surprise."""
TIMES = 3.0
"""So many times the busiest day of the last weeks does not surprise either."""
_SHARE: Mapping[Sort, float] = {
    Sort.CREATE: 0.03,
    Sort.CHANGE: 0.03,
    Sort.CANCEL: 0.01,
    Sort.NOTIFY: 0.03,
}
"""Nor such a share of all that is known at the source: who knows 20,000 bookings has more than 50 on a first day."""
_FEW: Mapping[Sort, int] = {Sort.CHANGE: 10, Sort.CANCEL: 5, Sort.NOTIFY: 10}
"""Where little is known, its half is much: the floor is that half, but no less than these."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration says. A sort without a floor of its own has the default one."""

    floors: Mapping[Sort, int]
    times: float = TIMES
    on: bool = True


@dataclass(frozen=True, slots=True)
class Past:
    """What one sort of writes of a route is compared with."""

    passed: int = 0
    """Let through within the last day."""
    busiest: int = 0
    """Let through on the busiest day (any 24 hours) of the weeks before that."""
    known: int = 0
    """Records known at the source."""
    away: float = 1.0
    """Days for which the source was not read before it was read last, at least one: that much has piled up."""


@dataclass(frozen=True, slots=True)
class Surprise:
    """More of a sort than is usual."""

    sort: Sort
    pending: int
    past: Past
    allowed: int

    def sentence(self, kind: Kind) -> str:
        """How many there are, and how many are usual."""
        before = f", after {self.past.passed} within the last day" if self.past.passed else ""
        few = self.pending == 1
        what = ("write" if few else "writes") if self.sort is Sort.NOTIFY else kind.one if few else kind.value
        return (
            f"{self.pending} {_WORDS[self.sort]} {what}{before}: up to {self.allowed} within a day are usual"
            f" (the busiest day of the four weeks before had {self.past.busiest}, {self.past.known} known at the source)"
        )


_WORDS = {
    Sort.CREATE: "new",
    Sort.CHANGE: "changed",
    Sort.CANCEL: "cancelled",
    Sort.NOTIFY: "loud",
}


@dataclass(frozen=True, slots=True)
class Pending:
    """One intent that was not let through yet."""

    id: int
    act: str | None
    """Its sort, ``PERSON``, or None where nothing would be written now."""
    loud: bool

    @property
    def sorts(self) -> set[Sort]:
        """What it counts as."""
        own = {Sort(self.act)} if self.act and self.act != PERSON else set[Sort]()
        return own | ({Sort.NOTIFY} if own and self.loud else set())


@dataclass(frozen=True, slots=True)
class Canary:
    """The first few writes after a route was armed."""

    left: int
    only_loud: bool
    """It watches what notifies; what does not goes its way."""

    def watches(self, each: Pending) -> bool:
        """Whether a write is one of those that are sent first or wait."""
        return Sort.NOTIFY in each.sorts if self.only_loud else bool(each.sorts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What goes and what waits."""

    clear: list[Pending]
    hold: list[Pending]
    surprises: list[Surprise]
    sung: int = 0
    """How many go as canaries."""
    caged: int = 0
    """How many wait until somebody has looked at the canaries."""


def sort_of(wanted: Wish, step: Step, spec: KindSpec) -> tuple[str | None, bool]:
    """What a wish will be counted as, judging by the step that it is now, and whether it will speak."""
    if wanted.only_create:
        return PERSON, False
    if isinstance(step, Waits):
        completes = wanted.fields.get("status") == Status.COMPLETED and Act.COMPLETE in spec.acts
        voice = spec.acts.get(Act.COMPLETE if completes else Act.CREATE, Voice.SILENT)
        return Sort.CREATE, wanted.loud and voice is not Voice.SILENT
    if not isinstance(step, Write):
        return None, False
    if step.ref is None:
        return Sort.CREATE, step.loud
    moves = step.then_create
    ends = wanted.ended is not None or step.act is Act.CANCEL
    return (Sort.CANCEL if ends and not moves else Sort.CHANGE), step.loud


def allowed(sort: Sort, past: Past, limits: Limits) -> int:
    """How many of a sort within a day do not surprise."""
    floor = limits.floors.get(sort, FLOORS[sort]) * past.away
    if sort in _FEW and sort not in limits.floors:
        floor = min(floor, max(_FEW[sort], past.known // 2))
    return int(max(floor, _SHARE[sort] * past.known, limits.times * past.busiest * past.away))


def least(sort: Sort, limits: Limits) -> int:
    """So many of a sort never surprise, whatever the past was."""
    return limits.floors.get(sort, _FEW.get(sort, FLOORS[sort]))


def sieve(
    pending: Sequence[Pending],
    measure: Callable[[Sort, int], Past],
    limits: Limits,
    *,
    canary: Canary | None = None,
    stands: Mapping[Sort, Past] | None = None,
) -> Verdict:
    """Decide what goes and what waits. ``pending``: all that was not let through yet, what is held included.

    ``measure`` is asked for a sort of which so many are pending. ``stands``: what the sorts that are held already were
    compared with then. Those stay held until their writes are so few that they would not have surprised, however
    much time goes by.
    """
    clear, caged, pool = list[Pending](), list[Pending](), list[Pending]()
    for each in pending:
        if canary is None or not canary.watches(each):
            pool.append(each)
        elif len(clear) < canary.left:
            clear.append(each)
        else:
            caged.append(each)
    sung = len(clear)
    surprises = _surprises(pool, measure, limits, stands or {}) if limits.on else []
    surprising = {found.sort for found in surprises}
    hold = [each for each in pool if each.sorts & surprising]
    clear += [each for each in pool if not each.sorts & surprising]
    return Verdict(clear, [*caged, *hold], surprises, sung, len(caged))


def _surprises(
    pool: Collection[Pending],
    measure: Callable[[Sort, int], Past],
    limits: Limits,
    stands: Mapping[Sort, Past],
) -> list[Surprise]:
    found = []
    for sort in Sort:
        count = sum(sort in each.sorts for each in pool)
        if count:
            past = stands[sort] if sort in stands else measure(sort, count)
            most = allowed(sort, past, limits)
            if count + past.passed > most:
                found.append(Surprise(sort, count, past, most))
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """What last happened to the source's record of a held write."""

    at: int
    via: str
    fields: tuple[str, ...]
    """Which fields changed; none: it was seen for the first time."""
    word: str | None = None
    """The platform's own word of its status now."""
    status: str | None = None


_MOST = 0.9
_ONE_LISTING_MS = 900_000
_TIMES = frozenset({"starts", "ends", "arrival", "departure", "zone"})
_ALWAYS = frozenset({"updated_at"})


def likely(changes: Sequence[Change], clock: Callable[[int], str]) -> str | None:
    """What most of the changes behind held writes have in common, and what that mostly means. None: nothing."""
    if not changes:
        return None
    first, last = min(each.at for each in changes), max(each.at for each in changes)
    how = {each.via for each in changes}
    listed = how <= {"poll", "fetch"} and last - first <= _ONE_LISTING_MS
    when = f"at {clock(first)}" if last - first < 60_000 else f"between {clock(first)} and {clock(last)}"  # noqa: PLR2004 - a minute
    source = f"in one listing {when}" if listed else f"{when} (by {', '.join(sorted(how))})"
    new = [each for each in changes if not each.fields]
    if len(new) >= _MOST * len(changes):
        return f"{_of(new, changes)} were seen for the first time {source}: they were imported there, or `when` is too wide"
    names = {name for each in changes for name in each.fields} - _ALWAYS
    common = sorted(
        name for name in names if sum(name in each.fields for each in changes) >= _MOST * len(changes)
    )
    if not common:
        return f"{_of(changes, changes)} changed {source}, and not in the same fields"
    alike = [each for each in changes if set(common) <= set(each.fields)]
    said = f"{_of(alike, changes)} changed {', '.join(common)} {source}"
    words = {(each.word, each.status) for each in alike}
    if {"status", "status_word"} & set(common) and len(words) == 1:
        ((word, status),) = words
        return f"{said}: their status word is now {word!r}, which means {status}"
    if _TIMES & set(common):
        return f"{said}: they were imported anew there, or its time zone changed"
    return f"{said}: they were imported anew there, or all of them were edited at once"


def _of(some: Sequence[Change], all_: Sequence[Change]) -> str:
    return f"all {len(some)}" if len(some) == len(all_) else f"{len(some)} of {len(all_)}"
