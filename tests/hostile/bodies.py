"""Bodies and headers at both doors: what is answered, and what became of it."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from random import Random

import httpx

from tests.hostile import contents, framing
from tests.hostile.house import clean

WORKERS = 24
GENUINE_EVERY = 50
PROMPT_S = 1.0
ANSWERS = (b'{"ok":true}', b'{"ok":false}', b"")


class Attack:
    """Some thousand requests and what came of them."""

    def __init__(self, made, seed, amount, progress=lambda done: None):
        self.made, self.seed, self.amount, self.progress = made, seed, amount, progress
        self.told, self.bad = Counter(), []
        self.slowest, self.taken = 0.0, 0
        self.secrets = {secret.encode() for secret in made.secrets()}

    async def run(self, watch=lambda: None):
        """Send everything, then look at what was stored, logged and counted; gives what is wrong."""
        numbers = iter(range(self.amount))
        await asyncio.gather(*(self._worker(numbers) for _ in range(WORKERS)))
        await self.made.settled()
        watch()
        await self._admin()
        assert await self.made.stop() == 0
        self.bad += clean(self.made)
        return self.bad

    async def _worker(self, numbers):
        line = None
        for number in numbers:
            random = Random(f"{self.seed}/{number}")  # each case can be made again by itself
            if number % GENUINE_EVERY == 0:
                line = await self._genuine(line, random, number)
            elif random.random() < 0.7:
                name, headers, body = contents.delivery(random)
                if random.random() < 0.1:
                    headers = _forged(random, headers)
                line = await self._ask(
                    line,
                    number,
                    self.made.hooks,
                    framing.request(b"POST", f"/hooks/{name}".encode(), headers, body),
                )
            else:
                await self._odd(random, number)
            if number % 1_000 == 0:
                self.progress(number)
        if line is not None:
            line[1].close()

    async def _genuine(self, line, random, number):
        name, headers, body = contents.genuine(random, number)
        begun = time.monotonic()
        before = self.told[200]
        line = await self._ask(
            line,
            number,
            self.made.hooks,
            framing.request(b"POST", f"/hooks/{name}".encode(), headers, body),
            must=200,
        )
        self.taken += self.told[200] - before > 0
        self.slowest = max(self.slowest, time.monotonic() - begun)
        return line

    async def _ask(self, line, number, port, request, must=None):
        """A request of one piece, over a connection that stays; gives the connection, None once it is closed."""
        for fresh in (line is None, True):
            reader, writer = line if not fresh else await asyncio.open_connection("127.0.0.1", port)
            try:
                async with asyncio.timeout(15):
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    body = await reader.readexactly(length)
            except TimeoutError:
                self.bad.append(f"{number}: no answer in time")
                writer.close()
                return None
            except (asyncio.IncompleteReadError, OSError):
                writer.close()
                if fresh:
                    self.bad.append(f"{number}: no answer")
                continue
            self._judge(number, head, body, must)
            if b"connection: close" in head.lower():
                writer.close()
                return None
            return reader, writer
        return None

    async def _odd(self, random, number):
        """Bytes that may be anything, on a connection of their own, until the other side has nothing more to say."""
        port = self.made.hooks if random.random() < 0.7 else self.made.admin
        name, headers, body = contents.delivery(random)
        path = random.choice(framing.PATHS) if random.random() < 0.4 else f"/hooks/{name}".encode()
        if random.random() < 0.3:
            data = framing.request(random.choice(framing.METHODS), path, headers, body)
        else:
            data = framing.odd(random, path, headers, body)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(15):
                writer.write(data)
                with suppress(OSError):
                    writer.write_eof()
                answer = await reader.read(-1)
        writer.close()
        for part in answer.split(b"HTTP/1.1 ")[1:]:
            head, _, rest = part.partition(b"\r\n\r\n")
            self._judge(number, b"HTTP/1.1 " + head, rest if port == self.made.hooks else b"")
            self._secret(number, part)

    def _judge(self, number, head, body, must=None):
        status = int(head.split(b" ", 2)[1])
        self.told[status] += 1
        if status >= 500 or (must and status != must):
            self.bad.append(f"{number}: answered {status}")
        if body not in ANSWERS:
            self.bad.append(f"{number}: {body[:200]!r}")
        self._secret(number, head)

    def _secret(self, number, text):
        if any(secret in text for secret in self.secrets):
            self.bad.append(f"{number}: a secret in the answer")

    async def _admin(self):
        """The admin door is well and tells nothing; the names of its time series are ours."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.made.admin}") as client:
            health, page = await client.get("/healthz"), await client.get("/metrics")
        self._secret("healthz", health.content)
        self._secret("metrics", page.content)
        if health.json()["problems"]:
            self.bad.append(f"healthz: {health.text}")
        labels = {
            line.partition('connection="')[2].partition('"')[0]
            for line in page.text.splitlines()
            if "connection=" in line
        }
        if labels - {*contents.GENUINE, "-"}:
            self.bad.append(f"metrics: {labels}")


def _forged(random, headers):
    """The same with a signature that is none."""
    name = random.choice(tuple(headers))
    value = headers[name]
    other = random.choice(
        (
            "",
            "t=,v1=",
            value[:-1],
            value.upper(),
            value + ",v1=" + "0" * 64,
            "t=99999999999999,v1=" + "0" * 64,
            "0" * 64,
            value.replace("v1", "v2"),
        )
    )
    return headers | {name: other}
