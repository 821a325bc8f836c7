"""A house with a real store, real connectors and a real hook door, for the tests of webhooks."""

import asyncio
import hashlib
import hmac
import time
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import orjson

from connectors.base import Surroundings
from connectors.budget import Budget
from connectors.registry import CONNECTORS
from daemon.doors import hook_app, listening
from daemon.metrics import Metrics
from mapping.config import Config, Door
from mapping.record import Account
from state import accounts
from state.database import Database

SECRET = "whsec_0123456789abcdef0123456789abcdef"
NJ_SECRET = "nj_hook_secret"
ANYWHERE = Door("127.0.0.1", 0)


def salon(**changes):
    return {
        "platform": "bookatu",
        "slug": "parnell-nails",
        "api_key": "bk_live_x",
        "webhook_secret": SECRET,
        **changes,
    }


def reviews(**changes):
    return {
        "platform": "nicejob",
        "client_id": "developer",
        "client_secret": "s",
        "refresh_token": "r",
        "webhook_secret": NJ_SECRET,
        **changes,
    }


class Kicks(list):
    def kick(self, key):
        self.append(key)


class House:
    """The process around the door, with a log of kicks."""

    def __init__(self, db, connections, now=time.time):
        made = {name: CONNECTORS[keys["platform"]] for name, keys in connections.items()}
        settings = {
            name: made[name].__orig_bases__[0].__args__[0].model_validate(keys)
            for name, keys in connections.items()
        }
        self.config = Config(connections=settings)
        self.db, self.now = db, now
        around = Surroundings(Budget([(1000, 60)]), None, now)
        self.connectors = {name: made[name](name, settings[name], around) for name in settings}
        self.engine = Kicks()
        self.asked = 0

    async def hook_secrets(self, name):
        self.asked += 1
        return tuple(secret.get_secret_value() for secret in self.config.connections[name].webhook_secret)

    async def rows(self):
        return await self.db.read(
            lambda tx: tx.rows("SELECT connection, state, note, headers, body FROM inbox ORDER BY id")
        )

    async def belongs(self, connection, account):
        platform = self.config.connections[connection].platform
        await self.db.transaction(
            lambda tx: accounts.remember(tx, connection, platform, Account(id=account)), "t"
        )


@asynccontextmanager
async def house(path, database=Database, **connections):
    db = await database.open(path / "state.db")
    made = House(db, connections or {"salon": salon()})
    try:
        yield made
    finally:
        for connector in made.connectors.values():
            await connector.aclose()
        await db.close()


@asynccontextmanager
async def hook_door(path, *, database=Database, deadline=10.0, most=1000, **connections):
    async with house(path, database, **connections) as app:
        metrics = Metrics()
        made = hook_app(app, metrics, deadline=deadline)
        limits = {"deadline": deadline, "grace": 0.5, "most": most}
        async with listening(made, ANYWHERE, label="server.hooks", **limits) as address:
            yield SimpleNamespace(
                app=app, metrics=metrics, url=f"http://{address}", port=address.port, fastapi=made
            )


def appointment(event="booking.created", ref="apt_abc123", **data):
    content = {
        "event": event,
        "sentAt": "2026-06-01T03:12:00.000Z",
        "data": {
            "id": ref,
            "ref": "VRD-7QK2M9",
            "service": "Gel Manicure",
            "startAt": "2026-06-10T21:00:00.000Z",
            "status": "pending",
            **data,
        },
    }
    return orjson.dumps(content)


def signed(body, secret=SECRET, at=None):
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"x-bookatu-signature": f"t={stamp},v1={digest}", "content-type": "application/json"}


def nicejob_body(company="c1", ref="p1", code="Person.updated", secret=NJ_SECRET, at=None):
    payload = {"company_id": company, "entity_id": ref, "event_code": code}
    digest = hmac.new(secret.encode(), orjson.dumps(payload), hashlib.sha256).hexdigest()
    stamp = int(time.time() if at is None else at)
    return orjson.dumps({"payload": payload, "signature": {"signed_payload": digest, "timestamp": stamp}})


async def raw(port, *pieces, pause=0.0, within=5.0):
    """Send bytes as they are; gives everything that comes back until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()

    async def listen():
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                answer.extend(piece)

    async with asyncio.timeout(within):
        listener = asyncio.create_task(listen())
        with suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
        await listener
        writer.close()
    return bytes(answer)


def counted(metrics, connection, outcome):
    return metrics.registry.get_sample_value(
        "bookferry_webhooks_total", {"connection": connection, "outcome": outcome}
    )
