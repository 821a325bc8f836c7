"""One pass in a process of its own, killed or frozen at a point, and what has to be true afterwards."""

import asyncio
import fcntl
import json
import multiprocessing
import random
import re
import signal
from collections import Counter
from datetime import date

from scenes import SCENES

from daemon.passes import sync
from daemon.service import ensure_hooks
from state import outbox
from tests.crash.ferry import passage

AT_ONCE = 3
# Every pass is a process of its own, forked off one that has imported everything: most of a start are imports.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.crash.ferry"])
_UNKNOWN = 255
"""The fork server of Python loses the exit code of one process in fifty while threads wait for others."""
ALLOWED_TO_WAIT = "asked"
"""The scene in which a kill may leave something to a human: nobody can see whether somebody was enrolled."""


class Ferry:
    """One pass, or with a socket the hook door, in a process of its own."""

    def __init__(self, port, how, point="-", number=0, held=None):
        self._told = port.path.with_name(f"{how}.json")
        self._struck = self._told.with_suffix(".struck")
        self._process = _SERVER.Process(
            target=passage, args=(port.yaml, port.path, port.key, self._told, (how, point, number), held)
        )
        self._process.start()
        self.pid = self._process.pid

    @property
    def alive(self):
        return self._process.is_alive()

    async def end(self):
        """Wait for its end; gives the exit code, negative for a signal."""
        await asyncio.to_thread(self._process.join)
        code = self._process.exitcode
        self._process.close()
        if code == _UNKNOWN:
            return 0 if self._told.exists() else -signal.SIGKILL if self._struck.exists() else code
        return code

    def told(self):
        return json.loads(self._told.read_text())

    def said(self):
        return self._told.with_suffix(".log").read_text()[-3000:]


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
    return undated(json.dumps(port.outcome(), sort_keys=True), port.boxes[0])


def undated(text, box):
    """Dates as days from today, so that a recording is good after midnight too."""
    return re.sub(
        r"\d{4}-\d\d-\d\d",
        lambda found: f"{(date.fromisoformat(found[0]) - box.now().date()).days} days",
        text,
    )


async def secrets_are_known(port, app):
    """Every webhook that was made is one whose deliveries are taken."""
    known = [await app.hook_secrets(name) for name in app.connectors]
    made = [hook.secret for hook in [*port.boxes[0].tables.hooks.values(), *port.boxes[1].webhooks.values()]]
    assert set(made) <= set().union(*known), "a webhook was made whose secret nobody knows"


async def recorded(scene, folder, seed=0):
    """What a whole pass really comes by, and how often; and what it leads to."""
    async with SCENES[scene](folder, seed) as port:
        ferry = Ferry(port, "record")
        code = await ferry.end()
        assert code == 0, f"ended with {code}: {ferry.said()}"
        return ferry.told()["met"], await converged(port, scene)


async def all_recorded(folder, seed=0, scenes=tuple(SCENES)):
    """By scene. Several workers of one test run share what the first of them found."""
    gate, found = asyncio.Semaphore(AT_ONCE), {}

    async def one(scene):
        place = folder / f"met-{scene}-{seed}.json"
        with place.with_suffix(".lock").open("w") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if not place.exists():
                async with gate:
                    place.write_text(json.dumps(await recorded(scene, folder / f"met-{scene}-{seed}", seed)))
        found[scene] = json.loads(place.read_text())

    await asyncio.gather(*map(one, scenes))
    return {scene: (Counter(met), outcome) for scene, (met, outcome) in found.items()}


async def killed(scene, folder, point, number, seed, expected):
    async with SCENES[scene](folder, seed) as port:
        ferry = Ferry(port, "kill", point, number)
        code = await ferry.end()
        assert code == -signal.SIGKILL, f"never came by, and ended with {code}: {ferry.said()}"
        outcome = await converged(port, scene)
        assert outcome == expected, f"{outcome} and not {expected}"


async def all_killed(folder, shared, chosen, tell=lambda _line: None):
    """``chosen``: (scene, point, number, seed). Gives what failed, by these."""
    gate, failures = asyncio.Semaphore(AT_ONCE), {}
    known = {seed: await all_recorded(shared, seed) for seed in {seed for *_, seed in chosen}}

    async def one(index, scene, point, number, seed):
        async with gate:
            try:
                await killed(scene, folder / f"at{index}", point, number, seed, known[seed][scene][1])
            except Exception as error:  # noqa: BLE001 - one report for all
                failures[scene, point, number, seed] = repr(error)[:4000]
            tell((scene, point, number, seed, (scene, point, number, seed) not in failures))

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
    for scene, (points, _) in met.items():
        for point in sorted(points):
            for seed in range(seeds):
                number = drawn(random.Random(f"{scene} {point} {seed}"), points[point])
                chosen.append((scene, point, number, seed))
    return chosen
