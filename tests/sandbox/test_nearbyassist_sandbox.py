"""NearbyAssist's stand-in against the sentences of its page: access, lists, writes, limits."""

import pytest
from nearby_shop import ANNA, BOOKINGS, GEL, NOW, OPENING, REVIEWS, TAMA, listed, nearby, problem, wish

from connectors.nearbyassist.sandbox import NearbyAssistSandbox

pytestmark = pytest.mark.speaks

# Access.


async def test_an_api_key_and_its_scopes():
    async with nearby() as (box, client):
        reader = {"x-api-key": box.issue_key(scopes=["bookings:read"])}
        assert (await client.get(BOOKINGS, headers=reader)).status_code == 200
        problem(await client.get(REVIEWS, headers=reader), 403)
        problem(await client.post(BOOKINGS, headers=reader, json=wish()), 403)
        problem(await client.get(BOOKINGS, headers={"x-api-key": "na_live_wrong"}), 401)
        box.revoke_key(reader["x-api-key"])
        problem(await client.get(BOOKINGS, headers=reader), 401)


async def test_signing_in():
    async with nearby() as (box, client):
        box.add_user("owner@example.com", "secret")
        client.headers.pop("x-api-key")
        who = {"email": "owner@example.com", "password": "secret"}
        problem(await client.post("/api/auth/signin", json=who | {"password": "x"}), 401)
        bad = problem(await client.post("/api/auth/signin", json={}), 422)
        assert [row["field"] for row in bad["errors"]] == ["email", "password"]
        token = (await client.post("/api/auth/signin", json=who)).json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        assert (await client.get("/api/users/profile")).status_code == 200
        assert (await client.get(BOOKINGS)).status_code == 200
        box.expire_tokens()
        problem(await client.get(BOOKINGS), 401)
        assert box.requests[0].body["password"] == "***"


async def test_the_users_own_view_is_another_one():
    async with nearby() as (box, client):
        box.add_user("owner@example.com", "secret")
        box.seed(bookings=3)
        problem(await client.get("/api/bookings/my-bookings"), 401)
        box.tokens.add("t")
        mine = await client.get("/api/bookings/my-bookings", headers={"authorization": "Bearer t"})
        assert mine.json() == {"bookings": [], "total": 0, "page": 1, "limit": 20}


# Lists.


async def test_page_and_limit():
    async with nearby() as (box, client):
        box.seed(bookings=130)
        usual = await listed(client)
        assert (len(usual["bookings"]), usual["total"], usual["page"], usual["limit"]) == (20, 130, 1, 20)
        most = await listed(client, page=2, limit=500)
        assert (len(most["bookings"]), most["page"], most["limit"]) == (30, 2, 100)
        assert (await listed(client, page=99))["bookings"] == []


@pytest.mark.parametrize("params", [{"page": 0}, {"page": "x"}, {"limit": -1}, {"limit": 1.5}], ids=str)
async def test_pages_that_are_none(params):
    async with nearby() as (_, client):
        body = problem(await client.get(BOOKINGS, params=params), 400)
        assert body["errors"][0]["field"] in params


@pytest.mark.parametrize(
    ("options", "refs"),
    [
        ({"order": "newest"}, [2, 1, 0]),
        ({"order": "oldest"}, [0, 1, 2]),
        ({"order": "changed"}, [0, 2, 1]),
        ({"hidden": ("cancelled",)}, [2, 0]),
        ({"pages": "ignored"}, [2, 1, 0]),
    ],
    ids=str,
)
async def test_readings_of_what_the_page_leaves_open(options, refs):
    async with nearby(**options) as (box, client):
        made = []
        for _ in range(3):
            box.advance(60)
            made.append(box.create_booking(OPENING))
        box.advance(-90)
        box.cancel(made[1])
        box.advance(180)
        box.edit_booking(made[0], notes="x")
        assert [row["id"] for row in (await listed(client))["bookings"]] == [made[index] for index in refs]


async def test_rows_may_come_and_go_between_pages():
    async with nearby() as (box, client):
        box.seed(bookings=40)
        box.after_page = lambda: box.delete_booking(next(reversed(box.business.bookings)))
        first, second = [(await listed(client, page=page))["bookings"] for page in (1, 2)]
        assert len({row["id"] for row in first + second}) == 39


