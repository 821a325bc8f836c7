"""Nowistay's tokens: used up by each renewal, renewed once for all, on disk before the first use."""

import asyncio

import pytest
from nowistay_stage import BOOKINGS, TOKEN, V1, nowistay

from connectors.consent import Registered, client_name
from connectors.errors import NeedsHuman, TryLater
from connectors.nowistay.connector import Nowistay
from connectors.nowistay.sandbox_store import SCOPES
from connectors.oauth import Token
from tests.contract import nowistay_fixture as its
from tests.contract.surround import MemoryTokens, raised, surroundings

CONNECT = "bookferry connect mine"


class FailingTokens(MemoryTokens):
    """A store whose disk is full for the next `failures` writes."""

    failures = 0

    async def put(self, name, token, was=None):
        if self.failures:
            self.failures -= 1
            raise OSError("disk full")
        return await super().put(name, token)


def renewals(box):
    return len(box.calls("POST", TOKEN))


async def test_fifty_tasks_that_meet_an_expired_token_renew_it_once():
    async with nowistay() as (box, connector):
        ref = its.stay(box)
        await connector.account()
        box.advance(60)
        box.expire_tokens()
        seen = await asyncio.gather(*(connector.fetch(BOOKINGS, ref) for _ in range(50)))
        assert {one.ref for one in seen} == {ref}
        assert renewals(box) == 2, "the first one, and one for all fifty"
        assert len(box.refresh_tokens) == 1


async def test_two_processes_share_one_renewal():
    tokens = MemoryTokens()
    async with nowistay(tokens=tokens) as (box, connector):
        await connector.account()
        around = surroundings(box, tokens=tokens, rates=Nowistay.platform.rates)
        other = Nowistay("mine", connector.settings, around)
        box.advance(3600)
        await asyncio.gather(connector.fetch(BOOKINGS, "9"), other.fetch(BOOKINGS, "9"))
        await other.aclose()
        assert renewals(box) == 2


async def test_a_token_is_renewed_before_it_ends():
    async with nowistay() as (box, connector):
        await connector.account()
        box.advance(3590)
        await connector.fetch(BOOKINGS, "9")
        assert renewals(box) == 2
        assert not [call for call in box.requests if call.status == 401]


async def test_each_renewal_is_on_disk_before_it_is_used():
    tokens = MemoryTokens()
    async with nowistay(tokens=tokens) as (box, connector):
        for _ in range(4):
            await connector.fetch(BOOKINGS, "9")
            assert tokens.kept[connector.token_name].refresh in box.refresh_tokens
            box.advance(3600)
        assert renewals(box) == 4


@pytest.mark.parametrize(("grace", "renewed"), [(10, True), (0, False)])
async def test_a_lost_answer_to_a_renewal(grace, renewed):
    async with nowistay(reuse_grace=grace) as (box, connector):
        await connector.account()
        box.advance(3600)
        box.fault("lost_answer", "POST", TOKEN)
        if renewed:
            await connector.fetch(BOOKINGS, "9")
            assert len(box.refresh_tokens) == 1
        else:
            assert (await raised(connector.fetch(BOOKINGS, "9"), NeedsHuman)).remedy == CONNECT
            asked = renewals(box)
            box.advance(3600)
            await raised(connector.fetch(BOOKINGS, "9"), NeedsHuman)
            assert renewals(box) == asked, "a dead permission is not asked for again"


async def test_a_refresh_token_that_is_left_out_stays():
    tokens = MemoryTokens()
    async with nowistay(tokens=tokens, rotation="omit") as (box, connector):
        for _ in range(3):
            await connector.fetch(BOOKINGS, "9")
            assert tokens.kept[connector.token_name].refresh == its.SECRETS[1]
            box.advance(3600)
        box.expire_tokens()
        await connector.fetch(BOOKINGS, "9")
        assert renewals(box) == 4


async def test_a_token_that_is_left_out_and_refused_is_renewed():
    async with nowistay(rotation="omit") as (box, connector):
        for expected in (1, 2, 3):
            await connector.fetch(BOOKINGS, "9")
            assert renewals(box) == expected
            box.advance(60)
            box.expire_tokens()


async def test_a_renewal_that_did_not_reach_the_disk_is_not_asked_for_twice():
    tokens = FailingTokens()
    async with nowistay(tokens=tokens) as (box, connector):
        await connector.account()
        for failures in (1, 3):
            box.advance(3600)
            tokens.failures, asked = failures, renewals(box)
            for _ in range(failures):
                with pytest.raises(OSError, match="disk full"):
                    await connector.fetch(BOOKINGS, "9")
            await connector.fetch(BOOKINGS, "9")
            assert renewals(box) == asked + 1
            assert tokens.kept[connector.token_name].refresh in box.refresh_tokens


