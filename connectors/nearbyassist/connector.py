"""NearbyAssist over the network. Everything that thinks is in ``translate``, ``paging`` and ``hooks``."""

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

from connectors import wire
from connectors.answer import Answer
from connectors.base import Connector, Finding, Surroundings
from connectors.budget import EVERYTHING, Lane
from connectors.call import segment
from connectors.errors import BadAnswer, Conflict, NeedsHuman, PlatformError, Refused, TryLater
from connectors.nearbyassist import hooks, probing
from connectors.nearbyassist import translate as words
from connectors.nearbyassist.paging import RepeatsError, Walk, advance
from connectors.nearbyassist.platform import AUTH, PLATFORM
from connectors.nearbyassist.settings import NearbyAssistSettings
from connectors.oauth import OAuth, Token
from connectors.probe import Look
from connectors.wire import UNREADABLE, is_ref, listing, observation, quoted, version_of
from mapping.capability import Act
from mapping.identity import marks_in
from mapping.model import Kind, Status
from mapping.record import PROVES_NOTHING, Account, Event, Observation, Page, Via
from mapping.wish import Write

_REFUSALS = 3
"""So many refused sign-ins in a row, and a human has to look: the 21st in 15 minutes would lock the user out."""
_REFUSED = "refused:"
_FEW_PAGES = 300
"""How far a look-up walks: some thirty thousand rows."""
_VERSION = version_of(words, wire)


