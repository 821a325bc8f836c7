"""``backup`` and ``restore`` as commands: verified, for the owner alone, all or nothing, one sentence otherwise."""

import json
import sqlite3
import stat

import pytest
from cli_stage import ENV, call, fill, guest, hook
from commanded import command
from harbour import harbour

from state import tokens
from state.database import lock, reading, writing
from state.tokens import new_key

KEY = new_key()


@pytest.fixture
def path(tmp_path):
    made = fill(tmp_path, guest())
    with writing(made) as tx:
        hook(tx, "new")
        tokens.put(tx, tokens.Box(KEY), "reviews:access:x", b"planted_secret")
    return made


def ask(path, *words, code=0):
    done = call(path.parent, *words, env={**ENV, "BOOKFERRY_KEY": KEY})
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        (line,) = done.stderr.splitlines()
        assert line.startswith("bookferry: ")
    return done


def files(path):
    """What a look at a database leaves beside it apart."""
    return sorted(each.name for each in path.parent.iterdir() if not each.name.endswith(("-wal", "-shm")))


def rows(path):
    with sqlite3.connect(path) as connection:
        held = list(connection.iterdump())
    connection.close()
    return held


def test_it_says_how_much_it_holds_and_that_the_key_is_not_in_it(path):
    before = files(path)
    done = ask(path, "backup", "kept.db")
    assert "Records: 1," in done.stdout
    assert "webhooks to be read: 1" in done.stdout
    assert "The sealing key is not in it" in done.stdout
    assert "BOOKFERRY_KEY" in done.stdout
    assert files(path) == sorted([*before, "kept.db"]), "nothing else is left behind"
    kept = path.with_name("kept.db")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    told = json.loads(ask(path, "backup", "kept.db", "--force", "--json").stdout)
    assert told["sealing_key"] == {"included": False, "place": "the environment variable BOOKFERRY_KEY"}
    assert (told["records"], told["sealed"], told["verified"]) == (1, 1, True)
    assert told["bytes"] == kept.stat().st_size


def test_what_is_there_stays_unless_it_is_to_be_replaced(path):
    kept = path.with_name("kept.db")
    kept.write_text("precious")
    assert "exists already" in ask(path, "backup", "kept.db", code=1).stderr
    assert kept.read_text() == "precious"
    ask(path, "backup", "kept.db", "--force")
    assert kept.read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("name", ["bookferry.db", "bookferry.db-wal", "bookferry.db.key", "bookferry.yaml"])
def test_what_bookferry_uses_itself_is_never_replaced(path, name):
    before = rows(path)
    assert "in use by bookferry itself" in ask(path, "backup", name, "--force", code=1).stderr
    assert "in use by bookferry itself" in ask(path, "restore", name, code=1).stderr
    assert rows(path) == before


@pytest.mark.parametrize(("name", "said"), [(".", "is a folder"), ("away/kept.db", "was not copied to")])
def test_a_place_where_no_file_can_be(path, name, said):
    assert said in ask(path, "backup", name, code=1).stderr


def test_a_damaged_database_is_not_copied_over_a_good_backup(path):
    ask(path, "backup", "kept.db")
    kept = path.with_name("kept.db").read_bytes()
    damaged = bytearray(path.read_bytes())
    at = damaged.index(b"mere@planted.example")
    page = at // 4096 * 4096
    damaged[page : page + 4096] = bytes(4096)
    path.write_bytes(damaged)
    done = ask(path, "backup", "kept.db", "--force", code=1)
    assert "damaged" in done.stderr
    assert path.with_name("kept.db").read_bytes() == kept
    assert not [name for name in files(path) if name.endswith(".part")]


def test_a_restore_keeps_what_was_there_and_brings_back_what_was_kept(path):
    ask(path, "backup", "kept.db")
    before = rows(path.with_name("kept.db"))
    with writing(path) as tx:
        tx.run("DELETE FROM inbox")
    path.with_name("bookferry.db-wal").write_bytes(b"left over")
    done = ask(path, "restore", "kept.db")
    assert "Next: bookferry sync" in " ".join(done.stdout.split())
    assert rows(path) == before
    assert path.with_name("bookferry.db.before-restore-wal").read_bytes() == b"left over"
    assert path.with_name("bookferry.db.before-restore").exists()
    with reading(path) as tx:
        assert tokens.get(tx, tokens.Box(KEY), "reviews:access:x")[0] == b"planted_secret"
    assert "never" in ask(path, "status").stdout


def test_nothing_is_restored_under_a_running_service_nor_from_what_is_no_backup(path):
    ask(path, "backup", "kept.db")
    before = rows(path)
    with lock(path):
        assert "another bookferry holds" in ask(path, "restore", "kept.db", code=1).stderr
    path.with_name("notes").write_text("just some notes\n" * 100)
    assert "not a bookferry database" in ask(path, "restore", "notes", code=1).stderr
    assert "no such backup" in ask(path, "restore", "gone", code=1).stderr
    cut = path.with_name("kept.db").read_bytes()[:-5000]
    path.with_name("cut").write_bytes(cut)
    assert "malformed" in ask(path, "restore", "cut", code=1).stderr
    assert rows(path) == before


async def test_beside_a_running_service(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    async with harbour(home) as port:
        (home / "bookferry.yaml").write_text(port.yaml)
        port.salon.seed(people=20, bookings=20)
        async with port.app() as app:
            await port.pass_(app)
            held = await app.db.read(lambda tx: tx.value("SELECT count(*) FROM record"))
            code, out, err = await command(port, "backup", "kept.db", "--json")
            assert (code, json.loads(out)["records"]) == (0, held), err
            await port.pass_(app)
    assert sorted(each.name for each in home.iterdir()) == [
        "bookferry.db",
        "bookferry.db.lock",
        "bookferry.yaml",
        "kept.db",
    ]
