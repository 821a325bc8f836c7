"""A process that stands still (SIGSTOP) while another one takes its work over, and then goes on (SIGCONT).

The lock file keeps a second process away, and a frozen one still holds it. So here is what an operator may do with a
service that no longer answers: remove the lock file and start another one.
"""

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from kills import AT_ONCE, Ferry, converged, report
from scenes import SCENES

from state.errors import StoreUnavailable

POINTS = [
    ("visits", "after:push.decide", 0),  # decided, the first moves made, nothing sent
    ("visits", "before:call:POST /v2/people", 1),  # looked once more, and its bytes about to leave
    ("visits", "after:call:POST /v2/people", 0),  # between call and commit
    ("visits", "after:call:GET /v2/people/*", 0),  # the inbox: between its fetch and its commit
    (
        "visits",
        "after:call:GET /api/v1/parnell-nails/appointments",
        0,
    ),  # a pull: between its page and its commit
    ("stays", "after:call:POST /public/oauth/token", 0),  # a new token that is on no disk yet
]
"""Scene and point, and how many requests that change something may still leave: the one that is under way."""
FURTHER = [
    ("visits", "after:push.prepare", 0),
    ("visits", "after:inbox.read", 0),
    ("visits", "after:store.begin", 0),
    ("pair", "before:call:POST /api/v1/parnell-nails/appointments", 1),
    ("moved", "after:call:POST /api/v1/parnell-nails/appointments/*/cancel", 0),
    ("stays", "after:hooks.begin", 0),
    ("stays", "after:call:POST /v2/webhooks", 0),
]


async def frozen(ferry):
    """Wait until it stands still."""
    async with asyncio.timeout(30):
        while Path(f"/proc/{ferry.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert ferry.alive, "it ended instead of standing still"
            await asyncio.sleep(0.02)


def held(path):
    """All that the store holds."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [line for line in connection.iterdump() if "sqlite_stat" not in line]


def changing(port):
    return [call for box in port.boxes for verb in ("POST", "PATCH", "DELETE") for call in box.calls(verb)]


async def thawed(folder, scene, point, allowed):
    async with SCENES[scene](folder) as port:
        ferry = Ferry(port, "stop", point, 1)
        try:
            await frozen(ferry)
            with pytest.raises(StoreUnavailable, match="another bookferry holds this database"):
                async with port.app():
                    pass
            port.path.with_name(port.path.name + ".lock").unlink()
            await converged(port, scene)
            before, calls = held(port.path), len(changing(port))
        finally:
            os.kill(ferry.pid, signal.SIGCONT)
        assert await ferry.end() == 0, ferry.said()
        assert "was taken over by another bookferry" in ferry.told().get("taken over", ""), (
            "it did not notice"
        )
        assert held(port.path) == before, "it wrote to the store"
        more = changing(port)[calls:]
        assert len(more) <= allowed, f"it wrote to a platform: {[call.path for call in more]}"


@pytest.mark.speaks
async def test_who_was_taken_over_while_it_stood_still_writes_nothing_more(tmp_path):
    await all_thawed(tmp_path, POINTS)


@pytest.mark.speaks
@pytest.mark.campaign
@pytest.mark.timeout(600)
async def test_the_same_at_further_points(tmp_path):
    await all_thawed(tmp_path, FURTHER)


async def all_thawed(folder, points):
    gate, failures = asyncio.Semaphore(AT_ONCE), {}

    async def one(index, scene, point, allowed):
        async with gate:
            try:
                await thawed(folder / f"at{index}", scene, point, allowed)
            except Exception as error:  # noqa: BLE001 - one report for all
                failures[scene, point] = repr(error)[:600]

    await asyncio.gather(*(one(index, *what) for index, what in enumerate(points)))
    assert not failures, report(failures)
