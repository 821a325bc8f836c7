"""Nowistay for the contract suite."""

import hashlib
import hmac

import orjson

from connectors.nowistay.sandbox import NowistaySandbox
from connectors.nowistay.settings import NowistaySettings
from mapping.capability import Act
from mapping.identity import origin_mark
from mapping.model import Kind
from mapping.wish import Write

MARK = origin_mark("elsewhere", "acc", Kind.BOOKINGS, "b1")
SECRETS = ("nis_secret_0a1b2c3d4e5f60718293a4b5", "nis_refresh_a5b4c3d2e1f0a9b8c7d6")
LISTS = {Kind.BOOKINGS: "/public/v1/bookings", Kind.MISSIONS: "/public/v1/missions"}
OPTIONAL = {Kind.BOOKINGS: ("notes", "notes"), Kind.MISSIONS: ("scheduledAt", "starts")}
BROKEN = {
    Kind.BOOKINGS: {"arrival": "planted@guest.example"},
    Kind.MISSIONS: {"scheduledAt": "planted@guest.example"},
}
WRITES = (
    (Kind.BOOKINGS, Act.UPDATE),
    (Kind.PARAMETERS, Act.CREATE),
    (Kind.PARAMETERS, Act.UPDATE),
    (Kind.MISSIONS, Act.CREATE),
    (Kind.MISSIONS, Act.UPDATE),
)
WRITE_PATH = r"/v1/(bookings|booking-parameters|missions)"
_BOOKING = ("PATCH", r"/v1/bookings/\d+$")
WRITE_CALLS = {
    (Kind.BOOKINGS, Act.UPDATE): _BOOKING,
    (Kind.PARAMETERS, Act.CREATE): _BOOKING,
    (Kind.PARAMETERS, Act.UPDATE): _BOOKING,
    (Kind.MISSIONS, Act.CREATE): ("POST", r"/v1/missions$"),
    (Kind.MISSIONS, Act.UPDATE): ("PATCH", r"/v1/missions/\d+$"),
}
LATER = "2026-07-18T11:30:00.000Z"


def sandbox(**options):
    given = {"client_secret": SECRETS[0], "refresh_token": SECRETS[1], "retry_scale": 0}
    box = NowistaySandbox(**(given | options))
    box.add_property()
    return box


def settings(box, url, **more):
    given = {"client_id": box.client_id, "client_secret": SECRETS[0], "refresh_token": SECRETS[1]}
    return NowistaySettings(platform="nowistay", base_url=url, **(given | more))


def table(box, kind):
    return getattr(box.tables, kind.value)


def seed(box, kind, count):
    box.seed(**{kind.value: count})
    return {str(ref) for ref in table(box, kind)}


def listing(kind, rows):
    pages = {"page": 1, "limit": 100, "totalItems": len(rows), "totalPages": 1}
    return {"data": rows, "pagination": pages}


def stay(box, **values):
    given = {"guestName": "Planted Guestname", "guestEmail": "planted@guest.example", "amount": "480.00"}
    return str(box.add_booking(**(given | values)))


def write(box, kind, act, *, loud=False, **fields):
    """A write that succeeds, whatever has to be there first."""
    if kind is Kind.BOOKINGS:
        wanted = {"arrival": "2026-07-15", "adults": 3, "notes": "A baby cot."}
        return Write(kind, act, stay(box), wanted | fields, MARK, loud=loud)
    if kind is Kind.PARAMETERS:
        return _parameter(box, act, loud=loud, **fields)
    if act is Act.UPDATE:
        ref = str(box.add_mission())
        return Write(kind, act, ref, {"title": "Linen change"} | fields, MARK, loud=loud)
    place = str(box.property_id())
    wanted = {"place": place, "type": "cleaning", "title": "Checkout cleaning", "starts": LATER}
    return Write(kind, act, None, wanted | {"booking": stay(box)} | fields, MARK, loud=loud)


def _parameter(box, act, *, loud, **fields):
    if act is Act.CREATE:
        wanted = {"booking": stay(box), "key": "external_status", "value": "ready"} | fields
        return Write(Kind.PARAMETERS, act, None, wanted, MARK, loud=loud)
    box.add_parameter("external_status")
    ref = stay(box, customParameters={"external_status": "new"})
    return Write(Kind.PARAMETERS, act, f"{ref}/external_status", {"value": "ready"} | fields, MARK, loud=loud)


def spoken(box):
    return box.guest_messages


def signed(box, secret, at):
    row = {"id": 9001, "propertyId": 101, "status": "cancelled", "notes": "x_1"}
    body = orjson.dumps(row | {"updatedAt": "2026-06-01T03:00:00.000Z"})
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"x-nowistay-event": "booking.updated", "x-nowistay-signature": f"t={at},v1={digest}"}, body


HINT = (Kind.BOOKINGS, "9001")
