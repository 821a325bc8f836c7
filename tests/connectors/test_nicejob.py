"""What is NiceJob's own: envelopes with errors, tags, tokens, reviews without end, webhook management."""

import hashlib
import hmac
from contextlib import asynccontextmanager

import orjson
import pytest

from connectors.errors import BadAnswer, Conflict, NeedsHuman, Refused
from connectors.nicejob.connector import NiceJob
from connectors.nicejob.hooks import entity_of, verify
from connectors.oauth import Token
from mapping.capability import Act
from mapping.model import Kind
from mapping.wish import Write
from tests.contract import nicejob_fixture as its
from tests.contract.nicejob_fixture import MARK
from tests.contract.surround import MemoryTokens, connected, everything, raised, walk

PEOPLE, BOOKINGS, REVIEWS = Kind.PEOPLE, Kind.BOOKINGS, Kind.REVIEWS
HOOK = "https://ferry.example.com/hooks/nicejob"


@asynccontextmanager
async def nicejob(*, more=None, tokens=None, **options):
    box = its.sandbox(**options)
    settings = more or {}
    async with connected(
        NiceJob, box, lambda url: its.settings(box, url, **settings), tokens=tokens
    ) as connector:
        yield box, connector


def sent(box):
    """The bodies of all writes."""
    return [call.body for call in box.calls("POST", its.WRITE_PATH)]


async def test_a_duplicate_is_a_conflict_and_can_be_found():
    async with nicejob() as (box, connector):
        write = its.write(box, PEOPLE, Act.CREATE)
        theirs = box.create_person(first_name="Other", email=write.fields["email"])
        error = await raised(connector.write(write), Conflict)
        assert write.fields["email"] not in str(error)
        (found,) = await connector.find(write)
        assert found.ref == theirs
        assert found.fields.first_name == "Other"


async def test_a_200_with_an_error_is_a_refusal():
    async with nicejob() as (box, connector):
        await raised(connector.write(its.write(box, BOOKINGS, Act.CREATE, people=["nobody"])), Refused)
        box.fault(
            "error", "GET", "/people$", status=200, body=its.listing(PEOPLE, []) | {"error": "not today"}
        )
        await raised(connector.pull(PEOPLE, None), BadAnswer)


@pytest.mark.parametrize(("kind", "act"), [row for row in its.WRITES if row[1] is not Act.CREATE])
async def test_an_update_of_what_is_not_there_is_refused(kind, act):
    async with nicejob() as (box, connector):
        write = its.write(box, kind, act)
        gone = Write(kind, act, "nothing", write.fields, MARK, loud=write.loud)
        assert "nothing" in (await raised(connector.write(gone), Refused)).sentence


@pytest.mark.parametrize("act", [Act.COMPLETE, Act.CANCEL, Act.UPDATE])
async def test_foreign_tags_stay(act):
    async with nicejob() as (box, connector):
        write = its.write(box, BOOKINGS, act, tags=["bookatu", "VIP "])
        seen = await connector.write(write)
        quiet = ["noreview"] if act is Act.COMPLETE else []
        assert list(seen.fields.tags) == ["vip", "bookatu", *quiet]


async def test_a_completion_through_a_plain_update_is_silent_too_and_keeps_tags():
    async with nicejob() as (box, connector):
        write = its.write(box, BOOKINGS, Act.UPDATE, status="completed")
        seen = await connector.write(write)
        assert list(seen.fields.tags) == ["vip", "noreview"]
        assert box.enrolments == []


async def test_a_silent_creation_of_a_finished_visit():
    async with nicejob() as (box, connector):
        write = its.write(
            box, BOOKINGS, Act.CREATE, status="completed", completed_at="2026-05-30T01:00:00.000Z"
        )
        seen = await connector.write(write)
        assert "noreview" in seen.fields.tags
        assert box.enrolments == []


@pytest.mark.speaks
async def test_a_loud_completion_enrols_once_and_leaves_tags_alone():
    async with nicejob() as (box, connector):
        write = its.write(box, BOOKINGS, Act.COMPLETE, loud=True)
        await connector.write(write)
        assert "tags" not in sent(box)[-1]
        assert len(box.enrolments) == 1


async def test_nobody_is_unblocked_or_split():
    async with nicejob() as (box, connector):
        ref = box.create_person(first_name="Ann", last_name="Lee", email="ann@example.com", blocked=True)
        fields = {"blocked": False, "phone": "+6421", "full_name": "Ann Lee-Smith"}
        await connector.write(
            Write(PEOPLE, Act.UPDATE, ref, {"phone": "+64215550101", "blocked": False}, MARK)
        )
        assert its.table(box, PEOPLE)[ref]["blocked"] is True
        new = {name: value for name, value in fields.items() if name != "phone"}
        await connector.write(Write(PEOPLE, Act.CREATE, None, new, MARK))
        assert all("blocked" not in body for body in sent(box))
        assert sent(box)[-1] == {"first_name": "Ann Lee-Smith"}
        assert its.table(box, PEOPLE)[ref]["first_name"] == "Ann"


