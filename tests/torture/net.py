"""A network in memory: the program asks the platforms, the platforms send their webhooks, and either may fail."""

import asyncio
import json
import random
import re
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
from aiohttp.client_reqrep import ConnectionKey

from connectors.sandbox import Sandbox
from tests.torture.life import Life, living
from tests.torture.loop import outside

LISTS = {
    "bookatu": r"/(appointments|customers)$",
    "nearbyassist": r"/partner/(bookings|reviews)$",
    "nicejob": r"/v2/(people|bookings|reviews)$",
    "nowistay": r"/v1/(bookings|missions)$",
}
"""What may lie: the lists that the program walks."""
_HONEST = 3
"""So many answers of a list are true between two that lie: what two in a row prove, the program may believe."""


@dataclass
class Answer:
    """What a platform answered; ``broken``: the connection ended before all of it had come."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] | None = None
    body: bytes = b""
    broken: bool = False


class _Line:
    """One request as ASGI sees it, with a transport that can be broken."""

    def __init__(self, body: bytes) -> None:
        self.answer, self.body, self.read = Answer(), body, False
        self.over: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if not self.read:
            self.read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.answer.status, self.answer.headers = message["status"], list(message["headers"])
            return
        self.answer.body += message.get("body", b"")
        if not message.get("more_body"):
            self.end()

    def end(self, *, broken: bool = False) -> None:
        self.gone.set()
        if not self.over.done():
            self.answer.broken = broken
            self.over.set_result(self.answer)

    # What the sandboxes' faults do with a transport.

    def abort(self) -> None:
        self.end(broken=True)

    def close(self) -> None:
        self.end(broken=True)

    def get_extra_info(self, _name: str) -> Any:
        return self

    def setsockopt(self, *_args: Any) -> None:
        pass


def _scope(request: httpx.Request, line: _Line) -> dict[str, Any]:
    parts = urlsplit(str(request.url))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": parts.scheme,
        "path": request.url.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": (parts.hostname, parts.port),
        "extensions": {"sandbox": {"transport": line}},
    }


async def _served(app: Any, scope: dict[str, Any], line: _Line) -> None:
    await app(scope, line.receive, line.send)
    line.end(broken=True)


class Net:
    """Who is where, and what happens on the way."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.boxes: dict[int, Sandbox] = {}
        self.unreachable: dict[str, float] = {}
        """Until when nobody can connect to a platform."""
        self.lies: dict[str, list[tuple[str, int]]] = {}
        """The lies that wait for the next list of a platform, each with its seed."""
        self.honest: Counter[str] = Counter()
        self.before: dict[str, list[Any]] = {}
        self.listed: dict[tuple[str, str], list[float]] = {}
        """When a true list showed a record to the program: by platform and id."""
        self.tokens_lost = 0
        """How often a token was given that the program can never have seen, or not have kept: then a human logs in."""
        self.outdated: set[str] = set()
        """Platforms one of whose lists was stale: what it shows goes back by itself."""
        self.taken: list[tuple[str, bytes, dict[str, str]]] = []
        """Every webhook that the door has acknowledged."""
        self.pushed: set[str] = set()
        """The ids that the program has logged as what it wrote."""
        self.troubles: list[tuple[float, str, dict[str, Any], random.Random]] = []

    def heard_of(self, platform: str, ref: str) -> bool:
        """Whether anything has told the program of a record: an answer to its write, a list, a webhook."""
        told = (json.loads(body)["data"] for name, body, _ in self.taken if name == platform)
        return (
            ref in self.pushed
            or (platform, ref) in self.listed
            or any(data.get("id") == ref for data in told)
        )

    def travel(self) -> float:
        return self.world.chance.uniform(0.002, 0.08)

    # The program asks a platform.

    async def ask(self, request: httpx.Request) -> httpx.Response:
        life, url = living(), request.url
        box = self.boxes[url.port or 80]
        what = f"{request.method} {url.path}"
        writes = request.method != "GET" and "oauth" not in url.path
        await life.passes("call", "before")
        if self.unreachable.get(box.platform, 0) > self.world.moment:
            await asyncio.sleep(self.travel())
            self.world.tell(life.name, f"cannot connect to {box.platform} for {what}")
            key = ConnectionKey("127.0.0.1", url.port, False, None, None, None, None)  # type: ignore[arg-type]
            raise aiohttp.ClientConnectorError(key, OSError(111, "Connection refused"))
        if url.path.endswith("/token"):
            life.renews = True
        line = _Line(await request.aread())
        carried = asyncio.get_running_loop().create_task(
            self._carry(box, request, line), name=f"{box.platform} {what}", context=outside()
        )
        self.world.keep(carried)
        await life.passes("call", "during")
        if writes:
            await life.passes("write", "during")
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]):
                answer = await asyncio.shield(line.over)
        except TimeoutError:
            line.gone.set()
            self.world.tell(life.name, f"has no answer from {box.platform} to {what}")
            self.tokens_lost += url.path.endswith("/token")
            raise httpx.ReadTimeout("nothing came") from None
        await asyncio.sleep(self.travel())
        await life.passes("call", "after")
        if writes:
            await life.passes("write", "after")
        if url.path.endswith("/token") and (answer.broken or answer.status != 200 or box.requests[-1].fault):
            self.tokens_lost += 1
        if answer.broken and answer.status == 0:
            self.world.tell(life.name, f"loses the answer of {box.platform} to {what}")
            raise aiohttp.ServerDisconnectedError
        if answer.broken:
            self.world.tell(life.name, f"gets half an answer of {box.platform} to {what}")
            raise httpx.ReadError("cut")
        body = self._as_told(box, request, answer)
        self.world.tell(life.name, f"asks {box.platform} {what}: {answer.status}")
        return httpx.Response(answer.status, headers=answer.headers, stream=httpx.ByteStream(body))

    async def _carry(self, box: Sandbox, request: httpx.Request, line: _Line) -> None:
        await asyncio.sleep(self.travel())
        await _served(box, _scope(request, line), line)
        if request.method != "GET":
            self.world.watch(box.platform)

    def _as_told(self, box: Sandbox, request: httpx.Request, answer: Answer) -> bytes:
        """The body as it arrives. A list may lie now and then."""
        path = request.url.path
        if request.method != "GET" or answer.status != 200 or not re.search(LISTS[box.platform], path):
            return answer.body
        try:
            content = json.loads(answer.body)
        except ValueError:
            return answer.body
        word = next((key for key, value in content.items() if isinstance(value, list)), None)
        if word is None:
            return answer.body
        place = f"{box.platform} {request.url}"
        old, rows = self.before.get(place), content[word]
        self.before[place] = rows
        waiting = self.lies.get(box.platform)
        of = f"{box.platform} {path}"
        if waiting and self.honest[of] >= _HONEST and rows:
            kind, seed = waiting.pop(0)
            content[word] = lie(kind, rows, old or rows, random.Random(seed))
            self.honest[of] = 0
            if kind == "stale":
                self.outdated.add(box.platform)
            self.world.tell("network", f"lets {of} lie: {kind}")
            return json.dumps(content).encode()
        self.honest[of] += 1
        for row in rows:
            self.listed.setdefault((box.platform, str(row.get("id"))), []).append(self.world.moment)
        return answer.body

    # A platform sends a webhook.

    async def send(self, request: httpx.Request) -> httpx.Response:
        sender = request.extensions["sender"]
        trouble, dice = self._trouble(sender)
        what = request.url.path
        if dice.random() < trouble.get("lost", 0):
            self.world.tell(sender, f"sends a webhook to {what}, which is lost on the way")
            return httpx.Response(200)
        if dice.random() < trouble.get("late", 0):
            await asyncio.sleep(dice.uniform(0, trouble["seconds"]))
        await asyncio.sleep(self.travel())
        if dice.random() < trouble.get("twice", 0):
            await self._knock(request, sender)
        status = await self._knock(request, sender)
        await asyncio.sleep(self.travel())
        if status is None or dice.random() < trouble.get("unanswered", 0):
            raise httpx.ReadError("no answer")
        return httpx.Response(status)

    def _trouble(self, sender: str) -> tuple[dict[str, Any], random.Random]:
        for until, whose, what, dice in self.troubles:
            if whose == sender and until > self.world.moment:
                return what, dice
        return {}, self.world.chance

    async def _knock(self, request: httpx.Request, sender: str) -> int | None:
        life: Life | None = self.world.life
        door = None if life is None or life.dead else life.doors.get(("127.0.0.1", request.url.port or 80))
        if life is None or door is None:
            self.world.tell(sender, f"finds no door for {request.url.path}")
            raise httpx.ConnectError("refused")
        line = _Line(request.content)
        life.asked.append(line.over)
        life.spawn(_served(door, _scope(request, line), line), f"door {request.url.path}")
        answer = await line.over
        life.asked.remove(line.over)
        status = None if answer is None or answer.broken else answer.status
        self.world.tell(sender, f"sends a webhook to {request.url.path}: {status or 'no answer'}")
        if status == 200:
            connection = request.url.path.rpartition("/")[2]
            headers = {name.decode().lower(): value.decode() for name, value in request.headers.raw}
            self.taken.append((connection, request.content, headers))
        return status


