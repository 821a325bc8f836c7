"""NearbyAssist's bookings, and the customers inside them, on their way to NiceJob, over real HTTP."""

import os
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from connectors.nearbyassist.sandbox import NearbyAssistSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.sandbox import iso, serve
from daemon.app import PLATFORMS, opened
from daemon.doors import hook_app, listening
from daemon.passes import sync
from mapping.config import Door
from mapping.load import load
from state import cursors
from state.tokens import new_key

ROUTE = "visits"
CONFIG = """
connections:
  market: {{platform: nearbyassist, api_key: "{key}", base_url: "{market}", webhook_secret: "{secret}", rate: 100000/m}}
  reviews: {{platform: nicejob, client_id: nj_client_sandbox, client_secret: nj_secret_sandbox,
            refresh_token: "{token}", base_url: "{reviews}", rate: 100000/m}}
routes:
  - {{name: visits, from: market.bookings, to: reviews.bookings, set: {{tags: ["market"]}}, notify: allow}}
"""


class Market:
    def __init__(self, folder, market, reviews, urls, company):
        self.market, self.reviews = market, reviews
        self.path, self.key = folder / "bookferry.db", new_key()
        self.secret = market.add_webhook("http://127.0.0.1:9/hooks/market")
        token = company.refresh_token
        text = CONFIG.format(
            key=market.api_key, market=urls[0], reviews=urls[1], token=token, secret=self.secret
        )
        self.config = load(
            text,
            name="bookferry.yaml",
            platforms=PLATFORMS,
            env=os.environ,
            read_file=str,
            credential=lambda _: None,
        )

    @asynccontextmanager
    async def app(self):
        now = lambda: self.market.now().timestamp()  # noqa: E731
        async with opened(self.config, self.path, self.key, now=now, settle_ms=0) as app:
            yield app

    async def pass_(self):
        async with self.app() as app:
            return await sync(app)

    async def arm(self):
        async with self.app() as app:
            await app.db.transaction(lambda tx: cursors.arm(tx, ROUTE, now=app.ms(), since=None))

    def there(self, table):
        return self.reviews.rows(1000)[table]

    def book(self, days=3, **more):
        guest = self.market.add_customer("Ann", "Example", "ann@example.com", "+64 21 555 0100")
        when = self.market.now() + timedelta(days=days, hours=1)
        return self.market.create_booking(iso(when), guest, staff_id="stf_abc", **more)


@asynccontextmanager
async def market(folder, **options):
    shop, reviews = NearbyAssistSandbox(retry_scale=0, **options), NiceJobSandbox()
    company = reviews.add_company("Parnell Nails")
    async with serve(shop) as shop_url, serve(reviews) as reviews_url:
        yield Market(folder, shop, reviews, (shop_url, reviews_url), company)


async def test_history_stays_and_a_new_booking_brings_its_customer(tmp_path):
    async with market(tmp_path) as port:
        port.market.seed(bookings=130, reviews=5)
        assert (await port.pass_())["changes"] >= 130
        await port.arm()
        assert (await port.pass_())["writes"] == 0
        port.book()
        done = await port.pass_()
        assert (done["writes"], done["parked"], done["problems"]) == (2, 0, {})
        (person,), (booking,) = port.there("people"), port.there("bookings")
        assert (person["first_name"], person["email"]) == ("Ann", "ann@example.com")
        assert booking["person_ids"] == [person["id"]]
        assert booking["amount"] == 75
        again = await port.pass_()
        assert (again["writes"], again["changes"]) == (0, 0)


@pytest.mark.speaks
async def test_a_completed_visit_asks_for_one_review_and_a_cancelled_one_for_none(tmp_path):
    async with market(tmp_path) as port:
        await port.pass_()
        await port.arm()
        visit, off = port.book(days=0), port.book(days=1)
        await port.pass_()
        port.market.advance(3 * 3600)
        port.market.complete(visit)
        port.market.cancel(off)
        done = await port.pass_()
        assert done["parked"] == 0
        assert sorted(row["complete"] for row in port.there("bookings")) == [False, True]
        assert len(port.reviews.enrolments) == 1
        assert (await port.pass_())["writes"] == 0


async def test_absence_cancels_nothing(tmp_path):
    async with market(tmp_path) as port:
        await port.pass_()
        await port.arm()
        refs = [port.book(days=day) for day in range(1, 5)]
        await port.pass_()
        port.market.delete_booking(refs[0])
        for _ in range(4):
            assert (await port.pass_())["changes"] == 0


async def test_a_hint_is_fetched_a_replay_changes_nothing_and_what_is_private_is_not_kept(tmp_path):
    async with market(tmp_path) as port:
        await port.pass_()
        port.market.hold_webhooks()
        made = port.book()
        port.market.announce("message.received", text="Planted words of a guest")
        port.market.announce("story.told")
        signed = [delivery.build(1) for delivery in port.market.deliveries]
        async with (
            port.app() as app,
            listening(hook_app(app), Door("127.0.0.1", 0), label="server.hooks") as address,
            httpx.AsyncClient(verify=False) as client,
        ):
            url = f"http://{address}/hooks/market"
            for body, headers in signed * 3:
                assert (await client.post(url, content=body, headers=headers)).status_code == 200
                await app.engine.idle()
            forged = signed[0][1] | {"X-NearbyAssist-Signature": "0" * 64}
            assert (await client.post(url, content=signed[0][0], headers=forged)).status_code == 401
            rows = await app.db.read(lambda tx: tx.rows("SELECT state, body FROM inbox ORDER BY id"))
            journal = await app.db.read(lambda tx: tx.rows("SELECT * FROM journal"))
        assert [row["state"] for row in rows] == ["done", "ignored"]
        assert not any(b"Planted" in row["body"] for row in rows)
        assert len(journal) == 2, "the booking and its customer, once"
        assert len(port.market.calls("GET", f"/bookings/{made}$")) == 3
