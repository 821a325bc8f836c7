"""A platform that sends us to another host: nobody there ever hears of us."""

from functools import partial

import orjson
import pytest

from connectors import consent
from connectors.budget import Budget
from connectors.errors import PlatformError
from connectors.http import Client
from connectors.registry import CONNECTORS
from mapping.wish import Write
from tests.contract.surround import surroundings
from tests.recordings.replay import FIXTURES
from tests.unit.loopback import reply, serving

STATUSES = (301, 302, 303, 307, 308)
FORMS = (
    "http://localhost:{port}/x",
    "//localhost:{port}/x",
    "http://127.0.0.1:{port}/",
    "http://good@127.0.0.1:{port}/",
    "https://localhost:{port}/x",
)


async def every_call(ferry, its):
    """Whatever a connector can be asked; gives the errors."""
    calls = [ferry.account, *(partial(ferry.pull, kind, None) for kind in ferry.streams)]
    calls += [partial(ferry.fetch, kind, "1") for kind, spec in ferry.platform.kinds.items() if spec.fetched]
    for kind, act in its.WRITES:
        ref = None if act.value == "create" else "1"
        wanted = {
            "starts": "2026-06-09T21:00:00.000Z",
            "service": "svc_1",
            "staff": "stf_1",
            "key": "a_key",
            "value": "x",
            "booking": "1",
        }
        wanted |= {
            "people": ["1"],
            "person": "1",
            "campaign": "1",
            "place": "1",
            "type": "cleaning",
            "title": "x",
            "full_name": "x",
        }
        write = Write(
            kind, act, ref, wanted, its.MARK, loud=True, person={"full_name": "x", "email": "x@example.com"}
        )
        calls += [partial(ferry.write, write), partial(ferry.find, write)]
    if hasattr(ferry, "webhooks"):
        calls.append(ferry.webhooks.registered)
    errors = []
    for call in calls:
        try:
            await call()
        except PlatformError as error:
            errors.append(error)
        except (KeyError, ValueError, TypeError, AttributeError):
            pass  # this write was not made for this platform: it never left
    return errors


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FIXTURES)
async def test_no_call_of_any_platform_follows_a_redirect(name, form):
    its, status = FIXTURES[name], STATUSES[(list(FIXTURES).index(name) + FORMS.index(form)) % len(STATUSES)]
    box = its.sandbox()
    async with serving(reply()) as (other, _):
        away = f"Location: {form.format(port=other.port)}"
        async with serving(reply(b"", status, away)) as (server, _):
            url = f"http://127.0.0.1:{server.port}"
            ferry = CONNECTORS[name](
                "mine", its.settings(box, url), surroundings(box, rates=CONNECTORS[name].platform.rates)
            )
            errors = await every_call(ferry, its)
            await ferry.aclose()
        assert server.requests
        assert other.requests == []
        assert other.connections == 0
    assert errors
    said = "\n".join(map(str, errors))
    assert "redirect to" in said or "lost" in said
    assert not any(secret in said for secret in its.SECRETS)


@pytest.mark.parametrize("status", STATUSES)
async def test_no_step_of_a_consent_follows_one(status):
    async with serving(reply()) as (other, _):
        async with serving(reply(b"", status, f"Location: http://127.0.0.1:{other.port}/")) as (server, _):
            url = f"http://127.0.0.1:{server.port}"
            asked = consent.Consent(
                url, "/authorize", "/token", ("a",), register="/register", revoke="/revoke", metadata="/meta"
            )
            client, app = Client(url, Budget([(1000, 60)])), consent.Registered("id", "hush")
            attempt = consent.Attempt.begin(asked, app, "http://127.0.0.1:1/back")
            for step in (
                partial(consent.register, client, asked, "http://127.0.0.1:1/back"),
                partial(consent.exchange, client, asked, app, "hush-code", attempt),
                partial(consent.revoke, client, asked, app, consent.Token("hush-a", None, "hush-r", None)),
            ):
                with pytest.raises(PlatformError) as caught:
                    await step()
                assert "hush" not in str(caught.value)
            await client.aclose()
        assert (other.requests, other.connections) == ([], 0)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "{url}@evil.example/token",
        "{url}.evil.example/token",
        "//evil.example/t",
        "{url}:80@evil.example/",
        "{url}/../../x",
        "{url}//evil.example/t",
        "{url}/a b",
        "{url}/t?x=1#y",
    ],
)
async def test_metadata_that_looks_like_ours_leads_nowhere_else(elsewhere):
    async with serving(reply()) as (server, _):
        url = f"http://127.0.0.1:{server.port}"
        asked = consent.Consent(url, "/authorize", "/token", metadata="/meta")
        server.steps[:] = [reply(orjson.dumps({"token_endpoint": elsewhere.format(url=url)}))]
        client = Client(url, Budget([(1000, 60)]))
        found = await consent.discover(client, asked)
        await client.aclose()
    assert found.token == "/token"
