"""Deskbook for the contract suite: the platform that stands in docs/connectors.md and nowhere else."""

import orjson

from mapping.capability import Act
from mapping.identity import origin_mark
from mapping.model import Kind
from mapping.wish import Write
from tests.contract.fifth import hooks
from tests.contract.fifth.sandbox import DeskbookSandbox
from tests.contract.fifth.settings import DeskbookSettings

MARK = origin_mark("elsewhere", "acc", Kind.BOOKINGS, "b1")
SECRETS = ("db_live_sandbox000000000000000000",)
GUEST = {"full_name": "Planted Guestname", "email": "planted@guest.example", "phone": "+64 21 555 0199"}
OPENING = "2026-06-09T21:00:00.000Z"
LISTS = {Kind.BOOKINGS: "/bookings"}
OPTIONAL = {Kind.BOOKINGS: ("notes", "notes")}
BROKEN = {Kind.BOOKINGS: {"startAt": "planted@guest.example"}}
WRITES = ((Kind.BOOKINGS, Act.CREATE), (Kind.BOOKINGS, Act.CANCEL))
WRITE_PATH = "/bookings"


def sandbox(**options):
    return DeskbookSandbox(SECRETS[0], retry_scale=0, **options)


def settings(box, url, **more):
    return DeskbookSettings(platform="deskbook", base_url=url, **({"api_key": box.api_key} | more))


def seed(box, kind, count):
    """Fill the sandbox; gives the ids that a listing must show."""
    box.seed(bookings=count)
    return set(box.bookings)


def listing(kind, rows):
    return {"bookings": rows}


def write(box, kind, act, *, loud=True, **fields):
    """A write that succeeds, whatever has to be there first."""
    if act is Act.CANCEL:
        return Write(kind, act, box.add_booking(OPENING), {}, MARK, loud=loud)
    wanted = {"title": "Desk", "starts": OPENING, "notes": "Window seat"} | fields
    return Write(kind, act, None, wanted, MARK, loud=loud, person=GUEST)


def spoken(box):
    return box.told


def signed(box, secret, at):
    body = orjson.dumps({"event": "booking.cancelled", "id": "bk_1"})
    return {hooks.HEADER: hooks.sign(secret, at, body)}, body


HINT = (Kind.BOOKINGS, "bk_1")
