"""The two doors against whoever stands before them."""

import asyncio
import os
import socket
import time

import httpx
import pytest
from hook_house import ANYWHERE, appointment, counted, hook_door, house, raw, signed

from daemon.doors import BODY_CAP, DoorError, admin_app, hook_app, listening
from daemon.metrics import Metrics
from mapping.config import Door


def head(length=None, *more, path="/hooks/salon"):
    lines = [f"POST {path} HTTP/1.1", "host: x", *more]
    if length is not None:
        lines.append(f"content-length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


async def test_everything_else_is_the_same_small_no(tmp_path):
    async with hook_door(tmp_path) as door, httpx.AsyncClient(verify=False, base_url=door.url) as client:
        for path in (
            "/",
            "/hooks",
            "/hooks/",
            "/hooks/salon/",
            "/hooks/a/b",
            "/docs",
            "/openapi.json",
            "/metrics",
            "/healthz",
        ):
            for method in ("GET", "POST"):
                answer = await client.request(method, path)
                assert (answer.status_code, answer.json()) == (404, {"ok": False}), path
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = await client.request(method, "/hooks/salon")
            assert answer.status_code == 405
            assert method == "HEAD" or answer.json() == {"ok": False}
        assert "server" not in answer.headers
        assert await door.app.rows() == []


async def test_the_largest_body_passes_and_one_byte_more_does_not(tmp_path):
    async with hook_door(tmp_path) as door, httpx.AsyncClient(verify=False, base_url=door.url) as client:
        body = appointment(padding="")
        body = appointment(padding="x" * (BODY_CAP - len(body)))
        assert len(body) == BODY_CAP
        assert (await client.post("/hooks/salon", content=body, headers=signed(body))).status_code == 200
        for large in (body + b" ", b"x" * 600_000):
            answer = await client.post("/hooks/salon", content=large, headers=signed(large))
            assert (answer.status_code, answer.json()) == (413, {"ok": False})

        async def chunks():
            for _ in range(9):
                yield b"x" * 32_768

        answer = await client.post("/hooks/salon", content=chunks())
        assert "content-length" not in answer.request.headers
        assert answer.status_code == 413
        assert len(await door.app.rows()) == 1
        assert counted(door.metrics, "-", "too_large") == 3


async def test_a_content_length_that_lies(tmp_path):
    async with hook_door(tmp_path, deadline=0.5) as door:
        assert b" 413 " in await raw(door.port, head(10_000_000_000))
        assert b" 408 " in await raw(door.port, head(1000), b"short")
        both = head(3, "transfer-encoding: chunked") + b"0\r\n\r\n"
        assert b" 400 " in await raw(door.port, both)
        assert b" 400 " in await raw(door.port, head(-1))
        assert b" 400 " in await raw(door.port, head("9" * 30))
        assert await door.app.rows() == []


async def test_an_endless_stream_of_chunks_is_cut_off(tmp_path):
    async with hook_door(tmp_path) as door:
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        begun = time.monotonic()
        answer = await raw(door.port, head(None, "transfer-encoding: chunked"), *[piece] * 100)
        assert answer == b"" or b" 413 " in answer, "too far beyond the cap to be read to the end"
        assert time.monotonic() - begun < 4


async def test_an_answer_is_one_packet_and_so_is_the_word_to_go_on(tmp_path):
    async with hook_door(tmp_path) as door:
        body = appointment()
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(head(len(body), *[f"{k}: {v}" for k, v in signed(body).items()], "expect: 100-continue"))
        assert await reader.read(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        answer = await reader.read(1000)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b'{"ok":true}')
        writer.close()


async def test_one_byte_a_second_runs_into_the_deadline(tmp_path):
    async with hook_door(tmp_path, deadline=0.3) as door:
        body = appointment()
        begun = time.monotonic()
        answer = await raw(door.port, head(len(body)), *[bytes([byte]) for byte in body[:8]], pause=0.1)
        assert b" 408 " in answer
        assert answer.endswith(b'{"ok":false}')
        assert time.monotonic() - begun < 2
        assert counted(door.metrics, "-", "slow") == 1


@pytest.mark.parametrize("first", [b"", b"POST /hooks/salon HTTP/1.1\r\nhost: x\r\n", b"\r\n"])
async def test_a_head_that_never_ends_is_hung_up_on(tmp_path, first):
    async with hook_door(tmp_path, deadline=0.3) as door:
        begun = time.monotonic()
        await raw(
            door.port, first, *[b"\r\n" if first != b"POST" and not first.strip() else b"a"] * 30, pause=0.1
        )
        assert 0.2 < time.monotonic() - begun < 4


async def test_an_idle_connection_with_line_ends_only_is_hung_up_on_too(tmp_path):
    async with hook_door(tmp_path, deadline=0.3) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(head(0))
        assert b" 401 " in await reader.readuntil(b"}")
        begun = time.monotonic()
        async with asyncio.timeout(3):
            try:
                while not reader.at_eof():
                    writer.write(b"\r\n")
                    await asyncio.sleep(0.05)
            except ConnectionError:
                pass
        assert time.monotonic() - begun < 2
        writer.close()


async def test_a_flood_of_headers(tmp_path):
    async with hook_door(tmp_path) as door:
        flood = head(0, *[f"x-{n}: {'y' * 100}" for n in range(400)])
        assert b" 431 " in await raw(door.port, flood)
        endless = [b"POST /hooks/salon HTTP/1.1\r\nx-a: ", *[b"y" * 60_000] * 100]
        answer = await raw(door.port, *endless)
        assert answer == b"" or b" 431 " in answer
        long_address = await raw(door.port, head(0, path="/hooks/" + "a" * 40_000))
        assert b" 431 " in long_address
        body = appointment()
        normal = head(len(body), *[f"{k}: {v}" for k, v in signed(body).items()], "connection: close") + body
        assert b" 200 " in await raw(door.port, normal)


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"POST /hooks/salon HTTP/9.9\r\n\r\n"]
)
async def test_rubbish(tmp_path, rubbish):
    async with hook_door(tmp_path) as door:
        assert b" 400 " in await raw(door.port, rubbish)


