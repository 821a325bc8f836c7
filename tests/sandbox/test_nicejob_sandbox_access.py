"""NiceJob's stand-in against the sentences of its document: OAuth2 and webhooks."""

import hashlib
import hmac
import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from kit_toys import until
from nicejob_account import CLIENT, access, add, data, developer, nicejob, with_hook

from connectors.nicejob.sandbox import NiceJobSandbox

pytestmark = pytest.mark.speaks

# OAuth2.


async def token(client, **form):
    return await client.post("/oauth/token", data=CLIENT | form)


async def test_consent_then_code_then_tokens():
    async with nicejob() as (box, client):
        second = box.add_company("Second")
        box.consent_as(second.company_id)
        query = {
            "client_id": CLIENT["client_id"],
            "redirect_uri": "http://127.0.0.1:9/cb?x=1",
            "state": "s t",
        }
        sent = await client.get("/oauth/authorize", params=query | {"response_type": "code"})
        assert sent.status_code == 302
        back = parse_qs(urlsplit(sent.headers["location"]).query)
        assert (back["x"], back["state"]) == (["1"], ["s t"])
        form = {
            "grant_type": "authorization_code",
            "code": back["code"][0],
            "redirect_uri": query["redirect_uri"],
        }
        answer = (await token(client, **form)).json()
        fresh = await access(client, answer["refresh_token"])
        assert data(await client.get("/v2/company", headers=fresh))["company_name"] == "Second"
        again = await token(client, **form)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_consent_refuses_strangers():
    async with nicejob() as (_, client):
        stranger = await client.get("/oauth/authorize", params={"client_id": "x", "redirect_uri": "http://x"})
        assert (stranger.status_code, stranger.json()["error"]) == (401, "invalid_client")
        nowhere = await client.get("/oauth/authorize", params={"client_id": CLIENT["client_id"]})
        assert (nowhere.status_code, nowhere.json()["error"]) == (400, "invalid_request")


async def test_codes_are_bound_to_their_address_and_do_not_last():
    async with nicejob() as (box, client):
        query = {"client_id": CLIENT["client_id"], "redirect_uri": "http://127.0.0.1:9/cb"}
        for advance, redirect in ((0, "http://127.0.0.1:9/other"), (601, query["redirect_uri"])):
            sent = await client.get("/oauth/authorize", params=query)
            code = parse_qs(urlsplit(sent.headers["location"]).query)["code"][0]
            box.advance(advance)
            answer = await token(client, grant_type="authorization_code", code=code, redirect_uri=redirect)
            assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "refresh_token", "refresh_token": "nope"}, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "nope"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_oauth_errors(form, status, error):
    async with nicejob() as (_, client):
        answer = await token(client, **form)
        assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_a_client_may_use_basic():
    async with nicejob() as (_, client):
        client.headers.pop("authorization")
        pair = (CLIENT["client_id"], CLIENT["client_secret"])
        answer = await client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=pair)
        assert answer.json()["token_type"] == "Bearer"


async def test_access_tokens_live_for_24_hours():
    async with nicejob() as (box, client):
        box.advance(86_000)
        assert (await client.get("/v2/company")).status_code == 200
        box.advance(400)
        assert (await client.get("/v2/company")).status_code == 401
        assert (await client.get("/v2/company", headers={"authorization": ""})).status_code == 401


async def test_tokens_can_be_ended():
    async with nicejob() as (box, client):
        refresh = next(iter(box.refresh_tokens))
        box.expire_tokens()
        assert (await client.get("/v2/company")).status_code == 401
        client.headers.update(await access(client, refresh))
        assert (await client.get("/v2/company")).status_code == 200
        introspected = await client.post("/oauth/introspect", data=CLIENT | {"token": refresh})
        assert introspected.json()["active"] is True
        assert (await client.post("/oauth/revoke", data=CLIENT | {"token": refresh})).status_code == 200
        assert (await client.get("/v2/company")).status_code == 401
        introspected = await client.post("/oauth/introspect", data=CLIENT | {"token": refresh})
        assert introspected.json() == {"active": False}
        assert (await token(client, grant_type="refresh_token", refresh_token=refresh)).status_code == 400


