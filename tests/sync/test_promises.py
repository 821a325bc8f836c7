"""The promises, each with a test that can fail: over real HTTP, with both platforms' own webhooks."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from harbour import PEOPLE, REVIEWS, harbour
from test_first_ferry import appointment, customer, soon

from connectors.sandbox import iso
from daemon.passes import sync
from mapping.model import Kind
from state import cursors, ledger, links, outbox, overview


async def armed(port, *routes):
    await port.pass_()
    await port.arm(*(routes or ("reviews",)))


def advance(port, seconds):
    port.salon.advance(seconds)
    port.reviews.advance(seconds)


async def parked(port):
    async with port.app() as app:
        return await app.db.read(lambda tx: outbox.in_state(tx, "parked"))


@pytest.mark.speaks
async def test_a_first_poll_writes_nothing_and_then_only_what_changes_travels(tmp_path):
    async with harbour(tmp_path) as port:
        port.salon.seed(people=300, bookings=150)
        port.reviews.seed(seed=2, people=60, bookings=60)
        for number in range(20):
            who = port.reviews.act(
                "create_person",
                first_name="Old",
                last_name=f"Guest {number}",
                email=f"old{number}@example.com",
            )
            port.reviews.act("create_booking", name="Long ago", person_ids=[who], complete=True)
        asked = len(port.reviews.enrolments)
        made = port.salon.rows(100_000)["appointments"]
        assert len(made) == 150
        assert (await port.pass_())["writes"] == 0
        await port.arm("reviews")
        assert (await port.pass_())["writes"] == 0
        assert port.writes() == []
        port.salon.act("reschedule", appointment_id=made[0]["id"], start_at=soon(port, 40))
        done = await port.pass_()
        assert (done["writes"], done["parked"], done["problems"]) == (2, 0, {})
        assert (await port.pass_())["writes"] == 0
        assert len(port.writes()) == 2
        assert len(port.reviews.enrolments) == asked


async def test_a_visit_that_was_over_before_the_cutover_never_starts_a_campaign(tmp_path):
    async with harbour(tmp_path) as port:
        made = appointment(port, customer(port), days=1)
        await port.pass_()
        async with port.door() as app:
            advance(port, 2 * 86_400)
            port.salon.act("complete", appointment_id=made)
            await port.quiet(app)
        await port.arm("reviews")
        await port.pass_()
        async with port.door() as app:
            advance(port, 3_600)
            earlier = iso(port.salon.now() - timedelta(days=1, hours=12))
            port.salon.act("reschedule", appointment_id=made, start_at=earlier)
            await port.quiet(app)
            done = await sync(app)
        assert (done["parked"], done["problems"], done["writes_loud"]) == (0, {}, 0)
        assert port.reviews.enrolments == []
        (booking,) = port.bookings()
        assert booking["complete"] is True
        assert "noreview" in booking["tags"]


async def test_since_includes_what_starts_on_or_after_it(tmp_path):
    async with harbour(tmp_path) as port:
        who = customer(port)
        for days in (2, 5, 8):
            appointment(port, who, days=days)
        port.text = port.text.replace("notify: allow", f"notify: allow\n    since: {soon(port, 5)[:10]}")
        done = await port.pass_()
        assert (done["parked"], done["problems"]) == (0, {})
        assert sorted(row["scheduled_time"][:10] for row in port.bookings()) == [
            soon(port, 5)[:10],
            soon(port, 8)[:10],
        ]
        assert (await port.pass_())["writes"] == 0
        assert port.reviews.enrolments == []


@pytest.mark.parametrize("normalise", [False, "harsh"])
async def test_webhooks_that_echo_every_write_of_ours_cause_nothing(tmp_path, normalise):
    async with harbour(tmp_path, routes=REVIEWS + PEOPLE[1:], normalise=normalise) as port:
        await armed(port, "reviews", "people")
        async with port.door() as app:
            for number in range(4):
                appointment(
                    port, customer(port, f"Guest Number{number}", f"g{number}@example.com"), hour=9 + number
                )
            await port.quiet(app)
            await sync(app)
            await port.quiet(app)
            first = await sync(app)
            await port.quiet(app)
            again = await sync(app)
            await port.quiet(app)
            echoes = await app.db.read(
                lambda tx: tx.value("SELECT count(*) FROM inbox WHERE connection = 'reviews'")
            )
        assert echoes >= 8
        assert (first["parked"], first["problems"]) == (0, {})
        assert (again["writes"], again["changes"]) == (0, 0)
        assert len(port.people()) == len(port.bookings()) == 4


FAULTS = {
    "lost_answer": {},
    "error_after": {},
    "cut": {},
    "truncated": {},
    "html": {},
    "hang_after": {"seconds": 60},
    "late": {"seconds": 0.3},
    "error": {},
    "error 429": {"status": 429, "retry_after": "1"},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("which", ["people", "bookings"])
async def test_no_trouble_on_the_way_back_doubles_a_write(tmp_path, fault, which):
    async with harbour(tmp_path) as port:
        await armed(port)
        appointment(port, customer(port))
        port.reviews.fault(fault.split()[0], method="POST", path=f"^/v2/{which}", **FAULTS[fault])
        async with port.app(settle_ms=1_000) as app:
            await impatient(app, "reviews", 0.5)
            await sync(app)
        advance(port, 60)
        done = await port.pass_()
        assert (done["parked"], done["open"], done["waiting"], done["problems"]) == (0, 0, 0, {})
        assert (len(port.people()), len(port.bookings())) == (1, 1)
        assert (await port.pass_())["writes"] == 0
        assert port.reviews.faults == []


async def impatient(app, name, seconds):
    """Give this connection's calls a shorter time limit than the minute they have."""
    old = app.connectors[name]
    app.connectors[name] = type(old)(name, old.settings, replace(old.around, time_limit=seconds))
    await old.aclose()


