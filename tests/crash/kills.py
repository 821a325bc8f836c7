"""One pass in a process of its own, killed or frozen at a point, and what has to be true afterwards."""

import asyncio
import fcntl
import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

from scenes import SCENES

from daemon.passes import sync
from daemon.service import ensure_hooks
from state import outbox

ROOT = Path(__file__).parents[2]
AT_ONCE = 3
ALLOWED_TO_WAIT = "asked"
"""The scene in which a kill may leave something to a human: nobody can see whether somebody was enrolled."""


async def ferry(port, how, point="-", number=0, fd=None):
    """The process, with its output piped to us."""
    config = port.path.with_suffix(".yaml")
    config.write_text(port.yaml)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.crash.ferry",
        *(str(config), str(port.path), how, point, str(number)),
        *([str(fd)] if fd is not None else []),
        cwd=ROOT,
        env={"BOOKFERRY_KEY": port.key, "PATH": os.environ["PATH"]},
        pass_fds=[fd] if fd is not None else [],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def converged(port, scene):
    """Start twice more and look at what the platforms and the store hold. Gives the outcome."""
    async with port.app(settle_ms=100) as app:
        public = app.config.server.public_url
        if public:
            await ensure_hooks(app, public)
        first = await sync(app)
        parked = await app.db.read(lambda tx: outbox.in_state(tx, "parked"))
    left = [] if scene == ALLOWED_TO_WAIT else parked
    assert (left, first["open"], first["problems"]) == ([], 0, {}), (first, [each.problem for each in parked])
    async with port.app(settle_ms=100) as app:
        if public:
            await secrets_are_known(port, app)
        second = await sync(app)
        if second["changes"] and not second["writes"]:
            second = await sync(app)  # what the answer to a write did not show, the next list does
        deliveries = await app.db.read(
            lambda tx: tx.rows("SELECT state, count(*) AS n FROM inbox GROUP BY state")
        )
    assert (second["writes"], second["changes"]) == (0, 0), second
    assert {row["state"] for row in deliveries} <= {"done"}, deliveries
    if scene == ALLOWED_TO_WAIT:
        enrolled = Counter(row["person_id"] for row in port.reviews.enrolments)
        assert set(enrolled.values()) <= {1}, enrolled
        assert len(enrolled) + len(parked) >= len(port.people()), "each is enrolled, or told to a human"
    return port.outcome()


async def secrets_are_known(port, app):
    """Every webhook that was made is one whose deliveries are taken."""
    known = [await app.hook_secrets(name) for name in app.connectors]
    made = [hook.secret for hook in [*port.boxes[0].tables.hooks.values(), *port.boxes[1].webhooks.values()]]
    assert set(made) <= set().union(*known), "a webhook was made whose secret nobody knows"


async def recorded(scene, folder, seed=0):
    """What a whole pass really comes by, and how often; and what it leads to."""
    async with SCENES[scene](folder, seed) as port:
        process = await ferry(port, "record")
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        met = Counter(json.loads(out.splitlines()[-1])["met"])
        return met, await converged(port, scene)


async def all_recorded(folder, seed=0):
    """By scene. Several workers of one test run share what the first of them found."""
    place = folder / f"met{seed}.json"
    with (folder / f"met{seed}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            found = await asyncio.gather(
                *(recorded(scene, folder / f"met-{scene}-{seed}", seed) for scene in SCENES)
            )
            place.write_text(json.dumps({scene: met for scene, (met, _) in zip(SCENES, found, strict=True)}))
    return {scene: Counter(met) for scene, met in json.loads(place.read_text()).items()}


async def killed(scene, folder, point, number, seed, expected):
    async with SCENES[scene](folder, seed) as port:
        process = await ferry(port, "kill", point, number)
        _, err = await process.communicate()
        assert process.returncode == -signal.SIGKILL, f"never came by: {err[-500:].decode()}"
        outcome = await converged(port, scene)
        assert outcome == expected, f"{outcome} and not {expected}"


async def all_killed(folder, chosen, tell=lambda _line: None):
    """``chosen``: (scene, point, number, seed). Gives what failed, by these."""
    gate, failures, outcomes, made = asyncio.Semaphore(AT_ONCE), {}, {}, asyncio.Lock()

    async def expected(scene, seed):
        async with made:
            if (scene, seed) not in outcomes:
                outcomes[scene, seed] = (await recorded(scene, folder / f"known-{scene}-{seed}", seed))[1]
        return outcomes[scene, seed]

    async def one(index, scene, point, number, seed):
        async with gate:
            try:
                wanted = await expected(scene, seed)
                await killed(scene, folder / f"at{index}", point, number, seed, wanted)
            except Exception as error:  # noqa: BLE001 - one report for all
                failures[scene, point, number, seed] = repr(error)[:900]
            tell((scene, point, number, seed))

    await asyncio.gather(*(one(index, *what) for index, what in enumerate(chosen)))
    return failures


def report(failures):
    """What failed, a line each."""
    return "\n".join(f"{what}: {error}" for what, error in failures.items())


def drawn(draw, met):
    """An occurrence: an early one, for how often a point occurs depends on the order in which answers come."""
    return draw.randint(1, (met + 1) // 2)


def every(met, seeds):
    """Every point of every scene, each seed at an occurrence of its own."""
    chosen = []
    for scene, points in met.items():
        for point in sorted(points):
            for seed in range(seeds):
                number = drawn(random.Random(f"{scene} {point} {seed}"), points[point])
                chosen.append((scene, point, number, seed))
    return chosen
