"""The rhythm of a webhook source, and its silence: pure.

A source is measured against itself alone. Time in which nobody listened counts neither as its pause nor as its silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mapping.losses import Run, open_ms

HISTORY_MS = 28 * 86_400_000
"""How far back its rhythm is looked at, from the last that came."""

_KNOWN_FOR_MS, _FEWEST = 14 * 86_400_000, 10
"""So long and in so many different hours something must have come, or nobody is accused."""
_AT_LEAST_MS = 6 * 3_600_000
# The more pauses were seen, the less the next one exceeds the longest of them: for pauses of pure chance one in some
# hundred is longer than this many times the longest.
_MANY, _OF_MANY, _OF_FEW = 50, 2, 3


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing comes for longer than the rhythm explains. Times in milliseconds."""

    since: int
    silent: int
    """How long nothing came."""
    longest: int
    """The longest pause before that."""


def silence(heard: Sequence[int], runs: Sequence[Run], now: int) -> Silence | None:
    """Whether a source is silent for too long. ``heard``: when something came, by the hour, oldest first."""
    known = [at for at in heard if heard[-1] - HISTORY_MS <= at]
    if len(known) < _FEWEST or known[-1] - known[0] < _KNOWN_FOR_MS:
        return None
    longest = max(open_ms(runs, before, after) for before, after in pairwise(known))
    silent = open_ms(runs, known[-1], now)
    times = _OF_MANY if len(known) >= _MANY else _OF_FEW
    if silent <= max(_AT_LEAST_MS, times * longest):
        return None
    return Silence(known[-1], silent, longest)