async def test_a_stale_page_never_undoes_a_newer_webhook(tmp_path):
    async with harbour(tmp_path) as port:
        await armed(port)
        made = appointment(port, customer(port))
        await port.pass_()
        async with port.door() as app:
            # The page is answered as it was, and arrives an hour later.
            port.salon.fault("hang_after", method="GET", path="/appointments", seconds=3_600)
            seen = len(port.salon.calls("GET", "/appointments"))
            app.engine.kick("pull:salon")
            await until(lambda: len(port.salon.calls("GET", "/appointments")) > seen)
            port.salon.act("cancel", appointment_id=made)
            await port.salon.quiet()
            await until(lambda: "inbox:salon" not in app.engine.busy)
            before = await app.db.read(lambda tx: ledger.find(tx, "salon", Kind.BOOKINGS, made))
            assert before.fields["status"] == "cancelled"
            advance(port, 3_600)
            await app.engine.idle()
            after = await app.db.read(lambda tx: ledger.find(tx, "salon", Kind.BOOKINGS, made))
            assert after.fields["status"] == "cancelled"
            await sync(app)
        (booking,) = port.bookings()
        assert "cancelled" in booking["tags"]


async def until(true):
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)


async def test_one_malformed_record_among_a_hundred_is_parked_alone(tmp_path):
    async with harbour(tmp_path) as port:
        port.salon.seed(people=20, bookings=100)
        bad = port.salon.rows(100_000)["appointments"][40]
        port.salon.act("edit_appointment", appointment_id=bad["id"], price_cents="a lot")
        done = await port.pass_()
        assert (done["parked"], done["problems"]) == (1, {})
        async with port.app() as app:
            known = await app.db.read(lambda tx: overview.refs(tx, "salon", Kind.BOOKINGS, 1_000))
            (told,) = await app.db.read(overview.rejected)
            cursor = await app.db.read(lambda tx: cursors.stream(tx, "salon", Kind.BOOKINGS))
        assert len(known) == 99
        assert told["ref"] == bad["id"]
        assert told["reason"]
        assert cursor.finished_at is not None
        port.salon.act("edit_appointment", appointment_id=bad["id"], price_cents=7_500)
        assert (await port.pass_())["parked"] == 0


async def test_one_address_under_two_names_waits_for_a_human_and_renames_nobody(tmp_path):
    async with harbour(tmp_path, routes=REVIEWS + PEOPLE[1:]) as port:
        there = port.reviews.act(
            "create_person", first_name="Bea", last_name="Example", email="ann@example.com"
        )
        await armed(port, "reviews", "people")
        appointment(port, customer(port))
        done = await port.pass_()
        assert done["parked"] >= 1
        assert port.writes() == []
        assert [row["first_name"] for row in port.people()] == ["Bea"]
        assert any(there in (intent.problem or "") for intent in await parked(port))
        assert any("bookferry link" in (intent.problem or "") for intent in await parked(port))
        await port.pass_()
        assert port.writes() == []


async def test_who_is_there_already_is_adopted_and_never_unblocked(tmp_path):
    async with harbour(tmp_path, routes=REVIEWS + PEOPLE[1:]) as port:
        there = port.reviews.act(
            "create_person",
            first_name="Ann",
            last_name="Example",
            email="Ann@Example.com",
            phone="+64 21 555 0100",
        )
        port.reviews.act("block_person", person_id=there)
        await armed(port, "reviews", "people")
        appointment(port, customer(port))
        done = await port.pass_()
        assert (done["parked"], done["problems"]) == (0, {})
        (person,), (booking,) = port.people(), port.bookings()
        assert person["blocked"] is True
        assert (person["first_name"], person["last_name"]) == ("Ann", "Example")
        assert booking["person_ids"] == [there]
        assert (await port.pass_())["writes"] == 0


