"""Every recorded webhook through the real door of a whole bookferry, at the hour at which it was recorded."""

import hashlib
import hmac
import json
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest

from connectors.sandbox import serve
from daemon.app import opened
from daemon.doors import hook_app, listening
from mapping.config import Config, Door
from mapping.model import Kind
from mapping.record import Account
from state import accounts, ledger
from state.tokens import new_key
from tests.contract.surround import NOW
from tests.recordings.replay import CASES, FIXTURES, HERE, RECEIVED_AT
from tests.recordings.replay import SECRET as RECORDED_SECRET

HOOKS = [case for case in CASES if case.partition("/")[2].startswith("hook-")]
SECRET = "whsec_of_this_endpoint"
NAME = "mine"

DROPPED = re.compile(r"nearbyassist/hook-(lead|message|payment)-")
"""Counted and never stored: what a guest wrote, and what somebody paid."""

# Signing as the platforms do, with nothing of the connectors.


def _hex(secret, signed):
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _stringify(value):
    """JSON as JavaScript prints it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _number(text):
    return int(float(text)) if float(text).is_integer() else float(text)


def _over_bytes(header):
    """In a header over the body's bytes: alone, after ``sha256=``, or with the time that is signed before them."""

    def sign(headers, body, secret):
        recorded = headers.get(header, "")
        timed = re.match(r"t=(\d+),", recorded)
        digest = _hex(secret, timed[1].encode() + b"." + body if timed else body)
        return headers | {header: re.sub(r"[0-9a-f]{64}$", digest, recorded)}, body

    return sign


def _nearbyassist(headers, body, secret):
    """In a header, over the body printed anew."""
    printed = _stringify(json.loads(body, parse_float=_number))
    return headers | {"x-nearbyassist-signature": _hex(secret, printed)}, body


def _nicejob(headers, body, secret):
    """Inside the body, over its payload."""
    content = json.loads(body)
    old, new = content["signature"]["signed_payload"], _hex(secret, _stringify(content["payload"]))
    return headers, body.replace(old.encode(), new.encode())


SIGN = {
    "bookatu": _over_bytes("x-bookatu-signature"),
    "nearbyassist": _nearbyassist,
    "nicejob": _nicejob,
    "nowistay": _over_bytes("x-nowistay-signature"),
}


def recorded(case):
    """Headers, body and outcome of a case."""
    folder = HERE / case
    headers, expected = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("headers", "expected")
    )
    return headers, (folder / "body.json").read_bytes(), expected


def altered(body):
    """The body with another letter or digit at three places of what is signed."""
    own = body.find(b'"signature":{')  # what NiceJob signs stands before it
    places = [found.start() for found in re.finditer(rb"[a-z0-9]", body[: own if own > 0 else None])]
    for place in (places[0], places[len(places) // 2], places[-1]):
        other = bytes([body[place] ^ 1])  # its neighbour
        yield body[:place] + other + body[place + 1 :]


class Stage:
    """One bookferry with one connection, at whose door webhooks arrive."""

    def __init__(self, app, box, client):
        self.app, self.box, self._client = app, box, client

    async def post(self, headers, body):
        """The status of the answer, after all that the webhook leads to."""
        answer = await self._client.post(f"/hooks/{NAME}", content=body, headers=headers)
        await self.app.engine.idle()
        return answer.status_code

    async def inbox(self):
        columns = "connection, state, event, kind, ref, received_at, failures, body"
        rows = await self.app.db.read(lambda tx: tx.rows(f"SELECT {columns} FROM inbox"))
        return [SimpleNamespace(**row) for row in rows]

    async def records(self):
        return await self.app.db.read(lambda tx: tx.value("SELECT count(*) FROM record"))


@asynccontextmanager
async def stage(folder, case):
    platform = case.partition("/")[0]
    its, own = FIXTURES[platform], HERE / case / "settings.json"
    more = json.loads(own.read_text()) if own.exists() else {}
    box = its.sandbox()
    box.set_clock(NOW)
    async with serve(box) as url:
        config = Config(connections={NAME: its.settings(box, url, webhook_secret=SECRET, **more)})
        at = RECEIVED_AT / 1000
        async with opened(config, folder / "bookferry.db", new_key(), now=lambda: at) as app:
            door = listening(
                hook_app(app, app.metrics), Door("127.0.0.1", 0), label="server.hooks", grace=0.5
            )
            async with (
                door as address,
                httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=False) as client,
            ):
                yield Stage(app, box, client)


async def belongs(app, platform, account):
    await app.db.transaction(
        lambda tx: accounts.remember(tx, NAME, platform, Account(id=account)), "test.account"
    )


@pytest.mark.parametrize("case", HOOKS)
def test_signing_here_is_signing_as_recorded(case):
    headers, body, _ = recorded(case)
    assert SIGN[case.partition("/")[0]](headers, body, RECORDED_SECRET) == (headers, body)


@pytest.mark.parametrize("case", HOOKS)
async def test_a_recorded_webhook_leaves_what_it_is_expected_to(case, tmp_path):
    platform = case.partition("/")[0]
    headers, body, expected = recorded(case)
    headers, body = SIGN[platform](headers, body, SECRET)
    async with stage(tmp_path, case) as here:
        if expected["account"]:
            await belongs(here.app, platform, expected["account"])
        assert await here.post(headers, body) == 200
        rows = await here.inbox()
        if DROPPED.match(case):
            assert rows == []
        else:
            (row,) = rows
            assert (row.connection, row.received_at, row.failures, row.body) == (NAME, RECEIVED_AT, 0, body)
            await (_followed if expected["kind"] else _ignored)(here, row, expected)
        if not expected["kind"]:
            assert await here.records() == 0
            assert here.box.requests == [], "nobody was asked about it"


async def _ignored(_here, row, _expected):
    assert (row.state, row.event, row.kind, row.ref) == ("ignored", None, None, None)


async def _followed(here, row, expected):
    assert row.state == "done"
    assert {name: getattr(row, name) for name in ("event", "kind", "ref")} == {
        name: expected[name] for name in ("event", "kind", "ref")
    }
    kind, ref = Kind(expected["kind"]), expected["ref"]
    record = await here.app.db.read(lambda tx: ledger.find(tx, NAME, kind, ref))
    polled = await here.app.db.read(lambda tx: tx.value("SELECT count(*) FROM cursor WHERE walk > 0"))
    assert bool(polled) == expected["poll"]
    if expected["fields"]:
        assert (dict(record.fields), record.asked_at) == (expected["fields"], expected["asked_at"])
    else:
        assert await here.records() == 0, "a hint tells nothing by itself"
        assert here.box.calls("GET"), "the platform was asked"


@pytest.mark.parametrize("platform", sorted(SIGN))
async def test_an_altered_byte_is_unverified_and_stores_nothing(platform, tmp_path):
    mine = [case for case in HOOKS if case.startswith(f"{platform}/")]
    async with stage(tmp_path, mine[0]) as here:
        for case in mine:
            headers, body, expected = recorded(case)
            if expected["account"]:
                await belongs(here.app, platform, expected["account"])
            headers, body = SIGN[platform](headers, body, SECRET)
            for forged in altered(body):
                assert await here.post(headers, forged) == 401, forged
        assert await here.inbox() == []
        assert await here.records() == 0
        assert here.box.requests == []
        assert await here.post(headers, body) == 200, "untouched it is what the platform signed"
