"""What a webhook does, and what it must not do."""

import asyncio
import hashlib
import hmac
import json
import shutil
import subprocess
import time

import httpx
import pytest
from hook_house import (
    NJ_SECRET,
    SECRET,
    appointment,
    counted,
    hook_door,
    house,
    nicejob_body,
    reviews,
    salon,
    signed,
)

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.sandbox import serve
from daemon.receive import Reception, receive
from state.database import Database

TWO = {"reviews": reviews(), "second": reviews(refresh_token="r2")}


async def post(door, body, headers=None, name="salon"):
    async with httpx.AsyncClient(verify=False) as client:
        return await client.post(
            f"{door.url}/hooks/{name}", content=body, headers=signed(body) if headers is None else headers
        )


async def test_a_signed_webhook_is_stored_and_wakes_its_unit(tmp_path):
    async with hook_door(tmp_path) as door:
        body = appointment()
        answer = await post(
            door, body, signed(body) | {"authorization": "Bearer x", "cookie": "a=b", "x-api-key": "k"}
        )
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
        (row,) = await door.app.rows()
        assert (row["connection"], row["state"], row["body"]) == ("salon", "new", body)
        assert set(json.loads(row["headers"])) == {"content-type", "x-bookatu-signature"}
        assert door.app.engine == ["inbox:salon"]
        assert counted(door.metrics, "salon", "stored") == 1


@pytest.mark.parametrize(
    ("why", "headers"),
    [
        ("signature", signed(appointment(), "whsec_wrong")),
        ("signature", signed(appointment() + b" ")),
        ("stale", signed(appointment(), at=time.time() - 400)),
        ("stale", signed(appointment(), at=time.time() + 4000)),
        ("malformed", {}),
        ("malformed", {"x-bookatu-signature": "t=1,v1=zz"}),
    ],
)
async def test_what_is_forged_or_stale_changes_nothing(tmp_path, why, headers):
    async with hook_door(tmp_path) as door:
        answer = await post(door, appointment(), headers)
        assert (answer.status_code, answer.json()) == (401, {"ok": False})
        assert await door.app.rows() == []
        assert door.app.engine == []
        assert counted(door.metrics, "salon", why) == 1


async def test_an_unknown_door_and_one_without_a_secret_look_like_a_forgery(tmp_path):
    async with hook_door(tmp_path, salon=salon(), silent=salon(webhook_secret=[], slug="other")) as door:
        body = appointment()
        forged = await post(door, body, signed(body, "whsec_wrong"))
        for name in ("nobody", "silent", "no%20body"):
            answer = await post(door, body, name=name)
            assert (answer.status_code, answer.content) == (forged.status_code, forged.content)
            different = {"date"}
            assert {k: v for k, v in answer.headers.items() if k not in different} == {
                k: v for k, v in forged.headers.items() if k not in different
            }
        assert await door.app.rows() == []
        assert counted(door.metrics, "-", "signature") == 2, "a made-up name makes no time series"


async def test_a_replay_and_a_duplicate_are_read_once(tmp_path):
    async with hook_door(tmp_path) as door:
        body = appointment()
        first = signed(body)
        later = signed(body, at=time.time() - 60)
        for headers in (first, first, later):
            assert (await post(door, body, headers)).status_code == 200
        assert len(await door.app.rows()) == 1
        assert door.app.engine == ["inbox:salon"]
        assert counted(door.metrics, "salon", "duplicate") == 2


async def test_a_hint_that_comes_again_after_it_was_read_asks_for_another_look(tmp_path):
    async with hook_door(tmp_path, reviews=reviews(company_id="c1")) as door:
        body = nicejob_body()
        await post(door, body, {}, "reviews")
        await door.app.db.transaction(lambda tx: tx.run("UPDATE inbox SET state = 'done'"), "t")
        await post(door, body, {}, "reviews")
        assert [row["state"] for row in await door.app.rows()] == ["new"]
        assert door.app.engine == ["inbox:reviews", "inbox:reviews"]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"", b"\xff\xfe", b'{"event": "booking.created"}', appointment(ref="")]
)
async def test_what_is_signed_and_malformed(tmp_path, body):
    async with hook_door(tmp_path) as door:
        answer = await post(door, body)
        assert (answer.status_code, answer.json()) == (400, {"ok": False})
        assert await door.app.rows() == []