async def test_many_requests_on_one_connection(tmp_path):
    async with (
        hook_door(tmp_path, deadline=0.3) as door,
        httpx.AsyncClient(verify=False, base_url=door.url) as client,
    ):
        for n in range(5):
            body = appointment(ref=f"apt_{n}")
            assert (await client.post("/hooks/salon", content=body, headers=signed(body))).status_code == 200
            await asyncio.sleep(0.1)
        assert len(await door.app.rows()) == 5


async def test_a_sender_that_hangs_up_leaves_nothing(tmp_path):
    async with hook_door(tmp_path) as door:
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(head(1000) + b"half")
        await writer.drain()
        writer.close()
        await asyncio.sleep(0.1)
        assert await door.app.rows() == []


async def test_a_request_under_way_is_answered_when_the_door_closes(tmp_path):
    async with house(tmp_path) as app:
        body = appointment()
        parts = head(len(body), *[f"{k}: {v}" for k, v in signed(body).items()]), body
        async with listening(hook_app(app), ANYWHERE, label="server.hooks", grace=2) as address:
            reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
            stuck, other = await asyncio.open_connection("127.0.0.1", address.port)
            writer.write(parts[0])
            other.write(parts[0])
            await asyncio.sleep(0.05)
            asyncio.get_running_loop().call_later(0.3, writer.write, parts[1])
        assert b" 200 " in await reader.read()
        assert b" 503 " in await stuck.read(), "and one that does not come to an end is told to try again"
        writer.close()
        other.close()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", address.port)
        assert len(await app.rows()) == 1


async def test_a_door_that_cannot_be_opened_says_which_and_what_to_do(tmp_path):
    async with house(tmp_path) as app:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(
                DoorError, match=rf"server\.hooks: 127\.0\.0\.1:{port} is in use .*another port"
            ):
                async with listening(hook_app(app), Door("127.0.0.1", port), label="server.hooks"):
                    pass
        with pytest.raises(DoorError, match=r"server\.admin: 192\.0\.2\.1:80 is no address of this machine"):
            async with listening(hook_app(app), Door("192.0.2.1", 80), label="server.admin"):
                pass
        with pytest.raises(DoorError, match="cannot find"):
            async with listening(hook_app(app), Door("no-such-host.invalid", 80), label="server.admin"):
                pass


async def test_a_socket_that_was_handed_over(tmp_path):
    async with house(tmp_path) as app:
        ours = socket.create_server(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        async with listening(hook_app(app), Door("x", 1), label="server.hooks", fd=ours.detach()) as address:
            assert address == Door("127.0.0.1", port)
            assert b" 401 " in await raw(address.port, head(0, "connection: close"))
        with socket.socket() as deaf, pytest.raises(DoorError, match="does not listen"):
            async with listening(hook_app(app), ANYWHERE, label="server.hooks", fd=deaf.fileno()):
                pass
        read, write = os.pipe()
        with pytest.raises(DoorError, match="no socket"):
            async with listening(hook_app(app), ANYWHERE, label="server.hooks", fd=read):
                pass
        os.close(read)
        os.close(write)


async def test_the_admin_door(tmp_path):
    metrics, well = Metrics(), {"ok": True, "pulled": 3}

    async def health():
        if well is None:
            raise RuntimeError("zoe@example.com")
        return well

    metrics.webhook("salon", "stored")
    metrics.request_hook("salon")("GET", "/x", 503, 0.1)
    metrics.request_hook("salon")("GET", "/x", 0, 0.1)
    metrics.write("reviews", "done")
    metrics.changes("salon", 2)
    async with (
        house(tmp_path) as app,
        listening(admin_app(app, health, metrics), ANYWHERE, label="server.admin") as address,
        httpx.AsyncClient(verify=False, base_url=f"http://{address}") as client,
    ):
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, well)
        well = {"ok": False, "problem": "the disk is full"}
        assert (await client.get("/healthz")).status_code == 503
        well = None
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()) == (503, {"ok": False})
        text = (await client.get("/metrics")).text
        assert 'bookferry_webhooks_total{connection="salon",outcome="stored"} 1.0' in text
        assert 'bookferry_requests_total{connection="salon",outcome="5xx"} 1.0' in text
        assert 'bookferry_requests_total{connection="salon",outcome="none"} 1.0' in text
        assert 'bookferry_changes_total{connection="salon"} 2.0' in text
        assert (await client.post("/hooks/salon")).status_code == 404
