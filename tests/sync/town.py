"""All four sandboxes and a recipe of ``examples/`` between them: what a user would copy, run as it is."""

import os
import re
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.nearbyassist.sandbox import NearbyAssistSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.nowistay.sandbox import NowistaySandbox
from connectors.sandbox import serve
from daemon.app import PLATFORMS, opened
from daemon.doors import hook_app, listening
from daemon.passes import sync
from mapping.config import Door
from mapping.load import load
from state import cursors, outbox
from state.tokens import new_key

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = "2026-07-10T03:12:00Z"
SECRET = "whsec_of_the_recipe_0000000000000000"
TWENTY = [f"{number:02}" for number in range(1, 21)]


def recipe(name):
    return (EXAMPLES / name).read_text()


def loaded(text, env):
    return load(
        text, name="recipe.yaml", platforms=PLATFORMS, env=env, read_file=str, credential=lambda _: None
    )


def at(text, urls):
    """The same configuration with the sandboxes' addresses, which no recipe names."""

    def placed(found):
        keys = f"base_url: {urls[found[3]]}", "rate: 100000/m"
        between = ", " if found[1].strip() == "{" else "\n" + found[1]
        return between.join([f"{found[1]}platform: {found[3]}", *keys])

    return re.sub(r"(?m)(^ +|\{)(platform: )(\w+)", placed, text)


class Town:
    def __init__(self, folder, text):
        self.folder, self.text = folder, text
        self.salon = BookatuSandbox(slug=self.slugs(text))
        self.reviews, self.villa = NiceJobSandbox(), NowistaySandbox(retry_scale=0)
        self.market = NearbyAssistSandbox(retry_scale=0)
        self.boxes = [self.salon, self.reviews, self.villa, self.market]
        self.key, self.urls = new_key(), {}
        self.companies = [self.reviews.add_company(f"Company {number}") for number in TWENTY]
        self.villa.add_property()
        for box in self.boxes:
            box.set_clock(NOW)

    def slugs(self, text):
        return re.findall(r"slug: ([\w-]+)", text) or ["parnell-nails"]

    @property
    def env(self):
        slugs, given = list(self.salon.businesses), {}
        for number, slug, company in zip(TWENTY, slugs * 20, self.companies, strict=False):
            given[f"SALON_{number}_API_KEY"] = self.salon.api_keys[slug]
            given[f"SALON_{number}_WEBHOOK_SECRET"] = SECRET
            given[f"REVIEWS_{number}_REFRESH_TOKEN"] = company.refresh_token
        return given | {
            "BOOKATU_API_KEY": self.salon.api_keys[slugs[0]],
            "BOOKATU_WEBHOOK_SECRET": SECRET,
            "NICEJOB_CLIENT_ID": self.reviews.client_id,
            "NICEJOB_CLIENT_SECRET": self.reviews.client_secret,
            "NICEJOB_REFRESH_TOKEN": self.companies[0].refresh_token,
            "NICEJOB_WEBHOOK_SECRET": SECRET,
            "NEARBYASSIST_API_KEY": self.market.api_key,
            "NEARBYASSIST_WEBHOOK_SECRET": SECRET,
            "NOWISTAY_CLIENT_ID": self.villa.client_id,
            "NOWISTAY_CLIENT_SECRET": self.villa.client_secret,
            "NOWISTAY_REFRESH_TOKEN": next(iter(self.villa.refresh_tokens)),
        }

    @asynccontextmanager
    async def app(self):
        config, path = loaded(at(self.text, self.urls), self.env), self.folder / "bookferry.db"
        now = lambda: self.salon.now().timestamp()  # noqa: E731
        async with opened(config, path, self.key, now=now, settle_ms=0) as app:
            yield app

    async def pass_(self):
        """One full pass in a process of its own; nothing may be parked and nothing may fail."""
        async with self.app() as app:
            done = await sync(app)
            parked = await app.db.read(lambda tx: [each.problem for each in outbox.in_state(tx, "parked")])
        assert (parked, done["parked"], done["problems"]) == ([], 0, {})
        return done

    async def armed(self):
        """Read everything once, then arm every route, as the recipe's head says."""
        assert (await self.pass_())["writes"] == 0
        async with self.app() as app:
            for route in app.config.routes:
                await app.db.transaction(
                    lambda tx, name=route.name: cursors.arm(tx, name, now=app.ms(), since=None)
                )

    async def quiet(self):
        """A second pass writes nothing."""
        for _ in range(2):
            assert (await self.pass_())["writes"] == 0

    def later(self, **span):
        from datetime import timedelta

        for box in self.boxes:
            box.advance(timedelta(**span).total_seconds())

    @asynccontextmanager
    async def door(self, *connections, slug=None):
        """The hook door, and Bookatu sends its webhooks there, signed with the recipe's secret."""
        with socket.create_server(("127.0.0.1", 0)) as held:
            for name in connections:
                url = f"http://127.0.0.1:{held.getsockname()[1]}/hooks/{name}"
                self.salon.add_webhook(url, slug=slug)
                self.salon._endpoint(url, slug).secret = SECRET
            async with self.app() as app:
                door = Door("127.0.0.1", 0)
                async with listening(hook_app(app), door, label="server.hooks", fd=os.dup(held.fileno())):
                    yield app
                    await self.salon.quiet()
                    await app.engine.idle()

    def there(self, number=0):
        """What a company of NiceJob holds."""
        return {
            name: list(table.rows.values())
            for name, table in self.reviews.company(self.companies[number].company_id).tables.items()
        }

    def asked(self):
        """For whom a campaign was started: (company, booking)."""
        return [(row["company_id"], row["booking_id"]) for row in self.reviews.enrolments]


@asynccontextmanager
async def town(folder, name):
    made = Town(folder, recipe(name))
    async with AsyncExitStack() as stack:
        for box in made.boxes:
            made.urls[box.platform] = await stack.enter_async_context(serve(box))
        yield made
