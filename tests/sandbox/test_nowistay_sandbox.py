"""Nowistay's stand-in against the sentences of its document: lists, bookings, custom fields, missions."""

import pytest
from nowistay_host import V1, nowistay, refused

pytestmark = pytest.mark.speaks


async def test_properties_in_the_documented_envelope():
    async with nowistay() as (_, client):
        answer = (await client.get(f"{V1}/properties")).json()
        assert answer["pagination"] == {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1}
        (row,) = answer["data"]
        assert {"id", "name", "propertyType", "capacity", "checkInTime", "checkOutTime", "address"} == set(
            row
        )
        assert (row["id"], row["checkInTime"], row["checkOutTime"]) == (101, "16:00:00", "11:00:00")
        assert row["address"]["timezone"] == "Europe/Paris"


async def test_limit_and_offset():
    async with nowistay() as (box, client):
        box.seed(bookings=120)
        got = []
        for offset in (0, 50, 100, 150):
            answer = (await client.get(f"{V1}/bookings", params={"limit": 50, "offset": offset})).json()
            assert answer["pagination"]["totalItems"] == 120
            assert answer["pagination"]["totalPages"] == 3
            got += [row["id"] for row in answer["data"]]
        assert got == sorted(box.tables.bookings, reverse=True)
        for bad in ({"limit": 101}, {"limit": 0}, {"offset": -1}, {"limit": "x"}):
            refused(await client.get(f"{V1}/bookings", params=bad), 422, "validation_error")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, {1, 2, 3, 4}),
        ({"propertyId": "102"}, {4}),
        ({"status": "cancelled"}, {2}),
        ({"channel": "airbnb"}, {3}),
        ({"fromDate": "2026-07-10"}, {2, 3, 4}),
        ({"toDate": "2026-07-10"}, {1, 2}),
        ({"propertyId": "101", "status": "confirmed", "fromDate": "2026-07-10", "toDate": "2026-07-31"}, {3}),
    ],
    ids=["all", "property", "status", "channel", "from", "to", "all-filters"],
)
async def test_filters(query, shown):
    async with nowistay() as (box, client):
        box.add_property("B")
        box.add_booking(arrival="2026-07-01", departure="2026-07-05")
        box.add_booking(arrival="2026-07-08", departure="2026-07-12", status="cancelled")
        box.add_booking(arrival="2026-07-20", departure="2026-07-25", channel="airbnb")
        box.add_booking(arrival="2026-08-01", departure="2026-08-05", propertyId=102)
        rows = (await client.get(f"{V1}/bookings", params=query)).json()["data"]
        assert {row["id"] - 9000 for row in rows} == shown


async def test_cancelled_ones_may_be_hidden_unless_asked_for():
    async with nowistay(hides_cancelled=True) as (box, client):
        box.cancel_booking(box.add_booking())
        assert (await client.get(f"{V1}/bookings")).json()["data"] == []
        assert len((await client.get(f"{V1}/bookings?status=cancelled")).json()["data"]) == 1


async def test_contact_data_in_the_detail_and_with_its_scope_alone():
    async with nowistay() as (box, client):
        ref = box.add_booking(
            guestName="Zoë", guestEmail="z@example.com", guestPhone="+33199001234", smartLockCode="1"
        )
        secret = {"guestEmail", "guestPhone", "guestAddress", "smartLockCode"}
        (row,) = (await client.get(f"{V1}/bookings")).json()["data"]
        assert row["guestName"] == "Zoë"
        assert not secret & set(row)
        assert secret <= set((await client.get(f"{V1}/bookings/{ref}")).json())
        box.grant_only("bookings.read")
        assert not secret & set((await client.get(f"{V1}/bookings/{ref}")).json()), "omitted, not null"


