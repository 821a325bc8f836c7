"""NiceJob's stand-in against the sentences of its document: entities, campaigns."""

import time

import pytest
from nicejob_account import access, add, data, nicejob, refused

from connectors.sandbox import instant

pytestmark = pytest.mark.speaks

# Reading.


async def walk(client, path, **params):
    """Follow the cursor; returns the pages."""
    pages, cursor = [], None
    while True:
        answer = await client.get(path, params=params | ({"cursor": cursor} if cursor else {}))
        pages.append(data(answer))
        cursor = answer.json()["cursor"]
        if cursor is None:
            return pages


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (20, [20]), (21, [20, 1]), (45, [20, 20, 5])])
async def test_lists_have_pages_of_twenty(count, sizes):
    async with nicejob() as (box, client):
        box.seed(people=count)
        pages = await walk(client, "/v2/people")
        assert [len(page) for page in pages] == sizes
        ids = [row["id"] for page in pages for row in page]
        assert len(set(ids)) == count


async def test_rows_that_arrive_in_between_shift_nothing():
    async with nicejob() as (box, client):
        box.seed(people=60)
        known = set(box.company().tables["people"].rows)
        first = await client.get("/v2/people")
        box.seed(people=60)
        rest = []
        cursor = first.json()["cursor"]
        while cursor:
            answer = await client.get("/v2/people", params={"cursor": cursor})
            rest += [row["id"] for row in data(answer)]
            cursor = answer.json()["cursor"]
        seen = [row["id"] for row in data(first)] + rest
        assert known <= set(seen)
        assert len(seen) == len(set(seen))


async def test_the_order_of_a_list_means_nothing():
    async with nicejob() as (_box, client):
        made = [(await add(client, "people", first_name=str(n)))["id"] for n in range(20)]
        listed = [row["id"] for row in data(await client.get("/v2/people"))]
        assert sorted(listed) == sorted(made)
        assert listed not in (made, made[::-1])


async def test_filters():
    async with nicejob() as (box, client):
        one = await add(client, "people", email="one@example.com")
        two = await add(client, "people", email="two@example.com")
        mine = await add(client, "bookings", person_ids=[one["id"], two["id"]])
        await add(client, "bookings", person_ids=[two["id"]])
        box.add_review(person_id=one["id"], rating=5)
        box.add_review(rating=3)
        box.add_employee(email="staff@example.com", first_name="Anna")
        assert data(await client.get("/v2/people", params={"email": "ONE@example.com"})) == [one]
        assert data(await client.get("/v2/people", params={"email": "none@example.com"})) == []
        assert data(await client.get("/v2/bookings", params={"person_id": one["id"]})) == [mine]
        assert len(data(await client.get("/v2/bookings", params={"person_id": two["id"]}))) == 2
        assert len(data(await client.get("/v2/reviews", params={"person_id": one["id"]}))) == 1
        assert len(data(await client.get("/v2/employees", params={"email": "staff@example.com"}))) == 1
        insights = data(await client.get("/v2/review_insights"))
        assert (insights["average_rating"], insights["review_count"]) == (4, 2)
        mine = data(await client.get("/v2/review_insights", params={"person_id": one["id"]}))
        assert (mine["average_rating"], mine["review_count"]) == (5, 1)


async def test_a_cursor_that_is_not_theirs():
    async with nicejob() as (_, client):
        for cursor in ("x", "eHl6", "%%%"):
            assert (await client.get("/v2/people", params={"cursor": cursor})).status_code == 400


@pytest.mark.parametrize(("paging", "calls"), [("cursor", 3), ("none", 1)])
async def test_review_paging_is_a_guess_so_there_are_several(paging, calls):
    async with nicejob(review_paging=paging) as (box, client):
        box.seed(reviews=45)
        assert len(await walk(client, "/v2/reviews")) == calls


async def test_a_review_list_may_ignore_its_cursor():
    async with nicejob(review_paging="ignored") as (box, client):
        box.seed(reviews=45)
        first = await client.get("/v2/reviews")
        again = await client.get("/v2/reviews", params={"cursor": first.json()["cursor"]})
        assert again.json() == first.json()


async def test_what_is_not_there_is_null():
    async with nicejob() as (box, client):
        for kind in ("bookings", "people", "employees", "visits", "cases", "reviews"):
            assert data(await client.get(f"/v2/{kind}/nope")) is None
        for kind in ("bookings", "people", "employees", "visits", "cases"):
            assert data(await client.post(f"/v2/{kind}/nope", json={})) is None
            assert box.requests[-1].applied is False


