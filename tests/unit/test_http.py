"""The client against small servers on the loopback that answer, hang, reset, cut, lie and redirect."""

import asyncio
import socket
import time
from email.utils import formatdate
from urllib.parse import parse_qs

import pytest
from loopback import OK, START, Time, close, cut, cut_by_reset, hang, reply, reset, serving, stall

from connectors.budget import LONGEST_HOLD, Budget, Lane
from connectors.errors import (
    BadAnswer,
    Conflict,
    NeedsHuman,
    OutcomeUnknown,
    Refused,
    TryLater,
    classify,
)
from connectors.http import ATTEMPTS, Client

# --- plain answers -------------------------------------------------------------------------------------------


async def test_an_answer_has_everything_a_connector_needs():
    headers = ["Date: Tue, 14 Nov 2023 22:13:25 GMT", "X-Thing: 7"]
    async with serving(reply(OK, 200, *headers), headers={"x-api-key": "k"}) as (server, client):
        answer = await client.read(
            "/v1/things", params={"q": "a b&c=d+é/ü%", "none": None, "n": 3}, headers={"x-extra": "1"}
        )
    assert answer.check().json() == {"ok": True}
    assert (answer.status, answer.headers["x-thing"], answer.asked_at) == (200, "7", 1_700_000_000_000)
    assert answer.date == 1_700_000_005_000
    method, target, sent, _ = server.requests[0]
    path, query = target.split("?")
    assert (method, path) == ("GET", "/v1/things")
    assert parse_qs(query) == {"q": ["a b&c=d+é/ü%"], "n": ["3"]}
    assert (sent["x-api-key"], sent["x-extra"], sent["user-agent"]) == ("k", "1", "bookferry")
    assert server.seen == [("GET", "/v1/things", 200, 0.0)]
    assert server.time.slept == []


async def test_json_and_form_bodies():
    async with serving(reply()) as (server, client):
        await client.write("POST", "/a", json={"n": "é"})
        await client.read("/b", method="POST", form={"k": "a b&"})
        await client.write("DELETE", "/c")
    (_, _, one, json_body), (_, _, two, form_body), (method, _, _, nothing) = server.requests
    assert (one["content-type"], json_body) == ("application/json", '{"n":"é"}'.encode())
    assert (two["content-type"], form_body) == ("application/x-www-form-urlencoded", b"k=a+b%26")
    assert (method, nothing) == ("DELETE", b"")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
@pytest.mark.parametrize("write", [False, True])
async def test_a_4xx_is_a_definite_answer(status, write):
    async with serving(reply(b'{"error":"no"}', status)) as (server, client):
        answer = await (client.write("POST", "/x") if write else client.read("/x"))
        assert answer.status == status
        assert answer.json() == {"error": "no"}
        with pytest.raises(classify(status, write=write)):
            answer.check()
        assert len(server.requests) == 1


async def test_what_check_says():
    async with serving(reply(b"{}", 409), reply(b"{}", 403), reply(b"{}", 404), reply(b"{}", 422)) as (
        _,
        client,
    ):
        with pytest.raises(Conflict, match="POST /x was answered 409: taken"):
            (await client.write("POST", "/x")).check(said="taken")
        with pytest.raises(NeedsHuman, match="What to do: tick the box") as caught:
            (await client.read("/x")).check(remedy="tick the box")
        assert caught.value.remedy == "tick the box"
        with pytest.raises(NeedsHuman, match="the account's name"):
            (await client.read("/x")).check(collection=True)
        with pytest.raises(Refused) as refused:
            (await client.write("POST", "/x")).check(fields={"email": "odd"})
        assert refused.value.fields == {"email": "odd"}
        error = refused.value.about(platform="bookatu", connection="salon").about(connection="other")
        assert str(error).startswith("salon (bookatu): POST /x")


@pytest.mark.parametrize(
    ("status", "write", "error"),
    [
        (200, True, None),
        (204, False, None),
        (301, False, BadAnswer),
        (303, True, OutcomeUnknown),
        (404, False, Refused),
        (408, False, TryLater),
        (408, True, OutcomeUnknown),
        (418, True, Refused),
        (425, True, TryLater),
        (429, True, TryLater),
        (500, False, TryLater),
        (500, True, OutcomeUnknown),
        (101, False, BadAnswer),
        (999, True, OutcomeUnknown),
    ],
)
def test_classify(status, write, error):
    assert classify(status, write=write) is error


