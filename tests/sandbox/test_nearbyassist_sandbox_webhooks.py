"""NearbyAssist's stand-in against the sentences of its page: webhooks."""

import hashlib
import hmac
import json

import pytest
from nearby_shop import ANNA, BOOKINGS, OPENING, wish, with_hook

from connectors.nearbyassist.sandbox import NearbyAssistSandbox

pytestmark = pytest.mark.speaks


def events(receiver):
    return [(body["event"], body["data"]["id"]) for body in map(json.loads, receiver.texts())]


async def test_the_events_of_bookings_and_reviews():
    async with with_hook() as (box, _client, receiver, _):
        pending = box.create_booking(OPENING, status="pending")
        await box.quiet()
        assert receiver.got == [], "only a confirmed one has an event"
        for act in (box.confirm, box.complete, box.no_show, box.cancel):
            act(pending)
            await box.quiet()
        box.edit_booking(pending, notes="x", price=1)
        box.delete_booking(pending)
        review = box.add_review(5)
        await box.quiet()
        box.edit_review(review, rating=1)
        box.announce("message.received", text="Hello")
        await box.quiet()
        names = ["created", "updated", "updated", "cancelled"]
        assert events(receiver)[:5] == [
            *((f"booking.{name}", pending) for name in names),
            ("review.created", review),
        ]
        assert json.loads(receiver.texts()[5])["event"] == "message.received"
        assert len(receiver.got) == 6
        assert box.messages_to_guests == [], "what staff do is no integration's doing"


async def test_writes_over_the_api_have_events_too():
    async with with_hook() as (box, client, receiver, _):
        made = (await client.post(BOOKINGS, json=wish(staffId=ANNA))).json()["booking"]["id"]
        await box.quiet()
        await client.patch(f"{BOOKINGS}/{made}", json={"notes": "x"})
        await client.patch(f"{BOOKINGS}/{made}", json={"startTime": "2026-06-12T21:00:00Z"})
        await box.quiet()
        await client.post(f"{BOOKINGS}/{made}/cancel")
        await box.quiet()
        assert events(receiver) == [(f"booking.{name}", made) for name in ("created", "updated", "cancelled")]


@pytest.mark.parametrize("printed", [False, True], ids=["as-signed", "printed-anew"])
async def test_the_signature_is_that_of_the_pages_sample(printed):
    async with with_hook(sign_printed=printed) as (box, _, receiver, secret):
        box.create_booking(OPENING, notes="Zoë", price=75.0)
        await box.quiet()
        ((raw, _, headers),) = receiver.got
        compact = json.dumps(json.loads(raw), separators=(",", ":"), ensure_ascii=False)
        signature = hmac.new(secret.encode(), compact.encode(), hashlib.sha256).hexdigest()
        assert headers["x-nearbyassist-signature"] == signature
        assert (raw == compact) is not printed
        assert set(json.loads(raw)) == {"event", "timestamp", "data"}


async def test_deliveries_are_repeated():
    async with with_hook() as (box, _, receiver, _secret):
        receiver.statuses = [500, 503]
        box.create_booking(OPENING)
        await box.quiet()
        assert len(receiver.got) == 3
        assert len({raw for raw, _, _ in receiver.got}) == 1


async def test_a_rotated_secret_and_a_removed_endpoint():
    async with with_hook() as (box, _, receiver, old):
        url = box.business.endpoints[0].url
        new = box.rotate_secret(url)
        assert new != old
        box.create_booking(OPENING)
        await box.quiet()
        raw, _, headers = receiver.got[0]
        signature = hmac.new(new.encode(), raw.encode(), hashlib.sha256).hexdigest()
        assert headers["x-nearbyassist-signature"] == signature
        box.remove_webhook(url)
        box.create_booking(OPENING)
        await box.quiet()
        assert len(receiver.got) == 1
        with pytest.raises(LookupError):
            box.rotate_secret(url)


async def test_held_doubled_and_lost():
    async with with_hook() as (box, _, receiver, _secret):
        box.hold_webhooks()
        for _ in range(4):
            box.create_booking(OPENING)
        box.release_webhooks("reversed", duplicate=1, drop=1, seed=3)
        await box.quiet()
        assert len(receiver.got) == 4
        assert len(set(receiver.texts())) == 3


async def test_strict_urls():
    box = NearbyAssistSandbox(strict_urls=True)
    with pytest.raises(ValueError, match="public https"):
        box.add_webhook("http://127.0.0.1:8000/hook")
    assert box.add_webhook("https://hooks.example.com/x").startswith("whsec_")