async def test_a_page_costs_about_a_millisecond_with_many_rows():
    async with nicejob() as (box, client):
        box.seed(people=20_000)
        cursor = (await client.get("/v2/people")).json()["cursor"]
        request = client.build_request("GET", "/v2/people", params={"cursor": cursor})
        begun = time.process_time()
        for _ in range(50):
            await client.send(request)
        assert (time.process_time() - begun) / 50 < 0.01, "the client's share included"


async def test_company_and_campaigns():
    async with nicejob() as (box, client):
        assert data(await client.get("/v2/company"))["company_name"] == "Parnell Nails"
        box.update_company(phone="09 555 0100")
        assert data(await client.get("/v2/company"))["phone"] == "09 555 0100"
        campaign = data(await client.get("/v2/campaigns"))[0]
        assert (campaign["name"], campaign["objective"]) == ("Get Reviews", "REVIEWS")


# Writing.


async def test_a_booking_as_documented():
    async with nicejob() as (_, client):
        person = await add(client, "people", first_name="Alex")
        item = {"amount": {"currency_code": "NZD", "value": 7500}, "name": "Gel", "quantity": 1}
        made = await add(
            client,
            "bookings",
            amount=75.0,
            items=[item],
            name="Gel Manicure",
            person_ids=[person["id"]],
            scheduled_time="2026-06-11T09:00:00+12:00",
            tags=["bookatu"],
        )
        assert made == {
            "id": made["id"],
            "amount": 75,
            "complete": False,
            "completed_time": None,
            "created_at": made["created_at"],
            "employee_ids": [],
            "name": "Gel Manicure",
            "person_ids": [person["id"]],
            "scheduled_time": "2026-06-10T21:00:00.000Z",
            "tags": ["bookatu"],
            "updated_at": made["created_at"],
        }
        assert data(await client.get(f"/v2/bookings/{made['id']}")) == made
        deprecated = await add(client, "bookings", person_id=person["id"])
        assert deprecated["person_ids"] == [person["id"]]
        assert "person_id" not in deprecated


async def test_an_update_overwrites_what_is_given_and_no_more():
    async with nicejob() as (box, client):
        person = await add(client, "people", first_name="Alex", email="a@example.com", tags=["vip"])
        box.advance(60)
        new = await add(client, f"people/{person['id']}", tags=["x"], last_name="Smith")
        assert new == {**person, "tags": ["x"], "last_name": "Smith", "updated_at": new["updated_at"]}
        assert new["updated_at"] > person["updated_at"]
        address = await add(client, f"people/{person['id']}", address={"city": "Auckland", "zip": "1010"})
        assert address["address"]["city"] == "Auckland"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bookings", {"amount": "75"}),
        ("bookings", {"amount": None}),
        ("bookings", {"complete": "yes"}),
        ("bookings", {"name": 5}),
        ("bookings", {"tags": "one"}),
        ("bookings", {"tags": [1]}),
        ("bookings", {"scheduled_time": "2026-06-10"}),
        ("bookings", {"scheduled_time": "2026-06-10T09:00:00"}),
        ("bookings", {"scheduled_time": None}),
        ("bookings", {"items": [{"quantity": "1"}]}),
        ("bookings", {"items": [{"amount": {"value": 7.5}}]}),
        ("people", {"email": "nobody"}),
        ("people", {"email": None}),
        ("people", {"address": "12 Queen St"}),
        ("people", {"blocked": 1}),
        ("cases", {"status": "done"}),
        ("visits", {"person_id": "x"}),
        ("employees", {"first_name": "Anna"}),
    ],
)
async def test_malformed_input_is_400(kind, values):
    async with nicejob() as (box, client):
        before = box.counts()
        assert (await client.post(f"/v2/{kind}", json=values)).status_code == 400
        assert box.counts() == before
        assert box.requests[-1].applied is False


