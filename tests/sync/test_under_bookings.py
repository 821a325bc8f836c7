"""What stands under another record: NiceJob's visits under bookings, its enrolments of people, over real HTTP."""

import asyncio
from datetime import timedelta

import pytest
from harbour import PEOPLE, REVIEWS, harbour
from test_first_ferry import appointment, customer, soon, webhook
from test_promises import advance

from connectors.sandbox import iso
from daemon.forecast import plan
from daemon.units import Unit
from daemon.units.pull import pull
from mapping.problem import ConfigErrors
from state import outbox

VISITS = """
  - name: visits
    from: salon.bookings
    to: reviews.visits
    set: {name: booking.title, scheduled_time: booking.starts, tags: ["bookatu"]}
"""
LOUD_VISITS = VISITS + "    notify: allow\n"
ASKED = """
  - name: asked
    from: salon.people
    to: reviews.enrolments
    when: person.phone != null
    notify: allow
"""
ASKED_AFTER = (
    ASKED[1:]
    .replace("salon.people", "salon.bookings")
    .replace("person.phone != null", 'booking.status == "completed"')
)
BOTH = REVIEWS + VISITS[1:]
DIRECT = PEOPLE + ASKED[1:]


def visits(port):
    return port.reviews.rows(100_000)["visits"]


def posted(port, path):
    """How many writes NiceJob has carried out there."""
    return len(port.reviews.calls("POST", path, applied=True))


async def parked(port):
    async with port.app() as app:
        return await app.db.read(lambda tx: outbox.in_state(tx, "parked"))


async def armed(port, *routes):
    await port.pass_()
    await port.arm(*routes)


def calm(done):
    return (done["parked"], done["waiting"], done["open"], done["problems"]) == (0, 0, 0, {})


# Visits.


@pytest.mark.parametrize("normalise", [False, "harsh"])
async def test_a_visit_stands_under_the_booking_of_the_same_appointment(tmp_path, normalise):
    async with harbour(tmp_path, routes=BOTH, normalise=normalise) as port:
        await armed(port, "reviews", "visits")
        appointment(port, customer(port))
        done = await port.pass_()
        assert calm(done), done
        assert done["writes"] == 3, "the visit follows its booking in the same pass"
        (person,), (booking,), (visit,) = port.people(), port.bookings(), visits(port)
        assert (visit["booking_id"], visit["person_id"]) == (booking["id"], person["id"])
        assert (visit["name"].lower(), visit["complete"]) == ("gel manicure", False)
        assert visit["scheduled_time"] == booking["scheduled_time"]
        assert "bookatu" in visit["tags"]
        for _ in range(2):
            again = await port.pass_()
            assert (again["writes"], again["changes"]) == (0, 0)


async def test_many_visits_follow_their_bookings_in_one_pass(tmp_path):
    async with harbour(tmp_path, routes=BOTH) as port:
        port.text = "guard: off\n" + port.text
        await armed(port, "reviews", "visits")
        for number in range(70):
            who = customer(port, f"Guest Number{number}", f"g{number}@example.com")
            appointment(port, who, days=3 + number)
        done = await port.pass_()
        assert calm(done), done
        assert len(visits(port)) == len(port.bookings()) == 70
        owners = {row["id"]: row["person_ids"] for row in port.bookings()}
        assert all(owners[row["booking_id"]] == [row["person_id"]] for row in visits(port))
        assert len({row["booking_id"] for row in visits(port)}) == 70
        assert (await port.pass_())["writes"] == 0


async def test_a_visit_does_not_wait_for_the_next_poll_once_its_booking_is_made(tmp_path):
    async with harbour(tmp_path, routes=BOTH) as port:
        await armed(port, "reviews", "visits")
        appointment(port, customer(port))
        async with port.app() as app:
            app.engine.kick("pull:salon")
            await app.engine.idle()
        assert len(visits(port)) == 1


async def test_a_visit_waits_until_there_is_a_booking(tmp_path):
    async with harbour(tmp_path, routes=BOTH) as port:
        await armed(port, "visits")
        appointment(port, customer(port))
        done = await port.pass_()
        assert (done["writes"], done["waiting"], done["parked"]) == (0, 1, 0)
        await port.arm("reviews")
        assert visits(port) == []
        appointment(port, customer(port, "Bob Example", "bob@example.com"), days=4)
        done = await port.pass_()
        assert (done["writes"], done["waiting"]) == (3, 1)
        assert [row["scheduled_time"][:10] for row in visits(port)] == [soon(port, 4)[:10]]


