"""Walking a list whose rows shift between pages. Pure.

"List endpoints support cursor-based pagination using page and limit query parameters. Default limit is 20, max is 100":
by number of page, whatever the sentence calls it. The order is not documented. A row that is removed pulls the others
forward, so that one of them is never shown; one that is inserted shows another one twice. Therefore:

- Windows overlap. ``page`` and ``limit`` can name a window that begins a few rows before the end of the last one.
- A window without any row of the last one may lie behind a gap: the walk steps back until they meet again.
- When an overlap did not hold or ``total`` moved, the list is read again, since a row that changes its place may have
  jumped over the walk; at most ``PASSES`` times.
- It never stops early at what is known already, and shows each row once.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import orjson

PAGE = 100
"""Rows: "max is 100"."""
OVERLAP = 5
"""Rows that a window shares with the last one: so many may be removed between two pages without a step back."""
PASSES = 3
BACKS = 20
"""Steps back in one walk."""
SEEN = 20_000
"""Rows that a walk remembers. Those beyond may be shown twice, which changes nothing."""

_LEAST = 10
"""A first page of fewer rows tells nothing about the length of pages."""
_DIGEST = 8


class RepeatsError(ValueError):
    """The list shows its first page again: it does not know the parameter that names the page."""


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a list was read. Digests stand for ids."""

    offset: int = 0
    """Up to where, in rows."""
    most: int = PAGE
    """Rows of the longest page."""
    fixed: bool = False
    """All pages have one length, whatever is asked."""
    total: int | None = None
    turn: int = 0
    backs: int = 0
    disturbed: bool = False
    """Rows shifted during this pass."""
    tail: tuple[bytes, ...] = ()
    """The last window of this pass."""
    seen: dict[bytes, None] = field(default_factory=dict)
    """All rows that this walk has shown."""

    def window(self) -> tuple[int, int]:
        """The number of the page to ask for, from 1, and its length."""
        if self.fixed or self.offset == 0:
            return self.offset // self.most + 1, self.most
        for overlap in (min(OVERLAP, self.most // 4), 0):
            begin = max(0, self.offset - overlap)
            lengths = range(max(1, self.most // 2), self.most + 1)
            best = max(lengths, key=lambda length: begin // length * length + length)
            page = begin // best + 1
            if page * best > self.offset:
                break
        return page, best

    def dump(self) -> str:
        """As text, for the cursor."""
        numbers = [self.offset, self.most, self.fixed, self.total, self.turn, self.backs, self.disturbed]
        texts = [base64.b64encode(b"".join(parts)).decode() for parts in (self.tail, self.seen)]
        return orjson.dumps([*numbers, *texts]).decode()

    @classmethod
    def load(cls, text: str | None) -> "Walk":
        """The inverse of ``dump``. Raises ValueError for a text that is none."""
        if not text:
            return cls()
        try:
            offset, most, fixed, total, turn, backs, disturbed, tail, seen = orjson.loads(text)
            rows = tuple(_cut(tail)), dict.fromkeys(_cut(seen))
            walk = cls(offset, most, fixed, total, turn, backs, disturbed, *rows)
            walk.window()
        except (TypeError, ArithmeticError) as error:
            raise ValueError("not a position") from error
        return walk


def _cut(text: str) -> list[bytes]:
    raw = base64.b64decode(text, validate=True)
    return [raw[at : at + _DIGEST] for at in range(0, len(raw), _DIGEST)]


def _digest(ref: str | None) -> bytes:
    return b"" if ref is None else blake2b(ref.encode("utf-8", "replace"), digest_size=_DIGEST).digest()


def advance(
    walk: Walk, refs: Sequence[str | None], total: int | None, limit: int | None
) -> tuple[list[bool], Walk | None]:
    """Take one page in: which of its rows are new to this walk, and where to go on; None at the end.

    ``refs`` are the ids of its rows, None for a row without; ``total`` and ``limit`` what the answer says of them.
    Raises RepeatsError.
    """
    page, asked = walk.window()
    size = _size(walk, asked, limit, len(refs), total)
    start = (page - 1) * size
    here = [_digest(ref) for ref in refs]
    if page > 1 and here and not walk.backs and tuple(here) == walk.tail[: len(here)]:
        raise RepeatsError
    fresh, seen = _fresh(walk, here)
    shared = max(0, walk.offset - start)
    met = not shared or bool(set(filter(None, here)) & set(walk.tail))
    now = replace(
        walk,
        most=size if size < asked else walk.most,
        # What is shorter than asked without saying so has its own length, and says nothing of others.
        fixed=walk.fixed or size > asked or (size < asked and size != limit),
        total=total,
        seen=seen,
        disturbed=walk.disturbed
        or total != (walk.total if walk.tail else total)
        or here[:shared] != list(walk.tail[len(walk.tail) - shared :]),
    )
    if not met and page > 1 and walk.backs < BACKS:
        return fresh, replace(now, offset=max(0, start - now.most // 2), backs=walk.backs + 1, disturbed=True)
    end = start + max(len(here), size)
    # A page that is short before the end of the list has lost rows.
    lost = total is not None and start + len(here) < min(end, total)
    now = replace(now, offset=end, tail=tuple(filter(None, here)), disturbed=now.disturbed or lost)
    over = not here or (len(here) < size if total is None else end >= total)
    return fresh, _again(now) if over else now


def _size(walk: Walk, asked: int, limit: int | None, rows: int, total: int | None) -> int:
    """How long the platform's pages really are: what it says of that, where the rows bear it out, or the rows alone."""
    if not walk.tail and walk.offset == 0 and _LEAST <= rows < min(asked, total or 0):
        return rows
    if limit and (rows <= limit < asked or (limit > asked and (rows > asked or limit == walk.most))):
        return limit
    return asked


def _fresh(walk: Walk, here: Sequence[bytes]) -> tuple[list[bool], dict[bytes, None]]:
    fresh, seen = [], dict(walk.seen)
    for each in here:
        fresh.append(not each or each not in seen)
        if each and len(seen) < SEEN:
            seen[each] = None
    return fresh, seen


def _again(walk: Walk) -> Walk | None:
    """After a pass: the next one, if rows shifted during it and there is another one."""
    if not walk.disturbed or walk.turn + 1 >= PASSES:
        return None
    return Walk(most=walk.most, fixed=walk.fixed, turn=walk.turn + 1, backs=walk.backs, seen=walk.seen)
