"""Bookatu's stand-in against the sentences of its document: webhooks."""

import hashlib
import hmac
import re
import time

import httpx
import pytest
from bookatu_shop import ANNA, BRIDAL, GEL, OPENING, TAMA, wish, with_hook

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.sandbox import instant

pytestmark = pytest.mark.speaks


async def test_the_four_events_and_their_payloads():
    async with with_hook() as (box, _client, receiver, _):
        guest = box.add_customer("Zoë")
        made = box.create_appointment(GEL, "2026-06-10T21:00:00Z", guest, staff_id=ANNA)
        await box.quiet()
        box.reschedule(made, "2026-06-12T21:00:00Z")
        await box.quiet()
        box.complete(made)
        await box.quiet()
        box.cancel(made)
        await box.quiet()
        bodies = [httpx.Response(200, text=text).json() for text in receiver.texts()]
        ref = box.business().appointments[made].ref
        common = {"id": made, "ref": ref, "service": "Gel Manicure"}
        assert [body["data"] for body in bodies] == [
            {
                **common,
                "startAt": "2026-06-10T21:00:00.000Z",
                "durationMin": 60,
                "priceCents": 7500,
                "status": "confirmed",
            },
            {**common, "startAt": "2026-06-12T21:00:00.000Z", "status": "confirmed"},
            {**common, "startAt": "2026-06-12T21:00:00.000Z", "status": "completed"},
            {**common, "startAt": "2026-06-12T21:00:00.000Z", "status": "cancelled"},
        ]
        names = ["booking.created", "booking.rescheduled", "booking.completed", "booking.cancelled"]
        assert [body["event"] for body in bodies] == names
        assert [headers["x-bookatu-event"] for _, _, headers in receiver.got] == names
        assert all(body["sentAt"].startswith("2026-06-01T03:12:") for body in bodies)
        assert box.messages_to_guests == [], "what staff do is no integration's doing"


async def test_what_has_no_event():
    async with with_hook() as (box, _, receiver, _):
        box.hold_webhooks()
        guest = box.add_customer("A", "a@example.com")
        made = box.create_appointment(BRIDAL, OPENING, guest)
        box.release_webhooks(drop=1)
        box.confirm(made)
        box.edit_appointment(made, notes="x", price_cents=1, staff_id=TAMA)
        box.edit_customer(guest, name="B")
        box.edit_service(BRIDAL, name="Wedding Set")
        box.no_show(made)
        box.delete_customer(guest)
        await box.quiet()
        assert receiver.got == []


async def test_the_signature():
    async with with_hook() as (box, client, receiver, secret):
        assert secret.startswith("whsec_")
        receiver.statuses = [500, 500]
        box.set_clock("2026-06-05T00:00:00Z")
        await client.post("/appointments", json=wish())
        await box.quiet()
        assert len(receiver.got) == 3
        assert len({raw for raw, _, _ in receiver.got}) == 1
        for number, (raw, _, headers) in enumerate(receiver.got, 1):
            stamp, given = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["x-bookatu-signature"]).groups()
            expected = hmac.new(secret.encode(), f"{stamp}.{raw}".encode(), hashlib.sha256).hexdigest()
            assert given == expected
            assert abs(int(stamp) - instant("2026-06-05T00:00:00Z").timestamp()) < 10
            assert headers["x-bookatu-attempt"] == str(number)
            assert headers["user-agent"] == "Bookatu-Webhooks/1"
            assert headers["content-type"] == "application/json"


async def test_signatures_by_the_real_clock_where_wanted():
    async with with_hook(real_signatures=True) as (box, client, receiver, _):
        await client.post("/appointments", json=wish())
        await box.quiet()
        stamp = int(receiver.got[0][2]["x-bookatu-signature"][2:].split(",")[0])
        assert abs(stamp - time.time()) < 10


async def test_three_attempts_within_seconds_and_four_seconds_each():
    assert BookatuSandbox.hook_delays == (0.5, 1.0)
    assert BookatuSandbox.hook_timeout == 4.0


async def test_a_rotated_secret_and_a_removed_endpoint():
    async with with_hook() as (box, client, receiver, old):
        url = box.business().endpoints[0].url
        new = box.rotate_secret(url)
        assert new != old
        await client.post("/appointments", json=wish())
        await box.quiet()
        raw, _, headers = receiver.got[0]
        stamp, given = headers["x-bookatu-signature"][2:].split(",v1=")
        assert given == hmac.new(new.encode(), f"{stamp}.{raw}".encode(), hashlib.sha256).hexdigest()
        box.remove_webhook(url)
        await client.post("/appointments", json=wish())
        await box.quiet()
        assert len(receiver.got) == 1


async def test_strict_urls():
    box = BookatuSandbox(strict_urls=True)
    with pytest.raises(ValueError, match="public https"):
        box.add_webhook("http://127.0.0.1:8000/hook")
    assert box.add_webhook("https://hooks.example.com/x").startswith("whsec_")