def lie(kind: str, rows: list[Any], old: list[Any], dice: random.Random) -> list[Any]:
    """A list as it is not."""
    if kind == "empty":
        return []
    if kind == "half":
        return rows[::2]
    if kind == "missing":
        gone = dice.randrange(len(rows))
        return rows[:gone] + rows[gone + 1 :]
    if kind == "twice":
        again = dice.choice(rows)
        return [*rows, again]
    if kind == "shifted":  # the first row of this page has moved to one that was read already
        return [*rows[1:], rows[-1]]
    assert kind == "stale"
    return old


LIES = ("empty", "half", "missing", "twice", "shifted", "stale")


class ToPlatforms(httpx.AsyncBaseTransport):
    """In the place of the sockets under ``connectors.http``."""

    def __init__(self, *_args: Any, **_options: Any) -> None:
        self._net: Net = living().world.net

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._net.ask(request)


class ToDoor:
    """In the place of the session that a sandbox sends its webhooks with."""

    def __init__(self, net: Net, sender: str) -> None:
        self._net, self._sender = net, sender

    @asynccontextmanager
    async def post(self, url: str, *, data: bytes, headers: dict[str, str], **_options: Any) -> Any:
        request = httpx.Request("POST", url, content=data, headers=headers)
        request.extensions["sender"] = self._sender
        try:
            yield _Answered((await self._net.send(request)).status_code)
        except httpx.HTTPError as error:
            raise aiohttp.ClientConnectionError(str(error)) from None


@dataclass
class _Answered:
    status: int

    async def read(self) -> bytes:
        return b""
