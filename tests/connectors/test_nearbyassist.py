"""What is NearbyAssist's own: shifting pages, assumed words, customers inside bookings, two ways in."""

import json
import random
import shutil
import subprocess
from contextlib import asynccontextmanager

import pytest
from pydantic import ValidationError

from connectors.base import Surroundings, budget_of
from connectors.errors import BadAnswer, Conflict, NeedsHuman, Refused, TryLater, Unverified
from connectors.nearbyassist.connector import NearbyAssist
from connectors.nearbyassist.paging import OVERLAP, PAGE, Walk, advance
from connectors.nearbyassist.platform import PLATFORM
from connectors.nearbyassist.settings import NearbyAssistSettings
from connectors.sandbox import iso, serve
from mapping.capability import Act
from mapping.identity import marks_in
from mapping.model import Kind
from mapping.record import PROVES_NOTHING
from mapping.wish import Write
from tests.contract import nearbyassist_fixture as its
from tests.contract.nearbyassist_fixture import ANNA, GEL, GUEST, LISTS, MARK, OPENING, TAMA
from tests.contract.surround import MemoryTokens, connected, everything, raised, surroundings, walk

BOOKINGS, REVIEWS, PEOPLE = Kind.BOOKINGS, Kind.REVIEWS, Kind.PEOPLE
BOOKINGS_PATH, REVIEWS_PATH = (LISTS[kind] + "$" for kind in (BOOKINGS, REVIEWS))
USER = {"api_key": None, "email": "owner@example.com", "password": "planted-password-0123456789ab"}


@asynccontextmanager
async def nearby(*, more=None, tokens=None, **options):
    box = its.sandbox(**options)
    async with connected(
        NearbyAssist, box, lambda url: its.settings(box, url, **(more or {})), tokens=tokens
    ) as connector:
        yield box, connector


def answered(box, body, path=BOOKINGS_PATH, status=200):
    box.fault("error", "GET", path, status=status, body=body)


async def one(connector, box, row, kind=BOOKINGS):
    """What the connector makes of one row."""
    answered(box, its.listing(kind, [{"id": "b1", "startTime": OPENING} | row]), its.LISTS[kind] + "$")
    page = await connector.pull(kind, None)
    return page.observations[0] if page.observations else page.rejected[0].reason


# The walk.


async def test_an_undisturbed_list_is_read_once_and_proves_nothing():
    async with nearby() as (box, connector):
        wanted = its.seed(box, BOOKINGS, 1000)
        pages = await walk(connector, BOOKINGS)
        assert sorted(seen.ref for page in pages for seen in page.observations) == sorted(wanted)
        calls = box.calls("GET", BOOKINGS_PATH)
        assert len(calls) <= 12
        assert all(50 <= int(call.query["limit"]) <= PAGE for call in calls)
        assert {page.coverage for page in pages} == {PROVES_NOTHING}


def churn(box, rng, removed, inserted, doomed):
    """Between two pages: some rows go, at any place of the list, and some come, at any place."""
    rows = box.business.bookings
    going = rng.sample(sorted(doomed & set(rows)), min(removed, len(doomed & set(rows))))
    for ref in going:
        box.delete_booking(ref)
    for _ in range(inserted):
        ref = box.book(box.now(), None, event=False).id
        items = [item for item in rows.items() if item[0] != ref]
        items.insert(rng.randrange(len(items) + 1), (ref, rows[ref]))
        box.business.bookings = dict(items)
        rows = box.business.bookings


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("removed", "inserted"),
    [(1, 0), (0, 1), (3, 3), (12, 0), (0, 12), (20, 20)],
    ids=lambda amount: f"{amount}",
)
async def test_rows_that_come_and_go_between_pages_hide_none_and_double_none(removed, inserted, seed):
    async with nearby() as (box, connector):
        its.seed(box, BOOKINGS, 1000)
        rng = random.Random(seed)
        before = sorted(box.business.bookings)
        doomed = set(rng.sample(before, 400))
        box.after_page = lambda: churn(box, rng, removed, inserted, doomed)
        refs = [seen.ref for seen in await everything(connector, BOOKINGS)]
        assert len(refs) == len(set(refs)), "none doubled"
        assert set(before) - doomed <= set(refs), "none missed"
        assert len(box.calls("GET", BOOKINGS_PATH)) <= 120