async def test_a_booking_shows_its_customer_and_a_price_as_javascript_prints_it():
    async with nearby() as (box, client):
        guest = box.add_customer("Zoë", None, "zoe@example.com")
        made = box.create_booking(OPENING, guest, staff_id=ANNA)
        row = (await client.get(f"{BOOKINGS}/{made}")).json()["booking"]
        assert row["customer"] == {
            "id": guest,
            "firstName": "Zoë",
            "lastName": None,
            "email": "zoe@example.com",
            "phone": None,
        }
        assert (row["price"], str(row["price"]), row["currency"]) == (75, "75", "NZD")
        assert (row["startTime"], row["endTime"]) == (OPENING, "2026-06-09T22:00:00.000Z")
        problem(await client.get(f"{BOOKINGS}/none"), 404)


async def test_other_words_for_the_same_things():
    words = {"rename": {"startTime": "begins", "bookings": "rows"}, "status_words": {"confirmed": "booked"}}
    async with nearby(**words) as (_box, client):
        body = {key.replace("startTime", "begins"): value for key, value in wish().items()}
        assert (await client.post(BOOKINGS, json=body)).status_code == 201
        (row,) = (await listed(client))["rows"]
        assert (row["begins"], row["status"]) == (OPENING, "booked")
        bad = problem(await client.post(BOOKINGS, json=body | {"begins": "soon"}), 422)
        assert bad["errors"][0]["field"] == "begins"


# Writes.


async def test_create_update_and_cancel_tell_the_guest_each_time():
    async with nearby() as (box, client):
        answer = await client.post(BOOKINGS, json=wish(notes="first visit", externalRef="x-1"))
        assert answer.status_code == 201
        row = answer.json()["booking"]
        assert (row["status"], row["notes"], row["externalRef"]) == ("confirmed", "first visit", "x-1")
        later = "2026-06-10T21:00:00.000Z"
        moved = (await client.patch(f"{BOOKINGS}/{row['id']}", json={"startTime": later})).json()["booking"]
        assert (moved["startTime"], moved["endTime"]) == (later, "2026-06-10T22:00:00.000Z")
        for _ in range(2):
            gone = (await client.post(f"{BOOKINGS}/{row['id']}/cancel")).json()["booking"]
            assert gone["status"] == "cancelled"
        assert [(m["kind"], m["email"], m["booking_id"]) for m in box.messages_to_guests] == [
            (f"booking_{what}", "alex@example.com", row["id"]) for what in ("created", "updated", "cancelled")
        ]
        assert [call.applied for call in box.calls("POST", "/cancel")] == [True, False]


async def test_a_known_customer_is_known_again():
    async with nearby() as (box, client):
        for start in (OPENING, "2026-06-10T21:00:00.000Z"):
            assert (await client.post(BOOKINGS, json=wish(startTime=start))).status_code == 201
        assert box.counts()["customers"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"startTime": ...}, "startTime"),
        ({"startTime": "2026-06-10T09:00:00"}, "startTime"),
        ({"customer": ...}, "customer"),
        ({"customer": {"firstName": "Alex"}}, "customer"),
        ({"customer": {"email": "alex", "phone": "1"}}, "customer.email"),
        ({"serviceId": "svc_none"}, "serviceId"),
        ({"staffId": "stf_none"}, "staffId"),
        ({"price": "75"}, "price"),
        ({"price": -1}, "price"),
        ({"notes": 7}, "notes"),
        ({"notes": "x" * 2001}, "notes"),
    ],
)
async def test_validation_names_the_field(change, field):
    async with nearby() as (box, client):
        body = problem(await client.post(BOOKINGS, json=wish(**change)), 422)
        assert body["error"] == "Validation failed"
        assert [row["field"] for row in body["errors"]] == [field]
        assert all(isinstance(row["message"], str) for row in body["errors"])
        assert box.counts()["bookings"] == 0
        assert box.requests[-1].applied is False


