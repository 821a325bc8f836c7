"""The configurations that sail through the storm, each with a small model of what the platforms must hold afterwards."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture import models

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Ship:
    """``sources``: where staff book; ``verbs``: what they do before a visit begins, and after."""

    name: str
    platforms: tuple[str, ...]
    sources: tuple[str, ...]
    routes: str
    judge: Callable[[Any], Iterator[str]]
    verbs: tuple[str, ...] = ("move", "price", "cancel", "call")
    verbs_after: tuple[str, ...] = ()
    parked: str = "(?!)"
    """What may wait for a human when all is over, and why: an expression."""
    silent: tuple[str, ...] = ()
    """The platforms that must not have said a word."""
    stale: bool = True
    """Whether lists may be stale. One such list is believed until the next one comes, and what it brings back to life is
    told to guests where routes are loud both ways: that is not promised."""


def recipe(name: str) -> str:
    """The routes of an example, with connections called as their platforms are."""
    text = (EXAMPLES / name).read_text()
    routes = text[text.index("\nroutes:") + 9 :]
    if "\nlookups:" in text:
        routes += text[text.index("\nlookups:") : text.index("\nroutes:")]
    names = {"salon": "bookatu", "reviews": "nicejob", "stays": "nowistay", "market": "nearbyassist"}
    for short, platform in names.items():
        for word in ("from", "to"):
            routes = routes.replace(f"{word}: {short}.", f"{word}: {platform}.")
    return routes


MIRROR = """
  - name: mirror
    from: bookatu.bookings
    to: nicejob.bookings
    set: {tags: ["bookatu"]}
"""
PAIR = """
  - name: out
    from: nearbyassist.bookings
    to: nicejob.bookings
    owns: [amount]
    newest: [starts]
  - name: back
    from: nicejob.bookings
    to: nearbyassist.bookings
    set: {serviceId: "'svc_1'"}
    notify: allow
"""
VISITS = """
  - name: work
    from: bookatu.bookings
    to: nicejob.bookings
    set: {tags: ["bookatu"]}
  - name: visits
    from: bookatu.bookings
    to: nicejob.visits
    when: booking.status != "completed"
    set: {name: booking.title, scheduled_time: booking.starts, tags: ["bookatu"]}
  - name: asked
    from: bookatu.bookings
    to: nicejob.enrolments
    when: booking.status == "completed"
    notify: allow
"""
MARKET = """
  - name: market
    from: nearbyassist.bookings
    to: nicejob.bookings
    on_cancel: cancel
  - name: guests
    from: nearbyassist.people
    to: nicejob.people
"""
MOVES = recipe("nearbyassist-and-bookatu-two-way.yaml").replace(
    "to: bookatu.bookings\n", "to: bookatu.bookings\n    on_reschedule: cancel_and_create\n"
)
DESK = ("move", "move", "price", "cancel", "call")
"""What is done at a desk before a visit begins."""
OVER = ("complete", "complete", "no_show")

_ALL = [
    Ship(
        "reviews",
        ("bookatu", "nicejob"),
        ("bookatu",),
        recipe("bookatu-to-nicejob-reviews.yaml"),
        models.reviews,
        ("move", "cancel", "call"),
        OVER,
    ),
    Ship(
        "mirror",
        ("bookatu", "nicejob"),
        ("bookatu",),
        MIRROR,
        models.mirror,
        (*DESK, "twin_price", "twin_move"),
        OVER,
        silent=("nicejob",),
    ),
    Ship(
        "market",
        ("nearbyassist", "nicejob"),
        ("nearbyassist",),
        MARKET,
        models.market,
        (*DESK, "twin_price"),
        OVER,
        silent=("nicejob",),
    ),
    Ship(
        "departure",
        ("nowistay", "nicejob"),
        ("nowistay",),
        recipe("nowistay-to-nicejob-after-departure.yaml"),
        models.departure,
        ("move", "price", "cancel"),
        ("price",),
    ),
    Ship(
        "cleaning",
        ("nowistay",),
        ("nowistay",),
        recipe("nowistay-cleaning-missions.yaml"),
        models.cleaning,
        ("move", "move", "price", "cancel"),
        silent=("nowistay",),
    ),
    Ship(
        "visits",
        ("bookatu", "nicejob"),
        ("bookatu",),
        VISITS,
        models.visits,
        (*DESK, "move"),
        OVER,
        parked="nobody can see whether the person was enrolled|enrolled in this campaign recently",
    ),
    Ship(
        "stars",
        ("nowistay", "nicejob"),
        ("nowistay",),
        recipe("nicejob-reviews-to-nowistay.yaml"),
        models.stars,
        ("price", "move", "price"),
        ("review", "review", "rate", "price"),
        silent=("nowistay",),
    ),
    Ship(
        "two_way",
        ("nearbyassist", "bookatu"),
        ("nearbyassist", "bookatu"),
        MOVES,
        models.two_way,
        ("move", "cancel", "twin_cancel", "price"),
        # Bookatu shows only what is to come: a create in doubt of what has begun meanwhile is for a human.
        parked="both sides have changed|nobody can see whether the booking was made",
        stale=False,
    ),
    Ship(
        "pair",
        ("nearbyassist", "nicejob"),
        ("nearbyassist", "nicejob"),
        PAIR,
        models.pair,
        ("move", "price", "twin_move", "twin_price"),
        parked="both sides have changed",
        silent=("nicejob",),
    ),
]
SHIPS: dict[str, Ship] = {ship.name: ship for ship in _ALL}
