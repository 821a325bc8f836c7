"""NiceJob over the network. Everything that thinks is in ``translate`` and ``hooks``."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

import orjson

from connectors import wire
from connectors.answer import Answer
from connectors.base import Connector, Finding, Surroundings
from connectors.budget import Budget, Lane
from connectors.call import segment
from connectors.consent import Consent, Registered
from connectors.errors import BadAnswer, Conflict, NeedsHuman, Refused
from connectors.nicejob import hooks
from connectors.nicejob import translate as words
from connectors.nicejob.platform import PLATFORM
from connectors.nicejob.settings import NiceJobSettings
from connectors.nicejob.webhooks import Webhooks
from connectors.oauth import OAuth, Token, request_token
from connectors.wire import UNREADABLE, listing, observation, quoted, version_of
from mapping.identity import marks_in
from mapping.model import Kind
from mapping.record import PROVES_NOTHING, Account, Event, Observation, Page, Via
from mapping.wish import Write

_ACCESS_TOKEN_S = 24 * 3600
"""Access tokens are valid for 24 hours."""

_LOGIN_BUDGET = ((30, 60.0),)
_NO_ACCESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_FEW_PAGES = 500
"""How far a look-up without a filter walks: ten thousand people."""
_VERSION = version_of(words, wire)
_UNSEEN = (
    "nobody can see whether the person was enrolled: NiceJob's API shows no enrolments, so it is never sent a second"
    " time. Look in NiceJob, enrol the person there if need be, then dismiss this"
)
_NO_SCOPE = (
    "check that NiceJob has given your app the scope `enrollments`: without it nobody can be enrolled directly. If it"
    " has, log in again."
)


class NiceJob(Connector[NiceJobSettings]):
    """One company in NiceJob."""

    platform = PLATFORM
    streams = (Kind.PEOPLE, Kind.BOOKINGS, Kind.REVIEWS)
    hints_only = True

    def __init__(self, name: str, settings: NiceJobSettings, around: Surroundings) -> None:
        super().__init__(name, settings, around)
        origin = settings.base_url or PLATFORM.origin
        # Tokens are asked for without credentials in the header, and never wait behind a long poll.
        self._login = around.client(origin, budget=Budget(_LOGIN_BUDGET, now=around.now, sleep=around.sleep))
        self._token_name = f"{name}:access:{_seed(settings) or 'connected'}"
        self._http = around.client(
            f"{origin}/v2",
            auth=OAuth(self._token_name, around.tokens, self._grant, clock=around.now),
        )
        self.webhooks = Webhooks(settings, around, self._login, origin)

    @classmethod
    def credential(cls, settings: NiceJobSettings) -> str:
        company = _seed(settings) or settings.company_id or "connected"
        return f"nicejob:{settings.base_url or PLATFORM.origin}:{settings.client_id}:{company}"

    @classmethod
    def consent(cls, settings: NiceJobSettings) -> Consent:
        return Consent(
            origin=settings.base_url or PLATFORM.origin,
            authorize="/oauth/authorize",
            token="/oauth/token",  # noqa: S106 - a path
            pkce=False,  # not documented
            revoke="/oauth/revoke",
            client=Registered(settings.client_id, settings.client_secret.get_secret_value()),
            lifetime=_ACCESS_TOKEN_S,
        )

    @property
    def token_name(self) -> str:
        return self._token_name

    async def account(self) -> Account:
        row = _data(await self._http.read(path="/company"))
        if not isinstance(row, Mapping) or "id" not in row:
            raise BadAnswer("GET /company was answered without a company.")
        account = words.account(row, self.settings.country)
        if self.settings.company_id not in {None, account.id}:
            raise NeedsHuman(
                f"the refresh token belongs to company {account.id}, the YAML says company_id: {self.settings.company_id}.",
                remedy="correct company_id, or log in to the right company.",
            )
        return account

    async def pull(self, kind: Kind, position: str | None, lane: Lane = Lane.POLL) -> Page:
        cursor, before = _cursor_of(position)
        answer = await self._http.read(
            path=words.PATHS[kind], params={"cursor": cursor} if cursor else {}, lane=lane
        )
        rows, following = _listed(answer)
        first = str(rows[0].get("id")) if rows and isinstance(rows[0], Mapping) else None
        # Reviews document no cursor. A list that ignores it shows its first page again: that is its end.
        if following == cursor or (cursor and first == before):
            following = None
        # No order and no deletion is documented: what is missing from a walk proves nothing.
        return Page(
            listing(kind, rows, words.TRANSLATE[kind], answer.asked_at, _VERSION),
            answer.asked_at,
            next=orjson.dumps([following, first]).decode() if following else None,
            coverage=PROVES_NOTHING,
        )

    async def write(self, write: Write) -> Observation:
        if why := words.forbidden(write):
            raise Refused(why)
        path = words.PATHS[write.kind] + (f"/{segment(write.ref)}" if write.ref else "")
        has_tags = await self._tags(write, path) if write.ref and words.needs_tags(write) else None
        answer = await self._http.write("POST", path, json=words.encoded(write, has_tags), lane=Lane.PUSH)
        row = _data(answer)
        if row is None:
            gone = f"{write.ref} does not exist there (any more)"
            raise Refused(gone if write.ref else f"NiceJob made no {write.kind.one}, and does not say why")
        return self._observed(write.kind, row, answer, Via.WRITE)

    async def find(self, write: Write) -> list[Observation]:
        if write.kind is Kind.ENROLMENTS:
            raise Refused(_UNSEEN)
        if write.ref:
            found = await self.fetch(write.kind, write.ref, Lane.PUSH)
            return [found] if found else []
        if write.kind is Kind.PEOPLE:
            lists = [{"email": write.fields["email"]}] if write.fields.get("email") else [{}]
        else:
            lists = [{"person_id": person} for person in write.fields.get("people", [])]
            if write.kind is Kind.VISITS and not lists:
                lists = [{}]  # a visit takes its person from its booking: a wish for one names none
        seen = [found for params in lists async for found in self._all(write.kind, params)]
        if write.kind is Kind.PEOPLE and write.fields.get("email"):
            return seen
        return [found for found in seen if write.mark in marks_in(found.fields.fields())]

    async def fetch(self, kind: Kind, ref: str, lane: Lane = Lane.HOOK) -> Observation | None:
        if not PLATFORM.kinds[kind].fetched:
            return await super().fetch(kind, ref, lane)
        answer = await self._http.read(path=f"{words.PATHS[kind]}/{segment(ref)}", lane=lane)
        row = _data(answer)
        return None if row is None else self._observed(kind, row, answer, Via.FETCH)

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:  # noqa: ARG002 - in the body
        hooks.verify(body, secrets, self.around.now())

    @property
    def hook_owner(self) -> str | None:
        return f"nicejob:{self.settings.base_url or PLATFORM.origin}:{self.settings.client_id}"

    def read_event(self, headers: Mapping[str, str], body: bytes, received_at: int) -> Event:  # noqa: ARG002 - only ids
        return hooks.read(body)

    async def check(self) -> list[Finding]:
        return [*await super().check(), *await self.webhooks.check()]

    async def aclose(self) -> None:
        await self._http.aclose()
        await self.webhooks.aclose()
        await self._login.aclose()

    async def employees(self, email: str | None = None) -> list[dict[str, Any]]:
        """The team members, from GET /employees."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            params = {name: value for name, value in (("email", email), ("cursor", cursor)) if value}
            page, following = _listed(await self._http.read(path="/employees", params=params))
            rows += page
            if not following or following == cursor:
                return rows
            cursor = following

    async def _grant(self, old: Token | None) -> Token:
        given = self.settings.refresh_token
        refresh = (old and old.refresh) or (given and given.get_secret_value())
        remedy = f"bookferry connect {self.name}"
        if not refresh:
            raise NeedsHuman("Nobody has let us into this account yet.", remedy=remedy)
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh,
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret.get_secret_value(),
        }
        # Refresh tokens do not expire and are not used up: a lost answer may be asked for again.
        return await request_token(self._login, "/oauth/token", form, lifetime=_ACCESS_TOKEN_S, log_in=remedy)

    async def _tags(self, write: Write, path: str) -> list[str]:
        row = _data(await self._http.read(path=path, lane=Lane.PUSH))
        if row is None:
            raise Refused(f"{write.ref} does not exist there (any more)")
        tags = row.get("tags")
        return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []

    async def _all(self, kind: Kind, params: Mapping[str, str]) -> AsyncIterator[Observation]:
        cursor: str | None = None
        for _ in range(_FEW_PAGES):
            asked = {**params, **({"cursor": cursor} if cursor else {})}
            answer = await self._http.read(path=words.PATHS[kind], params=asked, lane=Lane.PUSH)
            rows, following = _listed(answer)
            for seen in _understood(kind, rows, answer):
                yield seen
            if not following or following == cursor:
                return
            cursor = following
        raise Refused("there are too many records to look through for the one that may be ours")

    def _observed(self, kind: Kind, row: Any, answer: Answer, via: Via) -> Observation:
        try:
            return observation(kind, row, words.TRANSLATE[kind], answer.asked_at, via)
        except UNREADABLE:
            answer.unusable(f"a {kind.one} that cannot be understood")