async def test_nulls_are_not_sent_for_a_person():
    async with nicejob() as (box, connector):
        await connector.write(Write(PEOPLE, Act.CREATE, None, {"first_name": "Bo", "email": None}, MARK))
        assert sent(box)[-1] == {"first_name": "Bo"}


async def test_a_booking_is_found_by_its_mark_among_those_of_its_person():
    async with nicejob() as (box, connector):
        write = its.write(box, BOOKINGS, Act.CREATE)
        for _ in range(45):
            box.create_booking(name="Another", person_ids=write.fields["people"])
        assert await connector.find(write) == []
        made = await connector.write(write)
        (found,) = await connector.find(write)
        assert found.ref == made.ref


async def test_a_person_without_an_address_is_found_by_the_mark():
    async with nicejob() as (box, connector):
        box.seed(people=50)
        write = Write(PEOPLE, Act.CREATE, None, {"full_name": "Bo", "tags": [MARK]}, MARK)
        assert await connector.find(write) == []
        made = await connector.write(write)
        assert [found.ref for found in await connector.find(write)] == [made.ref]


async def test_one_record_by_its_id():
    async with nicejob() as (box, connector):
        ref = its.guest(box)
        assert (await connector.fetch(PEOPLE, ref)).fields.email == "ann@example.com"
        assert await connector.fetch(PEOPLE, "nothing") is None
        box.fault("error", "GET", "/people/", status=404)
        await raised(connector.fetch(PEOPLE, ref), BadAnswer)


async def test_a_401_leads_to_one_new_token():
    async with nicejob() as (box, connector):
        await connector.account()
        box.advance(60)
        box.expire_tokens()
        await connector.account()
        assert len(box.calls("POST", "/oauth/token")) == 2
        assert len(box.calls("GET", "/company")) == 3


async def test_an_expired_token_does_not_double_a_write():
    async with nicejob() as (box, connector):
        write = its.write(box, BOOKINGS, Act.CREATE)
        await connector.account()
        box.advance(60)
        box.expire_tokens()
        await connector.write(write)
        assert len(box.calls("POST", its.WRITE_PATH, applied=True)) == 1


async def test_withdrawn_consent_needs_a_human():
    async with nicejob() as (box, connector):
        await connector.account()
        box.advance(60)
        box.revoke_company()
        error = await raised(connector.pull(PEOPLE, None), NeedsHuman)
        assert error.remedy == "bookferry connect mine"


@pytest.mark.parametrize("rotating", [False, True])
async def test_a_refresh_token_is_kept_where_none_comes_back_and_replaced_where_one_does(rotating):
    tokens = MemoryTokens()
    async with nicejob(tokens=tokens, rotate_refresh_tokens=rotating) as (box, connector):
        for _ in range(3):
            await connector.account()
            box.advance(90_000)
        (kept,) = [token for name, token in tokens.kept.items() if ":access:" in name]
        assert (kept.refresh in box.refresh_tokens) is rotating
        assert len(box.calls("POST", "/oauth/token")) == 3


async def test_a_wrong_client_secret_names_the_remedy():
    async with nicejob(more={"client_secret": "wrong"}) as (_, connector):
        assert "client_secret" in (await raised(connector.account(), NeedsHuman)).remedy


async def test_without_a_token_a_human_has_to_connect():
    async with nicejob(more={"refresh_token": None}) as (box, connector):
        assert connector.token_name == "mine:access:connected"
        error = await raised(connector.account(), NeedsHuman)
        assert error.remedy == "bookferry connect mine"
        assert not box.requests


async def test_a_token_that_connect_put_there_is_used_and_kept():
    tokens = MemoryTokens()
    async with nicejob(more={"refresh_token": None}, tokens=tokens) as (box, connector):
        await raised(connector.account(), NeedsHuman)
        await tokens.put(connector.token_name, Token("", None, its.SECRETS[1]))
        assert (await connector.account()).name == "Parnell Nails"
        assert tokens.kept[connector.token_name].refresh == its.SECRETS[1]
        box.expire_tokens()
        box.advance(60)
        await connector.account()
        assert tokens.kept[connector.token_name].refresh == its.SECRETS[1]


@pytest.mark.parametrize("in_yaml", [True, False])
async def test_a_withdrawn_consent_needs_a_human(in_yaml):
    tokens = MemoryTokens()
    async with nicejob(more={} if in_yaml else {"refresh_token": None}, tokens=tokens) as (box, connector):
        await tokens.put(connector.token_name, Token("", None, its.SECRETS[1]))
        await connector.account()
        box.advance(60)
        box.revoke_company()
        assert (await raised(connector.account(), NeedsHuman)).remedy == "bookferry connect mine"


@pytest.mark.parametrize(("paging", "shown"), [("cursor", 45), ("none", 20), ("ignored", 40)])
async def test_reviews_end_whatever_they_do_with_a_cursor(paging, shown):
    async with nicejob(review_paging=paging) as (box, connector):
        box.seed(reviews=45)
        seen = await everything(connector, REVIEWS)
        assert len(seen) == shown
        assert len({one.ref for one in seen}) == (45 if paging == "cursor" else 20)


