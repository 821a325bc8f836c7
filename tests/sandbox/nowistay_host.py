"""A Nowistay host with one property at a known hour, for the tests of the stand-in."""

import base64
import hashlib
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
from kit_toys import Receiver

from connectors.nowistay.sandbox import NowistaySandbox
from connectors.nowistay.sandbox_store import SCOPES
from connectors.sandbox import serve

NOW = "2026-06-01T03:12:00Z"
CLIENT = {"client_id": "client_sandbox", "client_secret": "nis_client_secret_sandbox0000"}
V1 = "/public/v1"
TOKEN = "/public/oauth/token"
AUTHORIZE = "/public/oauth/authorize"
BACK = "http://127.0.0.1:9/back"
VERIFIER = "v" * 50


def challenge(verifier=VERIFIER):
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


async def token(client, **form):
    return await client.post(TOKEN, data=CLIENT | form)


async def refreshed(client, refresh_token):
    return await token(client, grant_type="refresh_token", refresh_token=refresh_token)


def asked(**more):
    """The query of an authorization request."""
    base = {"response_type": "code", "client_id": CLIENT["client_id"], "redirect_uri": BACK, "state": "s t"}
    return {
        **base,
        "scope": " ".join(SCOPES),
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    } | more


def back(answer):
    """What came back to the redirect address."""
    assert answer.status_code == 302, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@asynccontextmanager
async def nowistay(**options):
    """Yield the sandbox and a client with an access token."""
    box = NowistaySandbox(**options)
    box.set_clock(NOW)
    box.add_property()
    async with serve(box) as url, httpx.AsyncClient(verify=False, base_url=url, timeout=5) as client:
        answer = await refreshed(client, next(iter(box.refresh_tokens)))
        client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield box, client


@asynccontextmanager
async def with_hook(**options):
    """Yield also a receiver, and the webhook that tells it about the property."""
    receiver = Receiver()
    async with nowistay(**{"retry_scale": 0, **options}) as (box, client), serve(receiver) as url:
        yield box, client, receiver, (await hook(client, url + "/hook")).json()


async def hook(client, url, place=101, **more):
    body = {"propertyId": place, "url": url, "events": ["booking.created", "booking.updated"]}
    return await client.post(f"{V1}/webhooks", json=body | more)


def refused(answer, status, code):
    """Check an error in the documented envelope; returns its message."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "requestId"}
    assert (error["code"], error["requestId"][:4]) == (code, "req_")
    return error["message"]
