"""NiceJob's webhooks: verify, read. Pure. Follows "Webhook authentication" of "NiceJob's v2 REST API"."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

import orjson

from connectors.base import HOOK_TOLERANCE_S
from connectors.errors import Unverified
from connectors.jsjson import stringify
from connectors.wire import is_ref
from mapping.model import Kind
from mapping.record import Event

# Subscriptions say Job where the REST API says Booking. Everything else is counted and not followed.
ENTITIES = {
    "person": Kind.PEOPLE,
    "job": Kind.BOOKINGS,
    "booking": Kind.BOOKINGS,
    "review": Kind.REVIEWS,
}
SUBSCRIPTIONS = ("Job", "Person", "Review")

# A verb may follow or precede, and the separators are not documented: `Person.updated`, `job_created`.
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def verify(body: bytes, secrets: tuple[str, ...], now: float) -> None:
    """Compare ``signature.signed_payload`` with the HMAC-SHA256 of the payload under any of the secrets.

    The page's list of steps is lost in our copy: the digest is taken over ``JSON.stringify(payload)`` or over
    ``"{timestamp}.{JSON.stringify(payload)}"``. Both need the secret, so accepting either is safe. Raises Unverified.
    """
    payload, given, timestamp = _parts(body)
    try:
        printed = stringify(payload)
    except RecursionError:
        raise Unverified("the payload is nested too deeply", why="malformed") from None
    signed = (printed, f"{timestamp}.".encode() + printed)
    matches = [
        hmac.compare_digest(hmac.new(secret.encode(), text, hashlib.sha256).hexdigest().encode(), given)
        for secret in secrets
        for text in signed
    ]
    if not any(matches):
        raise Unverified("the signature fits none of this connection's secrets", why="signature")
    if abs(now - timestamp) > HOOK_TOLERANCE_S:
        raise Unverified("the signature is too old or from the future", why="stale")


def _parts(body: bytes) -> tuple[Any, bytes, int]:
    try:
        content = orjson.loads(body)
        payload, signature = content["payload"], content["signature"]
        given, timestamp = signature["signed_payload"], signature["timestamp"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Unverified("the body has no payload with a signature", why="malformed") from error
    if not isinstance(given, str) or not _HEX_DIGEST.fullmatch(given):
        raise Unverified("the signature is not a hex digest", why="malformed")
    if isinstance(timestamp, bool) or not isinstance(timestamp, int):
        raise Unverified("the signature has no timestamp", why="malformed")
    return payload, given.lower().encode(), timestamp


def read(body: bytes) -> Event:
    """The event in a verified body: only ids, so a hint to fetch the entity. Raises ValueError when it is malformed."""
    content = orjson.loads(body)
    payload = content.get("payload") if isinstance(content, Mapping) else None
    if not isinstance(payload, Mapping):
        raise ValueError("the payload is not an object")  # noqa: TRY004 - the content is wrong, not our call
    code, ref, company = (payload.get(name) for name in ("event_code", "entity_id", "company_id"))
    if not isinstance(code, str) or not is_ref(ref):
        raise ValueError("no event_code or entity_id in the payload")
    account = str(company) if isinstance(company, str | int) else None
    kind = entity_of(code)
    return Event(code, kind, str(ref) if kind else None, account=account)


def entity_of(code: str) -> Kind | None:
    """The kind whose entity an event code names."""
    words = [word.lower() for word in _WORDS.findall(code)]
    if exact := next((ENTITIES[word] for word in words if word in ENTITIES), None):
        return exact
    # In one piece (`PERSONUPDATED`) or in the plural (`jobs.created`).
    places = {code.lower().find(word): kind for word, kind in ENTITIES.items() if word in code.lower()}
    return places[min(places)] if places else None
