"""How often: the intervals, cron lines and request budgets that a user writes, parsed and checked.

Cron follows crontab(5): weekdays count from Sunday, which is both 0 and 7. APScheduler counts from Monday
instead and refuses ranges that wrap, so ``Cron.normalised`` spells the weekdays out by name.
"""

import re
from dataclasses import dataclass

from mapping.problem import InvalidError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = 31 * UNITS["d"]
LONGEST_KEPT = 3650 * UNITS["d"]
DAY = UNITS["d"]

KEEP_PATTERN = r"^\s*\d{1,9}[hd]\s*$"
POLL_PATTERN = r"^\s*\d+[smhd]\s*$|^\s*([^\s@]+\s+){4}[^\s@]+\s*$"
RATE_PATTERN = r"^\d+/\d*[smh]$"

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_POLL_REMEDY = (
    "write an interval such as 30s, 5m, 2h or 1d, or a five-field cron line such as 0 9 * * mon-fri"
)


@dataclass(frozen=True, slots=True)
class Interval:
    """Again and again, so many seconds apart."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments that a crontab line names, each field normalised: ``*`` or an ascending list."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str
    """Names (``sun`` … ``sat``), never numbers."""

    def normalised(self) -> tuple[str, str, str, str, str]:
        """Minute, hour, day of month, month and day of week, in the words APScheduler understands."""
        return self.minute, self.hour, self.day, self.month, self.weekday


Poll = Interval | Cron


def parse_poll(text: str) -> Poll:
    """Read ``5m`` or a five-field cron line. Raises InvalidError."""
    fields = text.split()
    if len(fields) == 1:
        return _interval(fields[0])
    if len(fields) != len(_FIELDS):
        raise InvalidError(f"has {len(fields)} fields; a cron line has five", _POLL_REMEDY)
    return _cron(fields)


def parse_rate(text: str) -> tuple[int, int]:
    """Read ``60/m`` or ``500/15m``: so many requests in so many seconds. Raises InvalidError."""
    match = re.fullmatch(r"(\d{1,9})/(\d{0,9})([smh])", text, re.ASCII)
    if match is None:
        raise InvalidError("is not a request budget", "write requests per time, such as 60/m or 500/15m")
    requests, seconds = int(match[1]), int(match[2] or 1) * UNITS[match[3]]
    if not requests or not 0 < seconds <= DAY:
        raise InvalidError("is out of range", "allow at least 1 request, in a time between 1s and 24h")
    return requests, seconds


def parse_keep(text: str) -> Interval:
    """Read ``90d``: for how long something is kept. Raises InvalidError."""
    match = re.fullmatch(r"(\d{1,9})([hd])", text.strip(), re.ASCII)
    if match is None:
        raise InvalidError("is not a time to keep something", "write hours or days, such as 48h or 90d")
    seconds = int(match[1]) * UNITS[match[2]]
    if not UNITS["h"] <= seconds <= LONGEST_KEPT:
        raise InvalidError("is out of range", "choose a time between 1h and 3650d")
    return Interval(seconds)


def _interval(text: str) -> Interval:
    match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    if match is None:
        raise InvalidError("is neither an interval nor a cron line", _POLL_REMEDY)
    seconds = int(match[1]) * UNITS[match[2]]
    if not 0 < seconds <= LONGEST:
        raise InvalidError("is out of range", "choose an interval between 1s and 31d")
    return Interval(seconds)


@dataclass(frozen=True, slots=True)
class _Field:
    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    wraps: bool = False

    def values(self, text: str) -> frozenset[int]:
        return frozenset(value for part in text.lower().split(",") for value in self._part(part))

    def _part(self, part: str) -> list[int]:
        span, slash, step = part.partition("/")
        first, dash, last = ("*", "", "") if span == "*" else span.partition("-")
        if slash and not (span == "*" or dash):
            raise self._invalid("a step needs * or a range before it, such as */5")
        if first == "*":
            return self._stepped(self.low, self.high, step if slash else "1")
        low = self._value(first)
        return self._stepped(low, self._value(last) if dash else low, step if slash else "1")

    def _stepped(self, low: int, high: int, step: str) -> list[int]:
        if not re.fullmatch(r"[1-9]\d{0,3}", step, re.ASCII):
            raise self._invalid("a step is a number from 1")
        if high < low and not self.wraps:
            raise self._invalid(f"write {low}-{self.high},{self.low}-{high} for a range that wraps")
        size = self.high - self.low + 1
        return [self._fold(value) for value in range(low, high + (size if high < low else 0) + 1, int(step))]

    def _value(self, word: str) -> int:
        if word in self.names:
            return self.names.index(word) + self.low
        top = self.high + 1 if self.wraps else self.high
        if not re.fullmatch(r"\d{1,4}", word, re.ASCII) or not self.low <= int(word) <= top:
            named = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
            raise self._invalid(f"{self.title} is {self.low}-{top}{named}")
        return int(word)

    def _fold(self, value: int) -> int:
        return value if value <= self.high else value - (self.high - self.low + 1)

    def _invalid(self, remedy: str) -> InvalidError:
        return InvalidError(f"is not understood at the {self.title}", remedy)

    def written(self, values: frozenset[int]) -> str:
        if len(values) == self.high - self.low + 1:
            return "*"
        return ",".join(self.names[v] if self.wraps else str(v) for v in sorted(values))


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, _WEEKDAYS, wraps=True),
)


def _cron(fields: list[str]) -> Cron:
    values = [field.values(text) for field, text in zip(_FIELDS, fields, strict=True)]
    written = [field.written(value) for field, value in zip(_FIELDS, values, strict=True)]
    _, _, days, months, _ = values
    if written[2] != "*" and written[4] != "*":
        # crontab fires when either matches, APScheduler when both do: who writes this means one of the two.
        problem = "restricts both the day of the month and the day of the week"
        raise InvalidError(problem, "leave one of the two as *")
    if min(days) > max(_MONTH_DAYS[month - 1] for month in months):
        raise InvalidError("never happens: no such month has such a day", "choose a day that the month has")
    return Cron(*written)
