"""A person lets us in: everything that happens between "connect" and the first token.

The order is ``discover`` (where a platform publishes its endpoints), ``register`` (where a client can register
itself), ``Attempt.begin``, the person's browser, ``Attempt.code_of``, ``exchange``; and ``revoke`` at the end of it all.
Only the four that ask the platform touch the network, with a client that has no credentials.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from connectors.answer import Answer
from connectors.budget import Lane
from connectors.errors import NeedsHuman, OutcomeUnknown
from connectors.http import Client
from connectors.oauth import Token, token_of

_CODE = re.compile(r"[\x21-\x7e]{1,2048}")
_PATH = re.compile(r"(/[\w~-][\w.~-]*)+")
_ERROR = re.compile(r"[a-z_]{1,40}")
_BEGIN_AGAIN = "begin again: a code is good for one attempt."


class ConsentError(ValueError):
    """What came back from the browser cannot be used. The message is a sentence, and quotes no code."""


@dataclass(frozen=True, slots=True)
class Consent:
    """How a platform asks a person. Paths are below ``origin``; None: the platform has no such endpoint."""

    origin: str
    authorize: str
    token: str
    scopes: tuple[str, ...] = ()
    pkce: bool = True
    register: str | None = None
    revoke: str | None = None
    metadata: str | None = None
    client: "Registered | None" = None
    """The client that the configuration names."""
    lifetime: int | None = None
    """Seconds that an access token lives where the endpoint does not say."""
    features: Mapping[str, str] = field(default_factory=dict)
    """What does not work without a scope, by scope."""

    def lost(self, token: Token | None) -> list[tuple[str, str]]:
        """The scopes that were not granted, each with what there is not without it."""
        return [(name, self.features.get(name, name)) for name in missing_scopes(token, self.scopes)]


@dataclass(frozen=True, slots=True)
class Registered:
    """A client that the platform knows. Without a secret it proves itself by PKCE alone."""

    id: str
    secret: str | None = field(default=None, repr=False)
    terms: str | None = None
    """What it was registered for, where we did that: see ``terms_of``."""

    def form(self) -> dict[str, str]:
        """Its part of a form."""
        return {"client_id": self.id} | ({"client_secret": self.secret} if self.secret else {})

    def sealed(self) -> Token:
        """As the token store keeps it, under ``client_name``: an id and a secret are a pair like a token's."""
        return Token(self.id, None, self.secret, self.terms)

    @classmethod
    def opened(cls, kept: Token | None) -> Self | None:
        """The inverse of ``sealed``."""
        return cls(kept.access, kept.refresh, kept.scope) if kept else None


def client_name(connection: str) -> str:
    """Under which name the token store keeps the client that was registered for a connection."""
    return f"{connection}:client"


def terms_of(consent: Consent, redirect_uri: str) -> str:
    """What a client is registered for: for another address or other scopes another one is needed."""
    return " ".join((redirect_uri, *sorted(consent.scopes)))


@dataclass(frozen=True, slots=True)
class Pkce:
    """RFC 7636, method S256."""

    verifier: str = field(repr=False)
    challenge: str

    @classmethod
    def new(cls) -> Self:
        """A fresh pair."""
        verifier = secrets.token_urlsafe(48)
        return cls(verifier, challenge_of(verifier))


