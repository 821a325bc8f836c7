"""Nowistay's stays on their way to NiceJob, and its webhooks through the real door, over real HTTP."""

import asyncio
import os
import socket
from contextlib import asynccontextmanager

from connectors.budget import Lane
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.nowistay.sandbox import NowistaySandbox
from connectors.sandbox import serve
from daemon.app import PLATFORMS, opened
from daemon.commands.hooks import _do
from daemon.doors import hook_app, listening
from daemon.passes import sync
from daemon.service import ensure_hooks
from mapping.config import Door
from mapping.load import load
from mapping.model import Kind
from state import cursors, ledger, tokens
from state.tokens import new_key

YAML = """
server: {{public_url: "{public}"}}
connections:
  villa: {{platform: nowistay, client_id: client_sandbox, client_secret: nis_client_secret_sandbox0000,
          refresh_token: "{villa_token}", base_url: "{villa}", rate: 100000/m}}
  reviews: {{platform: nicejob, client_id: nj_client_sandbox, client_secret: nj_secret_sandbox,
            refresh_token: "{reviews_token}", base_url: "{reviews}", rate: 100000/m}}
routes:
  - {{name: stays, from: villa.bookings, to: reviews.bookings, set: {{tags: ["nowistay"]}}}}
"""


class Quay:
    """Both platforms, and one bookferry between them."""

    def __init__(self, folder, villa, reviews, config):
        self.villa, self.reviews, self.config = villa, reviews, config
        self.path, self.key = folder / "bookferry.db", new_key()

    def app(self):
        return opened(self.config, self.path, self.key, now=lambda: self.villa.now().timestamp(), settle_ms=0)

    async def person(self, app, ref):
        record = await app.db.read(lambda tx: ledger.find(tx, "villa", Kind.PEOPLE, f"booking:{ref}"))
        return dict(record.fields) if record else None


class Watched:
    """A connector, and the lanes in which details were asked for."""

    def __init__(self, connector):
        self._connector, self.lanes = connector, []

    def __getattr__(self, name):
        return getattr(self._connector, name)

    async def fetch(self, kind, ref, lane=Lane.HOOK):
        self.lanes.append(lane)
        return await self._connector.fetch(kind, ref, lane)


@asynccontextmanager
async def quay(folder, public="http://127.0.0.1:9"):
    villa, reviews = NowistaySandbox(retry_scale=0), NiceJobSandbox()
    villa.add_property()
    company = reviews.add_company("Lilas")
    async with serve(villa) as villa_url, serve(reviews) as reviews_url:
        text = YAML.format(
            public=public,
            villa=villa_url,
            reviews=reviews_url,
            villa_token=next(iter(villa.refresh_tokens)),
            reviews_token=company.refresh_token,
        )
        config = load(
            text, name="x.yaml", platforms=PLATFORMS, env={}, read_file=str, credential=lambda _: None
        )
        yield Quay(folder, villa, reviews, config)


async def test_a_stay_reaches_nicejob_with_its_guest_and_only_once(tmp_path):
    async with quay(tmp_path) as port, port.app() as app:
        port.villa.seed(bookings=102)  # more than a page, and fewer details than a minute may have
        await sync(app)
        await app.db.transaction(lambda tx: cursors.arm(tx, "stays", now=app.ms(), since=None))
        ref = port.villa.add_booking(guestName="Zoë Müller", amount="620.00")
        done = await sync(app)
        assert (done["problems"], done["parked"]) == ({}, 0)
        (booking,) = port.reviews.company().tables["bookings"].rows.values()
        assert (booking["name"], booking["amount"]) == ("Lilas Apartment", 620)
        assert await port.person(app, ref) == {"full_name": "Zoë Müller"}
        again = await sync(app)
        assert (again["writes"], again["changes"]) == (0, 0)


async def test_a_restart_goes_on_with_the_rotated_token(tmp_path):
    async with quay(tmp_path) as port:
        for _ in range(3):
            async with port.app() as app:
                assert (await sync(app))["problems"] == {}
            port.villa.advance(4000)
        assert len(port.villa.refresh_tokens) == 1


