"""Nowistay's webhooks: signed in one of three forms, hints or told, and three places a property."""

import hashlib
import hmac
import json

import pytest
from nowistay_stage import BOOKINGS, nowistay

from connectors.errors import NeedsHuman, Unverified
from connectors.nowistay import hooks
from connectors.nowistay.hooks import Form, given, verify
from tests.contract import nowistay_fixture as its
from tests.contract.surround import raised

HOOK = "https://ferry.example.com/hooks/mine"
NOW = 1_780_283_520
BODY = b'{"id":9001}'


def header(form, secret="s", at=NOW, body=BODY):
    text = f"{at}.".encode() + body if form is Form.TIMED else body
    digest = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    return {Form.HEX: digest, Form.SHA256: f"sha256={digest}", Form.TIMED: f"t={at},v1={digest}"}[form]


async def gather(asked):
    return [hook async for hook in asked]


# Signatures.


@pytest.mark.parametrize("form", Form)
def test_every_form_is_verified_and_told(form):
    assert verify(header(form), BODY, ("other", "s"), NOW) is form
    assert verify(
        header(form).upper().replace("T=", "t=").replace("V1", "v1").replace("SHA", "sha"), BODY, ("s",), NOW
    )
    for secret, body in (("x", BODY), ("s", BODY + b" ")):
        with pytest.raises(Unverified) as caught:
            verify(header(form), body, (secret,), NOW)
        assert caught.value.why == "signature"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256=",
        "t=1",
        "v1=" + "0" * 64,
        "t=x,v1=" + "0" * 64,
        "0" * 63,
        "md5=" + "0" * 64,
        "t=1,v1=" + "g" * 64,
    ],
)
def test_a_header_of_another_form_is_malformed(text):
    with pytest.raises(Unverified) as caught:
        given(text)
    assert caught.value.why == "malformed"


@pytest.mark.parametrize("seconds", [-301, 301, NOW])
def test_a_signed_time_grows_stale(seconds):
    with pytest.raises(Unverified) as caught:
        verify(header(Form.TIMED, at=NOW - seconds), BODY, ("s",), NOW)
    assert caught.value.why == "stale"


@pytest.mark.parametrize("weaker", [Form.HEX, Form.SHA256])
def test_a_form_without_a_time_is_not_taken_back(weaker):
    assert verify(header(weaker), BODY, ("s",), NOW, weaker) is weaker
    assert verify(header(Form.TIMED), BODY, ("s",), NOW, weaker) is Form.TIMED
    with pytest.raises(Unverified) as caught:
        verify(header(weaker), BODY, ("s",), NOW, Form.TIMED)
    assert caught.value.why == "form"


async def test_the_form_that_fitted_is_remembered_and_can_be_given_back():
    async with nowistay() as (box, connector):
        assert "signature" not in connector.notes()
        with pytest.raises(Unverified):
            connector.verify({"x-nowistay-signature": header(Form.TIMED, at=1)}, BODY, ("s",))
        assert "signature" not in connector.notes(), "only what fits is learned"
        now = int(box.clock.time())
        connector.verify({"x-nowistay-signature": header(Form.TIMED, at=now)}, BODY, ("s",))
        assert connector.notes()["signature"] == "timed"
        with pytest.raises(Unverified):
            connector.verify({"x-nowistay-signature": header(Form.HEX)}, BODY, ("s",))
        connector.pin("hex")
        connector.verify({"x-nowistay-signature": header(Form.HEX)}, BODY, ("s",))


async def test_the_headers_can_have_other_names():
    more = {"signature_header": "X-Sig", "event_header": "X-What"}
    async with nowistay(more=more) as (_, connector):
        connector.verify({"x-sig": header(Form.HEX)}, BODY, ("s",))
        assert connector.read_event({"x-what": "mission.created"}, BODY, 0).kind is None


# Events.


@pytest.mark.parametrize("envelope", ["bare", "data"])
@pytest.mark.parametrize("signature", ["hex", "sha256", "timed"])
async def test_webhooks_that_were_really_sent(signature, envelope):
    async with nowistay(signature=signature, envelope=envelope) as (box, connector):
        (hook,) = await gather(connector.webhooks.ensure(HOOK))
        box.hold_webhooks()
        ref = its.stay(box, smartLockCode="4711")
        box.cancel_booking(int(ref))
        for delivery, name in zip(box.deliveries, ("booking.created", "booking.updated"), strict=True):
            body, headers = delivery.build(1)
            headers = {key.lower(): value for key, value in headers.items()}
            connector.verify(headers, body, (hook.secret,))
            event = connector.read_event(headers, body, 0)
            assert (event.name, event.kind, event.ref, event.observation) == (name, BOOKINGS, ref, None)
            assert b"planted" not in body
            assert b"4711" not in body


async def test_a_body_is_told_where_its_time_is_signed_and_no_contact_data_is_wanted():
    async with nowistay(more={"sensitive": False}) as (box, connector):
        headers, body = its.signed(box, "s", NOW)
        changed_at = 1_780_282_800_000
        event = connector.read_event(headers, body, changed_at + 60_000)
        assert event.observation.asked_at == changed_at, "the moment it was changed, not that of its arrival"
        assert event.observation.fields.fields()["status"] == "cancelled"
        assert connector.read_event(headers, body, 1000).observation.asked_at == 1000, "never from the future"
        untimed = headers | {"x-nowistay-signature": header(Form.HEX)}
        assert connector.read_event(untimed, body, 0).observation is None
        for lost in (b'{"id":9001}', b'{"id":9001,"updatedAt":null}'):
            assert connector.read_event(headers, lost, 0).observation is None
        with pytest.raises(ValueError, match="arrival"):
            connector.read_event(headers, b'{"id":1,"arrival":"x","updatedAt":"2026-06-01T00:00:00Z"}', 0)


