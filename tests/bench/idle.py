"""What bookferry costs while there is nothing to do, and how fast ``bookferry status`` answers from cold."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import kit

_TICK = os.sysconf("SC_CLK_TCK")


def run(*, quick: bool = False, seconds: float | None = None) -> list[kit.Row]:
    seconds = seconds or (2.0 if quick else 10.0)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        kit.child("sandbox", companies=[100]) as sandbox,
    ):
        there = sandbox.read()
        ports = [_free_port(), _free_port()]
        server = f"server: {{hooks: 127.0.0.1:{ports[0]}, admin: 127.0.0.1:{ports[1]}}}\n"
        file = Path(folder) / "bookferry.yaml"
        file.write_text(
            kit.yaml({"reviews": kit.nicejob(there["url"], there["refresh"][0])}) + server, encoding="utf-8"
        )
        daemon = _resting(file, seconds)
        return [_status(file, 2 if quick else 5), *daemon]


def _status(file: Path, rounds: int) -> kit.Row:
    what = "bookferry status, cold, best"
    command, env = [sys.executable, "-m", "daemon.cli", "-c", str(file), "status"], _env(file)
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=kit.ROOT, env=env, capture_output=True, text=True, check=False)
        took.append(time.perf_counter() - begun)
        if done.returncode not in {0, 3, 4}:
            why = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise RuntimeError(f"`bookferry status` does not run: {why}")
    return kit.Row(what, min(took), None, min(took), 0.5, unit="s")


def _resting(file: Path, seconds: float) -> list[kit.Row]:
    note = "bookferry run"
    daemon = _started([sys.executable, "-m", "daemon.cli", "-c", str(file), "run"], file)
    try:
        time.sleep(min(2.0, seconds))  # the first poll is no idling
        before, begun = _cpu_of(daemon.pid), time.perf_counter()
        time.sleep(seconds)
        share = (_cpu_of(daemon.pid) - before) / (time.perf_counter() - begun) * 100
        memory = _rss_of(daemon.pid)
    finally:
        daemon.terminate()
        daemon.wait(30)
    return [
        kit.Row("idle daemon: resident memory", memory, None, memory, 90, unit="MB", note=note),
        kit.Row(
            "idle daemon: share of a core", share, None, share, 0.5, unit="%", note=f"{note}, {seconds:g} s"
        ),
    ]


def _started(command: list[str], file: Path) -> "subprocess.Popen[bytes]":
    """The daemon, once it listens. Raises where it does not: a figure that cannot be had is no good one."""
    log = file.with_name("run.log")
    with log.open("wb") as out:
        made = subprocess.Popen(
            command, cwd=kit.ROOT, env=_env(file), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    for _ in range(80):
        time.sleep(0.25)
        said = log.read_text(encoding="utf-8")
        if '"started"' in said:
            return made
        if made.poll() is not None:
            break
    made.kill()
    made.wait()
    raise RuntimeError(f"`bookferry run` does not run: {(said.strip().splitlines() or ['no word'])[-1]}")


def _env(file: Path) -> dict[str, str]:
    import base64

    key = base64.b64encode(b"bench" * 6 + b"ok").decode()
    return {**os.environ, "PYTHONPATH": str(kit.ROOT), "BOOKFERRY_KEY": key}


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _rss_of(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