async def test_a_row_that_jumps_over_the_walk_is_found_by_reading_again():
    async with nearby(order="changed") as (box, connector):
        wanted = its.seed(box, BOOKINGS, 300)
        box.advance(60)
        last = list(box.business.bookings)[-1]
        pages = []
        box.after_page = lambda: pages.append(1) or (len(pages) == 1 and box.edit_booking(last, notes="x"))
        refs = [seen.ref for seen in await everything(connector, BOOKINGS)]
        assert sorted(refs) == sorted(wanted)


async def test_a_moved_total_is_read_again_but_not_for_ever():
    async with nearby() as (box, connector):
        its.seed(box, BOOKINGS, 250)
        box.after_page = lambda: box.book(box.now(), None, event=False)
        await everything(connector, BOOKINGS)
        assert len(box.calls("GET", BOOKINGS_PATH)) <= 12


async def test_a_walk_goes_on_in_another_process():
    async with nearby() as (box, connector):
        wanted = its.seed(box, BOOKINGS, 450)
        refs, position = [], None
        while True:
            other = NearbyAssist("mine", connector.settings, surroundings(box))
            page = await other.pull(BOOKINGS, position)
            await other.aclose()
            refs += [seen.ref for seen in page.observations]
            if (position := page.next) is None:
                break
        assert sorted(refs) == sorted(wanted)


@pytest.mark.parametrize(
    "position", ["x", "{}", "[]", "[1,2]", '[0,0,false,0,0,0,false,"",""]', '["","","","","","","","",""]']
)
async def test_a_foreign_position_is_a_bad_answer(position):
    async with nearby() as (_, connector):
        await raised(connector.pull(BOOKINGS, position), BadAnswer)


@pytest.mark.parametrize("amount", [19, 20, 21, 130, 205])
@pytest.mark.parametrize("pages", ["fixed", "shorter"])
async def test_pages_of_another_length_than_asked_are_walked_all_the_same(pages, amount):
    async with nearby(pages=pages) as (box, connector):
        wanted = its.seed(box, BOOKINGS, amount)
        refs = [seen.ref for seen in await everything(connector, BOOKINGS)]
        assert sorted(refs) == sorted(wanted)


async def test_a_list_that_ignores_the_page_names_the_setting():
    async with nearby(pages="ignored") as (box, connector):
        its.seed(box, BOOKINGS, 230)
        assert "fields.page" in str(await raised(everything(connector, BOOKINGS), BadAnswer))


async def test_a_list_without_a_total_ends_with_a_short_page():
    async with nearby(more={"fields": {"total": "nowhere"}}) as (box, connector):
        wanted = its.seed(box, BOOKINGS, 205)
        assert {seen.ref for seen in await everything(connector, BOOKINGS)} == wanted


@pytest.mark.parametrize("limit", [None, 0, 1, 20, 99, 10**9], ids=lambda limit: f"says-{limit}")
@pytest.mark.parametrize("total", [None, 0, 7, 10**9], ids=lambda total: f"of-{total}")
async def test_no_number_in_the_answer_ends_a_walk_before_its_rows(total, limit):
    async with nearby() as (box, connector):
        its.seed(box, BOOKINGS, 60)
        rows = [row for seen in await everything(connector, BOOKINGS) if (row := json.loads(seen.raw))]
        answered(box, {"bookings": rows, "total": total, "limit": limit})
        page = await connector.pull(BOOKINGS, None)
        assert len(page.observations) == 60


@pytest.mark.parametrize("amount", [0, 1, 99, 100, 101, 195, 200, 5003])
def test_windows_overlap_and_reach_the_end(amount):
    rows, place, seen, asked = [f"r{n}" for n in range(amount)], Walk(), [], 0
    while place is not None:
        page, limit = place.window()
        window = rows[(page - 1) * limit : page * limit]
        assert limit <= PAGE
        if place.offset:
            assert (page - 1) * limit <= place.offset - OVERLAP
        fresh, place = advance(place, window, amount, limit)
        place = Walk.load(place.dump()) if place else None
        seen += [ref for ref, new in zip(window, fresh, strict=True) if new]
        asked += 1
    assert seen == rows
    assert asked <= amount / 85 + 2


