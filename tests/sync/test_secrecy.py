"""Planted secrets and contact data appear nowhere but where they belong."""

import json
import logging
from functools import partial

import pytest
import structlog
from harbour import harbour
from test_first_ferry import appointment, customer

from daemon import logs
from daemon.passes import sync
from state import attempts, outbox, overview, units

CLIENT_SECRET = "njclient_planted_0d1b9f"
NAME, EMAIL, PHONE = "Zebedee Plantedname", "zebedee.planted@example.com", "+64 21 555 7391"


@pytest.fixture
def log(capsys):
    """The log of the daemon at its most talkative."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Started by the test itself: only then have pytest's own handlers been put in.
    yield partial(logs.configure, "DEBUG", json=True), lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def store(port):
    return b"".join(file.read_bytes() for file in port.path.parent.iterdir() if file.is_file())


def secrets(port):
    sealed = [port.company.refresh_token, *port.reviews.tokens, *port.reviews.refresh_tokens]
    return {port.salon.api_keys["parnell-nails"], CLIENT_SECRET, port.secret, port.heard, port.key, *sealed}


async def views(app):
    """What status, parked and explain are made of, and the page of metrics."""
    looked = await app.db.read(
        lambda tx: [
            list(units.every(tx)),
            overview.streams(tx),
            overview.rejected(tx),
            overview.intents(tx),
            [intent.problem for intent in outbox.in_state(tx, "parked")],
            [
                attempts.of_intent(tx, intent.id)[-1:] and attempts.of_intent(tx, intent.id)[-1]["detail"]
                for intent in outbox.in_state(tx, "open")
            ],
        ]
    )
    return json.dumps(looked, default=str) + app.metrics.page().decode()


FAULTS = {
    "none": ("salon", None, {}),
    "no entry": ("salon", "error", {"status": 401}),
    "html": ("salon", "html", {"method": "GET", "path": "/customers"}),
    "token refused": ("reviews", "error", {"status": 401, "path": "/oauth/token"}),
    "write refused": ("reviews", "error", {"status": 400, "method": "POST", "path": "/v2/"}),
    "answer lost": ("reviews", "lost_answer", {"method": "POST", "path": "/v2/", "times": 1}),
    "half an answer": ("reviews", "truncated", {"method": "POST", "path": "/v2/", "times": 1}),
    "echoed": ("reviews", "error", {"status": 400, "method": "POST", "path": "/v2/", "body": {
        "data": None, "error": f"cannot store {EMAIL}"}}),
}  # fmt: skip


@pytest.mark.parametrize("trouble", FAULTS)
async def test_nothing_that_was_planted_is_told(tmp_path, log, trouble):
    where, kind, more = FAULTS[trouble]
    start, written = log
    start()
    async with harbour(tmp_path, client_secret=CLIENT_SECRET) as port:
        port.text = port.text.replace("nj_secret_sandbox", CLIENT_SECRET)
        await port.pass_()
        await port.arm("reviews")
        if trouble == "token refused":
            port.reviews.expire_tokens()
        async with port.door() as app:
            appointment(port, customer(port, NAME, EMAIL, PHONE))
            if kind:
                sandbox = port.salon if where == "salon" else port.reviews
                sandbox.fault(kind, **{"times": None, **more})
            summary = await sync(app)
            await port.quiet(app)
            told = written() + json.dumps(summary, default=str)
            shown = await views(app)
            planted = secrets(port)
            assert len(planted) >= 6
            assert store(port)  # and what was not yet moved out of the write-ahead log
            assert not [secret for secret in planted if secret.encode() in store(port)]
    assert '"action"' in told
    assert not [secret for secret in planted if secret in told + shown]
    assert not [data for data in (NAME, EMAIL, PHONE, "+64215557391", "Plantedname") if data in told]
    assert not [secret for secret in planted if secret.encode() in store(port)]


async def test_a_wrong_signature_tells_neither_secret_nor_guest(tmp_path, log):
    start, written = log
    start()
    async with harbour(tmp_path) as port:
        await port.pass_()
        async with port.door() as app:
            right, endpoint = port.secret, port.salon.business(None).endpoints[0]
            endpoint.secret = "whsec_of_somebody_else"
            appointment(port, customer(port, NAME, EMAIL, PHONE))
            await port.quiet(app)
            stored = await app.db.read(lambda tx: tx.value("SELECT count(*) FROM inbox"))
            shown = await views(app)
        assert stored == 0
        told = written() + shown
        assert not [word for word in (right, "whsec_of_somebody_else", NAME, EMAIL, PHONE) if word in told]
