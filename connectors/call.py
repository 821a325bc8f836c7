"""What is asked of a platform: addresses, bodies, and what the layers below need to know of a call."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, TypedDict, Unpack
from urllib.parse import quote, urlencode, urlsplit

import orjson

from connectors.budget import EVERYTHING, Lane

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")
_BAD_PATH = re.compile(r"[?#\s]|//|/\.{1,2}(/|$)")
_JSON = {"content-type": "application/json"}
_FORM = {"content-type": "application/x-www-form-urlencoded"}


Scopes = Callable[[str, str], tuple[str, ...]]
"""Tells the budget scopes of (method, path)."""


def overall(method: str, path: str) -> tuple[str, ...]:  # noqa: ARG001 - one scope for all
    """Everything is counted together."""
    return (EVERYTHING,)


Hook = Callable[[str, str, int, float], None]
"""Told after every single attempt: method, path, status (0: no answer), milliseconds."""


Leave = Callable[[], Awaitable[None]]
"""Asked right before each single request that changes something; raises where it must not be sent any more."""


class Auth(Protocol):
    """Credentials that can be renewed. They are sent to the client's own origin and nowhere else."""

    async def headers(self) -> Mapping[str, str]:
        """Give the headers to send, after fetching a token if none is at hand."""

    async def renew(self, refused: Mapping[str, str]) -> Mapping[str, str] | None:
        """Give better headers than those `refused` with 401, or None where there are none."""


class Parts(TypedDict, total=False):
    """What a call may carry. `params` with the value None are left out; a body is `json` or `form`."""

    params: Mapping[str, object]
    headers: Mapping[str, str]
    json: object
    form: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way. `path` is without the query, which may hold personal data."""

    method: str
    path: str
    write: bool
    lane: Lane
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)

    @classmethod
    def of(cls, method: str, path: str, *, write: bool, lane: Lane, **parts: Unpack[Parts]) -> Self:
        """Put a call together. `ValueError` for a path that would leave the base address or hide a query."""
        if not path.startswith("/") or _BAD_PATH.search(path):
            raise ValueError(f"not a path below the base address: {path!r} (see segment)")
        params = [(name, value) for name, value in parts.get("params", {}).items() if value is not None]
        kind, content = _encoded(parts)
        headers = {**kind, **parts.get("headers", {})}
        return cls(method, path, write, lane, urlencode(params), headers, content)


def segment(value: object) -> str:
    """Make one path segment of an id that somebody else chose. `ValueError` for one that cannot be one."""
    text = quote(str(value), safe="")
    if text in {"", ".", ".."}:
        raise ValueError(f"not usable in an address: {value!r}")
    return text


def checked_base(base: str, *, plain_http: bool = False) -> str:
    """Give the base address without its last slash. `ValueError` where no secret should be sent to it."""
    parts = urlsplit(base)
    host = parts.hostname or ""
    extras = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in {"https", "http"} or not host or extras:
        raise ValueError("a base address looks like https://host or https://host/path")
    if parts.scheme == "http" and not plain_http and not _LOOPBACK.fullmatch(host):
        raise ValueError(f"{host} is not on this machine, so its address must begin with https://")
    return base.rstrip("/")


def _encoded(parts: Parts) -> tuple[Mapping[str, str], bytes | None]:
    if "form" in parts:
        return _FORM, urlencode(parts["form"]).encode()
    if "json" in parts:
        return _JSON, orjson.dumps(parts["json"])
    return {}, None
