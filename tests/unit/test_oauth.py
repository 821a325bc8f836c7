"""Tokens over real HTTP: a platform with a token endpoint, and a store that several processes could share."""

import asyncio
import json
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import pytest

from connectors.budget import Budget
from connectors.errors import BadAnswer, NeedsHuman, TryLater
from connectors.http import Client
from connectors.oauth import OAuth, Token, request_token

START = 1_700_000_000


class Store:
    """A TokenStore as it looks from two processes: reading, writing and leasing all take turns of the loop."""

    def __init__(self, token=None):
        self.token = token
        self.puts = []
        self.broken = False
        self.held = asyncio.Lock()

    async def get(self, name):
        await asyncio.sleep(0)
        return self.token

    async def put(self, name, token, was=None):
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("disk full")
        self.puts.append(token)
        self.token = token
        return token

    @asynccontextmanager
    async def lease(self, name):
        async with self.held:
            yield


class Platform:
    """Knows which access tokens are good. Rotates refresh tokens if told so."""

    def __init__(self, *, rotates=False):
        self.rotates = rotates
        self.good = set()
        self.refresh = "r0"
        self.grants = []
        self.log = []
        self.faults = []
        self.before_answer = lambda: None
        self.count = 0

    async def __call__(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                first, *lines = head.split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, said = self.answer(first.split()[1], headers, dict(parse_qsl(body.decode())))
                if status is None:
                    break
                text = said if isinstance(said, bytes) else json.dumps(said).encode()
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
                    + text
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, path, headers, form):
        if path == "/token":
            return self.token(headers, form)
        good = headers.get("authorization", "").removeprefix("bearer ") in self.good
        self.log.append(200 if good else 401)
        return (200, {"ok": True}) if good else (401, {})

    def token(self, headers, form):
        assert "authorization" not in headers
        self.grants.append(form)
        if self.faults and (fault := self.faults.pop(0)) is not None:
            return fault
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh:
            return 400, {"error": "invalid_grant", "error_description": f"unknown {form['refresh_token']}"}
        self.count += 1
        access = f"a{self.count}"
        self.good.add(access)
        said = {"access_token": access, "token_type": "bearer", "expires_in": 3600}
        if self.rotates:
            self.refresh = said["refresh_token"] = f"r{self.count}"
        self.before_answer()
        return 200, said


class Rig:
    """A platform, and as many clients and OAuth objects as a test wants."""

    def __init__(self, platform, port):
        self.platform = platform
        self.base = f"http://127.0.0.1:{port}"
        self.now = START
        self.clients = []

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)

    def client(self, auth=None):
        budget = Budget([(1000, 60)], now=lambda: self.now, sleep=self.sleep)
        client = Client(self.base, budget, auth=auth, clock=lambda: self.now, sleep=self.sleep)
        self.clients.append(client)
        return client

    def grant(self):
        tokens = self.client()

        async def refresh(old):
            form = {"grant_type": "refresh_token", "refresh_token": old.refresh, "client_id": "c"}
            return await request_token(tokens, "/token", form, rotating=self.platform.rotates)

        return refresh

    def oauth(self, store, grant=None):
        return OAuth("salon", store, grant or self.grant(), clock=lambda: self.now)


@asynccontextmanager
async def rigged(**kwargs):
    platform = Platform(**kwargs)
    listener = await asyncio.start_server(platform, "127.0.0.1", 0)
    rig = Rig(platform, listener.sockets[0].getsockname()[1])
    try:
        yield rig
    finally:
        for client in rig.clients:
            await client.aclose()
        listener.close()
        await listener.wait_closed()
        await asyncio.sleep(0.01)


def expired(refresh="r0"):
    return Token("old", (START - 1) * 1000, refresh)


async def twenty(*clients):
    calls = [clients[n % len(clients)].read("/x") for n in range(20)]
    return [answer.status for answer in await asyncio.gather(*calls)]


@pytest.mark.parametrize("rotates", [False, True])
async def test_twenty_calls_meet_an_expired_token_and_one_renews_it(rotates):
    async with rigged(rotates=rotates) as rig:
        store = Store(expired())
        client = rig.client(rig.oauth(store))
        assert await twenty(client) == [200] * 20
        assert len(rig.platform.grants) == 1
        assert rig.platform.log == [200] * 20
        kept = store.token
        assert (kept.access, kept.refresh) == (
            "a1",
            "r1" if rotates else "r0",
        )  # left out: the old one goes on
        assert kept.expires_at == (START + 3600) * 1000