# --- reads are repeated --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [close, reset, cut, cut_by_reset, b"SMTP ready\r\n\r\n"])
async def test_a_read_survives_a_broken_connection(trouble):
    async with serving(trouble, reply()) as (server, client):
        answer = await client.read("/x")
    assert answer.json() == {"ok": True}
    assert len(server.requests) == 2
    assert [told[2] for told in server.seen] == [0, 200]
    assert answer.asked_at == int(server.time.now * 1000)  # of the request that was answered


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
async def test_a_read_survives_a_passing_status(status):
    async with serving(reply(b"", status), reply(b"", status), reply()) as (server, client):
        assert (await client.read("/x")).status == 200
    assert len(server.requests) == 3


@pytest.mark.parametrize("trouble", [close, reset, cut, reply(b"", 503)])
async def test_a_read_gives_up_after_four_attempts(trouble):
    async with serving(trouble) as (server, client):
        with pytest.raises(TryLater) as caught:
            await client.read("/x", params={"email": "ana@example.org"})
        assert len(server.requests) == ATTEMPTS
        assert len(server.time.slept) == ATTEMPTS - 1
        assert "ana" not in str(caught.value)


async def test_aiohttp_does_not_repeat_on_its_own():
    """It would send a GET, PUT or DELETE a second time, past the budget, after a broken connection."""
    async with serving(reply(), close, reply()) as (server, client):
        await client.read("/x")
        with pytest.raises(OutcomeUnknown):
            await client.write("PUT", "/x", json={})
        assert len(server.requests) == 2
        await client.read("/x")
    assert server.budget.remaining()[0].left == 900 - 3


async def test_silence_ends_with_the_read_limit():
    async with serving(hang, reply(), read=0.05) as (server, client):
        assert (await client.read("/x")).status == 200
    async with serving(stall, reply(), read=0.05) as (server, client):
        assert (await client.read("/x")).status == 200
        assert len(server.requests) == 2


async def test_a_trickle_ends_with_the_total_limit():
    def trickle(writer):
        writer.write(reply(b"x", length=1000))
        loop = asyncio.get_running_loop()
        for step in range(20):
            loop.call_later(step / 50, lambda: writer.is_closing() or writer.write(b"x"))

    async with serving(trickle, reply(), read=0.2, total=0.1) as (server, client):
        assert (await client.read("/x")).status == 200
        assert len(server.requests) == 2


async def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with serving(reply(), base=base) as (server, client):
            with pytest.raises(TryLater, match=r"127\.0\.0\.1 could not be connected to"):
                await client.read("/x")
            with pytest.raises(TryLater):  # it never left, so the outcome is known
                await client.write("POST", "/x", json={})
            assert len(server.seen) == 2 * ATTEMPTS


async def test_no_tls_where_tls_is_wanted():
    async def plain(_reader, writer):
        writer.write(reply(b"", 400))
        writer.close()

    listener = await asyncio.start_server(plain, "127.0.0.1", 0)
    base = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, serving(reply(), base=base) as (_, client):
        with pytest.raises(TryLater, match="TLS"):
            await client.write("POST", "/x", json={})


# --- Retry-After ---------------------------------------------------------------------------------------------


async def test_retry_after_in_seconds_is_obeyed_and_holds_all():
    async with serving(reply(b"", 429, "Retry-After: 7"), reply()) as (server, client):
        assert (await client.read("/x")).status == 200
        assert server.time.now >= START + 7
        assert len(server.requests) == 2
    async with serving(reply(b"", 429, "Retry-After: 7"), reply()) as (server, client):
        await asyncio.gather(client.read("/x"), client.read("/y", lane=Lane.HOOK))
        assert server.time.now >= START + 7


async def test_retry_after_as_a_date_is_read_by_the_servers_clock():
    date, until = formatdate(START - 5000, usegmt=True), formatdate(START - 5000 + 20, usegmt=True)
    async with serving(reply(b"", 503, f"Date: {date}", f"Retry-After: {until}"), reply()) as (
        server,
        client,
    ):
        assert (await client.read("/x")).status == 200
        assert START + 20 <= server.time.now < START + 40


