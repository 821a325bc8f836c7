"""The kit over real HTTP: faults, log, clock, control surface."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from kit_toys import Notes, notes, until

from connectors.sandbox import instant, people, serve, tidy_phone, tidy_text
from connectors.sandbox_clock import Clock

# Faults: what the client sees, and what was done.

BROKEN = [
    ("lost_answer", {}, httpx.RemoteProtocolError, [1]),
    ("drop", {}, httpx.RemoteProtocolError, []),
    ("lost_answer", {"reset": True}, httpx.ReadError, [1]),
    ("drop", {"reset": True}, httpx.ReadError, []),
    ("cut", {}, httpx.RemoteProtocolError, [1]),
    ("hang_before", {"seconds": 0}, httpx.RemoteProtocolError, []),
]


@pytest.mark.parametrize(("kind", "options", "error", "done"), BROKEN)
async def test_a_broken_connection_and_what_was_carried_out(kind, options, error, done):
    async with notes() as (box, client):
        box.fault(kind, "POST", **options)
        with pytest.raises(error):
            await client.post("/notes", json={"n": 1})
        assert box.notes == done
        assert box.requests[-1].applied is bool(done)
        assert box.requests[-1].fault == kind
        assert (await client.post("/notes", json={"n": 2})).status_code == 200, "the fault is used up"
        assert box.notes == [*done, 2]


ANSWERED = [
    ("error", {"status": 429, "retry_after": "7"}, 429, []),
    ("error", {"status": 503, "retry_after": "Wed, 10 Jun 2026 09:00:00 GMT"}, 503, []),
    ("error_after", {}, 500, [1]),
    ("redirect", {"location": "/login"}, 302, []),
    ("html", {}, 200, []),
    ("slow", {"seconds": 0.001}, 200, [1]),
    ("hang_after", {"seconds": 0.001}, 200, [1]),
    ("truncated", {}, 200, [1]),
]


@pytest.mark.parametrize(("kind", "options", "status", "done"), ANSWERED)
async def test_a_strange_answer_and_what_was_carried_out(kind, options, status, done):
    async with notes() as (box, client):
        box.fault(kind, **options)
        answer = await client.post("/notes", json={"n": 1})
        assert answer.status_code == box.requests[-1].status == status
        assert answer.headers.get("retry-after") == options.get("retry_after")
        assert answer.headers.get("location") == options.get("location")
        assert box.notes == done
        assert box.requests[-1].applied is bool(done)


async def test_truncated_json_has_a_length_that_matches():
    async with notes() as (box, client):
        whole = (await client.post("/notes", json={"n": 1})).content
        box.fault("truncated")
        answer = await client.post("/notes", json={"n": 1})
        assert answer.content == whole[: len(whole) // 2]
        assert answer.headers["content-type"] == "application/json"
        with pytest.raises(ValueError):
            answer.json()


async def test_html_says_that_it_is_html():
    async with notes() as (box, client):
        box.fault("html")
        answer = await client.get("/notes")
        assert answer.headers["content-type"].startswith("text/html")
        assert "<html>" in answer.text


async def test_lists_that_lack_rows_are_valid_answers():
    async with notes() as (box, client):
        box.notes = [1, 2, 3]
        box.fault("empty_list")
        box.fault("half_list")
        assert (await client.get("/notes")).json() == {"notes": []}
        assert (await client.get("/notes")).json() == {"notes": [{"n": 1}, {"n": 3}]}
        assert len((await client.get("/notes")).json()["notes"]) == 3


async def test_a_late_request_is_carried_out_when_its_time_has_come():
    async with notes() as (box, client):
        box.fault("late", seconds=3600)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/notes", json={"n": 1})
        assert (await client.get("/notes")).json() == {"notes": []}
        box.advance(3600)
        await until(lambda: box.notes == [1])
        assert box.requests[0].applied


@pytest.mark.parametrize("kind", ["hang_after", "hang_before", "slow", "late"])
async def test_whatever_hangs_ends_with_the_sandbox(kind):
    box = Notes()
    async with httpx.AsyncClient(verify=False) as client:
        async with serve(box) as url:
            box.fault(kind, seconds=3600)
            hanging = asyncio.create_task(client.post(url + "/notes", json={"n": 1}))
            await until(lambda: box.requests and box.requests[0].fault == kind)
            begun = time.monotonic()
        assert time.monotonic() - begun < 1
        with pytest.raises(httpx.TransportError):
            await hanging
    assert box.notes == ([1] if kind == "hang_after" else [])


async def test_faults_choose_their_requests():
    async with notes() as (box, client):
        fault = box.fault("error", "POST", "^/notes$", times=2, after=1)
        seen = [(await client.post("/notes", json={"n": n})).status_code for n in range(5)]
        assert seen == [200, 500, 500, 200, 200]
        assert fault.fired == 2
        box.fault("error", times=None)
        assert [(await client.get("/notes")).status_code for _ in range(3)] == [500] * 3
        box.clear_faults()
        assert (await client.get("/notes")).status_code == 200
        with pytest.raises(ValueError, match="no fault is called"):
            box.fault("earthquake")


# The log, errors and the clock.


async def test_the_log_keeps_no_credentials():
    async with notes() as (box, client):
        await client.post(
            "/notes?a=1", json={"n": 1, "client_secret": "s3"}, headers={"authorization": "Bearer t0p"}
        )
        entry = box.requests[-1]
        assert (entry.method, entry.path, entry.query, entry.status) == ("POST", "/notes", {"a": "1"}, 200)
        assert entry.body == {"n": 1, "client_secret": "***"}
        listing = (await client.get("/_sandbox/requests")).text
        assert "t0p" not in listing
        assert "s3" not in listing
        assert len(box.requests) == 1, "the control surface is not logged"
        assert box.calls("POST", "notes", applied=True) == [entry]
        assert box.calls("GET") == []


async def test_unknown_paths_methods_and_bugs():
    async with notes() as (box, client):
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.delete("/notes")).status_code == 405
        assert (await client.get("/bug")).status_code == 500
        assert [entry.applied for entry in box.requests] == [False] * 3


def test_sandboxes_may_share_a_clock():
    clock = Clock()
    one, other = Notes(clock=clock), Notes(clock=clock)
    one.advance(86400)
    assert other.now() - datetime.now(UTC) > timedelta(hours=23)


async def test_the_clock_is_the_sandboxs_own():
    async with notes() as (box, client):
        box.set_clock("2031-01-01T00:00:00Z")
        assert 0 <= (box.now() - instant("2031-01-01T00:00:00Z")).total_seconds() < 5
        box.advance(86400)
        assert (await client.get("/notes")).headers["date"].startswith("Thu, 02 Jan 2031 00:00:0")


async def test_it_stops_at_once_with_connections_open():
    async with httpx.AsyncClient(verify=False) as client:
        async with serve(Notes()) as url:
            await client.get(url + "/notes")
            begun = time.monotonic()
        assert time.monotonic() - begun < 0.5


async def test_a_sandbox_can_be_served_again():
    box = Notes()
    for number in range(2):
        async with serve(box) as url, httpx.AsyncClient(verify=False) as client:
            await client.post(url + "/notes", json={"n": number})
    assert box.notes == [0, 1]


# The control surface.


async def test_the_control_surface_offers_the_same_to_other_processes():
    async with notes() as (box, client):
        act = await client.post("/_sandbox/act/add_note", json={"n": 7})
        assert act.json() == {"result": 1}
        assert box.notes == [7]
        state = (await client.get("/_sandbox/state?rows=5")).json()["result"]
        assert state["counts"] == {"notes": 1}
        assert state["rows"] == {"notes": [7]}
        assert state["actions"] == ["add_note", "refuse"]
        await client.post("/_sandbox/faults", json={"kind": "error", "status": 418, "path": "notes"})
        assert (await client.get("/_sandbox/faults")).json()["result"][0]["status"] == 418
        assert (await client.get("/notes")).status_code == 418
        await client.post("/_sandbox/faults", json={"kind": "error"})
        await client.delete("/_sandbox/faults")
        assert (await client.get("/notes")).status_code == 200
        assert len((await client.get("/_sandbox/requests")).json()["result"]) == 2
        await client.delete("/_sandbox/requests")
        assert box.requests == []
        moved = await client.post("/_sandbox/clock", json={"set": "2030-01-01T00:00:00Z", "advance": 60})
        assert moved.json()["result"]["now"].startswith("2030-01-01T00:01:0")


async def test_the_control_surface_says_what_was_wrong():
    async with notes() as (_, client):
        for path, body in [
            ("act/nothing", {}),
            ("act/add_note", {}),
            ("act/add_note", {"m": 1}),
            ("faults", {"kind": "earthquake"}),
            ("faults", {"kind": "error", "colour": "red"}),
            ("clock", {"set": "yesterday"}),
            ("seed", {"dragons": 3}),
            ("deliveries/redeliver", {"index": 0}),
        ]:
            answer = await client.post(f"/_sandbox/{path}", json=body)
            assert (answer.status_code, list(answer.json())) == (400, ["error"]), path
        assert (await client.post("/_sandbox/act/refuse")).status_code == 409
        assert (await client.get("/_sandbox/nowhere")).status_code == 404


# Inventions and rewriting.


def test_invented_people_are_the_same_every_time_and_differ():
    crowd = list(people(5000))
    assert crowd == list(people(5000))
    assert len({person.email for person in crowd}) == len({person.phone for person in crowd}) == 5000
    assert all(person.email.endswith("@example.com") and person.email.isascii() for person in crowd)
    assert all("55501" in person.phone for person in crowd)
    assert {person.email for person in people(10, seed=2)}.isdisjoint(person.email for person in crowd)


def test_rewriting():
    assert tidy_phone(" +64 21 555-0100 ", mode=True) == "+64215550100"
    assert tidy_phone("09 555 0100", mode=True) == "095550100"
    assert tidy_text("  Alex   Smith ", mode=True) == "Alex Smith"
    assert tidy_text("  Alex   Smith ", mode="harsh") == "alex smith"
    assert tidy_text("  Alex ", mode=False) == "  Alex "
