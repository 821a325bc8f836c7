"""``connect`` and ``disconnect``: a person lets us into an account, or takes that back.

Both work beside a running daemon: tokens change under their lease, one small transaction each. A daemon whose token is dead
looks into the store before it asks anybody, so a new log-in mends it without a restart.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from connectors.base import Connector, Surroundings, budget_of
from connectors.budget import Budget
from connectors.consent import (
    Attempt,
    Consent,
    Registered,
    client_name,
    discover,
    exchange,
    register,
    revoke,
    terms_of,
)
from connectors.errors import NeedsHuman, PlatformError
from connectors.http import Client
from connectors.oauth import Token
from connectors.registry import CONNECTORS
from daemon.beside import Beside
from daemon.landing import PORT, TIMEOUT_S, address, landing
from daemon.settings import Place
from daemon.tokens import SealedTokens
from mapping.record import Account
from state import accounts, tokens
from state.tokens import Box

_LOGIN_BUDGET = ((20, 60.0),)
"""The tightest that a platform documents for its OAuth endpoints."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the answer of the person's browser comes back."""

    show: Callable[[Attempt], None]
    """Tells the person where to go."""
    ask: Callable[[], Awaitable[str]] | None = None
    """Reads what the person pastes. None: it comes back to the loopback by itself."""
    port: int = PORT
    timeout: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Connected:
    """What ``connect`` has to tell."""

    account: Account | None
    lost: list[tuple[str, str]]
    """Scopes that were not granted, and what there is not without them."""
    lasting: bool
    """Whether a refresh token came along."""
    problem: PlatformError | None = None
    """Why nobody could be asked whom it belongs to; the log-in is kept all the same."""


@dataclass(slots=True)
class Disconnected:
    """What ``disconnect`` did, and what it leaves to a person."""

    done: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)


class StillThere(Exception):
    """The platform could not be told. Nothing was forgotten. The message is a sentence for the operator."""


class Desk:
    """One connection by itself, with the store beside a daemon."""

    def __init__(self, here: Place, name: str, now: Callable[[], float] = time.time) -> None:
        self.here, self.name = here, name
        self.settings = here.config.connections[name]
        self.beside = Beside(here.db)
        self.box = Box(here.key())
        self.tokens = SealedTokens(self.beside, self.box, uuid4().hex, now)
        self.connector = self._made(name, now)
        self.kin = [name]
        """This connection, and the others that one and the same webhook serves: those of one developer account."""
        self._login = Budget(_LOGIN_BUDGET, now=now)

    def _made(self, name: str, now: Callable[[], float]) -> Connector[Any]:
        settings = self.here.config.connections[name]
        kind = CONNECTORS[settings.platform]
        return kind(name, settings, Surroundings(budget_of(kind.platform, settings, now), self.tokens, now))

    async def find_kin(self) -> None:
        """See who else has this sender of webhooks."""
        owner = self.connector.hook_owner
        for name, settings in self.here.config.connections.items():
            if owner is None or name == self.name or settings.platform != self.settings.platform:
                continue
            other = self._made(name, self.connector.around.now)
            if other.hook_owner == owner:
                self.kin.append(name)
            await other.aclose()

    @property
    def consent(self) -> Consent | None:
        """How this platform asks a person, by its documents."""
        return type(self.connector).consent(self.settings)

    @asynccontextmanager
    async def client(self, consent: Consent) -> AsyncIterator[Client]:
        """A client that has no credentials."""
        made = self.connector.around.client(consent.origin, budget=self._login)
        try:
            yield made
        finally:
            await made.aclose()

    async def registered(self) -> Registered | None:
        """The client that ``connect`` once registered."""
        return Registered.opened(await self.tokens.get(client_name(self.name)))

    async def aclose(self) -> None:
        """Let go of connections."""
        await self.connector.aclose()


@asynccontextmanager
async def desk(here: Place, name: str, now: Callable[[], float] = time.time) -> AsyncIterator[Desk]:
    """A desk for one connection. Raises WrongKey before anybody is asked for anything."""
    made = Desk(here, name, now)
    try:
        # Makes the database where there is none, and tells a key that does not fit while nothing has happened yet.
        await made.beside.transaction(lambda tx: tokens.check(tx, made.box))
        await made.find_kin()
        yield made
    finally:
        await made.aclose()


# In.


async def connect(at: Desk, way: Way) -> Connected:
    """The whole way from the address that a person opens to the account that was let in to.

    Raises ConsentError, TimeoutError, DoorError, PlatformError. Until the platform has given tokens, those that are kept stay.
    """
    documented, name = at.consent, at.connector.token_name
    if documented is None or name is None:
        raise ValueError("this platform has no consent")
    async with at.client(documented) as client:
        consent = await discover(client, documented)
        if way.ask is not None:
            app = await _client(at, client, consent, way.port)
            attempt = Attempt.begin(consent, app, address(way.port))
            way.show(attempt)
            code = attempt.code_of(await way.ask())
        else:
            async with landing(way.port) as land:
                app = await _client(at, client, consent, way.port)
                attempt = Attempt.begin(consent, app, address(way.port))
                land.expect(attempt)
                way.show(attempt)
                code = await land.code(way.timeout)
        token = await _exchanged(at, client, consent, app, code, attempt)
    own = {} if documented.client else {client_name(at.name): app.sealed()}
    async with at.tokens.lease(name):  # a daemon that is renewing the old one finishes first
        await at.tokens.put_all({**own, name: token})
    return await _asked(at, Connected(None, consent.lost(token), lasting=token.refresh is not None))


