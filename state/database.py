"""SQLite behind one narrow seam: ``transaction(fn)`` writes, ``read(fn)`` reads. Nobody else writes SQL.

One thread owns the only connection that writes. Transactions that arrive together share one commit, each in a
savepoint of its own, so that a failing one takes back nothing but itself; all are on disk (``synchronous=FULL``)
before any caller goes on. A file lock keeps a second daemon away.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from state.errors import StateError, StoreUnavailable

T = TypeVar("T")
Row = dict[str, Any]

_SHARED_COMMIT = 256
"""At most so many transactions share one commit."""


class Tx:
    """What a transaction may do. Statements are portable SQL with named parameters."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, /, **named: Any) -> list[Row]:
        """All rows of a query, or of a statement with RETURNING."""
        cursor = self._connection.execute(sql, named)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, sql: str, /, **named: Any) -> Row | None:
        """The first row, or None."""
        rows = self.rows(sql, **named)
        return rows[0] if rows else None

    def value(self, sql: str, /, **named: Any) -> Any:
        """The first column of the first row, or None."""
        found = self._connection.execute(sql, named).fetchone()
        return found[0] if found else None

    def run(self, sql: str, /, **named: Any) -> int:
        """A statement without an answer; gives the number of rows that it changed."""
        return self._connection.execute(sql, named).rowcount

    def insert(self, into: str, rows: Sequence[Sequence[Any]], otherwise: str = "") -> int:
        """Many rows in one statement, which waits for the interpreter's lock once; gives how many it made."""
        row = f"({', '.join('?' * len(rows[0]))})"
        sql = f"INSERT INTO {into} VALUES {', '.join([row] * len(rows))} {otherwise}"
        return self._connection.execute(sql, [*chain.from_iterable(rows)]).rowcount

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """The same statement for many rows."""
        self._connection.executemany(sql, rows)


class _Job:
    __slots__ = ("error", "fn", "future", "label", "loop", "result")

    def __init__(self, fn: Callable[[Tx], Any], label: str) -> None:
        self.fn, self.label = fn, label
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None