async def test_an_update_is_silent_unless_it_says_otherwise():
    async with nowistay() as (box, client):
        ref = box.add_booking(arrival="2026-07-14", departure="2026-07-18")
        body = {
            "arrival": "2026-07-15",
            "adults": 3,
            "children": 1,
            "amount": "620.00",
            "currency": "EUR",
            "notes": "Cot",
        }
        for silent in ({}, {"silent": True}):
            answer = await client.patch(f"{V1}/bookings/{ref}", json=body | silent)
            assert (answer.status_code, answer.json()["amount"]) == (200, "620.00")
        assert (box.guest_messages, box.calendar_pushes) == ([], [])
        await client.patch(f"{V1}/bookings/{ref}", json={"adults": 1, "silent": False})
        assert (len(box.guest_messages), len(box.calendar_pushes)) == (1, 0)
        await client.patch(f"{V1}/bookings/{ref}", json={"arrival": "2026-07-16", "silent": False})
        assert (len(box.guest_messages), len(box.calendar_pushes)) == (2, 1)
        assert box.calendar_pushes[0]["arrival"] == "2026-07-16"


@pytest.mark.parametrize("channel", ["airbnb", "booking", "vrbo", "expedia"])
async def test_ota_bookings_are_read_only(channel):
    async with nowistay() as (box, client):
        ref = box.add_booking(channel=channel)
        before = dict(box.tables.bookings[ref])
        refused(await client.patch(f"{V1}/bookings/{ref}", json={"adults": 1}), 422, "booking_read_only")
        assert box.tables.bookings[ref] == before


@pytest.mark.parametrize(
    "body",
    [
        {"arrival": "2026-07-13T22:00:00Z"},
        {"arrival": "2026-13-01"},
        {"arrival": "2026-07-18", "departure": "2026-07-18"},
        {"amount": 620},
        {"amount": "620,00"},
        {"currency": "eur"},
        {"adults": -1},
        {"adults": True},
        {"silent": "yes"},
        {"status": "cancelled"},
        {"guestEmail": "z@example.com"},
        {"customParameters": {"unheard_of": "x"}},
        {"customParameters": []},
        [],
    ],
    ids=str,
)
async def test_what_an_update_does_not_take(body):
    async with nowistay() as (box, client):
        ref = box.add_booking()
        refused(await client.patch(f"{V1}/bookings/{ref}", json=body), 422, "validation_error")
        assert not box.calls("PATCH", applied=True)


async def test_errors_that_are_not_of_a_field():
    async with nowistay() as (box, client):
        ref = box.add_booking()
        refused(await client.patch(f"{V1}/bookings/{ref}", content=b"{"), 400, "bad_request")
        refused(await client.get(f"{V1}/bookings/1"), 404, "not_found")
        refused(await client.get(f"{V1}/bookings/x"), 404, "not_found")
        refused(await client.post(f"{V1}/bookings", json={}), 405, "error_405")
        refused(await client.delete(f"{V1}/bookings/{ref}"), 405, "error_405")
        refused(await client.get(f"{V1}/nothing"), 404, "error_404")


async def test_custom_fields():
    async with nowistay() as (box, client):
        body = {"key": "external_status", "name": "External status"}
        assert (await client.post(f"{V1}/booking-parameters", json=body)).status_code == 201
        refused(await client.post(f"{V1}/booking-parameters", json=body), 409, "conflict")
        for key in ("Status", "1st", "a-b", "", "x" * 41):
            said = refused(
                await client.post(f"{V1}/booking-parameters", json=body | {"key": key}),
                422,
                "validation_error",
            )
            assert "lowercase snake_case" in said
        ref = box.add_booking()
        for value, kept in (("ready", {"external_status": "ready"}), (None, {})):
            answer = await client.patch(
                f"{V1}/bookings/{ref}", json={"customParameters": {"external_status": value}}
            )
            assert answer.json()["customParameters"] == kept
        assert [row["key"] for row in (await client.get(f"{V1}/booking-parameters")).json()["data"]] == [
            "external_status"
        ]


