"""Probing a NearbyAssist whose words are others: what is suggested makes the connection work."""

import json

import pytest

from connectors.errors import BadAnswer, NeedsHuman
from connectors.nearbyassist.connector import NearbyAssist
from connectors.sandbox import serve
from daemon.commands.probe import merged
from mapping.model import Kind
from tests.contract import nearbyassist_fixture as its
from tests.contract.surround import NOW, everything, raised, surroundings

BOOKINGS, REVIEWS = Kind.BOOKINGS, Kind.REVIEWS
SNAKES = {
    "bookings": "appointments",
    "reviews": "results",
    "total": "count",
    "id": "uid",
    "startTime": "starts_at",
    "endTime": "ends_at",
    "serviceId": "service_id",
    "serviceName": "service_name",
    "staffId": "staff_id",
    "customer": "client",
    "firstName": "first_name",
    "lastName": "last_name",
    "phone": "phone_number",
    "price": "amount",
    "notes": "note",
    "externalRef": "external_reference",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "bookingId": "booking_id",
    "rating": "stars",
    "comment": "text",
    "author": "reviewer",
}
CAMELS = {
    "bookings": "items",
    "status": "state",
    "startTime": "startsAt",
    "endTime": "endsAt",
    "customer": "guest",
    "email": "emailAddress",
    "firstName": "givenName",
    "lastName": "familyName",
}
WORDS = {"confirmed": "booked", "cancelled": "canceled", "no_show": "noshow"}
MOVED = {
    its.LISTS[BOOKINGS]: "/api/partner/bookings",
    its.LISTS[REVIEWS]: "/api/partner/reviews",
}


@pytest.mark.parametrize(
    ("rename", "moved"), [(SNAKES, {}), (CAMELS, {}), (SNAKES, MOVED)], ids=["snakes", "camels", "moved"]
)
async def test_what_is_suggested_makes_the_connection_work(rename, moved):
    box = its.sandbox(rename=rename, status_words=WORDS, moved=moved)
    box.set_clock(NOW)
    box.seed(bookings=12, reviews=5)
    done, off = list(box.business.bookings)[:2]
    box.no_show(done)
    box.cancel(off)
    async with serve(box) as url:
        blind = NearbyAssist("mine", its.settings(box, url), surroundings(box))
        await raised(blind.pull(BOOKINGS, None), BadAnswer, NeedsHuman)
        looks = await blind.probe()
        await blind.aclose()
        suggested = merged(look.settings for look in looks)
        told = str(looks)
        assert "@example.com" not in told
        assert not any(
            guest.last_name in told for guest in box.business.customers.values() if guest.last_name
        )
        assert {call.method for call in box.requests} == {"GET"}
        plain = json.loads(json.dumps(suggested))
        ferry = NearbyAssist("mine", its.settings(box, url, **plain), surroundings(box))
        bookings = {seen.ref: seen for seen in await everything(ferry, BOOKINGS)}
        reviews = await everything(ferry, REVIEWS)
        again = await ferry.probe()
        await ferry.aclose()
    assert set(bookings) == set(box.business.bookings)
    for ref, row in box.business.bookings.items():
        fields, guest = bookings[ref].fields, box.business.customers[row.customer_id]
        assert (fields.starts, fields.ends, fields.status) == (row.start, row.end, row.status)
        assert (fields.title, fields.service, fields.staff) == (
            row.service_name,
            row.service_id,
            (row.staff_id,),
        )
        assert fields.amount.minor == row.price * 100
        (who,) = bookings[ref].embedded
        assert who.ref == guest.id
        assert (who.fields.email, who.fields.phone) == (guest.email, guest.phone)
        assert (who.fields.first_name, who.fields.last_name) == (guest.first_name, guest.last_name)
    assert {seen.ref for seen in reviews} == set(box.business.reviews)
    assert all(seen.fields.rating and seen.fields.comment and seen.fields.author_email for seen in reviews)
    assert not any(look.settings or look.notes for look in again), "nothing is left to be said"


async def test_a_connection_that_fits_gets_no_advice():
    box = its.sandbox()
    box.seed(bookings=3, reviews=3)
    async with serve(box) as url:
        ferry = NearbyAssist("mine", its.settings(box, url), surroundings(box))
        looks = await ferry.probe()
        await ferry.aclose()
    assert [look.status for look in looks] == [200, 200]
    assert not any(look.settings or look.notes for look in looks)
    assert "bookings[].customer.email: an e-mail address" in looks[0].shape


async def test_what_cannot_be_seen_is_said():
    box = its.sandbox()
    box.seed(bookings=1)
    async with serve(box) as url:
        ferry = NearbyAssist("mine", its.settings(box, url), surroundings(box))
        box.keys[box.api_key].scopes = frozenset({"bookings:read"})
        box.fault("error", "GET", "bookings$", status=200, body={"surprise": {"a": 1}})
        bookings, reviews = await ferry.probe()
        assert bookings.notes == ("there is no list in it",)
        assert "reviews:read" in reviews.notes[0]
        box.fault("error", "GET", "bookings$", status=200, body=its.listing(BOOKINGS, []))
        assert "the list is empty" in (await ferry.probe())[0].notes[0]
        row = {"id": "b", "startTime": its.OPENING, "status": "zzz"}
        box.fault("error", "GET", "bookings$", status=200, body=its.listing(BOOKINGS, [row]))
        assert "'zzz'" in (await ferry.probe())[0].notes[0]
        await ferry.aclose()
