"""Every recipe of ``examples/``: it is right as it stands, and it keeps its promise over real HTTP."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from town import EXAMPLES, loaded, recipe, town

from connectors.sandbox import iso
from daemon.forecast import plan
from daemon.passes import sync
from state.database import reading

NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
STAY = {
    "guestName": "Zoë Müller",
    "guestEmail": "zoe@example.com",
    "arrival": "2026-07-12",
    "departure": "2026-07-15",
}
CHECK_OUT = "2026-07-15T09:00:00.000Z"  # 11:00 in Paris


def variables(text):
    return {name: f"value-of-{name.lower()}" for name in re.findall(r"\$\{(\w+)\}", text)}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_right_as_it_stands_and_says_what_it_does(name):
    text = recipe(name)
    config = loaded(text, variables(text))
    assert config.routes
    assert config.warnings == ()
    assert text.startswith("# ")
    assert "What happens:" in text


def test_every_recipe_is_run_below():
    here = Path(__file__).read_text()
    assert [name for name in NAMES if f'"{name}"' not in here] == []


async def foreseen(on):
    async with on.app() as app:
        with reading(on.folder / "bookferry.db") as tx:
            return [(line.outcome, line.why) for line in plan(app.world, tx, app.ms()).lines]


def visit(on, slug=None, hours=2, number=1):
    business = on.salon.business(slug)
    guest = on.salon.add_customer(f"Ann {number}", f"ann{number}@example.com", "+64 21 555 0100", slug=slug)
    service = next(iter(business.services))
    when = iso(on.salon.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours))
    return on.salon.create_appointment(service, when, guest, slug=slug)


@pytest.mark.speaks
async def test_a_completed_visit_asks_for_one_review(tmp_path):
    async with town(tmp_path, "bookatu-to-nicejob-reviews.yaml") as on:
        on.salon.seed(people=5, bookings=5, history=5)
        await on.armed()
        done, off, open_one = (visit(on, hours=hours, number=hours) for hours in (2, 4, 6))
        await on.pass_()
        assert on.asked() == []
        async with on.door("salon"):
            on.salon.complete(done)
            on.salon.cancel(off)
        await on.pass_()
        (booking,) = on.there()["bookings"]
        assert on.asked() == [(on.companies[0].company_id, booking["id"])]
        assert (booking["complete"], booking["name"]) == (True, "Gel Manicure")
        assert "bookatu" in booking["tags"]
        assert open_one in on.salon.business().appointments
        await on.quiet()


@pytest.mark.speaks
async def test_both_calendars_show_one_booking_each_and_a_cancellation_travels(tmp_path):
    async with town(tmp_path, "nearbyassist-and-bookatu-two-way.yaml") as on:
        on.market.add_service("Gel Manicure")
        await on.armed()
        shop, salon = on.market.business, on.salon.business()
        when = iso(datetime(2026, 7, 14, 22, 0).astimezone())
        guest = on.market.add_customer("Mere", "Whaanga", "mere@example.com", "+64 21 555 0101")
        named = next(service for service in shop.services.values() if service.name == "Gel Manicure")
        theirs = on.market.create_booking(when, guest, service_id=named.id, notes="Window seat")
        ours = visit(on, hours=50)
        assert (await on.pass_())["writes"] == 2
        assert (len(shop.bookings), len(salon.appointments)) == (2, 2)
        await on.quiet()
        (copy,) = (row for ref, row in salon.appointments.items() if ref != ours)
        assert copy.start == shop.bookings[theirs].start
        on.market.cancel(theirs)
        on.salon.reschedule(ours, iso(salon.appointments[ours].start + timedelta(days=1)))
        assert (await on.pass_())["writes"] == 2
        assert copy.status == "cancelled"
        (mirror,) = (row for ref, row in shop.bookings.items() if ref != theirs)
        assert mirror.start == salon.appointments[ours].start
        await on.quiet()


@pytest.mark.speaks
async def test_a_guest_is_asked_when_they_have_left_and_not_before(tmp_path):
    async with town(tmp_path, "nowistay-to-nicejob-after-departure.yaml") as on:
        on.villa.seed(bookings=5)
        await on.armed()
        on.villa.add_booking(**STAY)
        off = on.villa.add_booking(**STAY | {"guestName": "Tom", "guestEmail": "tom@example.com"})
        await on.pass_()
        assert await foreseen(on) == [("later", f"not before {CHECK_OUT}")] * 2
        on.later(days=5, hours=5, minutes=30)
        assert on.villa.stamp() < CHECK_OUT
        on.villa.cancel_booking(off)
        assert (await on.pass_())["writes"] == 0
        on.later(minutes=30)
        assert on.villa.stamp() > CHECK_OUT
        await on.pass_()
        (booking,), (person,) = on.there()["bookings"], on.there()["people"]
        assert (person["email"], booking["person_ids"]) == ("zoe@example.com", [person["id"]])
        assert on.asked() == [(on.companies[0].company_id, booking["id"])]
        await on.quiet()


async def test_each_stay_gets_one_cleaning_that_moves_with_it(tmp_path):
    async with town(tmp_path, "nowistay-cleaning-missions.yaml") as on:
        on.villa.seed(bookings=5)
        await on.armed()
        stay = on.villa.add_booking(**STAY)
        assert (await on.pass_())["writes"] == 1
        ((ref, mission),) = on.villa.tables.missions.items()
        assert (mission["bookingId"], mission["timezone"]) == (stay, "Europe/Paris")
        assert mission["title"] == "Cleaning after Zoë Müller"
        assert datetime.fromisoformat(mission["scheduledAt"]) == datetime.fromisoformat(CHECK_OUT)
        await on.quiet()
        on.villa.update_booking(stay, departure="2026-07-16")
        assert (await on.pass_())["writes"] == 1
        ((same, moved),) = on.villa.tables.missions.items()
        assert (same, moved["scheduledAt"][:10]) == (ref, "2026-07-16")
        assert on.villa.guest_messages == []
        await on.quiet()


async def test_a_cleaning_whose_answer_was_lost_is_found_though_its_stay_moved_meanwhile(tmp_path):
    """A mission bears no mark: it is told by its own fields, and those are the ones that were sent."""
    async with town(tmp_path, "nowistay-cleaning-missions.yaml") as on:
        on.villa.seed(bookings=5)
        await on.armed()
        stay = on.villa.add_booking(**STAY)
        on.villa.fault("lost_answer", method="POST", path="/missions")
        on.villa.fault("error", method="GET", path="/missions", status=503, times=None, after=1)
        assert (await on.pass_())["open"] == 1
        on.villa.clear_faults()
        on.villa.update_booking(stay, departure="2026-07-16")
        on.villa.advance(600)
        await on.pass_()
        ((_, mission),) = on.villa.tables.missions.items()
        assert mission["scheduledAt"][:10] == "2026-07-16"
        await on.quiet()


@pytest.mark.speaks
async def test_the_stars_of_a_review_stand_at_the_stay(tmp_path):
    async with town(tmp_path, "nicejob-reviews-to-nowistay.yaml") as on:
        await on.armed()
        stay = on.villa.add_booking(**STAY, customParameters={})
        await on.pass_()
        on.later(days=6)
        await on.pass_()
        (person,) = on.there()["people"]
        on.reviews.add_review(person_id=person["id"], rating=5, author="Zoë", network="Google")
        assert (await on.pass_())["writes"] == 1
        row = on.villa.tables.bookings[stay]
        assert row["customParameters"] == {"review_stars": "5"}
        assert on.villa.guest_messages == []
        await on.quiet()


@pytest.mark.speaks
async def test_each_of_twenty_companies_asks_its_own_guests_only(tmp_path):
    async with town(tmp_path, "agency-twenty-companies.yaml") as on:
        await on.armed()
        one, other = (visit(on, slug=f"salon-{number}") for number in ("07", "19"))
        await on.pass_()
        async with on.door("salon-07", slug="salon-07"):
            on.salon.complete(one, slug="salon-07")
        await on.pass_()
        assert other in on.salon.business("salon-19").appointments
        (booking,) = on.there(6)["bookings"]
        assert on.asked() == [(on.companies[6].company_id, booking["id"])]
        assert sum(len(on.there(number)["bookings"]) for number in range(20)) == 1
        await on.quiet()


MOVES = "on_reschedule: cancel_and_create"


@pytest.mark.speaks
@pytest.mark.parametrize("emulated", [False, True])
async def test_a_booking_moved_on_the_marketplace_waits_for_a_human_unless_the_recipe_says_more(
    tmp_path, emulated
):
    async with town(tmp_path, "nearbyassist-and-bookatu-two-way.yaml") as on:
        if emulated:
            on.text = on.text.replace("to: salon.bookings\n", f"to: salon.bookings\n    {MOVES}\n")
        await on.armed()
        guest = on.market.add_customer("Mere", "Whaanga", "mere@example.com", "+64 21 555 0101")
        ref = on.market.create_booking("2026-07-14T22:00:00Z", guest, service_id="svc_1", notes="Window seat")
        assert (await on.pass_())["writes"] == 1
        await on.quiet()
        on.market.reschedule(ref, "2026-07-16T22:00:00Z")
        async with on.app() as app:
            done = await sync(app)
        assert (done["parked"], done["writes"]) == ((0, 2) if emulated else (1, 0))
        shown = [(row.start.day, row.status) for row in on.salon.business().appointments.values()]
        assert shown == ([(14, "cancelled"), (16, "confirmed")] if emulated else [(14, "confirmed")])
        if emulated:
            await on.quiet()
        assert [row.status for row in on.market.business.bookings.values()] == ["confirmed"]
