"""What a crash of the machine may leave: a log that ends anywhere, bits that are not what was written, a file cut short.

The log is opened as it was left: what is there is what was committed first, whole transactions only. A database that is
damaged itself is refused with one sentence, and nothing is written over it.
"""

import asyncio
import random
import shutil
import struct
from pathlib import Path

import pytest
from cli_stage import booking, call, fill, guest

from state import inbox
from state.database import Database, Tx, connect, reading
from state.errors import StateError

LAST = 6
"""So many transactions stand in the log."""
_HEADER, _FRAME = 32, 24


def arrivals(number):
    """A transaction of its own size: one, two, three webhooks, and every third needs a page of its own."""
    return [
        inbox.Arrival(
            "salon", inbox.digest(b"%d-%d" % (number, n)), number, "{}", b"x" * (50 + 1700 * (number % 3))
        )
        for n in range(1 + number % 3)
    ]


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A database and its log as a crash leaves them after the last commits."""
    folder = tmp_path_factory.mktemp("left")
    path = folder / "bookferry.db"

    async def run():
        store = await Database.open(path)
        await store.transaction(lambda tx: inbox.store(tx, arrivals(0)))
        await store.close()
        store = await Database.open(path)
        for number in range(1, LAST + 1):
            await store.transaction(lambda tx, number=number: inbox.store(tx, arrivals(number)))
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{path}.left{end}")
        await store.close()

    asyncio.run(run())
    return Path(f"{path}.left").read_bytes(), Path(f"{path}.left-wal").read_bytes()


def found(tx):
    """Which transactions are there: each is there as a whole."""
    held = {
        row["received_at"]: row["n"]
        for row in tx.rows("SELECT received_at, count(*) n FROM inbox GROUP BY 1")
    }
    assert all(held[number] == len(arrivals(number)) for number in held), held
    return sorted(held)


def opened(folder, db, log):
    """Open what was left, as a daemon would; gives which transactions there are, after one more was stored."""
    path = folder / "bookferry.db"
    path.write_bytes(db)
    Path(f"{path}-wal").write_bytes(log)
    Path(f"{path}-shm").unlink(missing_ok=True)
    connection = connect(path)
    connection.execute("PRAGMA synchronous=OFF")  # nobody cuts the power here
    try:
        tx = Tx(connection)
        there = found(tx)
        assert tx.value("PRAGMA integrity_check") == "ok"
        inbox.store(tx, arrivals(99))
        assert found(tx) == [*there, 99]
    finally:
        connection.close()
    return there


def ends(log):
    """Where each transaction ends in the log: the frame that says how large the file is then."""
    size = struct.unpack(">I", log[8:12])[0] + _FRAME
    at = range(_HEADER, len(log), size)
    return [start + size for start in at if struct.unpack(">I", log[start + 4 : start + 8])[0]], size


def cut(folder, left, cuts):
    db, log = left
    commits, _ = ends(log)
    assert len(commits) == LAST
    for at in cuts:
        whole = sum(commit <= at for commit in commits)
        assert opened(folder, db, log[:at]) == [*range(whole + 1)], f"cut at {at} of {len(log)}"


def test_a_log_cut_anywhere_holds_whole_transactions_in_their_order(tmp_path, left):
    log = left[1]
    commits, size = ends(log)
    near = {at + off for at in commits for off in (-2, -1, 0, 1, 2) if at + off <= len(log)}
    cut(tmp_path, left, sorted({0, 1, 31, *near, *range(_HEADER, len(log), size), *range(0, len(log), 5003)}))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_a_log_cut_at_every_byte_holds_whole_transactions_in_their_order(tmp_path, left):
    cut(tmp_path, left, range(len(left[1]) + 1))


def flipped(folder, left, places):
    db, log = left
    for place in places:
        changed = bytearray(log)
        changed[place // 8] ^= 1 << place % 8
        there = opened(folder, db, bytes(changed))
        assert there == [*range(len(there))], f"bit {place}"
        assert there[0] == 0


def test_a_log_with_a_wrong_bit_holds_what_was_committed_before_it(tmp_path, left):
    draw = random.Random(7)
    flipped(tmp_path, left, [draw.randrange(len(left[1]) * 8) for _ in range(40)])


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_a_log_with_any_wrong_bit_holds_what_was_committed_before_it(tmp_path, left):
    flipped(tmp_path, left, range(0, len(left[1]) * 8, 37))


# The file itself.


def damaged(folder, content):
    """Put the content in place of the database and give every command to it; gives which of them it refused."""
    path, refused = folder / "bookferry.db", 0
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    path.write_bytes(content)
    for words in (
        ("status",),
        ("plan",),
        ("explain", "salon", "person", "cus_1"),
        ("backup", "kept.db", "--force"),
    ):
        done = call(folder, *words)
        assert "Traceback" not in done.stderr, done.stderr
        sentences = [line for line in done.stderr.splitlines() if line.startswith("bookferry: ")]
        if done.returncode == 1:
            refused += 1
            assert len(sentences) == 1, done.stderr
            assert "bookferry.db" in sentences[0]
            assert "restore the last" in sentences[0] or "point `state:`" in sentences[0], sentences
    assert path.read_bytes() == content, "nothing is written over it"
    return refused


@pytest.fixture
def whole(tmp_path):
    path = fill(tmp_path, *(guest(f"cus_{n}", email=f"g{n}@example.com") for n in range(60)), booking())
    connection = connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


def test_a_database_that_was_cut_is_refused(tmp_path, whole):
    for size in (len(whole) - 4096, len(whole) // 2 + 77, 4096, 100, 16):
        assert damaged(tmp_path, whole[:size]) == 4, size


def test_a_database_with_a_page_of_nothing_or_of_noise_is_never_copied_over_a_backup(tmp_path, whole):
    draw = random.Random(3)
    pages = len(whole) // 4096
    for page in draw.sample(range(pages), 8):
        noise = bytes(4096) if page % 2 else draw.randbytes(4096)
        content = whole[: page * 4096] + noise + whole[(page + 1) * 4096 :]
        assert damaged(tmp_path, content) >= 1, f"page {page}: at least the backup finds it"


async def test_a_daemon_on_a_damaged_database_stores_nothing_and_says_so(tmp_path, whole):
    path = tmp_path / "bookferry.db"
    at = whole.index(b'"email":"g59@example.com"') // 4096 * 4096
    path.write_bytes(whole[:at] + bytes(4096) + whole[at + 4096 :])
    store = await Database.open(path)
    try:
        with pytest.raises(StateError, match="damaged: restore the last backup"):
            await store.transaction(lambda tx: tx.run("UPDATE record SET missing = missing + 1"))
        assert await store.transaction(lambda tx: inbox.store(tx, arrivals(1))), "what is whole goes on"
    finally:
        await store.close()
    with reading(path) as tx:
        assert tx.value("SELECT count(*) FROM inbox") == len(arrivals(1))
