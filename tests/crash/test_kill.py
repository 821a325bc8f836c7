"""kill -9 at named points: nothing acknowledged is lost, nothing is doubled, everything converges."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from harbour import harbour

from connectors.sandbox import iso
from daemon.doors import hook_app, listening
from daemon.passes import sync
from daemon.units import run_unit
from mapping.config import Door

ROOT = Path(__file__).parents[2]
SHARDS = 2
AT_ONCE = 3
EDGES = ("push.prepare", "push.done", "push.decide", "pull.page", "inbox.read", "inbox.fetched", "call:write")
"""The places where something would be lost or doubled first: always in the normal suite, before and after."""
OTHERS = 8
"""So many of the other points are drawn by a fixed seed; the campaign takes all, at every occurrence."""


async def ferry(port, point, number, fd=None):
    config = port.path.with_suffix(".yaml")
    config.write_text(port.yaml)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.crash.ferry",
        *(str(config), str(port.path), point, str(number)),
        *([str(fd)] if fd is not None else []),
        cwd=ROOT,
        env={"BOOKFERRY_KEY": port.key, "PATH": os.environ["PATH"]},
        pass_fds=[fd] if fd is not None else [],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    if fd is not None:
        return process
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def day(port, days):
    return iso((port.salon.now() + timedelta(days=days)).replace(hour=10, minute=0, second=0, microsecond=0))


def book(port, who, days):
    return port.salon.act(
        "create_appointment", service_id="svc_abc123", start_at=day(port, days), customer_id=who
    )


@asynccontextmanager
async def scene(folder):
    """A baseline, an armed route, three new appointments of two customers; one visit completed and one cancelled, which
    only the inbox knows; and a hint of NiceJob's."""
    folder.mkdir(exist_ok=True)
    async with harbour(folder) as port:
        port.salon.seed(people=5, bookings=5)
        await port.pass_()
        await port.arm("reviews")
        ann = port.salon.act(
            "add_customer", name="Ann Example", email="ann@example.com", phone="+64 21 555 0100"
        )
        bob = port.salon.act(
            "add_customer", name="Bob Example", email="bob@example.com", phone="+64 21 555 0101"
        )
        with port.endpoints() as held:
            async with port.app() as app:
                # Stored as the door stores them; the engine is closed, so that nobody reads them yet.
                await app.engine.drain(0)
                done, gone = book(port, ann, 3), book(port, bob, 4)
                book(port, ann, 5)
                await run_unit(app, "pull:salon")
                async with served(app, held):
                    port.salon.act("complete", appointment_id=done)
                    port.salon.act("cancel", appointment_id=gone)
                    port.reviews.act(
                        "create_person", first_name="Walk", last_name="In", email="walk@example.com"
                    )
                    await port.salon.quiet()
                    await port.reviews.quiet()
        yield port


def served(app, held):
    return listening(hook_app(app), Door("127.0.0.1", 0), label="server.hooks", fd=os.dup(held.fileno()))


async def points(folder):
    """What a whole pass really comes by, and how often."""
    async with scene(folder) as port:
        code, out, err = await ferry(port, "record", 0)
        assert code == 0, err
        await converged(port)
        return Counter(json.loads(out.splitlines()[-1]))


async def converged(port):
    """Start twice more and look at what both platforms and the store hold."""
    async with port.app(settle_ms=100) as app:
        first = await sync(app)
    assert (first["parked"], first["open"], first["problems"]) == (0, 0, {}), first
    async with port.app(settle_ms=100) as app:
        second = await sync(app)
        deliveries = await app.db.read(
            lambda tx: tx.rows("SELECT state, count(*) AS n FROM inbox GROUP BY state")
        )
    assert (second["writes"], second["changes"]) == (0, 0), second
    assert [row["state"] for row in deliveries] == ["done"], deliveries
    people = Counter(row["email"] for row in port.people())
    assert people == {"ann@example.com": 1, "walk@example.com": 1} | people_of_gone(port), people
    marks = Counter(tag for row in port.bookings() for tag in row["tags"] if tag.startswith("bookferry-"))
    assert set(marks.values()) == {1}, marks
    visits = [row for row in port.bookings() if "cancelled" not in row["tags"]]
    assert len(visits) == 2, port.bookings()
    assert sum(row["complete"] for row in visits) == 1
    assert len(port.reviews.enrolments) == 1, port.reviews.enrolments


