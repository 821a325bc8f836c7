import asyncio
import os
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlite_utils.migrations import Migrations

from state import migrations as schema
from state.database import Database, Tx, connect
from state.errors import StoreTooNew, StoreUnavailable


class Counting(Database):
    """Notes who shared a commit, and can let commits fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.batches: list[list[str]] = []
        self.fail: Exception | None = None

    def _commit(self, connection, batch) -> None:
        if self.fail:
            raise self.fail
        self.batches.append([job.label for job in batch])
        super()._commit(connection, batch)


def add(name: str):
    def insert(tx: Tx) -> str:
        tx.run("INSERT INTO lease (name, holder, until) VALUES (:n, 'me', 1)", n=name)
        return name

    return insert


def leases(tx: Tx) -> list[str]:
    return [row["name"] for row in tx.rows("SELECT name FROM lease ORDER BY name")]


async def together(store: Database, *work) -> list:
    """Hand in all work while the writer is busy, so that it meets in one commit."""
    gate = threading.Event()
    busy = asyncio.create_task(store.transaction(lambda _: gate.wait(10), "gate"))
    tasks = [asyncio.create_task(store.transaction(fn, str(n))) for n, fn in enumerate(work)]
    for _ in range(3):
        await asyncio.sleep(0)  # let the tasks hand in
    gate.set()
    outcomes = await asyncio.gather(busy, *tasks, return_exceptions=True)
    return outcomes[1:]


@pytest.fixture
async def store(tmp_path):
    opened = await Counting.open(tmp_path / "b.db")
    yield opened
    await opened.close()


class TestTransactions:
    async def test_those_that_arrive_together_share_a_commit(self, store):
        assert await together(store, *(add(name) for name in "abc")) == ["a", "b", "c"]
        assert sum(len(batch) for batch in store.batches) == 4
        assert len(store.batches) <= 2
        assert await store.read(leases) == ["a", "b", "c"]

    async def test_a_failing_one_takes_back_only_itself(self, store):
        def fails(tx: Tx) -> None:
            add("lost")(tx)
            raise KeyError("mine")

        first, failed, doubled, last = await together(store, add("a"), fails, add("a"), add("b"))
        assert (first, last) == ("a", "b")
        assert isinstance(failed, KeyError)
        assert isinstance(doubled, sqlite3.IntegrityError)
        assert await store.read(leases) == ["a", "b"]

    async def test_a_failing_one_that_is_alone_takes_back_what_it_did(self, store):
        def fails(tx: Tx) -> None:
            add("lost")(tx)
            raise KeyError("mine")

        with pytest.raises(KeyError):
            await store.transaction(fails)
        assert await store.transaction(add("a")) == "a"
        assert await store.read(leases) == ["a"]

    async def test_a_later_one_sees_what_an_earlier_one_of_the_same_commit_wrote(self, store):
        assert (await together(store, add("a"), leases))[1] == ["a"]

    @pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), RuntimeError("odd")])
    async def test_a_commit_that_fails_fails_for_all_and_the_writer_lives_on(self, store, error):
        store.fail = error
        for outcome in await together(store, add("a"), add("b")):
            assert isinstance(outcome, StoreUnavailable | RuntimeError)
        store.fail = None
        assert await store.transaction(add("c")) == "c"
        assert await store.read(leases) == ["c"]

    async def test_after_a_failed_commit_the_file_is_opened_anew_and_never_made(self, store):
        async def fails() -> None:
            store.fail = sqlite3.OperationalError("disk I/O error")
            with pytest.raises(StoreUnavailable, match="disk I/O error"):
                await store.transaction(add("lost"))
            store.fail = None

        files = [store.path, *(store.path.with_name(store.path.name + end) for end in ("-wal", "-shm"))]
        await store.transaction(add("a"))
        await fails()
        for file in files:
            if file.exists():
                file.rename(file.with_name(f"away-{file.name}"))
        with pytest.raises(StoreUnavailable, match="unable to open"):
            await store.transaction(add("b"))
        assert not store.path.exists()
        for file in files:
            if (away := file.with_name(f"away-{file.name}")).exists():
                away.rename(file)
        assert await store.transaction(add("c")) == "c"
        await fails()
        kept = store.path.read_bytes()
        store.path.write_bytes(b"")
        with pytest.raises(StoreUnavailable, match="nothing in it yet"):
            await store.transaction(add("d"))
        store.path.write_bytes(kept)
        assert await store.read(leases) == ["a", "c"]

    async def test_the_caller_who_left_stops_nobody(self, store):
        gate = threading.Event()
        left = asyncio.create_task(store.transaction(lambda _: gate.wait(10)))
        stays = asyncio.create_task(store.transaction(add("a")))
        await asyncio.sleep(0)
        left.cancel()
        gate.set()
        assert await stays == "a"

    async def test_close_finishes_what_was_handed_in_and_takes_no_more(self, tmp_path):
        store = await Counting.open(tmp_path / "c.db")
        tasks = [asyncio.create_task(store.transaction(add(f"{n:03}"))) for n in range(600)]
        await asyncio.sleep(0)
        await store.close()
        assert len(await asyncio.gather(*tasks)) == 600
        assert all(len(batch) <= 256 for batch in store.batches)
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.transaction(add("late"))
        again = await Database.open(tmp_path / "c.db")
        assert len(await again.read(leases)) == 600
        await again.close()


class TestReading:
    async def test_it_cannot_write(self, store):
        with pytest.raises(StoreUnavailable, match="readonly"):
            await store.read(add("a"))

    async def test_it_sees_one_picture(self, store):
        looked, written = threading.Event(), threading.Event()

        def twice(tx: Tx) -> tuple[list[str], list[str]]:
            before = leases(tx)
            looked.set()
            written.wait(10)
            return before, leases(tx)

        looking = asyncio.create_task(store.read(twice))
        await asyncio.to_thread(looked.wait, 10)
        await store.transaction(add("a"))
        written.set()
        assert await looking == ([], [])
        assert await store.read(leases) == ["a"]


class TestOpening:
    async def test_what_keeps_it_durable(self, store):
        def pragmas(tx: Tx) -> dict:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return {name: tx.value(f"PRAGMA {name}") for name in names}

        assert await store.transaction(pragmas) == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "busy_timeout": 5000,
        }

    async def test_every_table_is_strict(self, store):
        tables = await store.read(lambda tx: tx.rows("PRAGMA main.table_list"))
        ours = {t["name"]: t["strict"] for t in tables if not t["name"].startswith(("sqlite_", "_sqlite_"))}
        assert len(ours) > 15
        assert set(ours.values()) == {1}
        assert await store.read(lambda tx: tx.value("PRAGMA integrity_check")) == "ok"

    async def test_a_second_one_is_refused(self, store):
        with pytest.raises(StoreUnavailable, match="another bookferry holds this database"):
            await Database.open(store.path)

    async def test_after_a_refusal_the_lock_is_free(self, tmp_path):
        path = tmp_path / "b.db"
        path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
        with pytest.raises(StoreUnavailable, match="point `state:` at another file"):
            await Database.open(path)
        assert path.read_bytes().startswith(b"no database")
        path.unlink()
        await (await Database.open(path)).close()

    async def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(StoreUnavailable, match="Check that the folder exists"):
            await Database.open(tmp_path / "no" / "b.db")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
    async def test_a_read_only_file(self, tmp_path):
        path = tmp_path / "b.db"
        await (await Database.open(path)).close()
        path.chmod(0o400)
        with pytest.raises(StoreUnavailable, match="writable"):
            await Database.open(path)

    async def test_a_store_that_became_read_only(self, store):
        await store.transaction(lambda tx: tx.value("PRAGMA query_only=ON"))
        with pytest.raises(StoreUnavailable, match="writable"):
            await store.transaction(add("a"))
        assert await store.read(leases) == []

    async def test_an_odd_name(self, tmp_path):
        store = await Database.open(tmp_path / "a?b#c%20.db")
        await store.close()
        assert (tmp_path / "a?b#c%20.db").exists()

    async def test_a_full_disk_loses_nothing_that_was_acknowledged(self, store):
        await store.transaction(add("a"))
        pages = await store.transaction(lambda tx: tx.value("PRAGMA page_count"))
        await store.transaction(lambda tx: tx.value(f"PRAGMA max_page_count={pages}"))
        with pytest.raises(StoreUnavailable, match="Free some space"):
            await store.transaction(add("x" * 100_000))
        assert await store.read(leases) == ["a"]
        await store.transaction(lambda tx: tx.value("PRAGMA max_page_count=100000"))
        assert await store.transaction(add("b")) == "b"


class TestMigrations:
    async def test_one_of_a_newer_version_is_refused(self, tmp_path):
        path = tmp_path / "b.db"
        await (await Database.open(path)).close()
        raw = sqlite3.connect(path)
        raw.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('bookferry', 'future', 'x')"
        )
        raw.commit()
        raw.close()
        with pytest.raises(StoreTooNew, match=r"newer version .*future.*Upgrade"):
            await Database.open(path)

    def one_more(self, monkeypatch, sql: str) -> None:
        more = Migrations("bookferry")
        more(name="first")(schema.first)

        @more()
        def second(db) -> None:
            for statement in sql.split(";"):
                db.execute(statement)

        monkeypatch.setattr(schema, "migrations", more)

    async def test_before_one_a_backup_is_made(self, tmp_path, monkeypatch):
        path, backup = tmp_path / "b.db", tmp_path / "b.db.before-second"
        store = await Database.open(path)
        await store.transaction(add("a"))
        await store.close()
        assert not backup.exists()
        self.one_more(monkeypatch, "CREATE TABLE extra (x TEXT) STRICT")
        for _ in range(2):
            store = await Database.open(path)
            assert await store.read(lambda tx: tx.value("SELECT count(*) FROM extra")) == 0
            await store.close()
        old = connect(backup, read_only=True)
        assert leases(Tx(old)) == ["a"]
        assert Tx(old).value("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'") == 0
        old.close()

    async def test_one_that_fails_changes_nothing(self, tmp_path, monkeypatch):
        path = tmp_path / "b.db"
        await (await Database.open(path)).close()
        with monkeypatch.context() as patched:
            self.one_more(patched, "CREATE TABLE extra (x TEXT) STRICT;CREATE TABLE lease (x TEXT)")
            with pytest.raises(StoreUnavailable):
                await Database.open(path)
        store = await Database.open(path)
        assert await store.read(lambda tx: tx.row("SELECT 1 FROM sqlite_schema WHERE name = 'extra'")) is None
        await store.close()
