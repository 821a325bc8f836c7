"""NiceJob's visits, which stand under bookings, and its direct enrolments, which nobody can look up."""

import pytest
from test_nicejob import nicejob, sent

from connectors.errors import NeedsHuman, Refused
from mapping.capability import Act
from mapping.model import Kind
from mapping.wish import Write
from tests.contract import nicejob_fixture as its
from tests.contract.nicejob_fixture import MARK
from tests.contract.surround import raised

VISITS, ENROLMENTS = Kind.VISITS, Kind.ENROLMENTS
STARTS = "2026-06-09T21:00:00.000Z"


def enrol(box, **fields):
    return its.write(box, ENROLMENTS, Act.CREATE, **fields)


async def test_a_visit_goes_out_and_comes_back():
    async with nicejob() as (box, connector):
        amount = {"minor": 7550, "currency": "NZD"}
        write = its.write(box, VISITS, Act.CREATE, starts=STARTS, amount=amount)
        seen = await connector.write(write)
        assert sent(box)[-1] == {
            "name": "Removal",
            "booking_id": write.fields["booking"],
            "person_id": write.fields["people"][0],
            "scheduled_time": STARTS,
            "complete": False,
            "amount": 75.5,
            "tags": [MARK],
        }
        shown = seen.fields.fields()
        assert {name: shown[name] for name in ("booking", "title", "starts", "status", "tags")} == {
            "booking": write.fields["booking"],
            "title": "Removal",
            "starts": STARTS,
            "status": "confirmed",
            "tags": [MARK],
        }
        assert shown["people"] == write.fields["people"]
        assert shown["completed_at"] is None
        assert (await connector.fetch(VISITS, seen.ref)).fields == seen.fields
        assert await connector.fetch(VISITS, "nothing") is None


async def test_of_several_people_a_visit_is_for_the_first():
    async with nicejob() as (box, connector):
        both = [its.guest(box), its.guest(box, "bob@example.com")]
        seen = await connector.write(its.write(box, VISITS, Act.CREATE, people=both))
        assert seen.fields.people == (both[0],)


async def test_a_visit_that_shows_little_is_read_as_little():
    async with nicejob() as (box, connector):
        ref = its.write(box, VISITS, Act.UPDATE).ref
        for row, fields in (
            ({"id": ref}, {}),
            ({"id": ref, "person_id": None, "amount": None}, {"people": None, "amount": None}),
        ):
            box.fault("error", "GET", "/visits/", status=200, body=its.listing(VISITS, row))
            assert (await connector.fetch(VISITS, ref)).fields.fields() == fields


@pytest.mark.speaks
@pytest.mark.parametrize("act", [Act.UPDATE, Act.COMPLETE])
async def test_foreign_tags_of_a_visit_stay(act):
    async with nicejob() as (box, connector):
        write = its.write(box, VISITS, act, tags=["bookatu", "VIP "])
        assert list((await connector.write(write)).fields.tags) == ["vip", "bookatu"]


@pytest.mark.parametrize("act", [Act.CREATE, Act.UPDATE])
async def test_no_visit_is_completed_silently_whatever_the_write_is_called(act):
    async with nicejob() as (box, connector):
        write = its.write(box, VISITS, act, status="completed")
        assert "noreview" in (await raised(connector.write(write), Refused)).sentence
        assert sent(box) == []
        assert box.enrolments == []


@pytest.mark.speaks
async def test_a_loud_completion_of_a_visit_sends_no_tag():
    async with nicejob() as (box, connector):
        await connector.write(its.write(box, VISITS, Act.COMPLETE, loud=True))
        assert sent(box)[-1] == {"complete": True}
        assert [row["cause"] for row in box.enrolments] == ["visit"]


