"""`disconnect`: the platform is told, then everything is forgotten; and what is left to a person is said."""

import os
import pty

import pytest
from cli_stage import call, fill
from consent_stage import command, town

from connectors.consent import client_name
from daemon import login
from daemon.passes import sync
from daemon.service import ensure_hooks
from state import tokens
from state.database import writing

PUBLIC = "https://ferry.example"
REVOKE = "/oauth/revoke"


async def leave(at, name, *, webhooks=False, force=False):
    async with at.desk(name) as desk:
        return await login.disconnect(desk, webhooks=webhooks, force=force)


def mine(at, name):
    """What is sealed for a connection."""
    return [held for held in at.names() if name in held.split(":")]


async def hooked(at):
    async with at.app() as app:
        await ensure_hooks(app, PUBLIC)


async def test_nicejob_is_told_and_everything_is_forgotten(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("reviews")
        await at.connect("villa")
        await hooked(at)
        held, (refresh,) = (
            at.names(),
            [r for r in at.reviews.refresh_tokens if r.encode() in b"".join(at.plain().values())],
        )
        assert [name for name in held if "reviews" in name or "nicejob" in name] != []
        async with command(at, "disconnect", "reviews", "--yes") as ferry:
            assert await ferry.end() == 0, ferry.out
        assert refresh not in at.reviews.refresh_tokens
        assert at.reviews.webhooks == {}
        assert "Deleted webhook" in ferry.out
        assert "Ended the consent at NiceJob" in ferry.out
        assert "take reviews and its routes out of bookferry.yaml" in ferry.out
        assert not [secret for secret in [refresh, *at.secrets()] if secret in ferry.out]
        left = [name for name in held if "villa" in name]
        assert at.names() == left
        async with at.app() as app:
            problems = (await sync(app))["problems"]
        assert problems["pull:reviews"]["remedy"] == "bookferry connect reviews"
        assert set(problems) == {"pull:reviews"}
        assert (await at.connect("reviews")).problem is None


async def test_nowistay_has_no_call_for_it_which_is_said(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("villa")
        await hooked(at)
        assert client_name("villa") in at.names()
        assert len(at.villa.tables.hooks) == 1
        async with command(at, "disconnect", "villa", "--yes") as ferry:
            assert await ferry.end() == 0
        assert "withdraw the consent in Nowistay itself" in ferry.out
        assert at.villa.tables.hooks == {}
        assert mine(at, "villa") == []


async def test_a_revocation_that_the_metadata_names_is_used(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("villa")
        said = {"revocation_endpoint": f"{at.urls['villa']}/public/oauth/revoke"}
        at.villa.fault("error", "GET", "well-known", status=200, body=said)
        at.villa.fault("error", "POST", "/public/oauth/revoke", status=200, body={})
        told = await leave(at, "villa")
        assert "ended the consent at Nowistay" in told.done
        assert len(at.villa.calls("POST", "/public/oauth/revoke")) == 1


@pytest.mark.parametrize(
    "fault", [{"kind": "error", "status": 503}, {"kind": "lost_answer"}, {"kind": "drop"}]
)
async def test_a_platform_that_cannot_be_told_stops_it(tmp_path, fault):
    async with town(tmp_path) as at:
        await at.connect("reviews")
        before, kind = at.plain(), fault.pop("kind")
        at.reviews.fault(kind, "POST", REVOKE, times=None, **fault)
        async with command(at, "disconnect", "reviews", "--yes") as ferry:
            assert await ferry.end() == 1
        assert "nothing was forgotten" in ferry.out
        assert at.plain().items() >= before.items()
        at.reviews.clear_faults()
        assert "ended the consent at NiceJob" in (await leave(at, "reviews")).done


@pytest.mark.parametrize("name", ["villa", "reviews"])
async def test_a_network_that_is_down(tmp_path, name):
    async with town(tmp_path) as at:
        await at.connect(name)
        await hooked(at)
        before = at.plain()
        at.urls = dict.fromkeys(at.urls, "http://127.0.0.1:9")
        at.write()
        async with command(at, "disconnect", name, "--yes") as ferry:
            assert await ferry.end() == 1
        assert "nothing was forgotten" in ferry.out
        assert "could not be connected to" in ferry.out
        assert at.plain() == before
        async with command(at, "disconnect", name, "--yes", "--force") as ferry:
            assert await ferry.end() == 0
        assert "could not be told" in ferry.out
        assert "delete the webhook for https://ferry.example/hooks/" in ferry.out
        assert mine(at, name) == []


async def test_a_dead_login_can_be_disconnected(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("villa")
        await hooked(at)
        at.villa.revoke_all()
        told = await leave(at, "villa", webhooks=True)
        assert mine(at, "villa") == []
        assert any("delete the webhook" in todo for todo in told.by_hand)


async def test_a_webhook_that_serves_another_connection_stays(tmp_path):
    second = "  other: {platform: nicejob, client_id: nj_client_sandbox, client_secret: nj_secret_sandbox, company_id: c9,"
    async with town(tmp_path) as at:
        at.write(more=f'{second}\n    base_url: "{at.urls["reviews"]}"}}')
        await at.connect("reviews")
        await hooked(at)
        kept = [name for name in at.names() if name.startswith(("hook:", "nicejob:"))]
        assert len(kept) == 2
        async with command(at, "disconnect", "reviews", "--yes") as ferry:
            assert await ferry.end() == 0
        assert "serve other too: both stay" in ferry.out
        assert at.names() == kept
        assert len(at.reviews.webhooks) == 1


async def test_a_refresh_token_of_the_yaml_is_ended_too(tmp_path):
    async with town(tmp_path) as at:
        (refresh,) = at.reviews.refresh_tokens
        at.write(reviews_more=f", refresh_token: {refresh}")
        async with at.app() as app:
            await sync(app)
        async with command(at, "disconnect", "reviews", "--yes") as ferry:
            assert await ferry.end() == 0
        assert at.reviews.refresh_tokens == {}
        assert not [token for token in at.reviews.tokens.values() if token.company_id]
        assert "take `refresh_token` of reviews out of bookferry.yaml" in ferry.out


async def test_a_running_service_that_was_disconnected_says_what_to_do(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("reviews")
        async with at.app() as app:
            await sync(app)
            await leave(at, "reviews")
            problem = (await sync(app))["problems"]["pull:reviews"]
            assert problem["remedy"] == "bookferry connect reviews"
            await at.connect("reviews")
            at.villa.advance(60)
            assert "pull:reviews" not in (await sync(app))["problems"]


async def test_nobody_to_ask(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("reviews")
        before = at.plain()
        async with command(at, "disconnect", "reviews") as ferry:
            assert await ferry.end() == 1
        assert "say --yes" in ferry.out
        assert at.plain() == before


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("y\ny\n", 0), ("y\nn\n", 0)])
async def test_on_a_terminal_it_asks(tmp_path, typed, code):
    async with town(tmp_path) as at:
        await at.connect("villa")
        await hooked(at)
        ours, theirs = pty.openpty()
        async with command(at, "disconnect", "villa", stdin=theirs) as ferry:
            os.close(theirs)
            os.write(ours, typed.encode())
            ferry.out = (await ferry.process.stdout.read()).decode()
            assert await ferry.process.wait() == code
        os.close(ours)
        assert ("hooks/villa, too?" in ferry.out) == (code == 0)
        assert bool(mine(at, "villa")) == (code == 1)
        assert bool(at.villa.tables.hooks) == (typed != "y\ny\n")


def test_who_lets_in_by_a_key_is_forgotten_too(tmp_path):
    path = fill(tmp_path)
    key = tokens.new_key()
    with writing(path) as tx:
        tokens.put(tx, tokens.Box(key), "hook:salon:1", b"whsec")
        tokens.put(tx, tokens.Box(key), "hook:reviews:1", b"njsec")
    (tmp_path / "bookferry.db.key").write_text(key)
    done = call(tmp_path, "disconnect", "salon", "--yes")
    assert done.returncode == 0, done.stderr
    assert "withdraw the credentials of this connection in Bookatu" in done.stdout
    assert "bookferry connect salon" not in done.stdout
    with writing(path) as tx:
        assert tokens.names(tx) == ["hook:reviews:1"]
    assert call(tmp_path, "disconnect", "saloon", "--yes").returncode == 1


def test_a_database_is_not_made_by_it(tmp_path):
    fill(tmp_path).unlink()
    done = call(tmp_path, "disconnect", "reviews", "--yes")
    assert done.returncode == 1
    assert "there is no database yet" in done.stderr
    assert not (tmp_path / "bookferry.db").exists()
