"""What can go wrong with a platform, named by what to do next.

    PlatformError
    ├── TryLater          ask again, at `retry_at` if that is known
    │   ├── BadAnswer     an answer came, but not the promised one
    │   └── Unrenewed     the access token has ended, and whoever only looks must not use up the login
    ├── Refused           final for this record: a human has to look at it
    │   └── Conflict      the target has such a record already: look, it may be ours
    ├── OutcomeUnknown    a write may have happened or not: look before sending it again
    ├── NeedsHuman        this connection stops until somebody does what `remedy` says
    └── Unverified        a webhook that cannot be trusted: `why`

Every one of them says a sentence for the operator. None may carry a payload, a header or a secret: they
end in logs. Who the error is about (platform, connection) is attached on the way up with `about`.
"""

from collections.abc import Container, Mapping
from http import HTTPStatus
from typing import Self


class PlatformError(Exception):
    """A platform could not do what was asked. Its `str` is a sentence for the operator."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.platform: str | None = None
        self.connection: str | None = None

    def about(self, *, platform: str | None = None, connection: str | None = None) -> Self:
        """Say who this is about. What is known already stays: the innermost caller knows best."""
        self.platform = self.platform or platform
        self.connection = self.connection or connection
        return self

    def __str__(self) -> str:
        who = " ".join(filter(None, (self.connection, f"({self.platform})" if self.platform else None)))
        return f"{who}: {self.sentence}" if who else self.sentence


class TryLater(PlatformError):
    """Nothing happened and nothing is lost; the same call may succeed later."""

    def __init__(self, sentence: str, *, retry_at: int | None = None) -> None:
        """`retry_at` is the earliest useful moment in epoch milliseconds, None where nobody said."""
        super().__init__(sentence)
        self.retry_at = retry_at


class BadAnswer(TryLater):
    """The answer is not what the platform's documents promise: a login page, half a JSON, too much of it."""


class Unrenewed(TryLater):
    """The access token has ended, and its renewal would use up a refresh token whose successor would not be kept."""


class Refused(PlatformError):
    """The platform understood and said no. Sending the same again gets the same answer."""

    def __init__(self, sentence: str, *, fields: Mapping[str, str] | None = None) -> None:
        """`fields` has the platform's complaint by field name, where it gave one."""
        super().__init__(sentence)
        self.fields = dict(fields or {})


class Conflict(Refused):
    """The target holds such a record already. Perhaps ours: after a lost answer this is how we learn it."""


class OutcomeUnknown(PlatformError):
    """A write left us and no usable answer came back. It must be looked up, never sent again blindly."""


class NeedsHuman(PlatformError):
    """No later attempt helps until somebody acts."""

    def __init__(self, sentence: str, *, remedy: str) -> None:
        """`remedy` is the exact thing to do, in the imperative."""
        super().__init__(sentence)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{super().__str__()} What to do: {self.remedy}"


class Unverified(PlatformError):
    """A webhook whose sender could not be verified. `why` is a stable machine word (`stale`, `signature`)."""

    def __init__(self, sentence: str, *, why: str) -> None:
        super().__init__(sentence)
        self.why = why


_OK = range(200, 300)
_CLIENT_ERRORS = range(400, 500)
_SERVER_ERRORS = range(500, 600)
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
# A refusal of the credentials or of the account, not of the record.
_ACCESS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
# Definitely not applied, and not for good.
_LATER = frozenset({HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.LOCKED})
# The statuses that mean one thing whatever was asked.
_DEFINITE: Mapping[Container[int], type[PlatformError] | None] = {
    _OK: None,
    _ACCESS: NeedsHuman,
    _LATER: TryLater,
    frozenset({HTTPStatus.CONFLICT}): Conflict,
}


def classify(status: int, *, write: bool, collection: bool = False) -> type[PlatformError] | None:
    """Tell which error an HTTP status means; None for success.

    `write`: the call changes something, so a doubtful answer leaves the outcome unknown. `collection`: the
    address names the account itself and not one record, so "not found" means that access is lost.
    """
    for statuses, error in _DEFINITE.items():
        if status in statuses:
            return error
    if collection and status in _GONE:
        return NeedsHuman
    # 408 is the one 4xx that a proxy also sends when the application behind it was too slow.
    if status in _CLIENT_ERRORS and status != HTTPStatus.REQUEST_TIMEOUT:
        return Refused
    if write:
        return OutcomeUnknown
    return TryLater if status in _SERVER_ERRORS or status == HTTPStatus.REQUEST_TIMEOUT else BadAnswer
