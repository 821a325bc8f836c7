"""Every command that meets bad surroundings says one sentence with what to do, ends as documented and loses nothing."""

import base64
import json
import shutil
import socket
import sqlite3

import pytest
from cli_stage import ENV, NOW, booking, call, fill, guest, hook

from mapping.model import Kind
from state import database, ledger, tokens
from state.database import lock, writing

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()
WITH_KEY = {**ENV, "BOOKFERRY_KEY": KEY}

TWO = ("salon", "person", "cus_1", "reviews", "p1")
LOOKS = [
    ("plan",),
    ("status",),
    ("parked",),
    ("explain", "salon", "person", "cus_1"),
    ("check", "--online"),
    ("backup", "kept.db"),
]
ACTS = [
    ("arm", "visits"),
    ("disarm", "visits"),
    ("retry", "w1"),
    ("dismiss", "w1"),
    ("link", *TWO),
    ("unlink", *TWO),
    ("forget-tokens", "--yes"),
]
OWNERS = [("sync",), ("run",), ("hooks", "reviews", "list")]
"""Those that need the database for themselves."""
BARE = [("check",), ("init",)]
"""Those that need no database where there is a key."""


def words(command):
    return " ".join(command)


def every(*lists):
    return pytest.mark.parametrize("command", [command for many in lists for command in many], ids=words)


@pytest.fixture
def path(tmp_path):
    made = fill(tmp_path, guest(), booking())
    with writing(made) as tx:
        hook(tx, "parked")
        ledger.observe(tx, "reviews", Kind.PEOPLE, [guest("p1")], now=NOW)
        tokens.put(tx, tokens.Box(KEY), "reviews:access:x", json.dumps({"access": "planted_secret"}).encode())
    return made


def held(path):
    """All that is in a database."""
    with sqlite3.connect(path) as connection:
        # What every opening notes: who has the store, and what origin marks are made under.
        noted = ('INSERT INTO "mark_key"', "INSERT INTO \"unit\" VALUES('store'")
        rows = [row for row in connection.iterdump() if not row.startswith(noted)]
    connection.close()
    return rows


def ask(path, command, env=WITH_KEY):
    done = call(path.parent, *command, env=env)
    assert "Traceback" not in done.stderr
    assert "planted_secret" not in done.stdout + done.stderr
    return done


def one_sentence(done, *parts, code=1):
    sentences = [line for line in done.stderr.splitlines() if line.startswith("bookferry: ")]
    assert (done.returncode, len(sentences)) == (code, 1), done.stdout + done.stderr
    assert done.stderr.endswith(sentences[0] + "\n")
    assert [part for part in parts if part not in sentences[0]] == [], sentences[0]


class Hindered(sqlite3.Connection):
    """A connection that does not wait for others and, where it is told so, finds the disk read-only."""

    read_only = False

    def execute(self, sql, *given):
        if "busy_timeout" in sql:
            sql = "PRAGMA busy_timeout=1"
            if self.read_only:
                super().execute("PRAGMA query_only=1")
        return super().execute(sql, *given)


class Frozen(Hindered):
    read_only = True


@pytest.fixture
def hinder(monkeypatch):
    """Let the store's connections be of another kind: root may write whatever the mode of a file says."""
    real = sqlite3.connect

    def use(factory):
        monkeypatch.setattr(
            database.sqlite3, "connect", lambda *given, **named: real(*given, **named, factory=factory)
        )

    yield use
    monkeypatch.undo()


@every(LOOKS, ACTS, OWNERS)
def test_a_file_that_is_no_database(path, command):
    path.write_bytes(b"just some notes\n" * 100)
    one_sentence(ask(path, command), "bookferry.db", "not a bookferry database", "state:")
    assert path.read_bytes() == b"just some notes\n" * 100


@every(LOOKS, ACTS, OWNERS)
def test_a_database_of_another_program(path, command):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE token (theirs TEXT)")
        connection.execute("INSERT INTO token VALUES ('precious')")
    connection.close()
    before = held(path)
    one_sentence(ask(path, command), "bookferry.db", "another program", "state:")
    assert held(path) == before


@every(LOOKS, ACTS)
def test_a_file_with_nothing_in_it(path, command):
    path.write_bytes(b"")
    one_sentence(ask(path, command), "bookferry.db", "nothing in it yet", "bookferry sync")
    assert path.read_bytes() == b""


@every(LOOKS, ACTS, OWNERS, BARE)
def test_a_folder_in_place_of_the_database(path, command):
    path.unlink()
    path.mkdir()
    done = ask(path, command)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "bookferry.db is a folder" in done.stderr
    assert "name a file" in done.stderr


