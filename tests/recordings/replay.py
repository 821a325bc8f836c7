"""Recordings: what a platform sends, and what the connector makes of it.

A case is a folder ``<platform>/<case>``: ``headers.json`` and ``body.json`` are what came in (lists begin with ``list-``
and the kind, webhooks with ``hook-``), ``expected.json`` is the outcome, ``settings.json`` (where there is one) has
further keys of the connection. ``python -m tests.recordings`` writes
``expected.json`` anew; review the difference.
"""

import json
from pathlib import Path

from connectors.registry import CONNECTORS
from mapping.model import Kind
from tests.contract import bookatu_fixture, nearbyassist_fixture, nicejob_fixture, nowistay_fixture
from tests.contract.surround import connected

HERE = Path(__file__).parent
FIXTURES = {
    "bookatu": bookatu_fixture,
    "nearbyassist": nearbyassist_fixture,
    "nicejob": nicejob_fixture,
    "nowistay": nowistay_fixture,
}
SECRET = "whsec_recorded"
RECEIVED_AT = 1_780_283_520_000  # the hour at which the sandboxes stand
CASES = sorted(path.parent.relative_to(HERE).as_posix() for path in HERE.glob("*/*/body.json"))


async def replay(case):
    """What the connector makes of a case, as JSON values."""
    platform, _, name = case.partition("/")
    headers = json.loads((HERE / case / "headers.json").read_text())
    body = (HERE / case / "body.json").read_bytes()
    its = FIXTURES[platform]
    box, own = its.sandbox(), HERE / case / "settings.json"
    more = json.loads(own.read_text()) if own.exists() else {}
    async with connected(CONNECTORS[platform], box, lambda url: its.settings(box, url, **more)) as connector:
        if name.startswith("hook-"):
            connector.verify(headers, body, (SECRET,))
            return shown_event(connector.read_event(headers, body, RECEIVED_AT))
        kind = Kind(name.split("-")[1])
        box.fault("error", "GET", its.LISTS[kind] + "$", status=200, body=json.loads(body))
        page = await connector.pull(kind, None)
        return {
            "records": [shown_record(seen) for seen in page.observations],
            "rejected": [{"ref": row.ref, "reason": row.reason} for row in page.rejected],
            "next": page.next,
        }


def shown_record(seen):
    inside = [{"ref": one.ref, "fields": one.fields.fields()} for one in seen.embedded]
    return {"ref": seen.ref, "fields": seen.fields.fields()} | ({"embedded": inside} if inside else {})


def shown_event(event):
    seen = event.observation
    return {
        "event": event.name,
        "kind": event.kind,
        "ref": event.ref,
        "account": event.account,
        "poll": event.poll,
        "asked_at": seen and seen.asked_at,
        "fields": seen and seen.fields.fields(),
    }


def printed(outcome):
    return json.dumps(outcome, indent=2, ensure_ascii=False) + "\n"