class NearbyAssist(Connector[NearbyAssistSettings]):
    """One business in NearbyAssist."""

    platform = PLATFORM
    streams = (Kind.BOOKINGS, Kind.REVIEWS)
    hints_only = True
    dated_hooks = False

    def __init__(self, name: str, settings: NearbyAssistSettings, around: Surroundings) -> None:
        super().__init__(name, settings, around)
        origin = settings.base_url or PLATFORM.origin
        self._words = words.Words.of(settings)
        self._login = around.client(origin, scopes=lambda _method, _path: (EVERYTHING, AUTH))
        if settings.api_key is not None:
            key = {settings.headers.api_key: settings.api_key.get_secret_value()}
            self._http = around.client(origin, headers=key)
        else:
            self._token_name = f"{name}:access:{_seed(settings)}"
            auth = OAuth(self._token_name, around.tokens, self._grant, clock=around.now)
            self._http = around.client(origin, auth=auth)

    @classmethod
    def credential(cls, settings: NearbyAssistSettings) -> str:
        return f"nearbyassist:{settings.base_url or PLATFORM.origin}:{_seed(settings)}"

    async def account(self) -> Account:
        return words.account(self.settings)

    async def pull(self, kind: Kind, position: str | None, lane: Lane = Lane.POLL) -> Page:
        try:
            walk = Walk.load(position)
        except ValueError:
            raise BadAnswer(
                "the stored position is none of NearbyAssist's: the list is read from its start."
            ) from None
        rows, answer, following = await self._window(kind, walk, lane)
        found = listing(
            kind,
            rows,
            partial(words.TRANSLATE[kind], words=self._words),
            answer.asked_at,
            _VERSION + self._words.digest,
            embedded=partial(words.people, words=self._words) if kind is Kind.BOOKINGS else None,
            id_word=self._words.fields.id,
        )
        # Neither the order nor a default filter is documented, and another view (`my-bookings`) exists beside this one:
        # a list that hides what is cancelled or over looks just as complete. So no walk, however undisturbed and whatever
        # its `total`, proves that a booking is gone. Cancellations come as a status, or as booking.cancelled.
        return Page(
            found, answer.asked_at, next=following.dump() if following else None, coverage=PROVES_NOTHING
        )

    async def write(self, write: Write) -> Observation:
        if not write.loud:
            raise Refused(PLATFORM.kinds[Kind.BOOKINGS].reasons[write.act])
        paths, methods = self.settings.paths, self.settings.methods
        if write.act is Act.CANCEL and write.ref is not None:
            return self._answered(await self._send(methods.cancel, "cancel", paths.cancel, write.ref, None))
        body = words.encoded(write, self._words)
        if write.ref is not None:
            return self._answered(await self._send(methods.update, "update", paths.booking, write.ref, body))
        try:
            return self._answered(await self._send(methods.create, "create", paths.bookings, None, body))
        except Conflict:
            # "Resource conflict (e.g. duplicate booking slot)": after a lost answer the slot may well be taken by our own.
            own = [seen for seen in await self._marked(write.mark) if not _is_off(seen)]
            if not own:
                raise
            return own[0]

    async def find(self, write: Write) -> list[Observation]:
        if write.ref is None:
            return await self._marked(write.mark)
        found = await self.fetch(write.kind, write.ref, Lane.PUSH)
        return [found] if found else []

    async def fetch(self, kind: Kind, ref: str, lane: Lane = Lane.HOOK) -> Observation | None:
        if kind is Kind.REVIEWS:
            # No call that shows one review is documented, so the list is looked through.
            async with aclosing(self._all(kind, lane)) as rows:
                async for seen in rows:
                    if seen.ref == ref:
                        return seen
            return None
        answer = await self._http.read(path=_path(self.settings.paths.booking, ref), lane=lane)
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        self._check(answer, "bookings:read", "paths.booking")
        return self._observed(answer, Via.FETCH)

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        hooks.verify(headers, body, secrets, self.settings.headers.signature)

    def read_event(self, headers: Mapping[str, str], body: bytes, received_at: int) -> Event:  # noqa: ARG002 - only a hint
        return hooks.read(body, self._words)

    async def check(self) -> list[Finding]:
        findings = await super().check()
        if not self.settings.webhook_secret:
            findings.append(
                Finding(
                    ok=False,
                    what="no webhook_secret: changes are seen when the lists are polled, not at once",
                    remedy="register a webhook in NearbyAssist's dashboard and put its secret into the YAML",
                )
            )
        return findings

    async def probe(self) -> list[Look]:
        return [await self._look(kind) for kind in self.streams]

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._login.aclose()

    async def _window(self, kind: Kind, walk: Walk, lane: Lane) -> tuple[list[Any], Answer, Walk | None]:
        """One page of a walk: its rows that are new to it, and where to go on."""
        fields, (page, limit) = self._words.fields, walk.window()
        path = self.settings.paths.bookings if kind is Kind.BOOKINGS else self.settings.paths.reviews
        answer = await self._http.read(path=path, params={fields.page: page, fields.limit: limit}, lane=lane)
        rows, said = self._rows(answer, kind), answer.json()
        refs = [row.get(fields.id) if isinstance(row, Mapping) else None for row in rows]
        try:
            fresh, following = advance(
                walk,
                [str(ref) if is_ref(ref) else None for ref in refs],
                _count(self._words.at(said, "total")),
                _count(words.dig(said, fields.limit)) or None,
            )
        except RepeatsError:
            answer.unusable("the first page again: set `fields.page` to the parameter that names the page")
        return [row for row, new in zip(rows, fresh, strict=True) if new], answer, following

    async def _look(self, kind: Kind) -> Look:
        """The first page of a list, wherever it is; nothing but GET requests."""
        asked, status, moved = f"GET {dict(self.settings.paths)[kind.value]}", 0, {}
        try:
            answer = await self._http.read(path=asked.removeprefix("GET "))
            for path in probing.ELSEWHERE[kind] if answer.status == HTTPStatus.NOT_FOUND else ():
                other = await self._http.read(path=path)
                if other.status == HTTPStatus.OK:
                    answer, moved = other, {"paths": {kind.value: path}}
                    break
            asked, status = f"GET {answer.path}", answer.status
            self._check(answer, f"{kind.value}:read", f"paths.{kind.value}", collection=True)
            seen = probing.look(asked, status, answer.json(), kind, self.settings)
        except PlatformError as error:
            return Look(asked, status, notes=(str(error),))
        return replace(seen, settings={**moved, **seen.settings})

    def _rows(self, answer: Answer, kind: Kind) -> list[Any]:
        """The rows of a list. An answer without one is a bad one that names the setting, never an empty list."""
        paths = f"paths.{kind.value}"
        try:
            self._check(answer, f"{kind.value}:read", paths, collection=True)
        except Refused as error:
            raise BadAnswer(error.sentence) from None  # a list is never refused for what stands in it
        rows = self._words.at(answer.json(), kind.value)
        if not isinstance(rows, list):
            word = self._words.paths[kind.value]
            answer.unusable(
                f"no list under `{word}`: set `fields.{kind.value}` to where the rows stand, or `{paths}` to another"
                f" address (`bookferry probe {self.name}` shows what came)"
            )
        return rows

    async def _all(self, kind: Kind, lane: Lane) -> AsyncGenerator[Observation]:
        """Every row of a list that can be understood, as it is looked through."""
        walk: Walk | None = Walk()
        for _ in range(_FEW_PAGES):
            rows, answer, walk = await self._window(kind, walk or Walk(), lane)
            translate = partial(words.TRANSLATE[kind], words=self._words)
            id_word = self._words.fields.id
            found = listing(kind, rows, translate, answer.asked_at, _VERSION, Via.FETCH, id_word=id_word)
            for seen in found.understood()[0]:
                yield seen
            if walk is None:
                return
        raise Refused("there are too many records to look through for the one that is meant")

    async def _marked(self, mark: str) -> list[Observation]:
        rows = [seen async for seen in self._all(Kind.BOOKINGS, Lane.PUSH)]
        return [seen for seen in rows if mark in marks_in(seen.fields.fields())]

    async def _send(self, method: str, act: str, path: str, ref: str | None, body: Any) -> Answer:
        content = {} if body is None else {"json": body}
        where = path if ref is None else _path(path, ref)
        answer = await self._http.write(method, where, lane=Lane.PUSH, **content)
        word = {"create": "bookings", "update": "booking", "cancel": "cancel"}[act]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            raise NeedsHuman(
                f"{method} {where} was answered 405: the method is assumed.",
                remedy=f"set `methods.{act}` (or `paths.{word}`) to what NearbyAssist takes.",
            )
        self._check(answer, "bookings:write", f"paths.{word}", collection=ref is None)
        return answer

    def _answered(self, answer: Answer) -> Observation:
        return self._observed(answer, Via.WRITE)

    def _observed(self, answer: Answer, via: Via) -> Observation:
        row = words.one(answer.json(), self._words)
        if row is None:
            answer.unusable("no booking (`fields.booking` and `fields.id` say where it stands)")
        try:
            return observation(
                Kind.BOOKINGS,
                row,
                partial(words.booking, words=self._words),
                answer.asked_at,
                via,
                embedded=partial(words.people, words=self._words),
                id_word=self._words.fields.id,
            )
        except UNREADABLE:
            answer.unusable("a booking that cannot be understood")

    def _check(self, answer: Answer, scope: str, path: str, *, collection: bool = False) -> None:
        """Raise what the status means, with the page's `error` and `errors` array in words that may be shown."""
        said, fields = _complaint(answer)
        remedies = {
            HTTPStatus.UNAUTHORIZED: "check api_key, or email and password: it may have been rotated or revoked.",
            HTTPStatus.FORBIDDEN: f"give this API key the scope {scope} in NearbyAssist's Integrations dashboard.",
            HTTPStatus.NOT_FOUND: f"check base_url, and set `{path}`: the address is assumed.",
        }
        answer.check(
            collection=collection,
            said=said,
            fields=fields,
            remedy=remedies[HTTPStatus(answer.status)] if answer.status in remedies else "",
        )

    async def _grant(self, old: Token | None) -> Token:
        """Sign in. Refusals in a row are counted in the store, so that no restart begins to count anew."""
        before = (old.scope or "") if old else ""
        refused = int(before.removeprefix(_REFUSED)) if before.startswith(_REFUSED) else 0
        if refused >= _REFUSALS:
            raise self._locked_out(refused)
        fields, settings = self.settings.fields, self.settings
        password = settings.password.get_secret_value() if settings.password else ""
        body = {fields.sign_in_email: settings.email, fields.sign_in_password: password}
        answer = await self._login.read(settings.paths.sign_in, method="POST", json=body, lane=Lane.HOOK)
        if answer.status in {HTTPStatus.BAD_REQUEST, *_NO_ENTRY}:
            # Whoever signs in holds the lease, so nobody counts at the same time.
            counted = Token("", scope=f"{_REFUSED}{refused + 1}")
            await self.around.tokens.put(self._token_name, counted, was=old)
            if refused + 1 >= _REFUSALS:
                raise self._locked_out(refused + 1)
            raise TryLater(f"signing in was refused ({answer.status}), {refused + 1} of {_REFUSALS} times.")
        self._check(answer, "", "paths.sign_in", collection=True)
        token = self._words.at(answer.json(), "access_token")
        if not isinstance(token, str) or not token:
            answer.unusable("no token (`fields.access_token` says where it stands)")
        return Token(token)

    def _locked_out(self, refused: int) -> NeedsHuman:
        return NeedsHuman(
            f"signing in was refused {refused} times in a row: it is not tried again.",
            remedy="correct email and password (or use an api_key); if they are right, sign in on the website once and"
            " run `bookferry forget-tokens`.",
        )


