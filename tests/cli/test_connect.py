"""`connect`: a person in a browser, both ways back, and all that can go wrong between."""

import os
import pty
import signal
import socket

import pytest
from cli_stage import call
from consent_stage import (
    NOWISTAY_TOKEN,
    REGISTER,
    agree,
    come_back,
    command,
    deny,
    get,
    the_address,
    the_code,
    town,
)

from connectors.consent import ConsentError, client_name
from connectors.errors import NeedsHuman
from connectors.nicejob.connector import NiceJob
from daemon.doors import DoorError
from daemon.passes import sync
from state import tokens
from state.database import writing

VILLA, REVIEWS = "villa:access:connected", "reviews:access:connected"


async def test_nowistay_registers_asks_and_is_let_in(tmp_path):
    async with town(tmp_path) as at:
        told = await at.connect("villa")
        assert (told.account.name, told.lost, told.lasting, told.problem) == (
            "Lilas Apartment",
            [],
            True,
            None,
        )
        assert at.names() == [VILLA, client_name("villa")]
        assert next(reversed(at.villa.refresh_tokens)).encode() in at.plain()[VILLA]
        (page,) = at.pages
        assert page.status_code == 200
        assert "Go back to the terminal" in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", at.port))
        async with at.app() as app:
            assert set((await sync(app))["problems"]) == {"pull:reviews"}


async def test_nicejob_is_let_in(tmp_path):
    async with town(tmp_path) as at:
        told = await at.connect("reviews")
        assert (told.account.name, told.lasting, told.problem) == ("Parnell Nails", True, None)
        assert at.names() == [REVIEWS]


async def test_nicejob_may_give_a_refresh_token_alone(tmp_path):
    async with town(tmp_path) as at:
        refresh = at.reviews._new_refresh_token(at.reviews.company().id)
        body = {"refresh_token": refresh, "token_type": "Bearer"}
        at.reviews.fault("error", "POST", "/oauth/token", status=200, body=body, times=1)
        told = await at.connect("reviews")
        assert (told.account.name, told.lasting) == ("Parnell Nails", True)
        assert [call.status for call in at.reviews.calls("POST", "/oauth/token")] == [200, 200]


@pytest.mark.parametrize("paste", [the_address, the_code])
async def test_what_a_person_pastes_is_taken(tmp_path, paste):
    async with town(tmp_path) as at:
        assert (await at.connect("villa", paste=paste)).account.name == "Lilas Apartment"


async def test_a_bare_code_without_pkce_is_not_taken(tmp_path):
    async with town(tmp_path) as at:
        with pytest.raises(ConsentError, match="whole address"):
            await at.connect("reviews", paste=the_code)
        assert not at.reviews.calls("POST", "/oauth/token")
        assert (await at.connect("reviews", paste=the_address)).problem is None


async def test_an_answer_with_another_state_ends_it(tmp_path):
    async def forged(attempt):
        return await get(f"{attempt.redirect_uri}?code=evil&state=guessed")

    async with town(tmp_path) as at:
        with pytest.raises(ConsentError, match="another attempt"):
            await at.connect("villa", forged)
        (page,) = at.pages
        assert page.status_code == 400
        assert "evil" not in page.text
        assert not at.villa.calls("POST", NOWISTAY_TOKEN)


async def test_nothing_else_is_served_and_nothing_else_ends_it(tmp_path):
    async def lost(attempt):
        root = attempt.redirect_uri.removesuffix("/connect")
        others = [
            ("/", "GET"),
            ("/favicon.ico", "GET"),
            ("/connect", "GET"),
            ("/connect?code=x&state=y", "POST"),
        ]
        assert {(await get(root + path, method)).status_code for path, method in others} == {404}
        return await come_back(attempt)

    async with town(tmp_path) as at:
        assert (await at.connect("villa", lost)).problem is None


async def test_a_consent_that_is_denied(tmp_path):
    async with town(tmp_path) as at:
        with pytest.raises(ConsentError, match="access_denied"):
            await at.connect("villa", deny)
        assert at.names() == [client_name("villa")], "registered once: the next attempt uses it"
        await at.connect("villa")
        assert len(at.villa.calls("POST", REGISTER)) == 1


