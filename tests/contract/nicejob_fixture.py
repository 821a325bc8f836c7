"""NiceJob for the contract suite."""

import hashlib
import hmac

import orjson

from connectors.nicejob.platform import PLATFORM
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.nicejob.settings import NiceJobSettings
from mapping.capability import Act, Voice
from mapping.identity import origin_mark
from mapping.model import Kind
from mapping.wish import Write

MARK = origin_mark("elsewhere", "acc", Kind.BOOKINGS, "b1")
SECRETS = ("nj_secret_0a1b2c3d4e5f60718293a4b5", "nj_refresh_a5b4c3d2e1f0a9b8c7d6")
LISTS = {Kind.PEOPLE: "/v2/people", Kind.BOOKINGS: "/v2/bookings", Kind.REVIEWS: "/v2/reviews"}
OPTIONAL = {
    Kind.PEOPLE: ("phone", "phone"),
    Kind.BOOKINGS: ("scheduled_time", "starts"),
    Kind.REVIEWS: ("author", "author"),
}
BROKEN = {
    Kind.PEOPLE: {"created_at": "planted@guest.example"},
    Kind.BOOKINGS: {"scheduled_time": "planted@guest.example"},
    Kind.REVIEWS: {"rating": "planted@guest.example"},
}
WRITES = (
    (Kind.PEOPLE, Act.CREATE),
    (Kind.PEOPLE, Act.UPDATE),
    (Kind.BOOKINGS, Act.CREATE),
    (Kind.BOOKINGS, Act.UPDATE),
    (Kind.BOOKINGS, Act.COMPLETE),
    (Kind.BOOKINGS, Act.CANCEL),
    (Kind.VISITS, Act.CREATE),
    (Kind.VISITS, Act.UPDATE),
    (Kind.VISITS, Act.COMPLETE),
    (Kind.ENROLMENTS, Act.CREATE),
)
WRITE_PATH = r"/v2/(people|bookings|visits|campaign_enrollments)"


def sandbox(**options):
    box = NiceJobSandbox(client_secret=SECRETS[0], retry_scale=0, **options)
    box.add_company("Parnell Nails", refresh_token=SECRETS[1])
    return box


def settings(box, url, **more):
    given = {
        "client_id": box.client_id,
        "client_secret": box.client_secret,
        "refresh_token": SECRETS[1],
    }
    return NiceJobSettings(platform="nicejob", base_url=url, **(given | more))


def table(box, kind):
    return box.company().tables[kind.value].rows


def seed(box, kind, count):
    box.seed(**{kind.value: count})
    return set(table(box, kind))


def listing(kind, rows):
    return {"cursor": None, "data": rows, "error": None}


def guest(box, email="ann@example.com"):
    known = box.company().tables["people"].with_email(email)
    return known or box.create_person(first_name="Ann", email=email, tags=["vip"])


def write(box, kind, act, *, loud=None, **fields):
    """A write that succeeds, whatever has to be there first; loud only where it can be nothing else."""
    if loud is None:
        loud = PLATFORM.kinds[kind].acts[act] is Voice.LOUD
    if kind is Kind.PEOPLE:
        if act is Act.UPDATE:
            return Write(kind, act, guest(box), {"phone": "+64215550177"} | fields, MARK)
        wanted = {"first_name": "Planted", "last_name": "Guestname", "email": "planted@guest.example"}
        return Write(kind, act, None, wanted | {"tags": [MARK]} | fields, MARK)
    if kind is Kind.ENROLMENTS:
        return Write(kind, act, None, {"person": guest(box)} | fields, MARK, loud=loud)
    if kind is Kind.VISITS:
        return _visit(box, act, loud=loud, **fields)
    if act is Act.CREATE:
        wanted = {"title": "Gel Manicure", "people": [guest(box)], "tags": [MARK], "status": "confirmed"}
        return Write(kind, act, None, wanted | fields, MARK, loud=loud)
    ref = box.create_booking(name="Visit", person_ids=[guest(box)], tags=["vip"])
    wanted = {
        Act.UPDATE: {"title": "Gel Manicure"},
        Act.COMPLETE: {"status": "completed"},
        Act.CANCEL: {"tags": ["cancelled", "noreview"]},
    }[act]
    return Write(kind, act, ref, wanted | fields, MARK, loud=loud)


def _visit(box, act, *, loud, **fields):
    box.set_campaign_settings(visits_enrol=True)
    owner = box.create_booking(name="Gel Manicure", person_ids=[guest(box)])
    if act is Act.CREATE:
        wanted = {"booking": owner, "people": [guest(box)], "title": "Removal", "tags": [MARK]}
        return Write(Kind.VISITS, act, None, wanted | {"status": "confirmed"} | fields, MARK, loud=loud)
    row = {"booking_id": owner, "person_id": guest(box), "name": "Visit", "tags": ["vip"]}
    ref = box.create(box.company(), "visits", row, by="staff")["id"]
    wanted = {"status": "completed"} if act is Act.COMPLETE else {"title": "Removal"}
    return Write(Kind.VISITS, act, ref, wanted | fields, MARK, loud=loud)


def spoken(box):
    return box.enrolments


def signed(box, secret, at):
    payload = {"company_id": box.company().id, "entity_id": "ent_1", "event_code": "Job.updated"}
    digest = hmac.new(secret.encode(), orjson.dumps(payload), hashlib.sha256).hexdigest()
    return {}, orjson.dumps({"payload": payload, "signature": {"signed_payload": digest, "timestamp": at}})


HINT = (Kind.BOOKINGS, "ent_1")
