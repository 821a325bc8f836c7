"""The floors: the least that does the same work, written by hand without any of our code.

They verify, they store on disk before they answer, and they promise nothing else.
"""

import asyncio
import hashlib
import hmac
import queue
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import orjson


def database(path: Path) -> sqlite3.Connection:
    made = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("PRAGMA synchronous=FULL")
    return made


# Pulling.


class Pull:
    """Plain httpx and orjson; one ``executemany`` and one commit a page."""

    def __init__(self, path: Path, url: str, refresh: str, client: dict[str, str]) -> None:
        import httpx

        self.url, self.refresh, self.client = url, refresh, client
        self.db = database(path)
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS record (ref TEXT PRIMARY KEY, raw TEXT NOT NULL) WITHOUT ROWID"
        )
        self.http = httpx.AsyncClient(verify=False, trust_env=False)

    async def walk(self) -> int:
        """Read all bookings; gives how many there were."""
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh, **self.client}
        said = (await self.http.post(f"{self.url}/oauth/token", data=form)).json()
        headers = {"authorization": f"Bearer {said['access_token']}"}
        params: dict[str, str] = {}
        count = 0
        while True:
            answer = await self.http.get(f"{self.url}/v2/bookings", params=params, headers=headers)
            answer.raise_for_status()
            page = orjson.loads(answer.content)
            self._store(page["data"])
            count += len(page["data"])
            if not page["cursor"]:
                return count
            params = {"cursor": page["cursor"]}

    def _store(self, rows: list[dict[str, Any]]) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany(
            "INSERT INTO record (ref, raw) VALUES (?, ?)"
            " ON CONFLICT (ref) DO UPDATE SET raw = excluded.raw WHERE raw <> excluded.raw",
            [(row["id"], orjson.dumps(row).decode()) for row in rows],
        )
        self.db.execute("COMMIT")

    async def close(self) -> None:
        await self.http.aclose()
        self.db.close()


# The hook door.


class Writer:
    """A thread that commits what waits as one group."""

    def __init__(self, path: Path) -> None:
        self.db = database(path)
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS inbox (id INTEGER PRIMARY KEY, body BLOB NOT NULL, at REAL NOT NULL, mark TEXT)"
        )
        self.waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    async def run(self, sql: str, values: tuple[Any, ...]) -> int:
        """Carry out a statement; on return it is on disk. Gives the last row's number."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self.waiting.put((sql, values, loop, done))
        return await done

    def close(self) -> None:
        self.waiting.put(None)
        self.thread.join()
        self.db.close()

    def _work(self) -> None:
        while (first := self.waiting.get()) is not None:
            group = [first]
            while len(group) < 256:
                try:
                    more = self.waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self.waiting.put(None)
                    break
                group.append(more)
            self.db.execute("BEGIN IMMEDIATE")
            numbers = [self.db.execute(sql, values).lastrowid for sql, values, _, _ in group]
            self.db.execute("COMMIT")
            loop = group[0][2]
            loop.call_soon_threadsafe(
                _answer, [(done, number) for (*_, done), number in zip(group, numbers, strict=True)]
            )


def _answer(group: list[tuple[asyncio.Future[int], int]]) -> None:
    for done, number in group:
        if not done.done():
            done.set_result(number)


def door(writer: Writer, secret: str, after: Any = None) -> Any:
    """A bare FastAPI with one route. ``after``: what to do with a stored body, once it was acknowledged."""
    from fastapi import FastAPI, Request, Response

    app = FastAPI()
    tasks: set[asyncio.Task[None]] = set()

    @app.post("/hooks/{connection}")
    async def take(connection: str, request: Request) -> Response:
        body = await request.body()
        stamp, _, given = request.headers.get("x-bookatu-signature", "").partition(",v1=")
        signed = hmac.new(secret.encode(), stamp.removeprefix("t=").encode() + b"." + body, hashlib.sha256)
        if not hmac.compare_digest(signed.hexdigest(), given):
            return Response(status_code=401)
        number = await writer.run("INSERT INTO inbox (body, at) VALUES (?, ?)", (body, time.time()))
        if after is not None:
            task = asyncio.create_task(after(number, body))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return Response(b'{"ok":true}', media_type="application/json")

    return app


class Through:
    """One POST for each webhook, then a mark in its row."""

    def __init__(self, writer: Writer, url: str, token: str, places: dict[str, str]) -> None:
        import httpx

        self.writer, self.url, self.places = writer, url, places
        self.http = httpx.AsyncClient(
            verify=False, trust_env=False, headers={"authorization": f"Bearer {token}"}
        )

    async def __call__(self, number: int, body: bytes) -> None:
        said = orjson.loads(body)
        place = self.places[said["data"]["id"]]
        content = orjson.dumps({"complete": True, "completed_time": said["sentAt"]})
        answer = await self.http.post(
            f"{self.url}/v2/bookings/{place}", content=content, headers={"content-type": "application/json"}
        )
        answer.raise_for_status()
        await self.writer.run("UPDATE inbox SET mark = ? WHERE id = ?", ("sent", number))

    async def close(self) -> None:
        await self.http.aclose()
