"""The hook door: acknowledged webhooks a second against a bare FastAPI, and its p99 while a full pull runs.

Ours runs as `bookferry run` does (`daemon.loop`), the floor as uvicorn comes: both on uvloop where it is installed.
"""

import asyncio
import statistics
import tempfile
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.bench import kit


def run(
    *,
    quick: bool = False,
    amount: int | None = None,
    rows: int | None = None,
    side_by_side: tuple[int, ...] = (16, 64),
) -> list[kit.Row]:
    amount, rows = amount or (800 if quick else 6_000), rows or (1_000 if quick else 20_000)
    rounds = 1 if quick else 3
    lines = []
    for connections in side_by_side:
        work = {"connections": connections, "amount": amount}
        for title, role, target in (("door", "door", 1.0), ("door, inbox read meanwhile", "daemon", None)):
            found = kit.pairs(
                rounds,
                partial(_loaded, "hooks_ours", role=role, **work),
                partial(_loaded, "hooks_floor", **work),
            )
            rates = [(a["rate"], b["rate"]) for a, b in found]
            label = f"{title}, {connections} connections"
            lines.append(kit.ratio(f"{label}: acknowledged", rates, target, at_least=True, unit="/s"))
            if role == "door":
                used = [(a["cpu"] / amount * 1e6, b["cpu"] / amount * 1e6) for a, b in found]
                lines.append(kit.ratio(f"{label}: CPU each", used, None, unit="µs"))
                late = statistics.median(a["p99"] for a, _ in found)
                lines.append(
                    kit.Row(
                        f"{label}: p99", late, statistics.median(b["p99"] for _, b in found), None, unit="ms"
                    )
                )
    return [*lines, *_while_pulling(rows, 200 if quick else 2_000)]


def _while_pulling(rows: int, amount: int) -> list[kit.Row]:
    with kit.child("sandbox", companies=[rows]) as sandbox:
        there = sandbox.read()
        told = _loaded("hooks_ours", role="pulling", nicejob=there, connections=16, amount=amount, pace=200)
    # More than a pull must have been under way from the first webhook to the last.
    note = f"{told['pulls']} pulls meanwhile, p50 {told['p50']:.1f} ms"
    return [
        kit.Row(
            "door, 200/s while a full pull runs: p99",
            told["p99"],
            None,
            told["p99"],
            100,
            unit="ms",
            note=note,
        )
    ]


def _loaded(server: str, *, connections: int, amount: int, pace: float = 0, **more: Any) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        kit.child(server, folder=folder, **more) as door,
    ):
        address = door.read()["address"]
        with kit.child("load", address=address, connections=connections, amount=amount, pace=pace) as load:
            told = load.read()
        door.process.stdin.close()
        told |= door.read()
        door.process.wait(60)
    if told["stored"] != amount:
        raise AssertionError(f"{told['stored']} webhooks are stored, {amount} were acknowledged")
    return told


# In processes of their own.


async def ours(folder: str, role: str, nicejob: dict[str, Any] | None = None) -> None:
    """``door``: takes and stores; ``daemon``: reads its inbox too; ``pulling``: and pulls for ever."""
    from daemon.app import opened
    from daemon.doors import hook_app, listening
    from daemon.loop import settled
    from mapping.config import Door
    from state.tokens import new_key

    connections = {"salon": kit.bookatu("http://127.0.0.1:9", "key")}
    if nicejob:
        connections["reviews"] = kit.nicejob(nicejob["url"], nicejob["refresh"][0])
    config = kit.configured(kit.yaml(connections))
    async with opened(config, Path(folder) / "bench.db", new_key()) as app:
        if role == "door":
            app.engine.kick = lambda _key: None
        async with listening(hook_app(app), Door("127.0.0.1", 0), label="bench") as door:
            settled()
            pulls: list[float] = []
            pulling = asyncio.create_task(_pull_on(app, pulls)) if role == "pulling" else None
            told: dict[str, Any] = {}
            with kit.used(told, "cpu"):
                kit.tell({"address": f"http://{door}/hooks/salon"})
                await kit.until_closed()
            if pulling:
                pulling.cancel()
        await app.engine.drain(5)
        told["stored"] = await app.db.read(lambda tx: tx.value("SELECT count(*) FROM inbox"))
    kit.tell(told | {"pulls": len(pulls)})


async def _pull_on(app: Any, pulls: list[float]) -> None:
    """Pull again and again; each time the ledger is emptied, so that every pull is a first one."""
    while True:
        pulls.append(time.monotonic())
        app.engine.kick("pull:reviews")
        while "pull:reviews" in app.engine.busy:
            await asyncio.sleep(0.02)
        while await app.db.transaction(_emptied):
            pass


def _emptied(tx: Any) -> bool:
    """Some rows at a time: to forget is no part of a pull, and nobody is to wait for it."""
    few = [row["id"] for row in tx.rows("SELECT id FROM record LIMIT 50")]
    for record in few:
        for table, column in (("journal", "record"), ("identity_key", "record"), ("record", "id")):
            tx.run(f"DELETE FROM {table} WHERE {column} = :r", r=record)
    if not few:
        for table in ("cursor_page", "cursor"):
            tx.run(f"DELETE FROM {table}")
    return bool(few)


async def floor(folder: str) -> None:
    from tests.bench.floors import Writer, door

    writer = Writer(Path(folder) / "floor.db")
    async with listens(door(writer, kit.SECRET)) as address:
        told: dict[str, Any] = {}
        with kit.used(told, "cpu"):
            kit.tell({"address": f"{address}/hooks/salon"})
            await kit.until_closed()
    stored = writer.db.execute("SELECT count(*) FROM inbox").fetchone()[0]
    writer.close()
    kit.tell(told | {"stored": stored})


@asynccontextmanager
async def listens(app: Any) -> Any:
    """uvicorn as it comes, with httptools and without an access log."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=0, log_config=None, access_log=False, http="httptools", lifespan="off"
        )
    )
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


async def load(address: str, connections: int, amount: int, pace: float) -> None:
    """Send distinct signed webhooks over connections that are kept open; ``pace``: so many a second in all."""
    parts = urlsplit(address)
    requests = [_request(parts.path, number) for number in range(amount)]
    delays: list[float] = []
    begun = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while requests:
            number = amount - len(requests)
            request = requests.pop()
            if pace:
                await asyncio.sleep(max(0.0, begun + number / pace - time.perf_counter()))
            sent = time.perf_counter()
            writer.write(request)
            await answered(reader)
            delays.append((time.perf_counter() - sent) * 1000)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    seconds = time.perf_counter() - begun
    kit.tell(
        {
            "rate": amount / seconds,
            "p50": kit.percentile(delays, 0.5),
            "p99": kit.percentile(delays, 0.99),
        }
    )


async def answered(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise AssertionError(head.split(b"\r\n", 1)[0].decode())
    length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)


def _request(path: str, number: int) -> bytes:
    data = {"id": f"apt_{number}", "ref": f"R{number}", "service": "Gel Manicure", "startAt": "2030-01-01T10:00:00.000Z",
            "status": "completed"}  # fmt: skip
    sent = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return wire(path, *kit.hook(1, "booking.completed", data, sent))


def wire(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
