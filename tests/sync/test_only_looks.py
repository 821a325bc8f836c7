"""``check --online`` and ``plan`` as commands of their own: what goes over the wire, and what becomes of the files."""

import json
from contextlib import asynccontextmanager

import pytest
from commanded import command
from harbour import harbour
from test_first_ferry import appointment, customer

LOOKS = [("check", "--online"), ("plan", "--json"), ("plan",), ("status",), ("parked",)]


@asynccontextmanager
async def looked_at(folder):
    """A port with a configuration that the command line finds, and writes that wait to be sent."""
    home = folder / "home"
    home.mkdir()
    async with harbour(home) as port:
        (home / "bookferry.yaml").write_text(port.yaml)
        yield port


async def waiting(port):
    """A store that knows of appointments which no push has decided on."""
    port.salon.seed(people=5, bookings=5)
    port.reviews.seed(people=5, bookings=5)
    await port.pass_()
    await port.arm("reviews")
    who = customer(port)
    for days in (2, 3, 4):
        appointment(port, who, days=days)
    async with port.app() as app:
        app.world.targets_of = lambda _name: set()  # read, and do not push
        app.engine.kick("pull:salon")
        await app.engine.idle()


def asked(port):
    """Everything that either platform was asked, in no order that matters."""
    return [(call.method, call.path) for box in (port.salon, port.reviews) for call in box.requests]


def changing(calls):
    return [(method, path) for method, path in calls if method != "GET" and path != "/oauth/token"]


def files(folder):
    """Every file, byte by byte, but for the empty ones that SQLite looks through."""
    there = {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}
    return {name: content for name, content in there.items() if content or not name.endswith("-wal")}


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
@pytest.mark.parametrize("tokens", ["fresh", "expired"])
async def test_a_look_asks_for_no_change_and_leaves_every_byte(tmp_path, words, tokens):
    async with looked_at(tmp_path) as port:
        await waiting(port)
        if tokens == "expired":
            port.reviews.expire_tokens()
        for box in (port.salon, port.reviews):
            box.requests.clear()
        before = files(port.path.parent)
        code, out, err = await command(port, *words)
        assert files(port.path.parent) == before
        assert changing(asked(port)) == []
        if words[0] != "check":
            assert asked(port) == []
        else:
            assert code in {0, 4}, err
            assert {"/v2/people", "/v2/bookings"} <= {path for _, path in asked(port)}
            renewed = [
                form for form in port.reviews.calls(method="POST") if "refresh_token" in str(form.body)
            ]
            assert bool(renewed) == (tokens == "expired")
        if "--json" in words:
            assert [row["act"] for row in json.loads(out)["writes"]] == ["create"] * 4


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
async def test_a_look_makes_no_database(tmp_path, words):
    async with looked_at(tmp_path) as port:
        before = files(port.path.parent)
        code, _, err = await command(port, *words)
        assert files(port.path.parent) == before
        assert list(port.path.parent.iterdir()) == [port.path.with_name("bookferry.yaml")]
        assert changing(asked(port)) == []
        assert code in ({0, 4} if words[0] == "check" else {1}), err
        assert bool(asked(port)) == (words[0] == "check")


async def test_these_looks_would_be_caught_if_they_wrote(tmp_path):
    async with looked_at(tmp_path) as port:
        await waiting(port)
        before = files(port.path.parent)
        await command(port, "sync")
        assert files(port.path.parent) != before
        assert changing(asked(port)) != []