async def test_a_token_revoked_early_costs_one_renewal():
    async with rigged() as rig:
        store = Store(Token("revoked", (START + 3000) * 1000, "r0"))
        client = rig.client(rig.oauth(store))
        assert await twenty(client) == [200] * 20
        # Ten connections, so those who come after the renewal have no 401.
        assert len(rig.platform.grants) == 1
        assert rig.platform.log.count(200) == 20


async def test_two_processes_share_one_store():
    async with rigged(rotates=True) as rig:
        store = Store(expired())
        one, two = rig.client(rig.oauth(store)), rig.client(rig.oauth(store))
        assert await twenty(one, two) == [200] * 20
        assert len(rig.platform.grants) == 1
        rig.now += 3600
        assert await twenty(one, two) == [200] * 20
        assert len(rig.platform.grants) == 2
        rig.platform.good = set()
        rig.now += 100
        assert await twenty(one, two) == [200] * 20
        assert len(rig.platform.grants) == 3
        assert [token.refresh for token in store.puts] == ["r1", "r2", "r3"]


async def test_a_token_is_on_disk_before_its_first_use():
    async with rigged() as rig:
        store = Store(expired())
        client = rig.client(rig.oauth(store))
        store.broken = True
        with pytest.raises(OSError):
            await client.read("/x")
        assert rig.platform.log == []
        store.broken = False
        assert (await client.read("/x")).status == 200
        assert store.token.access == "a2"


async def test_a_crash_between_answer_and_disk_needs_a_log_in_where_tokens_rotate():
    async with rigged(rotates=True) as rig:
        store = Store(expired())
        store.broken = True
        with pytest.raises(OSError):
            await rig.client(rig.oauth(store)).read("/x")
        store.broken = False
        client = rig.client(rig.oauth(store))  # the process after the crash knows only the old token
        for _ in range(3):
            with pytest.raises(NeedsHuman) as caught:
                await client.write("POST", "/x")
        assert "log in" in caught.value.remedy
        assert "r0" not in str(caught.value)
        assert len(rig.platform.grants) == 2  # refused once, not asked again
        store.token = Token("fresh", (START - 1) * 1000, "r1")  # somebody logged in
        assert (await client.read("/x")).status == 200


async def test_whoever_gives_up_waiting_does_not_stop_the_renewal():
    async with rigged(rotates=True) as rig:
        store = Store(expired())
        client = rig.client(rig.oauth(store))
        call = asyncio.create_task(client.read("/x"))
        rig.platform.before_answer = call.cancel
        with pytest.raises(asyncio.CancelledError):
            await call
        while not store.puts:
            await asyncio.sleep(0.001)
        assert store.token.refresh == rig.platform.refresh == "r1"


async def test_a_renewal_comes_a_minute_early():
    async with rigged() as rig:
        rig.platform.good = {"still"}
        client = rig.client(rig.oauth(Store(Token("still", (START + 61) * 1000, "r0"))))
        assert (await client.read("/x")).status == 200
        assert rig.platform.grants == []
        rig.now += 2
        assert (await client.read("/x")).status == 200
        assert len(rig.platform.grants) == 1


async def test_a_token_without_an_end_lasts_until_it_is_refused():
    async with rigged() as rig:
        rig.platform.good = {"eternal"}
        client = rig.client(rig.oauth(Store(Token("eternal", None, "r0"))))
        rig.now += 10**8
        assert (await client.read("/x")).status == 200
        assert rig.platform.grants == []


async def test_a_fresh_token_that_is_refused_ends_it():
    async with rigged() as rig:
        rig.platform.good = type("None", (set,), {"add": lambda *_: None})()  # no token will ever do
        client = rig.client(rig.oauth(Store(expired())))
        answer = await client.read("/x")
        with pytest.raises(NeedsHuman, match="401"):
            answer.check()
        for _ in range(5):
            assert (await client.write("POST", "/x")).status == 401
        assert len(rig.platform.grants) == 1
        rig.now += 31  # later it may be age after all
        assert (await client.read("/x")).status == 401
        assert len(rig.platform.grants) == 2


