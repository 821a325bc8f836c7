"""The smallest platform and the smallest webhook endpoint, for the tests of the kit."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from connectors.sandbox import Delivery, Refusal, Reply, Sandbox, serve


class Notes(Sandbox):
    """The smallest platform."""

    platform = "notes"
    hook_delays = (0.5, 1.0)
    hook_timeout = 4.0

    def __init__(self, **options):
        super().__init__(**options)
        self.notes = []

    def routes(self):
        return [("GET", "/notes", self._list), ("POST", "/notes", self._add), ("GET", "/bug", self._bug)]

    def _list(self, request):
        return Reply({"notes": [{"n": note} for note in self.notes]})

    def _add(self, request):
        self.notes.append(request.json()["n"])
        return Reply({"ok": True, "text": "é" * 20})

    def _bug(self, request):
        raise RuntimeError("a bug of the sandbox")

    def staff_actions(self):
        return [self.add_note, self.refuse]

    def add_note(self, n):
        self.notes.append(n)
        return len(self.notes)

    def refuse(self):
        raise Refusal(409, self.problem(409, "no"))

    def problem(self, status, message):
        return {"error": message}

    def counts(self):
        return {"notes": len(self.notes)}

    def rows(self, limit):
        return {"notes": self.notes[-limit:]}

    def tell(self, url, text, delays=None, **more):
        def build(attempt):
            return f'{{"text":"{text}"}}'.encode(), {
                "x-attempt": str(attempt),
                "x-stamp": str(self.signing_time()),
            }

        delivery = Delivery(url, "told", build, self.hook_delays if delays is None else delays, **more)
        self.hooks.submit(delivery)
        return delivery


@dataclass
class Receiver(Sandbox):
    """An endpoint: keeps what arrives, answers with the statuses given and then 204."""

    statuses: list = field(default_factory=list)
    got: list = field(default_factory=list)
    platform = "receiver"

    def __post_init__(self):
        super().__init__()

    def routes(self):
        return [("POST", "/hook", self._take)]

    def _take(self, request):
        self.got.append((request.raw.decode(), request.headers.get("x-attempt"), request.headers))
        return Reply(None, self.statuses.pop(0) if self.statuses else 204)

    def staff_actions(self):
        return []

    def problem(self, status, message):
        return {}

    def texts(self):
        return [raw for raw, _, _ in self.got]


@asynccontextmanager
async def notes(**options):
    box = Notes(**options)
    async with serve(box) as url, httpx.AsyncClient(verify=False, base_url=url, timeout=5) as client:
        yield box, client


@asynccontextmanager
async def pair(statuses=(), **options):
    box, receiver = Notes(**options), Receiver(list(statuses))
    async with serve(box), serve(receiver) as url:
        yield box, receiver, url + "/hook"


async def until(condition, within=5.0):
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0)
