"""Bookatu's stand-in against the sentences of its document: booking and cancelling."""

from datetime import timedelta

import pytest
from bookatu_shop import ANNA, BRIDAL, EXPRESS, GEL, OPENING, TAMA, bookatu, listed, problem, wish, with_hook

from connectors.sandbox import instant, iso

pytestmark = pytest.mark.speaks

# Booking.


@pytest.mark.parametrize("path", ["/book", "/appointments"])
async def test_booking(path):
    async with bookatu() as (box, client):
        answer = (await client.post(path, json=wish(notes="first visit"))).json()
        row = (await listed(client))[0]
        assert answer == {
            "ok": True,
            "ref": row["ref"],
            "appointmentId": row["id"],
            "status": "confirmed",
            "needsPayment": False,
        }
        assert (row["startAt"], row["notes"], row["serviceName"]) == (OPENING, "first visit", "Gel Manicure")
        assert row["staffId"] in {ANNA, TAMA}
        assert (await client.get("/customers")).json()["customers"] == [
            {
                "id": row["customerId"],
                "name": "Alex Smith",
                "email": "alex@example.com",
                "phone": "+64 21 555 0100",
            }
        ]
        assert [message["kind"] for message in box.messages_to_guests] == ["booking_created"]


@pytest.mark.parametrize("path", ["/book", "/appointments"])
async def test_a_deposit_makes_it_pending(path):
    async with bookatu() as (_, client):
        answer = (await client.post(path, json=wish(serviceId=BRIDAL))).json()
        assert (answer["status"], answer["needsPayment"]) == ("pending", True)
        assert (
            answer["payLink"]
            == f"https://bookatu.com/parnell-nails/book/success?apt={answer['appointmentId']}"
        )
        assert (await listed(client))[0]["status"] == "pending"


@pytest.mark.parametrize("path", ["/book", "/appointments"])
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"serviceId": ...}, "serviceId"),
        ({"startAt": "tomorrow"}, "startAt"),
        ({"startAt": "2026-06-10T09:00:00"}, "startAt"),
        ({"name": " A "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"email": "alex"}, "email"),
        ({"email": ...}, "email"),
        ({"phone": "12345"}, "phone"),
        ({"phone": "+64 21 555 x100"}, "phone"),
        ({"phone": None}, "phone"),
        ({"notes": "x" * 501}, "notes"),
        ({"notes": None}, "notes"),
        ({"staffId": 7}, "staffId"),
    ],
)
async def test_validation_names_the_field(path, change, field):
    async with bookatu() as (box, client):
        body = problem(await client.post(path, json=wish(**change)), 422)
        assert list(body["fieldErrors"]) == [field]
        assert box.counts()["appointments"] == box.counts()["customers"] == 0
        assert box.requests[-1].applied is False


async def test_what_is_not_json_and_what_cannot_be_booked():
    async with bookatu() as (box, client):
        for path in ("/book", "/appointments"):
            problem(await client.post(path, content=b"{", headers={"content-type": "application/json"}), 400)
            problem(await client.post(path, json=wish(serviceId="svc_nope")), 409)
        box.edit_service(GEL, active=False)
        problem(await client.post("/appointments", json=wish()), 409)


async def test_online_bookings_respect_conflicts_hours_and_notice():
    async with bookatu() as (box, client):
        assert (await client.post("/book", json=wish(staffId=ANNA))).status_code == 200
        half_past = iso(instant(OPENING) + timedelta(minutes=30))
        problem(await client.post("/book", json=wish(staffId=ANNA, startAt=half_past)), 409)
        assert (await client.post("/book", json=wish(startAt=half_past))).status_code == 200, (
            "somebody else is free"
        )
        problem(await client.post("/book", json=wish(startAt=half_past)), 409)
        for closed in ("2026-06-09T20:45:00Z", "2026-06-10T05:30:00Z", "2026-06-13T22:00:00Z"):
            problem(await client.post("/book", json=wish(startAt=closed)), 409)
        problem(await client.post("/book", json=wish(startAt="2026-06-01T04:00:00Z")), 409)
        box.advance(-3600)
        assert (await client.post("/book", json=wish(startAt="2026-06-01T04:00:00Z"))).status_code == 200


async def test_admin_bookings_are_stopped_by_the_same_staff_at_the_same_instant_only():
    async with bookatu() as (_, client):
        assert (await client.post("/appointments", json=wish(staffId=ANNA))).status_code == 200
        problem(await client.post("/appointments", json=wish(staffId=ANNA)), 409)
        half_past = iso(instant(OPENING) + timedelta(minutes=30))
        for start in (half_past, "2026-06-14T00:00:00Z", "2026-06-01T03:13:00Z"):
            assert (
                await client.post("/appointments", json=wish(staffId=ANNA, startAt=start))
            ).status_code == 200


