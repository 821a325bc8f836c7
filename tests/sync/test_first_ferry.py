"""Bookatu's customers and appointments on their way to NiceJob, over real HTTP."""

from datetime import timedelta

import pytest
from harbour import PEOPLE, REVIEWS, harbour

from connectors.sandbox import iso


def soon(port, days=3, hour=10):
    return iso(
        (port.salon.now() + timedelta(days=days)).replace(hour=hour, minute=0, second=0, microsecond=0)
    )


def customer(port, name="Ann Example", email="ann@example.com", phone="+64 21 555 0100"):
    return port.salon.act("add_customer", name=name, email=email, phone=phone)


def appointment(port, who, days=3, hour=10, **more):
    return port.salon.act(
        "create_appointment",
        service_id="svc_abc123",
        start_at=soon(port, days, hour),
        customer_id=who,
        **more,
    )


async def test_nothing_is_written_before_arming_and_the_baseline_is_never_pushed(tmp_path):
    async with harbour(tmp_path) as port:
        port.salon.seed(people=60, bookings=60)
        first = await port.pass_()
        assert first["changes"] > 100
        await port.arm("reviews")
        second = await port.pass_()
        assert second["writes"] == 0
        assert port.writes() == []
        assert port.reviews.enrolments == []


async def test_a_new_appointment_becomes_one_person_and_one_booking(tmp_path):
    async with harbour(tmp_path) as port:
        await port.pass_()
        await port.arm("reviews")
        appointment(port, customer(port))
        done = await port.pass_()
        assert (done["writes"], done["parked"], done["problems"]) == (2, 0, {})
        (person,), (booking,) = port.people(), port.bookings()
        assert person["email"] == "ann@example.com"
        assert person["first_name"] == "Ann Example"
        assert booking["name"] == "Gel Manicure"
        assert booking["person_ids"] == [person["id"]]
        assert booking["complete"] is False
        assert booking["amount"] == 75.0
        assert "bookatu" in booking["tags"]
        again = await port.pass_()
        assert (again["writes"], again["changes"]) == (0, 0)


async def test_an_edit_and_a_cancellation_travel(tmp_path):
    async with harbour(tmp_path) as port:
        await port.pass_()
        await port.arm("reviews")
        made = appointment(port, customer(port))
        await port.pass_()
        port.salon.act("reschedule", appointment_id=made, start_at=soon(port, 5))
        await port.pass_()
        assert port.bookings()[0]["scheduled_time"][:19] == soon(port, 5)[:19]
        async with port.app() as app:
            await webhook(port, app, "cancel", appointment_id=made)
            await port.pass_(app)
        (booking,) = port.bookings()
        assert booking["complete"] is False
        assert {"cancelled", "noreview"} <= set(booking["tags"])
        assert port.reviews.enrolments == []


@pytest.mark.speaks
async def test_a_completed_visit_asks_once_for_a_review(tmp_path):
    async with harbour(tmp_path) as port:
        await port.pass_()
        await port.arm("reviews")
        made = appointment(port, customer(port))
        await port.pass_()
        async with port.app() as app:
            await webhook(port, app, "complete", appointment_id=made)
            await port.pass_(app)
            assert len(port.reviews.enrolments) == 1
            assert port.bookings()[0]["complete"] is True
            again = await port.pass_(app)
        assert (again["writes"], again["changes"]) == (0, 0)
        assert len(port.reviews.enrolments) == 1


async def test_a_silent_route_asks_nobody(tmp_path):
    async with harbour(tmp_path, routes=REVIEWS.replace("allow", "never")) as port:
        await port.pass_()
        await port.arm("reviews")
        made = appointment(port, customer(port))
        await port.pass_()
        async with port.app() as app:
            await webhook(port, app, "complete", appointment_id=made)
            await port.pass_(app)
        assert port.bookings()[0]["complete"] is True
        assert "noreview" in port.bookings()[0]["tags"]
        assert port.reviews.enrolments == []