# Words.


@pytest.mark.parametrize(
    ("row", "people", "inside"),
    [
        ({}, None, {}),
        ({"customer": None}, (), {}),
        ({"customer": {}}, (), {}),
        ({"customer": {"id": None, "email": None}}, (), {}),
        ({"customer": "c7"}, ("c7",), {}),
        ({"customer": {"id": 7, "email": "a@b.example"}}, ("7",), {"7": {"email": "a@b.example"}}),
        (
            {"customer": {"firstName": "Ann", "lastName": None}},
            ("booking:b1",),
            {"booking:b1": {"full_name": "Ann", "first_name": "Ann", "last_name": None}},
        ),
    ],
    ids=["absent", "null", "empty", "nulls", "id-alone", "number", "without-id"],
)
async def test_the_customer_inside_a_booking_is_a_person(row, people, inside):
    async with nearby() as (box, connector):
        seen = await one(connector, box, row)
        assert seen.fields.people == people
        assert ("people" in seen.fields.fields()) == ("customer" in row)
        assert {who.ref: who.fields.fields() for who in seen.embedded} == inside
        assert {who.kind for who in seen.embedded} <= {PEOPLE}


@pytest.mark.parametrize(
    ("row", "amount"),
    [
        ({"price": 75.5, "currency": "NZD"}, {"minor": 7550, "currency": "NZD"}),
        ({"price": "1200", "currency": "jpy"}, {"minor": 1200, "currency": "JPY"}),
        ({"price": None, "currency": "NZD"}, None),
        ({"price": 75.5}, "absent"),
        ({"price": 75.5, "currency": None}, "absent"),
        ({"currency": "NZD"}, "absent"),
    ],
)
async def test_prices_are_whole_units_and_a_currency_is_never_guessed(row, amount):
    async with nearby() as (box, connector):
        assert (await one(connector, box, row)).fields.fields().get("amount", "absent") == amount


@pytest.mark.parametrize(
    ("word", "status"),
    [("no_show", "no_show"), ("Confirmed", "confirmed"), ("waitlisted", "unknown"), ("", "unknown")],
)
async def test_an_unknown_status_is_neither_dropped_nor_guessed(word, status):
    async with nearby() as (box, connector):
        fields = (await one(connector, box, {"status": word})).fields
        assert (fields.status, fields.status_word) == (status, word)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"startTime": None}, "startTime"),
        ({"startTime": "2026-06-10T09:00:00"}, "startTime: an instant without an offset"),
        ({"endTime": "2026-06-10 10:00"}, "endTime: an instant without an offset"),
        ({"customer": [1]}, "customer"),
    ],
)
async def test_what_is_missing_or_doubtful_rejects_the_row_by_name(row, said):
    async with nearby() as (box, connector):
        assert said in await one(connector, box, row)


async def test_a_review_shows_its_author():
    async with nearby() as (box, connector):
        box.add_review(4, booking_id="b1", author_name="Ann", author_email="a@b.example", comment="Fine")
        (seen,) = await everything(connector, REVIEWS)
        fields = seen.fields
        assert (fields.rating, fields.booking, fields.author) == (4, "b1", "Ann")
        assert (fields.author_email, fields.comment, fields.title) == ("a@b.example", "Fine", None)


RENAMED = {
    "bookings": "items",
    "startTime": "begins_at",
    "customer": "client",
    "firstName": "given_name",
    "id": "uid",
    "booking": "appointment",
    "externalRef": "partner_reference",
    "page": "p",
    "limit": "per_page",
}
SET_RIGHT = {
    "fields": {
        "bookings": "items",
        "start": "begins_at",
        "id": "uid",
        "booking": "appointment",
        "external_ref": "partner_reference",
        "page": "p",
        "limit": "per_page",
        "customer": "client",
        "customer_id": "client.uid",
        "customer_first_name": "client.given_name",
        "customer_last_name": "client.lastName",
        "customer_email": "client.email",
        "customer_phone": "client.phone",
    },
    "statuses": {"confirmed": ["booked", "confirmed"], "no_show": "noshow"},
    "paths": {"bookings": "/v9/appointments"},
}