async def test_a_position_that_nobody_knows_is_a_bad_answer():
    async with nicejob() as (_, connector):
        for position in ("rubbish", "[]", "7", '["gone","x"]'):
            await raised(connector.pull(PEOPLE, position), BadAnswer)


async def test_no_walk_proves_that_anything_is_gone():
    async with nicejob() as (box, connector):
        box.seed(bookings=45)
        pages = await walk(connector, BOOKINGS)
        assert [len(page.observations) for page in pages] == [20, 20, 5]
        assert not any(page.coverage.complete or page.coverage.starts_from for page in pages)


async def test_employees():
    async with nicejob() as (box, connector):
        for number in range(25):
            box.add_employee(email=f"staff{number}@example.com", first_name="Staff")
        assert len(await connector.employees()) == 25
        (one,) = await connector.employees("staff7@example.com")
        assert one["email"] == "staff7@example.com"


async def test_the_company_must_be_the_configured_one():
    async with nicejob(more={"company_id": "another"}) as (_, connector):
        assert "company_id" in (await raised(connector.account(), NeedsHuman)).remedy
    async with nicejob() as (box, connector):
        assert (await connector.account()).id == box.company().id


@pytest.mark.parametrize("date_format", ["iso", "seconds", "milliseconds"])
async def test_dates_in_every_form(date_format):
    async with nicejob(date_format=date_format) as (box, connector):
        ref = box.create_booking(name="Visit", scheduled_time="2026-06-09T21:00:00Z")
        seen = await connector.fetch(BOOKINGS, ref)
        assert seen.fields.fields()["starts"] == "2026-06-09T21:00:00.000Z"


# Webhooks.


async def test_webhooks_are_made_kept_enabled_again_rotated_and_deleted():
    async with nicejob() as (box, connector):
        hooks = connector.webhooks
        assert await hooks.registered() == []
        made = await hooks.ensure(HOOK)
        assert made.secret
        assert made.secret not in repr(made)
        assert set(made.subscriptions) == {"Job", "Person", "Review"}
        again = await hooks.ensure(HOOK)
        assert (again.id, again.secret) == (made.id, None)
        assert len(box.calls("POST", "/webhooks")) == 1, "nothing to do, nothing written"
        box.webhooks[made.id].is_enabled = False
        assert any(not finding.ok for finding in await hooks.check())
        assert (await hooks.ensure(HOOK)).enabled
        box.webhooks[made.id].subscriptions = ["Invoice", "Job"]
        assert (await hooks.ensure(HOOK)).subscriptions == ("Invoice", "Job", "Person", "Review")
        new, old = await hooks.rotate(HOOK)
        assert new.secret not in {None, made.secret}
        assert "Invoice" in new.subscriptions
        assert [hook.id for hook in old] == [made.id]
        assert box.webhooks[made.id].is_enabled, "the old one goes on until it is deleted"
        await hooks.delete(made.id)
        await hooks.delete(made.id)
        assert [hook.id for hook in await hooks.registered()] == [new.id]


async def test_webhooks_page():
    async with nicejob() as (_, connector):
        for number in range(23):
            await connector.webhooks.ensure(f"{HOOK}{number}")
        assert len(await connector.webhooks.registered()) == 23


@pytest.mark.parametrize("sign_timestamp", [False, True])
async def test_webhooks_that_were_really_sent(sign_timestamp):
    async with nicejob(sign_timestamp=sign_timestamp) as (box, connector):
        hook = await connector.webhooks.ensure(HOOK)
        box.hold_webhooks()
        ref = box.create_booking(name="Visit")
        body, headers = box.deliveries[-1].build(1)
        connector.verify(headers, body, (hook.secret,))
        event = connector.read_event(headers, body, 0)
        assert (event.kind, event.ref, event.account) == (BOOKINGS, ref, box.company().id)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Person.updated", PEOPLE),
        ("person_created", PEOPLE),
        ("PERSON-DELETED", PEOPLE),
        ("updatedPerson", PEOPLE),
        ("PERSONUPDATED", PEOPLE),
        ("job_created", BOOKINGS),
        ("JobCompleted", BOOKINGS),
        ("jobs.created", BOOKINGS),
        ("created:booking", BOOKINGS),
        ("Review", REVIEWS),
        ("review/created", REVIEWS),
        ("reviewcreated", REVIEWS),
        ("CampaignEnrollment.created", None),
        ("Invoice.created", None),
        ("", None),
    ],
)
def test_event_codes_in_many_spellings(code, kind):
    assert entity_of(code) == kind


def test_the_signature_is_over_what_javascript_prints():
    printed = b'{"2":1,"b":75,"a":"\xc3\xa9"}'
    digest = hmac.new(b"s", printed, hashlib.sha256).hexdigest()
    body = b'{"payload": {"b": 75.0, "2": 1, "a": "\\u00e9"}, "signature": {"signed_payload": "%s", "timestamp": 100}}'
    verify(body % digest.encode(), ("s",), 100)
    assert orjson.loads(printed)
