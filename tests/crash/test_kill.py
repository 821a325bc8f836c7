"""kill -9 at named points: nothing acknowledged is lost, nothing is doubled, everything converges."""

import ast
import os
import random
import re
import signal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from harbour import harbour
from kills import Ferry, all_killed, all_recorded, drawn, every, report
from scenes import SCENES, book, served

from daemon.passes import sync

ROOT = Path(__file__).parents[2]
SHARDS = 2
FIRST = "visits"
EDGES = ("push.prepare", "push.done", "push.decide", "pull.page", "inbox.read", "inbox.fetched")
"""The commits where something would be lost or doubled first: always in the normal suite, before and after."""
OTHERS = 2
"""So many of the points that a further scene alone comes by are drawn by a fixed seed; the campaign takes all."""

NOT_MET = {
    "alert.told": "what stands was told to the owner: a kill before it tells once more",
    "inbox.bug": "a webhook that we fail to read: parked, as in tests/daemon",
    "door.open": "the service notes when its door was open, for the meter of lost webhooks alone",
    "hook.forget": "`bookferry hooks delete`, a command for a person",
    "inbox.later": "a fetch that fails: tests/daemon",
    "inbox.refused": "a fetch that is refused: tests/daemon",
    "inbox.store": "the door's own commit: killed below, and all day long in tests/durability",
    "pull.restart": "a position that has grown stale: it takes back a position and nothing else",
    "push.later": "a look that fails: an update of one row, as any other put-off",
    "push.park": "a look that is refused, where nobody can look: nothing was sent",
    "push.{}": "a call that fails: the same rows as push.done, one of them fewer",
    "token.forget": "`bookferry disconnect`, a command for a person",
    "token.given": "`bookferry connect`, a command for a person",
    "unit.failed": "what stands in a unit's way is noted; the next run clears or repeats it",
}
"""Commits that no scene comes by, each with the reason."""
BESIDE = {
    "daemon/login.py": "commands for a person",
    "daemon/demo.py": "the demo",
    "daemon/demo_stage.py": "the demo",
}
"""Where neither the service nor a pass gets."""


def normal(met):
    """About twenty points, each at an occurrence of its own."""
    draw = random.Random(5)
    edges = [point for point in sorted(met[FIRST][0]) if point.partition(":")[2] in EDGES]
    chosen, seen = [(FIRST, point) for point in edges], set(met[FIRST][0])
    for scene in [name for name in SCENES if name != FIRST]:
        new = sorted(set(met[scene][0]) - seen)
        chosen += [(scene, point) for point in draw.sample(new, min(OTHERS, len(new)))]
        seen |= set(new)
    return [(scene, point, drawn(draw, met[scene][0][point]), 0) for scene, point in chosen]


@pytest.fixture
def shared(tmp_path_factory):
    """A folder that all workers of this run share, and no other run."""
    mine = tmp_path_factory.getbasetemp()
    return mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine


@pytest.mark.speaks
@pytest.mark.parametrize("shard", range(SHARDS))
async def test_a_kill_at_a_named_point_loses_and_doubles_nothing(tmp_path, shared, shard):
    chosen = normal(await all_recorded(shared))
    assert len(chosen) >= 20
    failures = await all_killed(tmp_path, shared, chosen[shard::SHARDS])
    assert not failures, report(failures)


@pytest.mark.speaks
@pytest.mark.campaign
@pytest.mark.timeout(7200)
async def test_a_kill_at_every_point_loses_and_doubles_nothing(tmp_path, shared):
    failures = await all_killed(tmp_path, shared, every(await all_recorded(shared), seeds=1))
    assert not failures, report(failures)


# Nothing is missed.


@pytest.mark.speaks
async def test_every_commit_is_met_by_a_scene_or_has_its_reason(shared):
    labels, unlabelled = labels_of_the_code()
    met = {point.partition(":")[2] for points, _ in (await all_recorded(shared)).values() for point in points}
    missed = {
        label for label in labels if not any(fnmatchcase(point, label.replace("{}", "*")) for point in met)
    }
    assert missed <= set(NOT_MET), "give these commits a scene, or a reason"
    stale = {label for label in NOT_MET if label not in labels or any(point == label for point in met)}
    assert stale == set(), "these have a scene now, or are gone"
    assert unlabelled == set(), "a commit without a label cannot be a point"


@pytest.mark.speaks
async def test_every_call_of_every_connector_goes_through_the_seam(shared):
    """The seam is in the one HTTP client, so a call cannot miss it; that each scene's writes and logins are there is seen."""
    met = {point for points, _ in (await all_recorded(shared)).values() for point in points}
    calls = {point.partition(":call:")[2] for point in met if ":call:" in point}
    for kind in ("POST /api/v1/*/appointments", "POST /v2/people", "POST /v2/bookings", "POST /v2/visits", "PATCH */bookings/*",
                 "POST */missions", "POST */oauth/token", "POST */webhooks", "POST */partner/bookings", "POST */cancel"):  # fmt: skip
        assert any(fnmatchcase(call, kind) for call in calls), (kind, sorted(calls))
    for call in calls:
        assert {f"before:call:{call}", f"after:call:{call}"} <= met, call


@cache
def labels_of_the_code():
    """The labels of all commits in the product, ``{}`` for what is put in; and the files with commits that have none."""
    labels, unlabelled = set(), set()
    places = {
        str(path.relative_to(ROOT)): path
        for room in ("daemon", "state")
        for path in ROOT.glob(f"{room}/**/*.py")
    }
    for place, path in places.items():
        if place in BESIDE:
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            passes_on = "label" in {argument.arg for argument in function.args.args}
            for call in (node for node in ast.walk(function) if is_commit(node)):
                label = call.args[1] if len(call.args) > 1 else None
                if isinstance(label, ast.Name) and label.id == "label" and passes_on:
                    continue
                found = text_of(label)
                if found is None:
                    unlabelled.add(place)
                else:
                    labels.add(found)
    return labels, unlabelled


def is_commit(node):
    """``….transaction(…)``, ``….commit(fn, label)``, and what hands them on."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in {"transaction", "_settle"} or (node.func.attr == "commit" and bool(node.args))


def text_of(label):
    if isinstance(label, ast.Constant):
        return label.value
    if isinstance(label, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in label.values)
    return None


def test_a_commit_without_a_label_or_a_new_one_would_be_noticed():
    made = ast.parse("async def f(self):\n await self.db.transaction(g)\n await unit.commit(g, f'a.{b}')")
    (function,) = made.body
    calls = [node for node in ast.walk(function) if is_commit(node)]
    assert [text_of(call.args[1]) if len(call.args) > 1 else None for call in calls] == [None, "a.{}"]
    labels, _ = labels_of_the_code()
    assert {"pull.page", "push.{}", "{}.finish", "inbox.store", "lease.take"} <= labels
    assert all(re.fullmatch(r"[a-z.{}]+", label) for label in labels)


# The door.


@pytest.mark.parametrize("point", ["before:inbox.store", "after:inbox.store"])
async def test_what_the_door_acknowledged_survives_its_kill(tmp_path, point):
    async with harbour(tmp_path) as port:
        await port.pass_()
        await port.arm("reviews")
        who = port.salon.act(
            "add_customer", name="Ann Example", email="ann@example.com", phone="+64 21 555 0100"
        )
        with port.endpoints() as held:
            ferry = Ferry(port, "kill", point, 1, held)
            port.salon.hold_webhooks()
            for days in range(2, 6):
                book(port, who, days)
            sent = port.salon.release_webhooks()
            assert await ferry.end() == -signal.SIGKILL
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