@pytest.mark.speaks
async def test_every_assumed_word_can_be_set_right():
    box = {
        "rename": RENAMED,
        "status_words": {"confirmed": "booked", "no_show": "noshow"},
        "moved": {LISTS[BOOKINGS]: "/v9/appointments"},
    }
    async with nearby(more=SET_RIGHT, **box) as (box, connector):
        wanted = its.seed(box, BOOKINGS, 250)
        found = await everything(connector, BOOKINGS)
        assert sorted(seen.ref for seen in found) == sorted(wanted)
        assert found[0].fields.status == "confirmed"
        assert found[0].embedded[0].fields.first_name
        made = await connector.write(its.write(box, BOOKINGS, Act.CREATE, starts="2027-01-01T00:00:00Z"))
        assert box.business.bookings[made.ref].external_ref == MARK
        assert [seen.ref for seen in await connector.find(its.write(box, BOOKINGS, Act.CREATE))] == [made.ref]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "has no way in"),
        ({"email": "a@b.example"}, "has no way in"),
        ({"api_key": "k", "email": "a@b.example", "password": "p"}, "two ways in"),
        ({"api_key": "k", "paths": {"bookigns": "/x"}}, "there is no key 'bookigns' here"),
        ({"api_key": "k", "fields": {"starts": "x"}}, "there is no key 'starts' here"),
        ({"api_key": "k", "paths": {"booking": "/x"}}, "pattern"),
        ({"api_key": "k", "paths": {"bookings": "/a/../b"}}, "pattern"),
        ({"api_key": "k", "statuses": {"pending": []}}, "at least one word"),
    ],
)
def test_settings_that_cannot_be_used_say_why(given, said):
    with pytest.raises(ValidationError) as caught:
        NearbyAssistSettings(platform="nearbyassist", **given)
    assert said in str(caught.value)


def test_a_misspelt_key_is_answered_with_those_there_are():
    with pytest.raises(ValidationError) as caught:
        NearbyAssistSettings(platform="nearbyassist", api_key="k", fields={"strat": "x"})
    remedy = caught.value.errors()[0]["ctx"]["error"].remedy
    assert 'did you mean "start"?' in remedy
    assert "customer_email" in remedy


# Answers that are not as expected.


@pytest.mark.parametrize(
    "body", [{"items": []}, {"bookings": None}, {"bookings": {"a": 1}}, [], [{}], None, 7]
)
async def test_an_answer_without_a_list_names_the_setting(body):
    async with nearby() as (box, connector):
        answered(box, json.dumps(body))
        said = str(await raised(connector.pull(BOOKINGS, None), BadAnswer))
        assert "fields.bookings" in said
        assert "paths.bookings" in said


async def test_a_missing_scope_is_named():
    async with nearby() as (box, connector):
        box.keys[box.api_key].scopes = frozenset({"bookings:read"})
        assert (await connector.pull(BOOKINGS, None)).next is None
        assert "reviews:read" in (await raised(connector.pull(REVIEWS, None), NeedsHuman)).remedy
        error = await raised(connector.write(its.write(box, BOOKINGS, Act.CREATE)), NeedsHuman)
        assert "bookings:write" in error.remedy


async def test_a_path_that_is_another_is_named():
    async with nearby(more={"paths": {"reviews": "/api/nothing"}}) as (_, connector):
        assert "paths.reviews" in (await raised(connector.pull(REVIEWS, None), NeedsHuman)).remedy


async def test_a_method_that_is_another_is_named():
    async with nearby(more={"methods": {"update": "PUT"}}) as (box, connector):
        error = await raised(connector.write(its.write(box, BOOKINGS, Act.UPDATE)), NeedsHuman)
        assert "methods.update" in error.remedy


async def test_a_revoked_key_needs_a_human():
    async with nearby() as (box, connector):
        box.revoke_key(box.api_key)
        assert "api_key" in (await raised(connector.pull(BOOKINGS, None), NeedsHuman)).remedy


# Writes.


