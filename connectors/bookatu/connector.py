"""Bookatu over the network. Everything that thinks is in ``translate`` and ``hooks``."""

from collections.abc import Mapping
from typing import Any

from connectors import wire
from connectors.answer import Answer
from connectors.base import Connector, Finding, Surroundings
from connectors.bookatu import hooks
from connectors.bookatu import translate as words
from connectors.bookatu.platform import PLATFORM
from connectors.bookatu.settings import BookatuSettings
from connectors.budget import Lane
from connectors.call import segment
from connectors.errors import BadAnswer, Refused
from connectors.wire import listing, quoted, raw_of, version_of
from mapping.capability import Act
from mapping.model import Booking, Kind
from mapping.record import PROVES_NOTHING, Account, Event, Observation, Page, Via, moment
from mapping.wish import Write

_CATALOGUE_TTL_S = 3600
_CLOCKS_AGREE_MS = 2000
"""The Date header counts whole seconds: a smaller difference says nothing."""
_VERSION = version_of(words, wire)


class Bookatu(Connector[BookatuSettings]):
    """One Bookatu business."""

    platform = PLATFORM
    streams = (Kind.PEOPLE, Kind.BOOKINGS)
    redelivers_s = 86_400  # three attempts within seconds

    def __init__(self, name: str, settings: BookatuSettings, around: Surroundings) -> None:
        super().__init__(name, settings, around)
        self._http = around.client(
            f"{settings.base_url or PLATFORM.origin}/api/v1/{settings.slug}",
            headers={"authorization": f"Bearer {settings.api_key.get_secret_value()}"},
        )
        self._catalogue = words.Catalogue()
        self._catalogue_digest = b""
        self._catalogue_at = float("-inf")
        self._clock_offset = 0

    @classmethod
    def credential(cls, settings: BookatuSettings) -> str:
        return f"bookatu:{settings.base_url or PLATFORM.origin}:{settings.slug}"

    async def account(self) -> Account:
        business = self._object(await self._http.read(path="/business"))
        return words.account(self.settings.slug, business, self.settings.country)

    async def pull(self, kind: Kind, position: str | None, lane: Lane = Lane.POLL) -> Page:  # noqa: ARG002 - one page
        if kind is Kind.PEOPLE:
            answer = await self._http.read(path="/customers", lane=lane)
            # Capped at 1000 by name and without paging: it never proves that anybody is gone.
            rows = self._rows(answer, "customers")
            people = listing(kind, rows, words.customer, answer.asked_at, _VERSION)
            return Page(people, answer.asked_at, coverage=PROVES_NOTHING)
        return await self._appointments(lane)

    async def write(self, write: Write) -> Observation:
        if not write.loud:
            raise Refused(PLATFORM.kinds[Kind.BOOKINGS].reasons[write.act])
        if write.act is Act.CANCEL and write.ref is not None:
            return await self._cancel(write.ref)
        service = await self._service(write)
        staff = await self._staff(write, service)
        body = words.new_booking(write, service, staff)
        path = "/appointments" if self.settings.source == "admin" else "/book"
        answer = await self._http.write("POST", path, json=body, lane=Lane.PUSH)
        made = self._object(answer)
        if not isinstance(made.get("appointmentId"), str):
            answer.unusable("an answer without appointmentId")
        return self._answered(made["appointmentId"], words.created(made), answer)

    async def find(self, write: Write) -> list[Observation]:
        page = await self._appointments(Lane.PUSH)
        if write.ref is not None:
            return [seen for seen in page.observations if seen.ref == write.ref]
        found = [seen for seen in page.observations if words.carries(seen, write.mark)]
        expected = {"status": "confirmed", "starts": write.fields.get("starts")}
        if not found and not page.coverage.shows(expected):
            raise Refused(
                "nobody can see whether the booking was made: Bookatu lists only the next 200 from now on. Look for it in"
                " Bookatu's calendar; dismiss this if it is there, retry if it is not"
            )
        return found

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        hooks.verify(headers, body, secrets, self.around.now())

    def read_event(self, headers: Mapping[str, str], body: bytes, received_at: int) -> Event:  # noqa: ARG002 - not signed
        return hooks.read(body, received_at, self._catalogue, self._clock_offset)

    def event_key(self, body: bytes) -> bytes:
        return hooks.event_key(body)

    async def check(self) -> list[Finding]:
        findings = await super().check()
        if not self.settings.webhook_secret:
            findings.append(
                Finding(
                    ok=False,
                    what="no webhook_secret: completions and cancellations are learned from webhooks alone",
                    remedy="add an endpoint at /{slug}/admin/api and put its whsec_… secret into the YAML",
                )
            )
        return findings

    async def aclose(self) -> None:
        await self._http.aclose()

    async def staff(self) -> list[dict[str, Any]]:
        """The bookable team members, from GET /staff."""
        return self._rows(await self._http.read(path="/staff"), "staff")

    async def availability(self, service: str, date: str, staff: str | None = None) -> list[str]:
        """The free slots of a local date, as instants, from GET /availability."""
        asked = {"serviceId": service, "from": date, "to": date} | ({"staffId": staff} if staff else {})
        answer = await self._http.read(path="/availability", params=asked, lane=Lane.PUSH)
        # The service is the write's: one that is not there is the write's trouble and not the connection's.
        days = self._rows(answer, "days", collection=False)
        return [slot["startAt"] for day in days for slot in day.get("slots", [])]

    async def _appointments(self, lane: Lane) -> Page:
        await self._refresh_catalogue()
        answer = await self._http.read(path="/appointments", lane=lane)
        rows = self._rows(answer, "appointments")
        catalogue = self._catalogue
        appointments = listing(
            Kind.BOOKINGS,
            rows,
            lambda row: words.appointment(row, catalogue),
            answer.asked_at,
            _VERSION + self._catalogue_digest,
        )
        self._measure_clock(answer)
        server_now = max(answer.date or 0, answer.asked_at)
        return Page(appointments, answer.asked_at, coverage=words.coverage(appointments, server_now))

    def _measure_clock(self, answer: Answer) -> None:
        """An answer may be slow: it was stamped some time between the question and now."""
        stamped = answer.date or answer.asked_at
        offset = stamped - min(max(stamped, answer.asked_at), int(self.around.now() * 1000))
        self._clock_offset = offset if abs(offset) > _CLOCKS_AGREE_MS else 0

    async def _refresh_catalogue(self) -> None:
        """Services and business "rarely change": asked for once an hour."""
        if self.around.now() - self._catalogue_at < _CATALOGUE_TTL_S:
            return
        business = self._object(await self._http.read(path="/business"))
        services = self._object(await self._http.read(path="/services"))
        self._catalogue = words.Catalogue.read(business, services)
        # An appointment's currency and zone stand here: another catalogue, another reading of the same row.
        self._catalogue_digest = raw_of([business, services])
        self._catalogue_at = self.around.now()

    async def _service(self, write: Write) -> str:
        """The id of the service: given, or found by its name. Raises Refused when the name fits none or several."""
        if service := write.fields.get("service"):
            return str(service)
        await self._refresh_catalogue()
        name = write.fields.get("title") or ""
        ids = self._catalogue.services.get(name, ())
        if len(ids) != 1:
            how = "no service" if not ids else f"{len(ids)} services"
            raise Refused(f"{how} here called {name!r}: `set` serviceId, for example with a lookup table")
        return ids[0]

    async def _staff(self, write: Write, service: str) -> str | None:
        """Who does it: given, or the first one who is free then.

        Without a name a repeated create would be given to somebody else, and the uniqueness of (staff, start) would
        protect nobody.
        """
        if given := write.fields.get("staff"):
            return str(given if isinstance(given, str) else given[0])
        await self._refresh_catalogue()
        starts = moment(write.fields["starts"])
        day = words.local_date(write.fields["starts"], self._catalogue.zone)
        for member in await self.staff():
            free = await self.availability(service, day, member["id"])
            if any(moment(slot) == starts for slot in free):
                return str(member["id"])
        if self.settings.source == "online":
            raise Refused(
                "nobody is free at that time (GET /availability); `source: admin` would book it all the same"
            )
        return None

    async def _cancel(self, ref: str) -> Observation:
        answer = await self._http.write(
            "POST",
            f"/appointments/{segment(ref)}/cancel",
            json={"reason": "cancelled at the source (bookferry)"},
            lane=Lane.PUSH,
        )
        if self._object(answer).get("ok") is not True:
            answer.unusable("something that does not say `ok`")
        return self._answered(ref, words.status("cancelled"), answer)

    def _answered(self, ref: str, fields: dict[str, Any], answer: Answer) -> Observation:
        return Observation(
            Kind.BOOKINGS, ref, Booking.model_validate(fields), answer.body, answer.asked_at, Via.WRITE
        )

    def _rows(self, answer: Answer, word: str, *, collection: bool = True) -> list[Any]:
        rows = self._object(answer, collection=collection).get(word)
        if not isinstance(rows, list):
            answer.unusable(f"no list of {word}")
        return rows

    def _object(self, answer: Answer, *, collection: bool = True) -> dict[str, Any]:
        """The JSON object of a successful answer. Errors are ``{ok: false, error, fieldErrors?}``, whatever the status."""
        content = self._said(answer)
        try:
            _refuse(answer, content, collection=collection)
        except Refused as error:
            if answer.write or not collection:
                raise
            raise BadAnswer(error.sentence) from None  # a list is never refused for what stands in it
        return content

    def _said(self, answer: Answer) -> dict[str, Any]:
        try:
            content = answer.json()
        except Exception:
            answer.check(collection=True)
            raise
        if not isinstance(content, dict):
            answer.check(collection=True)
            answer.unusable("something that is not an object")
        return content


def _refuse(answer: Answer, content: Mapping[str, Any], *, collection: bool) -> None:
    refused, fields = content.get("ok") is False, content.get("fieldErrors")
    said = quoted(content.get("error")) if refused else ""
    complaints = (
        {name: _complaint(text) for name, text in fields.items()} if isinstance(fields, dict) else None
    )
    answer.check(collection=collection, said=said, fields=complaints)
    if refused:
        raise Refused(said or "refused without a reason")


def _complaint(said: Any) -> str:
    return quoted("; ".join(str(part) for part in said) if isinstance(said, list) else said)
