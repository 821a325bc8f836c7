"""The shortest story: events are left out, many at once and then one by one, as long as it goes wrong in the same way."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shortest(events: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """What is left when nothing can be left out any more (delta debugging). ``fails`` holds for all the events."""
    kept, parts = list(events), 2
    while kept:
        size = max(1, -(-len(kept) // parts))
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), parts * 2)
    return kept