@pytest.mark.speaks
@pytest.mark.parametrize("bare", [False, True], ids=["wrapped", "bare"])
async def test_a_booking_is_made_changed_and_cancelled(bare):
    async with nearby(bare=bare) as (box, connector):
        amount = {"minor": 8050, "currency": "NZD"}
        made = await connector.write(its.write(box, BOOKINGS, Act.CREATE, amount=amount, title="Gel"))
        row = box.business.bookings[made.ref]
        assert (row.service_id, row.staff_id, row.price, row.notes) == (GEL, ANNA, 80.5, "Window seat")
        assert (row.external_ref, iso(row.start)) == (MARK, OPENING)
        assert marks_in(made.fields.fields()) == [MARK]
        assert box.business.customers[row.customer_id].last_name == GUEST["last_name"]
        later = "2026-06-10T21:00:00.000Z"
        moved = await connector.write(
            Write(BOOKINGS, Act.UPDATE, made.ref, {"starts": later}, MARK, loud=True)
        )
        assert iso(moved.fields.starts) == later
        assert box.calls("PATCH")[0].body == {"startTime": later}
        gone = await connector.write(Write(BOOKINGS, Act.CANCEL, made.ref, {}, MARK, loud=True))
        assert gone.fields.status == "cancelled"
        kinds = ["booking_created", "booking_updated", "booking_cancelled"]
        assert [message["kind"] for message in box.messages_to_guests] == kinds


@pytest.mark.speaks
async def test_one_name_is_never_split():
    async with nearby() as (box, connector):
        write = its.write(box, BOOKINGS, Act.CREATE)
        person = {"full_name": "Ana María López Silva", "email": "ana@b.example"}
        await connector.write(Write(BOOKINGS, Act.CREATE, None, write.fields, MARK, loud=True, person=person))
        (customer,) = box.business.customers.values()
        assert (customer.first_name, customer.last_name) == ("Ana María López Silva", None)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refusal_is_final_and_names_the_fields(status):
    async with nearby() as (box, connector):
        body = {"error": "Validation failed", "errors": [{"field": "startTime", "message": "In the past"}, 7]}
        box.fault("error", "POST", BOOKINGS_PATH, times=None, status=status, body=body)
        error = await raised(connector.write(its.write(box, BOOKINGS, Act.CREATE)), Refused)
        assert error.fields == {"startTime": "In the past"}
        assert len(box.calls("POST", BOOKINGS_PATH)) == 1


@pytest.mark.speaks
async def test_a_taken_slot_is_a_conflict():
    async with nearby() as (box, connector):
        box.create_booking(OPENING, its.guest(box), staff_id=ANNA)
        await raised(connector.write(its.write(box, BOOKINGS, Act.CREATE)), Conflict)
        await connector.write(its.write(box, BOOKINGS, Act.CREATE, staff=TAMA))


@pytest.mark.speaks
async def test_a_slot_taken_by_our_own_lost_write_is_adopted():
    async with nearby() as (box, connector):
        its.seed(box, BOOKINGS, 230)
        made = await connector.write(its.write(box, BOOKINGS, Act.CREATE))
        again = await connector.write(its.write(box, BOOKINGS, Act.CREATE))
        assert again.ref == made.ref
        assert len(box.calls("POST", BOOKINGS_PATH, applied=True)) == 1
        box.cancel(made.ref)
        box.create_booking(OPENING, its.guest(box), staff_id=ANNA)
        await raised(connector.write(its.write(box, BOOKINGS, Act.CREATE)), Conflict)


@pytest.mark.parametrize("act", [Act.UPDATE, Act.CANCEL])
@pytest.mark.parametrize("ref", ["bkg_none", "a/../b", "..", "a?b", "ä"])
async def test_what_is_not_there_is_refused(act, ref):
    async with nearby() as (_, connector):
        await raised(connector.write(Write(BOOKINGS, act, ref, {"notes": "x"}, MARK, loud=True)), Refused)


async def test_one_record_is_fetched():
    async with nearby() as (box, connector):
        box.seed(bookings=2, reviews=120)
        for kind in (BOOKINGS, REVIEWS):
            ref = list(getattr(box.business, kind.value))[-1]
            assert (await connector.fetch(kind, ref)).ref == ref
            assert await connector.fetch(kind, "none") is None
        assert (await connector.fetch(BOOKINGS, next(iter(box.business.bookings)))).embedded


# Two ways in.