async def test_a_server_clock_that_goes_wrong_is_corrected():
    async with nowistay(more={"sensitive": False}) as (box, connector):
        its.stay(box)
        await connector.pull(BOOKINGS, None)
        connector._clock_offset = 60_000
        headers, body = its.signed(box, "s", NOW)
        assert connector.read_event(headers, body, 2**62).observation.asked_at == 1_780_282_740_000


@pytest.mark.parametrize(
    ("body", "named", "name", "kind"),
    [
        ({"id": 1}, "booking.created", "booking.created", BOOKINGS),
        ({"id": 1, "type": "apartment"}, "booking.created", "booking.created", BOOKINGS),
        ({"id": 1}, None, "booking.updated", BOOKINGS),
        ({"event": "booking.created", "data": {"id": 1}}, "mission.created", "booking.created", BOOKINGS),
        ({"event": "mission.created", "data": {"id": 1}}, "booking.created", "mission.created", None),
        ({"id": 1}, "booking.deleted", "booking.deleted", None),
    ],
    ids=["header", "a-type", "unnamed", "body-wins", "unknown", "unknown-header"],
)
def test_which_event_it_is(body, named, name, kind):
    event = hooks.read(json.dumps(body).encode(), named, None, 0)
    assert (event.name, event.kind) == (name, kind)


# Management.


async def test_every_property_gets_one_and_a_new_one_too():
    async with nowistay() as (box, connector):
        box.add_property("B")
        made = await gather(connector.webhooks.ensure(HOOK))
        assert sorted(hook.place for hook in made) == ["101", "102"]
        assert len({hook.secret for hook in made}) == 2
        assert not any(hook.secret in repr(made) for hook in made)
        box.add_property("C")
        again = await gather(connector.webhooks.ensure(HOOK))
        assert [hook.secret is not None for hook in again] == [False, False, True]
        assert len(box.tables.hooks) == 3
        assert len(await connector.webhooks.registered()) == 3


async def test_a_secret_can_be_kept_before_the_next_one_is_made():
    async with nowistay() as (box, connector):
        box.add_property("B")
        async for hook in connector.webhooks.ensure(HOOK):
            assert len(box.tables.hooks) == 1
            assert hook.secret
            break


async def test_one_that_was_disabled_is_set_to_active_again():
    async with nowistay() as (box, connector):
        (made,) = await gather(connector.webhooks.ensure(HOOK))
        box.disable_webhook(made.id)
        box.tables.hooks[made.id].events = ["booking.created"]
        assert any(made.id in finding.what for finding in await connector.check() if not finding.ok)
        (hook,) = await gather(connector.webhooks.ensure(HOOK))
        assert (hook.id, hook.enabled) == (made.id, True)
        assert set(box.tables.hooks[made.id].events) == {"booking.created", "booking.updated"}
        writes = len(box.calls("PATCH"))
        await gather(connector.webhooks.ensure(HOOK))
        assert len(box.calls("PATCH")) == writes, "nothing to do, nothing written"


async def test_the_slots_of_others_are_never_taken():
    async with nowistay() as (box, connector):
        for number in range(3):
            await gather(connector.webhooks.ensure(f"{HOOK}{number}"))
        box.add_property("B")
        caught = await raised(gather(connector.webhooks.ensure(HOOK)), NeedsHuman)
        places = [hook.property_id for hook in box.tables.hooks.values() if hook.url == HOOK]
        assert places == [102], "the others get theirs all the same"
        assert "101" in caught.sentence
        assert "hooks mine delete" in caught.remedy
        assert len(box.tables.hooks) == 4


async def test_rotation_adds_overlaps_and_deletes():
    async with nowistay() as (box, connector):
        (first,) = await gather(connector.webhooks.ensure(HOOK))
        ((second, old),) = await gather(connector.webhooks.rotate(HOOK))
        assert second.secret not in {None, first.secret}
        assert [hook.id for hook in old] == [first.id]
        assert box.tables.hooks[first.id].status == "active", "it goes on until it is deleted"
        await connector.webhooks.delete(first.id)
        await connector.webhooks.delete(first.id)
        assert set(box.tables.hooks) == {second.id}
        (kept,) = await gather(connector.webhooks.ensure(HOOK))
        assert kept.id == second.id


async def test_only_properties_that_are_followed_get_one():
    async with nowistay(more={"properties": [102]}) as (box, connector):
        box.add_property("B")
        assert [hook.place for hook in await gather(connector.webhooks.ensure(HOOK))] == ["102"]


async def test_many_webhooks_page():
    async with nowistay() as (box, connector):
        box.seed(properties=130)
        await gather(connector.webhooks.ensure(HOOK))
        assert len(await connector.webhooks.registered()) == 131
        assert not [call for call in box.requests if call.status == 429]


async def test_without_the_scope_webhooks_are_named_and_nothing_else_stops():
    async with nowistay() as (box, connector):
        box.grant_only(names=["properties.read", "bookings.read", "missions.read"])
        findings = await connector.check()
        assert any("webhooks:" in finding.what and not finding.ok for finding in findings)
        error = await raised(gather(connector.webhooks.ensure(HOOK)), NeedsHuman)
        assert "webhooks.read" in error.remedy
