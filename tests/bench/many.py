"""50 connections polled side by side against one connection with as many rows."""

from pathlib import Path
from typing import Any

from tests.bench import kit


def run(*, quick: bool = False, rows: int | None = None, connections: int | None = None) -> list[kit.Row]:
    rows, connections = rows or (2_000 if quick else 20_000), connections or (10 if quick else 50)
    each = rows // connections
    with kit.child("sandbox", companies=[rows, *[each] * connections]) as sandbox:
        there = sandbox.read()
        one, *others = there["refresh"]
        found = kit.pairs(
            1 if quick else 3,
            lambda: kit.once("many_ours", url=there["url"], refresh=others, rows=each * connections),
            lambda: kit.once("many_ours", url=there["url"], refresh=[one], rows=rows),
        )
    return [
        kit.ratio(
            f"{connections} connections against one, {title}",
            [(a[key], b[key]) for a, b in found],
            1.3,
            unit="s CPU",
        )
        for title, key in (("first time", "first"), ("nothing changed", "again"))
    ]


async def ours(folder: str, url: str, refresh: list[str], rows: int) -> None:
    from daemon.app import opened
    from state.tokens import new_key

    names = {f"c{number}": kit.nicejob(url, token) for number, token in enumerate(refresh)}
    told: dict[str, Any] = {}
    async with opened(kit.configured(kit.yaml(names)), Path(folder) / "bench.db", new_key()) as app:
        for key in ("first", "again"):
            with kit.used(told, key):
                for name in names:
                    app.engine.kick(f"pull:{name}")
                await app.engine.idle()
        known = await app.db.read(lambda tx: tx.value("SELECT count(*) FROM record"))
    if known != rows:
        raise AssertionError(f"{known} bookings arrived, not {rows}")
    kit.tell(told)