class Database:
    """The store of one daemon. Make it with ``await Database.open(path)``, end it with ``await close()``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock: IO[str] | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="state-reader")
        self._read_from: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._write_for_ever, name="state-writer", daemon=True)
        self._ready: Future[None] = Future()
        self._closing = False

    @classmethod
    async def open(cls, path: Path | str) -> Self:
        """Lock, open and migrate. Raises StateError with a sentence for the operator."""
        database = cls(Path(path))
        database._lock = lock(database.path)
        database._thread.start()
        try:
            await asyncio.wrap_future(database._ready)
        except BaseException:
            database._lock.close()
            raise
        return database

    async def close(self) -> None:
        """Finish what was handed in, then let go of the file."""
        self._closing = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.shutdown()
        if self._read_from is not None:
            self._read_from.close()
        if self._lock is not None:
            self._lock.close()

    async def transaction(self, fn: Callable[[Tx], T], label: str = "") -> T:
        """Run ``fn`` in a write transaction; on return its effects are on disk. ``label`` names the commit."""
        if self._closing:
            raise StoreUnavailable(f"{self.path}: this store is being closed. Nothing was stored.")
        job = _Job(fn, label)
        self._jobs.put(job)
        result: T = await job.future
        return result

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run ``fn`` on a connection that cannot write, over what was committed last."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, fn)

    def _read(self, fn: Callable[[Tx], T]) -> T:
        try:
            if self._read_from is None:
                self._read_from = connect(self.path, read_only=True)
            self._read_from.execute("BEGIN")  # one picture for all that fn looks at
            try:
                return fn(Tx(self._read_from))
            finally:
                self._read_from.rollback()
        except sqlite3.Error as error:
            raise unavailable(self.path, error) from error

    def _write_for_ever(self) -> None:
        try:
            connection = connect(self.path)
            _migrated(connection, self.path)
        except BaseException as error:  # noqa: BLE001 - handed to the one who opened
            known = isinstance(error, StateError)
            self._ready.set_exception(
                error if known or not isinstance(error, sqlite3.Error) else unavailable(self.path, error)
            )
            return
        self._ready.set_result(None)
        while (job := self._jobs.get()) is not None:
            self._commit_together(connection, self._batch(job))
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA optimize")
        connection.close()

    def _batch(self, first: _Job) -> list[_Job]:
        batch = [first]
        while len(batch) < _SHARED_COMMIT:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            batch.append(job)
        return batch

    def _commit_together(self, connection: sqlite3.Connection, batch: list[_Job]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                _carry_out(connection, job, alone=len(batch) == 1)
            self._commit(connection, batch)
        except Exception as error:  # noqa: BLE001 - the writer lives on, whatever happens
            with suppress(sqlite3.Error):
                connection.rollback()
            for job in batch:
                job.error = unavailable(self.path, error) if isinstance(error, sqlite3.Error) else error
        _answer(batch)

    def _commit(self, connection: sqlite3.Connection, batch: list[_Job]) -> None:  # noqa: ARG002 - named for subclasses
        connection.commit()


def _carry_out(connection: sqlite3.Connection, job: _Job, *, alone: bool) -> None:
    """In a savepoint of its own, unless it has the whole transaction to itself."""
    if not alone:
        connection.execute("SAVEPOINT job")
    try:
        job.result = job.fn(Tx(connection))
    except sqlite3.OperationalError:
        raise  # the disk, not the caller: nothing of this commit can be trusted
    except Exception as error:  # noqa: BLE001 - handed to the caller; what it did is taken back
        job.error = error
        connection.execute("ROLLBACK" if alone else "ROLLBACK TO job")
    if not alone:
        connection.execute("RELEASE job")


def _answer(batch: list[_Job]) -> None:
    """Tell everybody how it went, with one wake-up for each event loop: mostly there is one."""
    for loop in {job.loop for job in batch}:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_tell, [job for job in batch if job.loop is loop])


def _tell(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue  # cancelled meanwhile
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with the pragmas that the promises need. Raises sqlite3.Error."""
    mode = "ro" if read_only else "rwc"
    if not read_only:
        with suppress(OSError):  # there is one already, or SQLite will say what is wrong
            os.close(
                _private(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            )  # the files beside it get its mode
    connection = sqlite3.connect(
        f"file:{_escaped(path)}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA busy_timeout=5000")
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
    return connection


@contextmanager
def reading(path: Path) -> Iterator[Tx]:
    """One consistent look at a store that a daemon may be using; nothing is changed. Raises StateError."""
    if not path.exists():
        raise StoreUnavailable(
            f"{path}: there is no database yet. `bookferry sync` or `bookferry run` makes it."
        )
    try:
        with closing(connect(path, read_only=True)) as connection:
            connection.execute("BEGIN")
            yield Tx(connection)
    except sqlite3.Error as error:
        raise unavailable(path, error) from error


@contextmanager
def writing(path: Path) -> Iterator[Tx]:
    """One small transaction beside a daemon that may be running. Raises StateError."""
    try:
        with closing(connect(path)) as connection:
            _migrated(connection, path)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Tx(connection)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
    except sqlite3.Error as error:
        raise unavailable(path, error) from error


def _migrated(connection: sqlite3.Connection, path: Path) -> None:
    from sqlite_utils import Database as Tables  # who only reads need not wait for it

    from state.migrations import migrate

    migrate(Tables(connection), path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def lock(path: Path) -> IO[str]:
    """Hold the store for this process. Raises StoreUnavailable when another one holds it."""
    try:
        held = open(path.with_name(path.name + ".lock"), "a", encoding="utf-8", opener=_private)  # noqa: SIM115 - its opener
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: cannot be opened ({error.strerror}). Check that the folder exists and is writable."
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise StoreUnavailable(
            f"{path}: another bookferry holds this database. Stop it first, or use its own command line."
        ) from error
    return held


_REMEDIES = {
    "disk is full": "Free some space; what was acknowledged is safe, and work goes on where it stopped.",
    "readonly": "Make the file and its folder writable for this user.",
    "unable to open": "Check that the folder exists and is writable.",
    "locked": "Another program holds the file: close it (a database browser, a backup) and try again.",
    "not a database": "This is not a bookferry database: point `state:` at another file.",
    "malformed": "The file is damaged: restore the last backup.",
    "disk I/O error": "The disk refused the write: check its health.",
}


def unavailable(path: Path, error: sqlite3.Error) -> StoreUnavailable:
    """An error of SQLite as a sentence that says what to do."""
    text = str(error)
    remedy = next((remedy for words, remedy in _REMEDIES.items() if words in text), "Nothing was stored.")
    return StoreUnavailable(f"{path}: {text}. {remedy}")
