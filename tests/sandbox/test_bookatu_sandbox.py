"""Bookatu's stand-in against the sentences of its document: who may ask, reading, staff."""

import re
import time

import httpx
import pytest
from bookatu_shop import ANNA, GEL, NOW, OPENING, TAMA, bookatu, listed, problem, wish

from connectors.bookatu.sandbox import BookatuSandbox

pytestmark = pytest.mark.speaks

# Who may ask.


async def test_both_headers_open_the_same_door():
    async with bookatu() as (box, client):
        key = box.api_keys["parnell-nails"]
        client.headers.pop("authorization")
        for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
            assert (await client.get("/customers", headers=headers)).json() == {"customers": []}
        for headers in ({}, {"x-api-key": "bk_live_wrong"}, {"authorization": "Bearer"}):
            problem(await client.get("/appointments", headers=headers), 401)


async def test_keys_of_others_and_keys_that_ended():
    async with bookatu(slug=["parnell-nails", "harbour-barber"]) as (box, client):
        other = {"authorization": f"Bearer {box.api_keys['harbour-barber']}"}
        for call in (
            client.get("/customers", headers=other),
            client.post("/appointments", json=wish(), headers=other),
        ):
            problem(await call, 403)
        short = box.issue_key("parnell-nails", expires_at="2026-06-02T00:00:00Z")
        assert (
            await client.get("/customers", headers={"x-api-key": short, "authorization": ""})
        ).status_code == 200
        box.advance(86400)
        problem(await client.get("/customers", headers={"x-api-key": short, "authorization": ""}), 401)
        box.revoke_key(client.headers["authorization"].removeprefix("Bearer "))
        problem(await client.get("/customers"), 401)


async def test_businesses_in_one_sandbox_share_nothing():
    async with bookatu(slug=["parnell-nails", "harbour-barber"]) as (box, client):
        box.add_customer("Only Here", slug="harbour-barber")
        assert (await client.get("/customers")).json() == {"customers": []}
        assert set(box.business("harbour-barber").services).isdisjoint(box.business().services)


async def test_unknown_business():
    async with (
        bookatu() as (box, _),
        httpx.AsyncClient(verify=False, base_url=box.base_url + "/api/v1/nobody") as client,
    ):
        for path in ("business", "services", "staff", "customers", "appointments"):
            problem(await client.get(f"/{path}"), 404)
        problem(await client.post("/book", json=wish()), 404)


async def test_cors():
    async with bookatu() as (_, client):
        preflight = await client.options("/appointments")
        assert preflight.status_code == 204
        assert {"Authorization", "X-Api-Key"} <= set(
            preflight.headers["access-control-allow-headers"].split(", ")
        )
        for answer in (preflight, await client.get("/business"), await client.get("/x")):
            assert answer.headers["access-control-allow-origin"] == "*"


# Reading.


async def test_the_public_pages():
    async with bookatu() as (box, client):
        client.headers.pop("authorization")
        business = (await client.get("/business")).json()
        assert business["timezone"] == "Pacific/Auckland"
        assert business["hours"][0] == {"weekday": 0, "open": False, "openMin": None, "closeMin": None}
        assert business["hours"][6] == {"weekday": 6, "open": True, "openMin": 600, "closeMin": 960}
        box.add_service("Retired", active=False)
        box.add_service("By phone only", online=False)
        box.add_service("Aroma", sort=1)
        services = (await client.get("/services")).json()
        assert [row["name"] for row in services["services"]] == [
            "Gel Manicure",
            "Aroma",
            "Express Polish",
            "Bridal Set",
        ]
        assert services["services"][0] == {
            "id": GEL,
            "name": "Gel Manicure",
            "description": "Long-lasting gel polish with cuticle care.",
            "category": "Nails",
            "durationMin": 60,
            "priceCents": 7500,
            "currency": "NZD",
        }
        assert services["org"]["currency"] == "NZD"
        staff = (await client.get("/staff")).json()
        assert staff["staff"][0] == {"id": ANNA, "name": "Anna", "title": "Senior Nail Tech", "bio": None}
        assert "currency" not in staff["org"]


async def test_appointments_lists_what_is_live_and_ahead_in_the_documented_form():
    async with bookatu() as (box, client):
        guest = box.add_customer("Alex Smith")
        made = {
            hour: box.create_appointment(GEL, f"2026-06-10T{hour:02}:00:00Z", guest, staff_id=ANNA)
            for hour in (23, 21, 22, 20, 19)
        }
        box.cancel(made[22])
        box.complete(made[20])
        box.no_show(made[19])
        box.create_appointment(GEL, "2026-06-01T03:11:00Z", guest)
        rows = await listed(client)
        assert [row["id"] for row in rows] == [made[21], made[23]]
        assert list(rows[0]) == [
            *("id", "ref", "serviceName", "startAt", "endAt", "durationMin", "priceCents", "status"),
            *("customerId", "staffId", "notes", "createdAt"),
        ]
        assert rows[0]["startAt"] == "2026-06-10T21:00:00.000Z"
        assert rows[0]["endAt"] == "2026-06-10T22:00:00.000Z"
        assert re.fullmatch(r"VRD-[A-Z0-9]{6}", rows[0]["ref"])
        assert rows[0]["customerId"] == guest
        box.set_clock("2026-06-10T21:30:00Z")
        assert [row["id"] for row in await listed(client)] == [made[23]], "what has begun is no longer listed"


