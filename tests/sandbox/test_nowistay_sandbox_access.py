"""Nowistay's stand-in against the sentences of its document: OAuth 2.1 and webhooks."""

import hashlib
import hmac
import json

import httpx
import pytest
from kit_toys import until
from nowistay_host import (
    AUTHORIZE,
    BACK,
    CLIENT,
    TOKEN,
    V1,
    VERIFIER,
    asked,
    back,
    hook,
    nowistay,
    refreshed,
    refused,
    token,
    with_hook,
)

from connectors.nowistay.sandbox_store import SCOPES

# OAuth 2.1.


def code_form(code, **more):
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
    return form | more


async def test_registration_takes_camel_case_and_answers_in_snake_case():
    async with nowistay() as (_, client):
        body = {
            "clientName": "My PMS Integration",
            "redirectUris": [BACK],
            "grantTypes": ["authorization_code", "refresh_token"],
            "responseTypes": ["code"],
            "tokenEndpointAuthMethod": "client_secret_post",
            "scope": "properties.read bookings.read made.up",
        }
        answer = await client.post("/public/oauth/register", json=body)
        assert answer.status_code == 201
        said = answer.json()
        assert set(said) == {"client_id", "client_secret", "redirect_uris", "scope"}
        assert said["scope"] == "properties.read bookings.read"
        open_client = await client.post(
            "/public/oauth/register", json=body | {"tokenEndpointAuthMethod": "none"}
        )
        assert "client_secret" not in open_client.json()
        snake = {"client_name": "x", "redirect_uris": [BACK]}
        refused(await client.post("/public/oauth/register", json=snake), 422, "validation_error")
        refused(await client.post("/public/oauth/register", data=body), 400, "bad_request")


async def test_metadata():
    async with nowistay() as (box, client):
        said = (await client.get("/.well-known/oauth-authorization-server/public-api")).json()
        assert said["token_endpoint"] == box.base_url + TOKEN
        assert said["code_challenge_methods_supported"] == ["S256"]
        assert set(said["scopes_supported"]) == set(SCOPES)


async def test_consent_then_code_then_tokens():
    async with nowistay() as (_, client):
        given = back(await client.get(AUTHORIZE, params=asked()))
        assert given["state"] == "s t"
        said = (await token(client, **code_form(given["code"]))).json()
        assert set(said) == {"access_token", "token_type", "expires_in", "refresh_token", "scope", "resource"}
        assert (said["token_type"], said["expires_in"]) == ("Bearer", 3600)
        fresh = {"authorization": f"Bearer {said['access_token']}"}
        assert (await client.get(f"{V1}/properties", headers=fresh)).status_code == 200
        refused(await token(client, **code_form(given["code"])), 400, "invalid_grant")
        refused(await client.get(f"{V1}/properties", headers=fresh), 401, "invalid_token")
        refused(await refreshed(client, said["refresh_token"]), 400, "invalid_grant")


@pytest.mark.parametrize(
    ("advance", "more"),
    [
        (601, {}),
        (0, {"code_verifier": "another" * 8}),
        (0, {"code_verifier": ""}),
        (0, {"redirect_uri": "http://127.0.0.1:9/other"}),
    ],
    ids=["late", "verifier", "no-verifier", "address"],
)
async def test_a_code_is_bound_to_its_attempt(advance, more):
    async with nowistay() as (box, client):
        code = back(await client.get(AUTHORIZE, params=asked()))["code"]
        box.advance(advance)
        refused(await token(client, **code_form(code, **more)), 400, "invalid_grant")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"client_id": "stranger"}, 401, "invalid_client"),
        ({"redirect_uri": "https://evil.example"}, 400, "invalid_request"),
        ({"code_challenge_method": "plain"}, 400, "invalid_request"),
        ({"response_type": "token"}, 400, "invalid_request"),
    ],
    ids=["stranger", "address", "plain", "implicit"],
)
async def test_what_is_not_asked_of_a_person(more, status, code):
    async with nowistay() as (_, client):
        refused(await client.get(AUTHORIZE, params=asked(**more)), status, code)


async def test_the_page_is_approved_or_denied_by_a_person():
    async with nowistay(consent="page") as (box, client):
        for decision in ("approve", "deny"):
            page = await client.get(AUTHORIZE, params=asked(scope="bookings.read"))
            assert page.status_code == 200
            assert "bookings.read" in page.text
            request = page.text.split('name="request" value="')[1].split('"')[0]
            refused(await token(client, **code_form(request)), 400, "invalid_grant")
            given = back(await client.post(AUTHORIZE, data={"request": request, "decision": decision}))
            assert given["state"] == "s t"
            if decision == "approve":
                assert (await token(client, **code_form(given["code"]))).json()["scope"] == "bookings.read"
            else:
                assert given["error"] == "access_denied"
        box.grant_only("properties.read")
        page = await client.get(AUTHORIZE, params=asked())
        request = page.text.split('name="request" value="')[1].split('"')[0]
        given = back(await client.post(AUTHORIZE, data={"request": request, "decision": "approve"}))
        assert (await token(client, **code_form(given["code"]))).json()["scope"] == "properties.read"


