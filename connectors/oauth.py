"""Access tokens: one renewal at a time, on disk before the first use, and never a blind repetition.

A lost or doubly used refresh token costs a person a log-in, so all care here is about who renews and when:
one task of this process (a lock), one process of all (the store's lease), and whoever waited looks into the
store first, because the one before has most likely done the work.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Protocol, TypeGuard

import orjson

from connectors.answer import Answer
from connectors.budget import Lane
from connectors.errors import NeedsHuman, OutcomeUnknown
from connectors.http import Client

AHEAD = 60_000
"""Milliseconds before its end in which a token counts as used up: clocks differ and requests take time."""

SETTLED = 30_000
"""Milliseconds in which a token that we have just fetched is not renewed, even if it is refused."""

_OK = range(200, 300)
_CODE = re.compile(r"[a-z_]{1,40}")
_LOG_IN = "log in to this connection again: its permission has been withdrawn or used up."
_CHECK_CLIENT = "check client_id and client_secret of this connection."


@dataclass(frozen=True, slots=True)
class Token:
    """What a token endpoint gave. `expires_at` in epoch ms, None where it did not say. Prints nothing."""

    access: str = field(repr=False)
    expires_at: int | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)
    scope: str | None = field(default=None, repr=False)


class TokenStore(Protocol):
    """Where tokens survive a crash. Names are the caller's business."""

    async def get(self, name: str) -> Token | None:
        """Give the newest token, None where there never was one."""

    async def put(self, name: str, token: Token, *, was: Token | None) -> Token | None:
        """Keep a token for good, in the place of the one that it grew from: once this returns, it is on disk.

        Gives what is kept now: not ours where somebody else had put another one there meanwhile, or had deleted it.
        """

    def lease(self, name: str) -> AbstractAsyncContextManager[object]:
        """Be the only holder in all processes. Waits for its turn; a dead holder's lease runs out."""


Grant = Callable[[Token | None], Awaitable[Token]]
"""Gets a new token from the platform, with the one that the store has (if any). See `request_token`."""


class OAuth:
    """Bearer tokens for a `Client`, which calls `headers` before a request and `renew` after a 401."""

    def __init__(
        self, name: str, store: TokenStore, grant: Grant, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._name = name
        self._store = store
        self._grant = grant
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._granted_at: int | None = None
        self._renewals: set[asyncio.Task[Token]] = set()
        self._dead: tuple[Token | None, NeedsHuman] | None = None

    async def headers(self) -> Mapping[str, str]:
        """Give the Authorization header. `NeedsHuman` once the platform has withdrawn the permission."""
        token = self._token
        return _bearer(token if self._fit(token) else await self._better(refused=None))

    async def renew(self, refused: Mapping[str, str]) -> Mapping[str, str] | None:
        """Give a header better than the one answered with 401; None if that one has only just been fetched.

        A brand-new token that is refused means something else than age: the wrong scope, or a platform that
        says 401 where others say 404. Renewing it again and again would only burn tokens.
        """
        if self._token is not None and refused == _bearer(self._token) and self._just_granted():
            return None
        return _bearer(await self._better(refused=refused))

    async def _better(self, *, refused: Mapping[str, str] | None) -> Token:
        # Whoever asked may give up meanwhile. The renewal goes on: its answer is the only copy of the token.
        renewal = asyncio.create_task(self._renewed(refused))
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewals.discard)
        return await asyncio.shield(renewal)

    async def _renewed(self, refused: Mapping[str, str] | None) -> Token:
        async with self._lock:
            token = self._token
            if self._fit(token, refused):  # whoever waited for the lock finds the work done
                return token
            async with self._store.lease(self._name):
                token = await self._store.get(self._name)
                self._token = token = token if self._fit(token, refused) else await self._fetch(token)
                return token

    async def _fetch(self, old: Token | None) -> Token:
        if self._dead is not None and self._dead[0] == old:
            raise NeedsHuman(self._dead[1].sentence, remedy=self._dead[1].remedy)
        try:
            new = await self._grant(old)
        except NeedsHuman as error:
            now = await self._store.get(self._name)
            if now != old and self._fit(now):  # our lease ran out, and its next holder was faster
                return now
            self._dead = (old, error)  # until somebody puts another token into the store
            raise
        if new.refresh is None and old is not None:
            new = replace(new, refresh=old.refresh)  # left out means: the old one goes on
        kept = await self._store.put(self._name, new, was=old)
        if kept is None:
            raise NeedsHuman("This connection was logged out meanwhile.", remedy=_LOG_IN)
        if kept == new:
            self._granted_at = self._now()
        return kept

    def _fit(self, token: Token | None, refused: Mapping[str, str] | None = None) -> TypeGuard[Token]:
        if token is None or not token.access or _bearer(token) == refused:
            return False
        return token.expires_at is None or token.expires_at - AHEAD > self._now()

    def _just_granted(self) -> bool:
        return self._granted_at is not None and self._now() - self._granted_at < SETTLED

    def _now(self) -> int:
        return int(self._clock() * 1000)