async def test_a_company_may_withdraw():
    async with nicejob() as (box, client):
        box.revoke_company()
        assert (await client.get("/v2/company")).status_code == 401
        assert box.refresh_tokens == {}


@pytest.mark.parametrize("rotate", [False, True])
async def test_refresh_tokens_rotate_or_are_left_out(rotate):
    async with nicejob(rotate_refresh_tokens=rotate) as (box, client):
        old = box.add_company("B").refresh_token
        first = (await token(client, grant_type="refresh_token", refresh_token=old)).json()
        second = await token(client, grant_type="refresh_token", refresh_token=old)
        assert ("refresh_token" in first) is rotate
        assert second.status_code == (400 if rotate else 200)


async def test_the_log_has_no_secrets_of_the_token_endpoint():
    async with nicejob() as (box, _client):
        logged = json.dumps([entry.body for entry in box.calls(path="/oauth/token")])
        assert "nj_secret_sandbox" not in logged
        assert next(iter(box.refresh_tokens)) not in logged


async def test_the_two_kinds_of_token_do_not_mix():
    async with nicejob() as (_, client):
        assert (await client.get("/v2/webhooks")).status_code == 401
        assert (await client.get("/v2/company", headers=await developer(client))).status_code == 401


# Webhook management.


async def test_webhook_management():
    async with with_hook("Person") as (_, client, receiver, hook):
        client.headers.update(await developer(client))
        path = f"/v2/webhooks/{hook['id']}"
        shown = {key: value for key, value in hook.items() if key != "secret"}
        assert hook["secret"]
        assert hook["is_enabled"] is True
        assert data(await client.get(path)) == shown, "the secret is told once"
        assert data(await client.get("/v2/webhooks")) == [shown]
        changed = data(await client.post(path, json={"subscriptions": ["Job"]}))
        assert changed["subscriptions"] == ["Job"]
        assert (await client.post(path, json={"subscriptions": ["Booking"]})).status_code == 400
        assert data(await client.delete(path))["id"] == hook["id"]
        for call in (client.get(path), client.post(path, json={}), client.delete(path)):
            assert (await call).status_code == 401
        assert receiver.got == []


async def test_the_test_webhook():
    async with with_hook("Job") as (_, client, receiver, hook):
        box = receiver  # one attempt only, however it is answered
        box.statuses = [500]
        client.headers.update(await developer(client))
        mock = {"company_id": "c", "entity_id": "e", "event_code": "Job.updated"}
        call = {"mock_payload": mock, "subscription": "Job"}
        assert (await client.post("/v2/rpc/test-webhook", json=call)).status_code == 200
        await until(lambda: receiver.got)
        assert json.loads(receiver.texts()[0])["payload"] == mock
        assert (
            await client.post("/v2/rpc/test-webhook", json=call | {"subscription": "Case"})
        ).status_code == 404
        for wrong in (
            {"subscription": "Job"},
            call | {"subscription": "Booking"},
            call | {"mock_payload": {}},
        ):
            assert (await client.post("/v2/rpc/test-webhook", json=wrong)).status_code == 400
        assert data(await client.get(f"/v2/webhooks/{hook['id']}"))["is_enabled"] is True


# Webhook deliveries.


async def codes(box, receiver):
    await box.quiet()
    return sorted(json.loads(text)["payload"]["event_code"] for text in receiver.texts())


async def test_changes_by_the_api_and_by_staff_are_told():
    async with with_hook("Person", "Job", "CampaignEnrollment") as (box, client, receiver, _):
        person = (await add(client, "people", email="a@example.com"))["id"]
        booking = box.create_booking(person_ids=[person])
        await add(client, f"bookings/{booking}", complete=True)
        box.add_review(rating=5)
        box.delete_person(person)
        assert await codes(box, receiver) == [
            "CampaignEnrollment.created",
            "Job.created",
            "Job.updated",
            "Person.created",
            "Person.deleted",
        ]
        payloads = [json.loads(text)["payload"] for text in receiver.texts()]
        assert {payload["company_id"] for payload in payloads} == {box.company().id}
        assert {payload["entity_id"] for payload in payloads if payload["event_code"].startswith("Job")} == {
            booking
        }


