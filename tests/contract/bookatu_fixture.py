"""Bookatu for the contract suite."""

import hashlib
import hmac

import orjson

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.bookatu.settings import BookatuSettings
from mapping.capability import Act
from mapping.identity import origin_mark
from mapping.model import Kind
from mapping.wish import Write

MARK = origin_mark("elsewhere", "acc", Kind.BOOKINGS, "b1")
SECRETS = ("bk_live_sandbox0000000000000000000000000",)
GUEST = {"full_name": "Planted Guestname", "email": "planted@guest.example", "phone": "+64 21 555 0199"}
GEL, EXPRESS, BRIDAL = "svc_abc123", "svc_def456", "svc_ghi789"
ANNA, TAMA = "stf_abc", "stf_def"
OPENING = "2026-06-09T21:00:00.000Z"  # Wednesday the 10th, 09:00 in Auckland
LISTS = {Kind.PEOPLE: "/customers", Kind.BOOKINGS: "/appointments"}
WORDS = {Kind.PEOPLE: "customers", Kind.BOOKINGS: "appointments"}
OPTIONAL = {Kind.PEOPLE: ("phone", "phone"), Kind.BOOKINGS: ("notes", "notes")}
BROKEN = {Kind.PEOPLE: {"email": 5}, Kind.BOOKINGS: {"startAt": "planted@guest.example"}}
WRITES = ((Kind.BOOKINGS, Act.CREATE), (Kind.BOOKINGS, Act.CANCEL))
WRITE_PATH = r"/(appointments|book)"


def sandbox(**options):
    return BookatuSandbox(retry_scale=0, **options)


def settings(box, url, **more):
    return BookatuSettings(
        platform="bookatu",
        base_url=url,
        **({"slug": "parnell-nails", "api_key": box.api_keys["parnell-nails"]} | more),
    )


def seed(box, kind, count):
    """Fill the sandbox; gives the ids that a listing must show."""
    if kind is Kind.PEOPLE:
        box.seed(people=count)
        return set(box.business().customers)
    box.seed(bookings=count)
    return set(box.business().appointments)


def listing(kind, rows):
    return {WORDS[kind]: rows}


def write(box, kind, act, *, loud=True, **fields):
    """A write that succeeds, whatever has to be there first."""
    if act is Act.CANCEL:
        ref = box.create_appointment(
            service_id=GEL,
            start_at=OPENING,
            customer_id=next(iter(box.business().customers), None) or guest(box),
        )
        return Write(kind, act, ref, {}, MARK, loud=loud)
    wanted = {"service": GEL, "starts": OPENING, "staff": ANNA, "notes": "Window seat"} | fields
    return Write(kind, act, None, wanted, MARK, loud=loud, person=GUEST)


def guest(box):
    return box.add_customer(name="Alex Smith", email="alex@example.com", phone="+64 21 555 0100")


def spoken(box):
    return box.messages_to_guests


def signed(box, secret, at):
    body = orjson.dumps(
        {
            "event": "booking.cancelled",
            "sentAt": "2026-06-01T03:12:00.000Z",
            "data": {
                "id": "apt_1",
                "ref": "VRD-1",
                "service": "Gel Manicure",
                "startAt": OPENING,
                "status": "cancelled",
            },
        }
    )
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"x-bookatu-event": "booking.cancelled", "x-bookatu-signature": f"t={at},v1={digest}"}, body


HINT = (Kind.BOOKINGS, "apt_1")
