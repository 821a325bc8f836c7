"""NearbyAssist for the contract suite."""

import hashlib
import hmac

import orjson

from connectors.nearbyassist.sandbox import NearbyAssistSandbox
from connectors.nearbyassist.settings import NearbyAssistSettings
from mapping.capability import Act
from mapping.identity import origin_mark
from mapping.model import Kind
from mapping.wish import Write

MARK = origin_mark("elsewhere", "acc", Kind.BOOKINGS, "b1")
SECRETS = ("na_live_sandbox0000000000000000000000000",)
GUEST = {
    "first_name": "Planted",
    "last_name": "Guestname",
    "email": "planted@guest.example",
    "phone": "+64 21 555 0199",
}
GEL = "svc_1"
ANNA, TAMA = "stf_abc", "stf_def"
OPENING = "2026-06-09T21:00:00.000Z"
PARTNER = "/api/integrations/partner"
LISTS = {Kind.BOOKINGS: f"{PARTNER}/bookings", Kind.REVIEWS: f"{PARTNER}/reviews"}
OPTIONAL = {Kind.BOOKINGS: ("notes", "notes"), Kind.REVIEWS: ("title", "title")}
BROKEN = {
    Kind.BOOKINGS: {"startTime": "planted@guest.example"},
    Kind.REVIEWS: {"rating": "planted@guest.example"},
}
WRITES = ((Kind.BOOKINGS, Act.CREATE), (Kind.BOOKINGS, Act.UPDATE), (Kind.BOOKINGS, Act.CANCEL))
WRITE_PATH = r"/partner/bookings"
WRITE_CALLS = {(Kind.BOOKINGS, Act.UPDATE): ("PATCH", WRITE_PATH)}


def sandbox(**options):
    return NearbyAssistSandbox(retry_scale=0, **options)


def settings(box, url, **more):
    given = {"api_key": box.api_key} | more
    given = {name: value for name, value in given.items() if value is not None}
    return NearbyAssistSettings(platform="nearbyassist", base_url=url, **given)


def seed(box, kind, count):
    """Fill the sandbox; gives the ids that a listing must show."""
    box.seed(**{kind.value: count})
    return set(getattr(box.business, kind.value))


def listing(kind, rows):
    return {kind.value: rows, "total": len(rows), "page": 1, "limit": 100}


def write(box, kind, act, *, loud=True, **fields):
    """A write that succeeds, whatever has to be there first."""
    if act is Act.CREATE:
        wanted = {"service": GEL, "starts": OPENING, "staff": ANNA, "notes": "Window seat"} | fields
        return Write(kind, act, None, wanted, MARK, loud=loud, person=GUEST)
    ref = box.create_booking(OPENING, guest(box), staff_id=ANNA)
    return Write(
        kind, act, ref, {"notes": "Door seat"} | fields if act is Act.UPDATE else {}, MARK, loud=loud
    )


def guest(box):
    return box.add_customer("Alex", "Smith", "alex@example.com", "+64 21 555 0100")


def spoken(box):
    return box.messages_to_guests


def signed(box, secret, at):
    body = orjson.dumps(
        {"event": "booking.updated", "timestamp": "2026-06-01T03:12:00.000Z", "data": {"id": "bkg_1"}}
    )
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-nearbyassist-signature": digest}, body


HINT = (Kind.BOOKINGS, "bkg_1")
