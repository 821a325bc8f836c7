"""Both sandboxes, a real configuration and a real store: where the ferry is tested whole."""

import os
import socket
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.nicejob.sandbox_store import Hook
from connectors.sandbox import serve
from daemon.app import PLATFORMS, App, opened
from daemon.doors import hook_app, listening
from daemon.passes import sync
from mapping.config import Door
from mapping.load import load
from state.database import Database, Tx
from state.tokens import new_key

REVIEWS = """
  - name: reviews
    from: salon.bookings
    to: reviews.bookings
    set: {tags: ["bookatu"]}
    notify: allow
"""
PEOPLE = """
  - name: people
    from: salon.people
    to: reviews.people
"""


class Harbour:
    """The two platforms and one bookferry between them."""

    def __init__(self, folder: Path, salon, salon_url, reviews, reviews_url, company, routes):
        self.salon, self.reviews, self.company = salon, reviews, company
        self.path = folder / "bookferry.db"
        self.key = new_key()
        self.skew = 0.0
        self.secret = "whsec_not_registered"
        self.heard = "njsec_not_registered"
        self.text = f"""
connections:
  salon: {{platform: bookatu, slug: parnell-nails, api_key: "{salon.api_keys["parnell-nails"]}",
          webhook_secret: "{{secret}}", base_url: "{salon_url}", rate: 100000/m}}
  reviews: {{platform: nicejob, client_id: nj_client_sandbox, client_secret: nj_secret_sandbox,
            refresh_token: "{company.refresh_token}", webhook_secret: "{{heard}}", base_url: "{reviews_url}",
            rate: 100000/m}}
lookups: {{}}
routes: {routes}
"""

    @property
    def yaml(self) -> str:
        return self.text.replace("{secret}", self.secret).replace("{heard}", self.heard)

    @property
    def config(self):
        text = self.yaml
        return load(
            text,
            name="bookferry.yaml",
            platforms=PLATFORMS,
            env=os.environ,
            read_file=str,
            credential=lambda _: None,
        )

    def now(self) -> float:
        return self.salon.now().timestamp()

    @asynccontextmanager
    async def app(self, database: type[Database] = Database, settle_ms: int = 0):
        async with opened(
            self.config, self.path, self.key, now=self.now, settle_ms=settle_ms, database=database
        ) as app:
            yield app

    @contextmanager
    def endpoints(self):
        """A listening socket that both platforms send their webhooks to, with secrets that the YAML knows."""
        with socket.create_server(("127.0.0.1", 0)) as held:
            url = f"http://127.0.0.1:{held.getsockname()[1]}/hooks"
            self.secret = self.salon.act("add_webhook", url=f"{url}/salon")
            now = self.reviews.stamp()
            hook = Hook("hook", "njsec_harbour_" + "x" * 20, f"{url}/reviews", ["Job", "Person"], now, now)
            self.reviews.webhooks[hook.id] = hook
            self.heard = hook.secret
            yield held
        self.salon.act("remove_webhook", url=f"{url}/salon")
        del self.reviews.webhooks[hook.id]

    @asynccontextmanager
    async def door(self):
        """The daemon's hook door, and both platforms send to it while it is open."""
        with self.endpoints() as held:
            async with self.app() as app:
                doors = listening(
                    hook_app(app), Door("127.0.0.1", 0), label="server.hooks", fd=os.dup(held.fileno())
                )
                async with doors:
                    yield app

    async def quiet(self, app: App) -> None:
        """Wait until every webhook was taken and read."""
        await self.salon.quiet()
        await self.reviews.quiet()
        await app.engine.idle()

    async def pass_(self, app: App | None = None) -> dict:
        """One full pass, in a process of its own unless one is given."""
        if app is not None:
            return await sync(app)
        async with self.app() as fresh:
            return await sync(fresh)

    async def arm(self, *routes: str) -> None:
        async with self.app() as app:
            await app.db.transaction(lambda tx: [arm(tx, app, name) for name in routes])

    def writes(self) -> list:
        """The writes that NiceJob has received, token requests apart."""
        return [call for call in self.reviews.calls(method="POST") if call.path.startswith("/v2/")]

    def bookings(self) -> list[dict]:
        return self.reviews.rows(100_000)["bookings"]

    def people(self) -> list[dict]:
        return self.reviews.rows(100_000)["people"]


def arm(tx: Tx, app: App, name: str) -> None:
    from state import cursors

    cursors.arm(tx, name, now=app.ms(), since=None)


@asynccontextmanager
async def harbour(folder: Path, routes: str = REVIEWS, **options):
    salon, reviews = BookatuSandbox(), NiceJobSandbox(**options)
    company = reviews.add_company("Parnell Nails")
    async with serve(salon) as salon_url, serve(reviews) as reviews_url:
        yield Harbour(folder, salon, salon_url, reviews, reviews_url, company, routes)