async def test_an_unknown_type_is_kept_aside_and_acknowledged(tmp_path):
    async with hook_door(tmp_path) as door:
        assert (await post(door, appointment("booking.sneezed"))).status_code == 200
        (row,) = await door.app.rows()
        assert row["state"] == "ignored"
        assert row["note"]
        assert door.app.engine == []
        assert counted(door.metrics, "salon", "unknown_type") == 1


async def test_one_door_serves_the_companies_of_one_developer(tmp_path):
    connections = {
        **TWO,
        "foreign": reviews(client_id="another developer", refresh_token="r3"),
        "configured": reviews(refresh_token="r4", company_id="c9"),
    }
    async with hook_door(tmp_path, **connections) as door:
        for name, company in (("reviews", "c1"), ("second", "c2"), ("foreign", "c3")):
            await door.app.belongs(name, company)
        for company in ("c2", "c3", "c4", "c9", "c1"):
            assert (await post(door, nicejob_body(company), {}, "reviews")).status_code == 200
        assert [(row["connection"], row["state"]) for row in await door.app.rows()] == [
            ("second", "new"),
            ("reviews", "ignored"),
            ("reviews", "ignored"),
            ("configured", "new"),
            ("reviews", "new"),
        ]
        assert door.app.engine == ["inbox:second", "inbox:configured", "inbox:reviews"]
        assert counted(door.metrics, "reviews", "unknown_account") == 2


async def test_a_secret_of_one_connection_opens_no_other(tmp_path):
    async with hook_door(
        tmp_path, salon=salon(), other=salon(slug="other", webhook_secret="whsec_2")
    ) as door:
        assert (await post(door, appointment(), name="other")).status_code == 401
        assert await door.app.rows() == []


async def test_both_secrets_count_while_one_is_rotated_and_a_new_one_is_found_at_once(tmp_path):
    async with house(tmp_path) as app:
        clock = [time.time()]
        app.now = lambda: clock[0]
        secrets = [SECRET]

        async def hook_secrets(_name):
            return tuple(secrets)

        app.hook_secrets = hook_secrets
        reception = Reception(app)
        body = appointment()
        assert await reception.receive("salon", signed(body), body) == 200
        secrets.append("whsec_new")
        clock[0] += 2
        assert await reception.receive("salon", signed(body, "whsec_new"), body) == 200
        assert await reception.receive("salon", signed(body), body) == 200


async def test_a_forged_flood_does_not_ask_the_store_each_time(tmp_path):
    async with house(tmp_path) as app:
        reception, body = Reception(app), appointment()
        for _ in range(50):
            assert await reception.receive("salon", signed(body, "wrong"), body) == 401
        assert app.asked <= 3


async def test_those_who_come_together_ask_for_the_secrets_once(tmp_path):
    async with house(tmp_path) as app:
        reception, bodies = Reception(app), [appointment(ref=f"apt_{n}") for n in range(9)]
        came = (reception.receive("salon", signed(body), body) for body in bodies)
        assert await asyncio.gather(*came) == [200] * 9
        assert app.asked == 1


async def test_a_store_that_refuses_the_commit_is_503(tmp_path):
    async with hook_door(tmp_path, database=Closing) as door:
        door.app.db.failing = True
        answer = await post(door, appointment())
        assert (answer.status_code, answer.json()) == (503, {"ok": False})
        assert door.app.engine == []
        door.app.db.failing = False
        assert (await post(door, appointment())).status_code == 200


class Closing(Database):
    """Its disk refuses the commit."""

    failing = False

    def _commit(self, connection, batch):
        if self.failing:
            connection.execute("INSERT INTO nowhere VALUES (1)")
        super()._commit(connection, batch)