async def test_a_visit_is_found_by_its_mark_over_all_pages_of_its_person():
    async with nicejob() as (box, connector):
        write = its.write(box, VISITS, Act.CREATE)
        row = {"booking_id": write.fields["booking"], "person_id": write.fields["people"][0]}
        for _ in range(45):
            box.create(box.company(), "visits", row, by="staff")
        assert await connector.find(write) == []
        made = await connector.write(write)
        box.clear_requests()
        (found,) = await connector.find(write)
        assert found.ref == made.ref
        assert [call.query.get("person_id") for call in box.calls("GET", "/visits$")] == [
            row["person_id"]
        ] * 3
        (found,) = await connector.find(Write(VISITS, Act.UPDATE, None, {"title": "Removal"}, MARK))
        assert found.ref == made.ref, "a wish for a visit does not name its person"


async def test_a_visit_without_its_booking_is_refused():
    async with nicejob() as (box, connector):
        write = its.write(box, VISITS, Act.CREATE, booking="nothing")
        assert "Booking not found" in (await raised(connector.write(write), Refused)).sentence


@pytest.mark.speaks
async def test_an_enrolment_goes_to_the_campaign_that_is_named_or_to_the_default():
    async with nicejob() as (box, connector):
        campaign = next(iter(box.company().tables["campaigns"].rows))
        write = enrol(box)
        seen = await connector.write(write)
        assert sent(box)[-1] == {"person_id": write.fields["person"]}
        assert seen.fields.fields() == {"campaign": campaign}
        other = its.guest(box, "bob@example.com")
        await connector.write(enrol(box, person=other, campaign=campaign))
        assert sent(box)[-1] == {"campaign_id": campaign, "person_id": other}
        assert [row["cause"] for row in box.enrolments] == ["direct", "direct"]


@pytest.mark.speaks
@pytest.mark.parametrize("said", [None, "Person is already enrolled: exists, duplicate"])
async def test_whom_a_campaign_does_not_take_again_is_refused_with_their_sentence_and_is_no_conflict(said):
    async with nicejob() as (box, connector):
        write = enrol(box)
        await connector.write(write)
        if said:
            body = {"cursor": None, "data": None, "error": said}
            box.fault("error", "POST", "/campaign_enrollments", status=200, body=body)
        error = await raised(connector.write(write), Refused)
        assert (said or "enrolled in this campaign recently") in error.sentence
        assert len(box.enrolments) == 1


async def test_who_cannot_be_reached_is_refused():
    async with nicejob() as (box, connector):
        write = enrol(box, person=box.create_person(first_name="No Contact"))
        assert "neither an email" in (await raised(connector.write(write), Refused)).sentence


async def test_an_answer_without_enrolment_and_without_reason_is_a_refusal():
    async with nicejob() as (box, connector):
        body = {"cursor": None, "data": None, "error": None}
        box.fault("error", "POST", "/campaign_enrollments", status=200, body=body)
        error = await raised(connector.write(enrol(box)), Refused)
        assert "no enrolment" in error.sentence


async def test_a_missing_scope_is_named():
    async with nicejob(enrollments_scope=False) as (box, connector):
        assert "`enrollments`" in (await raised(connector.write(enrol(box)), NeedsHuman)).remedy


@pytest.mark.speaks
async def test_nobody_can_look_an_enrolment_up():
    async with nicejob() as (box, connector):
        write = enrol(box)
        made = await connector.write(write)
        box.clear_requests()
        for ref in (None, made.ref):
            looked = Write(ENROLMENTS, Act.CREATE, ref, write.fields, MARK, loud=True)
            assert "dismiss" in (await raised(connector.find(looked), Refused)).sentence
        with pytest.raises(NotImplementedError):
            await connector.fetch(ENROLMENTS, made.ref)
        assert not box.requests


@pytest.mark.parametrize(
    ("kind", "act"), [(ENROLMENTS, Act.UPDATE), (VISITS, Act.CANCEL), (Kind.REVIEWS, Act.UPDATE)]
)
async def test_what_there_is_no_call_for_is_not_sent(kind, act):
    async with nicejob() as (box, connector):
        await raised(connector.write(Write(kind, act, "x", {}, MARK, loud=True)), Refused)
        assert not box.requests
