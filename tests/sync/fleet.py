"""Berths, each with one connection, and a bookferry between them whose door all webhooks go through.

A connection is called as its platform is.
"""

import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager

from berths import BERTHS, Berth

from connectors.sandbox import serve
from daemon.app import PLATFORMS, opened
from daemon.doors import hook_app, listening
from daemon.passes import sync
from daemon.service import ensure_hooks
from mapping.config import Door, Notify
from mapping.load import load
from mapping.model import Kind
from state import cursors, ledger, links, outbox
from state.tokens import new_key

KEY = new_key()


def config_of(text: str):
    return load(
        text, name="bookferry.yaml", platforms=PLATFORMS, env={}, read_file=str, credential=lambda _: None
    )


class Fleet:
    """The berths, and the app between them."""

    def __init__(self, berths, app, door, folder, text, key):
        self.at, self.app, self.door = berths, app, door
        self.path, self.text, self.key = folder / "bookferry.db", text, key

    def __getitem__(self, platform) -> Berth:
        return self.at[platform]

    async def calm(self):
        """Wait until every webhook is taken and read, and all that it leads to is done."""
        before = None
        while before != (before := await self.totals()):
            for berth in self.at.values():
                await berth.box.quiet()
            await self.app.engine.idle()

    async def cycle(self):
        """Webhooks, one full pass, and the webhooks that come of it. Gives what all of it did."""
        before = await self.totals()
        await self.calm()
        done = await sync(self.app)
        await self.calm()
        after = await self.totals()
        assert done["problems"] == {}, done
        return done | {name: after[name] - before[name] for name in after}

    async def settled(self, cycles=1):
        """Nothing changes any more, however often one looks and whatever webhooks say again."""
        for _ in range(cycles):
            for berth in self.at.values():
                for index in range(len(berth.box.deliveries))[-6:]:
                    berth.box.redeliver(index)
            done = await self.cycle()
            assert (done["writes"], done["changes"], done["calls"]) == (0, 0, 0), done

    async def totals(self):
        def counted(tx):
            return {
                "changes": tx.value("SELECT count(*) FROM journal"),
                "writes": tx.value("SELECT count(*) FROM attempt"),
            }

        return await self.app.db.read(counted) | {"calls": sum(berth.writes() for berth in self.at.values())}

    async def parked(self):
        return await self.app.db.read(lambda tx: outbox.in_state(tx, "parked"))

    async def let_go_on(self, intent):
        """What ``bookferry retry`` does."""
        assert await self.app.db.transaction(
            lambda tx: outbox.retry(tx, intent.id, now=self.app.ms(), decided=True)
        )

    async def record(self, platform, ref, kind=Kind.BOOKINGS):
        return await self.app.db.read(lambda tx: ledger.find(tx, platform, kind, ref))

    async def link(self, kind, one, other):
        """What ``bookferry link`` does, and ``bookferry retry`` after it."""

        def joined(tx):
            first, second = (ledger.find(tx, platform, kind, ref) for platform, ref in (one, other))
            links.join(tx, first, second, "explicit", now=self.app.ms())
            for intent in outbox.in_state(tx, "parked"):
                outbox.retry(tx, intent.id, now=self.app.ms())

        await self.app.db.transaction(joined)

    def assert_silent(self):
        """Nobody was told anything, except by a platform that a route allows to speak."""
        loud = {route.target.connection for route in self.app.config.routes if route.notify is Notify.ALLOW}
        told = {name: berth.said() for name, berth in self.at.items() if name not in loud}
        assert not any(told.values()), told


@asynccontextmanager
async def fleet(folder, routes: str, *platforms: str, before=None, **options):
    """Berths for these platforms (all of them without any), read once, with all routes armed.

    ``before`` is given the berths: what it does there is history when the routes are armed.
    """
    berths = {name: BERTHS[name](**options) for name in platforms or BERTHS}
    if before:
        before(berths)
    async with AsyncExitStack() as stack:
        held = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        public = f"http://127.0.0.1:{held.getsockname()[1]}"
        lines = []
        for name, berth in berths.items():
            url = await stack.enter_async_context(serve(berth.box))
            keys = berth.connection(url, f"{public}/hooks/{name}")
            lines.append(f"  {name}: {{platform: {name}, {keys}, rate: 100000/m}}")
        text = "connections:\n" + "\n".join(lines) + f"\nroutes:\n{routes}"
        clock = next(iter(berths.values())).box
        app = await stack.enter_async_context(
            opened(
                config_of(text),
                folder / "bookferry.db",
                KEY,
                now=lambda: clock.now().timestamp(),
                settle_ms=0,
            )
        )
        await ensure_hooks(app, public)
        door = listening(hook_app(app), Door("127.0.0.1", 0), label="server.hooks", fd=os.dup(held.fileno()))
        await stack.enter_async_context(door)
        port = Fleet(berths, app, held, folder, text, KEY)
        await port.cycle()
        await app.db.transaction(
            lambda tx: [cursors.arm(tx, route.name, now=app.ms(), since=None) for route in app.config.routes]
        )
        yield port
        port.assert_silent()