@asynccontextmanager
async def signed_in(*, password=USER["password"], tokens=None, **options):
    box = its.sandbox(**options)
    box.set_clock("2026-06-01T03:12:00Z")
    box.add_user(USER["email"], password)
    async with serve(box) as url:
        settings = its.settings(box, url, **USER)

        async def sleep(seconds):
            box.advance(seconds)

        budget = budget_of(PLATFORM, settings, box.clock.time)
        around = Surroundings(budget, tokens or MemoryTokens(), box.clock.time, sleep=sleep)
        connector = NearbyAssist("mine", settings, around)
        try:
            yield box, connector
        finally:
            await connector.aclose()


def signins(box):
    return len(box.calls("POST", "signin"))


async def test_signing_in_happens_once_and_again_when_the_token_has_expired():
    import asyncio

    async with signed_in() as (box, connector):
        its.seed(box, BOOKINGS, 3)
        await asyncio.gather(*(connector.pull(kind, None) for kind in (BOOKINGS, REVIEWS) * 4))
        assert signins(box) == 1
        box.expire_tokens()
        box.advance(3600)
        assert len(await everything(connector, BOOKINGS)) == 3
        assert signins(box) == 2
        left = {row.scope: row.limit - row.left for row in connector.around.budget.remaining()}
        assert left["auth"] == 1, "the first one was an hour ago"
        assert left["all"] > left["auth"]


async def test_refused_sign_ins_stop_after_three_and_stay_so_after_a_restart():
    tokens = MemoryTokens()
    async with signed_in(password="another", tokens=tokens) as (box, connector):
        for _ in range(2):
            await raised(connector.pull(BOOKINGS, None), TryLater)
        error = await raised(connector.pull(BOOKINGS, None), NeedsHuman)
        assert "forget-tokens" in error.remedy
        for ferry in (connector, NearbyAssist("mine", connector.settings, surroundings(box, tokens=tokens))):
            for _ in range(3):
                error = await raised(ferry.pull(BOOKINGS, None), NeedsHuman)
                assert USER["password"] not in str(error) + repr(error)
        await ferry.aclose()
        assert signins(box) == 3


async def test_one_success_forgets_the_refusals():
    async with signed_in(password="another") as (box, connector):
        await raised(connector.pull(BOOKINGS, None), TryLater)
        box.add_user(USER["email"], USER["password"])
        await connector.pull(BOOKINGS, None)
        box.add_user(USER["email"], "another")
        box.expire_tokens()
        box.advance(3600)
        for _ in range(2):
            await raised(connector.pull(BOOKINGS, None), TryLater)


async def test_both_limits_are_kept_with_a_tenth_to_spare():
    async with signed_in(rate_limits=True) as (box, connector):
        for _ in range(18):
            await connector.pull(BOOKINGS, None)
            box.expire_tokens()
            box.advance(31)
        await raised(connector.pull(BOOKINGS, None), TryLater)
        assert signins(box) == 18
        box.add_user(USER["email"], USER["password"])
        box.advance(900)
        for _ in range(440):
            await connector.pull(REVIEWS, None)
        assert not [call for call in box.requests if call.status == 429]


def test_one_key_is_one_budget():
    one, same, other = (
        NearbyAssistSettings(platform="nearbyassist", api_key=key, poll=poll)
        for key, poll in (("k1", "5m"), ("k1", "9m"), ("k2", "5m"))
    )
    credential = NearbyAssist.credential
    assert credential(one) == credential(same) != credential(other)


# Webhooks.


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("printed", [False, True], ids=["as-signed", "printed-anew"])
async def test_webhooks_that_were_really_sent(printed):
    async with nearby(sign_printed=printed) as (box, connector):
        secret = box.add_webhook("http://127.0.0.1:9/hook")
        box.hold_webhooks()
        ref = box.create_booking(OPENING, its.guest(box), staff_id=ANNA, notes="Zoë 😀 1.0", price=75.0)
        box.edit_booking(ref, notes="changed")
        box.complete(ref)
        box.cancel(ref)
        review = box.add_review(5, booking_id=ref)
        for name in ("lead.received", "lead.accepted", "message.received", "payment.completed", "story.told"):
            box.announce(name, bookingId=ref)
        events = []
        for delivery in box.deliveries:
            body, headers = delivery.build(1)
            connector.verify(lower(headers), body, ("older", secret))
            events.append(connector.read_event(lower(headers), body, 0))
        assert [(event.name, event.kind, event.ref) for event in events] == [
            ("booking.created", BOOKINGS, ref),
            ("booking.updated", BOOKINGS, ref),
            ("booking.cancelled", BOOKINGS, ref),
            ("review.created", REVIEWS, review),
            ("lead.received", None, None),
            ("lead.accepted", None, None),
            ("message.received", None, None),
            ("payment.completed", None, None),
            ("story.told", None, None),
        ]
        assert not any(event.observation for event in events), "hints only: a replay asks for another look"
        assert connector.hints_only