async def test_customers_travel_too(tmp_path):
    async with harbour(tmp_path, routes=PEOPLE) as port:
        await port.pass_()
        await port.arm("people")
        who = customer(port)
        await port.pass_()
        port.salon.act("edit_customer", customer_id=who, phone="+64 21 555 0199")
        await port.pass_()
        (person,) = port.people()
        assert person["phone"] == "+64215550199"
        assert (await port.pass_())["writes"] == 0


async def test_a_reformatting_target_causes_no_second_write(tmp_path):
    async with harbour(tmp_path, routes=REVIEWS + PEOPLE[1:], normalise="harsh") as port:
        await port.pass_()
        await port.arm("reviews", "people")
        for number in range(5):
            appointment(
                port, customer(port, f"Guest Number{number}", f"g{number}@example.com"), hour=9 + number
            )
        await port.pass_()
        await port.pass_()
        again = await port.pass_()
        assert (again["writes"], again["changes"]) == (0, 0)
        assert len(port.people()) == len(port.bookings()) == 5


@pytest.mark.parametrize("fault", ["lost_answer", "error_after", "drop"])
@pytest.mark.parametrize("which", ["people", "bookings"])
async def test_a_lost_answer_doubles_nothing(tmp_path, fault, which):
    async with harbour(tmp_path) as port:
        await port.pass_()
        await port.arm("reviews")
        appointment(port, customer(port))
        port.reviews.fault(fault, method="POST", path=f"/v2/{which}")
        done = await port.pass_()
        assert (done["parked"], done["open"], done["waiting"]) == (0, 0, 0)
        assert len(port.people()) == len(port.bookings()) == 1
        assert (await port.pass_())["writes"] == 0


@pytest.mark.parametrize("fault", ["empty_list", "half_list", "html", "truncated", "error"])
async def test_a_lying_list_cancels_nothing(tmp_path, fault):
    async with harbour(tmp_path) as port:
        port.text = "guard: off\n" + port.text  # what absence proves is enough
        await port.pass_()
        await port.arm("reviews")
        for number in range(12):
            appointment(
                port, customer(port, f"Guest Number{number}", f"g{number}@example.com"), days=2 + number
            )
        await port.pass_()
        more = {"status": 404} if fault == "error" else {}
        port.salon.fault(fault, method="GET", path="/appointments", times=None, **more)
        for _ in range(3):
            await port.pass_()
        assert not [booking for booking in port.bookings() if "cancelled" in booking["tags"]]
        port.salon.clear_faults()
        assert (await port.pass_())["writes"] == 0


async def webhook(port, app, action, **args):
    """Let staff act and put the webhook that it sends into the inbox, as the door would."""
    import hashlib
    import hmac

    from daemon.receive import receive

    sent = []

    async def catch(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(
            next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(
                b":"
            )[1]
        )
        sent.append((head, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    import asyncio

    server = await asyncio.start_server(catch, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks/salon"
    secret = port.salon.act("add_webhook", url=url)
    port.salon.act(action, **args)
    await port.salon.quiet()
    port.salon.act("remove_webhook", url=url)
    server.close()
    ((_, body),) = sent
    secret = secret if isinstance(secret, str) else secret["secret"]
    t = int(app.now())
    app.hook_secrets = lambda _name: _now((secret,))
    mark = hmac.new(secret.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()
    assert await receive(app, "salon", {"x-bookatu-signature": f"t={t},v1={mark}"}, body) == 200


async def _now(value):
    return value


@pytest.mark.parametrize("side", ["salon", "reviews"])
async def test_a_connection_that_never_could_be_read_is_not_asked_round_and_round(tmp_path, side):
    async with harbour(tmp_path) as port:
        await port.arm("reviews")
        box = getattr(port, side)
        box.fault("html", method="GET", path="/appointments|/v2/people", times=None)
        done = await port.pass_()
        assert f"pull:{side}" in done["problems"]
        assert len(box.calls(method="GET", path="/appointments|/v2/people")) < 20
        box.clear_faults()
        appointment(port, customer(port))
        await port.pass_()
        assert (await port.pass_())["problems"] == {}
