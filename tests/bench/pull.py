"""Pulling 20,000 NiceJob bookings in pages of 20: CPU time against plain httpx, orjson and sqlite3."""

import asyncio
from pathlib import Path
from typing import Any

from tests.bench import kit


def run(*, quick: bool = False, rows: int | None = None, many: int | None = None) -> list[kit.Row]:
    rows = rows or (2_000 if quick else 20_000)
    many = many or rows * 5
    rounds = 1 if quick else 3
    with kit.child("sandbox", companies=[rows]) as sandbox:
        there = sandbox.read()
        place = {"url": there["url"], "refresh": there["refresh"][0], "rows": rows}
        found = kit.pairs(
            rounds, lambda: kit.once("pull_ours", **place), lambda: kit.once("pull_floor", **place)
        )
    with kit.child("sandbox", companies=[many]) as sandbox:
        there = sandbox.read()
        place = {"url": there["url"], "refresh": there["refresh"][0], "rows": many}
        large = kit.once("pull_ours", **place, again=False)
    lines = [
        kit.ratio(f"pull {rows} bookings, {title}", [(a[key], b[key]) for a, b in found], 1.3, unit="s CPU")
        for title, key in (("first time", "first"), ("nothing changed", "again"))
    ]
    peak = min(ours["first_peak"] for ours, _ in found)
    lines.append(
        kit.Row(
            f"peak memory, {many} against {rows}",
            large["first_peak"],
            peak,
            large["first_peak"] / peak,
            1.2,
            unit="MB",
        )
    )
    added = float(sum(ours["journal_added"] for ours, _ in found))
    lines.append(kit.Row("journal rows of a pull with nothing changed", added, None, added, 0))
    return lines


# In processes of their own.


async def ours(
    folder: str, url: str, refresh: str, rows: int, *, again: bool = True, profile: str = ""
) -> None:
    from daemon.app import opened
    from state.tokens import new_key

    config = kit.configured(kit.yaml({"reviews": kit.nicejob(url, refresh)}))
    told: dict[str, Any] = {}
    async with opened(config, Path(folder) / "bench.db", new_key()) as app:

        async def walk() -> tuple[int, int]:
            app.engine.kick("pull:reviews")
            await app.engine.idle()
            return await app.db.read(
                lambda tx: (tx.value("SELECT count(*) FROM record"), tx.value("SELECT count(*) FROM journal"))
            )

        with kit.used(told, "first"):
            known, journal = await walk()
        told["first_peak"] = kit.peak_mb()
        _whole(known, rows)
        if again:
            with kit.used(told, "again"):
                known, later = await walk()
            _whole(known, rows)
            told["journal_added"] = later - journal
    kit.tell(told)


async def floor(folder: str, url: str, refresh: str, rows: int) -> None:
    from tests.bench.floors import Pull

    told: dict[str, Any] = {}
    made = Pull(Path(folder) / "floor.db", url, refresh, kit.CLIENT)
    for name in ("first", "again"):
        with kit.used(told, name):
            count = await made.walk()
        _whole(count, rows)
    await made.close()
    kit.tell(told)


def _whole(count: int, rows: int) -> None:
    if count != rows:
        raise AssertionError(f"{count} bookings arrived, not {rows}")


async def sandbox(companies: list[int], folder: str = "") -> None:
    """A NiceJob sandbox with companies of so many bookings, and neither people nor reviews."""
    from datetime import timedelta

    from connectors.nicejob.sandbox import NiceJobSandbox
    from connectors.nicejob.sandbox_store import blank
    from connectors.sandbox import iso, serve

    box = NiceJobSandbox()
    now = box.now()
    refresh = []
    for number, count in enumerate(companies):
        company = box.add_company(f"Company {number}")
        refresh.append(company.refresh_token)
        bookings = box.company(company.company_id).tables["bookings"]
        for index in range(count):
            row = {**blank("bookings"), "id": box.new_id(20), "name": f"Visit {index}", "amount": 75}
            row |= {"created_at": iso(now), "updated_at": iso(now), "person_ids": [box.new_id(20)]}
            row["scheduled_time"] = iso(now + timedelta(minutes=30 * (index + 1)))
            row["tags"] = ["bench"]
            bookings.put(row)
    async with serve(box) as url:
        kit.tell({"url": url, "refresh": refresh})
        await asyncio.wait_for(kit.until_closed(), None)
