"""A story: what staff do, what goes wrong and when the process dies, drawn up front from the seed as a list of events.

Each event stands for itself, so that any of them can be left out and the rest be told again.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.torture.net import LIES
from tests.torture.ships import SHIPS, Ship


@dataclass(frozen=True)
class Event:
    """One thing that happens. ``number`` is its name in every telling of the story."""

    number: int
    at: float
    """Seconds after the storm has begun."""
    what: str
    where: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        hours, rest = divmod(int(self.at), 3600)
        return f"#{self.number:<3} +{hours}:{rest // 60:02}:{rest % 60:02}  {_words(self)}"


@dataclass(frozen=True)
class Story:
    seed: int
    ship: str
    hours: float
    events: tuple[Event, ...]
    skews: dict[str, float]


def draw(seed: int, hours: float | None = None, ship: str | None = None) -> Story:
    dice = Random(f"{seed} story")
    kind = SHIPS[ship or sorted(SHIPS)[seed % len(SHIPS)]]
    length = hours or round(dice.uniform(2.0, 5.0), 2)
    seconds = length * 3600
    drawn: list[tuple[float, str, str, dict[str, Any]]] = []
    _staff(dice, kind, seconds, drawn)
    _faults(dice, kind, seconds, drawn)
    _ends(dice, seconds, drawn)
    drawn.sort(key=lambda event: event[0])
    numbered = [Event(number, *event) for number, event in enumerate(drawn)]
    labels = {event.more["visit"]: event.number for event in numbered if event.what == "book"}
    events = tuple(
        Event(e.number, e.at, e.what, e.where, {**e.more, "visit": labels[e.more["visit"]]})
        if "visit" in e.more
        else e
        for e in numbered
    )
    skews = {
        name: round(dice.choice((0, 0, 1)) * dice.uniform(-20, 20), 1) for name in sorted(kind.platforms)
    }
    return Story(seed, kind.name, length, events, skews)


def _staff(dice: Random, ship: Ship, seconds: float, drawn: list) -> None:
    near = list(range(1, int(seconds // 3600) + 1))
    # Stays end within the days that pass after the storm; visits are still to come then, so that every list shows them.
    stays = "nowistay" in ship.sources
    far = list(range(int(seconds // 3600) + 2, 240) if stays else range(330, 570))
    dice.shuffle(near)
    dice.shuffle(far)
    for visit in range(dice.randint(3, 9)):
        where = dice.choice(ship.sources)
        at = dice.uniform(0, seconds * 0.9)
        soon = [hour for hour in near if hour * 3600 > at + 1200]
        hour = soon[0] if soon and dice.random() < 0.4 else far.pop()
        if hour in near:
            near.remove(hour)
        guest = dice.randrange(visit + 1) if dice.random() < 0.25 else visit
        drawn.append((at, "book", where, {"visit": visit, "hour": hour, "guest": guest}))
        over = False
        if hour * 3600 < seconds * 0.95 and ship.verbs_after and dice.random() < 0.7:
            ends = dice.uniform(hour * 3600, seconds)
            drawn.append((ends, dice.choice(ship.verbs_after), where, _more(dice, visit)))
        for _ in range(dice.choice((0, 1, 1, 2, 3))):
            pause = dice.uniform(1, 90) if dice.random() < 0.35 else dice.expovariate(1 / 2400) + 1
            then = min(
                seconds + visit + len(drawn) / 1000, at + pause
            )  # no two at the same moment: nobody could order them
            verbs = ship.verbs if then < hour * 3600 else ship.verbs_after
            if over or not verbs:
                continue
            verb = dice.choice(verbs)
            more = _more(dice, visit)
            if verb.endswith("move"):
                more["hour"] = hour = far.pop()
            over = verb in {"cancel", "complete", "no_show", "twin_cancel"}
            drawn.append((then, verb, where, more))
            at = then


def _more(dice: Random, visit: int) -> dict[str, Any]:
    """What an act may need to know."""
    return {
        "visit": visit,
        "amount": dice.randrange(20, 200),
        "phone": f"+64 21 555 {dice.randrange(1000, 9999)}",
        "stars": dice.randint(1, 5),
    }


FAULTS = (
    "lost_answer",
    "drop",
    "error",
    "error",
    "limit",
    "error_after",
    "hang_after",
    "hang_after",
    "hang_after",
    "hang_before",
    "late",
    "slow",
    "truncated",
    "cut",
    "html",
)
LONGEST = {"hang_after": 200, "hang_before": 200, "late": 50, "slow": 75}
"""Seconds. A platform that carries a call out more than a minute after the program has lost it (which is half a minute
after it began, where nothing comes at all) makes doubles: that is not promised."""
AT_WRITES = ("lost_answer", "error_after", "late", "hang_after", "cut", "truncated", "drop", "limit")


def _faults(dice: Random, ship: Ship, seconds: float, drawn: list) -> None:
    platforms = sorted(ship.platforms)
    for _ in range(dice.randint(4, 16)):
        writes = dice.random() < 0.55
        kind = dice.choice(AT_WRITES if writes else FAULTS)
        more: dict[str, Any] = {"kind": kind, "writes": writes, "times": dice.choice((1, 1, 1, 2, 5))}
        if kind in {"hang_after", "hang_before", "late", "slow"}:
            more["seconds"] = round(dice.choice((dice.uniform(1, 29), dice.uniform(20, LONGEST[kind]))), 1)
        if kind == "limit":
            more["retry_after"] = dice.choice((None, "1", "30", "120"))
        if kind in {"error", "error_after"}:
            more["status"] = dice.choice((500, 502, 503, 504))
        drawn.append((dice.uniform(0, seconds), "fault", dice.choice(platforms), more))
    if dice.random() < 0.6:  # what a list shows is old by the time that it comes
        slow = round(dice.uniform(10, 28), 1)
        more = {"kind": "hang_after", "writes": False, "lists": True, "times": 40, "seconds": slow}
        drawn.append((dice.uniform(0, seconds * 0.3), "fault", dice.choice(ship.sources), more))
    for _ in range(dice.randint(1, 6)):
        stale = dice.random() < 0.1 and ship.stale
        more = {"kind": "stale" if stale else dice.choice(LIES[:-1]), "seed": dice.randrange(10**6)}
        drawn.append((dice.uniform(0, seconds), "lie", dice.choice(platforms), more))
    for _ in range(dice.randint(2, 7)):
        what = {
            "lost": dice.choice((0, 0, 0.3, 0.7)),
            "twice": dice.choice((0, 0.3, 0.7)),
            "late": dice.choice((0, 0.4, 0.9)),
            "unanswered": dice.choice((0, 0, 0.4)),
            "seconds": dice.choice((20, 100, 250)),
        }
        more = {"for": round(dice.uniform(600, 5400)), "seed": dice.randrange(10**6), **what}
        drawn.append((dice.uniform(0, seconds), "webhooks", dice.choice(platforms), more))
    for _ in range(dice.randint(0, 2)):
        more = {"for": round(dice.choice((dice.uniform(5, 60), dice.uniform(60, 900))))}
        drawn.append((dice.uniform(0, seconds), "unreachable", dice.choice(platforms), more))
    drawn += [
        (dice.uniform(0, seconds), "forged", dice.choice(platforms), {}) for _ in range(dice.randint(0, 2))
    ]
    if dice.random() < 0.3:
        drawn.append((dice.uniform(0, seconds), "expire", dice.choice(platforms), {}))


def _ends(dice: Random, seconds: float, drawn: list) -> None:
    for _ in range(dice.randint(1, 7)):
        place, edge = dice.choice(
            (
                ("commit", "before"),
                ("commit", "after"),
                ("call", "before"),
                ("call", "during"),
                ("call", "during"),
                ("call", "after"),
                ("write", "during"),
                ("write", "during"),
                ("write", "after"),
                ("any", "now"),
            )
        )
        more = {
            "place": place,
            "edge": edge,
            "nth": dice.choice((1, 1, 2, 3, 5, 8)),
            "down": round(dice.choice((dice.uniform(0.5, 10), dice.uniform(10, 900))), 1),
        }
        drawn.append((dice.uniform(0, seconds), "crash", "", more))
    if dice.random() < 0.4:
        drawn.append((dice.uniform(0, seconds), "restart", "", {"down": round(dice.uniform(1, 60), 1)}))
    if dice.random() < 0.4:
        at, ahead = dice.uniform(0, seconds * 0.6), dice.choice((90, 240, 900, 3600, -90, -900, -3600))
        drawn.append((at, "clock", "", {"by": ahead}))
        drawn.append((min(seconds, at + dice.uniform(300, 5400)), "clock", "", {"by": -ahead}))


def _words(event: Event) -> str:
    more, where = dict(event.more), event.where
    visit = f"visit #{more.pop('visit')}" if "visit" in more and event.what != "book" else ""
    told = {
        "book": "staff at {where} book a visit that starts {hour} h after the beginning, for guest {guest}",
        "fault": "{where} has a fault for {times} {calls}: {kind}{rest}",
        "lie": "a list of {where} will lie: {kind}",
        "webhooks": "for {for} s the webhooks of {where} get lost ({lost}), doubled ({twice}), late ({late}), unanswered ({unanswered})",
        "unreachable": "nobody can connect to {where} for {for} s",
        "forged": "somebody sends a webhook in the name of {where}",
        "expire": "all access tokens of {where} expire",
        "crash": "the process is killed {edge} the {nth}. {place}, and is down for {down} s",
        "restart": "the process is stopped, and started again after {down} s",
        "clock": "the clock of the machine is set by {by} s",
    }.get(event.what)
    if told is None:
        word = {"move": "hour", "price": "amount", "call": "phone", "review": "stars", "rate": "stars"}.get(
            event.what.removeprefix("twin_")
        )
        return f"staff at {where}: {event.what} {visit}" + (f" ({word} {more[word]})" if word else "")
    rest = "".join(f", {key} {more[key]}" for key in ("seconds", "status", "retry_after") if more.get(key))
    calls = "writing calls" if more.get("writes") else "lists" if more.get("lists") else "calls"
    return told.format(**more, where=where, rest=rest, calls=calls)
