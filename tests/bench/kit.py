"""What all benchmarks share: processes of their own, what they used, and how a figure is told.

A shared machine is noisy, so nothing here is an absolute promise: ours and the floor take turns, each in a fresh
process, and a figure is the median of the pairs' ratios.
"""

import asyncio
import hashlib
import hmac
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_bench"
CLIENT = {"client_id": "nj_client_sandbox", "client_secret": "nj_secret_sandbox"}
PLENTY = "1000000/m"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``target`` is a bound of ``value``: at most, or at least."""

    what: str
    ours: float | None
    floor: float | None
    value: float | None
    target: float | None = None
    at_least: bool = False
    unit: str = ""
    note: str = ""

    @property
    def good(self) -> bool | None:
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def told(self) -> dict[str, Any]:
        return asdict(self) | {"good": self.good}


def ratio(what: str, pairs: list[tuple[float, float]], target: float | None, **more: Any) -> Row:
    """Ours against the floor: the medians, and the median of the ratios."""
    ours, floor = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(what, ours, floor, statistics.median(a / b for a, b in pairs), target, **more)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(rows: list[Row]) -> str:
    cells = [("what", "ours", "floor", "ratio", "target", "")]
    cells += [
        (
            row.what,
            _figure(row.ours, row.unit),
            _figure(row.floor, row.unit),
            _figure(row.value),
            "" if row.target is None else f"{'≥' if row.at_least else '≤'} {row.target:g}",
            " ".join(part for part in ({True: "ok", False: "MISSED", None: ""}[row.good], row.note) if part),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in {0, 5} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _figure(value: float | None, unit: str = "") -> str:
    if value is None:
        return "-"
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


# What a process used.


def cpu() -> float:
    """Seconds of CPU of this process, all its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """The most memory that this process ever held. ``ru_maxrss`` would count the parent's before the exec."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def used(into: dict[str, Any], name: str) -> Iterator[None]:
    """Note the CPU time and the wall time of a block."""
    before, begun = cpu(), time.perf_counter()
    yield
    into[name], into[f"{name}_wall"] = cpu() - before, time.perf_counter() - begun


# Processes.


class Child:
    """``python -m tests.bench.child WHAT``: it prints a line of JSON when it is ready, and another one at its end."""

    def __init__(self, what: str, **arguments: Any) -> None:
        command = [sys.executable, "-m", "tests.bench.child", what, json.dumps(arguments)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the benchmark failed: {self.process.args[3:]}")
        return json.loads(line)

    def end(self) -> str:
        """Close its standard input, which asks it to end, and give what it still said."""
        said, _ = self.process.communicate(timeout=300)
        return said

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()


@contextmanager
def child(what: str, **arguments: Any) -> Iterator[Child]:
    made = Child(what, **arguments)
    try:
        yield made
        made.end() if made.process.poll() is None else None
    finally:
        made.kill()


def once(what: str, **arguments: Any) -> dict[str, Any]:
    """Run a child to its end; gives what it measured. Its database is thrown away."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        child(what, folder=folder, **arguments) as made,
    ):
        return made.read()


def tell(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


async def until_closed() -> None:
    """Wait until the parent closes our standard input."""
    await asyncio.to_thread(sys.stdin.read)


def pairs(rounds: int, ours: Callable[[], Any], floor: Callable[[], Any]) -> list[tuple[Any, Any]]:
    """Both sides in turns, the first place alternating."""
    found = []
    for number in range(rounds):
        if number % 2:
            there = floor()
            found.append((ours(), there))
        else:
            here = ours()
            found.append((here, floor()))
    return found


# Configurations.


def nicejob(url: str, refresh: str) -> str:
    return (
        f"{{platform: nicejob, client_id: {CLIENT['client_id']}, client_secret: {CLIENT['client_secret']},"
        f' refresh_token: "{refresh}", base_url: "{url}", rate: {PLENTY}}}'
    )


def bookatu(url: str, api_key: str) -> str:
    return (
        f'{{platform: bookatu, slug: parnell-nails, api_key: "{api_key}", webhook_secret: {SECRET},'
        f' base_url: "{url}", rate: {PLENTY}}}'
    )


def yaml(connections: dict[str, str], routes: str = "[]") -> str:
    lines = [f"  {name}: {settings}" for name, settings in connections.items()]
    return "\n".join(["connections:", *lines, f"routes: {routes}", ""])


def configured(text: str) -> Any:
    from connectors.registry import CONNECTORS
    from mapping.load import load

    platforms = {name: connector.platform for name, connector in CONNECTORS.items()}
    return load(
        text, name="bench.yaml", platforms=platforms, env=os.environ, read_file=str, credential=lambda _: None
    )


# Webhooks.


def hook(number: int, event: str, data: dict[str, Any], sent: str) -> tuple[bytes, dict[str, str]]:
    """A webhook as Bookatu signs it: its body and its headers."""
    body = json.dumps({"event": event, "sentAt": sent, "data": data}, separators=(",", ":")).encode()
    stamp = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return body, {
        "content-type": "application/json",
        "user-agent": "Bookatu-Webhooks/1",
        "x-bookatu-event": event,
        "x-bookatu-signature": f"t={stamp},v1={signature}",
        "x-bookatu-attempt": str(number),
    }