async def test_a_renewal_that_never_reached_the_disk_goes_on_when_it_ends():
    tokens = FailingTokens()
    async with nowistay(tokens=tokens) as (box, connector):
        await connector.account()
        for _ in range(3):
            box.advance(3600)
            tokens.failures = 1
            with pytest.raises(OSError, match="disk full"):
                await connector.fetch(BOOKINGS, "9")
        await connector.fetch(BOOKINGS, "9")
        assert renewals(box) == 4
        assert tokens.kept[connector.token_name].refresh in box.refresh_tokens


async def test_failing_renewals_are_at_least_thirty_seconds_apart():
    async with nowistay() as (box, connector):
        await connector.account()
        box.advance(3600)
        box.fault("error", "POST", TOKEN, times=None, status=429)
        results = await asyncio.gather(
            *(connector.fetch(BOOKINGS, "9") for _ in range(20)), return_exceptions=True
        )
        assert {type(result) for result in results} == {TryLater}
        assert all(result.retry_at > box.clock.time() * 1000 for result in results[1:])
        assert renewals(box) <= 5, "one attempt with its repetitions"
        assert "login" in connector.notes()
        box.clear_faults()
        box.advance(31)
        await connector.fetch(BOOKINGS, "9")
        assert "login" not in connector.notes()


async def test_a_withdrawn_consent_needs_a_human():
    async with nowistay() as (box, connector):
        await connector.account()
        box.advance(60)
        box.revoke_all()
        assert (await raised(connector.fetch(BOOKINGS, "9"), NeedsHuman)).remedy == CONNECT


async def test_a_401_that_no_renewal_helps_needs_a_human():
    async with nowistay() as (box, connector):
        await connector.account()
        box.fault("error", "GET", "/bookings", status=401, times=None)
        assert (await raised(connector.fetch(BOOKINGS, "9"), NeedsHuman)).remedy == CONNECT


async def test_a_wrong_client_secret_in_the_yaml_names_it():
    async with nowistay(more={"client_secret": "wrong"}) as (_, connector):
        assert "client_secret" in (await raised(connector.account(), NeedsHuman)).remedy


# What `connect` leaves in the store.


async def test_without_anything_a_human_has_to_connect():
    async with nowistay(more={"refresh_token": None, "client_id": None}) as (box, connector):
        assert (await raised(connector.account(), NeedsHuman)).remedy == CONNECT
        assert not box.requests


@pytest.mark.parametrize("in_yaml", [True, False])
async def test_a_token_that_connect_put_there_is_used(in_yaml):
    tokens = MemoryTokens()
    more = {"refresh_token": None} | ({} if in_yaml else {"client_id": None, "client_secret": None})
    async with nowistay(more=more, tokens=tokens) as (box, connector):
        assert connector.token_name == "mine:access:connected"
        assert (await raised(connector.account(), NeedsHuman)).remedy == CONNECT
        if not in_yaml:
            await tokens.put(client_name("mine"), Registered(box.client_id, its.SECRETS[0]).sealed())
        await tokens.put(connector.token_name, Token("", None, its.SECRETS[1], " ".join(SCOPES)))
        await connector.account()
        assert box.calls("GET", V1)[0].status == 200


async def test_a_token_without_the_client_that_it_belongs_to_needs_a_human():
    tokens = MemoryTokens()
    more = {"refresh_token": None, "client_id": None, "client_secret": None}
    async with nowistay(more=more, tokens=tokens) as (box, connector):
        await tokens.put(connector.token_name, Token("", None, its.SECRETS[1]))
        assert (await raised(connector.account(), NeedsHuman)).remedy == CONNECT
        assert not box.requests


async def test_a_new_log_in_revives_a_running_connection():
    tokens = MemoryTokens()
    async with nowistay(tokens=tokens) as (box, connector):
        await connector.account()
        box.advance(60)
        box.revoke_all()
        await raised(connector.fetch(BOOKINGS, "9"), NeedsHuman)
        fresh = box._new_refresh(family := _family(box))
        box.advance(60)
        await tokens.put(connector.token_name, Token("", None, fresh, family.scope))
        assert await connector.fetch(BOOKINGS, "9") is None


def _family(box):
    from connectors.nowistay.sandbox_oauth import Family

    return Family(box.client_id, " ".join(SCOPES))


async def test_scopes_that_were_not_granted_are_named_with_what_is_lost():
    async with nowistay() as (box, connector):
        assert all(finding.ok for finding in await connector.check())
        box.grant_only(names=[name for name in SCOPES if name not in {"missions.write", "webhooks.read"}])
        box.advance(3600)
        lost = {finding.what: finding.remedy for finding in await connector.check() if not finding.ok}
        assert any("missions.write" in what and "making and changing missions" in what for what in lost)
        assert any("webhooks.read" in what for what in lost)
        assert not any("bookings.write" in what for what in lost)
        assert all(CONNECT in remedy for remedy in lost.values())


def test_nothing_prints_a_secret():
    settings = its.settings(its.sandbox(), None)
    for shown in (repr(Nowistay.consent(settings)), repr(settings), Nowistay.credential(settings)):
        assert not any(secret in shown for secret in its.SECRETS)