async def test_what_waits_for_something_that_waits_is_not_asked_without_end(tmp_path):
    async with harbour(tmp_path, routes=BOTH) as port:
        await armed(port, "reviews", "visits")
        async with port.door() as app:
            port.salon.fault("html", method="GET", path="/(customers|appointments)", times=None)
            appointment(port, customer(port))
            await port.quiet(app)
            done = await port.pass_(app)
            assert (done["waiting"], done["open"], done["parked"]) == (2, 0, 0)
            port.salon.clear_faults()
            assert calm(await port.pass_(app))
        assert len(visits(port)) == 1


async def test_an_edit_travels_and_what_people_change_there_stays(tmp_path):
    async with harbour(tmp_path, routes=BOTH) as port:
        await armed(port, "reviews", "visits")
        made = appointment(port, customer(port))
        await port.pass_()
        (visit,) = visits(port)
        company = port.reviews.company()
        theirs = {"name": "Removal", "tags": [*visit["tags"], "vip"]}
        port.reviews.update(company, "visits", visit["id"], theirs, by="staff")
        port.salon.act("reschedule", appointment_id=made, start_at=soon(port, 5))
        assert calm(await port.pass_())
        (visit,) = visits(port)
        assert visit["scheduled_time"][:19] == soon(port, 5)[:19]
        assert visit["name"] == "Removal"
        assert {"vip", "bookatu"} <= set(visit["tags"])
        assert (await port.pass_())["writes"] == 0


async def test_a_silent_route_leaves_a_completion_to_a_human_and_a_loud_one_tells_it(tmp_path):
    async with harbour(tmp_path, routes=BOTH.replace("allow", "never", 1)) as port:
        port.reviews.set_campaign_settings(visits_enrol=True)
        await armed(port, "reviews", "visits")
        made = appointment(port, customer(port))
        await port.pass_()
        async with port.app() as app:
            await webhook(port, app, "complete", appointment_id=made)
            await port.pass_(app)
        (kept,) = await parked(port)
        assert kept.route == "visits"
        assert "noreview" in kept.problem
        assert "notify: allow" in kept.problem
        assert visits(port)[0]["complete"] is False
        assert port.reviews.enrolments == []


@pytest.mark.speaks
async def test_a_loud_route_completes_a_visit_once(tmp_path):
    async with harbour(tmp_path, routes=REVIEWS.replace("allow", "never") + LOUD_VISITS[1:]) as port:
        port.reviews.set_campaign_settings(visits_enrol=True)
        await armed(port, "reviews", "visits")
        made = appointment(port, customer(port))
        await port.pass_()
        async with port.app() as app:
            await webhook(port, app, "complete", appointment_id=made)
            assert calm(await port.pass_(app))
            assert visits(port)[0]["complete"] is True
            assert [row["cause"] for row in port.reviews.enrolments] == ["visit"]
            again = await port.pass_(app)
        assert (again["writes"], again["changes"]) == (0, 0)


@pytest.mark.speaks
async def test_a_route_may_leave_every_visit_open(tmp_path):
    routes = BOTH.replace("name: booking.title,", "name: booking.title, complete: '\"confirmed\"',")
    async with harbour(tmp_path, routes=routes) as port:
        await armed(port, "reviews", "visits")
        made = appointment(port, customer(port))
        await port.pass_()
        async with port.app() as app:
            await webhook(port, app, "complete", appointment_id=made)
            assert calm(await port.pass_(app))
        assert visits(port)[0]["complete"] is False


@pytest.mark.parametrize(("key", "tags"), [("", set()), ("    on_cancel: tag\n", {"cancelled"})])
async def test_a_cancelled_visit_is_tagged_where_the_route_says_so(tmp_path, key, tags):
    async with harbour(tmp_path, routes=BOTH + key) as port:
        await armed(port, "reviews", "visits")
        made = appointment(port, customer(port))
        await port.pass_()
        async with port.app() as app:
            await webhook(port, app, "cancel", appointment_id=made)
            assert calm(await port.pass_(app))
        (visit,) = visits(port)
        assert {"cancelled", "noreview"} & set(visit["tags"]) == tags
        assert visit["complete"] is False