async def test_a_refresh_token_is_good_once_and_a_second_use_ends_the_family():
    async with nowistay() as (box, client):
        first = next(iter(box.refresh_tokens))
        second = (await refreshed(client, first)).json()
        assert second["refresh_token"] != first
        refused(await refreshed(client, first), 400, "invalid_grant")
        refused(await refreshed(client, second["refresh_token"]), 400, "invalid_grant")
        stolen = {"authorization": f"Bearer {second['access_token']}"}
        refused(await client.get(f"{V1}/properties", headers=stolen), 401, "invalid_token")


async def test_within_a_grace_the_successor_is_given_again():
    async with nowistay(reuse_grace=10) as (box, client):
        first = next(iter(box.refresh_tokens))
        one, two = [(await refreshed(client, first)).json() for _ in range(2)]
        assert one["refresh_token"] == two["refresh_token"]
        box.advance(11)
        refused(await refreshed(client, first), 400, "invalid_grant")


async def test_rotation_can_be_left_out():
    async with nowistay(rotation="omit") as (box, client):
        first = next(iter(box.refresh_tokens))
        for _ in range(3):
            assert "refresh_token" not in (await refreshed(client, first)).json()


async def test_tokens_expire_by_its_clock():
    async with nowistay() as (box, client):
        box.advance(3599)
        assert (await client.get(f"{V1}/properties")).status_code == 200
        box.advance(2)
        refused(await client.get(f"{V1}/properties"), 401, "token_expired")
        refused(
            await client.get(f"{V1}/properties", headers={"authorization": "Bearer x"}), 401, "invalid_token"
        )


async def test_the_token_endpoint_takes_a_form_and_knows_its_clients():
    async with nowistay() as (box, client):
        refresh = next(iter(box.refresh_tokens))
        form = {**CLIENT, "grant_type": "refresh_token", "refresh_token": refresh}
        refused(await client.post(TOKEN, json=form), 400, "invalid_request")
        refused(await client.post(TOKEN, data=form | {"client_secret": "x"}), 401, "invalid_client")
        refused(await client.post(TOKEN, data=form | {"client_id": "x"}), 401, "invalid_client")
        refused(
            await client.post(TOKEN, data=form | {"grant_type": "password"}), 400, "unsupported_grant_type"
        )
        assert (await client.post(TOKEN, data=form)).status_code == 200
        for _ in range(20):
            last = await client.post(TOKEN, data=form)
        refused(last, 429, "rate_limit_exceeded")


async def test_errors_of_oauth_can_be_those_of_the_rfc():
    async with nowistay(plain_oauth_errors=True) as (_, client):
        answer = await refreshed(client, "unknown")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/properties", "properties.read"),
        ("GET", "/properties/101/activity", "activity.read"),
        ("GET", "/bookings", "bookings.read"),
        ("GET", "/bookings/9001", "bookings.read"),
        ("GET", "/booking-parameters", "booking_parameters.read"),
        ("POST", "/booking-parameters", "booking_parameters.write"),
        ("GET", "/missions", "missions.read"),
        ("POST", "/missions", "missions.write"),
        ("PATCH", "/missions/501", "missions.write"),
        ("GET", "/team-members", "team_members.read"),
        ("GET", "/webhooks", "webhooks.read"),
        ("POST", "/webhooks", "webhooks.write"),
        ("PATCH", "/webhooks/wh_1", "webhooks.write"),
        ("DELETE", "/webhooks/wh_1", "webhooks.write"),
    ],
)
async def test_every_route_needs_its_scope(method, path, scope):
    async with nowistay() as (box, client):
        box.add_booking()
        box.grant_only(names=[name for name in SCOPES if name != scope])
        answer = await client.request(method, V1 + path, json={})
        assert scope in refused(answer, 403, "insufficient_scope")


async def test_an_update_needs_the_scope_of_what_it_changes():
    async with nowistay() as (box, client):
        box.add_parameter("external_status")
        path = f"{V1}/bookings/{box.add_booking()}"
        box.grant_only("booking_parameters.write")
        custom = {"customParameters": {"external_status": "x"}}
        assert (await client.patch(path, json=custom)).status_code == 200
        assert "bookings.write" in refused(
            await client.patch(path, json={"adults": 1}), 403, "insufficient_scope"
        )


# Webhooks.


async def test_a_webhook_tells_its_secret_once():
    async with nowistay() as (_, client):
        made = (await hook(client, "https://x.example/h", description="mine")).json()
        assert made["signingSecret"].startswith("whsec_")
        assert {"id", "propertyId", "url", "events", "status", "createdAt", "updatedAt"} <= set(made)
        (row,) = (await client.get(f"{V1}/webhooks")).json()["data"]
        assert "signingSecret" not in row
        assert row["description"] == "mine"


