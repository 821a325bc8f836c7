"""Bookatu's webhooks: verify, read. Pure. Follows "Delivery & signing" of the "Bookatu API" page."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from connectors.base import HOOK_TOLERANCE_S
from connectors.bookatu.translate import Catalogue, amount, status
from connectors.errors import Unverified
from connectors.wire import UNREADABLE, instant, is_ref, raw_of, reason, shown
from mapping.model import Booking, Kind
from mapping.record import Event, Observation, Via

# The header is documented as "t={unixSeconds},v1={hmacSha256Hex}".
_SIGNATURE = re.compile(r"t=(\d{1,12}),\s*v1=([0-9a-fA-F]{64})")

_COMPLETED = "booking.completed"
# `poll`: the body lacks what only the list shows (the customer, the end, the staff).
EVENTS = {
    "booking.created": True,
    "booking.rescheduled": True,
    "booking.cancelled": False,
    _COMPLETED: False,
}


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...], now: float) -> None:
    """HMAC-SHA256 over ``"{t}.{rawBody}"`` with any of the secrets. Raises Unverified.

    The documents' sample checks no age and throws on an odd header; here a header that is not to the letter is
    unverified, and so is one older or newer than the tolerance.
    """
    found = _SIGNATURE.fullmatch(headers.get("x-bookatu-signature", ""))
    if found is None:
        raise Unverified("the signature header is missing or malformed", why="malformed")
    given = found[2].lower().encode()
    signed = found[1].encode() + b"." + body
    matches = [hmac.compare_digest(_sign(secret, signed), given) for secret in secrets]
    if not any(matches):
        raise Unverified("the signature fits none of this connection's secrets", why="signature")
    if abs(now - int(found[1])) > HOOK_TOLERANCE_S:
        raise Unverified("the signature is too old or from the future", why="stale")


def _sign(secret: str, signed: bytes) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()


def event_key(body: bytes) -> bytes:
    """There is no event id, but (event, id, sentAt) are all in the body, and every attempt sends the same body."""
    return body


def read(body: bytes, received_at: int, catalogue: Catalogue, clock_offset: int) -> Event:
    """The event in a verified body. ``clock_offset``: how far Bookatu's clock is ahead of ours, in milliseconds.

    ``sentAt`` orders the events; it is never taken to be later than the arrival. The event's name in the header is not
    signed: the body's counts. Raises ValueError when the body is malformed.
    """
    content = orjson.loads(body)
    if not isinstance(content, Mapping) or not isinstance(content.get("event"), str):
        raise ValueError("no `event` in the body")  # noqa: TRY004 - the content is wrong, not our call
    name = content["event"]
    if name not in EVENTS:
        return Event(name, None)
    data = content.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("id"), str) or not is_ref(data["id"]):
        raise ValueError("no `data.id` in the body")
    try:
        sent = instant(content["sentAt"])
        fields = Booking.model_validate(_fields(name, data, sent, catalogue))
    except UNREADABLE as error:
        raise ValueError(reason(error)) from error
    sent_at = round(sent.timestamp() * 1000) - clock_offset if sent else received_at
    seen = Observation(
        Kind.BOOKINGS, data["id"], fields, raw_of(data), min(sent_at, received_at), Via.WEBHOOK
    )
    return Event(name, Kind.BOOKINGS, data["id"], seen, poll=EVENTS[name])


def _fields(name: str, data: Mapping[str, Any], sent: Any, catalogue: Catalogue) -> dict[str, Any]:
    fields = shown(data, {"ref": "reference", "service": "title"})
    if "startAt" in data:
        fields["starts"] = instant(data["startAt"])
        if isinstance(data.get("durationMin"), int) and fields["starts"]:
            fields["ends"] = fields["starts"] + timedelta(minutes=data["durationMin"])
    if "status" in data:
        fields |= status(data["status"])
    if "priceCents" in data:
        fields |= amount(data["priceCents"], data.get("service"), catalogue)
    if name == _COMPLETED:
        fields["completed_at"] = sent
    return fields
