"""SQLite behind one narrow seam: ``transaction(fn)`` writes, ``read(fn)`` reads. Nobody else writes SQL.

One thread owns the only connection that writes. Transactions that arrive together share one commit, each in a
savepoint of its own, so that a failing one takes back nothing but itself; all are on disk (``synchronous=FULL``)
before any caller goes on. A file lock keeps a second daemon away.

When the disk fails, all that shared the commit are told so, and the connection is given up: after a failed fsync the
system may take for clean what it never wrote. The next commit opens the file anew, as after a crash, so the store goes
on by itself once the disk is good again.
"""

import asyncio
import errno
import fcntl
import json
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
_WAL_KEPT = 16 * 1024 * 1024
"""So much of the write-ahead log stays on disk after what it holds is in the file, in bytes."""
_OF_THE_CALLER = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)
_NOT_OF_THE_CALLER = (sqlite3.Error, json.JSONDecodeError)
"""The disk, the file or what stands in it. All JSON in it is our own: what cannot be read any more is damaged."""


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

    def copy_to(self, other: sqlite3.Connection) -> None:
        """Copy all that this transaction sees into another database."""
        self._connection.backup(other)

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
        self._write_to: sqlite3.Connection | None = None
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
        await asyncio.to_thread(self._reader.shutdown)
        if self._read_from is not None:
            self._read_from.close()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)  # the last to close brings everything into the one file
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
        except _NOT_OF_THE_CALLER as error:
            _give_up(self._read_from)
            self._read_from = None
            raise unavailable(self.path, error) from error

    def _write_for_ever(self) -> None:
        try:
            self._write_to = connect(self.path)
            _migrated(self._write_to, self.path)
        except BaseException as error:  # noqa: BLE001 - handed to the one who opened
            _give_up(self._write_to)
            known = isinstance(error, StateError)
            self._ready.set_exception(
                error if known or not isinstance(error, sqlite3.Error) else unavailable(self.path, error)
            )
            return
        self._ready.set_result(None)
        while (job := self._jobs.get()) is not None:
            self._commit_together(self._batch(job))
        if self._write_to is not None:
            with suppress(sqlite3.Error):
                self._write_to.execute("PRAGMA optimize")
        _give_up(self._write_to)

    def _writer(self) -> sqlite3.Connection:
        """The connection that writes; a new one where the last was given up. Raises StateError, sqlite3.Error."""
        if self._write_to is None:
            from state.migrations import check

            # Not made where it is gone: what is stored in an empty file is lost when the disk comes back.
            self._write_to = connect(self.path, make=False)
            check(Tx(self._write_to), self.path)
        return self._write_to

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

    def _commit_together(self, batch: list[_Job]) -> None:
        try:
            connection = self._writer()
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                _carry_out(connection, job, alone=len(batch) == 1)
            self._commit(connection, batch)
        except Exception as error:  # noqa: BLE001 - the writer lives on, whatever happens
            _give_up(self._write_to)
            self._write_to = None
            for job in batch:
                job.error = unavailable(self.path, error) if isinstance(error, _NOT_OF_THE_CALLER) else error
        _answer(batch)

    def _commit(self, connection: sqlite3.Connection, batch: list[_Job]) -> None:  # noqa: ARG002 - named for subclasses
        connection.commit()


def _give_up(connection: sqlite3.Connection | None) -> None:
    """Close a connection, whatever state it is in. What it did not commit is taken back."""
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.rollback()
        with suppress(sqlite3.Error):
            connection.close()


def _carry_out(connection: sqlite3.Connection, job: _Job, *, alone: bool) -> None:
    """In a savepoint of its own, unless it has the whole transaction to itself."""
    if not alone:
        connection.execute("SAVEPOINT job")
    try:
        job.result = job.fn(Tx(connection))
    except _OF_THE_CALLER as error:
        _take_back(connection, job, error, alone=alone)
    except _NOT_OF_THE_CALLER:
        raise  # the disk, not the caller: nothing of this commit can be trusted
    except Exception as error:  # noqa: BLE001 - handed to the caller; what it did is taken back
        _take_back(connection, job, error, alone=alone)
    if not alone:
        connection.execute("RELEASE job")


def _take_back(connection: sqlite3.Connection, job: _Job, error: Exception, *, alone: bool) -> None:
    job.error = error
    connection.execute("ROLLBACK" if alone else "ROLLBACK TO job")


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


def connect(path: Path, *, read_only: bool = False, make: bool = True) -> sqlite3.Connection:
    """A connection with the pragmas that the promises need. Raises sqlite3.Error."""
    mode = "ro" if read_only else "rwc" if make else "rw"
    if mode == "rwc":
        with suppress(OSError):  # there is one already, or SQLite will say what is wrong
            os.close(private(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    connection = sqlite3.connect(
        f"file:{escaped(path)}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA busy_timeout=5000")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute(f"PRAGMA journal_size_limit={_WAL_KEPT}")
    except BaseException:
        connection.close()
        raise
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
    except _NOT_OF_THE_CALLER as error:
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
    except _NOT_OF_THE_CALLER as error:
        raise unavailable(path, error) from error


def _migrated(connection: sqlite3.Connection, path: Path) -> None:
    from sqlite_utils import Database as Tables  # who only reads need not wait for it

    from state.migrations import migrate

    migrate(Tables(connection), path)


def private(path: str, flags: int) -> int:
    """An opener of files that are their owner's alone; what SQLite makes beside one gets its mode."""
    return os.open(path, flags, 0o600)


def escaped(path: Path) -> str:
    """A path as SQLite wants it in a URI."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def lock(path: Path) -> IO[str]:
    """Hold the store for this process. Raises StoreUnavailable when another one holds it."""
    try:
        held = open(path.with_name(path.name + ".lock"), "a", encoding="utf-8", opener=private)  # noqa: SIM115 - its opener
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        remedy = "Free some space." if full else "Check that the folder exists and is writable."
        raise StoreUnavailable(f"{path}: cannot be opened ({error.strerror}). {remedy}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise StoreUnavailable(
            f"{path}: another bookferry holds this database. Stop it first, or use its own command line."
        ) from error
    return held


_DAMAGED = "The file is damaged: restore the last backup."
_REMEDIES = {
    "disk is full": "Free some space; what was acknowledged is safe, and work goes on where it stopped.",
    "readonly": "Make the file and its folder writable for this user.",
    "unable to open": "Check that the folder exists and is writable.",
    "locked": "Another program holds the file: close it (a database browser, a backup) and try again.",
    "not a database": "This is not a bookferry database: point `state:` at another file.",
    "malformed": _DAMAGED,
    "could not decode": _DAMAGED,
    "disk i/o error": "The disk failed: check its health. What was acknowledged is safe, and work goes on where it stopped.",
}


def remedy(error: Exception) -> str:
    """What to do about an error of SQLite."""
    text = str(error).lower()
    return next((remedy for words, remedy in _REMEDIES.items() if words in text), "Nothing was stored.")


def unavailable(path: Path, error: Exception) -> StoreUnavailable:
    """An error of SQLite, or of what stands in the file, as a sentence that says what to do."""
    if isinstance(error, json.JSONDecodeError):
        return StoreUnavailable(f"{path}: what is stored cannot be read. {_DAMAGED}")
    return StoreUnavailable(f"{path}: {error}. {remedy(error)}")
