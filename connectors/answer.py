"""What a platform said, and what its status, its date and its body mean."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from json import dumps, loads
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

import orjson

from connectors.budget import LONGEST_HOLD
from connectors.errors import BadAnswer, NeedsHuman, OutcomeUnknown, Refused, TryLater, classify

_REDIRECTS = range(300, 400)

_REMEDIES = {
    HTTPStatus.UNAUTHORIZED: "check the credentials of this connection, or log in again.",
    HTTPStatus.PAYMENT_REQUIRED: "look at the plan and the invoices of this account on the platform.",
    HTTPStatus.FORBIDDEN: "give these credentials the missing permission (scope) on the platform.",
    HTTPStatus.NOT_FOUND: "check the account's name in the configuration, and that it still exists.",
    HTTPStatus.GONE: "check that the account still exists on the platform.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform said. `body` is plain (decompressed); `asked_at` is epoch ms of the request's start."""

    method: str
    path: str
    write: bool
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    asked_at: int

    @property
    def date(self) -> int | None:
        """The server's own clock (header Date) in epoch ms, None where it does not say."""
        return http_date(self.headers.get("date"))

    @property
    def retry_at(self) -> int | None:
        """The moment in epoch ms that a Retry-After names, None where there is none."""
        delay = retry_after(self.headers, self.asked_at)
        return None if delay is None else self.asked_at + math.ceil(delay * 1000)

    def json(self) -> Any:
        """Decode the body. Where it is not JSON: `BadAnswer`, or `OutcomeUnknown` after a write."""
        if "html" in self.headers.get("content-type", ""):
            self.unusable("a web page instead of JSON")
        try:
            return orjson.loads(self.body)
        except ValueError:
            return self._lenient_json()

    def unusable(self, what: str) -> NoReturn:
        """Raise what an answer means that came but does not have the promised shape (`what` came instead)."""
        error = OutcomeUnknown if self.write else BadAnswer
        # The decoder's own error holds the whole body.
        raise error(f"{self.method} {self.path} was answered with {what}.") from None

    def check(
        self,
        *,
        collection: bool = False,
        said: str = "",
        fields: Mapping[str, str] | None = None,
        remedy: str = "",
    ) -> Self:
        """Give itself back if the status says success; else raise the error that the status means.

        `said` and `fields` are the platform's own words, `collection` is explained at `classify`, `remedy`
        replaces our general advice.
        """
        error = classify(self.status, write=self.write, collection=collection)
        if error is None:
            return self
        sentence = f"{self.method} {self.path} was answered {self.status}{self._towards()}"
        sentence += f": {said}" if said else "."
        if issubclass(error, Refused):
            raise error(sentence, fields=fields)
        if issubclass(error, NeedsHuman):
            raise error(sentence, remedy=remedy or _REMEDIES[HTTPStatus(self.status)])
        if issubclass(error, TryLater):
            raise error(sentence, retry_at=self.retry_at)
        raise error(sentence)

    def _towards(self) -> str:
        if self.status not in _REDIRECTS:
            return ""
        # The host only: the rest of such an address may hold a one-time token.
        try:
            host = urlsplit(self.headers.get("location", "")).hostname
        except ValueError:
            host = "nowhere"
        return f", a redirect to {host or 'the same host'}"

    def _lenient_json(self) -> Any:
        # Text cut between the halves of an emoji: legal JSON, but no legal Unicode, which orjson refuses. One
        # such name must not cost the whole page, so the half becomes a question mark.
        try:
            plain = dumps(loads(self.body), ensure_ascii=False).encode("utf-8", "replace")
            return orjson.loads(plain)
        except (ValueError, RecursionError):
            self.unusable("something that is not JSON, or not all of it")


def http_date(text: str | None) -> int | None:
    """Epoch ms of a date as headers write it, None where there is none or none that makes sense."""
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    # "-0000" gives a naive one, by RFC 5322 a time in UTC.
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def retry_after(headers: Mapping[str, str], now: int) -> float | None:
    """Seconds that a Retry-After asks for, never more than `LONGEST_HOLD`; None where there is none.

    A date in it is by the server's clock, so it is read against the server's own Date. `now` in epoch ms.
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), LONGEST_HOLD)
    until = http_date(text)
    if until is None:
        return None
    since = http_date(headers.get("date"))
    return min(max(0.0, (until - (now if since is None else since)) / 1000), LONGEST_HOLD)
