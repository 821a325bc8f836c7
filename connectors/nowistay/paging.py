"""Walking a list by offset while rows come and go. Pure.

An offset counts rows, so each row that is inserted before it shows one row twice, and each that is removed hides one.
Three things hold against that: every page begins with the last rows of the one before (which shows a shift), what was
seen is remembered (so that nothing is given twice), and after a shift the list is walked again from its start, where
only what is new is given. The position carries all of it, so a walk goes on after a restart.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import orjson

from connectors.wire import is_ref

LIMIT = 100
"""Pagination "with limit (max 100) and offset"."""

OVERLAP = 10
"""Rows of the page before that the next one shows again: so many may be removed between two pages unnoticed by others."""

WALKS = 4
"""How often a list is walked at most. One that never stands still is read again by the next poll anyway."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a walk stands."""

    part: int = 0
    """Which of the lists it is: some are asked for one filter after the other."""
    offset: int = 0
    total: int | None = None
    """``totalItems`` as the page before had it."""
    tail: tuple[str, ...] = ()
    """The last ids of the page before."""
    shifted: bool = False
    """Rows moved during this walk, so that some may have been missed."""
    walk: int = 1
    seen: frozenset[str] = field(default=frozenset())
    """All ids of this list so far."""
    given: frozenset[str] = field(default=frozenset())
    """All ids of the lists before: what passes several filters is given once."""

    def dump(self) -> str:
        """As text, for the cursor."""
        ids = (ranges(self.seen), ranges(self.given))
        parts = [self.part, self.offset, self.total, self.tail, self.shifted, self.walk, *ids]
        return orjson.dumps(parts).decode()

    @classmethod
    def load(cls, text: str) -> Self:
        """The inverse of ``dump``. Raises ValueError."""
        try:
            part, offset, total, tail, shifted, walk, *ids = orjson.loads(text)
            numbers = (int(part), int(offset), None if total is None else int(total))
            seen, given = (frozenset(unranged(spans)) for spans in ids)
            return cls(*numbers, tuple(map(str, tail)), bool(shifted), int(walk), seen, given)
        except (TypeError, AttributeError) as error:
            raise ValueError("not a position") from error

    @property
    def ask(self) -> int:
        """The offset to ask for."""
        return max(0, self.offset - OVERLAP)

    def next_part(self, ids: Iterable[str]) -> "Position":
        """The start of the next list, after the last page of this one."""
        return Position(self.part + 1, given=self.given | self.seen | set(ids))


def following(position: Position, ids: Sequence[str], total: int | None) -> Position | None:
    """Where the walk goes on after a page with these ids; None: this list has been walked.

    ``total`` None: the platform does not say how many there are; then a page without anything new is the last one.
    """
    shifted = position.shifted or _shifts(position, ids, total)
    seen = position.seen | set(ids)
    reached = position.ask + len(ids)
    stands = reached <= position.offset
    ended = not ids or stands or (reached >= total if total is not None else set(ids) <= position.seen)
    # A page that is not full is no end: the server may have a limit of its own.
    if not ended:
        return replace(
            position, offset=reached, total=total, tail=tuple(ids[-OVERLAP:]), shifted=shifted, seen=seen
        )
    missed = total is not None and len(seen) < total
    if (shifted or missed) and position.walk < WALKS:
        return Position(part=position.part, walk=position.walk + 1, seen=seen, given=position.given)
    return None


def _shifts(position: Position, ids: Sequence[str], total: int | None) -> bool:
    if position.offset == 0:
        return False
    shown = tuple(ids[: len(position.tail)])
    return total != position.total or shown != position.tail


def fresh(position: Position, rows: Iterable[Any], key: str = "id") -> list[Any]:
    """The rows that this walk has not given yet. Rows without an id are always given."""
    known = {*position.seen, *position.given}
    found = []
    for row in rows:
        ref = str(row[key]) if isinstance(row, Mapping) and is_ref(row.get(key)) else None
        if ref not in known:
            found.append(row)
        if ref is not None:
            known.add(ref)
    return found


def ids_of(rows: Iterable[Any], key: str = "id") -> list[str]:
    """The ids of a page's rows; a row without one stands by its place."""
    return [
        str(row[key]) if isinstance(row, Mapping) and is_ref(row.get(key)) else f"row {number}"
        for number, row in enumerate(rows, 1)
    ]


def ranges(ids: Iterable[str]) -> list[str]:
    """Ids in few characters: numbers that follow each other as ``9001-9100``."""
    numbers = sorted({int(ref) for ref in ids if _NUMBER.fullmatch(ref)})
    others = sorted(f"={ref}" for ref in ids if not _NUMBER.fullmatch(ref))
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return [f"{first}-{last}" if last > first else str(first) for first, last in spans] + others


def unranged(spans: Iterable[str]) -> Iterable[str]:
    """The inverse of ``ranges``. Raises ValueError."""
    for span in spans:
        if span.startswith("="):
            yield span[1:]
            continue
        first, _, last = span.partition("-")
        yield from map(str, range(int(first), int(last or first) + 1))