_NO_ENTRY = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}


def _seed(settings: NearbyAssistSettings) -> str:
    """What stands for the credential where it must not be shown."""
    secrets = (settings.api_key, settings.password)
    shown = "\0".join(secret.get_secret_value() if secret else "" for secret in secrets)
    return hashlib.blake2b(f"{settings.email}\0{shown}".encode(), digest_size=6).hexdigest()


def _is_off(seen: Observation) -> bool:
    """Whether a booking is cancelled: then it is not what takes up the slot."""
    return seen.fields.fields().get("status") == Status.CANCELLED


def _path(template: str, ref: str) -> str:
    try:
        return template.replace("{id}", segment(ref))
    except ValueError:
        raise Refused("the id cannot stand in an address") from None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _complaint(answer: Answer) -> tuple[str, dict[str, str]]:
    """What an error says: "a JSON body with error and optional errors array for validation failures"."""
    if answer.status < HTTPStatus.BAD_REQUEST:
        return "", {}
    try:
        said = answer.json()
    except Exception:  # noqa: BLE001 - an error page need not be JSON; the status tells
        return "", {}
    if not isinstance(said, Mapping):
        return "", {}
    rows = said.get("errors")
    fields = {
        quoted(row["field"]): quoted(row.get("message"))
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, Mapping) and isinstance(row.get("field"), str)
    }
    return quoted(said.get("error")), fields
