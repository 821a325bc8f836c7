"""What is Bookatu's own: the capped list, joins, two doors for a booking."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from connectors.bookatu.connector import Bookatu
from connectors.bookatu.hooks import verify
from connectors.errors import Conflict, NeedsHuman, Refused, Unverified
from connectors.sandbox import iso
from mapping.capability import Act
from mapping.model import Kind
from mapping.wish import Write
from tests.contract import bookatu_fixture as its
from tests.contract.bookatu_fixture import ANNA, BRIDAL, EXPRESS, GEL, GUEST, MARK, OPENING, TAMA
from tests.contract.surround import connected, everything, raised

SUNDAY = "2026-06-06T21:00:00.000Z"  # closed
POSTS = r"/(appointments|book)$"


@asynccontextmanager
async def bookatu(**more):
    box = its.sandbox()
    async with connected(Bookatu, box, lambda url: its.settings(box, url, **more)) as connector:
        yield box, connector


def create(*, person=GUEST, without=(), **fields):
    wanted = {"service": GEL, "starts": OPENING} | fields
    wanted = {name: value for name, value in wanted.items() if name not in without}
    return Write(Kind.BOOKINGS, Act.CREATE, None, wanted, MARK, loud=True, person=person)


def cancel(ref):
    return Write(Kind.BOOKINGS, Act.CANCEL, ref, {}, MARK, loud=True)


async def bookings(connector):
    return await connector.pull(Kind.BOOKINGS, None)


def at(box, **ahead):
    return iso(box.now() + timedelta(**ahead))


async def test_a_short_list_proves_all_that_is_to_come():
    async with bookatu() as (box, connector):
        box.seed(bookings=199)
        coverage = (await bookings(connector)).coverage
        assert coverage.starts_before is None
        assert coverage.shows({"status": "confirmed", "starts": at(box, days=900)})
        assert not coverage.shows({"status": "confirmed", "starts": at(box, seconds=60)}), "clocks differ"
        assert not coverage.shows({"status": "completed", "starts": at(box, days=1)})


async def test_a_full_list_proves_nothing_from_its_last_row_on():
    async with bookatu() as (box, connector):
        box.seed(bookings=230)
        page = await bookings(connector)
        assert len(page.observations) == 200
        last = page.observations[-1].fields.starts
        assert page.coverage.starts_before == round(last.timestamp() * 1000)
        assert not page.coverage.shows({"status": "confirmed", "starts": iso(last)})
        assert page.coverage.shows({"status": "confirmed", "starts": iso(last - timedelta(minutes=1))})


async def test_an_unsorted_list_proves_nothing():
    async with bookatu() as (box, connector):
        box.seed(bookings=6)
        rows = [row.public() for row in box.business().upcoming(box.now(), 9)][::-1]
        box.fault("error", "GET", "/appointments$", status=200, body={"appointments": rows})
        page = await bookings(connector)
        assert len(page.observations) == 6
        assert not page.coverage.shows({"status": "confirmed", "starts": at(box, days=3)})


async def test_the_servers_clock_counts_where_it_is_ahead():
    async with bookatu() as (box, connector):
        box.seed(bookings=3)
        page = await bookings(connector)
        assert page.coverage.starts_from >= page.asked_at


async def test_prices_have_the_currency_of_the_service_then_of_the_business():
    async with bookatu() as (box, connector):
        box.seed(bookings=2)
        services = [{"id": GEL, "name": "Gel Manicure", "currency": "AUD"}]
        box.fault("error", "GET", "/services", status=200, body={"services": services})
        rows = (await bookings(connector)).observations
        money = {row.fields.title: row.fields.amount.currency for row in rows}
        assert money == {"Gel Manicure": "AUD", "Express Polish": "NZD"}


async def test_without_a_known_currency_the_amount_stays_absent():
    async with bookatu() as (box, connector):
        box.seed(bookings=1)
        box.fault("error", "GET", "/services", status=200, body={"services": []})
        box.fault("error", "GET", "/business", status=200, body={"name": "X"})
        (row,) = (await bookings(connector)).observations
        assert "amount" not in row.fields.fields()


async def test_the_catalogue_is_asked_once_an_hour():
    async with bookatu() as (box, connector):
        for _ in range(3):
            await bookings(connector)
        assert len(box.calls("GET", "/services")) == len(box.calls("GET", "/business")) == 1
        box.advance(3601)
        await bookings(connector)
        assert len(box.calls("GET", "/services")) == 2


async def test_bookings_name_customers_whose_contact_data_is_listed_beside_them():
    async with bookatu() as (box, connector):
        box.seed(people=3, bookings=3)
        people = {seen.ref: seen.fields for seen in await everything(connector, Kind.PEOPLE)}
        for seen in await everything(connector, Kind.BOOKINGS):
            assert people[seen.fields.people[0]].email
            assert seen.fields.zone == "Pacific/Auckland"


async def test_an_unknown_status_is_neither_dropped_nor_guessed():
    async with bookatu() as (box, connector):
        box.seed(bookings=1)
        (row,) = [row.public() for row in box.business().upcoming(box.now(), 9)]
        body = {"appointments": [row | {"status": "waitlisted"}]}
        box.fault("error", "GET", "/appointments$", status=200, body=body)
        (seen,) = (await bookings(connector)).observations
        assert (seen.fields.status, seen.fields.status_word) == ("unknown", "waitlisted")


@pytest.mark.speaks
@pytest.mark.parametrize(("source", "path"), [("admin", "/appointments"), ("online", "/book")])
async def test_both_doors_choose_who_is_free_and_carry_the_mark(source, path):
    async with bookatu(source=source) as (box, connector):
        box.create_appointment(service_id=GEL, start_at=OPENING, customer_id=its.guest(box), staff_id=ANNA)
        made = await connector.write(create(notes="Window seat"))
        (call,) = box.calls("POST", POSTS)
        assert call.path.endswith(path)
        appointment = box.business().appointments[made.ref]
        assert appointment.staff_id == TAMA
        assert appointment.notes == f"Window seat {MARK}"
        assert made.fields.reference == appointment.ref
        assert made.fields.status == "confirmed"


@pytest.mark.speaks
async def test_a_deposit_leaves_it_pending():
    async with bookatu() as (_, connector):
        made = await connector.write(create(service=BRIDAL))
        assert made.fields.status == "pending"


@pytest.mark.speaks
async def test_the_mark_survives_long_notes():
    async with bookatu() as (box, connector):
        made = await connector.write(create(notes="x" * 900))
        notes = box.business().appointments[made.ref].notes
        assert len(notes) <= 500
        assert notes.endswith(f" {MARK}")


@pytest.mark.speaks
async def test_a_service_is_found_by_its_name_unless_two_share_it():
    async with bookatu() as (box, connector):
        made = await connector.write(create(without=["service"], title="Express Polish"))
        assert box.business().appointments[made.ref].service_id == EXPRESS
        box.add_service("Express Polish")
        box.advance(3601)
        error = await raised(connector.write(create(without=["service"], title="Express Polish")), Refused)
        assert "2 services" in error.sentence
        await raised(connector.write(create(without=["service"], title="Massage")), Refused)


@pytest.mark.speaks
async def test_a_taken_place_is_a_conflict_and_never_sent_twice():
    async with bookatu() as (box, connector):
        await connector.write(create(staff=ANNA))
        await raised(connector.write(create(staff=ANNA)), Conflict)
        assert len(box.calls("POST", POSTS, applied=True)) == 1
        (found,) = await connector.find(create(staff=ANNA))
        assert MARK in found.fields.notes


@pytest.mark.speaks
async def test_online_refuses_when_nobody_is_free_and_admin_does_not():
    async with bookatu(source="online") as (box, connector):
        error = await raised(connector.write(create(starts=SUNDAY)), Refused)
        assert "source: admin" in error.sentence
        assert not box.calls("POST")
    async with bookatu() as (box, connector):
        await connector.write(create(starts=SUNDAY))
        assert len(box.calls("POST", POSTS, applied=True)) == 1


async def test_a_service_that_is_not_there_is_the_writes_trouble():
    async with bookatu() as (_, connector):
        await raised(connector.write(create(service="svc_none")), Refused)


@pytest.mark.parametrize("gone", ["email", "phone"])
async def test_contact_data_is_never_invented(gone):
    async with bookatu() as (box, connector):
        person = {name: value for name, value in GUEST.items() if name != gone}
        error = await raised(connector.write(create(person=person, staff=ANNA)), Refused)
        assert gone in error.fields
        assert not box.calls("POST")


async def test_a_refusal_names_the_fields():
    async with bookatu() as (_, connector):
        person = GUEST | {"email": "no address", "phone": "12"}
        error = await raised(connector.write(create(person=person, staff=ANNA)), Refused)
        assert set(error.fields) == {"email", "phone"}


async def test_a_name_that_does_not_fit_is_refused_before_it_is_sent():
    async with bookatu() as (box, connector):
        await raised(connector.write(create(person=GUEST | {"full_name": "X"}, staff=ANNA)), Refused)
        assert not box.calls("POST")


@pytest.mark.speaks
async def test_cancelling_is_idempotent():
    async with bookatu() as (box, connector):
        made = await connector.write(create(staff=ANNA))
        for _ in range(2):
            seen = await connector.write(cancel(made.ref))
            assert (seen.ref, seen.fields.status) == (made.ref, "cancelled")
        assert len(box.calls("POST", "/cancel$", applied=True)) == 1


@pytest.mark.parametrize("ref", ["apt_none", "a/../b", "a?b", "ä"])
async def test_cancelling_what_is_not_there_is_refused(ref):
    async with bookatu() as (_, connector):
        assert (await raised(connector.write(cancel(ref)), Refused, NeedsHuman)).sentence


async def test_nobody_can_look_beyond_the_list():
    async with bookatu() as (box, connector):
        box.seed(bookings=220)
        await raised(connector.find(create(starts=at(box, days=300))), Refused)


async def test_a_revoked_key_needs_a_human():
    async with bookatu() as (box, connector):
        box.revoke_key(its.SECRETS[0])
        error = await raised(bookings(connector), NeedsHuman)
        assert "credentials" in error.remedy


async def test_webhooks_that_were_really_sent():
    async with bookatu() as (box, connector):
        box.seed(bookings=1)
        await bookings(connector)
        (ref,) = box.business().appointments
        secret = box.add_webhook("http://127.0.0.1:9/hook")
        box.hold_webhooks()
        box.reschedule(ref, OPENING)
        box.complete(ref)
        events = []
        for delivery in box.deliveries:
            body, headers = delivery.build(1)
            lower = {name.lower(): value for name, value in headers.items()}
            connector.verify(lower, body, (secret,))
            events.append(connector.read_event(lower, body, int(box.clock.time() * 1000)))
        moved, done = events
        assert (moved.name, moved.ref, moved.poll) == ("booking.rescheduled", ref, True)
        assert iso(moved.observation.fields.starts) == OPENING
        assert (done.name, done.poll) == ("booking.completed", False)
        assert done.observation.fields.completed_at
        assert not {"people", "notes", "staff"} & done.observation.fields.model_fields_set


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=ab", "t=x,v1=" + "a" * 64, "t=1,v1=" + "g" * 64, "t=1;v1=" + "a" * 64]
)
def test_an_odd_signature_header_is_malformed(header):
    with pytest.raises(Unverified) as caught:
        verify({"x-bookatu-signature": header}, b"{}", ("s",), 0)
    assert caught.value.why == "malformed"


async def test_an_unknown_event_is_counted_and_not_followed():
    async with bookatu() as (_, connector):
        event = connector.read_event({}, b'{"event":"customer.created","data":{}}', 0)
        assert (event.name, event.kind, event.observation) == ("customer.created", None, None)