def _seed(settings: NiceJobSettings) -> str | None:
    """What names a refresh token of the YAML without telling it: another one begins another row."""
    given = settings.refresh_token
    if given is None:
        return None
    return hashlib.blake2b(given.get_secret_value().encode(), digest_size=6).hexdigest()


def _understood(kind: Kind, rows: list[Any], answer: Answer) -> list[Observation]:
    return listing(kind, rows, words.TRANSLATE[kind], answer.asked_at, _VERSION, Via.FETCH).understood()[0]


def _envelope(answer: Answer) -> Mapping[str, Any]:
    """``{cursor, data, error}``. "Successfully formatted and authenticated requests" that fail are 200 with an error."""
    if answer.status != HTTPStatus.OK:
        _check(answer)
    said: Any = answer.json()
    if not isinstance(said, Mapping) or "data" not in said:
        answer.unusable("an answer without `data`")
    if said.get("error"):
        _refuse(answer, str(said["error"]))
    return said


def _check(answer: Answer) -> None:
    # What does not exist is answered with null: a 404 of a list says that the address is wrong or access is lost.
    collection = answer.path.removeprefix("/").count("/") == 0
    try:
        remedy = _NO_SCOPE if _enrols(answer) and answer.status in _NO_ACCESS else ""
        answer.check(collection=collection, said=_complaint(answer), remedy=remedy)
    except Refused as error:
        if answer.write:
            raise
        raise BadAnswer(error.sentence) from None


