"""Nowistay over the network. Everything that thinks is in ``translate``, ``paging``, ``answers`` and ``hooks``."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from connectors import wire
from connectors.answer import Answer
from connectors.base import Connector, Finding, Surroundings
from connectors.budget import Lane
from connectors.call import segment
from connectors.consent import Consent
from connectors.errors import BadAnswer, NeedsHuman, Refused, Unrenewed
from connectors.nowistay import hooks, paging
from connectors.nowistay import translate as words
from connectors.nowistay.answers import check, listed, route_scopes, whole
from connectors.nowistay.custom_fields import CustomFields
from connectors.nowistay.lists import everything
from connectors.nowistay.login import Login, consent
from connectors.nowistay.paging import Position
from connectors.nowistay.platform import PLATFORM
from connectors.nowistay.settings import ASSUMED_PATHS, SENSITIVE, NowistaySettings
from connectors.nowistay.webhooks import Webhooks
from connectors.wire import UNREADABLE, Embedded, Translate, listing, observation, raw_of, version_of
from mapping.capability import Act
from mapping.model import Kind, Parameter
from mapping.record import PROVES_NOTHING, Account, Event, Listing, Observation, Page, Via, moment
from mapping.wish import Write

_PLACES_TTL_S = 3600
_CLOCKS_AGREE_MS = 2000
"""The Date header counts whole seconds: a smaller difference says nothing."""
_FEW_PAGES = 500
_VERSION = version_of(words, wire)


class Nowistay(Connector[NowistaySettings]):
    """One host's account in Nowistay."""

    platform = PLATFORM
    streams = (Kind.BOOKINGS, Kind.MISSIONS)
    hints_only = True

    def __init__(self, name: str, settings: NowistaySettings, around: Surroundings) -> None:
        super().__init__(name, settings, around)
        self._login = Login(name, settings, around)
        origin = settings.base_url or PLATFORM.origin
        self._http = around.client(f"{origin}/public/v1", auth=self._login.auth, scopes=route_scopes)
        self._paths = words.PATHS | {str(name): path for name, path in settings.paths.items()}
        named = {str(ours): theirs for ours, theirs in settings.fields.items()}
        self._words = words.Words(named, settings.statuses, settings.door_codes)
        self._places: dict[str, words.Place] = {}
        self._places_digest = b""
        self._places_at = float("-inf")
        self._places_lock = asyncio.Lock()
        self._lost: set[str] = set()
        self._clock_offset = 0
        self._form: hooks.Form | None = None
        self._fields = CustomFields(name, self._http, self._paths["booking_parameters"])
        self.webhooks = Webhooks(name, self._http, self._paths["webhooks"], self._followed)

    @classmethod
    def credential(cls, settings: NowistaySettings) -> str:
        origin = settings.base_url or PLATFORM.origin
        return f"nowistay:{origin}:{settings.client_id or 'registered'}"

    @classmethod
    def consent(cls, settings: NowistaySettings) -> Consent:
        return consent(settings)

    @property
    def token_name(self) -> str:
        return self._login.token_name

    async def account(self) -> Account:
        """There is no call that names the account: all that is known of it are its properties.

        Its id is the platform's name. It goes into origin marks together with a booking's id, and must not change when
        a client is registered anew.
        """
        await self._refresh_places(Lane.POLL)
        places = list(self._places.values())
        zones, countries = {each.zone for each in places}, {each.country for each in places}
        return Account(
            id=PLATFORM.name,
            name=places[0].name if len(places) == 1 else f"{len(places)} properties",
            zone=zones.pop() if len(zones) == 1 else None,
            country=self.settings.country or (countries.pop() if len(countries) == 1 else None),
        )

    async def pull(self, kind: Kind, position: str | None, lane: Lane = Lane.POLL) -> Page:
        await self._refresh_places(lane)
        here, parts = _position_of(position), self._parts(kind)
        if here.part >= len(parts):
            raise BadAnswer("the stored position is none of this list's: it is read from its start.")
        answer, rows, total = await self._page(kind, here, parts[here.part], lane)
        self._measure_clock(answer)
        ids = paging.ids_of(rows)
        onward = paging.following(here, ids, total)
        if onward is None and here.part + 1 < len(parts):
            onward = here.next_part(ids)
        # Which statuses a list shows unless it is asked for one is not documented, and a property whose subscription has
        # lapsed takes its bookings along. What is missing proves nothing.
        return Page(
            self._listing(kind, paging.fresh(here, self._mine(rows)), answer),
            answer.asked_at,
            next=onward.dump() if onward else None,
            coverage=PROVES_NOTHING,
        )

    async def write(self, write: Write) -> Observation:
        if write.kind is Kind.MISSIONS:
            return await self._write_mission(write)
        if write.act not in PLATFORM.kinds[write.kind].acts:
            raise Refused(PLATFORM.kinds[write.kind].reasons.get(write.act, "Nowistay has no call for that"))
        if write.kind is Kind.PARAMETERS:
            return await self._write_parameter(write)
        await self._only_direct(write.ref or "", write.held)
        body = words.booking_body(write)
        await self._fields.ensure(dict.fromkeys(words.parameters_of(write)))
        return await self._patch(write.ref or "", body)

    async def find(self, write: Write) -> list[Observation]:
        if write.ref or write.kind is Kind.PARAMETERS:
            found = await self.fetch(write.kind, write.ref or _parameter_ref(write), Lane.PUSH)
            return [found] if found else []
        if write.kind is not Kind.MISSIONS:
            return []
        wanted = write.fields
        return [
            seen
            async for seen in self._every_mission(Lane.PUSH)
            if all(_same_text(seen, wanted, name) for name in ("place", "booking", "type"))
            and moment(seen.fields.fields().get("starts")) == moment(wanted.get("starts"))
        ]

    async def fetch(self, kind: Kind, ref: str, lane: Lane = Lane.HOOK) -> Observation | None:
        await self._refresh_places(lane)
        if kind is Kind.PARAMETERS:
            return await self._fetch_parameter(ref, lane)
        if kind is Kind.MISSIONS:  # no call that shows a single one is documented
            return next(iter([seen async for seen in self._every_mission(lane) if seen.ref == ref]), None)
        answer = await self._http.read(f"{self._paths['bookings']}/{segment(ref)}", lane=lane)
        if answer.status == 404:  # noqa: PLR2004 - "Resource not found, or you do not have access to it"
            return None
        row = whole(check(answer, self.name))
        followed = any(True for _ in self._mine([row]))
        return self._observed(kind, row, answer, Via.FETCH) if followed else None

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        header = headers.get(self.settings.signature_header.lower(), "")
        self.pin(hooks.verify(header, body, secrets, self.around.now(), self._form))

    def pin(self, form: str) -> None:
        """Remember the form of signature that fits; ``notes`` shows it under ``signature``."""
        self._form = hooks.Form(form)

    def read_event(self, headers: Mapping[str, str], body: bytes, received_at: int) -> Event:
        named = headers.get(self.settings.event_header.lower())
        # Contact data stands in the detail alone: where we may see it, every event leads to a fetch. And without a
        # time in what is signed, an old body could be sent again for ever.
        timed = "t=" in headers.get(self.settings.signature_header.lower(), "")
        told = timed and SENSITIVE not in self.settings.wanted and not self.settings.properties

        def understand(row: Mapping[str, Any], as_of: int) -> Observation:
            content = self._words.cleaned(row)
            means, inside = self._means(Kind.BOOKINGS)
            return observation(Kind.BOOKINGS, content, means, as_of, Via.WEBHOOK, embedded=inside)

        return hooks.read(body, named, understand if told else None, received_at, self._clock_offset)

    async def check(self) -> list[Finding]:
        try:
            findings = await super().check()
        except (NeedsHuman, Unrenewed) as error:  # most likely a scope is missing, which is said too
            return [Finding.of(error), *await self._login.check()]
        findings += await self._login.check()
        if not set(self._places) - self._lost:
            findings.append(
                Finding(
                    ok=False,
                    what="no property is shown",
                    remedy="activate the AI Channel Manager on the properties that are to be followed",
                )
            )
        return [*findings, *await self.webhooks.check()]

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._login.aclose()

    def notes(self) -> Mapping[str, Any]:
        found = {
            "signature": self._form and self._form.value,
            "properties no longer shown": sorted(self._lost),
        }
        return {name: value for name, value in found.items() if value} | dict(self._login.notes())

    async def team(self) -> list[dict[str, Any]]:
        """The team members, from GET /team-members."""
        return [
            dict(row)
            for row in await everything(
                self._http, self._paths["team_members"], self.name, setting="paths: {team_members: …}"
            )
            if isinstance(row, Mapping)
        ]

    async def activity(self, place: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest events of a property, from GET /properties/{id}/activity, without door codes."""
        path = f"{self._paths['properties']}/{segment(place)}/activity"
        answer = await self._http.read(path, params={"limit": limit})
        rows, _ = listed(check(answer, self.name, collection=True))
        return [dict(self._words.cleaned(row)) for row in rows if isinstance(row, Mapping)]

    # Reading.

    async def _page(
        self, kind: Kind, here: Position, filters: Mapping[str, str], lane: Lane
    ) -> tuple[Answer, list[Any], int | None]:
        asked = {"limit": paging.LIMIT, "offset": here.ask or None, **filters}
        answer = await self._http.read(self._paths[words.COLLECTION[kind]], params=asked, lane=lane)
        if "status" in filters and answer.status in {400, 422}:
            # The word for cancelled is assumed: that it is none costs nobody the other bookings.
            return answer, [], 0
        rows, total = listed(self._checked_list(answer, words.COLLECTION[kind]))
        return answer, rows, total

    def _checked_list(self, answer: Answer, name: str) -> Answer:
        setting = f"paths: {{{name}: …}}" if name in ASSUMED_PATHS else ""
        return check(answer, self.name, collection=True, setting=setting)

    def _parts(self, kind: Kind) -> list[dict[str, str]]:
        """The filters that are asked for one after the other. Only bookings document any.

        As nobody says whether the list shows cancelled bookings by itself, they are asked for once more.
        """
        if kind is not Kind.BOOKINGS:
            return [{}]
        places = [{"propertyId": ref} for ref in self.settings.properties or ()] or [{}]
        return places + [{**place, "status": word} for place in places for word in self._words.cancelled]

    def _mine(self, rows: Iterable[Any]) -> Iterator[Any]:
        wanted = self.settings.properties
        for row in rows:
            shown = self._words.named(row) if isinstance(row, Mapping) else {}
            if not wanted or "propertyId" not in shown or str(shown["propertyId"]) in wanted:
                yield self._words.cleaned(row)

    def _means(self, kind: Kind) -> tuple[Translate, Embedded | None]:
        if kind is Kind.MISSIONS:
            return words.mission, None
        places, wording = self._places, self._words
        return (lambda row: words.booking(row, places, wording)), (lambda row: words.guests(row, wording))

    def _listing(self, kind: Kind, rows: list[Any], answer: Answer, via: Via = Via.POLL) -> Listing:
        means, inside = self._means(kind)
        context = _VERSION + self._places_digest + raw_of([self.settings.fields, self.settings.statuses])
        return listing(kind, rows, means, answer.asked_at, context, via, embedded=inside)

    def _observed(self, kind: Kind, row: Mapping[str, Any], answer: Answer, via: Via) -> Observation:
        means, inside = self._means(kind)
        try:
            return observation(kind, self._words.cleaned(row), means, answer.asked_at, via, embedded=inside)
        except UNREADABLE:
            answer.unusable(f"a {kind.one} that cannot be understood")

    async def _every_mission(self, lane: Lane) -> AsyncIterator[Observation]:
        here: Position | None = Position()
        for _ in range(_FEW_PAGES):
            if here is None:
                return
            answer, rows, total = await self._page(Kind.MISSIONS, here, {}, lane)
            for seen in self._listing(
                Kind.MISSIONS, paging.fresh(here, rows), answer, Via.FETCH
            ).understood()[0]:
                yield seen
            here = paging.following(here, paging.ids_of(rows), total)
        raise Refused("there are too many missions to look through for the one that may be ours")

    async def _refresh_places(self, lane: Lane) -> None:
        """Properties rarely change: asked for once an hour. One that is no longer shown keeps what was known of it."""
        async with self._places_lock:
            if self.around.now() - self._places_at >= _PLACES_TTL_S:
                await self._read_places(lane)

    async def _read_places(self, lane: Lane) -> None:
        listed_now = await everything(self._http, self._paths["properties"], self.name, lane=lane)
        rows = [row for row in listed_now if isinstance(row, Mapping)]
        shown = {str(row["id"]): words.place(row) for row in rows if "id" in row}
        wanted = self.settings.properties
        if wanted:
            shown = {ref: each for ref, each in shown.items() if ref in wanted}
        # "The API only returns properties where this entitlement is active": one that left may be back tomorrow.
        self._lost = (self._lost | set(self._places) | set(wanted or ())) - set(shown)
        self._places = {**{ref: self._places[ref] for ref in self._lost & set(self._places)}, **shown}
        self._places_digest = raw_of(sorted((ref, repr(each)) for ref, each in self._places.items()))
        self._places_at = self.around.now()

    async def _followed(self) -> list[str]:
        """The properties that have to have a webhook, asked for anew: a new one sends nothing by itself."""
        async with self._places_lock:
            await self._read_places(Lane.POLL)
        return sorted(set(self._places) - self._lost)

    def _measure_clock(self, answer: Answer) -> None:
        offset = (answer.date or answer.asked_at) - answer.asked_at
        self._clock_offset = offset if abs(offset) > _CLOCKS_AGREE_MS else 0

    # Writing.

    async def _only_direct(self, ref: str, held: Mapping[str, Any]) -> None:
        """Only direct bookings "can be edited … the OTA owns" all others. Raises Refused."""
        channel = held.get("channel")
        if channel is None:
            seen = await self.fetch(Kind.BOOKINGS, ref, Lane.PUSH)
            if seen is None:
                raise Refused(f"booking {ref} does not exist there (any more), or we have no access to it")
            channel = seen.fields.fields().get("channel")
        if channel is None:
            raise Refused("the booking shows no channel: set `fields: {channel: …}` to where it stands")
        if channel != words.DIRECT:
            raise Refused(f"it came through {channel}: {PLATFORM.kinds[Kind.BOOKINGS].reasons[Act.UPDATE]}")

    async def _patch(self, ref: str, body: Mapping[str, Any]) -> Observation:
        path = f"{self._paths['bookings']}/{segment(ref)}"
        await self._refresh_places(Lane.PUSH)
        answer = await self._http.write("PATCH", path, json=body, lane=Lane.PUSH)
        return self._observed(Kind.BOOKINGS, whole(check(answer, self.name)), answer, Via.WRITE)

    async def _write_parameter(self, write: Write) -> Observation:
        ref = write.ref or _parameter_ref(write)
        owner, key = words.parameter_ref(ref)
        await self._only_direct(owner, {})
        await self._fields.ensure({key: write.fields.get("name")})
        value = words.as_text(write.fields.get("value"))
        seen = await self._patch(owner, {"customParameters": {key: value}, "silent": not write.loud})
        return _parameter(seen, key, value)

    async def _fetch_parameter(self, ref: str, lane: Lane) -> Observation | None:
        owner, key = words.parameter_ref(ref)
        seen = await self.fetch(Kind.BOOKINGS, owner, lane)
        values = seen.fields.fields().get("parameters") if seen else None
        return _parameter(seen, key, values[key]) if seen and values and key in values else None

    async def _write_mission(self, write: Write) -> Observation:
        spec = PLATFORM.kinds[Kind.MISSIONS]
        if write.act not in spec.acts:
            raise Refused(spec.reasons[Act.CANCEL])
        await self._refresh_places(Lane.PUSH)
        body = words.mission_body(write, self._places)
        path = self._paths["missions"] + (f"/{segment(write.ref)}" if write.ref else "")
        answer = await self._http.write("PATCH" if write.ref else "POST", path, json=body, lane=Lane.PUSH)
        row = whole(check(answer, self.name, setting="paths: {missions: …}"))
        return self._observed(Kind.MISSIONS, row, answer, Via.WRITE)


def _position_of(position: str | None) -> Position:
    try:
        return Position.load(position) if position else Position()
    except ValueError:
        raise BadAnswer(
            "the stored position is none of Nowistay's: the list is read from its start."
        ) from None


def _parameter_ref(write: Write) -> str:
    return f"{write.fields.get('booking')}/{write.fields.get('key')}"


def _parameter(booking: Observation, key: str, value: str | None) -> Observation:
    fields = Parameter(booking=booking.ref, key=key, value=value)
    raw = raw_of({"id": f"{booking.ref}/{key}", "value": value})
    return Observation(Kind.PARAMETERS, f"{booking.ref}/{key}", fields, raw, booking.asked_at, booking.via)


def _same_text(seen: Observation, wanted: Mapping[str, Any], name: str) -> bool:
    has, wants = seen.fields.fields().get(name), wanted.get(name)
    return (None if has is None else str(has)) == (None if wants is None else str(wants))
