"""The units of work: pull a connection, read its inbox, push into it; tell the owner what needs attention. Each commit of a unit checks its epoch first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from connectors.errors import NeedsHuman, PlatformError, TryLater
from state import accounts, units
from state.database import Tx
from state.errors import Fenced, StateError, TakenOver

if TYPE_CHECKING:
    from daemon.app import App

T = TypeVar("T")
log = structlog.get_logger()

_at_work: ContextVar[Unit | None] = ContextVar("unit", default=None)
"""The unit that this task works for."""

_FIRST_PAUSE_MS = 5_000
_LONGEST_PAUSE_MS = 900_000
_FRESH_S = 1.0
"""How old the knowledge may be, when a write leaves, that nobody has taken the unit over."""
_LOOKS = 3
"""A store that is slower than that is no reason never to write."""


class Unit:
    """A claimed unit at work."""

    def __init__(self, app: App, key: str) -> None:
        self.app = app
        self.key = key
        self.held: units.Claim | None = None
        """Taken with the first transaction: a claim of its own would be one commit more before each write."""
        self.next_due: int | None = None
        """When there will be something to do again, as far as the unit knows."""

    async def commit(self, fn: Callable[[Tx], T], label: str) -> T:
        """A transaction of this unit. Raises Fenced when somebody else has taken the unit over."""

        def claimed(tx: Tx) -> tuple[units.Claim, T]:
            units.fence(tx, self.app.reign)
            held = self.held or units.claim(tx, self.key, now=self.app.ms())
            units.fence(tx, held)
            return held, fn(tx)

        self.held, result = await self.app.db.transaction(claimed, label)
        self.app.trouble.pop(self.key, None)
        return result


@contextmanager
def at_work(unit: Unit) -> Iterator[None]:
    """What is sent within is sent for this unit, and only as long as nobody has taken it over."""
    token = _at_work.set(unit)
    try:
        yield
    finally:
        _at_work.reset(token)


async def still_ours() -> None:
    """Asked right before a write leaves: it may have waited for long, or this process may have stood still.

    Raises Fenced when somebody else has taken over the unit that wants to write.
    """
    unit = _at_work.get()
    held = unit.held if unit is not None else None
    if unit is None or held is None:
        return
    for _ in range(_LOOKS):
        begun = time.monotonic()
        await unit.app.db.read(lambda tx: units.fence(tx, unit.app.reign, held))
        if time.monotonic() - begun < _FRESH_S:  # a process that stood still during its look looks once more
            return


def pause(failures: int) -> int:
    """How long to wait after so many failures in a row, in milliseconds."""
    return int(min(_FIRST_PAUSE_MS * 2 ** min(failures, 16), _LONGEST_PAUSE_MS))


async def run_unit(app: App, key: str) -> None:
    """Claim a unit and let it work. What stands in its way is noted with what to do, and stops nobody else."""
    from daemon.units import alert, inbox, pull, push, tidy  # each of them imports this module

    work = {"pull": pull.pull, "inbox": inbox.read, "push": push.push, "alert": alert.tell, "tidy": tidy.tidy}
    sort, _, name = key.partition(":")
    if name not in app.connectors and key not in units.OF_NONE:
        return
    try:
        unit = Unit(app, key)
        try:
            with at_work(unit):
                await work[sort](unit, name)
        except PlatformError as error:
            await _stopped(unit, name, error)
        except StateError:
            raise
        except Exception as error:
            # Ours, not theirs: it stops this unit alone, and status says so.
            log.exception("bug", unit=key)
            await _stopped(
                unit, name, TryLater(f"a bug in bookferry: {type(error).__name__}. The log has the details.")
            )
        else:
            await unit.commit(lambda tx: _finished(tx, unit, name), f"{sort}.finish")
            if unit.next_due is not None:
                app.wake_at(key, unit.next_due)
    except TakenOver as error:
        log.error("taken_over", unit=key, problem=str(error))  # noqa: TRY400 - a sentence, not a traceback
        app.give_way(error)
    except Fenced:
        log.warning("fenced", unit=key)
    except StateError as error:
        await _unstored(app, key, error)


async def _unstored(app: App, key: str, error: StateError) -> None:
    from daemon.units import alert

    app.trouble[key] = error
    log.error("store_unavailable", unit=key, problem=str(error))
    if key == units.ALERT:
        await alert.store_fails(app, error)
    app.wake_at(key, app.ms() + _FIRST_PAUSE_MS)


def _finished(tx: Tx, unit: Unit, name: str) -> None:
    units.succeeded(tx, unit.key, now=unit.app.ms(), next_due=unit.next_due)
    if unit.key in units.OF_NONE:
        return
    credential, budget = unit.app.budget_of(name)
    accounts.save_budget(tx, credential, budget.dump())


async def _stopped(unit: Unit, name: str, error: PlatformError) -> None:
    app = unit.app
    if unit.key not in units.OF_NONE:
        error.about(platform=app.world.platform(name).title, connection=name)
    row = await app.db.read(lambda tx: units.get(tx, unit.key))
    failures = row["failures"] if row else 0
    problem: dict[str, Any] = {"what": error.sentence, "class": type(error).__name__}
    due: int | None = app.ms() + pause(failures)
    if isinstance(error, NeedsHuman):
        problem["remedy"] = error.remedy
        due = app.ms() + _LONGEST_PAUSE_MS
    if isinstance(error, TryLater) and error.retry_at:
        due = max(error.retry_at, app.ms() + _FIRST_PAUSE_MS)
    log.warning("stopped", unit=unit.key, problem=error.sentence)
    await unit.commit(
        lambda tx: units.failed(tx, unit.key, now=app.ms(), next_due=due, problem=problem), "unit.failed"
    )
    if due is not None:
        app.wake_at(unit.key, due)