async def test_at_most_three_per_property():
    async with nowistay() as (box, client):
        box.add_property("B")
        for number in range(3):
            assert (await hook(client, f"https://x.example/{number}")).status_code == 201
        refused(await hook(client, "https://x.example/4"), 409, "webhook_limit_reached")
        assert (await hook(client, "https://x.example/4", place=102)).status_code == 201
        refused(await hook(client, "https://x.example/4", place=999), 404, "not_found")
        refused(await hook(client, "https://x.example/4", events=["x"]), 422, "validation_error")


@pytest.mark.parametrize("envelope", ["bare", "data"])
@pytest.mark.parametrize("signature", ["hex", "sha256", "timed"])
async def test_deliveries_are_signed_in_the_form_that_was_chosen(signature, envelope):
    async with with_hook(signature=signature, envelope=envelope) as (box, _, receiver, made):
        ref = box.add_booking(guestName="Zoë", guestEmail="z@example.com", smartLockCode="1")
        await box.quiet()
        ((raw, _, headers),) = receiver.got
        given, secret = headers["x-nowistay-signature"], made["signingSecret"].encode()
        stamp = given.split(",")[0].removeprefix("t=") if signature == "timed" else ""
        text = (f"{stamp}.{raw}" if stamp else raw).encode()
        digest = hmac.new(secret, text, hashlib.sha256).hexdigest()
        assert (
            given
            == {"hex": digest, "sha256": f"sha256={digest}", "timed": f"t={stamp},v1={digest}"}[signature]
        )
        body = json.loads(raw)
        if envelope == "data":
            assert (body["event"], set(body)) == ("booking.created", {"event", "data"})
            body = body["data"]
        assert body["id"] == ref
        assert headers["x-nowistay-event"] == "booking.created"
        assert not {"guestEmail", "guestPhone", "guestAddress", "smartLockCode"} & set(body)


async def test_which_events_are_sent_and_to_whom():
    async with with_hook() as (box, client, receiver, _):
        box.add_property("B")
        ref = box.add_booking()
        await client.patch(f"{V1}/bookings/{ref}", json={"adults": 1})
        box.guest_cancels(ref)
        box.add_booking(propertyId=102)
        box.delete_booking(ref)
        await box.quiet()
        events = sorted(headers["x-nowistay-event"] for _, _, headers in receiver.got)
        assert events == ["booking.created", "booking.updated", "booking.updated"]


async def test_writes_through_the_api_need_not_be_told():
    async with with_hook(hook_on_api_writes=False) as (box, client, receiver, _):
        box.hold_webhooks()
        ref = box.add_booking()
        await client.patch(f"{V1}/bookings/{ref}", json={"adults": 1})
        assert [delivery.event for delivery in box.deliveries] == ["booking.created"]
        assert receiver.got == []


async def test_failures_are_retried_with_back_off():
    async with with_hook() as (box, _, receiver, made):
        receiver.statuses += [500, 503]
        box.add_booking()
        await box.quiet()
        (delivery,) = box.deliveries
        assert [attempt.status for attempt in delivery.attempts] == [500, 503, 204]
        assert len({content for content, _, _ in receiver.got}) == 1
        assert box.tables.hooks[made["id"]].status == "active"


async def test_a_webhook_that_keeps_failing_is_disabled_after_72_hours_and_can_be_set_active():
    async with with_hook(retry_scale=1) as (box, client, receiver, made):
        held = box.tables.hooks[made["id"]]
        receiver.statuses += [500] * 14
        box.add_booking()
        await until(lambda: len(box.deliveries[0].attempts) == 1)
        for count, delay in enumerate(box.hook_delays, 1):
            await until(
                lambda count=count: len(receiver.got) == count and box.deliveries[0].attempts[-1].status
            )
            assert held.status == "active"
            box.advance(delay)
        await until(lambda: held.status == "disabled")
        assert sum(box.hook_delays) > 72 * 3600
        box.add_booking()
        assert len(box.deliveries) == 1, "nothing is sent, and what was missed is not resent"
        path = f"{V1}/webhooks/{made['id']}"
        token = (await refreshed(client, next(iter(box.refresh_tokens)))).json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        assert (await client.patch(path, json={"status": "active"})).json()["status"] == "active"
        assert (await client.patch(path, json={"status": "paused"})).json()["status"] == "paused"
        refused(await client.patch(path, json={"status": "disabled"}), 422, "validation_error")
        assert (await client.delete(path)).status_code == 204
        refused(await client.delete(path), 404, "not_found")


async def test_addresses_must_be_public_where_that_is_asked_for():
    async with nowistay(strict_urls=True) as (_, client):
        refused(await hook(client, "http://127.0.0.1:1/h"), 422, "validation_error")
        assert (await hook(client, "https://x.example/h")).status_code == 201


async def test_a_lost_answer_is_carried_out():
    async with nowistay() as (box, client):
        ref = box.add_booking()
        box.fault("lost_answer", "PATCH", "/bookings/")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.patch(f"{V1}/bookings/{ref}", json={"adults": 7})
        assert box.tables.bookings[ref]["adults"] == 7
