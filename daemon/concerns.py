"""What the owner should know of: one pure look at the store. A new kind of concern is a function in ``CONCERNS``.

No sentence here names a guest: ids, connections and counts alone leave this machine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon import guard, losses, views
from daemon.masks import mask_text
from daemon.world import World
from mapping.model import iso
from state import losses as found
from state import overview, units
from state.database import Tx

_DAY_MS = losses.DAY_MS
_MANY, _SHARE = 3, 0.02
"""So many webhooks of a day, and this part of all of them, have to be lost before anybody is told."""
_NONE_CAME = 2
"""So many in a row, and none that came: they do not arrive any more."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that stands until it is over."""

    key: str
    """What it is, and of what: ``lost:salon``. The word before the colon is the event of its alert."""
    since: int
    text: str
    """One sentence with what to do."""
    connection: str | None = None


def concerns(tx: Tx, world: World, now: int) -> list[Concern]:
    """Everything that the owner should know of now."""
    return [concern for look in CONCERNS for concern in look(tx, world, now)]


def stamp(ms: int) -> str:
    """A moment as alerts show it."""
    return iso(datetime.fromtimestamp(ms // 1000, UTC))


def _stopped(tx: Tx, world: World, _now: int) -> Iterator[Concern]:
    """A connection stands still until somebody acts. Its units mostly stop for one reason."""
    stuck = [row for row in units.every(tx) if (row["problem"] or {}).get("remedy")]
    for name, problem in {row["key"].partition(":")[2]: row["problem"] for row in stuck}.items():
        if name in world.config.connections:
            text = f"{name} needs you: {problem['what']} What to do: {problem['remedy']}"
            yield Concern(f"human:{name}", problem["since"], mask_text(text), name)


def _parked(tx: Tx, world: World, _now: int) -> Iterator[Concern]:
    """Something waits for a decision. Why, and whom it is about, is told by ``bookferry parked`` alone."""
    for row in views.parked(world, tx):
        about = f" ({row['record']})" if row["record"] and row["what"] == "write" else ""
        text = f"{row['where']}: {row['what']} {row['id']}{about} waits for you: `bookferry parked` says why and what to do."
        yield Concern(f"parked:{row['id']}", row["since"], text, row["where"])


def _held(tx: Tx, world: World, _now: int) -> Iterator[Concern]:
    """More than usual waits for an approval."""
    for row in guard.plans(world, tx):
        why = "; ".join(row["why"])
        text = f"route {row['route']!r} waits for you: {why}. `bookferry status` shows samples, the likely cause and what to do."
        yield Concern(f"held:{row['route']}", row["since"], text)


def _doubted(tx: Tx, world: World, now: int) -> Iterator[Concern]:
    """A list lost too much at once to be believed."""
    for row in overview.streams(tx):
        if row["doubt"] and row["connection"] in world.config.connections:
            key = f"doubt:{row['connection']}.{row['kind']}"
            yield Concern(key, now, f"{row['connection']}: {row['doubt']}", row["connection"])


def _webhooks(tx: Tx, world: World, now: int) -> Iterator[Concern]:
    """Webhooks that get lost, or do not come at all."""
    for name in filter(lambda name: losses.expected(tx, world, name), world.config.connections):
        concern = (
            _gone(tx, world, name, now) or _many_lost(tx, world, name, now) or _silent(tx, world, name, now)
        )
        if concern is not None:
            yield concern


def _gone(tx: Tx, world: World, name: str, now: int) -> Concern | None:
    last_at = found.last_heard(tx, name)
    missed = found.counts(tx, name, (last_at or 0) + 1).get("lost", 0)
    if missed < _NONE_CAME:
        return None
    since = "have never come" if last_at is None else f"do not come any more since {stamp(last_at)}"
    text = f"webhooks of {name} {since}, and its lists told {missed} changes in their place. What to do: "
    return Concern(f"silent:{name}", last_at or now, text + losses.remedy(world, name) + ".", name)


def _many_lost(tx: Tx, world: World, name: str, now: int) -> Concern | None:
    day = losses.lost(tx, name, now, _DAY_MS)
    if day["lost"] < _MANY or day["lost"] < _SHARE * (day["lost"] + day["came"]):
        return None
    text = (
        f"{name} lost {day['lost']} webhooks within a day and {day['came']} came; its lists told them in their place, later."
        f" What to do: {losses.remedy(world, name)}."
    )
    return Concern(f"lost:{name}", now, text, name)


def _silent(tx: Tx, world: World, name: str, now: int) -> Concern | None:
    quiet = losses.quiet(tx, world, name, now)
    if quiet is None or quiet[1]:
        return None
    silence = quiet[0]
    text = (
        f"no webhook of {name} has come since {stamp(silence.since)}; its longest pause before was"
        f" {silence.longest // 3_600_000} h. What to do: {losses.remedy(world, name)}."
    )
    return Concern(f"silent:{name}", silence.since, text, name)


CONCERNS: tuple[Callable[[Tx, World, int], Iterator[Concern]], ...] = (
    _stopped,
    _parked,
    _held,
    _doubted,
    _webhooks,
)
