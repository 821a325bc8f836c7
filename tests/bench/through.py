"""The way through: from a webhook sent to NiceJob's one write arriving. The bookings are known, their people linked.

The driver is this process: it runs both sandboxes, so that one clock sees the webhook leave and the write arrive.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.bench import kit
from tests.bench.hooks import answered, listens, wire

ROUTE = """
  - {name: reviews, from: salon.bookings, to: reviews.bookings, notify: allow, since: 2020-01-01, guard: off, canary: 0}
"""
CAP = 200


def run(*, quick: bool = False, alone: int | None = None, paced: int | None = None) -> list[kit.Row]:
    alone, paced = alone or (10 if quick else 50), paced or (20 if quick else 140)
    if alone + paced > CAP:
        raise ValueError("Bookatu lists no more than 200 appointments")
    found = kit.pairs(
        1 if quick else 3,
        lambda: _driven("through_ours", alone, paced),
        lambda: _driven("through_floor", alone, paced),
    )
    lines = [
        kit.ratio(f"webhook to write, {title}: p50", [(a[key], b[key]) for a, b in found], 2.0, unit="ms")
        for title, key in (("one at a time", "alone"), ("50 a second", "paced"))
    ]
    writes = found[0][0]["requests"]
    return [*lines, kit.Row("requests to NiceJob for each", writes, found[0][1]["requests"], writes, 1)]


def _driven(server: str, alone: int, paced: int) -> dict[str, Any]:
    return asyncio.run(_drive(server, alone, paced))


async def _drive(server: str, alone: int, paced: int) -> dict[str, Any]:
    from connectors.bookatu.sandbox import BookatuSandbox
    from connectors.nicejob.sandbox import NiceJobSandbox
    from connectors.sandbox import Reply, Request, iso, serve

    arrived: dict[str, float] = {}

    class Watched(NiceJobSandbox):
        def _update(self, table: str, request: Request) -> Reply:
            arrived.setdefault(request.params["id"], time.perf_counter())
            return super()._update(table, request)

    salon, reviews = BookatuSandbox(), Watched()
    company = reviews.add_company("Parnell Nails")
    salon.seed(people=40, bookings=alone + paced)
    async with serve(salon) as salon_url, serve(reviews) as reviews_url:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, kit.child(
            server, folder=folder, salon=salon_url, api_key=salon.api_keys["parnell-nails"], reviews=reviews_url,
            refresh=company.refresh_token, rows=[row.id for row in salon.business().appointments.values()],
        ) as door:  # fmt: skip
            ready = await asyncio.to_thread(door.read)
            reviews.clear_requests()
            work = []
            for row in salon.business().appointments.values():
                data = {
                    "id": row.id,
                    "ref": row.ref,
                    "service": row.service_name,
                    "startAt": iso(row.start),
                    "status": "completed",
                }
                work.append((ready["places"][row.id], data))
            parts = urlsplit(ready["address"])
            sent: dict[str, float] = {}

            async def send(place: str, data: dict[str, Any], link: Any) -> None:
                request = wire(parts.path, *kit.hook(1, "booking.completed", data, iso(salon.now())))
                sent[place] = time.perf_counter()
                link[1].write(request)
                await answered(link[0])

            async def wait(places: list[str]) -> list[float]:
                async with asyncio.timeout(60):
                    while not all(place in arrived for place in places):
                        await asyncio.sleep(0.002)
                return [(arrived[place] - sent[place]) * 1000 for place in places]

            link = await asyncio.open_connection(parts.hostname, parts.port)
            delays = []
            for place, data in work[:alone]:
                await send(place, data, link)
                delays += await wait([place])
                await asyncio.sleep(0.03)
            links = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(8)]
            begun, tasks = time.perf_counter(), []

            async def share(number: int) -> None:
                for index in range(number, paced, len(links)):
                    await asyncio.sleep(max(0.0, begun + index / 50 - time.perf_counter()))
                    await send(*work[alone + index], links[number])

            tasks = [share(number) for number in range(len(links))]
            await asyncio.gather(*tasks)
            late = await wait([place for place, _ in work[alone:]])
            for _, writer in [link, *links]:
                writer.close()
            asked = len([call for call in reviews.calls() if call.path.startswith("/v2/")])
            await asyncio.to_thread(door.end)
    return {
        "alone": kit.percentile(delays, 0.5),
        "paced": kit.percentile(late, 0.5),
        "requests": asked / (alone + paced),
    }


# In processes of their own.


async def ours(folder: str, salon: str, api_key: str, reviews: str, refresh: str, rows: list[str]) -> None:
    from daemon.app import opened
    from daemon.doors import hook_app, listening
    from daemon.passes import sync
    from mapping.config import Door
    from state.tokens import new_key

    connections = {"salon": kit.bookatu(salon, api_key), "reviews": kit.nicejob(reviews, refresh)}
    config = kit.configured(kit.yaml(connections, ROUTE))
    async with opened(config, Path(folder) / "bench.db", new_key(), settle_ms=0) as app:
        await sync(app)
        places = await app.db.read(_places)
        if set(places) != set(rows):
            raise AssertionError(f"{len(places)} of {len(rows)} bookings were carried over")
        async with listening(hook_app(app), Door("127.0.0.1", 0), label="bench") as door:
            kit.tell({"address": f"http://{door}/hooks/salon", "places": places})
            await kit.until_closed()


def _places(tx: Any) -> dict[str, str]:
    """The id at NiceJob of each of Bookatu's bookings."""
    pairs = tx.rows(
        "SELECT a.ref AS ours, b.ref AS there FROM record a JOIN stream s ON s.id = a.stream AND s.connection = 'salon'"
        " AND s.kind = 'bookings' JOIN record b ON coalesce(b.joined, b.id) = coalesce(a.joined, a.id)"
        " JOIN stream t ON t.id = b.stream AND t.connection = 'reviews'"
    )
    return {row["ours"]: row["there"] for row in pairs}


async def floor(folder: str, salon: str, api_key: str, reviews: str, refresh: str, rows: list[str]) -> None:
    import httpx

    from tests.bench.floors import Through, Writer, door

    async with httpx.AsyncClient(verify=False, trust_env=False) as http:
        form = {"grant_type": "refresh_token", "refresh_token": refresh, **kit.CLIENT}
        token = (await http.post(f"{reviews}/oauth/token", data=form)).json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        places = {}
        for row in rows:
            made = await http.post(
                f"{reviews}/v2/bookings", json={"name": row, "complete": False}, headers=headers
            )
            places[row] = made.json()["data"]["id"]
    writer = Writer(Path(folder) / "floor.db")
    sender = Through(writer, reviews, token, places)
    async with listens(door(writer, kit.SECRET, sender)) as address:
        kit.tell({"address": f"{address}/hooks/salon", "places": places})
        await kit.until_closed()
    await sender.close()
    writer.close()
