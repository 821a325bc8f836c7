"""Nowistay's OAuth 2.1: registration, consent with PKCE, tokens that rotate, and what happens to one used twice."""

import base64
import hashlib
import html
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from connectors.nowistay.sandbox_office import Office
from connectors.nowistay.sandbox_store import SCOPES
from connectors.sandbox import Handler, Refusal, Reply, Request

LIFE = 3600  # "one hour by default"
CODE_LIFE = 600
LOOPBACK = "http://127.0.0.1"  # the sandbox's own client may come back to any port of this machine
AUTHORIZE = "/public/oauth/authorize"
WINDOW = 60.0
LIMITS = {"read": 120, "write": 30, "oauth": 20}


@dataclass(slots=True)
class Client:
    """A registered client; without a secret it has PKCE alone."""

    id: str
    secret: str | None
    redirect_uris: list[str]
    scope: str


@dataclass(slots=True)
class Family:
    """All tokens that grew from one consent."""

    client_id: str
    scope: str
    alive: bool = True
    used: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Refresh tokens that were used: their successors, and when."""


@dataclass(slots=True)
class Access:
    """An access token."""

    family: Family
    expires_at: float


@dataclass(slots=True)
class Code:
    """What a person was asked, and the code that their answer made."""

    client_id: str
    redirect_uri: str
    scope: str
    challenge: str
    state: str | None
    expires_at: float
    approved: bool = False
    family: Family | None = None


class OAuth(Office):
    """Tokens, who may have them, and how fast they may be used.

    ``consent``: "auto" approves at once, "page" shows a page that a POST with ``decision=approve`` or ``deny`` answers.
    ``rotation``: "rotate" gives a new refresh token and ends the old one, "omit" gives none and keeps the old one.
    ``reuse_grace``: seconds in which a used refresh token gives its successor once more instead of ending the family.
    ``plain_oauth_errors``: RFC 6749's error body instead of the API's own.
    """

    def __init__(
        self,
        client_id: str = "client_sandbox",
        client_secret: str = "nis_client_secret_sandbox0000",  # noqa: S107 - it guards nothing but invented data
        *,
        consent: str = "auto",
        rotation: str = "rotate",
        reuse_grace: float = 0.0,
        plain_oauth_errors: bool = False,
        limits: bool = True,
        refresh_token: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.client_id, self.client_secret = client_id, client_secret
        self.consent, self.rotation, self.reuse_grace = consent, rotation, reuse_grace
        self.plain_oauth_errors, self.limits = plain_oauth_errors, limits
        self.clients = {client_id: Client(client_id, client_secret, [LOOPBACK], " ".join(SCOPES))}
        self.granted: tuple[str, ...] | None = None
        self.refresh_tokens: dict[str, Family] = {}
        self.access_tokens: dict[str, Access] = {}
        self.codes: dict[str, Code] = {}
        self._counted: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._first = refresh_token or f"nis_refresh_{self.new_id(24)}"
        self.refresh_tokens[self._first] = Family(client_id, " ".join(SCOPES))

    def staff_actions(self) -> list[Callable[..., Any]]:
        """Return what the host can do, here and in the app."""
        return [self.grant_only, self.expire_tokens, self.revoke_all, *super().staff_actions()]

    def oauth_routes(self) -> list[tuple[str, str, Handler]]:
        """Return the documented endpoints."""
        return [
            ("GET", "/.well-known/oauth-authorization-server/public-api", self._metadata),
            ("POST", "/public/oauth/register", self._register),
            ("GET", AUTHORIZE, self._authorize),
            ("POST", AUTHORIZE, self._decide),
            ("POST", "/public/oauth/token", self._token),
        ]

    # Staff.

    def grant_only(self, *scopes: str, names: list[str] | None = None) -> None:
        """Let the host grant these scopes and no others from now on; tokens that are out have no more either."""
        self.granted = tuple(names or scopes)
        for family in self.refresh_tokens.values():
            family.scope = self._narrowed(family.scope)

    def expire_tokens(self) -> None:
        """Let every access token expire now."""
        for token in self.access_tokens.values():
            token.expires_at = 0

    def revoke_all(self) -> None:
        """Let the host withdraw every consent."""
        for family in list(self.refresh_tokens.values()):
            self._kill(family)

    def _narrowed(self, scope: str) -> str:
        return " ".join(name for name in scope.split() if self.granted is None or name in self.granted)

    # Who asks, and how often.

    def bearer(self, request: Request) -> Family:
        """Return whose token it is. Raises Refusal."""
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        token = self.access_tokens.get(sent.strip())
        if scheme.lower() != "bearer" or token is None or not token.family.alive:
            raise self.refusal(401, "invalid_token", "Missing or invalid bearer token")
        if token.expires_at <= self.clock.time():
            raise self.refusal(401, "token_expired", "The access token has expired")
        return token.family

    def count(self, who: str, kind: str, route: str) -> None:
        """Count a request, or refuse it: "429 Rate limit exceeded", and no word on when to come back."""
        now, stamps = self.clock.time(), self._counted[who, f"{kind}:{route}"]
        while stamps and stamps[0] <= now - WINDOW:
            stamps.popleft()
        if self.limits and len(stamps) >= LIMITS[kind]:
            raise self.refusal(429, "rate_limit_exceeded", "Rate limit exceeded")
        stamps.append(now)

    # The endpoints.

    def _metadata(self, _request: Request) -> Reply:
        oauth = f"{self.base_url}/public/oauth"
        return Reply(
            {
                "issuer": self.base_url,
                "authorization_endpoint": f"{oauth}/authorize",
                "token_endpoint": f"{oauth}/token",
                "registration_endpoint": f"{oauth}/register",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
            }
        )

    def _register(self, request: Request) -> Reply:
        self.count("register", "oauth", "register")
        try:
            body = request.json()
        except ValueError:
            raise self.refusal(400, "bad_request", "The body is not JSON") from None
        known = {
            "clientName",
            "redirectUris",
            "grantTypes",
            "responseTypes",
            "scope",
            "tokenEndpointAuthMethod",
        }
        if not isinstance(body, dict) or set(body) - known or not body.get("redirectUris"):
            raise self.refusal(422, "validation_error", "clientName and redirectUris are required")
        scope = " ".join(name for name in str(body.get("scope", "")).split() if name in SCOPES)
        secret = None if body.get("tokenEndpointAuthMethod") == "none" else f"nis_secret_{self.new_id(20)}"
        made = Client(f"client_{self.new_id(10)}", secret, list(body["redirectUris"]), scope)
        self.clients[made.id] = made
        shown = {"client_id": made.id, "redirect_uris": made.redirect_uris, "scope": scope}
        return Reply({**shown, **({"client_secret": secret} if secret else {})}, 201)

    def _authorize(self, request: Request) -> Reply:
        query = request.query
        client = self.clients.get(query.get("client_id", ""))
        if client is None:
            raise self.oauth_error("invalid_client", 401)
        uri = query.get("redirect_uri", "")
        if not any(
            uri == known or (known == LOOPBACK and uri.startswith(LOOPBACK)) for known in client.redirect_uris
        ):
            raise self.oauth_error("invalid_request")
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise self.oauth_error("invalid_request")
        allowed = [name for name in query.get("scope", "").split() if name in client.scope.split()]
        code, until = f"auth_{self.new_id(24)}", self.clock.time() + CODE_LIFE
        asked = Code(
            client.id, uri, " ".join(allowed), query.get("code_challenge", ""), query.get("state"), until
        )
        self.codes[code] = asked
        return _page(code, asked) if self.consent == "page" else self._back(code, asked)

    def _decide(self, request: Request) -> Reply:
        form = request.fields()
        asked = self.codes.get(form.get("request", ""))
        if asked is None:
            raise self.oauth_error("invalid_request")
        if form.get("decision") != "approve":
            del self.codes[form["request"]]
            return _redirect(asked, {"error": "access_denied"})
        return self._back(form["request"], asked)

    def _back(self, code: str, asked: Code) -> Reply:
        asked.scope, asked.approved = self._narrowed(asked.scope), True
        return _redirect(asked, {"code": code})

    def _token(self, request: Request) -> Reply:
        # All samples of the document send a form here, and JSON to register.
        if "application/x-www-form-urlencoded" not in request.headers.get("content-type", ""):
            raise self.oauth_error("invalid_request")
        form = request.fields()
        self.count(form.get("client_id", ""), "oauth", "token")
        client = self.clients.get(form.get("client_id", ""))
        if client is None or client.secret not in {None, form.get("client_secret")}:
            raise self.oauth_error("invalid_client", 401)
        grants = {"authorization_code": self._by_code, "refresh_token": self._by_refresh_token}
        grant = grants.get(form.get("grant_type", ""))
        if grant is None:
            raise self.oauth_error("unsupported_grant_type")
        return Reply(grant(client, form), headers={"cache-control": "no-store"})

    def _by_code(self, client: Client, form: dict[str, Any]) -> dict[str, Any]:
        code = self.codes.get(form.get("code", ""))
        if code is None or not code.approved or code.client_id != client.id:
            raise self.oauth_error("invalid_grant")
        if code.expires_at <= self.clock.time():
            raise self.oauth_error("invalid_grant")
        if code.family is not None:  # a code that comes twice was stolen once
            self._kill(code.family)
            raise self.oauth_error("invalid_grant")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if proof != code.challenge or form.get("redirect_uri") != code.redirect_uri:
            raise self.oauth_error("invalid_grant")
        code.family = Family(client.id, code.scope)
        return self._tokens(code.family, self._new_refresh(code.family))

    def _by_refresh_token(self, client: Client, form: dict[str, Any]) -> dict[str, Any]:
        sent = form.get("refresh_token", "")
        family = self.refresh_tokens.get(sent) or self._used_by(sent)
        if family is None or not family.alive or family.client_id != client.id:
            raise self.oauth_error("invalid_grant")
        if sent in family.used:
            successor, when = family.used[sent]
            if self.clock.time() - when > self.reuse_grace or successor not in self.refresh_tokens:
                self._kill(family)
                raise self.oauth_error("invalid_grant")
            return self._tokens(family, successor)
        if self.rotation == "omit":
            return self._tokens(family, None)
        del self.refresh_tokens[sent]
        fresh = self._new_refresh(family)
        family.used[sent] = (fresh, self.clock.time())
        return self._tokens(family, fresh)

    def _used_by(self, refresh: str) -> Family | None:
        return next((family for family in self.refresh_tokens.values() if refresh in family.used), None)

    def _new_refresh(self, family: Family) -> str:
        token = f"nis_refresh_{self.new_id(24)}"
        self.refresh_tokens[token] = family
        return token

    def _tokens(self, family: Family, refresh: str | None) -> dict[str, Any]:
        access = f"nis_access_{self.new_id(24)}"
        self.access_tokens[access] = Access(family, self.clock.time() + LIFE)
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": LIFE, "scope": family.scope}
        answer["resource"] = f"{self.base_url}/public/v1"
        return answer | ({"refresh_token": refresh} if refresh else {})

    def _kill(self, family: Family) -> None:
        family.alive = False
        for token in [key for key, owner in self.refresh_tokens.items() if owner is family]:
            del self.refresh_tokens[token]

    def oauth_error(self, code: str, status: int = 400) -> Refusal:
        """Return a refusal of the OAuth endpoints."""
        if self.plain_oauth_errors:
            return Refusal(status, {"error": code, "error_description": code.replace("_", " ")})
        return self.refusal(status, code, code.replace("_", " "))


def _redirect(asked: Code, answer: dict[str, str]) -> Reply:
    given = answer | ({} if asked.state is None else {"state": asked.state})
    glue = "&" if "?" in asked.redirect_uri else "?"
    return Reply(None, 302, {"location": asked.redirect_uri + glue + urlencode(given)})


def _page(code: str, asked: Code) -> Reply:
    scopes = "".join(f"<li>{html.escape(name)}</li>" for name in asked.scope.split())
    form = f'<form method="post" action="{AUTHORIZE}"><input type="hidden" name="request" value="{code}">'
    buttons = "".join(
        f'<button name="decision" value="{word}">{word}</button>' for word in ("approve", "deny")
    )
    page = f"<!doctype html><title>Nowistay (sandbox)</title><ul>{scopes}</ul>{form}{buttons}</form>"
    return Reply(page, 200, {"content-type": "text/html; charset=utf-8"})