@pytest.mark.parametrize(
    ("body", "name", "ref"),
    [
        ({"type": "booking.updated", "payload": {"id": 7}}, "booking.updated", "7"),
        (
            {"id": "evt_1", "event": "booking.updated", "data": {"booking": {"id": "b"}, "bookingId": "b"}},
            None,
            "b",
        ),
        ({"id": "evt_1", "event": {"type": "review.created", "id": "x"}, "data": {"id": "r"}}, None, "r"),
        ({"event": "BOOKING_CREATED", "bookingId": "b"}, "BOOKING_CREATED", "b"),
        ({"event": "booking.created", "booking": {"uuid": "u"}}, None, "u"),
        ({"event": "review.created", "data": {"id": "r", "bookingId": "b"}}, None, "r"),
        ({"event": "booking.updated", "id": "b"}, None, "b"),
    ],
)
async def test_the_event_is_found_wherever_it_stands(body, name, ref):
    async with nearby() as (_, connector):
        event = connector.read_event({}, json.dumps(body).encode(), 0)
        assert event.ref == ref
        assert event.kind
        assert name is None or event.name == name


@pytest.mark.parametrize(
    "body",
    [
        '{"event":"booking.created","data":{}}',
        '{"event":"booking.created","data":{"id":[1]}}',
        '{"event":7}',
        '"x"',
    ],
)
async def test_an_event_without_an_id_is_malformed(body):
    async with nearby() as (_, connector):
        with pytest.raises(ValueError, match=r"."):
            connector.read_event({}, body.encode(), 0)


PAGE_SAMPLE = """
const crypto = require('crypto');
for (const text of JSON.parse(require('fs').readFileSync(0))) {
  const body = JSON.parse(text);
  console.log(crypto.createHmac('sha256', 'whsec_1').update(JSON.stringify(body)).digest('hex'));
}
"""
ODD = [
    '{"event": "booking.created", "data": {"id": "b1", "price": 75.0, "tax": 1e-7, "big": 1E21}}',
    '{"event":"booking.created","data":{"id":12345678901234567890,"n":0.1e2}}',
    '{"event":"booking.created","data":{"b":1,"10":2,"9":3,"id":"\\u00e9\\ud83d\\ude00\\/"}}',
    '{"event":"booking.created","data":{"id":"b1","notes":"half \\ud83d an emoji"}}',
    '{"data":{"id":"first"},"event":"booking.created","data":{"id":"last"}}',
]


async def test_what_the_pages_own_sample_accepts_is_accepted_and_exactly_that_is_read():
    node = shutil.which("node")
    assert node, "Node.js is needed: without it nothing here proves anything"
    done = subprocess.run(
        [node, "-e", PAGE_SAMPLE], input=json.dumps(ODD), capture_output=True, text=True, check=True
    )
    async with nearby() as (_, connector):
        refs = []
        for text, signature in zip(ODD, done.stdout.split(), strict=True):
            headers = {"x-nearbyassist-signature": signature}
            connector.verify(headers, text.encode(), ("whsec_1",))
            with pytest.raises(Unverified):
                connector.verify(headers, text.replace("booking", "bookinG").encode(), ("whsec_1",))
            refs.append(connector.read_event(headers, text.encode(), 0).ref)
        assert refs == ["b1", "12345678901234567000", "é😀/", "b1", "last"]


async def test_the_signatures_header_can_have_another_name():
    async with nearby(more={"headers": {"signature": "X-Sig"}}) as (box, connector):
        headers, body = its.signed(box, "right", 0)
        with pytest.raises(Unverified) as caught:
            connector.verify(headers, body, ("right",))
        assert caught.value.why == "malformed"
        connector.verify({"x-sig": headers["x-nearbyassist-signature"].upper()}, body, ("right",))
