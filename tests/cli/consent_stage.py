"""Both platforms that ask a person, a configuration without tokens, and a browser that agrees."""

import asyncio
import re
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
from cli_stage import ROOT

from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.nowistay.sandbox import NowistaySandbox
from connectors.sandbox import serve
from daemon import login
from daemon.app import opened
from daemon.settings import key_file, read
from state import tokens
from state.database import reading
from state.tokens import Box, new_key

YAML = """\
server: {{public_url: "https://ferry.example"}}
connections:
  villa: {{platform: nowistay, base_url: "{villa}", rate: 100000/m{villa_more}}}
  reviews: {{platform: nicejob, client_id: nj_client_sandbox, client_secret: nj_secret_sandbox, base_url: "{reviews}",
            rate: 100000/m{reviews_more}}}
{more}
"""
NOWISTAY_TOKEN = "/public/oauth/token"
REGISTER = "/public/oauth/register"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


class Town:
    """Two platforms, and one bookferry that nobody has let in yet."""

    def __init__(self, folder, villa, reviews, urls):
        self.folder, self.villa, self.reviews, self.urls = folder, villa, reviews, urls
        self.port = free_port()
        self.path = folder / "bookferry.db"
        self.seen = []
        self.write()
        key_file(self.path).write_text(new_key())

    def write(self, *, villa_more="", reviews_more="", more=""):
        text = YAML.format(**self.urls, villa_more=villa_more, reviews_more=reviews_more, more=more)
        (self.folder / "bookferry.yaml").write_text(text)

    @property
    def here(self):
        return read(self.folder / "bookferry.yaml")

    def now(self):
        return self.villa.now().timestamp()

    def app(self):
        return opened(self.here.config, self.path, self.here.key(), now=self.now, settle_ms=0)

    def desk(self, name):
        return login.desk(self.here, name, self.now)

    def names(self):
        if not self.path.exists():
            return []
        with reading(self.path) as tx:
            return tokens.names(tx)

    def plain(self):
        """Everything that is sealed, opened."""
        box = Box(self.here.key())
        with reading(self.path) as tx:
            return {name: tokens.get(tx, box, name)[0] for name in tokens.names(tx)}

    def secrets(self):
        """What no output may show."""
        given = [*self.villa.refresh_tokens, *self.villa.access_tokens, *self.villa.codes]
        given += [*self.reviews.refresh_tokens, *self.reviews.tokens, *self.reviews.codes]
        made = [client.secret for client in self.villa.clients.values() if client.secret]
        return [*given, *made, self.reviews.client_secret, self.here.key()]

    async def connect(self, name, walk=None, *, port=None, timeout=30.0, paste=None):
        """In this process; ``walk(attempt)`` is what the person does."""
        walks = []

        def show(attempt):
            self.seen.append(attempt)
            if not paste:
                walks.append(asyncio.create_task((walk or come_back)(attempt)))

        async def ask():
            return await paste(self.seen[-1])

        way = login.Way(show, ask if paste else None, port or self.port, timeout)
        try:
            async with self.desk(name) as at:
                return await login.connect(at, way)
        finally:
            self.pages = await asyncio.gather(*walks)


@asynccontextmanager
async def town(folder, **options):
    villa, reviews = NowistaySandbox(retry_scale=0, **({"consent": "page"} | options)), NiceJobSandbox()
    villa.add_property()
    reviews.add_company("Parnell Nails")
    async with serve(villa) as villa_url, serve(reviews) as reviews_url:
        yield Town(folder, villa, reviews, {"villa": villa_url, "reviews": reviews_url})


# The browser.


async def agree(url, decision="approve"):
    """Open an address, answer the page that asks; gives where the browser is sent."""
    async with httpx.AsyncClient(verify=False) as client:
        answer = await client.get(url)
        if answer.status_code == 200:
            request = re.search(r'name="request" value="([^"]+)"', answer.text)[1]
            form = {"request": request, "decision": decision}
            answer = await client.post(url.partition("?")[0], data=form)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]


async def get(url, method="GET"):
    async with httpx.AsyncClient(verify=False) as client:
        return await client.request(method, url)


async def come_back(attempt):
    return await get(await agree(attempt.url))


async def deny(attempt):
    return await get(await agree(attempt.url, "deny"))


async def the_address(attempt):
    return await agree(attempt.url)


async def the_code(attempt):
    return parse_qs(urlsplit(await agree(attempt.url)).query)["code"][0]


# The command in a process of its own.


class Command:
    """A command that has been started, and what it has printed so far."""

    def __init__(self, process):
        self.process, self.out = process, ""

    async def url(self):
        """The address that it prints."""
        while "\n  http" not in self.out or not self.out.rstrip().endswith((":", "--paste")):
            line = await self.process.stdout.readline()
            assert line, self.out
            self.out += line.decode()
        return re.search(r"^  (http\S+)$", self.out, re.MULTILINE)[1]

    async def end(self, typed=None):
        out, _ = await self.process.communicate((typed or "").encode())
        self.out += out.decode()
        assert "Traceback" not in self.out
        return self.process.returncode


@asynccontextmanager
async def command(at, *words, stdin=PIPE, stdout=PIPE, **env):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "daemon.cli",
        *words,
        cwd=at.folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "COLUMNS": "200", **env},
        stdin=stdin,
        stdout=stdout,
        stderr=STDOUT,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