async def test_a_full_store_is_503_and_takes_the_retry_later(tmp_path):
    async with hook_door(tmp_path) as door:

        def fill(tx):
            pages = tx.value("PRAGMA page_count")
            tx.value(f"PRAGMA max_page_count = {pages}")

        await door.app.db.transaction(fill, "t")
        bodies = [appointment(ref=f"apt_{n}", padding="x" * 20_000) for n in range(4)]
        statuses = [(await post(door, body)).status_code for body in bodies]
        assert set(statuses) == {
            200,
            503,
        }  # the store opens its file anew after a failure, and then there is room
        assert len(await door.app.rows()) == statuses.count(200), (
            "what is acknowledged is there, and nothing else"
        )
        refused = bodies[statuses.index(503)]
        assert (await post(door, refused)).status_code == 200


class Slow(Database):
    """Holds the commit back until it is let go."""

    def __init__(self, path):
        super().__init__(path)
        import threading

        self.gate, self.reached = threading.Event(), threading.Event()
        self.gate.set()

    def _commit(self, connection, batch):
        self.reached.set()
        self.gate.wait(10)
        super()._commit(connection, batch)


async def test_the_answer_comes_only_after_the_row_is_on_disk(tmp_path):
    async with hook_door(tmp_path, database=Slow) as door:
        door.app.db.gate.clear()
        door.app.db.reached.clear()
        task = asyncio.create_task(post(door, appointment()))
        await asyncio.to_thread(door.app.db.reached.wait, 5)
        done, _ = await asyncio.wait({task}, timeout=0.2)
        assert not done
        assert door.app.engine == []
        door.app.db.gate.set()
        assert (await task).status_code == 200
        assert door.app.engine == ["inbox:salon"]


async def test_a_bug_is_503_without_a_word(tmp_path):
    async with hook_door(tmp_path) as door:

        async def broken(_name):
            raise RuntimeError("zoe@example.com")

        door.app.hook_secrets = broken
        answer = await post(door, appointment())
        assert (answer.status_code, answer.content) == (503, b'{"ok":false}')


async def test_the_plain_function(tmp_path):
    async with house(tmp_path) as app:
        body = appointment()
        assert await receive(app, "salon", signed(body), body) == 200
        assert await receive(app, "nobody", signed(body), body) == 401


async def test_bookatu_really_sends_reordered_and_doubled(tmp_path):
    box = BookatuSandbox(retry_scale=0, real_signatures=True)
    async with serve(box), hook_door(tmp_path, salon=salon(webhook_secret="whsec_later")) as door:
        secret = box.add_webhook(f"{door.url}/hooks/salon")

        async def hook_secrets(_name):
            return (secret,)

        door.app.hook_secrets = hook_secrets
        box.hold_webhooks()
        made = box.create_appointment("svc_abc123", "2027-06-09T21:00:00Z", box.add_customer("Zoe"))
        box.complete(made)
        box.cancel(made)
        box.release_webhooks("reversed", duplicate=3)
        await box.quiet()
        assert [delivery.state for delivery in box.deliveries] == ["delivered"] * 6
        events = [json.loads(row["body"])["event"] for row in await door.app.rows()]
        assert events == ["booking.cancelled", "booking.completed", "booking.created"]
        box.redeliver(0)
        await box.quiet()
        assert len(await door.app.rows()) == 3


@pytest.mark.parametrize("sign_timestamp", [False, True])
async def test_nicejob_really_sends(tmp_path, sign_timestamp):
    box = NiceJobSandbox(retry_scale=0, real_signatures=True, sign_timestamp=sign_timestamp)
    company = box.add_company("Parnell Nails")
    async with serve(box) as url, hook_door(tmp_path, reviews=reviews()) as door:
        client = {"client_id": "nj_client_sandbox", "client_secret": "nj_secret_sandbox"}
        async with httpx.AsyncClient(verify=False, base_url=url) as http:
            token = (
                await http.post("/oauth/token", json={**client, "grant_type": "client_credentials"})
            ).json()
            hook = await http.post(
                "/v2/webhooks",
                json={"endpoint_url": f"{door.url}/hooks/reviews", "subscriptions": ["Person"]},
                headers={"authorization": f"Bearer {token['access_token']}"},
            )
        secret = hook.json()["data"]["secret"]

        async def hook_secrets(_name):
            return (secret,)

        door.app.hook_secrets = hook_secrets
        await door.app.belongs("reviews", company.company_id)
        box.create_person(first_name="Zoë", email="zoe@example.com")
        await box.quiet()
        assert [delivery.state for delivery in box.deliveries] == ["delivered"]
        assert [(row["connection"], row["state"]) for row in await door.app.rows()] == [("reviews", "new")]