@pytest.mark.parametrize(("asked", "seconds"), [("600", 600), ("99999999", LONGEST_HOLD)])
async def test_a_long_retry_after_is_for_the_schedule(asked, seconds):
    async with serving(reply(b"", 429, f"Retry-After: {asked}"), reply()) as (server, client):
        for _ in range(2):  # the second is stopped by the held budget, before it reaches the network
            with pytest.raises(TryLater) as caught:
                await client.read("/x")
            assert caught.value.retry_at == pytest.approx((START + seconds) * 1000, abs=5)
        assert len(server.requests) == 1
        assert server.time.slept == []
        server.time.now += seconds + 1
        assert (await client.read("/x")).status == 200


@pytest.mark.parametrize("nonsense", ["soon", "-5", "", "1e9", "Tue, 99 Nov 2023 22:13:25 GMT"])
async def test_a_429_without_a_usable_retry_after_still_holds(nonsense):
    async with serving(reply(b"", 429, f"Retry-After: {nonsense}"), reply()) as (server, client):
        assert (await client.read("/x")).status == 200
        assert START + 5 <= server.time.now < START + 20


async def test_a_used_up_budget_is_for_the_schedule():
    clock = Time()
    narrow = Budget([(1, 900)], now=clock, sleep=clock.sleep)
    async with serving(reply(), clock=clock, budget=narrow) as (server, client):
        await client.read("/x")
        with pytest.raises(TryLater) as caught:
            await client.write("POST", "/x")
        assert caught.value.retry_at > (START + 899) * 1000
        assert len(server.requests) == 1


async def test_scopes_by_method_and_path():
    clock = Time()
    split = Budget({"read": [(9, 60)], "write": [(9, 60)]}, now=clock, sleep=clock.sleep, headroom=0)
    scopes = lambda method, path: ("read",) if method == "GET" else ("write", f"write:{path}")  # noqa: E731
    async with serving(reply(), clock=clock, budget=split, scopes=scopes) as (_, client):
        await client.read("/x")
        await client.write("POST", "/y")
    assert {r.scope: r.left for r in split.remaining()} == {"read": 8, "write": 8, "write:/y": 8}


# --- credentials that can be renewed -------------------------------------------------------------------------


class Keys:
    def __init__(self, *keys):
        self.keys = list(keys)
        self.renewed = []

    async def headers(self):
        return {"authorization": self.keys[0]}

    async def renew(self, refused):
        self.renewed.append(refused["authorization"])
        self.keys.pop(0)
        return {"authorization": self.keys[0]} if self.keys else None


@pytest.mark.parametrize("write", [False, True])
async def test_a_401_is_answered_with_better_credentials_once(write):
    keys = Keys("old", "new", "newer")
    async with serving(reply(b"{}", 401), reply(), auth=keys) as (server, client):
        answer = await (client.write("POST", "/x") if write else client.read("/x"))
        assert answer.status == 200
    assert [headers["authorization"] for _, _, headers, _ in server.requests] == ["old", "new"]
    async with serving(reply(b"{}", 401), auth=keys) as (server, client):
        answer = await (client.write("POST", "/x") if write else client.read("/x"))
        assert len(server.requests) == 2
        with pytest.raises(NeedsHuman, match="credentials"):
            answer.check()


async def test_a_401_stays_where_there_is_nothing_better():
    async with serving(reply(b"{}", 401), auth=Keys("only")) as (server, client):
        assert (await client.read("/x")).status == 401
        assert len(server.requests) == 1


async def test_a_cancelled_call_leaves_a_client_that_works():
    async with serving(hang, reply()) as (server, client):
        call = asyncio.create_task(client.write("POST", "/x"))
        while not server.requests:
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.read("/x")).status == 200


async def test_many_calls_at_once():
    async with serving(reply()) as (server, client):
        answers = await asyncio.gather(*(client.read(f"/{n}") for n in range(200)))
        assert {answer.status for answer in answers} == {200}
        assert server.connections <= 10


async def test_wall_clock_is_the_default():
    async with serving(reply()) as (server, _):
        client = Client(f"http://127.0.0.1:{server.port}", Budget([(1000, 60)]))
        before = time.time()
        answer = await client.read("/x")
        await client.aclose()
        assert before * 1000 - 1 <= answer.asked_at <= time.time() * 1000
