"""The units of work: pull a connection, read its inbox, push into it. Each commit of a unit checks its epoch first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from connectors.errors import NeedsHuman, PlatformError, TryLater
from state import accounts, units
from state.database import Tx
from state.errors import Fenced, StateError

if TYPE_CHECKING:
    from daemon.app import App

T = TypeVar("T")
log = structlog.get_logger()

TIDY = "tidy"
"""The unit that forgets what is old: the only one that is of no connection."""
_FIRST_PAUSE_MS = 5_000
_LONGEST_PAUSE_MS = 900_000


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
            held = self.held or units.claim(tx, self.key, now=self.app.ms())
            units.fence(tx, held)
            return held, fn(tx)

        self.held, result = await self.app.db.transaction(claimed, label)
        self.app.trouble.pop(self.key, None)
        return result


def pause(failures: int) -> int:
    """How long to wait after so many failures in a row, in milliseconds."""
    return int(min(_FIRST_PAUSE_MS * 2 ** min(failures, 16), _LONGEST_PAUSE_MS))


async def run_unit(app: App, key: str) -> None:
    """Claim a unit and let it work. What stands in its way is noted with what to do, and stops nobody else."""
    from daemon.units import inbox, pull, push, tidy  # each of them imports this module

    work = {"pull": pull.pull, "inbox": inbox.read, "push": push.push}
    sort, _, name = key.partition(":")
    if name not in app.connectors and key != TIDY:
        return
    try:
        unit = Unit(app, key)
        try:
            await (tidy.tidy(unit) if key == TIDY else work[sort](unit, name))
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
    except Fenced:
        log.warning("fenced", unit=key)
    except StateError as error:
        app.trouble[key] = error
        log.error("store_unavailable", unit=key, problem=str(error))  # noqa: TRY400 - a sentence, not a traceback
        app.wake_at(key, app.ms() + _FIRST_PAUSE_MS)


def _finished(tx: Tx, unit: Unit, name: str) -> None:
    units.succeeded(tx, unit.key, now=unit.app.ms(), next_due=unit.next_due)
    if not name:
        return
    credential, budget = unit.app.budget_of(name)
    accounts.save_budget(tx, credential, budget.dump())


async def _stopped(unit: Unit, name: str, error: PlatformError) -> None:
    app = unit.app
    if name:
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