async def test_no_json_is_400():
    async with nicejob() as (_, client):
        for content in (b"{", b"[]", b""):
            answer = await client.post(
                "/v2/people", content=content, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 400


async def test_a_refused_action_is_a_200_with_an_error():
    async with nicejob() as (box, client):
        await add(client, "people", email="one@example.com")
        two = await add(client, "people", email="two@example.com")
        refused(await client.post("/v2/people", json={"email": "ONE@example.com "}))
        refused(await client.post(f"/v2/people/{two['id']}", json={"email": "one@example.com"}))
        refused(await client.post("/v2/bookings", json={"person_ids": ["nope"]}))
        refused(await client.post("/v2/bookings", json={"employee_ids": ["nope"]}))
        refused(await client.post("/v2/visits", json={"booking_id": "nope", "person_id": two["id"]}))
        assert [entry.applied for entry in box.requests[-5:]] == [False] * 5
        assert data(await client.get(f"/v2/people/{two['id']}")) == two
        await add(client, f"people/{two['id']}", email="two@example.com")


async def test_people_without_an_address_are_no_duplicates():
    async with nicejob() as (box, client):
        for _ in range(2):
            await add(client, "people", first_name="Alex")
        assert box.counts()["people"] == 2


async def test_a_rewriting_platform():
    async with nicejob(normalise=True) as (_, client):
        person = await add(
            client, "people", first_name=" Al  ex ", email="A@Example.com", phone="+64 21 555-0100"
        )
        assert (person["first_name"], person["email"], person["phone"]) == (
            "Al ex",
            "a@example.com",
            "+64215550100",
        )
        booking = await add(client, "bookings", name=" a  b ", tags=[" x "], person_ids=[person["id"]])
        assert (booking["name"], booking["tags"]) == ("a b", ["x"])


@pytest.mark.parametrize(("form", "factor"), [("seconds", 1), ("milliseconds", 1000)])
async def test_dates_in_other_forms(form, factor):
    async with nicejob(date_format=form) as (_, client):
        made = await add(client, "bookings", scheduled_time="2026-06-10T21:00:00Z")
        assert made["scheduled_time"] == instant("2026-06-10T21:00:00Z").timestamp() * factor
        assert made["completed_time"] is None


# Completion and its campaign: the one thing that cannot be taken back.


async def test_completion_enrols_once_and_sets_the_time():
    async with nicejob() as (box, client):
        person = await add(client, "people", email="a@example.com")
        made = await add(client, "bookings", person_ids=[person["id"]])
        assert box.enrolments == []
        done = await add(client, f"bookings/{made['id']}", complete=True)
        assert done["completed_time"].startswith("2026-06-01T03:12:")
        await add(client, f"bookings/{made['id']}", complete=True)
        await add(client, f"bookings/{made['id']}", complete=False)
        await add(client, f"bookings/{made['id']}", complete=True)
        assert [(row["booking_id"], row["cause"], row["by"]) for row in box.enrolments] == [
            (made["id"], "booking", "api")
        ]
        assert box.counts()["enrolments_by_api"] == 1
        state = (await client.get("/_sandbox/state")).json()["result"]
        assert state["counts"]["enrolments"] == 1


async def test_a_booking_created_complete_enrols_each_person():
    async with nicejob() as (box, client):
        ids = [(await add(client, "people", phone=f"+1212555010{n}"))["id"] for n in range(3)]
        given = "2026-05-30T00:00:00.000Z"
        made = await add(client, "bookings", person_ids=ids, complete=True, completed_time=given)
        assert made["completed_time"] == given
        assert [row["person_id"] for row in box.enrolments] == ids


async def test_noreview_silences_when_it_is_there_at_that_moment():
    async with nicejob() as (box, client):
        person = (await add(client, "people", email="a@example.com"))["id"]
        await add(client, "bookings", person_ids=[person], complete=True, tags=["noreview"])
        later = await add(client, "bookings", person_ids=[person])
        await add(client, f"bookings/{later['id']}", complete=True, tags=["noreview", "x"])
        earlier = await add(client, "bookings", person_ids=[person], tags=["noreview"])
        await add(client, f"bookings/{earlier['id']}", complete=True)
        assert box.enrolments == []
        dropped = await add(client, "bookings", person_ids=[person], tags=["noreview"])
        await add(client, f"bookings/{dropped['id']}", complete=True, tags=["bookatu"])
        assert [row["booking_id"] for row in box.enrolments] == [dropped["id"]], "sending other tags drops it"


async def test_nobody_is_enrolled_twice_in_six_months():
    async with nicejob() as (box, client):
        person = (await add(client, "people", email="a@example.com"))["id"]
        for days in (0, 170, 20):
            box.advance(days * 86400)
            box.complete_booking(box.create_booking(person_ids=[person]))
        assert [row["by"] for row in box.enrolments] == ["staff", "staff"]
        assert box.counts()["enrolments_by_api"] == 0


async def test_who_cannot_be_enrolled():
    async with nicejob() as (box, client):
        nobody = (await add(client, "people", first_name="No Contact"))["id"]
        blocked = (await add(client, "people", email="b@example.com"))["id"]
        box.block_person(blocked)
        await add(client, "bookings", person_ids=[nobody, blocked], complete=True)
        for person in (nobody, blocked, "nope"):
            refused(await client.post("/v2/campaign_enrollments", json={"person_id": person}))
        assert box.enrolments == []


async def test_direct_enrolment():
    async with nicejob() as (box, client):
        person = (await add(client, "people", email="a@example.com"))["id"]
        made = await add(client, "campaign_enrollments", person_id=person)
        assert list(made) == ["id", "campaign_id", "created_at", "employee_ids", "tags", "updated_at"]
        refused(await client.post("/v2/campaign_enrollments", json={"person_id": person}))
        refused(await client.post("/v2/campaign_enrollments", json={"person_id": person, "campaign_id": "x"}))
        assert (await client.post("/v2/campaign_enrollments", json={})).status_code == 400
        assert [row["cause"] for row in box.enrolments] == ["direct"]
        box.enrollments_scope = False
        assert (await client.post("/v2/campaign_enrollments", json={"person_id": person})).status_code == 401


async def test_visits_enrol_by_setting_only_and_cases_when_closed():
    async with nicejob() as (box, client):
        one, two = [(await add(client, "people", email=f"{n}@example.com"))["id"] for n in "ab"]
        booking = (await add(client, "bookings", person_ids=[one], tags=["noreview"]))["id"]
        visit = {"booking_id": booking, "person_id": one, "complete": True}
        await add(client, "visits", **visit)
        assert box.enrolments == []
        box.set_campaign_settings(visits_enrol=True)
        await add(client, "visits", **visit)
        case = await add(client, "cases", person_id=two, status="open")
        await add(client, f"cases/{case['id']}", status="closed")
        assert [(row["cause"], row["booking_id"]) for row in box.enrolments] == [
            ("visit", booking),
            ("case", None),
        ]


async def test_a_company_may_have_switched_it_off():
    async with nicejob() as (box, client):
        person = (await add(client, "people", email="a@example.com"))["id"]
        box.set_campaign_settings(completion_enrols=False)
        await add(client, "bookings", person_ids=[person], complete=True)
        assert box.enrolments == []


# Companies and staff.


async def test_companies_share_nothing():
    async with nicejob() as (box, client):
        person = await add(client, "people", email="a@example.com")
        other = await access(client, box.add_company("Harbour Barber").refresh_token)
        assert data(await client.get("/v2/people", headers=other)) == []
        assert data(await client.get(f"/v2/people/{person['id']}", headers=other)) is None
        assert data(await client.post("/v2/people", json={"email": "a@example.com"}, headers=other))


async def test_staff_actions_over_the_control_surface():
    async with nicejob() as (_, client):

        async def act(action, **arguments):
            return (await client.post(f"/_sandbox/act/{action}", json=arguments)).json()["result"]

        person = await act("create_person", first_name="Alex", email="a@example.com")
        booking = await act("create_booking", person_ids=[person], name="Gel")
        await act("update_booking", booking_id=booking, name="Gel Manicure")
        review = await act("add_review", author="Alex", rating=5, network="Google")
        await act("edit_review", review_id=review, rating=1)
        await act("complete_booking", booking_id=booking)
        await act("update_person", person_id=person, last_name="Smith")
        await act("delete_person", person_id=person)
        assert data(await client.get(f"/v2/bookings/{booking}"))["person_ids"] == [person]
        assert data(await client.get(f"/v2/people/{person}")) is None
        assert data(await client.get(f"/v2/reviews/{review}"))["rating"] == 1
        await add(client, f"bookings/{booking}", name="still editable")
        company = await act("add_company", name="Second", refresh_token="r2")
        assert company["refresh_token"] == "r2"
        missing = await client.post("/_sandbox/act/delete_review", json={"review_id": "nope"})
        assert missing.status_code == 400