# The sample of Bookatu's page, letter by letter, and a few lines that call it.
BOOKATU_SAMPLE = r"""
import crypto from "node:crypto";
// rawBody is the exact bytes you received (do not re-serialize).
// secret is your endpoint secret (whsec_...).
// t comes from the X-Bookatu-Signature header: "t=<seconds>,v1=<hmac>".
function verify(rawBody, t, v1, secret) {
const expected = crypto
.createHmac("sha256", secret)
.update(`${t}.${rawBody}`)
.digest("hex");
return crypto.timingSafeEqual(Buffer.from(expected), Buffer.from(v1));
}
"""
CALLS = r"""
import fs from "node:fs";
const cases = JSON.parse(fs.readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map((c) => verify(c.body, c.t, c.v1, c.secret))));
"""
NICEJOB_SIGNS = r"""
import crypto from "node:crypto";
import fs from "node:fs";
const {payload, secret, timestamp} = JSON.parse(fs.readFileSync(0, "utf8"));
const signed_payload = crypto.createHmac("sha256", secret).update(JSON.stringify(payload)).digest("hex");
console.log(JSON.stringify({payload, signature: {signed_payload, timestamp}}));
"""
node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def run_node(source, given):
    done = subprocess.run(
        ["node", "--input-type=module", "-e", source],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@node
async def test_the_signature_check_agrees_with_bookatus_own_javascript(tmp_path):
    stamp, cases = int(time.time()), []
    for text in (
        "{}",
        appointment().decode(),
        '{"event":"booking.created","é":"Zoë \U0001f485"}',
        " {} \n",
        "{",
    ):
        good = hmac.new(SECRET.encode(), f"{stamp}.{text}".encode(), hashlib.sha256).hexdigest()
        bad = ("0" if good[0] != "0" else "1") + good[1:]
        cases += [
            {"body": text, "t": str(t), "v1": v1, "secret": secret}
            for t in (stamp, stamp - 1)
            for v1 in (good, bad)
            for secret in (SECRET, "whsec_other")
        ]
    theirs = await asyncio.to_thread(run_node, BOOKATU_SAMPLE + CALLS, cases)
    assert True in theirs
    assert False in theirs
    for case, agreed in zip(cases, theirs, strict=True):
        async with house_once(tmp_path, case["secret"]) as app:
            headers = {"x-bookatu-signature": f"t={case['t']},v1={case['v1']}"}
            status = await receive(app, "salon", headers, case["body"].encode())
            assert (status != 401) == agreed, case


def house_once(path, secret):
    return house(path, salon=salon(webhook_secret=secret))


@node
async def test_what_javascript_signs_as_nicejob_does_is_accepted(tmp_path):
    payload = {
        "event_code": "Person.updated",
        "entity_id": "pé/1",
        "said": "p\u2028é",
        "company_id": "c1",
        "n": 1e21,
        "f": 0.1,
    }
    given = {"payload": payload, "secret": NJ_SECRET, "timestamp": int(time.time())}
    body = json.dumps(await asyncio.to_thread(run_node, NICEJOB_SIGNS, given), ensure_ascii=False).encode()
    async with house(tmp_path, reviews=reviews(company_id="c1")) as app:
        assert await receive(app, "reviews", {}, body) == 200
        assert await receive(app, "reviews", {}, body.replace(b"c1", b"c2")) == 401
