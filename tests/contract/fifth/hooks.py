"""Deskbook's webhooks: verify, read. Pure."""

import hashlib
import hmac
import re
from collections.abc import Mapping

import orjson

from connectors.base import HOOK_TOLERANCE_S
from connectors.errors import Unverified
from mapping.model import Kind
from mapping.record import Event

HEADER = "x-deskbook-signature"
_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


def sign(secret: str, moment: int, body: bytes) -> str:
    """What the header says."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def verify(header: str, body: bytes, secrets: tuple[str, ...], now: float) -> None:
    """HMAC-SHA256 over ``"{t}.{body}"`` with any of the secrets. Raises Unverified."""
    found = _SIGNATURE.fullmatch(header)
    if found is None:
        raise Unverified("the signature header is missing or malformed", why="malformed")
    moment = int(found[1])
    matches = [hmac.compare_digest(sign(secret, moment, body), header) for secret in secrets]
    if not any(matches):
        raise Unverified("the signature fits none of this connection's secrets", why="signature")
    if abs(now - moment) > HOOK_TOLERANCE_S:
        raise Unverified("the signature is too old or from the future", why="stale")


def read(body: bytes) -> Event:
    """Which booking it is about: it is fetched. Raises ValueError."""
    said = orjson.loads(body)
    if not isinstance(said, Mapping) or not isinstance(said.get("id"), str):
        raise ValueError("no `id` in the body")  # noqa: TRY004 - the content is wrong, not our call
    return Event(str(said.get("event")), Kind.BOOKINGS, said["id"])
