"""A NearbyAssist business at a known hour, for the tests of the stand-in."""

from contextlib import asynccontextmanager

import httpx
from kit_toys import Receiver

from connectors.nearbyassist.sandbox import PARTNER, NearbyAssistSandbox
from connectors.sandbox import serve

NOW = "2026-06-01T03:12:00Z"
GEL = "svc_1"
ANNA, TAMA = "stf_abc", "stf_def"
OPENING = "2026-06-09T21:00:00.000Z"
BOOKINGS, REVIEWS = PARTNER + "/bookings", PARTNER + "/reviews"


def wish(**changes):
    body = {
        "serviceId": GEL,
        "startTime": OPENING,
        "customer": {"firstName": "Alex", "lastName": "Smith", "email": "alex@example.com"},
    }
    return {key: value for key, value in (body | changes).items() if value is not ...}


@asynccontextmanager
async def nearby(**options):
    box = NearbyAssistSandbox(**options)
    box.set_clock(NOW)
    async with (
        serve(box) as url,
        httpx.AsyncClient(
            verify=False, base_url=url, headers={"x-api-key": box.api_key}, timeout=5
        ) as client,
    ):
        yield box, client


@asynccontextmanager
async def with_hook(**options):
    receiver = Receiver()
    async with nearby(retry_scale=0, **options) as (box, client), serve(receiver) as url:
        secret = box.add_webhook(url + "/hook")
        yield box, client, receiver, secret


def problem(answer, status):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert isinstance(body["error"], str)
    return body


async def listed(client, **params):
    return (await client.get(BOOKINGS, params=params)).json()
