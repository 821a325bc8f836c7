"""Writes in doubt, answers that are none, and what must never leave: against lying servers."""

import gzip
import logging
import zlib

import pytest
from loopback import OK, close, cut, cut_by_reset, hang, reply, reset, serving, stall

from connectors.budget import Budget
from connectors.call import segment
from connectors.errors import BadAnswer, OutcomeUnknown, TryLater
from connectors.http import ATTEMPTS, Client

# --- writes are not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "trouble",
    [
        *(close, reset, cut, cut_by_reset, b"rubbish\r\n\r\n"),
        *(
            reply(b"", 500),
            reply(b"", 503, "Retry-After: 1"),
            reply(b"", 408),
            reply(b"", 302, "Location: /y"),
        ),
        *(reply(b"x" * 99), reply(b"x", 200, "Content-Encoding: gzip")),
    ],
)
async def test_a_doubtful_write_is_unknown_and_sent_once(method, trouble):
    async with serving(trouble, reply(), max_body=50) as (server, client):
        with pytest.raises(OutcomeUnknown):
            await client.write(method, "/x", json={"a": 1})
        assert len(server.requests) == 1


@pytest.mark.parametrize("trouble", [hang, stall])
async def test_a_write_without_an_answer_in_time_is_unknown(trouble):
    async with serving(trouble, reply(), read=0.05) as (server, client):
        with pytest.raises(OutcomeUnknown, match="in time"):
            await client.write("POST", "/x", json={"a": 1})
        assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"ok":', b"[" * 9999])
async def test_a_write_whose_answer_makes_no_sense_is_unknown(body):
    async with serving(reply(body)) as (_, client):
        answer = await client.write("POST", "/x")
        with pytest.raises(OutcomeUnknown):
            answer.json()


async def test_a_write_that_was_only_too_early_is_sent_again():
    async with serving(reply(b"", 429, "Retry-After: 3"), reply()) as (server, client):
        assert (await client.write("POST", "/x", json={"a": 1})).status == 200
        assert [request[3] for request in server.requests] == [b'{"a":1}'] * 2
    async with serving(reply(b"", 429)) as (server, client):
        with pytest.raises(TryLater):
            await client.write("POST", "/x")
        assert len(server.requests) == ATTEMPTS


async def test_a_write_never_meets_a_connection_that_the_server_is_about_to_close():
    async with serving(reply()) as (server, client):
        await client.read("/x")
        await client.read("/x")
        assert server.connections == 1
        await client.write("POST", "/x")
        await client.write("POST", "/x")
        assert server.connections == 3


# --- answers that are none -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"ok":', b"{} {}", b"\xff", b"NaN", b"[" * 9999, b"{'a':1}"]
)
async def test_what_is_not_json_is_a_bad_answer(body):
    async with serving(reply(body)) as (_, client):
        with pytest.raises(BadAnswer, match="not JSON"):
            (await client.read("/x")).json()


async def test_a_login_page_is_a_bad_answer():
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"
    async with serving(page) as (_, client):
        with pytest.raises(BadAnswer, match="web page"):
            (await client.read("/x")).json()


async def test_half_an_emoji_costs_one_letter_and_not_the_page():
    async with serving(reply(rb'{"name":"Ana \ud83d","ok":"\ud83d\ude00"}')) as (_, client):
        assert (await client.read("/x")).json() == {"name": "Ana ?", "ok": "😀"}


async def test_gzip_is_unpacked():
    async with serving(reply(gzip.compress(OK, mtime=0), 200, "Content-Encoding: GZip")) as (server, client):
        assert (await client.read("/x")).json() == {"ok": True}
        assert server.requests[0][2]["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"x" * 1001),
        reply(b"x" * 100_000, length=False),
        reply(gzip.compress(b"x" * 10**7, mtime=0), 200, "Content-Encoding: gzip"),
        reply(zlib.compress(OK), 200, "Content-Encoding: br"),
    ],
)
async def test_too_much_or_odd_packing_is_final(answer):
    async with serving(answer, max_body=1000) as (server, client):
        with pytest.raises(BadAnswer):
            await client.read("/x")
        assert len(server.requests) == 1


