"""The schedule rings the bell and knows nothing else: when to kick which key. It is kept in memory.

What is durable is in the store: cursors, and when a write is due. After a downtime missed ticks are one tick, and the
connections start one after the other.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from daemon.app import App
from mapping.timing import Cron, Interval
from state import units

_LOOK_EVERY_S = 60
"""How often pushes look for what the command line changed: a route armed, an intent to be tried again."""
_TIDY_EVERY_S = 3600
_SPREAD_S = 2
"""Between the first polls of two connections after a start."""


class Schedule:
    """Kicks units of an App."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._bell = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        logging.getLogger("apscheduler").setLevel(logging.ERROR)

    def start(self) -> None:
        """Begin: inboxes and pushes at once, and a poll of each connection, one after the other.

        Webhooks that were sent while nobody listened are lost, so every start reads everything once.
        """
        for number, name in enumerate(self.app.connectors):
            first = self._now() + timedelta(seconds=_SPREAD_S * number)
            self._every(f"pull:{name}", _trigger(self.app.config.poll(name)), first)
            for sort in ("inbox", "push"):
                self._every(
                    f"{sort}:{name}", IntervalTrigger(seconds=_LOOK_EVERY_S, timezone=UTC), self._now()
                )
        later = self._now() + timedelta(seconds=_LOOK_EVERY_S)
        self._every(units.TIDY, IntervalTrigger(seconds=_TIDY_EVERY_S, timezone=UTC), later)
        self._every(units.ALERT, IntervalTrigger(seconds=_LOOK_EVERY_S, timezone=UTC), self._now())
        self.app.wake_at = self.at
        self._bell.start()
        self._watch(self._now())

    def _watch(self, before: datetime) -> None:
        """The bell goes by the wall clock: once that was set back, it would be silent until the old time comes again."""
        now = self._now()
        if now < before:
            for job in self._bell.get_jobs():
                job.modify(next_run_time=now)
        self._next_look = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._watch, now)

    def _every(self, key: str, trigger: BaseTrigger, first: datetime) -> None:
        self._bell.add_job(self._ring, trigger, args=[key], id=key, next_run_time=first)

    def at(self, key: str, due_ms: int) -> None:
        """Kick a key at a moment; the earliest wish counts."""
        due = datetime.fromtimestamp(due_ms / 1000, UTC)
        held = self._bell.get_job(f"once:{key}")
        if held is None or held.next_run_time > due:
            self._bell.add_job(
                self._ring,
                DateTrigger(max(due, self._now())),
                args=[key],
                id=f"once:{key}",
                replace_existing=True,
            )

    async def _ring(self, key: str) -> None:
        self.app.engine.kick(key)

    def stop(self) -> None:
        """Ring no more."""
        if self._bell.running:
            self._next_look.cancel()
            self._bell.shutdown(wait=False)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.app.now(), UTC)


def _trigger(poll: Interval | Cron) -> BaseTrigger:
    if isinstance(poll, Interval):
        return IntervalTrigger(seconds=poll.seconds, jitter=poll.seconds // 20 or None, timezone=UTC)
    minute, hour, day, month, weekday = poll.normalised()
    fields = {"minute": minute, "hour": hour, "day": day, "month": month, "day_of_week": weekday}
    return CronTrigger(**fields, timezone=UTC)
