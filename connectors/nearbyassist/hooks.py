"""NearbyAssist's webhooks: verify, read. Pure. Follows "Webhook Events" of the "API Documentation" page."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from connectors.errors import Unverified
from connectors.jsjson import js_normalise
from connectors.nearbyassist.translate import Words, dig
from connectors.wire import is_ref
from mapping.model import Kind
from mapping.record import Event

# booking.created, booking.updated, booking.cancelled, review.created.
FAMILIES = {"booking": Kind.BOOKINGS, "review": Kind.REVIEWS}
# lead.received, lead.accepted ("A lead was accepted and charged"), message.received (what a guest wrote),
# payment.completed: counted, and never stored.
NONE_OF_OURS = frozenset({"lead", "message", "payment"})

# Where the event's name, its entity and the entity's id may stand is not documented: these places are tried in turn,
# after those of the settings.
_NAMES = ("event", "type", "event.type", "event.name", "eventType", "event_type", "topic", "name")
_ENTITIES = ("data", "data.object", "payload", "object")
_IDS = ("id", "_id", "uuid")

_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_SEPARATORS = re.compile(r"[^a-z0-9]+")


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...], header: str) -> None:
    """HMAC-SHA256 over ``JSON.stringify(req.body)`` with any of the secrets. Raises Unverified.

    The page's own sample prints the parsed body anew. So the bytes as they came are tried first, and then the bytes as
    JavaScript would print them. No time is signed, and so none is checked: an event is only a hint to look.
    """
    given = headers.get(header.lower(), "")
    if not _HEX_DIGEST.fullmatch(given):
        raise Unverified("the signature header is missing or malformed", why="malformed")
    signed = [body]
    with suppress(ValueError):  # not JSON: then it is not what the platform signs, but the bytes decide
        signed.append(js_normalise(body))
    matches = [
        hmac.compare_digest(
            hmac.new(secret.encode(), text, hashlib.sha256).hexdigest().encode(), given.lower().encode()
        )
        for secret in secrets
        for text in signed
    ]
    if not any(matches):
        raise Unverified("the signature fits none of this connection's secrets", why="signature")


def read(body: bytes, words: Words) -> Event:
    """The event in a verified body: a hint to fetch what it names. Raises ValueError when it is malformed.

    It is read as JavaScript reads it: exactly that object is what the signature vouches for.
    """
    content = json.loads(js_normalise(body))  # and not orjson: half an emoji must not cost the event
    if not isinstance(content, Mapping):
        raise ValueError("the body is not an object")  # noqa: TRY004 - the content is wrong, not our call
    name = _name(content, words)
    if name is None:
        raise ValueError("no name of an event in the body (`fields.event` names its place)")
    family = _SEPARATORS.split(name.lower())[0]
    kind = FAMILIES.get(family)
    if kind is None:
        return Event(name, None, drop=family in NONE_OF_OURS)
    ref = _ref(content, family, words)
    if ref is None:
        raise ValueError(
            f"no id of a {family} in the body (`fields.event_data` and `fields.id` name its place)"
        )
    return Event(name, kind, ref)


def _name(content: Mapping[str, Any], words: Words) -> str | None:
    found = (dig(content, path) for path in (words.fields.event, *_NAMES))
    name = next((value for value in found if isinstance(value, str) and value.strip()), None)
    return name and name.strip().encode("utf-8", "replace").decode()


def _ref(content: Mapping[str, Any], family: str, words: Words) -> str | None:
    entities = [
        found
        for path in (words.fields.event_data, *_ENTITIES, family)
        if isinstance(found := dig(content, path), Mapping)
    ]
    # `id` beside the entity is the event's own; `bookingId` is not.
    own = [f"{family}Id", f"{family}_id"]
    for value in (*_values(entities or [content], [words.fields.id, *own, *_IDS]), *_values([content], own)):
        if is_ref(value):
            return str(value).encode("utf-8", "replace").decode()
    return None


def _values(entities: list[Mapping[str, Any]], names: list[str]) -> Iterator[Any]:
    return (entity.get(name) for entity in entities for name in names)
