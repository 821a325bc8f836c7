"""Webhooks: verified on the raw bytes, routed, on disk, and only then acknowledged."""

import asyncio
import secrets as random
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import orjson

from connectors.base import Connector
from connectors.errors import Unverified
from daemon.metrics import NOBODY, Metrics
from mapping.config import Config
from mapping.record import Event
from state import accounts, inbox
from state.database import Database
from state.errors import StateError

OK, MALFORMED, UNVERIFIED, LATER = 200, 400, 401, 503

_KEPT_S = 5.0
"""How long secrets and account ids are kept in memory."""
_LOOKED_AGAIN_S = 1.0
"""After a signature that fits none of them, secrets older than this are looked up once more."""
_NEVER_KEPT = ("auth", "cookie", "key", "token", "secret")
_DUMMY = (random.token_hex(32),)


class Kicks(Protocol):
    """The engine, as far as a webhook needs it."""

    def kick(self, key: str) -> None:
        """Wake the unit of this key."""


class Host(Protocol):
    """The process around it, as far as a webhook needs it."""

    @property
    def config(self) -> Config:
        """What the user said."""

    @property
    def db(self) -> Database:
        """The store."""

    @property
    def connectors(self) -> Mapping[str, Connector[Any]]:
        """All connections, by name."""

    @property
    def engine(self) -> Kicks:
        """Whom to wake."""

    @property
    def now(self) -> Callable[[], float]:
        """The clock, in seconds since the epoch."""

    async def hook_secrets(self, name: str) -> tuple[str, ...]:
        """All secrets that a webhook at this connection's door may be signed with."""


async def receive(app: Host, connection: str, headers: Mapping[str, str], body: bytes) -> int:
    """Take one webhook; gives the HTTP status. ``headers`` with names in lower case."""
    return await Reception(app).receive(connection, headers, body)


class Reception:
    """Takes webhooks for one process. What it keeps in memory is a short-lived copy of the store."""

    def __init__(self, app: Host, metrics: Metrics | None = None) -> None:
        self._app = app
        self._metrics = metrics or Metrics()
        self._asking = asyncio.Lock()
        self._secrets: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._owners: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}
        self._intake = inbox.Intake(app.db)
        self._guard = next(filter(_has_hooks, app.connectors.values()), None)

    async def receive(self, connection: str, headers: Mapping[str, str], body: bytes) -> int:
        """Take one webhook; gives the HTTP status. A refused one changes nothing."""
        known = self._app.connectors.get(connection)
        label = NOBODY if known is None else connection
        try:
            status, outcome = await self._take(known, connection, headers, body)
        except Unverified as error:
            status, outcome = UNVERIFIED, error.why
        except StateError:
            status, outcome = LATER, "unstored"
        self._metrics.webhook(label, outcome)
        return status

    async def _take(
        self, known: Connector[Any] | None, connection: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str]:
        connector = await self._verified(known, connection, headers, body)
        received_at = int(self._app.now() * 1000)
        try:
            event = connector.read_event(headers, body, received_at)
            key = inbox.digest(connector.event_key(body))
        except (ValueError, RecursionError):
            return MALFORMED, "malformed"
        if event.drop:
            return OK, "dropped"
        targets = await self._targets(connector, event)
        note = None if targets and event.kind else _why_ignored(event)
        state = "new" if note is None else "ignored"
        names = targets if note is None else (connector.name,)
        shown, again = orjson.dumps(_kept(headers)).decode(), connector.hints_only
        arrivals = [inbox.Arrival(name, key, received_at, shown, body, state, note, again) for name in names]
        to_read = await self._intake.store(arrivals)
        if note is not None:
            return OK, "unknown_type" if event.kind is None else "unknown_account"
        for name, due in zip(names, to_read, strict=True):
            if due:
                self._app.engine.kick(f"inbox:{name}")
        return OK, "stored" if any(to_read) else "duplicate"

    async def _verified(
        self, known: Connector[Any] | None, connection: str, headers: Mapping[str, str], body: bytes
    ) -> Connector[Any]:
        """The connector of the door that the webhook was signed for. Raises Unverified, after the same work for all."""
        found = () if known is None or not _has_hooks(known) else await self._secrets_of(connection)
        if known is None or not found:
            if self._guard is not None:
                self._guard.verify(headers, body, _DUMMY)
            raise Unverified("nobody here expects it", why="unexpected")
        try:
            known.verify(headers, body, found)
        except Unverified as error:
            newer = await self._secrets_of(connection, _LOOKED_AGAIN_S) if error.why == "signature" else found
            if newer == found:
                raise
            known.verify(headers, body, newer)
        return known

    async def _secrets_of(self, connection: str, at_most: float = _KEPT_S) -> tuple[str, ...]:
        if not self._fresh(connection, at_most):
            async with self._asking:  # one asks, and all who came meanwhile have the answer too
                if not self._fresh(connection, at_most):
                    self._secrets[connection] = (self._app.now(), await self._app.hook_secrets(connection))
        return self._secrets[connection][1]

    def _fresh(self, connection: str, at_most: float) -> bool:
        kept = self._secrets.get(connection)
        return kept is not None and 0 <= self._app.now() - kept[0] < at_most

    async def _targets(self, door: Connector[Any], event: Event) -> tuple[str, ...]:
        """The connections that an event is about: the door's own, or those of the account that it names."""
        if event.account is None:
            return (door.name,)
        owners = await self._owners_of(door.platform.name, event.account)
        return tuple(
            name
            for name, connector in self._app.connectors.items()
            if _same_developer(door.settings, connector.settings)
            and (name in owners or _configured_for(connector.settings, event.account))
        )

    async def _owners_of(self, platform: str, account: str) -> frozenset[str]:
        now, place = self._app.now(), (platform, account)
        kept = self._owners.get(place)
        if kept is None or not 0 <= now - kept[0] < _KEPT_S:
            self._owners = {key: held for key, held in self._owners.items() if 0 <= now - held[0] < _KEPT_S}
            found = await self._app.db.read(lambda tx: accounts.by_account(tx, platform, account))
            kept = self._owners[place] = (now, frozenset(found))
        return kept[1]


def _has_hooks(connector: Connector[Any]) -> bool:
    return type(connector).verify is not Connector.verify


def _same_developer(door: Any, other: Any) -> bool:
    """Whether both are reached with one developer's credential. Where there is no such thing, none are."""
    client = getattr(door, "client_id", None)
    return (
        client is not None
        and (door.platform, door.base_url, client) == (other.platform, other.base_url, getattr(other, "client_id", None))
    )  # fmt: skip


def _configured_for(settings: Any, account: str) -> bool:
    return getattr(settings, "company_id", None) == account


def _why_ignored(event: Event) -> str:
    if event.kind is None:
        return "a type of event that is not followed"
    return "about an account that no connection here belongs to"


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that may tell something later, none that lets anybody in."""
    return {name: value for name, value in headers.items() if _tells(name)}


@lru_cache(256)
def _tells(name: str) -> bool:
    return (name == "content-type" or name.startswith("x-")) and not any(word in name for word in _NEVER_KEPT)
