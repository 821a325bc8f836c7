"""`check --online` where a refresh token is good for one use: a look must not use it."""

import json

import pytest
from consent_stage import NOWISTAY_TOKEN, command, town

from connectors.nowistay.sandbox_store import SCOPES
from daemon.passes import sync


def files(at):
    return {
        file.name: content
        for file in at.folder.iterdir()
        if not file.name.endswith("-shm")
        if (content := file.read_bytes()) or not file.name.endswith("-wal")
    }


async def looked(at, *words):
    """The findings about the villa, and whether anything was renewed or written."""
    before, asked = files(at), len(at.villa.calls("POST", NOWISTAY_TOKEN))
    async with command(at, "check", "--online", "--json", *words) as ferry:
        code = await ferry.end()
    assert files(at) == before
    assert len(at.villa.calls("POST", NOWISTAY_TOKEN)) == asked
    found = [
        row
        for row in json.loads("{" + ferry.out.partition("\n{")[2])["findings"]
        if row["connection"] == "villa"
    ]
    return code, found


async def still_works(at):
    async with at.app() as app:
        assert "pull:villa" not in (await sync(app))["problems"]


async def ready(at):
    for name in ("villa", "reviews"):
        await at.connect(name)
    await still_works(at)


async def test_an_access_token_that_is_good_is_used(tmp_path):
    async with town(tmp_path) as at:
        await ready(at)
        code, found = await looked(at)
        assert (code, found[0]["what"]) == (0, "account Lilas Apartment")
        assert len(at.villa.calls("GET", "/public/v1/bookings")) >= 2


async def test_one_that_has_ended_is_left_to_the_next_sync(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("reviews")
        at.villa.advance(-4000)
        await at.connect("villa")  # an hour and more ago, by the clock of the command
        at.villa.advance(4000)
        asked = len(at.villa.requests)
        code, (found,) = await looked(at)
        assert (code, found["ok"]) == (0, True)
        assert "its access token has expired. The next sync renews it" in found["what"]
        assert len(at.villa.requests) == asked
        await still_works(at)
        assert len(at.villa.refresh_tokens) == 2, "the sandbox's own, and the one that was renewed"


async def test_one_of_the_yaml_is_left_alone_too(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("reviews")
        (refresh,) = at.villa.refresh_tokens
        client = f"client_id: {at.villa.client_id}, client_secret: {at.villa.client_secret}"
        at.write(villa_more=f", {client}, refresh_token: {refresh}")
        code, (found,) = await looked(at)
        assert (code, found["ok"]) == (0, True)
        assert "no access token is kept yet" in found["what"]
        async with command(at, "probe", "villa") as ferry:
            assert await ferry.end() == 1
        assert "no access token is kept yet" in ferry.out
        assert not at.villa.calls("POST", NOWISTAY_TOKEN)
        await still_works(at)


async def test_one_that_is_refused_before_its_end_is_no_good_news(tmp_path):
    async with town(tmp_path) as at:
        await ready(at)
        at.villa.revoke_all()
        code, (found,) = await looked(at)
        assert (code, found["ok"]) == (4, False)
        assert "may have been withdrawn" in found["what"]


@pytest.mark.parametrize("missing", ["missions.write", "properties.read", "missions.read"])
async def test_scopes_that_are_missing_are_named(tmp_path, missing):
    async with town(tmp_path) as at:
        at.villa.grant_only(names=[name for name in SCOPES if name != missing])
        for name in ("reviews", "villa"):
            await at.connect(name)
        code, found = await looked(at)
        assert code == 4
        (said,) = [row for row in found if f"the scope {missing} was not granted" in row["what"]]
        assert "bookferry connect villa" in said["remedy"]


async def test_nobody_was_let_in_yet(tmp_path):
    async with town(tmp_path) as at:
        code, (found,) = await looked(at)
        assert (code, found["remedy"]) == (4, "bookferry connect villa")
        assert not at.path.exists()
