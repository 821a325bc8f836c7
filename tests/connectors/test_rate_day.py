"""A day of polls, writes and webhooks of twenty connections, at platforms that enforce their documented limits."""

import re
from dataclasses import replace

import pytest
from rate_stage import CONNECTIONS, DAY, HOUR, MINUTE, Plan, fleet, stilled

from connectors.nearbyassist.sandbox import NearbyAssistSandbox
from connectors.nowistay.sandbox import NowistaySandbox
from connectors.nowistay.sandbox_oauth import Family
from connectors.nowistay.sandbox_store import SCOPES
from mapping.capability import Act
from mapping.model import Kind
from mapping.wish import Write
from tests.contract import nearbyassist_fixture, nowistay_fixture

HOURS = range(0, DAY, HOUR)
NOON = 12 * HOUR


def hourly(minute, amount):
    return tuple((hour + minute * MINUTE, amount) for hour in HOURS)


# NearbyAssist: "500 req/15 min (global), 20 req/15 min (auth endpoints)".

WINDOW, REQUESTS, SIGN_INS = 15 * MINUTE, 500, 20
USER = {"api_key": None, "email": "owner@example.com", "password": "correct horse"}

KEYED = Plan(
    every=15 * MINUTE,
    pushes=hourly(20, 1),
    # At noon so many at once that one window cannot hold what is to be fetched.
    hooks=(*hourly(40, 1), (NOON + 5 * MINUTE, 30)),
)
SIGNED_IN = Plan(
    every=HOUR,
    pushes=hourly(20, 1),
    # The tokens of all end four times a day, the first time within the window of the first sign-ins.
    events=((5 * MINUTE, "expire_tokens"), *((hour + 30 * MINUTE, "expire_tokens") for hour in HOURS[6::6])),
)


async def nearbyassist(plan, way_in, *, shared=True):
    box = stilled(NearbyAssistSandbox(rate_limits=True))
    box.add_user(USER["email"], USER["password"])
    box.seed(bookings=CONNECTIONS, reviews=5)
    refs = list(box.business.bookings)

    def write(number, what):
        mark = nearbyassist_fixture.MARK
        return Write(Kind.BOOKINGS, Act.UPDATE, refs[number], {"notes": what}, mark, loud=True)

    return await fleet(
        box,
        plan,
        "nearbyassist",
        lambda url, _number: nearbyassist_fixture.settings(box, url, **way_in),
        write,
        lambda number: (Kind.BOOKINGS, refs[number]),
        shared=shared,
    )


def either(call):
    return "sign-in" if call.path == "/api/auth/signin" else "other"


@pytest.mark.speaks
async def test_one_api_key_of_nearbyassist_lasts_for_twenty_connections():
    lived = await nearbyassist(KEYED, {})
    assert len(lived.budgets) == 1
    assert lived.refused() == 0
    assert lived.done() == {"poll": 96 * 20, "push": 24 * 20, "hook": (24 + 30) * 20}
    busiest = lived.busiest(WINDOW, lambda _call: "all")["all"]
    assert 0.8 * REQUESTS < busiest <= REQUESTS, "the limit is met, and kept"
    assert lived.latest("poll") < KEYED.every, "each poll is over when the next one is due"
    assert lived.latest("push") < MINUTE
    assert lived.latest("hook") < WINDOW + MINUTE


@pytest.mark.speaks
async def test_one_user_of_nearbyassist_signs_in_for_twenty_connections():
    lived = await nearbyassist(SIGNED_IN, USER)
    assert len(lived.budgets) == 1
    assert lived.refused() == 0
    assert lived.done() == {"poll": 24 * 20, "push": 24 * 20}
    busiest = lived.busiest(WINDOW, either)
    assert 0.8 * SIGN_INS < busiest["sign-in"] <= SIGN_INS
    assert sum(busiest.values()) <= REQUESTS
    # Not all can sign in within one window: the last ones work in the next.
    assert lived.latest("poll") < WINDOW + MINUTE
    assert lived.latest("push") < WINDOW + MINUTE


# Nowistay: "per client and per route": reads 120 a minute, writes 30 a minute; OAuth 20 a minute.

LIMITS = {"read": 120, "write": 30, "oauth": 20}

STAYS = Plan(
    every=15 * MINUTE,
    # More at once than a minute may have.
    pushes=hourly(10, 2),
    hooks=(*hourly(40, 1), (NOON + 5 * MINUTE, 15)),
)


async def nowistay(plan, *, shared=True):
    box = stilled(NowistaySandbox())
    box.add_property()
    refs = [str(box.add_booking(channel="direct")) for _ in range(CONNECTIONS)]
    tokens = [f"nis_refresh_{number}" for number in range(CONNECTIONS)]
    box.refresh_tokens |= {token: Family(box.client_id, " ".join(SCOPES)) for token in tokens}

    def settings(url, number):
        secrets = {"client_secret": box.client_secret, "refresh_token": tokens[number]}
        return nowistay_fixture.settings(box, url, **secrets)

    def write(number, what):
        held = {"channel": "direct"}
        mark = nowistay_fixture.MARK
        return Write(Kind.BOOKINGS, Act.UPDATE, refs[number], {"notes": what}, mark, held=held)

    return await fleet(
        box,
        plan,
        "nowistay",
        settings,
        write,
        lambda number: (Kind.BOOKINGS, refs[number]),
        shared=shared,
    )


def route(call):
    """What a request is counted by: its limit and its route."""
    if "/oauth/" in call.path:
        return "oauth", "all"
    return "read" if call.method == "GET" else "write", re.sub(r"/\d+", "/{id}", call.path)


async def test_one_client_of_nowistay_lasts_for_twenty_connections():
    lived = await nowistay(STAYS)
    assert len(lived.budgets) == 1
    assert lived.refused() == 0
    assert lived.done() == {"poll": 96 * 20, "push": 24 * 40, "hook": (24 + 15) * 20}
    busiest = lived.busiest(MINUTE, route)
    assert {name: most for name, most in busiest.items() if most > LIMITS[name[0]]} == {}
    strained = {name[0] for name, most in busiest.items() if most > 0.8 * LIMITS[name[0]]}
    assert strained == set(LIMITS), "each of the three limits is met, and kept"
    assert lived.latest("poll") < MINUTE
    assert lived.latest("push") < 2 * MINUTE
    assert lived.latest("hook") < 3 * MINUTE


# The check can fail: with a budget for each connection the same work is too much.


@pytest.mark.speaks
@pytest.mark.parametrize(
    ("way_in", "plan"),
    [
        ({}, replace(KEYED, begin=NOON, end=NOON + HOUR)),
        (USER, replace(SIGNED_IN, pushes=((10 * MINUTE, 1),), end=HOUR)),
    ],
    ids=["api_key", "user"],
)
async def test_budgets_that_are_not_shared_are_refused_by_nearbyassist(way_in, plan):
    lived = await nearbyassist(plan, way_in, shared=False)
    assert len(lived.budgets) == CONNECTIONS
    assert lived.refused() > 0
    busiest = lived.busiest(WINDOW, either)
    assert busiest["sign-in"] > SIGN_INS or busiest["other"] > REQUESTS


async def test_budgets_that_are_not_shared_are_refused_by_nowistay():
    lived = await nowistay(replace(STAYS, end=HOUR), shared=False)
    assert len(lived.budgets) == CONNECTIONS
    assert lived.refused() > 0
    assert any(most > LIMITS[name[0]] for name, most in lived.busiest(MINUTE, route).items())
