"""From "connect" to the first token, against both stand-ins that have a consent."""

from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from connectors.bookatu.connector import Bookatu
from connectors.budget import Budget
from connectors.consent import (
    Attempt,
    Consent,
    ConsentError,
    Pkce,
    Registered,
    challenge_of,
    client_name,
    discover,
    exchange,
    missing_scopes,
    register,
    revoke,
)
from connectors.errors import NeedsHuman
from connectors.http import Client
from connectors.nicejob.connector import NiceJob
from connectors.nowistay.connector import Nowistay
from connectors.oauth import Token
from connectors.sandbox import serve
from tests.contract import nicejob_fixture, nowistay_fixture
from tests.contract.surround import MemoryTokens, raised, surroundings

BACK = "http://127.0.0.1:8077/back"
PLAIN = Consent("https://api.example.com", "/authorize", "/token", ("a.read", "b.write"))
APP = Registered("client_1", "hush")


@asynccontextmanager
async def platform(its, connector, **options):
    box = its.sandbox(**options)
    async with serve(box) as url, httpx.AsyncClient(verify=False) as browser:
        client = Client(url, Budget([(1000, 60)], now=box.clock.time), clock=box.clock.time)
        try:
            yield box, client, connector.consent(its.settings(box, url)), browser
        finally:
            await client.aclose()


def nowistay(**options):
    return platform(nowistay_fixture, Nowistay, **options)


async def visit(browser, attempt):
    """What the person's browser comes back with."""
    return (await browser.get(attempt.url)).headers["location"]


# Pure.


def test_the_challenge_is_that_of_rfc_7636():
    assert (
        challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )
    one, other = Pkce.new(), Pkce.new()
    assert one.verifier != other.verifier
    assert 43 <= len(one.verifier) <= 128
    assert one.challenge == challenge_of(one.verifier)


def test_the_address_carries_what_the_document_shows():
    attempt = Attempt.begin(PLAIN, APP, BACK)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(attempt.url).query).items()}
    assert attempt.url.startswith("https://api.example.com/authorize?")
    assert asked == {
        "response_type": "code",
        "client_id": "client_1",
        "redirect_uri": BACK,
        "scope": "a.read b.write",
        "state": asked["state"],
        "code_challenge": challenge_of(attempt.verifier),
        "code_challenge_method": "S256",
    }
    assert "hush" not in f"{attempt!r}{APP!r}{attempt.url}"
    assert attempt.verifier not in repr(attempt)


def state_of(attempt):
    return parse_qs(urlsplit(attempt.url).query)["state"][0]


@pytest.mark.parametrize(
    "pasted",
    ["{back}?code=c1&state={state}", " {back}?state={state}&code=c1\n", "code=c1&state={state}", "c1"],
)
def test_what_a_person_pastes(pasted):
    attempt = Attempt.begin(PLAIN, APP, BACK)
    assert attempt.code_of(pasted.format(back=BACK, state=state_of(attempt))) == "c1"


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("{back}?code=c1&state=other", "another attempt"),
        ("{back}?code=c1", "another attempt"),
        ("{back}?code=c1&state=%C3%A9", "another attempt"),
        ("{back}?error=access_denied&state={state}", "access_denied"),
        ("{back}?error=<b>&state={state}", "an error"),
        ("{back}?state={state}", "no code"),
        ("", "no code"),
        ("two words", "no code"),
    ],
)
def test_what_is_no_answer(pasted, said):
    attempt = Attempt.begin(PLAIN, APP, BACK)
    with pytest.raises(ConsentError, match=said):
        attempt.code_of(pasted.format(back=BACK, state=state_of(attempt)))


def test_a_state_is_good_for_one_answer():
    attempt = Attempt.begin(PLAIN, APP, BACK)
    good = f"{BACK}?code=c1&state={state_of(attempt)}"
    with pytest.raises(ConsentError):
        attempt.code_of(f"{BACK}?code=evil&state=guessed")
    with pytest.raises(ConsentError, match="begin again"):
        attempt.code_of(good)


def test_a_bare_code_needs_pkce():
    attempt = Attempt.begin(Consent("https://x.example", "/a", "/t", pkce=False), APP, BACK)
    assert attempt.verifier is None
    with pytest.raises(ConsentError, match="whole address"):
        attempt.code_of("c1")


def test_a_client_is_kept_like_a_token():
    assert Registered.opened(APP.sealed()) == APP
    assert Registered.opened(Registered("open").sealed()) == Registered("open")
    assert Registered.opened(None) is None
    assert client_name("villa") == "villa:client"


