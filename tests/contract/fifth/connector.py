"""Deskbook over the network."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from connectors import wire
from connectors.answer import Answer
from connectors.base import Connector, Surroundings
from connectors.budget import Lane
from connectors.call import segment
from connectors.errors import BadAnswer, Refused
from connectors.wire import UNREADABLE, listing, observation, quoted, version_of
from mapping.capability import Act
from mapping.identity import marks_in
from mapping.model import Kind
from mapping.record import PROVES_NOTHING, Account, Event, Observation, Page, Via
from mapping.wish import Write
from tests.contract.fifth import hooks
from tests.contract.fifth import translate as words
from tests.contract.fifth.platform import PLATFORM
from tests.contract.fifth.settings import DeskbookSettings

_VERSION = version_of(words, wire)


class Deskbook(Connector[DeskbookSettings]):
    """One desk."""

    platform = PLATFORM
    streams = (Kind.BOOKINGS,)
    hints_only = True

    def __init__(self, name: str, settings: DeskbookSettings, around: Surroundings) -> None:
        super().__init__(name, settings, around)
        key = settings.api_key.get_secret_value()
        self._http = around.client(settings.base_url or PLATFORM.origin, headers={"x-api-key": key})

    @classmethod
    def credential(cls, settings: DeskbookSettings) -> str:
        key = settings.api_key.get_secret_value().encode()
        return f"deskbook:{hashlib.blake2b(key, digest_size=6).hexdigest()}"

    async def account(self) -> Account:
        row = _object(await self._http.read("/desk"), collection=True)
        return Account(id=str(row["id"]), name=row.get("name"))

    async def pull(self, kind: Kind, position: str | None, lane: Lane = Lane.POLL) -> Page:
        answer = await self._http.read("/bookings", lane=lane)
        rows = _object(answer, collection=True).get("bookings")
        if not isinstance(rows, list):
            answer.unusable("no list of bookings")
        found = listing(kind, rows, words.booking, answer.asked_at, _VERSION, embedded=words.guests)
        return Page(found, answer.asked_at, coverage=PROVES_NOTHING)

    async def write(self, write: Write) -> Observation:
        spec = PLATFORM.kinds[write.kind]
        if write.act not in spec.acts or (write.act is Act.CANCEL and not write.loud):
            raise Refused(spec.reasons[write.act])
        if write.act is Act.CANCEL and write.ref:
            answer = await self._http.write("POST", f"/bookings/{segment(write.ref)}/cancel", json={})
        else:
            answer = await self._http.write("POST", "/bookings", json=words.encoded(write))
        return self._seen(_object(answer), answer, Via.WRITE)

    async def find(self, write: Write) -> list[Observation]:
        if write.ref:
            found = await self.fetch(write.kind, write.ref, Lane.PUSH)
            return [found] if found else []
        page = await self.pull(write.kind, None, Lane.PUSH)
        return [seen for seen in page.observations if write.mark in marks_in(seen.fields.fields())]

    async def fetch(self, kind: Kind, ref: str, lane: Lane = Lane.HOOK) -> Observation | None:
        answer = await self._http.read(f"/bookings/{segment(ref)}", lane=lane)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        return self._seen(_object(answer), answer, Via.FETCH)

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        hooks.verify(headers.get(hooks.HEADER, ""), body, secrets, self.around.now())

    def read_event(self, headers: Mapping[str, str], body: bytes, received_at: int) -> Event:
        return hooks.read(body)

    async def aclose(self) -> None:
        await self._http.aclose()

    def _seen(self, row: Mapping[str, Any], answer: Answer, via: Via) -> Observation:
        try:
            return observation(Kind.BOOKINGS, row, words.booking, answer.asked_at, via, embedded=words.guests)
        except UNREADABLE:
            answer.unusable("a booking that cannot be understood")


def _object(answer: Answer, *, collection: bool = False) -> Mapping[str, Any]:
    """The object in a successful answer; what the platform complains of is told without contact data."""
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        try:
            answer.check(collection=collection, said=_complaint(answer))
        except Refused as error:
            if answer.write or not collection:
                raise
            raise BadAnswer(error.sentence) from None  # a list is never refused for what stands in it
    said = answer.json()
    if not isinstance(said, dict):
        answer.unusable("something that is not an object")
    return said


def _complaint(answer: Answer) -> str:
    try:
        said = answer.json()
    except Exception:  # noqa: BLE001 - an error page need not be JSON; the status tells
        return ""
    return quoted(said.get("error")) if isinstance(said, dict) else ""