async def test_admin_bookings_without_staff_are_doubled_by_a_blind_retry():
    async with bookatu() as (_, client):
        for _ in range(3):
            assert (await client.post("/appointments", json=wish())).status_code == 200
        assert {row["staffId"] for row in await listed(client)} == {ANNA, TAMA, None}


async def test_a_cancelled_booking_frees_its_slot():
    async with bookatu() as (_, client):
        made = (await client.post("/appointments", json=wish(staffId=ANNA))).json()
        await client.post(f"/appointments/{made['appointmentId']}/cancel")
        assert (await client.post("/book", json=wish(staffId=ANNA))).status_code == 200


async def test_customers_are_matched_by_email_then_phone():
    async with bookatu() as (_, client):
        for hour, change in enumerate(
            [
                {},
                {"name": "A. Smith", "email": "ALEX@example.com", "phone": "111 222 333"},
                {"email": "b@example.com"},
            ]
        ):
            start = iso(instant(OPENING) + timedelta(hours=hour))
            await client.post("/appointments", json=wish(startAt=start, **change))
        await client.post("/appointments", json=wish(email="c@example.com", phone="999 999 999"))
        customers = (await client.get("/customers")).json()["customers"]
        assert [row["email"] for row in customers] == ["alex@example.com", "c@example.com"]
        rows = await listed(client)
        assert len({row["customerId"] for row in rows}) == 2
        assert {row["name"] for row in customers} == {"Alex Smith"}, "matching renames nobody"


@pytest.mark.parametrize(
    ("mode", "name"), [(False, "Alex  Smith"), (True, "Alex Smith"), ("harsh", "alex smith")]
)
async def test_a_rewriting_platform(mode, name):
    async with bookatu(normalise=mode) as (_, client):
        body = wish(name=" Alex  Smith ", email="Alex@Example.com", notes=" two  words ")
        await client.post("/appointments", json=body)
        row = (await client.get("/customers")).json()["customers"][0]
        note = (await listed(client))[0]["notes"]
        assert row["name"] == name
        assert row["email"] == ("alex@example.com" if mode else "Alex@Example.com")
        assert row["phone"] == ("+64215550100" if mode else "+64 21 555 0100")
        assert note == ("two words" if mode else " two  words ")


# Cancelling.


async def test_cancelling_is_idempotent_and_unknown_is_400():
    async with with_hook() as (box, client, receiver, _):
        made = (await client.post("/appointments", json=wish())).json()["appointmentId"]
        box.join_waitlist(GEL, "waiting@example.com")
        box.join_waitlist(EXPRESS, "other@example.com")
        for _ in range(2):
            answer = await client.post(f"/appointments/{made}/cancel", json={"reason": "x" * 300})
            assert answer.json() == {"ok": True, "id": made, "forfeited": False}
        await box.quiet()
        assert [headers["x-bookatu-event"] for _, _, headers in receiver.got].count("booking.cancelled") == 1
        assert box.business().appointments[made].cancel_reason == "x" * 200
        told = [(message["kind"], message["email"]) for message in box.messages_to_guests]
        assert told == [
            ("booking_created", "alex@example.com"),
            ("booking_cancelled", "alex@example.com"),
            ("waitlist_offer", "waiting@example.com"),
        ]
        assert [entry.applied for entry in box.calls("POST", "cancel")] == [True, False]
        problem(await client.post("/appointments/apt_nope/cancel"), 400)
        assert await listed(client) == []


async def test_a_completed_booking_cannot_be_cancelled():
    async with bookatu() as (box, client):
        made = box.create_appointment(GEL, OPENING, box.add_customer("A"))
        box.complete(made)
        problem(await client.post(f"/appointments/{made}/cancel"), 400)


@pytest.mark.parametrize(
    ("now", "forfeited"), [("2026-06-08T20:59:00Z", False), ("2026-06-09T20:00:00Z", True)]
)
async def test_a_paid_deposit_is_forfeited_when_it_is_late(now, forfeited):
    async with bookatu() as (box, client):
        made = (await client.post("/appointments", json=wish(serviceId=BRIDAL))).json()["appointmentId"]
        box.confirm(made)
        assert (await listed(client))[0]["status"] == "confirmed"
        box.set_clock(now)
        for _ in range(2):
            answer = await client.post(f"/appointments/{made}/cancel")
            assert answer.json()["forfeited"] is forfeited
