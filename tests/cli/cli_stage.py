"""A folder with a configuration and a database filled through the store's own functions, and the real command."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import structlog

from daemon import cli
from mapping.model import Booking, Kind, Person, Status
from mapping.record import COMPLETE, Account, Listing, Observation, Page, Via
from state import accounts, cursors, inbox, ledger
from state.database import Database, writing

ROOT = Path(__file__).parents[2]
ENV = {
    "BOOKATU_API_KEY": "bk_live_planted_secret",
    "NICEJOB_CLIENT_ID": "client",
    "NICEJOB_CLIENT_SECRET": "nj_planted_secret",
    "NICEJOB_REFRESH_TOKEN": "refresh_planted_secret",
}
CONFIG = """\
connections:
  salon: {platform: bookatu, slug: nails, api_key: "${BOOKATU_API_KEY}", base_url: "http://127.0.0.1:9"}
  reviews:
    platform: nicejob
    client_id: ${NICEJOB_CLIENT_ID}
    client_secret: ${NICEJOB_CLIENT_SECRET}
    refresh_token: ${NICEJOB_REFRESH_TOKEN}
    base_url: http://127.0.0.1:9
routes:
  - {name: visits, from: salon.bookings, to: reviews.bookings, set: {tags: ["bookatu"]}, notify: allow}
"""
NOW = 1_790_000_000_000


def run(folder, *words, env=ENV):
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("BOOKFERRY", "CREDENTIALS"))
    }
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli", *words],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def inside(folder, env=ENV):
    """This process as the command would find its own: in that folder, with that environment and nothing left over."""
    kept, where, root = dict(os.environ), Path.cwd(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for key in [key for key in kept if key.startswith(("BOOKFERRY", "CREDENTIALS"))]:
        del os.environ[key]
    os.environ.update({"COLUMNS": "80", **env})
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(kept)
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


def call(folder, *words, env=ENV):
    """The command in this process: many times faster than one of its own."""
    out, err = StringIO(), StringIO()
    given = patch.object(sys, "argv", ["bookferry", *words])
    with inside(folder, env), given, redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return subprocess.CompletedProcess(words, int(code), out.getvalue(), err.getvalue())


def seen(kind, ref, fields, at=NOW, via=Via.POLL):
    return Observation(kind, ref, fields, b"{}", at, via)


def guest(ref="cus_1", name="Mere [bold]Whaanga\x1b[31m", email="mere@planted.example"):
    return seen(Kind.PEOPLE, ref, Person(full_name=name, email=email, phone="+64215550100"))


def booking(ref="apt_1", status=Status.CONFIRMED, at=NOW, via=Via.POLL):
    fields = Booking(
        status=status,
        status_word=status.value,
        title="Gel Manicure",
        starts="2026-11-30T09:00:00Z",
        people=["cus_1"],
    )
    return seen(Kind.BOOKINGS, ref, fields, at, via)


def fill(folder, *observations, finished=True):
    """Make the database; every list counts as read to its end."""
    (folder / "bookferry.yaml").write_text(CONFIG)
    path = folder / "bookferry.db"

    async def make():
        await (await Database.open(path)).close()

    asyncio.run(make())
    with writing(path) as tx:
        accounts.remember(tx, "salon", "bookatu", Account("nails", "Parnell Nails", country="NZ"))
        accounts.remember(tx, "reviews", "nicejob", Account("c1", "Parnell", country="NZ"))
        for observation in observations:
            ledger.observe(tx, "salon", observation.kind, [observation], now=NOW, region="NZ")
        if finished:
            for name in ("salon", "reviews"):
                for kind in (Kind.PEOPLE, Kind.BOOKINGS):
                    cursors.advance(
                        tx,
                        cursors.stream(tx, name, kind),
                        Page(Listing(kind, (), _never), NOW, coverage=COMPLETE),
                        [],
                        now=NOW,
                    )
    return path


def _never(row):
    raise AssertionError(row)


def hook(tx, state):
    inbox.store(tx, [inbox.Arrival("salon", b"k", NOW, "{}", b"x")])
    inbox.finish(tx, inbox.due(tx, "salon", NOW + 1, 1)[0].id, state=state, note="malformed")


def told(done):
    return json.loads(done.stdout)