FAULTS = ["lost_answer", "error_after", "truncated", "cut", "drop"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_lost_answer_gives_exactly_one_visit(tmp_path, fault):
    async with harbour(tmp_path, routes=BOTH) as port:
        await armed(port, "reviews", "visits")
        appointment(port, customer(port))
        port.reviews.fault(fault, method="POST", path="/v2/visits")
        done = await port.pass_()
        assert calm(done), done
        assert len(visits(port)) == 1
        again = await port.pass_()
        assert (again["writes"], again["changes"]) == (0, 0)


async def test_two_routes_may_each_have_a_visit_under_one_booking_whatever_is_lost(tmp_path):
    second = (
        VISITS[1:].replace("name: visits", "name: follow-up").replace("booking.title", """'"Follow-up"'""")
    )
    async with harbour(tmp_path, routes=BOTH + second) as port:
        await armed(port, "reviews", "visits", "follow-up")
        appointment(port, customer(port))
        port.reviews.fault("lost_answer", method="POST", path="/v2/visits", times=2)
        assert calm(await port.pass_())
        assert sorted(row["name"] for row in visits(port)) == ["Follow-up", "Gel Manicure"]
        assert posted(port, "/v2/visits$") == 2
        assert (await port.pass_())["writes"] == 0


# Enrolments.


@pytest.mark.speaks
async def test_people_are_enrolled_where_the_route_may_speak_and_only_once(tmp_path):
    async with harbour(tmp_path, routes=DIRECT) as port:
        customer(port, "Long Known", "old@example.com")
        await armed(port, "people", "asked")
        customer(port)
        customer(port, "No Phone", "none@example.com", phone=None)
        done = await port.pass_()
        assert calm(done), done
        assert done["writes_loud"] == 1
        known = {row["id"]: row["email"] for row in port.people()}
        (row,) = port.reviews.enrolments
        assert (known[row["person_id"]], row["cause"]) == ("ann@example.com", "direct")
        again = await port.pass_()
        assert (again["writes"], again["changes"]) == (0, 0)


@pytest.mark.speaks
async def test_a_change_of_the_person_enrols_nobody_again(tmp_path):
    async with harbour(tmp_path, routes=DIRECT) as port:
        await armed(port, "people", "asked")
        who = customer(port)
        await port.pass_()
        port.reviews.advance(200 * 86_400)
        port.salon.act("edit_customer", customer_id=who, phone="+64 21 555 0199")
        done = await port.pass_()
        assert calm(done), done
        assert port.people()[0]["phone"] == "+64215550199"
        assert posted(port, "/v2/campaign_enrollments") == 1


@pytest.mark.speaks
@pytest.mark.parametrize("fault", [*FAULTS, "html"])
async def test_an_enrolment_whose_answer_was_lost_is_parked_and_never_doubled(tmp_path, fault):
    async with harbour(tmp_path, routes=DIRECT) as port:
        await armed(port, "people", "asked")
        who = customer(port)
        port.reviews.fault(fault, method="POST", path="/v2/campaign_enrollments")
        for _ in range(3):
            done = await port.pass_()
            assert (done["parked"], done["open"], done["problems"]) == (1, 0, {})
        (kept,) = await parked(port)
        assert "nobody can see" in kept.problem
        tried = len(port.reviews.calls("POST", "/v2/campaign_enrollments"))
        assert tried == 1
        await retried(port, kept.id)
        port.salon.act("edit_customer", customer_id=who, phone="+64 21 555 0199")
        await port.pass_()
        (kept,) = await parked(port)
        await dismissed(port, kept.id)
        port.reviews.advance(200 * 86_400)
        port.salon.act("edit_customer", customer_id=who, phone="+64 21 555 0188")
        await port.pass_()
        assert len(port.reviews.calls("POST", "/v2/campaign_enrollments")) == 1, (
            "given up in doubt stays in doubt"
        )


@pytest.mark.speaks
async def test_a_crash_during_an_enrolment_is_parked_too(tmp_path):
    async with harbour(tmp_path, routes=DIRECT) as port:
        await armed(port, "people", "asked")
        customer(port)
        port.reviews.fault("hang_after", method="POST", path="/v2/campaign_enrollments", seconds=60)
        async with port.app() as app:
            going = asyncio.create_task(port.pass_(app))
            while not port.reviews.enrolments:
                await asyncio.sleep(0.01)
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
        port.reviews.clear_faults()
        done = await port.pass_()
        assert (done["parked"], done["open"]) == (1, 0)
        assert posted(port, "/v2/campaign_enrollments") == 1


@pytest.mark.speaks
async def test_a_person_who_was_asked_already_is_parked_with_nicejobs_sentence(tmp_path):
    async with harbour(tmp_path, routes=DIRECT) as port:
        ann = port.reviews.create_person(first_name="Ann Example", email="ann@example.com")
        port.reviews.complete_booking(port.reviews.create_booking(person_ids=[ann]))
        await armed(port, "people", "asked")
        customer(port)
        await port.pass_()
        (kept,) = await parked(port)
        assert "Person was enrolled in this campaign recently" in kept.problem
        await port.pass_()
        assert len(port.reviews.calls("POST", "/v2/campaign_enrollments")) == 1
        assert [row["by"] for row in port.reviews.enrolments] == ["staff"]


@pytest.mark.speaks
async def test_bookings_enrol_their_person(tmp_path):
    routes = REVIEWS.replace("allow", "never") + ASKED_AFTER
    async with harbour(tmp_path, routes=routes) as port:
        await armed(port, "reviews", "asked")
        made = appointment(port, customer(port))
        await port.pass_()
        assert port.reviews.enrolments == []
        async with port.app() as app:
            await webhook(port, app, "complete", appointment_id=made)
            assert calm(await port.pass_(app))
        assert [row["cause"] for row in port.reviews.enrolments] == ["direct"]


async def test_what_was_completed_before_the_cutover_enrols_nobody_and_parks_nothing(tmp_path):
    routes = REVIEWS.replace("allow", "never") + ASKED_AFTER
    async with harbour(tmp_path, routes=routes) as port:
        made = appointment(port, customer(port), days=1)
        await armed(port, "reviews")
        async with port.door() as app:
            advance(port, 2 * 86_400)
            port.salon.act("complete", appointment_id=made)
            await port.quiet(app)
        await port.arm("asked")
        async with port.door() as app:
            advance(port, 3_600)
            earlier = iso(port.salon.now() - timedelta(days=1, hours=12))
            port.salon.act("reschedule", appointment_id=made, start_at=earlier)
            await port.quiet(app)
            done = await port.pass_(app)
        assert calm(done), done
        assert port.bookings()[0]["complete"] is True
        assert port.reviews.enrolments == []


async def test_a_route_into_enrolments_that_may_not_speak_is_refused_at_check(tmp_path):
    async with harbour(tmp_path, routes=DIRECT.replace("    notify: allow\n", "")) as port:
        with pytest.raises(ConfigErrors) as caught:
            _ = port.config
        assert "the target cannot be written to silently" in str(caught.value)
        assert "notify: allow" in str(caught.value)


async def test_the_plan_names_what_waits_for_the_record_above_it_and_what_will_be_heard(tmp_path):
    async with harbour(tmp_path, routes=BOTH + PEOPLE[1:] + ASKED[1:]) as port:
        await armed(port, "people", "reviews")
        appointment(port, customer(port))
        await port.pass_()
        await port.arm("visits", "asked")
        appointment(port, customer(port, "Bob Example", "bob@example.com"), days=4)
        async with port.app() as app:
            await pull(Unit(app, "pull:salon"), "salon")
            await app.engine.drain(0)
            port.salon.act(
                "edit_customer", customer_id=port.salon.rows(9)["customers"][0]["id"], phone="021 5550102"
            )
            await pull(Unit(app, "pull:salon"), "salon")
            lines = (await app.db.read(lambda tx: plan(app.world, tx, app.ms()))).lines
        assert {(line.kind, line.outcome, line.act, line.loud) for line in lines} == {
            ("people", "write", "create", False),
            ("people", "write", "update", False),
            ("bookings", "write", "create", False),
            ("visits", "waits", None, False),
            ("enrolments", "waits", None, False),
            ("enrolments", "write", "create", True),
        }
        assert len(port.writes()) == 2


async def retried(port, number):
    async with port.app() as app:
        assert await app.db.transaction(lambda tx: outbox.retry(tx, number, now=app.ms()))
    await port.pass_()


async def dismissed(port, number):
    async with port.app() as app:
        assert await app.db.transaction(lambda tx: outbox.dismiss(tx, number, now=app.ms()))
