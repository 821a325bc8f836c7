"""Who holds a place at a door, and who gives it up when all are taken.

A sender that is slow, or says nothing at all, costs nothing but its place. So places are not refused to whoever comes
last: the one that has kept us waiting longest leaves. A request that is there to its last byte is never turned out.
"""

from collections.abc import Callable
from typing import Any, Protocol

_GRACE_S = 0.05
"""Who has just come may have sent everything already, and we have not read it yet."""


class Holder(Protocol):
    """A connection."""

    def give_up(self) -> None:
        """Be gone, at once and without a word."""


class Places:
    """The connections of one door. ``most``: how many, for a moment twice that; ``held``: bytes of unfinished requests.

    ``later``: calls something after so many seconds.
    """

    def __init__(self, most: int, held: int, later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._most, self._most_held, self._later = most, held, later
        self._asked = False
        self._waiting: dict[Holder, int] = {}
        """Those that keep us waiting, longest first, each with the bytes of its unfinished request."""
        self._count = self._held = 0

    def enter(self, holder: Holder) -> None:
        """Somebody connected."""
        self._count += 1
        self._waiting[holder] = 0
        if self._count > self._most and not self._asked:
            self._asked = True
            self._later(_GRACE_S, self._tidy)
        self._make_room(2 * self._most)

    def leave(self, holder: Holder) -> None:
        """Somebody is gone."""
        self._count -= 1
        self.at_work(holder)

    def waits(self, holder: Holder) -> None:
        """Its request was answered: from now on the next one is waited for."""
        self._waiting.setdefault(holder, 0)

    def at_work(self, holder: Holder) -> None:
        """Its request is complete: now it waits for us."""
        self._held -= self._waiting.pop(holder, 0)

    def grew(self, holder: Holder, size: int) -> None:
        """More of an unfinished request arrived."""
        if holder in self._waiting:
            self._waiting[holder] += size
            self._held += size
            self._make_room(2 * self._most)

    def _tidy(self) -> None:
        self._asked = False
        self._make_room(self._most)

    def _make_room(self, most: int) -> None:
        while self._waiting and (self._count > most or self._held > self._most_held):
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            oldest.give_up()
