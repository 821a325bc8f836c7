"""The webhook inbox: durable before the sender gets its 2xx, read afterwards."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import orjson

from state import losses
from state.database import Database, Row, Tx

_TOGETHER = 128
"""At most so many requests share one transaction."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified webhook, exactly as it came."""

    id: int
    connection: str
    received_at: int
    headers: dict[str, str]
    body: bytes
    failures: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A verified webhook at the door, to be stored for a connection."""

    connection: str
    key: bytes
    """Its digest: what it has in common with the same one once more."""
    at: int
    headers: str
    """A JSON object."""
    body: bytes
    state: str = "new"
    note: str | None = None
    again: bool = False
    """It is a mere hint: the same one once more asks for another look."""


def digest(body: bytes) -> bytes:
    """What makes two deliveries the same."""
    return hashlib.blake2b(body, digest_size=16).digest()


def store(tx: Tx, arrivals: Sequence[Arrival]) -> list[bool]:
    """Store verified deliveries; gives for each whether it has to be read. The same delivery once more is read once."""
    made = tx.insert(
        "inbox (connection, digest, received_at, headers, body, state, due_at, note)",
        [(a.connection, a.key, a.at, a.headers, a.body, a.state, a.at, a.note) for a in arrivals],
        "ON CONFLICT (connection, digest) DO NOTHING",
    )
    if made == len(arrivals):
        return [True] * made
    newest = "SELECT connection, digest FROM inbox ORDER BY id DESC LIMIT :n"
    new = {(row["connection"], row["digest"]) for row in tx.rows(newest, n=made)}
    return [_first_of(new, (a.connection, a.key)) or (a.again and _look_again(tx, a)) for a in arrivals]


def _first_of(new: set[tuple[str, bytes]], key: tuple[str, bytes]) -> bool:
    found = key in new
    new.discard(key)
    return found


def _look_again(tx: Tx, arrival: Arrival) -> bool:
    return bool(
        tx.run(
            # With its content: that of the first one may have been forgotten.
            "UPDATE inbox SET state = 'new', due_at = :now, failures = 0, headers = :h, body = :b"
            " WHERE connection = :c AND digest = :d AND state = 'done'",
            h=arrival.headers,
            b=arrival.body,
            c=arrival.connection,
            d=arrival.key,
            now=arrival.at,
        )
    )


class Intake:
    """Stores what the door takes. Deliveries that come while the writer is busy go to it together."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[tuple[Sequence[Arrival], asyncio.Future[list[bool]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def store(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """As ``store``; on return they are on disk. Raises StateError, for all that went together."""
        done: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrivals, done))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await done

    async def _work(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                await self._store(group)
        finally:
            self._task = None

    async def _store(self, group: Sequence[tuple[Sequence[Arrival], asyncio.Future[list[bool]]]]) -> None:
        everything = [arrival for arrivals, _ in group for arrival in arrivals]
        try:
            results = iter(await self._db.transaction(lambda tx: store(tx, everything), "inbox.store"))
        except Exception as error:  # noqa: BLE001 - handed to all who wait
            for _, done in group:
                if not done.done():  # cancelled meanwhile
                    done.set_exception(error)
            return
        for arrivals, done in group:
            mine = list(islice(results, len(arrivals)))
            if not done.done():
                done.set_result(mine)


def due(tx: Tx, connection: str, now: int, limit: int) -> list[Delivery]:
    """Deliveries that have to be read, oldest first."""
    rows = tx.rows(
        "SELECT id, connection, received_at, headers, body, failures FROM inbox"
        " WHERE connection = :c AND state = 'new' AND due_at <= :now ORDER BY id LIMIT :n",
        c=connection,
        now=now,
        n=limit,
    )
    return [Delivery(**{**row, "headers": orjson.loads(row["headers"])}) for row in rows]


def next_due(tx: Tx, connection: str) -> int | None:
    """When the next delivery becomes due; None when none is new."""
    return tx.value(  # type: ignore[no-any-return]
        "SELECT min(due_at) FROM inbox WHERE connection = :c AND state = 'new'", c=connection
    )


def finish(
    tx: Tx, delivery: int, *, state: str, event: str | None = None, kind: str | None = None, ref: str | None = None,
    note: str | None = None,
) -> None:  # fmt: skip
    """Note what became of a delivery: done, ignored or parked."""
    losses.hear(tx, delivery)
    tx.run(
        "UPDATE inbox SET state = :state, event = coalesce(:e, event), kind = coalesce(:k, kind),"
        " ref = coalesce(:r, ref), note = :n WHERE id = :id",
        state=state,
        e=event,
        k=kind,
        r=ref,
        n=note,
        id=delivery,
    )


def later(tx: Tx, delivery: int, *, due_at: int, note: str) -> None:
    """Read a delivery again at ``due_at``."""
    tx.run(
        "UPDATE inbox SET due_at = :due, failures = failures + 1, note = :n WHERE id = :id",
        due=due_at,
        n=note,
        id=delivery,
    )


def of_ref(tx: Tx, connection: str, ref: str) -> list[Row]:
    """Every delivery about a record, oldest first, without its body."""
    return tx.rows(
        "SELECT id, received_at, event, kind, state, note FROM inbox WHERE connection = :c AND ref = :r ORDER BY id",
        c=connection,
        r=ref,
    )


def parked(tx: Tx) -> list[Row]:
    """Deliveries that could not be read."""
    return tx.rows(
        "SELECT id, connection, received_at, event, ref, note FROM inbox WHERE state = 'parked' ORDER BY id"
    )


def set_parked(tx: Tx, delivery: int, state: str, *, now: int) -> bool:
    """Read a parked delivery again (``new``) or give it up (``ignored``)."""
    return bool(
        tx.run(
            "UPDATE inbox SET state = :s, due_at = :now, failures = 0 WHERE id = :id AND state = 'parked'",
            s=state,
            now=now,
            id=delivery,
        )
    )


def counts(tx: Tx) -> list[Row]:
    """How many deliveries each connection has in each state, and when the last one came."""
    return tx.rows(
        "SELECT connection, state, count(*) AS n, max(received_at) AS last FROM inbox GROUP BY connection, state"
    )