async def test_webhooks_are_made_for_each_property_sealed_and_lead_to_the_whole_guest(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as held:
        public = f"http://127.0.0.1:{held.getsockname()[1]}"
        async with quay(tmp_path, public) as port, port.app() as app:
            port.villa.add_property("B")
            await ensure_hooks(app, public)
            sealed = await app.db.read(lambda tx: tokens.names(tx, "hook:villa:"))
            assert sealed == sorted(f"hook:villa:{ref}" for ref in port.villa.tables.hooks)
            assert len(sealed) == 2
            door = listening(
                hook_app(app), Door("127.0.0.1", 0), label="server.hooks", fd=os.dup(held.fileno())
            )
            async with door:
                ref = port.villa.add_booking(
                    propertyId=102, guestName="Zoë", guestEmail="z@example.com", smartLockCode="4711"
                )
                await port.villa.quiet()
                await app.engine.idle()
            assert [delivery.state for delivery in port.villa.deliveries] == ["delivered"]
            assert (await port.person(app, ref))["email"] == "z@example.com"
            assert b"4711" not in port.path.read_bytes()


async def test_an_end_waits_for_one_webhook_and_not_for_all(tmp_path):
    async with quay(tmp_path) as port, port.app() as app:
        port.villa.seed(properties=20)
        ended = asyncio.Event()
        ended.set()
        await ensure_hooks(app, "http://127.0.0.1:9", ended)
        assert len(port.villa.tables.hooks) == 1
        assert len(await app.hook_secrets("villa")) == 1


async def test_a_thin_list_after_a_full_detail_clears_nothing(tmp_path):
    async with quay(tmp_path) as port, port.app() as app:
        ref = port.villa.add_booking(guestName="Zoë", guestEmail="z@example.com")
        await sync(app)
        seen = await app.connectors["villa"].fetch(Kind.BOOKINGS, str(ref))
        await app.db.transaction(
            lambda tx: ledger.observe(tx, "villa", Kind.BOOKINGS, [seen], now=app.ms(), region=None)
        )
        port.villa.advance(60)
        port.villa.update_booking(ref, guestName="Zoë M.")
        await sync(app)
        shown = await port.person(app, ref)
        assert (shown["full_name"], shown["email"]) == ("Zoë M.", "z@example.com")


async def test_the_hooks_command_works_where_each_property_has_its_own(tmp_path):
    async with quay(tmp_path) as port, port.app() as app:
        port.villa.add_property("B")
        made = await _do(app, "villa", "ensure", None)
        assert [row["state"] for row in made] == ["enabled", "enabled"]
        rotated = await _do(app, "villa", "rotate", None)
        assert [row["state"] for row in rotated] == [
            "enabled, new",
            "enabled, older: delete it once the new one delivers",
        ] * 2
        assert len(await app.hook_secrets("villa")) == 4
        for row in made:
            await _do(app, "villa", "delete", row["id"])
        assert len(await _do(app, "villa", "list", None)) == 2
        assert len(await app.hook_secrets("villa")) == 2


async def test_a_list_without_contact_data_is_completed_by_the_details_of_what_is_new_and_not_over(tmp_path):
    async with quay(tmp_path) as port, port.app() as app:
        ref = port.villa.add_booking(
            guestName="Zoë", guestEmail="z@example.com", arrival="2031-07-14", departure="2031-07-18"
        )
        port.villa.add_booking(
            guestName="Gone", guestEmail="g@example.com", arrival="2020-01-01", departure="2020-01-03"
        )
        watched = app.connectors["villa"] = Watched(app.connectors["villa"])
        await sync(app)
        assert (await port.person(app, ref))["email"] == "z@example.com"
        details = [call.path for call in port.villa.calls("GET", r"/v1/bookings/\d+$")]
        assert details == [f"/public/v1/bookings/{ref}"]
        assert watched.lanes == [Lane.POLL], "it gets in the way of no webhook and no write"
        port.villa.clear_requests()
        port.villa.advance(60)
        again = await sync(app)
        assert again["changes"] == 0
        assert not port.villa.calls("GET", r"/v1/bookings/\d+$")
        port.villa.update_booking(ref, guestEmail="zoe@example.com", adults=3)
        await sync(app)
        assert (await port.person(app, ref))["email"] == "zoe@example.com"