async def test_missions():
    async with nowistay() as (box, client):
        member, ref = box.add_team_member(), box.add_booking()
        body = {
            "propertyId": 101,
            "bookingId": ref,
            "missionType": "cleaning",
            "title": "Checkout cleaning",
            "scheduledAt": "2026-07-18T11:30:00Z",
            "timezone": "Europe/Paris",
            "assignedTeamMemberId": member,
        }
        made = await client.post(f"{V1}/missions", json=body)
        assert made.status_code == 201
        assert body.items() <= (made.json() | {"scheduledAt": "2026-07-18T11:30:00Z"}).items()
        path = f"{V1}/missions/{made.json()['id']}"
        assert (await client.patch(path, json={"title": "Linen"})).json()["title"] == "Linen"
        for wrong in (
            {"propertyId": 9},
            {"bookingId": 9},
            {"assignedTeamMemberId": 9},
            {"timezone": "Mars/X"},
        ):
            refused(await client.patch(path, json=wrong), 422, "validation_error")
        refused(await client.post(f"{V1}/missions", json={"title": "x"}), 422, "validation_error")
        assert len((await client.get(f"{V1}/missions")).json()["data"]) == 1
        assert (await client.get(f"{V1}/team-members")).json()["data"][0]["id"] == member


async def test_the_activity_of_a_property():
    async with nowistay() as (box, client):
        box.add_property("B")
        for _ in range(5):
            box.add_booking()
        box.add_booking(propertyId=102)
        box.add_mission()
        rows = (await client.get(f"{V1}/properties/101/activity?limit=20")).json()["data"]
        assert [row["category"] for row in rows] == ["mission", *["booking"] * 5]
        assert len((await client.get(f"{V1}/properties/101/activity?limit=2")).json()["data"]) == 2
        refused(await client.get(f"{V1}/properties/999/activity"), 404, "not_found")


async def test_what_is_not_subscribed_is_not_shown():
    async with nowistay() as (box, client):
        ref = box.add_booking()
        box.lapse(101)
        assert (await client.get(f"{V1}/properties")).json()["data"] == []
        assert (await client.get(f"{V1}/bookings")).json()["data"] == []
        refused(await client.get(f"{V1}/bookings/{ref}"), 404, "not_found")
        box.lapse(101, on=False)
        assert (await client.get(f"{V1}/bookings/{ref}")).status_code == 200
        box.subscribe(on=False)
        refused(await client.get(f"{V1}/properties"), 403, "entitlement_required")


async def test_limits_are_per_route_and_say_nothing_of_when():
    async with nowistay() as (box, client):
        ref = box.add_booking()
        for _ in range(120):
            assert (await client.get(f"{V1}/bookings")).status_code == 200
        answer = await client.get(f"{V1}/bookings")
        assert refused(answer, 429, "rate_limit_exceeded") == "Rate limit exceeded"
        assert "retry-after" not in answer.headers
        assert (await client.get(f"{V1}/bookings/{ref}")).status_code == 200, "another route"
        for _ in range(30):
            await client.patch(f"{V1}/bookings/{ref}", json={"adults": 1})
        refused(await client.patch(f"{V1}/bookings/{ref}", json={"adults": 1}), 429, "rate_limit_exceeded")
        box.advance(61)
        assert (await client.get(f"{V1}/bookings")).status_code == 200


async def test_the_control_surface():
    async with nowistay() as (_, client):
        seeded = (
            await client.post("/_sandbox/seed", json={"properties": 2, "bookings": 5, "team": 1})
        ).json()
        assert seeded["result"]["bookings"] == 5
        made = (await client.post("/_sandbox/act/add_booking", json={"guestName": "Zoë"})).json()["result"]
        assert (
            await client.post("/_sandbox/act/guest_cancels", json={"booking_id": made})
        ).status_code == 200
        state = (await client.get("/_sandbox/state")).json()["result"]
        assert state["platform"] == "nowistay"
        assert state["rows"]["bookings"][-1]["status"] == "cancelled"
        assert (await client.post("/_sandbox/act/add_booking", json={"adults": "two"})).status_code == 400
        answer = await client.post("/_sandbox/act/grant_only", json={"names": ["bookings.read"]})
        assert answer.status_code == 200
        refused(await client.get(f"{V1}/properties"), 403, "insufficient_scope")
