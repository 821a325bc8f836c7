"""The contract that every platform fulfils. The contract suite in ``tests/contract`` has one test for each promise.

A connector lives in a folder of its own, in files of the same names and in the same order everywhere:

- ``settings.py``   the keys of its connections in the YAML
- ``platform.py``   what it declares: kinds, acts, voices, writable fields, assumptions
- ``translate.py``  pure: the platform's words to the common model and back
- ``hooks.py``      pure: verify a webhook, read it
- ``connector.py``  the thin network part
- ``sandbox.py``    the platform's stand-in

What a connector promises:

1. ``pull`` shows each record of the platform with the platform's own id, says when it was asked, and claims no more
   coverage than the documents give.
2. Fields that a view does not show are absent, never null.
3. A row that cannot be understood is rejected with the reason; the rest of the page arrives.
4. ``write`` sends one write. It raises Refused when the platform said no, TryLater when nothing was applied,
   OutcomeUnknown when it may have been. It never sends the same write twice by itself.
5. A silent write never makes the platform speak to a guest.
6. ``find`` shows what a write of unknown outcome may have left at the platform, by looking only. It raises Refused where
   nobody can see that: of a kind that is neither listed nor fetched, always.
7. ``verify`` accepts only what the platform signed, within the tolerance.
8. Errors carry no secret and no payload.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Generic, Self, TypeVar

from connectors.budget import EVERYTHING, Budget, Lane
from connectors.call import Auth, Scopes, overall
from connectors.consent import Consent
from connectors.errors import NeedsHuman, PlatformError, Unrenewed
from connectors.http import Client
from connectors.oauth import TokenStore
from connectors.probe import Look, describe
from mapping.capability import Platform
from mapping.model import Kind
from mapping.record import Account, Event, Observation, Page
from mapping.settings import ConnectionSettings
from mapping.timing import parse_rate
from mapping.wish import Write

HOOK_TOLERANCE_S = 300
"""How old or how far in the future the signature of a webhook may be, in seconds."""

TRAVEL_S = 1.0
"""How long a request may be on its way before the platform counts it, in seconds."""

S = TypeVar("S", bound=ConnectionSettings)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connector is given by the process that runs it."""

    budget: Budget
    """Shared by all connections that use the same credential."""
    tokens: TokenStore
    now: Callable[[], float]
    """Wall clock, seconds since the epoch."""
    on_request: Callable[[str, str, int, float], None] | None = None
    before_write: Callable[[], Awaitable[None]] | None = None
    """Asked right before each request that changes something; raises where it must not be sent any more."""
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    """How to wait between repetitions."""
    time_limit: float = 60.0
    """Seconds for one whole attempt of a request."""
    keeps_tokens: bool = True
    """Whether ``tokens`` outlives this look. Where not, a refresh token that is good for one use must not be used."""

    def client(
        self,
        base: str,
        *,
        budget: Budget | None = None,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        scopes: Scopes = overall,
    ) -> Client:
        """An HTTP client for ``base`` in these surroundings; ``budget`` where it is not the shared one.

        ``scopes`` names what (method, path) is counted by, where a platform has more than one limit.
        """
        return Client(
            base,
            budget or self.budget,
            auth=auth,
            headers=headers,
            scopes=scopes,
            total=self.time_limit,
            clock=self.now,
            sleep=self.sleep,
            on_request=self.on_request,
            before_write=self.before_write,
        )