async def test_a_code_that_was_used_changes_nothing_here(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("villa", paste=(used := Once(the_code)))
        before = at.plain()
        with pytest.raises(NeedsHuman, match="invalid_grant"):
            await at.connect("villa", paste=used)
        assert at.plain() == before


class Once:
    """The same paste, again and again."""

    def __init__(self, paste):
        self.paste, self.given = paste, None

    async def __call__(self, attempt):
        self.given = self.given or await self.paste(attempt)
        return self.given


async def test_a_lost_answer_to_the_exchange_is_not_asked_for_again(tmp_path):
    async with town(tmp_path) as at:
        at.villa.fault("lost_answer", "POST", NOWISTAY_TOKEN)
        with pytest.raises(NeedsHuman, match="begin again"):
            await at.connect("villa")
        assert len(at.villa.calls("POST", NOWISTAY_TOKEN)) == 1
        assert VILLA not in at.names()
        assert (await at.connect("villa")).problem is None
        assert len(at.villa.calls("POST", REGISTER)) == 1


async def test_nobody_comes(tmp_path):
    async def stays_away(_attempt):
        return None

    async with town(tmp_path) as at:
        with pytest.raises(TimeoutError):
            await at.connect("villa", stays_away, timeout=0)
        async with command(at, "connect", "villa", "--port", str(at.port), "--timeout", "0") as ferry:
            assert await ferry.end() == 1
        assert "no answer came within 0 seconds" in ferry.out
        assert f"http://127.0.0.1:{at.port}/connect" in ferry.out


async def test_a_port_that_is_taken(tmp_path):
    async with town(tmp_path) as at:
        with socket.create_server(("127.0.0.1", at.port)):
            with pytest.raises(DoorError, match="in use"):
                await at.connect("villa")
            assert not at.villa.calls("POST", REGISTER)
            async with command(at, "connect", "villa", "--port", str(at.port)) as ferry:
                assert await ferry.end() == 1
            assert "in use by another program" in ferry.out


async def test_an_attempt_that_fails_leaves_a_login_that_works(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("villa")
        before, elsewhere = at.plain(), at.port + 1
        with pytest.raises(ConsentError):
            await at.connect("villa", paste=lambda attempt: agree(attempt.url, "deny"), port=elsewhere)
        assert len(at.villa.calls("POST", REGISTER)) == 2, "another address needs another client"
        assert at.plain() == before
        at.villa.advance(4000)
        async with at.app() as app:
            assert set((await sync(app))["problems"]) == {"pull:reviews"}


async def test_a_client_that_the_platform_no_longer_knows(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("villa")
        body = {"error": "invalid_client"}
        at.villa.fault("error", "POST", NOWISTAY_TOKEN, status=401, body=body, times=None)
        with pytest.raises(NeedsHuman, match="disconnect villa"):
            await at.connect("villa")


async def test_a_narrower_consent_is_named_with_what_is_lost(tmp_path):
    async with town(tmp_path) as at:
        at.villa.grant_only("properties.read", "bookings.read", "missions.read")
        async with command(at, "connect", "villa", "--port", str(at.port)) as ferry:
            await get(await agree(await ferry.url()))
            assert await ferry.end() == 0
        assert (
            "scope bookings.write was not granted: without it there is no changing direct bookings"
            in ferry.out
        )
        assert "properties.read was" not in ferry.out


async def test_a_consent_too_narrow_to_say_whose_it_is_is_kept_and_told(tmp_path):
    async with town(tmp_path) as at:
        at.villa.grant_only("bookings.read")
        async with command(at, "connect", "villa", "--port", str(at.port)) as ferry:
            await get(await agree(await ferry.url()))
            assert await ferry.end() == 4
        assert "grant the scope properties.read" in ferry.out
        assert VILLA in at.names()


async def test_another_account_is_not_taken_for_the_first(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("reviews")
        async with at.app() as app:
            await sync(app)
        other = at.reviews.add_company("Harbour Barber")
        at.reviews.consent_as(other.company_id)
        told = await at.connect("reviews")
        assert "must not mix" in told.problem.sentence


@pytest.mark.parametrize("name", ["villa", "reviews"])
@pytest.mark.parametrize("paste", [False, True])
async def test_the_command_tells_no_secret(tmp_path, name, paste):
    async with town(tmp_path) as at:
        words = ["connect", name, "--port", str(at.port), *(["--paste"] if paste else [])]
        async with command(at, *words) as ferry:
            back = await agree(await ferry.url())
            if not paste:
                assert (await get(back)).status_code == 200
            assert await ferry.end(f"{back}\n" if paste else None) == 0
        assert f"Connected {name} to" in ferry.out
        assert "within a quarter of an hour" in ferry.out
        secrets = at.secrets()
        assert len(secrets) >= 6
        assert not [secret for secret in secrets if secret in ferry.out]
        for file in at.folder.glob("bookferry.db*"):
            if not file.name.endswith(".key"):
                assert not [secret for secret in secrets if secret.encode() in file.read_bytes()]


async def test_nothing_pasted(tmp_path):
    async with town(tmp_path) as at, command(at, "connect", "villa", "--paste") as ferry:
        assert await ferry.end("") == 1
        assert "no code in the answer" in ferry.out


@pytest.mark.parametrize("more", [["--paste"], []])
async def test_ctrl_c_ends_it_at_once(tmp_path, more):
    async with town(tmp_path) as at, command(at, "connect", "villa", "--port", str(at.port), *more) as ferry:
        await ferry.url()
        ferry.process.send_signal(signal.SIGINT)
        assert await ferry.process.wait() == 1
        ferry.out += (await ferry.process.stdout.read()).decode()
        assert "given up" in ferry.out
        assert "Traceback" not in ferry.out
        assert "Fatal" not in ferry.out


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_browser_is_opened_on_a_terminal_alone(tmp_path, wanted):
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o700)
    async with town(tmp_path) as at:
        words = ["connect", "villa", "--timeout", "0", "--port", str(at.port)]
        shown = await on_a_terminal(at, words + ([] if wanted else ["--no-browser"]), BROWSER=f"{browser} %s")
        assert "no answer came" in shown
        assert opened.exists() == wanted
        if wanted:
            assert opened.read_text().startswith(at.urls["villa"])
            opened.unlink()
            async with command(at, *words, BROWSER=f"{browser} %s") as ferry:
                assert await ferry.end() == 1
            assert not opened.exists(), "no terminal, no browser"


async def on_a_terminal(at, words, **env):
    """What the command shows on a terminal."""
    ours, theirs = pty.openpty()
    async with command(at, *words, stdin=theirs, stdout=theirs, **env) as ferry:
        os.close(theirs)
        assert await ferry.process.wait() == 1
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    return shown


# What a running service makes of it.


@pytest.mark.parametrize(("name", "other"), [("villa", "reviews"), ("reviews", "villa")])
async def test_a_running_service_whose_login_is_dead_goes_on_without_a_restart(tmp_path, name, other):
    async with town(tmp_path) as at:
        for each in (name, other):
            await at.connect(each)
        async with at.app() as app:
            assert (await sync(app))["problems"] == {}
            at.villa.advance(90_000)
            at.reviews.advance(90_000)
            at.villa.revoke_all() if name == "villa" else at.reviews.revoke_company()
            for _ in range(2):
                problems = (await sync(app))["problems"]
                assert set(problems) == {f"pull:{name}"}
                assert problems[f"pull:{name}"]["remedy"] == f"bookferry connect {name}"
            await at.connect(name)
            at.villa.advance(60)
            at.reviews.advance(60)
            assert (await sync(app))["problems"] == {}


async def test_the_command_works_beside_a_running_service(tmp_path):
    async with town(tmp_path) as at, at.app() as app:
        first = (await sync(app))["problems"]
        assert {key: row["remedy"] for key, row in first.items()} == {
            "pull:villa": "bookferry connect villa",
            "pull:reviews": "bookferry connect reviews",
        }
        for name in ("villa", "reviews"):
            async with command(at, "connect", name, "--port", str(at.port)) as ferry:
                await get(await agree(await ferry.url()))
                assert await ferry.end() == 0, ferry.out
        assert (await sync(app))["problems"] == {}


async def test_with_a_refresh_token_in_the_yaml_the_new_login_stands_in_its_place(tmp_path):
    async with town(tmp_path) as at:
        at.write(reviews_more=", refresh_token: used_up")
        async with at.app() as app:
            assert (await sync(app))["problems"]["pull:reviews"]["remedy"] == "bookferry connect reviews"
        async with command(at, "connect", "reviews", "--port", str(at.port)) as ferry:
            await get(await agree(await ferry.url()))
            assert await ferry.end() == 0
        assert "Leave the line as it is" in ferry.out
        async with at.app() as app:
            assert "pull:reviews" not in (await sync(app))["problems"]


def test_names_stay_without_a_refresh_token(tmp_path):
    given = {"platform": "nicejob", "client_id": "c", "client_secret": "s"}
    settings = NiceJob.platform.settings(**given)
    assert NiceJob.credential(settings) == "nicejob:https://api.nicejob.com:c:connected"
    named = NiceJob.platform.settings(**given, company_id="c1")
    assert NiceJob.credential(named).endswith(":c:c1")
    with_token = NiceJob.platform.settings(**given, refresh_token="r", company_id="c1")
    assert NiceJob.credential(with_token).endswith(":c:bc005edd6227")


# Who has nothing to consent to, and other mistakes.

KEYS = """\
connections:
  salon: {platform: bookatu, slug: nails, api_key: bk_live_typed_in}
  market: {platform: nearbyassist, api_key: na_live_typed_in}
"""


@pytest.mark.parametrize(
    ("name", "said"), [("salon", "`api_key` (API key (bk_live_"), ("market", "`api_key`")]
)
def test_who_lets_in_by_a_key_says_where_to_put_it(tmp_path, name, said):
    (tmp_path / "bookferry.yaml").write_text(KEYS)
    done = call(tmp_path, "connect", name)
    assert done.returncode == 2
    assert said in done.stderr
    assert f"connection {name} of bookferry.yaml" in done.stderr
    assert "typed_in" not in done.stderr
    assert call(tmp_path, "connect", "saloon").returncode == 1


async def test_a_key_that_does_not_fit_is_told_before_anybody_is_asked(tmp_path):
    async with town(tmp_path) as at:
        await at.connect("reviews")
        with writing(at.path) as tx:
            tokens.forget(tx, REVIEWS)
            tokens.put(tx, tokens.Box(tokens.new_key()), "t", b"x")
        async with command(at, "connect", "reviews") as ferry:
            assert await ferry.end() == 1
        assert "sealing key does not open" in ferry.out
        assert "http" not in ferry.out