async def test_exactly_the_limit_is_allowed():
    packed = gzip.compress(b"x" * 1000, mtime=0)
    async with serving(reply(b"x" * 1000), reply(packed, 200, "Content-Encoding: gzip"), max_body=1000) as (
        _,
        client,
    ):
        assert len((await client.read("/x")).body) == 1000
        assert len((await client.read("/x")).body) == 1000


@pytest.mark.parametrize(
    "packed", [gzip.compress(OK, mtime=0)[:-3], b"no gzip", gzip.compress(OK, mtime=0)[:12]]
)
async def test_half_a_gzip_is_a_broken_answer(packed):
    async with serving(reply(packed, 200, "Content-Encoding: gzip"), reply()) as (server, client):
        assert (await client.read("/x")).json() == {"ok": True}
        assert len(server.requests) == 2


# --- redirects, cookies, secrets -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed_and_get_no_credentials(status):
    async with serving(reply()) as (other, _):
        location = f"Location: http://localhost:{other.port}/?token=hush"
        async with serving(reply(b"", status, location), headers={"authorization": "hush"}) as (
            server,
            client,
        ):
            with pytest.raises(BadAnswer, match=r"redirect to localhost\b") as caught:
                await client.read("/x")
            assert "hush" not in str(caught.value)
            assert len(server.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize("location", ["http://[oops", "//", "ftp://x/", "", "http://a:99999999/"])
async def test_a_redirect_to_nonsense(location):
    async with serving(reply(b"", 302, f"Location: {location}")) as (_, client):
        with pytest.raises(BadAnswer):
            await client.read("/x")


async def test_cookies_are_not_kept():
    async with serving(reply(OK, 200, "Set-Cookie: session=1; Path=/")) as (server, client):
        await client.read("/x")
        await client.read("/x")
        await client.write("POST", "/x")
        assert not list(client._http.cookies.jar)
    assert not any("cookie" in headers for _, _, headers, _ in server.requests)


async def test_the_environment_has_no_say(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(reply()) as (_, client):
        assert (await client.read("/x")).status == 200


async def test_nothing_secret_reaches_the_log_or_a_message(caplog):
    with caplog.at_level(logging.INFO):
        async with serving(reply(b'{"hush":1', 200), close, headers={"x-api-key": "hush"}) as (_, client):
            answer = await client.read("/x", params={"email": "hush"})
            with pytest.raises(BadAnswer) as caught:
                answer.json()
            with pytest.raises(OutcomeUnknown) as lost:
                await client.write("POST", "/x", json={"name": "hush"})
    said = caplog.text + str(caught.value) + str(lost.value) + repr(answer)
    assert "hush" not in said
    assert lost.value.__suppress_context__


@pytest.mark.parametrize(
    "base",
    [
        "ftp://x",
        "https://",
        "x.org",
        "https://u:p@x.org",
        "https://x.org/?a=1",
        "https://x.org/#a",
        "http://x.org",
    ],
)
async def test_a_base_that_is_none(base):
    with pytest.raises(ValueError):
        Client(base, Budget([(1, 1)]))


async def test_plain_http_beyond_this_machine_must_be_asked_for():
    await Client("http://sandbox:8080/api/", Budget([(1, 1)]), plain_http=True).aclose()


@pytest.mark.parametrize(
    "path", ["x", "@evil.org/", "//evil.org", "/a/../b", "/..", "/a?b=1", "/a#b", "/a b", ""]
)
async def test_a_path_cannot_leave_the_base(path):
    async with serving(reply()) as (_, client):
        with pytest.raises(ValueError):
            await client.read(path)


async def test_a_path_segment_is_one_segment():
    async with serving(reply()) as (server, client):
        await client.read(f"/things/{segment('a/b?c#d é%2e')}/{segment(7)}")
    assert server.requests[0][1] == "/things/a%2Fb%3Fc%23d%20%C3%A9%252e/7"
    for bad in ("", ".", ".."):
        with pytest.raises(ValueError):
            segment(bad)