async def request_token(
    client: Client,
    path: str,
    form: Mapping[str, str],
    *,
    rotating: bool = False,
    lifetime: int | None = None,
    log_in: str = _LOG_IN,
) -> Token:
    """Ask a token endpoint, with a `client` that has no credentials and a budget of its own.

    `rotating`: the refresh token in `form` dies with its use, so a lost answer allows one repetition (most
    servers tell a repetition from a theft within seconds), and then a person has to log in. `lifetime` in
    seconds where the endpoint does not say, `log_in` the remedy for a grant that is refused for good. Raises
    `NeedsHuman` for a refused grant or client, or `TryLater`.
    """
    if not rotating:
        answer = await client.read(path, method="POST", form=form, lane=Lane.HOOK)
        return token_of(answer, lifetime, log_in=log_in)
    for _ in range(2):
        try:
            answer = await client.write("POST", path, form=form, lane=Lane.HOOK)
            return token_of(answer, lifetime, log_in=log_in)
        except OutcomeUnknown:
            continue
    raise NeedsHuman("The answer to a token renewal was lost, and with it the old token.", remedy=log_in)


def token_of(
    answer: Answer, lifetime: int | None = None, *, log_in: str = _LOG_IN, refresh_alone: bool = False
) -> Token:
    """Read what a token endpoint answered. Raises as `request_token`, or `OutcomeUnknown`.

    `refresh_alone`: a refresh token without an access token will do; the first use fetches one.
    """
    if answer.status not in _OK:
        _refuse(answer, log_in)
    said = answer.json()
    if not isinstance(said, dict):
        answer.unusable("no access token")
    refresh, access = _text(said.get("refresh_token")), said.get("access_token")
    if refresh_alone and refresh and access is None:
        access = ""
    if not isinstance(access, str):
        answer.unusable("no access token")
    seconds = _seconds(said.get("expires_in"), lifetime)
    expires_at = None if seconds is None else answer.asked_at + seconds * 1000
    return Token(access, expires_at, refresh, _text(said.get("scope")))


def _refuse(answer: Answer, log_in: str) -> NoReturn:
    """Raise what the error code of RFC 6749 asks for. The text beside it stays out: it may quote a token."""
    code = _error_code(answer.body)
    remedy = log_in if code == "invalid_grant" else _CHECK_CLIENT
    raise NeedsHuman(f"The token endpoint refused: {answer.status} {code}.".replace(" .", "."), remedy=remedy)


def _error_code(body: bytes) -> str:
    try:
        said = orjson.loads(body)
    except ValueError:
        return ""
    error = said.get("error") if isinstance(said, dict) else None
    code = error.get("code") if isinstance(error, dict) else error
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _seconds(said: Any, otherwise: int | None) -> int | None:
    try:
        return int(float(said))
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _bearer(token: Token) -> dict[str, str]:
    return {"authorization": f"Bearer {token.access}"}
