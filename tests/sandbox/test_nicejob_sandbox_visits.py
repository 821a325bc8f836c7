"""NiceJob's stand-in against the sentences of its document: visits and direct enrolments."""

import pytest
from nicejob_account import add, data, nicejob, refused

pytestmark = pytest.mark.speaks

VISIT = [
    "id",
    "amount",
    "booking_id",
    "complete",
    "completed_time",
    "created_at",
    "employee_ids",
    "name",
    "person_id",
    "scheduled_time",
    "tags",
    "updated_at",
]


async def owned(client, email="a@example.com"):
    """A booking with its person: what a visit needs."""
    person = (await add(client, "people", email=email))["id"]
    booking = (await add(client, "bookings", person_ids=[person]))["id"]
    return {"booking_id": booking, "person_id": person}


async def test_a_visit_is_made_shown_and_changed():
    async with nicejob() as (_, client):
        owner = await owned(client)
        made = await add(client, "visits", **owner, name="Removal", amount=75.0, tags=["a"])
        assert list(made) == VISIT
        assert data(await client.get(f"/v2/visits/{made['id']}")) == made
        assert (made["complete"], made["completed_time"]) == (False, None)
        changed = await add(client, f"visits/{made['id']}", tags=["b"], complete=True)
        assert (changed["tags"], changed["complete"]) == (["b"], True), "what is given overwrites"
        assert changed["completed_time"].startswith("2026-06-01T03:12:")
        assert (changed["name"], changed["booking_id"]) == ("Removal", owner["booking_id"])


async def test_the_list_shows_those_of_a_person_in_pages():
    async with nicejob() as (_, client):
        mine, other = await owned(client), await owned(client, "b@example.com")
        for number in range(23):
            await add(client, "visits", **mine, name=f"Part {number}")
        await add(client, "visits", **other)
        first = await client.get("/v2/visits", params={"person_id": mine["person_id"]})
        rest = {"person_id": mine["person_id"], "cursor": first.json()["cursor"]}
        rows = data(first) + data(await client.get("/v2/visits", params=rest))
        assert sorted(row["name"] for row in rows) == sorted(f"Part {number}" for number in range(23))
        assert len(data(await client.get("/v2/visits"))) == 20


@pytest.mark.parametrize("left_out", ["booking_id", "person_id"])
async def test_a_visit_needs_its_booking_and_its_person(left_out):
    async with nicejob() as (box, client):
        owner = await owned(client)
        given = {name: value for name, value in owner.items() if name != left_out}
        assert (await client.post("/v2/visits", json=given)).status_code == 400
        refused(await client.post("/v2/visits", json=owner | {left_out: "nope"}))
        made = await add(client, "visits", **owner)
        refused(await client.post(f"/v2/visits/{made['id']}", json={left_out: "nope"}))
        assert box.counts()["visits"] == 1


async def test_no_tag_silences_a_visit_and_no_setting_of_bookings_does():
    async with nicejob() as (box, client):
        box.set_campaign_settings(visits_enrol=True, completion_enrols=False)
        owner = await owned(client)
        made = await add(client, "visits", **owner, tags=["noreview"])
        assert box.enrolments == []
        await add(client, f"visits/{made['id']}", complete=True)
        (row,) = box.enrolments
        assert (row["cause"], row["person_id"], row["by"]) == ("visit", owner["person_id"], "api")


async def test_a_direct_enrolment_is_recorded_as_an_indirect_one_and_bars_it():
    async with nicejob() as (box, client):
        person = (await add(client, "people", phone="+64215550177"))["id"]
        made = await add(client, "campaign_enrollments", person_id=person)
        booking = box.create_booking(person_ids=[person])
        box.complete_booking(booking)
        (row,) = box.enrolments
        assert (row["id"], row["person_id"], row["by"]) == (made["id"], person, "api")
        assert (row["campaign_id"], row["booking_id"]) == (made["campaign_id"], None)
        box.advance(183 * 86_400)
        box.complete_booking(box.create_booking(person_ids=[person]))
        assert list(box.enrolments[1]) == list(row)
        assert [each["cause"] for each in box.enrolments] == ["direct", "booking"]


async def test_who_was_enrolled_indirectly_is_not_enrolled_directly_too():
    async with nicejob() as (box, client):
        owner = await owned(client)
        await add(client, f"bookings/{owner['booking_id']}", complete=True)
        said = refused(await client.post("/v2/campaign_enrollments", json={"person_id": owner["person_id"]}))
        assert "recently" in said
        assert box.requests[-1].applied is False
        assert len(box.enrolments) == 1


async def test_no_call_shows_an_enrolment():
    async with nicejob() as (_, client):
        person = (await add(client, "people", email="a@example.com"))["id"]
        made = await add(client, "campaign_enrollments", person_id=person)
        for path in ("/v2/campaign_enrollments", f"/v2/campaign_enrollments/{made['id']}"):
            assert (await client.get(path)).status_code in {404, 405}
