"""Backups: a verified copy of the store, made beside a running daemon, and its way back.

A copy wakes up in a world that went on without it. It is told so: every list has to be read to its end before anything
is pushed, and whatever was wanted when it was made, or changed until those lists are read, may have been written
already, so the target is looked at first.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from state.database import Tx, escaped, lock, reading, remedy
from state.errors import StoreUnavailable
from state.migrations import check

_BESIDE = ("-wal", "-shm")
EVERYTHING = 2**63 - 1
"""Of a route that has not woken up yet: all that it decides on may have been carried before."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a backup holds."""

    bytes: int
    records: int
    deliveries: int
    webhooks: int
    """Stored and not read yet."""
    sealed: int
    """Values that nothing but the sealing key opens."""


def own_files(path: Path) -> set[Path]:
    """The files that belong to a store."""
    return {path.with_name(path.name + end) for end in ("", *_BESIDE, ".lock")}


def backup(path: Path, file: Path, *, now: int) -> Copy:
    """Copy a store to ``file``, which is replaced at once or not at all. Raises StateError with a sentence."""
    with _beside(path, file) as part:
        with reading(path) as tx:
            check(tx, path)
            with _told(path, file):
                _copied(tx, part, now)
                held = _verified(path, part, _counts(tx))
        part.replace(file)
    return held


def restore(path: Path, file: Path) -> Copy:
    """Put a backup in the place of a store; what was there stays beside it as ``….before-restore``. Raises StateError."""
    if not file.is_file():
        raise StoreUnavailable(f"{file}: there is no such backup. Nothing was changed.")
    with closing(lock(path)), _beside(file, path) as part:
        with reading(file) as tx:
            check(tx, file)
            with _told(file, path):
                _copied(tx, part, None)
                held = _verified(file, part, _counts(tx))
        # A log that belongs to the lost file would be written into the restored one.
        for end in ("", *_BESIDE):
            left = path.with_name(path.name + end)
            if left.exists():
                left.replace(path.with_name(f"{path.name}.before-restore{end}"))
        part.replace(path)
    return held


@contextmanager
def _beside(source: Path, file: Path) -> Iterator[Path]:
    """A new file beside ``file``, for its owner alone; what is left of it at the end is removed."""
    try:
        number, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=file.parent)
        os.close(number)
    except OSError as error:
        raise _not_copied(source, file, error.strerror or str(error)) from error
    try:
        yield Path(name)
        _on_disk(file.parent)
    except OSError as error:
        raise _not_copied(source, file, error.strerror or str(error)) from error
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _told(source: Path, file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _not_copied(source, file, str(error), remedy(error)) from error


def _not_copied(source: Path, file: Path, why: str, what_to_do: str = "") -> StoreUnavailable:
    sentence = f"{source} was not copied to {file}: {why}."
    return StoreUnavailable(
        f"{sentence} {what_to_do or 'Check that the folder exists, is writable and has room.'}"
    )


def _copied(tx: Tx, part: Path, now: int | None) -> None:
    """All that ``tx`` sees, in one file of its own. ``now``: it is put to sleep at that moment."""
    with closing(sqlite3.connect(f"file:{escaped(part)}", uri=True, isolation_level=None)) as made:
        tx.copy_to(made)
        made.execute("PRAGMA journal_mode=DELETE")
        if now is not None:
            made.execute("BEGIN")
            _put_to_sleep(Tx(made), now)
            made.execute("COMMIT")
    _on_disk(part)


def _put_to_sleep(tx: Tx, now: int) -> None:
    tx.run("UPDATE cursor SET finished_at = NULL, position = NULL")
    tx.run("UPDATE route SET slept_to = :all", all=EVERYTHING)
    tx.run(
        "UPDATE intent SET doubt_since = coalesce(doubt_since, :now) WHERE state IN ('open', 'held', 'waiting', 'parked')",
        now=now,
    )


def _verified(source: Path, part: Path, expected: dict[str, int]) -> Copy:
    """See that a copy is whole. Raises StateError."""
    with closing(sqlite3.connect(f"file:{escaped(part)}?mode=ro&immutable=1", uri=True)) as made:
        tx = Tx(made)
        found = tx.value("PRAGMA integrity_check(1)")
        if found != "ok" or tx.row("PRAGMA foreign_key_check") or _counts(tx) != expected:
            raise StoreUnavailable(
                f"{source} is damaged ({' '.join(str(found).split())}): it was not copied. Keep the backups that you have,"
                " and restore the last one."
            )
        check(tx, part)
        return Copy(
            part.stat().st_size,
            expected["record"],
            expected["delivery"],
            int(tx.value("SELECT count(*) FROM inbox WHERE state = 'new'")),
            expected["token"],
        )


def _counts(tx: Tx) -> dict[str, int]:
    """How many rows each table has."""
    tables = tx.rows(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
    )
    return {row["name"]: int(tx.value(f'SELECT count(*) FROM "{row["name"]}"')) for row in tables}


def _on_disk(path: Path) -> None:
    """See that a file, or what a folder says of its files, is on disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
