"""The clocks: one true time, a machine whose clock is set forward and back, and platforms that are some seconds off."""

import datetime as dt
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.date
import apscheduler.triggers.interval

from connectors.sandbox_clock import Clock

_READERS = (
    apscheduler.executors.base,
    apscheduler.schedulers.base,
    apscheduler.triggers.date,
    apscheduler.triggers.interval,
)


class PlatformClock(Clock):
    """A platform's own clock, which nobody sets."""

    def __init__(self, true: Callable[[], float], skew: float) -> None:
        super().__init__()
        self._true, self.skew = true, skew

    def time(self) -> float:
        return self._true() + self.skew


class _AsDatetime(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, dt.datetime)


def _datetime(now: Callable[[], float]) -> type:
    class Datetime(dt.datetime, metaclass=_AsDatetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime.fromtimestamp(now(), tz)

    return Datetime


@contextmanager
def told_by(now: Callable[[], float], passed: Callable[[], float], seed: object) -> Iterator[None]:
    """Every clock of this process shows ``now``, or what has ``passed``; all that is random comes from the seed."""
    held = random.getstate()
    random.seed(f"{seed} chance")
    patches = [mock.patch.object(module, "datetime", _datetime(now)) for module in _READERS]
    patches += [mock.patch.object(time, "time", now), mock.patch.object(time, "monotonic", passed)]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
        random.setstate(held)
