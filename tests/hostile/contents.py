"""Hostile contents: genuine deliveries of each platform, bent and then signed as if they were none."""

import hashlib
import hmac
import json

import orjson

from connectors.jsjson import stringify
from tests.hostile.house import SECRETS

STAMPS = (
    "2026-06-01T03:12:00.000Z",
    "2026-06-01T03:12:00+12:00",
    "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00+14:00",
)
GENUINE = {
    "salon": {
        "event": "booking.created",
        "sentAt": STAMPS[0],
        "data": {
            "id": "apt_abc123",
            "ref": "VRD-7QK2M9",
            "service": "Gel Manicure",
            "startAt": "2026-06-10T21:00:00.000Z",
            "durationMin": 60,
            "priceCents": 7500,
            "status": "pending",
        },
    },
    "reviews": {"company_id": "com1", "entity_id": "per1", "event_code": "Person.updated"},
    "stays": {
        "event": "booking.updated",
        "data": {
            "id": 9001,
            "propertyId": 101,
            "channel": "direct",
            "status": "confirmed",
            "arrival": "2026-07-14",
            "departure": "2026-07-18",
            "adults": 2,
            "children": 1,
            "amount": "620.00",
            "currency": "EUR",
            "notes": "A baby cot.",
            "guestName": "Zoë Müller",
            "customParameters": {"external_status": "ready", "late": None},
            "createdAt": "2026-05-01T01:00:00.000Z",
            "updatedAt": "2026-06-01T03:10:00.000Z",
        },
    },
    "market": {
        "event": "booking.updated",
        "timestamp": STAMPS[0],
        "data": {
            "id": "bkg_01HZX",
            "status": "confirmed",
            "startTime": "2026-06-11T09:00:00.000+12:00",
            "price": 75,
            "customer": {"id": "cus_zoe", "firstName": "Zoë", "email": "zoe@example.com"},
        },
    },
}
WORDS = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\r\nINFO forged log line", "\x1b[2J\x1b]0;owned\x07",
    "\u202eevil\u200b", '=HYPERLINK("http://evil.example","x")', "+cmd|' /C calc'!A0", "@SUM(A1)", "-1+1",
    "booking.title + secret", "${BOOKATU_API_KEY}", "${file:/etc/passwd}", "'; DROP TABLE record;--", "%s%n%x", "{0.__class__}",
    "[red]x[/red]", "[link=http://evil.example]x[/link]", 'a"} 1\nbookferry_forged{x="', "\0", "..", ".", "../../etc/passwd",
    "a/b?c#d", "a\r\nx-injected: 1", "bookferry-aaaaaaaaaaaaaaaa", "NaN", "null", "true", "1e400", " ", "", "\ufeff", "é" * 500,
    "A" * 5_000, "*", "%2e%2e", "\u2028", "🧨",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**30, -(10**40), 0.1, 1e308, -1e-320)
SHAPES = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    {"": ""},
    [None] * 50,
    {"id": "x"},
    ["a", 1, {"b": []}],
    {"__proto__": {"x": 1}},
)
TEXTS = (
    b"NaN", b"-Infinity", b"1e400", b"-0", b"1" * 400, b"0x10", b"01", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff\xfe"',
    b'"\xed\xa0\x80"', b'"\\u0000"', b'"\n"', b"undefined", b"{}}", b"/*x*/1", b"'x'",
)  # fmt: skip


def delivery(random, name=None):
    """One delivery: the connection, its headers, its body, and whether it is as the platform would send it."""
    name = name or random.choice(tuple(GENUINE))
    payload = orjson.loads(orjson.dumps(GENUINE[name]))
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        payload = _bent(random, payload)
    body = _text(random, payload)
    return name, *signed(name, body)


def genuine(random, number):
    """A delivery that has to be taken."""
    name = random.choice(tuple(GENUINE))
    payload = orjson.loads(orjson.dumps(GENUINE[name]))
    place, key = (payload, "entity_id") if name == "reviews" else (payload["data"], "id")
    place[key] = number if name == "stays" else f"genuine{number}"
    return name, *signed(name, orjson.dumps(payload))


def signed(name, body, at=None):
    """The headers and the body as a platform sends them, signed."""
    import time

    at = int(time.time() if at is None else at)
    headers = {"content-type": "application/json"}
    if name == "reviews":
        return headers, _wrapped(body, at)
    timed = name in {"salon", "stays"}
    digest = _digest(name, f"{at}.".encode() + body if timed else body)
    header = {
        "salon": "x-bookatu-signature",
        "stays": "x-nowistay-signature",
        "market": "x-nearbyassist-signature",
    }[name]
    return headers | {header: f"t={at},v1={digest}" if timed else digest}, body


def _wrapped(payload, at):
    """NiceJob signs the payload as JavaScript prints it, inside the body."""
    try:
        printed = stringify(orjson.loads(payload))
    except (ValueError, RecursionError):
        printed = payload
    given = b'{"signed_payload":"%s","timestamp":%d}' % (_digest("reviews", printed).encode(), at)
    return b'{"payload":' + payload + b',"signature":' + given + b"}"


def _digest(name, text):
    return hmac.new(SECRETS[name].encode(), text, hashlib.sha256).hexdigest()


def _value(random):
    kind = random.random()
    if kind < 0.5:
        return random.choice(WORDS)
    if kind < 0.7:
        return random.choice(NUMBERS)
    if kind < 0.9:
        return random.choice(SHAPES)
    return random.choice((*STAMPS, *STAMPS, "2026-02-30T00:00:00Z", 1e12, -1e18, 253402300800))


def _bent(random, value):
    """The same with one place changed: another value, another shape, gone, or more beside it."""
    if not isinstance(value, dict) or not value or random.random() < 0.02:
        return _value(random)
    key = random.choice(tuple(value))
    act = random.random()
    if isinstance(value[key], dict) and act < 0.75:
        return value | {key: _bent(random, value[key])}
    if act < 0.8:
        return value | {key: _value(random)}
    if act < 0.9:
        return {name: item for name, item in value.items() if name != key}
    return value | {random.choice(WORDS): _value(random)}


def _text(random, payload):
    """The bytes of a payload: mostly as JSON has them."""
    text = json.dumps(payload, ensure_ascii=random.random() < 0.5, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    act = random.random()
    if act < 0.6:
        return text
    if act < 0.66:
        return text.replace(b'"data":', b'"data":{"id":"other"},"data":', 1)
    if act < 0.72:
        at = random.choice([place for place, sign in enumerate(text) if sign in b":["] or [0]) + 1
        return text[:at] + random.choice(TEXTS) + b"," * (random.random() < 0.5) + text[at:]
    if act < 0.74:
        deep = random.choice((500, 1_000, 2_000, 100_000))
        opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return text[:-1] + b',"deep":' + opening * deep + b"1" + closing * deep + b"}"
    if act < 0.76:
        return text[:-1] + b',"pad":"' + b"x" * random.choice((60_000, 262_144, 300_000)) + b'"}'
    return _damaged(random, text)


def _damaged(random, text):
    act = random.random()
    if act < 0.4:
        bent = bytearray(text)
        for _ in range(random.choice((1, 1, 3, 20))):
            bent[random.randrange(len(bent))] ^= 1 << random.randrange(8)
        return bytes(bent)
    if act < 0.6:
        return text[: random.randrange(len(text))]
    return random.choice(
        (
            b"\xef\xbb\xbf" + text,
            text + b"x",
            text * 2,
            b"",
            b"\0" * 50,
            random.randbytes(200),
            b" " * 5_000 + text,
        )
    )
