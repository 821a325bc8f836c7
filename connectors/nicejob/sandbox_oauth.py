"""NiceJob's OAuth2: consent, the two families of tokens, revocation and introspection."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from connectors.nicejob.sandbox_office import Account, Office
from connectors.nicejob.sandbox_store import Company
from connectors.sandbox import Handler, Refusal, Reply, Request

LIFE = 86400  # "Access tokens are valid for a period of 24 hours."
CODE_LIFE = 600


@dataclass(slots=True)
class Token:
    """An access token; a developer token has no company and is good for webhook management only."""

    company_id: str | None
    expires_at: float
    refresh_token: str | None = None


@dataclass(slots=True)
class Code:
    """An authorization code."""

    company_id: str
    redirect_uri: str
    expires_at: float


class OAuth(Office):
    """Tokens and who may have them.

    ``rotate_refresh_tokens``: a refresh answer brings a new refresh token and ends the old one; otherwise
    (the default) it brings none, which does not mean that the old one is gone.
    """

    def __init__(
        self,
        client_id: str = "nj_client_sandbox",
        client_secret: str = "nj_secret_sandbox",  # noqa: S107 - it guards nothing but invented data
        *,
        rotate_refresh_tokens: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.client_id = client_id
        self.client_secret = client_secret
        self.rotate_refresh_tokens = rotate_refresh_tokens
        self.refresh_tokens: dict[str, str] = {}
        self.tokens: dict[str, Token] = {}
        self.codes: dict[str, Code] = {}
        self.consenting: str | None = None

    def staff_actions(self) -> list[Callable[..., Any]]:
        """Return what can be done in the app and on the developer's pages."""
        mine: list[Callable[..., Any]] = [
            self.add_company,
            self.consent_as,
            self.expire_tokens,
            self.revoke_company,
        ]
        return [*mine, *super().staff_actions()]

    def oauth_routes(self) -> list[tuple[str, str, Handler]]:
        """Return the four documented endpoints."""
        return [
            ("GET", "/oauth/authorize", self._authorize),
            ("POST", "/oauth/token", self._token),
            ("POST", "/oauth/revoke", self._revoke),
            ("POST", "/oauth/introspect", self._introspect),
        ]

    # Staff.

    def add_company(self, name: str, *, refresh_token: str | None = None, **details: Any) -> Account:
        """Open a company that has already consented; returns its id and its refresh token."""
        company = self.open_company(name, details)
        token = refresh_token or f"nj_refresh_{self.new_id(24)}"
        self.refresh_tokens[token] = company.id
        return Account(company.id, token)

    def consent_as(self, company_id: str) -> None:
        """Choose the company that consents at the authorization endpoint; by default the first one."""
        self.consenting = self.companies[company_id].id

    def expire_tokens(self) -> None:
        """Let every access token expire now."""
        for token in self.tokens.values():
            token.expires_at = 0

    def revoke_company(self, company_id: str | None = None) -> None:
        """Let a company withdraw its consent: all its tokens end."""
        wanted = self.company(company_id).id
        for refresh_token in [key for key, owner in self.refresh_tokens.items() if owner == wanted]:
            self._end(refresh_token)

    # Who asks.

    def company_of(self, request: Request) -> Company:
        """Return the company the access token is bound to, or refuse with 401."""
        token = self._bearer(request)
        if token.company_id is None:
            raise Refusal(401, self.problem(401, "Unauthorized"))
        return self.companies[token.company_id]

    def developer(self, request: Request) -> None:
        """Refuse with 401 whatever is not a developer token."""
        if self._bearer(request).company_id is not None:
            raise Refusal(401, self.problem(401, "Unauthorized"))

    def problem(self, status: int, message: str) -> Any:
        """Return an error in the envelope; the document gives it for status 200 only."""
        return {"cursor": None, "data": None, "error": message or str(status)}

    def _bearer(self, request: Request) -> Token:
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        token = self.tokens.get(sent.strip())
        if scheme.lower() != "bearer" or token is None or token.expires_at <= self.clock.time():
            raise Refusal(401, self.problem(401, "Unauthorized"))
        return token

    # The endpoints.

    def _authorize(self, request: Request) -> Reply:
        query = request.query
        if query.get("client_id") != self.client_id:
            raise _oauth_error("invalid_client", 401)
        if query.get("response_type", "code") != "code" or "redirect_uri" not in query:
            raise _oauth_error("invalid_request")
        code = self.new_id(24)
        company_id = self.consenting or self.company().id
        self.codes[code] = Code(company_id, query["redirect_uri"], self.clock.time() + CODE_LIFE)
        answer = {"code": code} | ({"state": query["state"]} if "state" in query else {})
        glue = "&" if "?" in query["redirect_uri"] else "?"
        return Reply(None, 302, {"location": query["redirect_uri"] + glue + urlencode(answer)})

    def _token(self, request: Request) -> Reply:
        form = self._client_form(request)
        grants: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh_token,
            "client_credentials": lambda _form: self._access(None, None),
        }
        grant = grants.get(form.get("grant_type", ""))
        if grant is None:
            raise _oauth_error("unsupported_grant_type")
        return Reply(grant(form), headers={"cache-control": "no-store"})

    def _by_code(self, form: dict[str, Any]) -> dict[str, Any]:
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.expires_at <= self.clock.time():
            raise _oauth_error("invalid_grant")
        if form.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
            raise _oauth_error("invalid_grant")
        refresh_token = self._new_refresh_token(code.company_id)
        return {**self._access(code.company_id, refresh_token), "refresh_token": refresh_token}

    def _by_refresh_token(self, form: dict[str, Any]) -> dict[str, Any]:
        refresh_token = form.get("refresh_token", "")
        company_id = self.refresh_tokens.get(refresh_token)
        if company_id is None:
            raise _oauth_error("invalid_grant")
        if not self.rotate_refresh_tokens:
            return self._access(company_id, refresh_token)
        self._end(refresh_token)
        fresh = self._new_refresh_token(company_id)
        return {**self._access(company_id, fresh), "refresh_token": fresh}

    def _revoke(self, request: Request) -> Reply:
        # RFC 7009: unknown tokens are answered with 200 as well.
        token = self._client_form(request).get("token", "")
        known = token in self.refresh_tokens or token in self.tokens
        self.tokens.pop(token, None)
        self._end(token)
        return Reply({}, applied=known)

    def _introspect(self, request: Request) -> Reply:
        sent = self._client_form(request).get("token", "")
        if sent in self.refresh_tokens:
            return Reply({"active": True, "client_id": self.client_id, "token_type": "refresh_token"})
        token = self.tokens.get(sent)
        if token is None or token.expires_at <= self.clock.time():
            return Reply({"active": False})
        answer = {"active": True, "client_id": self.client_id, "token_type": "Bearer"}
        return Reply({**answer, "exp": int(token.expires_at)})

    def _client_form(self, request: Request) -> dict[str, Any]:
        """Return the form of a client that has proved who it is, in the body or with Basic."""
        try:
            form = request.fields()
        except ValueError:
            raise _oauth_error("invalid_request") from None
        shown = (form.get("client_id", ""), form.get("client_secret", ""))
        scheme, _, basic = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            name, _, secret = base64.b64decode(basic).decode().partition(":")
            shown = (name, secret)
        if shown != (self.client_id, self.client_secret):
            raise _oauth_error("invalid_client", 401)
        return form

    def _access(self, company_id: str | None, refresh_token: str | None) -> dict[str, Any]:
        token = f"nj_access_{self.new_id(24)}"
        self.tokens[token] = Token(company_id, self.clock.time() + LIFE, refresh_token)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFE}

    def _new_refresh_token(self, company_id: str) -> str:
        token = f"nj_refresh_{self.new_id(24)}"
        self.refresh_tokens[token] = company_id
        return token

    def _end(self, refresh_token: str) -> None:
        self.refresh_tokens.pop(refresh_token, None)
        derived = [key for key, token in self.tokens.items() if token.refresh_token == refresh_token]
        for key in derived:
            del self.tokens[key]


def _oauth_error(code: str, status: int = 400) -> Refusal:
    return Refusal(status, {"error": code, "error_description": code.replace("_", " ")})
