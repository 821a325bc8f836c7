"""Nowistay's webhooks: verify, read. Pure. Follows "Webhooks (real-time events)" of the public REST API's guide.

That page says "signed (HMAC-SHA256)" and not how: three forms of the header are read, all of them keyed.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from connectors.base import HOOK_TOLERANCE_S
from connectors.errors import Unverified
from connectors.wire import UNREADABLE, instant, is_ref, reason
from mapping.model import Kind
from mapping.record import Event, Observation

EVENTS = ("booking.created", "booking.updated")

_TIMED = re.compile(r"t=(\d{1,12}),\s*v1=([0-9a-fA-F]{64})")
_PLAIN = re.compile(r"(sha256=)?([0-9a-fA-F]{64})")


class Form(StrEnum):
    """What the header of a signature looks like, the weakest first."""

    HEX = "hex"
    SHA256 = "sha256"
    TIMED = "timed"
    """With a time inside what is signed: only this one grows stale."""


@dataclass(frozen=True, slots=True)
class Given:
    """A signature as the header shows it."""

    form: Form
    digest: bytes
    timestamp: int | None = None

    def signed(self, body: bytes) -> bytes:
        """What the digest is over."""
        return body if self.timestamp is None else f"{self.timestamp}.".encode() + body


def given(header: str) -> Given:
    """Read the header. Raises Unverified."""
    if found := _TIMED.fullmatch(header.strip()):
        return Given(Form.TIMED, found[2].lower().encode(), int(found[1]))
    if found := _PLAIN.fullmatch(header.strip()):
        return Given(Form.SHA256 if found[1] else Form.HEX, found[2].lower().encode())
    raise Unverified("the signature header is missing or malformed", why="malformed")


def verify(
    header: str, body: bytes, secrets: tuple[str, ...], now: float, pinned: Form | None = None
) -> Form:
    """HMAC-SHA256 under any of the secrets; gives the form that fitted. Raises Unverified.

    ``pinned``: the form that fitted before. One without a time is not taken back once there was one with a time.
    """
    found = given(header)
    if pinned is Form.TIMED and found.form is not Form.TIMED:
        raise Unverified("the signature has no time, and those before it had one", why="form")
    signed = found.signed(body)
    matches = [hmac.compare_digest(_sign(secret, signed), found.digest) for secret in secrets]
    if not any(matches):
        raise Unverified("the signature fits none of this connection's secrets", why="signature")
    if found.timestamp is not None and abs(now - found.timestamp) > HOOK_TOLERANCE_S:
        raise Unverified("the signature is too old or from the future", why="stale")
    return found.form


def _sign(secret: str, signed: bytes) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()


def read(
    body: bytes,
    named: str | None,
    understand: Callable[[Mapping[str, Any], int], Observation] | None,
    received_at: int,
    clock_offset: int = 0,
) -> Event:
    """The event in a verified body: a booking, bare or under ``data``. Raises ValueError when it is malformed.

    ``named``: the event by its header, which is not signed and counts only where the body does not say.
    ``understand``: makes an observation of a booking as of a moment; None: the body is a hint alone. A booking that
    does not say when it was changed is a hint too: an old one that is sent again must not win over newer knowledge.
    """
    content = orjson.loads(body)
    if not isinstance(content, Mapping):
        raise ValueError("not an object")  # noqa: TRY004 - the content is wrong, not our call
    data = content.get("data")
    row = data if isinstance(data, Mapping) else content
    name = next((said for said in (content.get("event"), named) if isinstance(said, str)), None)
    ref = row.get("id")
    if name is not None and name not in EVENTS:
        return Event(name, None)
    if not is_ref(ref):
        raise ValueError("no booking with an `id` in the body")
    hint = Event(name or EVENTS[1], Kind.BOOKINGS, str(ref))
    if understand is None or name is None:
        return hint
    return _told(hint, row, understand, received_at, clock_offset)


def _told(
    hint: Event,
    row: Mapping[str, Any],
    understand: Callable[[Mapping[str, Any], int], Observation],
    received_at: int,
    clock_offset: int,
) -> Event:
    try:
        changed = instant(row.get("updatedAt"))
        if changed is None:
            return hint
        as_of = round(changed.timestamp() * 1000) - clock_offset
        seen = understand(row, min(as_of, received_at))
    except UNREADABLE as error:
        raise ValueError(reason(error)) from error
    return Event(hint.name, hint.kind, hint.ref, seen)
