"""What is secret is refused when others can read it, with the command that mends it. Modes are looked at, not tried."""

import asyncio
import os
import shlex
import stat
import subprocess

import pytest

from daemon import modes
from daemon.settings import key_file
from state.database import Database, writing
from state.tokens import new_key
from tests.cli.cli_stage import CONFIG, ENV, call, fill

KEY = new_key()
WITH_KEY = {**ENV, "BOOKFERRY_KEY": KEY}
COMMANDS = (("check",), ("sync",), ("run",))
OPEN = (0o644, 0o640, 0o660, 0o604, 0o606)


def mode(file):
    return stat.S_IMODE(file.stat().st_mode)


def remedied(said, folder):
    """Do what the message says, as it says it."""
    command = "chmod " + said.partition("chmod ")[2].splitlines()[0].partition(", or ")[0]
    subprocess.run(shlex.split(command), cwd=folder, check=True)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock", ".key", ".2026-11-22.backup"])
def test_a_store_that_others_can_read(tmp_path, command, suffix):
    db = fill(tmp_path)
    file = db.with_name(db.name + suffix)
    file.touch()
    file.chmod(0o644)
    done = call(tmp_path, *command, env=WITH_KEY)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(file) in done.stderr
    assert f"chmod 600 {file}" in done.stderr
    remedied(done.stderr, tmp_path)
    assert mode(file) == 0o600
    if command == ("check",):
        assert call(tmp_path, *command, env=WITH_KEY).returncode == 0


@pytest.mark.parametrize("bits", OPEN, ids=oct)
def test_every_way_of_being_open_counts(tmp_path, bits):
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(bits)
    assert modes.exposed(file) == f"{bits:o}"
    file.chmod(0o600)
    assert modes.exposed(file) is None
    assert modes.exposed(tmp_path) is None
    assert modes.exposed(tmp_path / "nothing") is None


def test_a_secret_that_root_gave_to_our_group_is_fine(tmp_path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root owns files of root")
    file = tmp_path / "secret"
    file.write_text("x")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for bits, told in ((0o440, None), (0o400, None), (0o444, "444"), (0o460, "460")):
        file.chmod(bits)
        assert modes.exposed(file) == told


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_configuration_with_a_secret_typed_in(tmp_path, command):
    fill(tmp_path)
    file = tmp_path / "bookferry.yaml"
    file.write_text(
        CONFIG.replace("${BOOKATU_API_KEY}", "bk_live_typed").replace("${NICEJOB_CLIENT_SECRET}", "typed")
    )
    file.chmod(0o644)
    done = call(tmp_path, *command, env=WITH_KEY)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (2, 2)
    assert lines[0] == (
        "bookferry.yaml:2:52: connections.salon.api_key: a secret is typed into the file, which others can read (mode 644); "
        "chmod 600 bookferry.yaml, or put the secret elsewhere"
    )
    assert lines[1].startswith(
        "bookferry.yaml:6:20: connections.reviews.client_secret: a secret is typed into the file"
    )
    assert "bk_live_typed" not in done.stderr
    remedied(lines[0], tmp_path)
    if command == ("check",):
        assert call(tmp_path, *command, env=WITH_KEY).returncode == 0


def test_a_configuration_without_secrets_may_be_read_by_all(tmp_path):
    fill(tmp_path)
    (tmp_path / "bookferry.yaml").chmod(0o644)
    assert call(tmp_path, "check", env=WITH_KEY).returncode == 0


def test_a_file_that_the_configuration_takes_a_secret_from(tmp_path):
    fill(tmp_path)
    secret, file = tmp_path / "api key", tmp_path / "bookferry.yaml"
    secret.write_text("bk_live_in_a_file\n")
    secret.chmod(0o640)
    file.write_text(CONFIG.replace("${BOOKATU_API_KEY}", "${file:api key}"))
    done = call(tmp_path, "check", env=WITH_KEY)
    assert done.returncode == 2
    assert done.stderr == (
        'bookferry.yaml:2:52: connections.salon.api_key: "api key" can be read by others (mode 640); '
        "chmod 600 'api key'\n"
    )
    remedied(done.stderr, tmp_path)
    assert call(tmp_path, "check", env=WITH_KEY).returncode == 0


@pytest.mark.parametrize("named", [True, False], ids=["named", "beside"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_sealing_key_that_others_can_read(tmp_path, command, named):
    db = fill(tmp_path)
    file = tmp_path / "elsewhere" if named else key_file(db)
    file.write_text(KEY)
    file.chmod(0o604)
    done = call(tmp_path, *command, env={**ENV, "BOOKFERRY_KEY_FILE": str(file)} if named else ENV)
    assert done.returncode == 1
    assert f"chmod 600 {file}" in done.stderr
    assert KEY not in done.stderr
    remedied(done.stderr, tmp_path)
    assert mode(file) == 0o600


def test_what_bookferry_makes_is_private_whatever_the_umask_is(tmp_path):
    before = os.umask(0o000)
    try:
        assert call(tmp_path, "init", env={}).returncode == 0
        db = tmp_path / "bookferry.db"

        async def used():
            opened = await Database.open(db)
            await opened.transaction(lambda tx: tx.run("CREATE TABLE t (x)"))
            made = sorted(tmp_path.iterdir())
            await opened.close()
            return made, {file.name: mode(file) for file in made if file.exists()}

        made, modes_of = asyncio.run(used())
        assert {file.name for file in made} > {
            "bookferry.db",
            "bookferry.db-wal",
            "bookferry.db-shm",
            "bookferry.db.lock",
        }
        with writing(tmp_path / "other.db"):
            modes_of |= {file.name: mode(file) for file in tmp_path.glob("other*")}
        assert set(modes_of.values()) == {0o600}, modes_of
    finally:
        os.umask(before)
