"""Who we are to Nowistay: the client, the consent, and tokens whose refresh token is used up by each renewal."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from connectors.base import Finding, Surroundings
from connectors.consent import Consent, Registered, client_name
from connectors.errors import NeedsHuman, PlatformError, TryLater, Unrenewed
from connectors.nowistay.answers import FEATURES, oauth_scope
from connectors.nowistay.platform import PLATFORM
from connectors.nowistay.settings import NowistaySettings
from connectors.oauth import AHEAD, SETTLED, OAuth, Token, request_token

LIFETIME_S = 3600
"""The access token is valid for `expires_in` seconds, "one hour by default"."""


def consent(settings: NowistaySettings) -> Consent:
    """The three documented endpoints, and the metadata that may name more (a revocation, say)."""
    secret = settings.client_secret.get_secret_value() if settings.client_secret else None
    return Consent(
        origin=settings.base_url or PLATFORM.origin,
        authorize="/public/oauth/authorize",
        token="/public/oauth/token",  # noqa: S106 - a path
        scopes=settings.wanted,
        pkce=True,
        register="/public/oauth/register",
        metadata="/.well-known/oauth-authorization-server/public-api",
        client=Registered(settings.client_id, secret) if settings.client_id else None,
        lifetime=LIFETIME_S,
        features=FEATURES,
    )


class Login:
    """Tokens for one connection."""

    def __init__(self, name: str, settings: NowistaySettings, around: Surroundings) -> None:
        self._name, self._settings, self._around = name, settings, around
        self._consent = consent(settings)
        self._http = around.client(self._consent.origin, scopes=oauth_scope)
        self._asked_at = float("-inf")
        self._failed: str | None = None
        self._unsaved: tuple[str, Token] | None = None
        self.auth = OAuth(self.token_name, around.tokens, self._grant, clock=around.now)

    @property
    def token_name(self) -> str:
        """A refresh token of the YAML is the seed of its own row: another one begins another."""
        given = self._settings.refresh_token
        if given is None:
            return f"{self._name}:access:connected"
        digest = hashlib.blake2b(given.get_secret_value().encode(), digest_size=6).hexdigest()
        return f"{self._name}:access:{digest}"

    @property
    def remedy(self) -> str:
        """What a person has to do when no token can be had any more."""
        return f"bookferry connect {self._name}"

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def check(self) -> list[Finding]:
        """For ``check --online``: what the host left out of the consent, and what does not work for that."""
        token = await self._around.tokens.get(self.token_name)
        return [
            Finding(
                ok=False,
                what=f"the scope {scope} was not granted: without it there is no {feature}",
                remedy=f"{self.remedy} (or leave it out of `scopes`)",
            )
            for scope, feature in self._consent.lost(token)
        ]

    async def _grant(self, old: Token | None) -> Token:
        refresh = self._refresh_of(old)
        if not self._around.keeps_tokens:
            raise self._not_now(old)
        if old and self._unsaved and self._unsaved[1].access == old.access:
            self._unsaved = None  # it did reach the disk
        if self._unsaved and self._unsaved[0] == refresh:
            # This one was used already, and its successor did not reach the disk: used twice, all of them would end.
            return await self._renewed(self._unsaved[1])
        return await self._renewed(Token("", None, refresh, old.scope if old else None))

    def _refresh_of(self, old: Token | None) -> str:
        if old and old.refresh:
            return old.refresh
        if self._settings.refresh_token:
            return self._settings.refresh_token.get_secret_value()
        raise NeedsHuman("Nobody has let us into this account yet.", remedy=self.remedy)

    async def _renewed(self, old: Token) -> Token:
        now = self._around.now()
        if old.access and (old.expires_at or 0) > now * 1000 + SETTLED:
            return old
        client = await self._client()
        self._not_too_often(now)
        form = {"grant_type": "refresh_token", "refresh_token": old.refresh or "", **client.form()}
        try:
            new = await request_token(
                self._http, self._consent.token, form, rotating=True, lifetime=LIFETIME_S, log_in=self.remedy
            )
        except NeedsHuman as error:
            if error.remedy == self.remedy or self._settings.client_id:
                raise
            raise NeedsHuman(
                error.sentence, remedy=self.remedy
            ) from None  # the client that `connect` registered
        except PlatformError as error:
            self._failed = error.sentence
            raise
        self._failed = None
        # Left out means unchanged, both for the scope and for the refresh token.
        new = replace(new, scope=new.scope or old.scope, refresh=new.refresh or old.refresh)
        self._unsaved = (self._unsaved[0] if old.access and self._unsaved else old.refresh or "", new)
        return new

    def _not_now(self, old: Token | None) -> PlatformError:
        """Why a look goes on without a renewal: the new refresh token would be lost, and the old one be used up."""
        if old and (old.expires_at or 0) > self._around.now() * 1000 + AHEAD:
            return NeedsHuman(
                "The access token was refused before its end: the permission may have been withdrawn.",
                remedy="`bookferry sync` renews it if that is possible, and says what to do if not.",
            )
        what = "its access token has expired" if old else "no access token is kept yet"
        return Unrenewed(
            f"{what}. The next sync renews it; a look must not, as that uses up the refresh token."
        )

    def _not_too_often(self, now: float) -> None:
        """At most one renewal in 30 seconds: tasks that wait in line would otherwise repeat a failing one at once."""
        since = now - self._asked_at
        if 0 <= since < SETTLED / 1000:
            why = self._failed or "The access token was renewed just now."
            raise TryLater(why, retry_at=int(self._asked_at * 1000) + SETTLED)
        self._asked_at = now

    async def _client(self) -> Registered:
        """The client of the YAML, or the one that `connect` registered."""
        if self._consent.client:
            return self._consent.client
        kept = Registered.opened(await self._around.tokens.get(client_name(self._name)))
        if kept is None:
            raise NeedsHuman("No client is registered for this connection.", remedy=self.remedy)
        return kept

    def notes(self) -> Mapping[str, str]:
        """What ``status`` may show."""
        return {"login": self._failed} if self._failed else {}
