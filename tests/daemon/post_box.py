"""An endpoint on the loopback that takes alerts, and a bookferry that tells it what needs attention."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.app import PLATFORMS, opened
from mapping.load import load
from mapping.model import Kind
from mapping.record import Rejected
from state import rejected, units
from state.tokens import new_key

KEY = new_key()
PATH = "/services/T000/secret-part"


class PostBox:
    """Answers with these statuses in turn, the last one for ever. Keeps the messages that it accepted."""

    def __init__(self, *statuses):
        self.statuses, self.messages, self.asked = list(statuses) or [200], [], []

    async def __call__(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b""
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.asked.append(head.split("\r\n")[0])
        if status < 300:
            self.messages.append(json.loads(body))
        writer.write(
            f"HTTP/1.1 {status} Whatever\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".encode()
        )
        writer.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{PATH}?sig=a%26b"

    @property
    def texts(self):
        return [message["text"] for message in self.messages]


class Clock:
    now = 1_790_000_000.0

    def __call__(self):
        return self.now


@asynccontextmanager
async def post_box(*statuses):
    box = PostBox(*statuses)
    server = await asyncio.start_server(box, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box


def config_of(text):
    return load(
        text, name="bookferry.yaml", platforms=PLATFORMS, env={}, read_file=str, credential=lambda _: None
    )


def yaml(url=None):
    """Its platform is not there: whoever answers at the address of alerts refuses it."""
    alerts = f"alerts: {{url: '{url}'}}\n" if url else ""
    base = "http://127.0.0.1:1" if not url or PATH not in url else url.partition(PATH)[0]
    return (
        f"{alerts}connections:\n  salon: {{platform: bookatu, slug: nails, api_key: k, base_url: '{base}'}}\n"
    )


@asynccontextmanager
async def house(folder: Path, url=None, clock=None):
    clock = clock or Clock()
    async with opened(config_of(yaml(url)), folder / "bookferry.db", KEY, now=clock) as app:
        app.clock = clock
        yield app


async def minute(app):
    """A minute passes, and the bell rings."""
    app.clock.now += 60
    app.engine.kick(units.ALERT)
    await app.engine.idle()


async def park(app, *refs):
    rows = [Rejected(Kind.BOOKINGS, ref, "startAt: no instant, mere@planted.example", b"{}") for ref in refs]
    await app.db.transaction(lambda tx: rejected.reject(tx, "salon", rows, now=app.ms()))


async def settle(app, *refs):
    await app.db.transaction(lambda tx: rejected.understood(tx, "salon", Kind.BOOKINGS, refs))


async def stop(app, what="the key was refused", remedy="put a new one into the YAML."):
    problem = {"what": what, "class": "NeedsHuman", "remedy": remedy}

    def failed(tx):
        units.claim(tx, "pull:salon", now=app.ms())
        units.failed(tx, "pull:salon", now=app.ms(), next_due=None, problem=problem)

    await app.db.transaction(failed)