async def test_a_duplicate_slot_is_a_conflict():
    async with nearby() as (box, client):
        for expected in (201, 409):
            answer = await client.post(BOOKINGS, json=wish(staffId=ANNA))
            assert answer.status_code == expected
        for expected in (201, 409):
            assert (await client.post(BOOKINGS, json=wish())).status_code == expected, "Tama is free once"
        other = box.create_booking("2026-06-11T21:00:00Z", staff_id=TAMA)
        problem(await client.patch(f"{BOOKINGS}/{other}", json={"startTime": OPENING}), 409)
        assert (await client.patch(f"{BOOKINGS}/{other}", json={"notes": "x"})).status_code == 200


async def test_what_cannot_be_done():
    async with nearby() as (box, client):
        done = box.create_booking(OPENING)
        box.complete(done)
        problem(await client.post(f"{BOOKINGS}/{done}/cancel"), 400)
        problem(await client.post(BOOKINGS, content=b"{"), 400)
        problem(await client.post(BOOKINGS, json=[1]), 400)
        for verb, path in (("PATCH", "/none"), ("POST", "/none/cancel")):
            problem(await client.request(verb, BOOKINGS + path, json={}), 404)
        problem(await client.get("/api/leads"), 404)
        problem(await client.put(f"{BOOKINGS}/{done}", json={}), 405)


async def test_a_platform_that_rewrites_what_it_is_sent():
    async with nearby(normalise=True) as (_, client):
        body = wish(notes="  two   words ", customer={"email": " ALEX@Example.com "})
        row = (await client.post(BOOKINGS, json=body)).json()["booking"]
        assert (row["notes"], row["customer"]["email"]) == ("two words", "alex@example.com")


# Limits.


async def test_five_hundred_in_a_quarter_of_an_hour():
    async with nearby(rate_limits=True) as (box, client):
        begun = box.clock.time()
        for _ in range(500):
            assert (await client.get("/api/nothing")).status_code == 404
        answer = await client.get(BOOKINGS)
        problem(answer, 429)
        left = 900 - (box.clock.time() - begun)
        assert left - 1 <= int(answer.headers["retry-after"]) <= 900
        box.advance(int(answer.headers["retry-after"]))
        assert (await client.get(BOOKINGS)).status_code == 200


async def test_twenty_sign_ins_in_a_quarter_of_an_hour():
    async with nearby(rate_limits=True) as (_, client):
        who = {"email": "a@b.example", "password": "x"}
        for _ in range(20):
            problem(await client.post("/api/auth/signin", json=who), 401)
        assert "retry-after" in (await client.post("/api/auth/signin", json=who)).headers
        assert (await client.get(BOOKINGS)).status_code == 200


# Controls.


async def test_staff_actions_over_the_control_surface():
    async with nearby() as (box, client):
        act = "/_sandbox/act/"
        guest = (await client.post(act + "add_customer", json={"first_name": "Alex"})).json()["result"]
        body = {"start": OPENING, "customer_id": guest, "service_id": GEL}
        made = (await client.post(act + "create_booking", json=body)).json()["result"]
        await client.post(act + "edit_customer", json={"customer_id": guest, "last_name": "Lee"})
        await client.post(act + "edit_booking", json={"booking_id": made, "notes": "hi"})
        (row,) = (await listed(client))["bookings"]
        assert (row["id"], row["notes"], row["customer"]["lastName"]) == (made, "hi", "Lee")
        state = (await client.get("/_sandbox/state")).json()["result"]
        assert state["counts"]["bookings"] == 1
        assert state["rows"]["bookings"][0]["status"] == "confirmed"
        wrong = await client.post(act + "edit_booking", json={"booking_id": made, "colour": 1})
        assert wrong.status_code == 400
        review = (await client.post(act + "add_review", json={"rating": 4})).json()["result"]
        await client.post(act + "edit_review", json={"review_id": review, "rating": 3})
        assert (await client.get(REVIEWS)).json()["reviews"][0]["rating"] == 3
        await client.post(act + "delete_review", json={"review_id": review})
        assert box.counts()["reviews"] == 0


async def test_seeding_is_the_same_every_time():
    first, second = NearbyAssistSandbox(), NearbyAssistSandbox()
    for box in (first, second):
        box.set_clock(NOW)
        box.seed(people=20, bookings=30, reviews=10)
    assert list(first.business.bookings) == list(second.business.bookings)
    assert list(first.business.customers.values()) == list(second.business.customers.values())
    assert first.counts() == second.counts()
