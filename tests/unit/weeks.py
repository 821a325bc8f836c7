"""Webhook sources as they are in life: when something comes, hour by hour, under a seed."""

import random

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