@pytest.mark.parametrize(
    ("scope", "missing"),
    [(None, ()), ("a.read b.write x", ()), ("a.read", ("b.write",)), ("", ("a.read", "b.write"))],
)
def test_which_scopes_are_missing(scope, missing):
    assert missing_scopes(Token("t", scope=scope), PLAIN.scopes) == missing
    assert missing_scopes(None, PLAIN.scopes) == ()


# With the platforms.


async def test_the_whole_way_with_a_client_that_registers_itself():
    async with nowistay() as (box, client, documented, browser):
        consent = await discover(client, documented)
        assert (consent.register, consent.revoke) == ("/public/oauth/register", None)
        app = await register(client, consent, BACK)
        attempt = Attempt.begin(consent, app, BACK)
        code = attempt.code_of(await visit(browser, attempt))
        token = await exchange(client, consent, app, code, attempt)
        assert token.refresh in box.refresh_tokens
        assert token.access in box.access_tokens
        assert token.expires_at is not None
        assert missing_scopes(token, consent.scopes) == ()
        assert await revoke(client, consent, app, token) is False
        await raised(exchange(client, consent, app, code, attempt), NeedsHuman)
        assert token.refresh not in box.refresh_tokens, "a code that comes twice ends all that grew from it"


async def test_what_a_consent_leaves_in_the_store_is_all_that_a_connection_needs():
    tokens = MemoryTokens()
    async with nowistay() as (box, client, _, browser):
        settings = nowistay_fixture.settings(
            box, box.base_url, client_id=None, client_secret=None, refresh_token=None
        )
        ferry = Nowistay("villa", settings, surroundings(box, tokens=tokens, rates=Nowistay.platform.rates))
        consent = await discover(client, Nowistay.consent(settings))
        app = await register(client, consent, BACK)
        attempt = Attempt.begin(consent, app, BACK)
        code = attempt.code_of(await visit(browser, attempt))
        await tokens.put(client_name("villa"), app.sealed())
        await tokens.put(ferry.token_name, await exchange(client, consent, app, code, attempt))
        for _ in range(3):
            assert all(finding.ok for finding in await ferry.check())
            box.advance(4000)
        await ferry.aclose()


async def test_a_consent_that_is_narrower_is_noticed():
    async with nowistay() as (box, client, consent, browser):
        box.grant_only("properties.read", "bookings.read")
        attempt = Attempt.begin(consent, consent.client, BACK)
        code = attempt.code_of(await visit(browser, attempt))
        token = await exchange(client, consent, consent.client, code, attempt)
        assert token.scope == "properties.read bookings.read"
        assert "bookings.write" in missing_scopes(token, consent.scopes)


async def test_a_lost_answer_to_the_exchange_is_never_sent_again():
    async with nowistay() as (box, client, consent, browser):
        attempt = Attempt.begin(consent, consent.client, BACK)
        code = attempt.code_of(await visit(browser, attempt))
        box.fault("lost_answer", "POST", "/oauth/token")
        error = await raised(exchange(client, consent, consent.client, code, attempt), NeedsHuman)
        assert "begin again" in error.remedy
        assert len(box.calls("POST", "/oauth/token")) == 1


async def test_another_verifier_gets_nothing():
    async with nowistay() as (_, client, consent, browser):
        first, second = (Attempt.begin(consent, consent.client, BACK) for _ in range(2))
        code = first.code_of(await visit(browser, first))
        await raised(exchange(client, consent, consent.client, code, second), NeedsHuman)


@pytest.mark.parametrize("elsewhere", ["https://evil.example/token", "/relative", 7, None])
async def test_metadata_that_leads_elsewhere_is_not_believed(elsewhere):
    async with nowistay() as (box, client, documented, _):
        said = {"token_endpoint": elsewhere, "revocation_endpoint": f"{box.base_url}/revoke"}
        box.fault("error", "GET", "well-known", status=200, body=said)
        consent = await discover(client, documented)
        assert consent.token == documented.token
        assert consent.revoke == "/revoke"


async def test_without_metadata_the_documented_paths_stay():
    async with nowistay() as (box, client, documented, _):
        box.fault("error", "GET", "well-known", status=404)
        assert await discover(client, documented) == documented


async def test_nicejob_has_no_pkce_and_no_registration_but_a_revocation():
    async with platform(nicejob_fixture, NiceJob) as (box, client, consent, browser):
        assert await discover(client, consent) == consent
        await raised(register(client, consent, BACK), NeedsHuman)
        attempt = Attempt.begin(consent, consent.client, BACK)
        code = attempt.code_of(await visit(browser, attempt))
        token = await exchange(client, consent, consent.client, code, attempt)
        assert token.refresh in box.refresh_tokens
        assert await revoke(client, consent, consent.client, token)
        assert token.refresh not in box.refresh_tokens


def test_who_enters_keys_by_hand_has_no_consent():
    assert Bookatu.consent(None) is None