async def _client(at: Desk, client: Client, consent: Consent, port: int) -> Registered:
    """The client of the configuration, the one that was registered for just this, or a new one."""
    if consent.client:
        return consent.client
    held, terms = await at.registered(), terms_of(consent, address(port))
    if held is not None and held.terms == terms:
        return held
    made = await register(client, consent, address(port))
    if await at.tokens.get(str(at.connector.token_name)) is None:
        # Otherwise not before its token: the one that is kept needs the client that it was made for.
        await at.tokens.put_all({client_name(at.name): made.sealed()})
    return made


async def _exchanged(
    at: Desk, client: Client, consent: Consent, app: Registered, code: str, attempt: Attempt
) -> Token:
    try:
        return await exchange(client, consent, app, code, attempt)
    except NeedsHuman as error:
        if consent.client or "client_id" not in error.remedy:
            raise
        raise NeedsHuman(
            error.sentence,
            remedy=f"bookferry disconnect {at.name}, which forgets the client, and then bookferry connect {at.name}",
        ) from None


async def _asked(at: Desk, told: Connected) -> Connected:
    before = await at.beside.read(lambda tx: accounts.get(tx, at.name))
    try:
        account = await at.connector.account()
    except PlatformError as error:
        return replace(told, problem=error)
    told = replace(told, account=account)
    if before is None or before.id == account.id:
        return told
    problem = NeedsHuman(
        f"until now this connection was account {before.id!r}, and now it is {account.id!r}: their records must not mix.",
        remedy=f"bookferry connect {at.name} with the right account, or give this one a name of its own in the YAML.",
    )
    return replace(told, problem=problem)


# Out.


async def sealed_names(at: Desk) -> list[str]:
    """All that is sealed for this connection alone."""
    alone = at.kin == [at.name]
    developer = getattr(getattr(at.connector, "webhooks", None), "token_name", None)
    hooks = f"hook:{at.name}:" if alone else None
    held = await at.beside.read(tokens.names)
    exact = {client_name(at.name), at.connector.token_name, developer if alone else None}
    begins = tuple(filter(None, (f"{at.name}:access:", hooks)))
    return [name for name in held if name in exact or name.startswith(begins)]


def our_door(at: Desk) -> str | None:
    """The address of the webhooks that we made for this connection; None where there are none to delete."""
    public = at.here.config.server.public_url
    if not public or not hasattr(at.connector, "webhooks") or at.kin != [at.name]:
        return None
    return f"{public.rstrip('/')}/hooks/{at.name}"


async def disconnect(at: Desk, *, webhooks: bool, force: bool) -> Disconnected:
    """Tell the platform, then forget. Raises StillThere when it cannot be told, unless ``force``."""
    told = Disconnected()
    try:
        if webhooks:
            await _delete_webhooks(at, told, force=force)
        async with at.tokens.lease(at.connector.token_name or f"{at.name}:access"):
            await _revoke(at, told, force=force)
            names = await sealed_names(at)
            await at.tokens.forget(names)
    except PlatformError as error:
        raise StillThere(error.sentence) from None
    hooks = sum(name.startswith("hook:") for name in names)
    told.done.append(f"forgot {len(names)} sealed values, {hooks} of them secrets of webhooks")
    return told


async def _delete_webhooks(at: Desk, told: Disconnected, *, force: bool) -> None:
    manager: Any = getattr(at.connector, "webhooks", None)
    url = our_door(at)
    try:
        ours = [hook for hook in await manager.registered() if hook.url == url]
        for hook in ours:
            await manager.delete(hook.id)
            told.done.append(f"deleted webhook {hook.id}")
    except PlatformError as error:
        if not force and not isinstance(error, NeedsHuman):
            raise
        told.by_hand.append(f"delete the webhook for {url} there: {error.sentence}")


async def _revoke(at: Desk, told: Disconnected, *, force: bool) -> None:
    """End the consent there. What was refused is told, and what nobody answered stops everything, unless forced."""
    title, documented = at.connector.platform.title, at.consent
    if documented is None:
        told.by_hand.append(
            f"withdraw the credentials of this connection in {title}, if nothing else uses them"
        )
        return
    app = documented.client or await at.registered()
    given = await _granted(at)
    if app is None or not given:
        told.done.append("there was no consent to end")
        return
    try:
        async with at.client(documented) as client:
            consent = await discover(client, documented)
            ended = [await revoke(client, consent, app, token) for token in given]
    except PlatformError as error:
        if not force:
            raise
        told.by_hand.append(f"withdraw the consent in {title}: it could not be told ({error.sentence})")
        return
    if all(ended):
        told.done.append(f"ended the consent at {title}")
    else:
        told.by_hand.append(
            f"withdraw the consent in {title} itself, which has no call for that. A running service may use its"
            " access token until that ends: restart it"
        )


async def _granted(at: Desk) -> list[Token]:
    """What the platform has given us, as the store and as the configuration have it."""
    kept = await at.tokens.get(str(at.connector.token_name))
    written = getattr(at.settings, "refresh_token", None)
    seed = Token("", refresh=written.get_secret_value()) if written else None
    found = [kept] if kept else []
    if seed and (kept is None or kept.refresh != seed.refresh):
        found.append(seed)
    return found