async def test_client_credentials_need_no_token_to_begin_with():
    async with rigged() as rig:
        tokens = rig.client()

        async def grant(_old):
            return await request_token(tokens, "/token", {"grant_type": "client_credentials"}, lifetime=60)

        store = Store()
        assert (await rig.client(rig.oauth(store, grant)).read("/x")).status == 200
        assert store.token.refresh is None


@pytest.mark.parametrize("lost", [(None, None), (502, {})])
async def test_a_lost_answer_is_asked_for_again_where_the_token_stays(lost):
    async with rigged() as rig:
        rig.platform.faults = [lost] * 3
        assert (await rig.client(rig.oauth(Store(expired()))).read("/x")).status == 200
        assert len(rig.platform.grants) == 4


@pytest.mark.parametrize("lost", [(None, None), (502, {}), (200, b'{"access_tok'), (200, {"no": "token"})])
async def test_a_lost_answer_is_asked_for_once_more_where_the_token_rotates(lost):
    async with rigged(rotates=True) as rig:
        rig.platform.faults = [lost]
        assert (await rig.client(rig.oauth(Store(expired()))).read("/x")).status == 200
        assert len(rig.platform.grants) == 2
    async with rigged(rotates=True) as rig:
        rig.platform.faults = [lost] * 9
        with pytest.raises(NeedsHuman, match="lost"):
            await rig.client(rig.oauth(Store(expired()))).write("POST", "/x")
        assert len(rig.platform.grants) == 2


@pytest.mark.parametrize(
    ("status", "said", "word"),
    [
        (400, {"error": "invalid_grant"}, "log in"),
        (400, {"error": {"code": "invalid_grant", "message": "r0"}}, "log in"),
        (401, {"error": "invalid_client", "error_description": "r0"}, "client_secret"),
        (403, {}, "client_secret"),
        (404, b"<html>r0", "client_secret"),
        (422, {"error": "r0 is not a machine word"}, "client_secret"),
        (400, [1], "client_secret"),
    ],
)
async def test_a_refusal_needs_a_human_and_tells_no_secret(status, said, word):
    async with rigged() as rig:
        rig.platform.faults = [(status, said)]
        with pytest.raises(NeedsHuman) as caught:
            await rig.client(rig.oauth(Store(expired()))).read("/x")
        assert word in caught.value.remedy
        assert "r0" not in str(caught.value)


@pytest.mark.parametrize("said", [{}, {"access_token": 7}, [], b"<html>"])
async def test_an_answer_without_a_token_is_for_later(said):
    async with rigged() as rig:
        rig.platform.faults = [(200, said)]
        with pytest.raises(BadAnswer):
            await rig.client(rig.oauth(Store(expired()))).write("POST", "/x")


async def test_a_busy_token_endpoint_is_for_later_and_the_write_never_left():
    async with rigged(rotates=True) as rig:
        rig.platform.faults = [(429, {})] * 4
        with pytest.raises(TryLater):
            await rig.client(rig.oauth(Store(expired()))).write("POST", "/x")
        assert rig.platform.log == []


@pytest.mark.parametrize(
    ("said", "expires_at"), [("60", 60), (None, 99), ("soon", 99), ("inf", 99), (59.9, 59)]
)
async def test_lifetimes_as_they_come(said, expires_at):
    async with rigged() as rig:
        text = json.dumps({"access_token": "a", "expires_in": said}).encode()
        rig.platform.faults = [(200, text)]
        token = await request_token(rig.client(), "/token", {"grant_type": "x"}, lifetime=99)
        assert token.expires_at == (START + expires_at) * 1000


async def test_one_whose_lease_ran_out_takes_what_its_successor_stored():
    async with rigged(rotates=True) as rig:
        store = Store(expired())
        rig.platform.refresh = "r7"

        async def slow(_old):
            store.token = Token("a7", (START + 999) * 1000, "r7")
            rig.platform.good.add("a7")
            raise NeedsHuman("invalid_grant", remedy="log in")

        assert (await rig.client(rig.oauth(store, slow)).read("/x")).status == 200


def test_a_token_prints_nothing():
    assert repr(Token("secret", 1, "secret", "secret")) == "Token()"