@every(ACTS, OWNERS)
def test_a_folder_that_is_not_there(path, command):
    file = path.parent / "bookferry.yaml"
    file.write_text("state: away/bookferry.db\n" + file.read_text())
    one_sentence(ask(path, command), "away/bookferry.db")
    assert not (path.parent / "away").exists()


@every(LOOKS, ACTS, OWNERS)
def test_a_database_of_a_newer_version(path, command):
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('bookferry', 'future', 'x')"
        )
    connection.close()
    before = held(path)
    one_sentence(ask(path, command), "newer version", "future", "Upgrade")
    assert held(path) == before


@every(ACTS, OWNERS)
def test_a_database_that_may_not_be_written(path, command, hinder):
    before = held(path)
    hinder(Frozen)
    one_sentence(ask(path, command), "bookferry.db", "readonly", "writable")
    assert held(path) == before


@every(ACTS, OWNERS)
def test_a_database_that_another_program_is_writing(path, command, hinder):
    before = held(path)
    hinder(Hindered)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    try:
        one_sentence(ask(path, command), "bookferry.db", "locked", "try again")
    finally:
        other.rollback()
        other.close()
    assert held(path) == before


@every(OWNERS)
def test_a_second_daemon(path, command):
    with lock(path):
        one_sentence(ask(path, command), "another bookferry holds this database", "Stop it")


@every(LOOKS, ACTS)
def test_beside_a_daemon_people_look_and_decide(path, command):
    alone = path.parent / "alone"
    alone.mkdir()
    for name in ("bookferry.db", "bookferry.yaml"):
        shutil.copy(path.parent / name, alone / name)
    expected = ask(alone / "bookferry.db", command)
    with lock(path):
        assert ask(path, command).returncode == expected.returncode


@every(OWNERS, [("check", "--online")])
@pytest.mark.parametrize(
    ("key", "said"), [(OTHER, "forget-tokens"), ("c2hvcnQ=", "32 bytes"), ("", "no sealing key")]
)
def test_a_wrong_sealing_key(path, command, key, said):
    before = held(path)
    one_sentence(ask(path, command, env={**ENV, "BOOKFERRY_KEY": key}), "sealing key", said)
    assert held(path) == before


@every(OWNERS, [("check", "--online")])
def test_a_key_file_that_is_gone(path, command):
    done = ask(path, command, env={**ENV, "BOOKFERRY_KEY_FILE": str(path.parent / "gone")})
    one_sentence(done, "BOOKFERRY_KEY_FILE", "gone", "Bring it back")


@every(LOOKS, ACTS, OWNERS, BARE)
def test_a_missing_secret(path, command):
    before = held(path)
    env = {name: value for name, value in WITH_KEY.items() if name != "NICEJOB_CLIENT_SECRET"}
    done = ask(path, command, env=env)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("bookferry.yaml:6:")
    assert "NICEJOB_CLIENT_SECRET" in line
    assert held(path) == before


@every(LOOKS, ACTS, OWNERS, [("check",)])
def test_no_configuration(path, command):
    (path.parent / "bookferry.yaml").unlink()
    done = ask(path, command)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "bookferry init" in done.stderr


@every(LOOKS, ACTS, OWNERS, BARE)
def test_a_folder_in_place_of_the_configuration(path, command):
    file = path.parent / "bookferry.yaml"
    file.unlink()
    file.mkdir()
    done = ask(path, command)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "cannot be read" in done.stderr


@pytest.mark.parametrize("door", ["hooks", "admin"])
def test_a_port_in_use(path, door):
    before = held(path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        doors = {"hooks": "127.0.0.1:0", "admin": "127.0.0.1:0", door: address}
        file = path.parent / "bookferry.yaml"
        file.write_text(f"server: {json.dumps(doors)}\n" + file.read_text())
        one_sentence(ask(path, ("run",)), f"server.{door}", address, "in use")
    opened = """INSERT INTO "unit" VALUES('store',"""
    assert [line for line in held(path) if not line.startswith(opened)] == before, "that it was opened is all"


@pytest.mark.parametrize("port", ["taken", "65535", "-1", "70000"])
def test_a_port_that_a_sandbox_cannot_have(tmp_path, port):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = str(taken.getsockname()[1]) if port == "taken" else port
        done = call(tmp_path, "sandbox", "bookatu", "nicejob", "--port", wanted)
    assert done.returncode == (1 if port in {"taken", "65535"} else 2)
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_level_of_the_log_that_there_is_not(path):
    done = ask(path, ("sync", "--log", "loud"))
    assert done.returncode == 2
    assert "warning" in done.stderr