def budget_of(
    platform: Platform,
    settings: ConnectionSettings,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Budget:
    """The request budget of a credential: the platform's limits, with the overall one as the YAML has it."""
    rate = parse_rate(settings.rate) if settings.rate else platform.rate
    scopes = {EVERYTHING: [rate], **{scope: [pair] for scope, pair in platform.rates.items()}}
    return Budget(scopes, travel=TRAVEL_S, now=now, sleep=sleep)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``check --online``."""

    ok: bool
    what: str
    remedy: str = ""

    @classmethod
    def of(cls, error: PlatformError, about: str = "") -> Self:
        """What went wrong as a line. A token that must wait for its renewal is nothing wrong."""
        if isinstance(error, Unrenewed):
            return cls(ok=True, what=f"{about}not tried out: {error.sentence}")
        remedy = "try again later; check base_url if it stays so."
        return cls(
            ok=False,
            what=f"{about}{error.sentence}",
            remedy=error.remedy if isinstance(error, NeedsHuman) else remedy,
        )


class Connector(ABC, Generic[S]):
    """One connection to one account."""

    platform: ClassVar[Platform]
    streams: ClassVar[tuple[Kind, ...]]
    """What is listed, in this order: people before the bookings that name them."""

    def __init__(self, name: str, settings: S, around: Surroundings) -> None:
        self.name = name
        self.settings = settings
        self.around = around

    @classmethod
    @abstractmethod
    def credential(cls, settings: S) -> str:
        """What the platform counts requests by: connections with the same credential share one budget."""

    @classmethod
    def consent(cls, settings: S) -> Consent | None:  # noqa: ARG003 - most are entered by hand
        """How a person lets us in with a browser; None where the credentials are entered by hand."""
        return None

    @property
    def token_name(self) -> str | None:
        """Under which name the token of a consent is kept, None where there is none."""
        return None

    @abstractmethod
    async def account(self) -> Account:
        """Ask whom this connection belongs to."""

    @abstractmethod
    async def pull(self, kind: Kind, position: str | None, lane: Lane = Lane.POLL) -> Page:
        """One page of a listing; ``position`` None begins at the start.

        Raises TryLater, NeedsHuman; a position that the platform no longer knows raises BadAnswer.
        """

    @abstractmethod
    async def write(self, write: Write) -> Observation:
        """Send one write; gives what the platform's answer shows of the record."""

    @abstractmethod
    async def find(self, write: Write) -> list[Observation]:
        """Look for the record that a write is about: by its id, our mark, or a key that is unique there.

        An empty list: it is not there. Raises Refused where nobody can see whether it is.
        """

    async def fetch(self, kind: Kind, ref: str, lane: Lane = Lane.HOOK) -> Observation | None:
        """One record by its id, None where the platform shows none. Only where the platform declares it."""
        raise NotImplementedError(f"{self.platform.title} shows no single {kind.one}")

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:  # noqa: ARG002
        """Check a webhook's signature and age, on the raw bytes. Raises Unverified."""
        raise NeedsHuman(f"{self.platform.title} sends no webhooks", remedy="Remove the webhook there.")

    def read_event(self, headers: Mapping[str, str], body: bytes, received_at: int) -> Event:
        """Read a verified webhook. Raises ValueError when it is malformed."""
        raise NotImplementedError

    @property
    def hook_owner(self) -> str | None:
        """Who sends the webhooks, where one sender serves several connections with one secret."""
        return None

    def event_key(self, body: bytes) -> bytes:
        """What makes two deliveries the same event."""
        return body

    hints_only: ClassVar[bool] = False
    """Events carry no content: the same one again asks for another look."""

    redelivers_s: ClassVar[int] = 7 * 86_400
    """For so long an event may be delivered again: twice the longest time for which a platform is documented to retry."""

    dated_hooks: ClassVar[bool] = True
    """What is signed tells when it was signed. Where it does not, an old webhook cannot be told from a new one."""

    async def check(self) -> list[Finding]:
        """Try credentials, scopes and hooks with read-only calls."""
        findings = []
        account = await self.account()
        findings.append(Finding(ok=True, what=f"account {account.name or account.id}"))
        for kind in self.streams:
            page = await self.pull(kind, None)
            findings.append(
                Finding(ok=True, what=f"{kind.value}: {len(page.observations)} on the first page")
            )
        return findings

    async def probe(self) -> list[Look]:
        """What the first pages look like, without what they say; with the settings that would fit, where words are set."""
        looks = []
        for kind in self.streams:
            try:
                page = await self.pull(kind, None)
            except PlatformError as error:
                looks.append(Look(kind.value, 0, notes=(str(error),)))
                continue
            rows = [row.content for row in page.listing.rows]
            looks.append(Look(kind.value, HTTPStatus.OK, tuple(describe({kind.value: rows}))))
        return looks

    async def aclose(self) -> None:
        """Let go of connections."""

    def remember(self, account: Account) -> None:
        """Take back what ``account`` once said, from the store, so that it need not be asked again."""
        self.known_account: Account | None = account

    def notes(self) -> Mapping[str, Any]:
        """What ``status`` may show of this connection's own knowledge."""
        return {}
