"""Clients that hold a place and send nothing, half a request, or a byte a second, while a genuine delivery comes."""

import asyncio
import time
from contextlib import suppress

from tests.hostile import contents, framing

MANNERS = ("nothing", "half a head", "head without body", "half a body", "byte by byte", "never reads")


class Slow:
    """So many slow clients, which come again whenever they are sent away."""

    def __init__(self, port, clients, *, beat=1.0):
        self.port, self.clients, self.beat = port, clients, beat
        self.open = self.turned_out = 0
        self._tasks = []

    async def __aenter__(self):
        self._tasks = [
            asyncio.create_task(self._again_and_again(MANNERS[number % len(MANNERS)]))
            for number in range(self.clients)
        ]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def all_in(self, at_least, within=30.0):
        """Wait until so many have been there."""
        async with asyncio.timeout(within):
            while self.open + self.turned_out < at_least:
                await asyncio.sleep(0.02)

    async def _again_and_again(self, manner):
        while True:
            with suppress(OSError):
                await self._sit(manner)
                self.turned_out += 1
            await asyncio.sleep(self.beat)

    async def _sit(self, manner):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.open += 1
        try:
            await self._dawdle(manner, reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _dawdle(self, manner, reader, writer):
        whole = framing.request(b"POST", b"/hooks/salon", {}, b"x" * 60_000)
        head, _, body = whole.partition(b"\r\n\r\n")
        if manner == "byte by byte":
            for place in range(len(whole)):
                writer.write(whole[place : place + 1])
                await writer.drain()
                if await _answered(reader, self.beat):
                    return
        if manner == "never reads":
            writer.transport.pause_reading()
            asked = framing.request(b"GET", b"/hooks/salon", {}, b"")
            while not writer.transport.is_closing():
                writer.write(asked * 4)
                await writer.drain()
                await asyncio.sleep(self.beat)
        first = {
            "nothing": b"",
            "half a head": head[:40],
            "head without body": head + b"\r\n\r\n",
            "half a body": head + b"\r\n\r\n" + body[:50_000],
        }
        writer.write(first.get(manner, b""))
        await reader.read(-1)


async def _answered(reader, within):
    try:
        async with asyncio.timeout(within):
            await reader.read(1)
    except TimeoutError:
        return False
    return True


async def prompt(port, random, number):
    """Send a genuine delivery over a connection of its own; gives the seconds until it was acknowledged."""
    name, headers, body = contents.genuine(random, number)
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(framing.request(b"POST", f"/hooks/{name}".encode(), headers, body, b"connection: close"))
    answer = await reader.read(-1)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    return time.monotonic() - begun