async def test_two_bookings_of_one_new_customer_make_one_person(tmp_path):
    async with harbour(tmp_path, routes=REVIEWS + PEOPLE[1:]) as port:
        await armed(port, "reviews", "people")
        who = customer(port)
        appointment(port, who, days=3)
        appointment(port, who, days=4)
        done = await port.pass_()
        assert (done["parked"], done["problems"]) == (0, {})
        assert (len(port.people()), len(port.bookings())) == (1, 2)
        assert {*port.bookings()[0]["person_ids"], *port.bookings()[1]["person_ids"]} == {
            port.people()[0]["id"]
        }


async def test_a_booking_whose_person_is_not_known_yet_waits_and_then_travels(tmp_path):
    async with harbour(tmp_path) as port:
        await armed(port)
        async with port.door() as app:
            port.salon.fault("html", method="GET", path="/customers", times=None)
            port.salon.fault("html", method="GET", path="/appointments", times=None)
            appointment(port, customer(port))
            await port.quiet(app)
            first = await sync(app)
            assert (first["waiting"], first["parked"]) == (1, 0)
            assert port.writes() == []
            port.salon.clear_faults()
            done = await sync(app)
        assert (done["waiting"], done["parked"], done["problems"]) == (0, 0, {})
        assert (len(port.people()), len(port.bookings())) == (1, 1)


@pytest.mark.parametrize("broken", ["salon", "reviews"])
async def test_a_failing_connection_stops_only_itself(tmp_path, broken):
    async with harbour(tmp_path) as port:
        await armed(port)
        appointment(port, customer(port))
        port.reviews.act("create_person", first_name="Walk", last_name="In", email="walk@example.com")
        sandbox = port.salon if broken == "salon" else port.reviews
        sandbox.fault("error", status=401, times=None)
        done = await port.pass_()
        assert done["problems"]
        assert {key.partition(":")[2] for key in done["problems"]} == {broken}
        assert done["changes"] >= 1  # of the other one
        assert port.bookings() == []
        sandbox.clear_faults()
        done = await port.pass_()
        assert (done["problems"], len(port.bookings())) == ({}, 1)


async def refused(port):
    """A booking that NiceJob refuses, parked."""
    await armed(port)
    made = appointment(port, customer(port))
    port.reviews.fault("error", method="POST", path="/v2/bookings", status=400)
    assert (await port.pass_())["parked"] == 1
    quiet = await port.pass_()
    assert (quiet["parked"], quiet["writes"]) == (1, 0)
    (intent,) = await parked(port)
    assert intent.problem
    return made, intent


async def test_a_parked_write_is_carried_once_its_cause_is_mended_and_it_is_retried(tmp_path):
    async with harbour(tmp_path) as port:
        _, intent = await refused(port)
        async with port.app() as app:
            assert await app.db.transaction(lambda tx: outbox.retry(tx, intent.id, now=app.ms()))
            done = await sync(app)
        assert (done["parked"], done["writes"], len(port.bookings())) == (0, 1, 1)


async def test_what_was_dismissed_stays_quiet_until_it_changes(tmp_path):
    async with harbour(tmp_path) as port:
        made, intent = await refused(port)
        async with port.app() as app:
            assert await app.db.transaction(lambda tx: outbox.dismiss(tx, intent.id, now=app.ms()))
            done = await sync(app)
        assert (done["parked"], done["writes"], port.bookings()) == (0, 0, [])
        port.salon.act("reschedule", appointment_id=made, start_at=soon(port, 6))
        assert (await port.pass_())["writes"] == 1
        assert len(port.bookings()) == 1


async def test_people_who_were_parted_are_not_joined_again(tmp_path):
    async with harbour(tmp_path) as port:
        there = port.reviews.act(
            "create_person", first_name="Ann", last_name="Example", email="ann@example.com"
        )
        await armed(port)
        who = customer(port)
        appointment(port, who)
        await port.pass_()
        async with port.app() as app:
            person = await app.db.read(lambda tx: ledger.find(tx, "reviews", Kind.PEOPLE, there))
            assert await app.db.transaction(lambda tx: links.undo(tx, person, now=app.ms()))
        appointment(port, who, days=5)
        done = await port.pass_()
        assert done["parked"] == 1
        assert len(port.bookings()) == 1
        assert [row["first_name"] for row in port.people()] == ["Ann"]


@pytest.mark.parametrize("lies", [3, None])
async def test_who_is_there_though_no_list_shows_him_is_looked_for_twice_before_a_human_is_asked(
    tmp_path, lies
):
    async with harbour(tmp_path) as port:
        await armed(port)
        appointment(port, customer(port))
        port.reviews.create_person(first_name="Ann", last_name="Example", email="ann@example.com")
        port.reviews.fault("empty_list", method="GET", path="/v2/people", times=lies)
        done = await port.pass_()
        assert done["parked"] == (lies is None)
        if lies is None:
            (intent,) = await parked(port)
            assert "shows no record of ours" in intent.problem
            port.reviews.clear_faults()
            async with port.app() as app:
                assert await app.db.transaction(lambda tx: outbox.retry(tx, intent.id, now=app.ms()))
                done = await sync(app)
        assert (done["parked"], len(port.people()), len(port.bookings())) == (0, 1, 1)
