"""Two routes that keep two sides in step, each in its direction: who may write which field, and when a human decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapping.money import NO_CURRENCY, to_major
from mapping.normal import moved
from mapping.record import Record
from mapping.wish import Pair

_SHOWN = {"starts", "ends", "arrival", "departure", "amount", "adults", "children", "title"}
"""Fields whose values may be shown in a message: never contact data or free text."""

_NEVER_A_QUESTION = {"tags", "status"}
"""Tags are only added, and a status leads one way."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a field."""

    seq: int
    """The how manieth it was that we learned of."""
    at: int
    """When that was by our clock, in epoch milliseconds."""
    stamped: int | None
    """When it was made, by the platform's clock."""


def newer(one: Changed | None, other: Changed | None, names: tuple[str, str]) -> bool:
    """Whether one side's change was made after the other's. ``names``: which side has its way where neither ever changed.

    Our clock may have been set back between the two: then the earlier of them seems to be the later one, and only the
    platforms' own clocks tell, or else in which order we learned of them.
    """
    if one is None or other is None:
        return names[0] > names[1] if one is other else one is not None
    set_back = (one.at - other.at) * (one.seq - other.seq) < 0
    if set_back and one.stamped is not None and other.stamped is not None:
        return (one.stamped, one.seq) > (other.stamped, other.seq)
    return one.seq > other.seq if set_back else (_made(one), one.seq) > (_made(other), other.seq)


def _made(change: Changed) -> int:
    return change.at if change.stamped is None else min(change.at, change.stamped)


def settle(changes: dict[str, Any], pair: Pair, target: Record, region: str | None) -> str | None:
    """Leave to the other side what is its own; gives why a human has to decide, where nothing else does.

    Both sides have changed a field when the target no longer shows what it did when they last agreed. Where they never
    did (two records that were only now linked), two different values are a question too; an empty one is filled in.
    """
    open_ones = []
    for name in list(changes):
        shown = target.fields.get(name)
        if name in pair.owned_there or name in pair.newer_there:
            del changes[name]
        elif name in pair.owned_here | pair.newest | _NEVER_A_QUESTION or name not in pair.shared:
            continue
        elif moved(
            name, changes[name], None if pair.agreed is None else pair.agreed.get(name), shown, region
        ):
            both = f": {_short(changes[name])} here, {_short(shown)} there" if name in _SHOWN else ""
            open_ones.append(name + both)
    if not open_ones:
        return None
    return (
        f"both sides have changed {'; '.join(open_ones)}. Make them equal, or say in the YAML who decides (`owns`,"
        f" `newest`, here or in route {pair.back!r}); then retry"
    )


def _short(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    currency = value["currency"]
    return f"{to_major(value['minor'], currency)}" + ("" if currency == NO_CURRENCY else f" {currency}")
