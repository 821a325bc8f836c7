"""A service as users run it, in a process of its own, with stand-ins of all four platforms: what the attacks are aimed at."""

import asyncio
import json
import os
import re
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.nearbyassist.sandbox import NearbyAssistSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.nowistay.sandbox import NowistaySandbox
from connectors.sandbox import serve
from state.database import reading
from state.tokens import new_key

ROOT = Path(__file__).parents[2]
NAMES = ("salon", "reviews", "stays", "market")
SECRETS = {name: f"whsec_hostile{name}0123456789abcdef0123456789" for name in NAMES}


class House:
    """The platforms, the running service and what it said."""

    def __init__(self, folder):
        self.folder, self.key = folder, new_key()
        self.salon, self.reviews = BookatuSandbox(), NiceJobSandbox()
        self.stays, self.market = NowistaySandbox(retry_scale=0), NearbyAssistSandbox(retry_scale=0)
        self.company = self.reviews.add_company("Parnell Nails")
        self.stays.add_property()
        self.log, self.urls = "", {}
        self.process = None

    @property
    def boxes(self):
        return dict(zip(NAMES, (self.salon, self.reviews, self.stays, self.market), strict=True))

    def configured(self):
        keys = {
            "salon": {"slug": "parnell-nails", "api_key": self.salon.api_keys["parnell-nails"]},
            "reviews": {
                "client_id": self.reviews.client_id,
                "client_secret": self.reviews.client_secret,
                "refresh_token": self.company.refresh_token,
                "company_id": self.company.company_id,
            },
            "stays": {
                "client_id": self.stays.client_id,
                "client_secret": self.stays.client_secret,
                "refresh_token": next(iter(self.stays.refresh_tokens)),
                "sensitive": False,  # so that what a webhook tells is believed, and need not be fetched
            },
            "market": {"api_key": self.market.api_key},
        }
        shared = {
            name: {
                "platform": box.platform,
                "base_url": self.urls[name],
                "webhook_secret": SECRETS[name],
                "rate": "1000000/m",
            }
            for name, box in self.boxes.items()
        }
        doors = {"hooks": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        connections = {name: shared[name] | keys[name] for name in NAMES}
        return {"server": doors, "connections": connections, "routes": []}

    def secrets(self):
        """All that must never be told."""
        values = [value for keys in self.configured()["connections"].values() for value in keys.values()]
        found = {value for value in values if isinstance(value, str)}
        told = {
            *self.urls.values(),
            *(box.platform for box in self.boxes.values()),
            "1000000/m",
            "parnell-nails",
        }
        told |= {self.reviews.client_id, self.stays.client_id, self.company.company_id}
        issued = {*self.reviews.tokens, *self.reviews.refresh_tokens, *self.stays.refresh_tokens}
        return {self.key, *(found - told), *issued}

    async def start(self):
        file = self.folder / "bookferry.yaml"
        file.touch(0o600)
        file.write_text(json.dumps(self.configured()))  # JSON is YAML
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "daemon.cli",
            "run",
            "--log",
            "debug",
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "BOOKFERRY_KEY": self.key},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**22,
        )
        self._listener = asyncio.create_task(self._listen())
        said = await self.said(r'"started".*?')
        line = json.loads(next(row for row in said.splitlines() if '"action": "started"' in row))
        self.hooks, self.admin = (int(line[name].rpartition(":")[2]) for name in ("hooks", "admin"))

    async def _listen(self):
        while line := await self.process.stdout.readline():
            self.log += line.decode("utf-8", "replace")

    async def said(self, pattern, within=30):
        """Wait until the log says it."""
        async with asyncio.timeout(within):
            while not re.search(pattern, self.log):
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.02)
        return self.log

    def resident(self):
        """Memory of the service, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def inbox(self):
        """How many deliveries are in which state; ``later``: read, but its fetch failed, or waits for Nowistay's 120 a minute."""
        with reading(self.folder / "bookferry.db") as tx:
            rows = tx.rows(
                "SELECT CASE WHEN state = 'new' AND (connection = 'stays' OR failures > 0) THEN 'later' ELSE state END AS state,"
                " count(*) AS n FROM inbox GROUP BY 1"
            )
        return {row["state"]: row["n"] for row in rows}

    def unread(self):
        """What was said of deliveries that are not read yet."""
        with reading(self.folder / "bookferry.db") as tx:
            return tx.rows(
                "SELECT connection, note, substr(body, 1, 300) AS body FROM inbox WHERE state = 'new' AND connection <> 'stays' AND failures = 0 LIMIT 5"
            )

    async def settled(self, within=120.0):
        """Wait until every delivery was read."""
        end = time.monotonic() + within
        while self.inbox().get("new") and '"bug"' not in self.log:
            assert time.monotonic() < end, self.unread()
            await asyncio.sleep(0.1)

    async def stop(self):
        self.process.terminate()
        async with asyncio.timeout(30):
            code = await self.process.wait()
            await self._listener
        return code


@asynccontextmanager
async def house(folder):
    """A service that has read all platforms once and whose doors are open."""
    made = House(folder)
    async with AsyncExitStack() as stack:
        for name, box in made.boxes.items():
            made.urls[name] = await stack.enter_async_context(serve(box))
        try:
            await made.start()
            yield made
        finally:
            if made.process is not None and made.process.returncode is None:
                with suppress(ProcessLookupError):
                    made.process.kill()
                await made.process.wait()


def clean(made):
    """What the log and the doors of a service under attack must not hold; gives what they hold all the same."""
    bad = [
        line
        for line in made.log.splitlines()
        if "Traceback" in line or '"bug"' in line or '"webhook.failed"' in line
    ]
    bad += [line for line in made.log.splitlines() if not _is_event(line)]
    return bad + [
        f"a secret in: {line}"
        for line in made.log.splitlines()
        if any(each in line for each in made.secrets())
    ]


def _is_event(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