async def test_the_caps():
    async with bookatu() as (box, client):
        box.seed(people=1001, bookings=201)
        rows = await listed(client)
        assert len(rows) == 200
        starts = [row["startAt"] for row in rows]
        assert starts == sorted(starts)
        customers = (await client.get("/customers")).json()["customers"]
        assert len(customers) == 1000
        names = [row["name"].casefold() for row in customers]
        assert names == sorted(names)
        assert list(customers[0]) == ["id", "name", "email", "phone"]
        assert len({(row["staffId"], row["startAt"]) for row in rows}) == 200


async def test_a_listing_costs_the_same_with_many_rows():
    async with bookatu() as (box, _):
        box.seed(bookings=20, history=30_000, people=10_000)
        begun = time.process_time()
        for _ in range(50):
            assert len(box.business().upcoming(box.now(), 200)) == 20
        assert (time.process_time() - begun) / 50 < 0.001


async def test_availability():
    async with bookatu() as (box, client):
        query = {"serviceId": GEL, "from": "2026-06-10", "to": "2026-06-14"}
        days = (await client.get("/availability", params=query)).json()["days"]
        assert [day["date"] for day in days] == [f"2026-06-{day}" for day in range(10, 15)]
        assert [day["open"] for day in days] == [True, True, True, True, False]
        assert days[0]["slots"][0] == {"startMin": 540, "startAt": OPENING}
        assert days[0]["slots"][-1]["startMin"] == 1080 - 60
        assert days[4]["slots"] == []
        guest = box.add_customer("A")
        box.create_appointment(GEL, OPENING, guest, staff_id=ANNA)
        anna = (await client.get("/availability", params=query | {"staffId": ANNA})).json()["days"][0][
            "slots"
        ]
        assert anna[0]["startMin"] == 600, "taken, and a slot must hold the whole service"
        anyone = (await client.get("/availability", params=query)).json()["days"][0]["slots"]
        assert anyone[0]["startMin"] == 540, "the other one is free"


async def test_availability_today_respects_the_notice_and_zones_their_clocks():
    async with bookatu() as (_box, client):
        today = {"serviceId": GEL, "from": "2026-06-01", "to": "2026-06-01"}
        slots = (await client.get("/availability", params=today)).json()["days"][0]["slots"]
        assert slots[0]["startMin"] == 16 * 60 + 15
        spring = {"serviceId": GEL, "from": "2026-09-26", "to": "2026-09-28"}
        days = (await client.get("/availability", params=spring)).json()["days"]
        assert days[0]["slots"][0]["startAt"] == "2026-09-25T22:00:00.000Z"
        assert days[2]["slots"][0]["startAt"] == "2026-09-27T20:00:00.000Z"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"serviceId": ""}, 400),
        ({"from": "10-06-2026"}, 400),
        ({"to": "2026-02-30"}, 400),
        ({"to": "2026-06-09"}, 400),
        ({"to": "2026-08-10"}, 400),
        ({"serviceId": "svc_nope"}, 404),
    ],
)
async def test_availability_refuses(change, status):
    async with bookatu() as (_, client):
        query = {"serviceId": GEL, "from": "2026-06-10", "to": "2026-06-14"} | change
        problem(await client.get("/availability", params=query), status)


# Staff.


async def test_staff_actions_over_the_control_surface():
    async with bookatu() as (box, client):
        base = box.base_url + "/_sandbox"
        guest = (await client.post(f"{base}/act/add_customer", json={"name": "Alex"})).json()["result"]
        body = {"service_id": GEL, "start_at": OPENING, "customer_id": guest}
        made = (await client.post(f"{base}/act/create_appointment", json=body)).json()["result"]
        assert [row["id"] for row in await listed(client)] == [made]
        await client.post(f"{base}/act/edit_appointment", json={"appointment_id": made, "notes": "hi"})
        assert (await listed(client))[0]["notes"] == "hi"
        state = (await client.get(f"{base}/state")).json()["result"]
        assert state["counts"]["appointments"] == 1
        assert state["rows"]["appointments"][0]["status"] == "confirmed"
        unknown = await client.post(
            f"{base}/act/edit_appointment", json={"appointment_id": made, "colour": 1}
        )
        assert unknown.status_code == 400


async def test_edits_move_rows_in_the_indexes():
    async with bookatu() as (box, client):
        first, second = box.add_customer("Aaron", "a@example.com"), box.add_customer("Zed", "z@example.com")
        box.edit_customer(first, name="Zzz", email="new@example.com")
        assert [row["id"] for row in (await client.get("/customers")).json()["customers"]] == [second, first]
        made = (await client.post("/appointments", json=wish(email="new@example.com"))).json()[
            "appointmentId"
        ]
        assert (await listed(client))[0]["customerId"] == first
        box.delete_customer(first)
        assert len((await client.get("/customers")).json()["customers"]) == 1
        assert (await listed(client))[0]["customerId"] == first, "the appointment keeps its id"
        box.reschedule(made, "2026-07-01T21:00:00Z", staff_id=TAMA)
        rows = await listed(client)
        assert [(row["startAt"], row["staffId"]) for row in rows] == [("2026-07-01T21:00:00.000Z", TAMA)]


async def test_seeding_is_the_same_every_time():
    first, second = BookatuSandbox(), BookatuSandbox()
    for box in (first, second):
        box.set_clock(NOW)
        box.seed(people=50, bookings=80, history=20)
    assert list(first.business().customers.values()) == list(second.business().customers.values())
    assert list(first.business().appointments) == list(second.business().appointments)
    assert first.counts()["appointments"] == 100