def challenge_of(verifier: str) -> str:
    """BASE64URL(SHA256(verifier)), without padding."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(slots=True)
class Attempt:
    """One trip of a person's browser. Its state and its verifier are good for one answer."""

    url: str
    """Where to send the person."""
    redirect_uri: str
    verifier: str | None = field(repr=False)
    _state: str | None = field(repr=False)

    @classmethod
    def begin(cls, consent: Consent, client: Registered, redirect_uri: str) -> Self:
        """Make the address that the person opens."""
        state, pkce = secrets.token_urlsafe(24), Pkce.new() if consent.pkce else None
        asked = {
            "response_type": "code",
            "client_id": client.id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(consent.scopes),
            "state": state,
            **({"code_challenge": pkce.challenge, "code_challenge_method": "S256"} if pkce else {}),
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        return cls(
            f"{consent.origin}{consent.authorize}?{query}",
            redirect_uri,
            pkce.verifier if pkce else None,
            state,
        )

    def code_of(self, pasted: str) -> str:
        """The code in the address that the browser came back to (all of it, or its query). Raises ConsentError.

        "Always check that state matches what you sent. If it does not, abort." A bare code is taken too, for a browser
        on another machine: whoever pastes it vouches for it, and the verifier binds it to this attempt all the same.
        """
        wanted, self._state = self._state, None
        if wanted is None:
            raise ConsentError("this attempt has had its answer: begin again.")
        given = _query_of(pasted.strip())
        if given is None:
            if self.verifier is None:
                raise ConsentError(
                    "paste the whole address that the browser came back to, not the code alone."
                )
            return _checked_code(pasted.strip())
        if not hmac.compare_digest(given.get("state", "").encode(), wanted.encode()):
            raise ConsentError("the answer belongs to another attempt (its state does not fit): begin again.")
        if "error" in given:
            error = given["error"] if _ERROR.fullmatch(given["error"]) else "an error"
            raise ConsentError(f"the platform answered {error}: the consent was not given.")
        return _checked_code(given.get("code", ""))


def _query_of(pasted: str) -> dict[str, str] | None:
    """The fields of an address or of a query; None for what looks like a bare code."""
    query = urlsplit(pasted).query if "?" in pasted else pasted
    fields = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    return fields if "?" in pasted or fields.keys() & {"code", "state", "error"} else None


def _checked_code(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise ConsentError("there is no code in the answer: paste the address that the browser came back to.")
    return code


async def discover(client: Client, consent: Consent) -> Consent:
    """The endpoints as the platform publishes them (RFC 8414). What lies on another origin is not believed.

    Without metadata the documented paths stay. Raises TryLater.
    """
    if consent.metadata is None:
        return consent
    answer = await client.read(consent.metadata, lane=Lane.HOOK)
    if answer.status != 200:  # noqa: PLR2004 - published or not
        return consent
    said = _object(answer)

    def found(theirs: str, documented: str | None) -> str | None:
        return _path_below(consent.origin, said.get(theirs)) or documented

    return replace(
        consent,
        authorize=found("authorization_endpoint", None) or consent.authorize,
        token=found("token_endpoint", None) or consent.token,
        register=found("registration_endpoint", consent.register),
        revoke=found("revocation_endpoint", consent.revoke),
    )


def _path_below(origin: str, address: Any) -> str | None:
    path = (
        address.removeprefix(origin) if isinstance(address, str) and address.startswith(f"{origin}/") else ""
    )
    return path if _PATH.fullmatch(path) else None


async def register(
    client: Client, consent: Consent, redirect_uri: str, name: str = "bookferry"
) -> Registered:
    """Register a client, once: "camelCase JSON" in, snake_case out. Raises NeedsHuman, OutcomeUnknown, Refused."""
    if consent.register is None:
        raise NeedsHuman(
            "This platform registers no clients by itself.",
            remedy="ask it for a client_id and a client_secret, and put them into the YAML.",
        )
    body = {
        "clientName": name,
        "redirectUris": [redirect_uri],
        "grantTypes": ["authorization_code", "refresh_token"],
        "responseTypes": ["code"],
        "tokenEndpointAuthMethod": "client_secret_post",
        "scope": " ".join(consent.scopes),
    }
    answer = (await client.write("POST", consent.register, json=body, lane=Lane.HOOK)).check()
    said = _object(answer)
    made, secret = said.get("client_id"), said.get("client_secret")
    if not isinstance(made, str) or not made:
        answer.unusable("no client_id")
    return Registered(
        made, secret if isinstance(secret, str) and secret else None, terms_of(consent, redirect_uri)
    )


async def exchange(
    client: Client, consent: Consent, registered: Registered, code: str, attempt: Attempt
) -> Token:
    """The code for tokens. It is sent once: a code that comes twice counts as stolen. Raises NeedsHuman, TryLater."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": attempt.redirect_uri,
        **registered.form(),
        **({"code_verifier": attempt.verifier} if attempt.verifier else {}),
    }
    try:
        answer = await client.write("POST", consent.token, form=form, lane=Lane.HOOK)
        token = token_of(answer, consent.lifetime, log_in=_BEGIN_AGAIN, refresh_alone=True)
    except OutcomeUnknown:
        raise NeedsHuman("The answer to the exchange was lost.", remedy=_BEGIN_AGAIN) from None
    # "The granted scope may be narrower"; RFC 6749: left out means all that was asked for.
    return token if token.scope else replace(token, scope=" ".join(consent.scopes) or None)


async def revoke(client: Client, consent: Consent, registered: Registered, token: Token) -> bool:
    """End a consent (RFC 7009); False where the platform has no call for that. Raises PlatformError."""
    if consent.revoke is None:
        return False
    form = {
        "token": token.refresh or token.access,
        "token_type_hint": "refresh_token" if token.refresh else "access_token",
        **registered.form(),
    }
    (await client.write("POST", consent.revoke, form=form, lane=Lane.HOOK)).check()
    return True


def missing_scopes(token: Token | None, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the wanted scopes were not granted; none where the platform did not say."""
    if token is None or token.scope is None:
        return ()
    has = set(token.scope.replace(",", " ").split())
    return tuple(scope for scope in wanted if scope not in has)


def _object(answer: Answer) -> Mapping[str, Any]:
    said = answer.json()
    if not isinstance(said, Mapping):
        answer.unusable("something that is not an object")
    return said
