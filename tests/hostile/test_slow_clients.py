"""Whoever is slow, silent or greedy at a door costs its place and nothing else."""

import asyncio
import time
from contextlib import suppress
from random import Random

import pytest

from daemon import doors
from daemon.places import Places
from tests.daemon.hook_house import ANYWHERE, appointment, hook_door, raw, salon, signed
from tests.hostile import framing
from tests.hostile.house import SECRETS
from tests.hostile.slow import MANNERS, Slow


def request(ref, **more):
    body = appointment(ref=ref)
    return framing.request(b"POST", b"/hooks/salon", signed(body, **more), body)


async def acknowledged(port, ref):
    """The seconds until a genuine delivery is acknowledged, over a connection of its own."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(ref))
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    return time.monotonic() - begun


async def test_more_slow_clients_than_places_keep_nobody_waiting(tmp_path):
    async with hook_door(tmp_path, most=100) as door, Slow(door.port, 200, beat=0.5) as crowd:
        await crowd.all_in(200)
        took = [await acknowledged(door.port, f"apt_{number}") for number in range(40)]
        assert max(took) < 1
        assert crowd.open <= 200
        assert len(await door.app.rows()) == 40


@pytest.mark.parametrize("manner", [manner for manner in MANNERS if manner != "never reads"])
async def test_no_manner_of_being_slow_holds_a_place_for_ever(tmp_path, manner):
    async with hook_door(tmp_path, deadline=0.3) as door:
        async with asyncio.timeout(8):
            with suppress(ConnectionError):
                await Slow(door.port, 0, beat=0.05)._sit(manner)
        assert await acknowledged(door.port, "apt_1") < 1


async def test_a_request_at_work_is_never_turned_out(tmp_path):
    async with hook_door(tmp_path, most=3) as door:
        gate = asyncio.Event()
        secrets = door.app.hook_secrets

        async def late(name):
            await gate.wait()
            return await secrets(name)

        door.app.hook_secrets = late
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(request("apt_1"))
        await asyncio.sleep(0.05)
        held = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(9)]
        async with asyncio.timeout(5):
            await asyncio.gather(
                *(line[0].read() for line in held[:7])
            )  # the oldest of the silent ones are sent away
        gate.set()
        assert b" 200 " in await reader.readuntil(b"}"), "though it has been there longest"
        assert not any(line[0].at_eof() for line in held[7:])
        for _, line in [*held, (reader, writer)]:
            line.close()


def test_places_are_bounded_by_number_and_by_bytes():
    class Holder:
        gone = False

        def give_up(self):
            self.gone = True

    later = []
    places, all_of_them = Places(3, 100, lambda _, tidy: later.append(tidy)), [Holder() for _ in range(5)]
    first, second, third, fourth, fifth = all_of_them
    for holder in (first, second, third):
        places.enter(holder)
    places.at_work(first)
    places.enter(fourth)
    assert not second.gone, "not at once: the newest may have sent all of its request"
    later.pop()()
    assert [holder.gone for holder in all_of_them] == [False, True, False, False, False]
    places.leave(first)
    places.grew(third, 60)
    places.grew(fourth, 30)
    places.enter(fifth)
    places.grew(fifth, 11)
    assert third.gone, "it holds most, and has been there longest"
    places.grew(fourth, 69)
    assert fourth.gone
    places.waits(fifth)
    places.at_work(fifth)
    places.grew(fifth, 1_000)
    assert not fifth.gone, "what is at work has its bytes already"


async def test_a_flood_of_requests_on_one_connection_is_not_taken_into_memory(tmp_path):
    async with hook_door(tmp_path) as door:
        last = framing.request(b"GET", b"/nothing", {}, b"", b"connection: close")
        few = framing.request(b"GET", b"/hooks/salon", {}, b"") * 5 + request("apt_1") + last
        answer = await raw(door.port, few)
        assert [answer.count(b"HTTP/1.1 %d" % status) for status in (405, 200, 404)] == [5, 1, 1]
        many = framing.request(b"GET", b"/nothing", {}, b"") * 5_000
        answer = await raw(door.port, many)
        assert answer.count(b"HTTP/1.1 404") < 20
        assert await acknowledged(door.port, "apt_2") < 1


@pytest.mark.parametrize(
    "tail",
    [b"0\r\n" + b"x-trailer: y\r\n", b"5;" + b"x" * 1_000, b"1\r\nx\r\n"],
    ids=["trailers", "extension", "crumbs"],
)
async def test_a_body_without_an_end_is_cut_off(tmp_path, tail):
    async with hook_door(tmp_path) as door:
        head = b"POST /hooks/salon HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        first, again = tail[:3], tail[3:] or tail
        piece = again * (65_536 // len(again))
        begun = time.monotonic()
        answer = await raw(door.port, head + first, *[piece] * 100)
        assert answer == b"" or answer.split()[1] in {b"400", b"413"}
        assert time.monotonic() - begun < 4


async def test_an_answer_that_nobody_reads_is_given_up():
    async def large(_scope, _receive, send):
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"50000000")]}
        )
        await send({"type": "http.response.body", "body": b"x" * 50_000_000})

    door = doors.listening(large, ANYWHERE, label="server.admin", deadline=0.2, grace=0.5)
    async with asyncio.timeout(8), door as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
        writer.transport.pause_reading()
        writer.write(framing.request(b"GET", b"/", {}, b""))
        await asyncio.sleep(0.6)
        writer.transport.resume_reading()
        with suppress(ConnectionError):
            assert len(await reader.read(-1)) < 50_000_000
        writer.close()


async def test_a_door_asks_for_as_many_files_as_it_may_need(monkeypatch):
    limits, asked = [(1024, 524_288)], []
    monkeypatch.setattr(doors.resource, "getrlimit", lambda _: limits[0])
    monkeypatch.setattr(doors.resource, "setrlimit", lambda _, both: asked.append(both))
    assert doors._room(1000) == 1000
    limits[0] = (256, 256)
    assert doors._room(1000) == 64
    limits[0] = (20_000, 20_000)
    assert doors._room(1000) == 1000
    assert asked == [(16_384, 524_288), (256, 256)]


def test_the_attack_is_the_same_for_the_same_seed():
    from tests.hostile import contents

    def some(seed):
        return [contents.delivery(Random(f"{seed}/{number}"), "salon")[2] for number in range(50)]

    assert some(1) == some(1) != some(2)
    assert salon()["webhook_secret"] != SECRETS["salon"]
