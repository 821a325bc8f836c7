"""The command: seeds, progress, what was done before, and stories of what failed."""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.torture.report import Report
from tests.torture.shrink import shortest
from tests.torture.story import Event, draw
from tests.torture.tell import run


def main(asked: argparse.Namespace) -> int:
    if asked.seed is not None:
        return _one(asked)
    done = _done(asked)
    seeds = [seed for seed in range(asked.first, asked.first + asked.seeds) if str(seed) not in done["seeds"]]
    began, excused = time.monotonic(), Counter(done["excused"])
    for number, result in enumerate(_results(seeds, asked), 1):
        done["seeds"][str(result["seed"])] = result["violations"]
        excused.update(result["excused"])
        done["excused"] = dict(excused)
        if asked.resume:
            _keep(Path(asked.resume), done)
        if result["violations"]:
            print(f"\n{failed(result, asked)}", flush=True)
        bad = sum(map(bool, done["seeds"].values()))
        pace = (time.monotonic() - began) / number
        print(f"\r{number} of {len(seeds)} seeds, {bad} failed, {pace:.2f} s each ", end="", flush=True)
    bad = [seed for seed, violations in done["seeds"].items() if violations]
    print(f"\n{len(done['seeds'])} seeds, {len(bad)} failed" + (f": {', '.join(bad)}" if bad else ""))
    for why, times in excused.most_common():
        print(f"  left open {times} times: {why}")
    return 1 if bad else 0


def _one(asked: argparse.Namespace) -> int:
    only = None if asked.only is None else [int(number) for number in asked.only.split(",") if number]
    report = run(asked.seed, hours=asked.hours, ship=asked.ship, only=only)
    if asked.log:
        Path(asked.log).write_text(report.text)
    print(f"seed {asked.seed}: {report.ship}, {report.seconds / 3600:.1f} simulated hours")
    for why, times in report.excused.items():
        print(f"  left open {times} times: {why}")
    print("\n".join(report.violations) or "all is well")
    return 1 if report.violations else 0


def _results(seeds: list[int], asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    told = partial(tell, hours=asked.hours, ship=asked.ship, shrink=not asked.no_shrink)
    if asked.jobs == 1:
        yield from map(told, seeds)
        return
    with ProcessPoolExecutor(asked.jobs) as pool:
        yield from pool.map(told, seeds)


def tell(seed: int, *, hours: float | None, ship: str | None, shrink: bool) -> dict[str, Any]:
    """One seed; a failing one with its shortest story."""
    try:
        report = run(seed, hours=hours, ship=ship)
    except Exception as error:  # noqa: BLE001 - the harness itself: told as what it is
        report = Report(seed, ship or "", [f"harness: {error!r}"])
    result = {"seed": seed, "ship": report.ship, "violations": report.violations, "excused": report.excused}
    if report.violations and shrink and report.kinds != ["harness"]:
        events, last = told_shortest(seed, report, hours=hours, ship=ship)
        result |= {
            "story": [str(event) for event in events],
            "only": [e.number for e in events],
            "last": last,
        }
    return result


def told_shortest(
    seed: int, report: Report, *, hours: float | None = None, ship: str | None = None
) -> tuple[list[Event], list[str]]:
    """The events that are needed for the first violation of a report, and what they lead to."""
    sort = report.violations[0].partition(":")[0]
    seen: dict[tuple[int, ...], list[str]] = {}

    def fails(events: Iterable[Event]) -> bool:
        only = tuple(event.number for event in events)
        if only not in seen:
            seen[only] = run(seed, hours=hours, ship=ship, only=only).violations
        return any(line.partition(":")[0] == sort for line in seen[only])

    events = shortest(draw(seed, hours, ship).events, fails)
    return events, seen.get(tuple(event.number for event in events), report.violations)


def failed(result: dict[str, Any], asked: argparse.Namespace) -> str:
    """What is told of a failing seed."""
    lines = [f"seed {result['seed']} ({result['ship']}) failed:"]
    lines += [f"  {violation}" for violation in result["violations"][:8]]
    again = f"tests/bookferry-torture --seed {result['seed']}"
    if asked.hours:
        again += f" --hours {asked.hours}"
    if asked.ship:
        again += f" --ship {asked.ship}"
    if "story" in result:
        lines += ["the shortest story found:", *(f"  {line}" for line in result["story"])]
        lines += [f"  and then: {violation}" for violation in result["last"][:4]]
        again += f" --only '{','.join(map(str, result['only']))}'"
    return "\n".join([*lines, f"again: {again} --log events.log"])


def _done(asked: argparse.Namespace) -> dict[str, Any]:
    path = Path(asked.resume) if asked.resume else None
    if path is None or not path.exists():
        return {"seeds": {}, "excused": {}}
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept


def _keep(path: Path, done: dict[str, Any]) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(done))
    new.replace(path)
