"""``tidy``: forget what is old, in small steps between which everybody else comes to write."""

from collections.abc import Callable
from functools import partial

from daemon.units import Unit
from state import retention
from state.database import Tx


async def tidy(unit: Unit, _name: str) -> None:
    """Forget what is older than ``keep``, as far as nothing needs it any more."""
    app, now = unit.app, unit.app.ms()
    since = now - app.config.keep.seconds * 1000
    again = {
        name: now if connector.hints_only else now - connector.redelivers_s * 1000
        for name, connector in app.connectors.items()
    }
    steps: dict[str, Callable[..., int | None]] = {
        "webhooks": partial(retention.webhooks, since=since, again_since=again),
        "writes": partial(retention.writes, since=since, now=now),
        "histories": partial(retention.histories, since=since),
    }
    for name, step in steps.items():
        await _walk(unit, step, f"tidy.{name}")


async def _walk(unit: Unit, step: Callable[..., int | None], label: str) -> None:
    place: int | None = 0
    while place is not None:

        def taken(tx: Tx, after: int = place) -> int | None:
            return step(tx, after)

        place = await unit.commit(taken, label)
