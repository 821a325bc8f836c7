"""A Bookatu business at a known hour, for the tests of the stand-in."""

from contextlib import asynccontextmanager

import httpx
from kit_toys import Receiver

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.sandbox import serve

NOW = "2026-06-01T03:12:00Z"  # Monday, 15:12 in Auckland
GEL, EXPRESS, BRIDAL = "svc_abc123", "svc_def456", "svc_ghi789"
ANNA, TAMA = "stf_abc", "stf_def"
OPENING = "2026-06-09T21:00:00.000Z"  # Wednesday the 10th, 09:00 in Auckland


def wish(**changes):
    body = {
        "serviceId": GEL,
        "startAt": OPENING,
        "name": "Alex Smith",
        "email": "alex@example.com",
        "phone": "+64 21 555 0100",
    }
    return {key: value for key, value in (body | changes).items() if value is not ...}


@asynccontextmanager
async def bookatu(**options):
    box = BookatuSandbox(**options)
    box.set_clock(NOW)
    async with serve(box) as url:
        base = f"{url}/api/v1/parnell-nails"
        key = {"authorization": f"Bearer {box.api_keys['parnell-nails']}"}
        async with httpx.AsyncClient(verify=False, base_url=base, headers=key, timeout=5) as client:
            yield box, client


@asynccontextmanager
async def with_hook(**options):
    receiver = Receiver()
    async with bookatu(retry_scale=0, **options) as (box, client), serve(receiver) as url:
        secret = box.add_webhook(url + "/hook")
        yield box, client, receiver, secret


def problem(answer, status):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["ok"] is False
    assert isinstance(body["error"], str)
    return body


async def listed(client):
    return (await client.get("/appointments")).json()["appointments"]