async def test_one_endpoint_for_all_companies_and_nothing_for_visits_and_refusals():
    async with with_hook("Person", "Job") as (box, client, receiver, _):
        second = box.add_company("Second").company_id
        box.create_person(company_id=second, email="a@example.com")
        person = (await add(client, "people", email="a@example.com"))["id"]
        booking = (await add(client, "bookings"))["id"]
        await add(client, "visits", booking_id=booking, person_id=person)
        await client.post("/v2/people", json={"email": "a@example.com"})
        assert await codes(box, receiver) == ["Job.created", "Person.created", "Person.created"]
        assert len({json.loads(text)["payload"]["company_id"] for text in receiver.texts()}) == 2


@pytest.mark.parametrize("stamped", [False, True])
async def test_the_signature(stamped):
    async with with_hook("Person", sign_timestamp=stamped) as (box, client, receiver, hook):
        receiver.statuses = [500]
        await add(client, "people", first_name="Zoë")
        await box.quiet()
        assert len(receiver.got) == 2
        for text in receiver.texts():
            body = json.loads(text)
            assert list(body) == ["payload", "signature"]
            printed = json.dumps(body["payload"], separators=(",", ":"), ensure_ascii=False)
            stamp = body["signature"]["timestamp"]
            signed = f"{stamp}.{printed}" if stamped else printed
            expected = hmac.new(hook["secret"].encode(), signed.encode(), hashlib.sha256).hexdigest()
            assert body["signature"]["signed_payload"] == expected
            assert abs(stamp - box.clock.time()) < 10


async def test_every_attempt_has_its_own_timestamp():
    async with with_hook("Person", retry_scale=1) as (box, client, receiver, _):
        receiver.statuses = [500]
        await add(client, "people", first_name="A")
        await until(lambda: box.deliveries[0].attempts and box.deliveries[0].attempts[0].status == 500)
        box.advance(61)
        await box.quiet()
        first, second = (json.loads(text)["signature"]["timestamp"] for text in receiver.texts())
        assert second - first >= 60


async def test_after_three_days_of_failures_it_is_disabled_for_everybody():
    assert 2 * 86400 < sum(NiceJobSandbox.hook_delays) < 3 * 86400
    async with with_hook("Person") as (box, client, receiver, hook):
        receiver.statuses = [503] * 99
        await add(client, "people", first_name="A")
        await box.quiet()
        assert len(receiver.got) == len(NiceJobSandbox.hook_delays) + 1
        mine = await developer(client)
        path = f"/v2/webhooks/{hook['id']}"
        assert data(await client.get(path, headers=mine))["is_enabled"] is False
        receiver.got.clear()
        receiver.statuses.clear()
        await add(client, "people", first_name="B")
        data(await client.post(path, json={"is_enabled": True}, headers=mine))
        await box.quiet()
        assert receiver.got == [], "what happened meanwhile is not sent again"
        await add(client, "people", first_name="C")
        await box.quiet()
        assert len(receiver.got) == 1


async def test_event_codes_can_look_otherwise():
    def shouting(entity, verb):
        return f"{entity.upper()}_{verb.upper()}"

    async with with_hook("Job", event_code=shouting) as (box, _, receiver, _):
        box.create_booking(name="x")
        assert await codes(box, receiver) == ["JOB_CREATED"]


async def test_signatures_by_the_real_clock_where_wanted():
    async with with_hook("Job", real_signatures=True) as (box, _, receiver, _):
        box.create_booking(name="x")
        await box.quiet()
        assert abs(json.loads(receiver.texts()[0])["signature"]["timestamp"] - time.time()) < 10


async def test_strict_urls():
    async with nicejob(strict_urls=True) as (_, client):
        body = {"endpoint_url": "http://127.0.0.1:1/hook", "subscriptions": ["Job"]}
        answer = await client.post("/v2/webhooks", json=body, headers=await developer(client))
        assert answer.json()["error"]