def people_of_gone(port):
    """The appointment that was cancelled may never have been delivered: then its customer need not be there."""
    return {"bob@example.com": 1} if any(row["email"] == "bob@example.com" for row in port.people()) else {}


async def killed(folder, point, number):
    async with scene(folder) as port:
        code, _, err = await ferry(port, point, number)
        assert code == -signal.SIGKILL, f"never came by {point} number {number}: {err[-500:]}"
        # A token request that was under way leaves its lease behind, which runs out within two minutes.
        port.salon.advance(120)
        port.reviews.advance(120)
        await converged(port)


async def all_killed(folder, chosen):
    gate, failures = asyncio.Semaphore(AT_ONCE), {}

    async def one(index, point, number):
        async with gate:
            try:
                await killed(folder / f"at{index}", point, number)
            except Exception as error:  # noqa: BLE001 - one report for all
                failures[point, number] = repr(error)[:600]

    await asyncio.gather(*(one(index, *what) for index, what in enumerate(chosen)))
    assert failures == {}


def normal(met):
    """At least twenty points, each at an occurrence of its own: an early one, for how often a point occurs depends on
    the order in which answers come."""
    draw = random.Random(5)
    edges = [point for point in sorted(met) if point.partition(":")[2] in EDGES]
    others = draw.sample(sorted(set(met) - set(edges)), min(OTHERS, len(met) - len(edges)))
    return [(point, draw.randint(1, (met[point] + 1) // 2)) for point in [*edges, *others]]


@pytest.mark.speaks
@pytest.mark.parametrize("shard", range(SHARDS))
async def test_a_kill_at_a_named_point_loses_and_doubles_nothing(tmp_path, shard):
    chosen = normal(await points(tmp_path / "met"))
    assert len(chosen) >= 20
    await all_killed(tmp_path, chosen[shard::SHARDS])


@pytest.mark.speaks
@pytest.mark.campaign
@pytest.mark.timeout(1800)
async def test_a_kill_at_every_point_loses_and_doubles_nothing(tmp_path):
    met = await points(tmp_path / "met")
    # How often a point occurs depends on the order in which answers come: the very last one may not come again.
    chosen = [(point, number) for point in sorted(met) for number in range(1, max(2, met[point] - 1))]
    await all_killed(tmp_path, chosen)


@pytest.mark.parametrize("point", ["before:inbox.store", "after:inbox.store"])
async def test_what_the_door_acknowledged_survives_its_kill(tmp_path, point):
    async with harbour(tmp_path) as port:
        await port.pass_()
        await port.arm("reviews")
        who = port.salon.act(
            "add_customer", name="Ann Example", email="ann@example.com", phone="+64 21 555 0100"
        )
        with port.endpoints() as held:
            process = await ferry(port, point, 1, held.fileno())
            port.salon.hold_webhooks()
            for days in range(2, 6):
                book(port, who, days)
            sent = port.salon.release_webhooks()
            await process.wait()
            assert process.returncode == -signal.SIGKILL
            async with port.app() as app, served(app, held):
                await port.quiet(app)  # the platform's own retry brings what was not acknowledged
                done = await sync(app)
                deliveries = await app.db.read(
                    lambda tx: tx.rows("SELECT state FROM inbox WHERE connection = 'salon'")
                )
        assert [delivery.state for delivery in sent] == ["delivered"] * 4
        assert [row["state"] for row in deliveries] == ["done"] * 4
        assert (done["parked"], done["problems"]) == (0, {})
        assert (len(port.people()), len(port.bookings())) == (1, 4)
