"""Webhook sources as they are in life: when something comes, hour by hour, under a seed.

``python -m tests.unit.weeks`` measures how often a source that is well would be accused, and how soon a dead one is.
"""

import random
import sys
from statistics import median

from mapping.rhythm import silence

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 1_790_553_600_000
"""2026-09-28, midnight in UTC."""


def shop(days, seed, *, open_on, hours, a_day):
    """Somebody writes about so often on each open day, within the opening hours."""
    chance = random.Random(seed)
    return [
        MONDAY + day * DAY + int(chance.uniform(*hours) * HOUR)
        for day in range(days)
        if day % 7 in open_on
        for _ in range(round(chance.gauss(a_day, a_day / 4)))
    ]


def salon(days, seed=1):
    return shop(days, seed, open_on=range(6), hours=(9, 18), a_day=15)


def clinic(days, seed=1):
    return shop(days, seed, open_on=range(5), hours=(8, 17), a_day=60)


def flats(days, seed=1):
    """Three bookings a week, at any time of the day and the night."""
    chance = random.Random(seed)
    at, came = 0.0, []
    while (at := at + chance.expovariate(3 / 7)) < days:
        came.append(MONDAY + int(at * DAY))
    return came


def by_hour(came):
    """As the store knows it: the last of each hour."""
    return sorted({at // HOUR: at for at in sorted(came)}.values())


SOURCES = {"salon": salon, "clinic": clinic, "flats": flats}

ALWAYS = [(0, 1 << 60)]


def accused(came, runs=ALWAYS, back=700):
    """How often a source that goes on would have been accused: right before each arrival is the worst moment."""
    return sum(
        silence(came[max(0, number - back) : number], runs, came[number] - 1) is not None
        for number in range(1, len(came))
    )


def noticed(came, runs=ALWAYS):
    """After how many hours the end of a source is noticed."""
    hours = range(0, 60 * 24, 3)
    return next((hour for hour in hours if silence(came, runs, came[-1] + hour * HOUR)), None)


def measure(source, seeds):
    """Accusations a year, and in days: how soon the end is noticed, mostly and at worst; how many never are."""
    lives = [by_hour(SOURCES[source](365, seed)) for seed in range(seeds)]
    ends = [noticed(life) for life in lives]
    known = [hours / 24 for hours in ends if hours is not None]
    wrongly = sum(accused(life, back=60 if source == "flats" else 700) for life in lives) / seeds
    return wrongly, median(known), max(known), len(ends) - len(known)


if __name__ == "__main__":
    for name, seeds in (("salon", 10), ("clinic", 10), ("flats", 100)):
        wrongly, mostly, worst, never = measure(name, seeds)
        sys.stdout.write(
            f"{name}: accused wrongly {wrongly:.2f} times a year; its end is noticed after {mostly:.1f} days"
            f" (at worst {worst:.1f}; {never} of {seeds} have too little history)\n"
        )