def _refuse(answer: Answer, error: str) -> None:
    if not answer.write:
        raise BadAnswer(f"{answer.method} {answer.path} was answered with an error: {quoted(error)}")
    # "e.g. a creation request with a duplicated unique key": the record may well be ours. Of an enrolment it says that
    # the campaign's rules forbid it.
    said = error.lower()
    taken = not _enrols(answer) and any(
        word in said for word in ("duplicate", "already", "exists", "unique", "taken")
    )
    raise (Conflict if taken else Refused)(f"NiceJob refused it: {quoted(error)}")


def _enrols(answer: Answer) -> bool:
    return answer.path == words.PATHS[Kind.ENROLMENTS]


def _complaint(answer: Answer) -> str:
    try:
        said = answer.json()
    except Exception:  # noqa: BLE001 - an error page need not be JSON; the status tells
        return ""
    error = said.get("error") if isinstance(said, Mapping) else None
    return quoted(error)


def _cursor_of(position: str | None) -> tuple[str | None, str | None]:
    """The cursor, and the first row of the page before. Raises BadAnswer for a position that is none of ours."""
    if not position:
        return None, None
    try:
        cursor, before = orjson.loads(position)
    except (ValueError, TypeError):
        raise BadAnswer(
            "the stored position is none of NiceJob's: the list is read from its start."
        ) from None
    return cursor, before


def _data(answer: Answer) -> Any:
    return _envelope(answer)["data"]


def _listed(answer: Answer) -> tuple[list[Any], str | None]:
    said = _envelope(answer)
    if not isinstance(said["data"], list):
        answer.unusable("no list in `data`")
    cursor = said.get("cursor")
    return said["data"], cursor if isinstance(cursor, str) and cursor else None
