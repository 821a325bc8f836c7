"""A NiceJob developer account with one company at a known hour, for the tests of the stand-in."""

from contextlib import asynccontextmanager

import httpx
from kit_toys import Receiver

from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.sandbox import serve

NOW = "2026-06-01T03:12:00Z"
CLIENT = {"client_id": "nj_client_sandbox", "client_secret": "nj_secret_sandbox"}


async def access(client, refresh_token):
    answer = await client.post(
        "/oauth/token", data={**CLIENT, "grant_type": "refresh_token", "refresh_token": refresh_token}
    )
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def developer(client):
    answer = await client.post("/oauth/token", json={**CLIENT, "grant_type": "client_credentials"})
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


@asynccontextmanager
async def nicejob(**options):
    """Yield the sandbox and a client with the company's access token."""
    box = NiceJobSandbox(**options)
    box.set_clock(NOW)
    account = box.add_company("Parnell Nails")
    async with serve(box) as url, httpx.AsyncClient(verify=False, base_url=url, timeout=5) as client:
        client.headers.update(await access(client, account.refresh_token))
        yield box, client


@asynccontextmanager
async def with_hook(*subscriptions, **options):
    """Yield also a receiver and the webhook entity that tells it about the subscriptions."""
    receiver = Receiver()
    async with nicejob(**{"retry_scale": 0, **options}) as (box, client), serve(receiver) as url:
        body = {"endpoint_url": url + "/hook", "subscriptions": list(subscriptions)}
        hook = data(await client.post("/v2/webhooks", json=body, headers=await developer(client)))
        yield box, client, receiver, hook


def data(answer):
    """Return the data of an answer that succeeded."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["cursor", "data", "error"]
    assert body["error"] is None, body
    return body["data"]


def refused(answer):
    """Return the error of an answer that says 200 and means no."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["data"] is None
    assert body["error"]
    return body["error"]


async def add(client, kind, **values):
    return data(await client.post(f"/v2/{kind}", json=values))
