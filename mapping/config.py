"""The configuration: what ``bookferry.yaml`` says, parsed and checked.

Every key carries the description that users see in their editor (through the JSON Schema) and in error
messages. ``mapping/load.py`` makes a Config out of a text; nothing here reads anything.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    PrivateAttr,
    SecretStr,
    SerializeAsAny,
    WithJsonSchema,
)

from mapping.expr import Expression
from mapping.guard import Guard
from mapping.model import Kind
from mapping.problem import InvalidError, Problem, instead
from mapping.settings import ConnectionSettings
from mapping.surprise import CANARY
from mapping.timing import DAY, KEEP_PATTERN, Interval, Poll, parse_keep, parse_poll

Scalar = str | int | float | bool
NAME_PATTERN = r"^[a-z][a-z0-9_-]*$"
DOOR_PATTERN = r"^(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$"
SINCE_PATTERN = r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:?\d{2})?)?$"
ENDPOINT_PATTERN = (
    rf"^[a-z][a-z0-9_-]*\.({'|'.join(word for kind in Kind for word in (kind.value, kind.one))})$"
)
ROUTE_PATTERN = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
_TOP_PORT = 65535


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen. Port 0: any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``host:port``, an IPv6 host in brackets. Raises InvalidError."""
        host, _, port = text.rpartition(":")
        if not re.fullmatch(DOOR_PATTERN, text, re.ASCII) or int(port) > _TOP_PORT:
            raise InvalidError(
                "is not host:port", f"write an address such as 127.0.0.1:8077 (port 0-{_TOP_PORT})"
            )
        if host.startswith("["):
            _ip(host[1:-1])
        return cls(host.strip("[]"), int(port))


def _ip(host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise InvalidError(
            "has no IPv6 address in its brackets", "write an address such as [::1]:8077"
        ) from None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a route: a kind of record on a connection."""

    connection: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.connection}.{self.kind.value}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``salon.bookings``. Raises InvalidError."""
        connection, dot, word = text.rpartition(".")
        if not dot or not connection:
            raise InvalidError(
                "is not connection.kind", "write the connection and the kind, such as salon.bookings"
            )
        if word not in {name for kind in Kind for name in (kind.value, kind.one)}:
            raise InvalidError("names no kind after the dot", instead(word.lower(), list(Kind), "kinds"))
        return cls(connection, Kind.parse(word))


class Notify(StrEnum):
    """Whether a route may make the target speak to a guest."""

    NEVER = "never"
    ALLOW = "allow"


class OnCancel(StrEnum):
    """What a cancelled source does to the target's record."""

    CANCEL = "cancel"
    TAG = "tag"
    IGNORE = "ignore"


class OnReschedule(StrEnum):
    """What a moved source does to a target that cannot move its record."""

    REFUSE = "refuse"
    CANCEL_AND_CREATE = "cancel_and_create"


def is_loopback(host: str | None) -> bool:
    """Whether what is sent to a host stays on this machine."""
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _public_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, bad = (
            parts.hostname,
            parts.username is not None or parts.query or parts.fragment or parts.port == 0,
        )
    except ValueError:
        host, bad, parts = None, True, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or bad or re.search(r"\s", text):
        raise InvalidError(
            "is not an address for webhooks", "write scheme, host and path alone: https://hooks.example.com"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidError(
            "must be https: webhooks carry guest data", "put an https proxy before the hook door"
        )
    return text.rstrip("/")


def _alert_url(given: SecretStr) -> SecretStr:
    text = given.get_secret_value()
    try:
        parts = urlsplit(text)
        host, bad = parts.hostname, parts.username is not None or parts.fragment or parts.port == 0
    except ValueError:
        host, bad, parts = None, True, urlsplit("")
    odd = re.search(r"\s|//|/\.{1,2}(/|$)", parts.path) or re.search(r"\s", text)
    if parts.scheme not in {"http", "https"} or not host or bad or odd:
        raise InvalidError(
            "is not an address for alerts",
            "write the whole address, such as https://hooks.example.com/services/…",
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidError(
            "must be https: alerts tell of your business", "write https://, or an address on this machine"
        )
    return given


def parse_since(text: str) -> datetime:
    """Read a date (its midnight in UTC) or an instant with its offset. Raises InvalidError."""
    remedy = "write a date such as 2026-11-01, or an instant such as 2026-11-01T09:00+13:00"
    if not re.fullmatch(SINCE_PATTERN, text, re.ASCII):
        raise InvalidError("is neither a date nor an instant", remedy)
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidError("does not exist in the calendar", remedy) from None
    if len(text) > len("2026-11-01"):
        raise InvalidError("has no offset, and a zone is never guessed", "add Z or an offset such as +13:00")
    return moment.replace(tzinfo=UTC)


def _parsed(parse: Any) -> BeforeValidator:
    def validate(value: Any) -> Any:
        if isinstance(value, bool | int | float | list | dict) or value is None:
            raise InvalidError("must be a text", "put quotes around it")
        return parse(value) if isinstance(value, str) else value

    return BeforeValidator(validate)


def _pattern(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


def _scalar(value: Any) -> Any:
    if not isinstance(value, Scalar):
        raise InvalidError("must be a text, a number, true or false", "write one value a row")
    return value


def _empty(value: Any) -> Any:
    """A key with nothing beneath it, as when all its lines are commented out."""
    return {} if value is None else value


_SCALAR_SCHEMA = {"type": ["string", "number", "boolean"]}
_SET_SCHEMA = {"type": ["string", "number", "boolean", "array"], "items": _SCALAR_SCHEMA}

_Door = Annotated[Door, _parsed(Door.parse), PlainSerializer(str), _pattern(DOOR_PATTERN)]
_Endpoint = Annotated[Endpoint, _parsed(Endpoint.parse), PlainSerializer(str), _pattern(ENDPOINT_PATTERN)]
_Keep = Annotated[
    Interval, _parsed(parse_keep), PlainSerializer(lambda kept: f"{kept.seconds}s"), _pattern(KEEP_PATTERN)
]
_Since = Annotated[datetime, _parsed(parse_since), _pattern(SINCE_PATTERN)]
_PublicUrl = Annotated[str, AfterValidator(_public_url), _pattern(r"^https?://\S+$")]
_AlertUrl = Annotated[SecretStr, AfterValidator(_alert_url), _pattern(r"^https?://\S+$")]
_When = Annotated[InstanceOf[Expression], WithJsonSchema({"type": ["string", "boolean"]})]
_Set = Annotated[Mapping[str, Annotated[Any, WithJsonSchema(_SET_SCHEMA)]], BeforeValidator(_empty)]
_Fields = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
_Row = Annotated[Any, AfterValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)]
_Name = Annotated[str, Field(pattern=NAME_PATTERN)]


_Guard = Annotated[Guard, BeforeValidator(Guard.parse), BeforeValidator(_empty)]


class _Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Server(_Keys):
    """The two doors: never one listener for both."""

    hooks: _Door = Field(
        default=Door("127.0.0.1", 8077),
        json_schema_extra={"default": "127.0.0.1:8077"},
        description="Where webhooks arrive, as host:port, behind a public https proxy.",
    )
    admin: _Door = Field(
        default=Door("127.0.0.1", 8078),
        json_schema_extra={"default": "127.0.0.1:8078"},
        description="Status page, metrics and health, as host:port; keep it private.",
    )
    public_url: _PublicUrl | None = Field(
        default=None, description="The https address at which the platforms reach the hook door."
    )


class Alerts(_Keys):
    """How the owner hears of what needs attention."""

    url: _AlertUrl = Field(
        description="Where to POST each alert as JSON with a `text`: an incoming webhook of Slack, Mattermost, Teams or "
        "ntfy, or an endpoint of your own."
    )


class Route(_Keys):
    """One rule: what is carried from where to where, when, and how loud."""

    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=ROUTE_PATTERN,
        description="The name of the route, used to arm it and in every message. Default: '<from> to <to>'.",
    )
    source: _Endpoint = Field(
        alias="from", description="What is carried: connection.kind, such as salon.bookings."
    )
    target: _Endpoint = Field(alias="to", description="Where it is carried: connection.kind.")
    when: _When | None = Field(
        default=None,
        description='Only records for which this expression is true, such as booking.status == "completed". '
        "Default: all.",
    )
    set: _Set = Field(
        default_factory=dict,
        description="Fields of the target, in the target's words, each with an expression (a text) or a "
        "fixed value (a list, a number, true or false). All other fields are taken over as they are.",
    )
    notify: Notify = Field(
        default=Notify.NEVER,
        description="Whether the target may notify a guest: never (a write that cannot be silent is refused) "
        "or allow.",
    )
    after: _When | None = Field(
        default=None,
        description="A moment before which nothing is written, as an expression, such as "
        "at(booking.departure, booking.check_out, booking.zone).",
    )
    on_cancel: OnCancel | None = Field(
        default=None,
        description="What a cancelled or missed one does to its record at the target: cancel it, tag it, or ignore it. "
        "Default: cancel where the target can (or tag where it has no cancelled state), otherwise ignore.",
    )
    on_reschedule: OnReschedule = Field(
        default=OnReschedule.REFUSE,
        description="What happens when a booking moves and the target cannot move it: refuse (it is parked), or "
        "cancel_and_create, which its customer may notice.",
    )
    owns: _Fields = Field(
        default=(),
        description="With a route back: fields of the target that this route alone decides.",
    )
    newest: _Fields = Field(
        default=(),
        description="With a route back: fields that are as whoever changed them last wants them.",
    )
    since: _Since | None = Field(
        default=None,
        description="A date (in UTC) or an instant: nothing older is ever pushed. Default: the moment of "
        "arming.",
    )
    canary: Annotated[int | None, Field(ge=0)] = Field(
        default=None,
        description="So many writes (loud ones, with notify: allow) go out after arming, then the others wait for an "
        "approval. 0: off. Default: 5 with notify: allow, otherwise 0.",
    )
    guard: _Guard = Field(
        default_factory=Guard,
        description="How much this route may do within a day without asking, where the general guard does not fit; or off.",
    )

    @property
    def canaries(self) -> int:
        """How many writes go out after arming before somebody has to look."""
        return self.canary if self.canary is not None else CANARY if self.notify is Notify.ALLOW else 0


def leads_back(route: Route, other: Route) -> bool:
    """Whether two routes keep the same two sides in step, each in its direction."""
    return other.source == route.target and other.target == route.source


class Config(_Keys):
    """All that a user says. Made by ``mapping.load.load``."""

    server: Annotated[Server, BeforeValidator(_empty)] = Field(
        default_factory=Server, description="Where bookferry listens."
    )
    state: str = Field(
        default="bookferry.db", min_length=1, description="The SQLite file that holds all state."
    )
    keep: _Keep = Field(
        default=Interval(90 * DAY),
        json_schema_extra={"default": "90d"},
        description="How long the history is kept, in hours or days: webhooks that were read, writes that ended, the single "
        "steps of a record's changes. What deduplication needs is kept longer.",
    )
    connections: Mapping[_Name, SerializeAsAny[ConnectionSettings]] = Field(
        min_length=1,
        description="One entry an account on a platform; the name is used in routes and in messages.",
    )
    alerts: Alerts | None = Field(
        default=None,
        description="How you hear of what needs attention. Default: the log and `bookferry status`.",
    )
    lookups: Annotated[Mapping[str, Mapping[str, _Row]], BeforeValidator(_empty)] = Field(
        default_factory=dict, description="Tables for lookup(table, key) in expressions."
    )
    guard: _Guard = Field(
        default_factory=Guard,
        description="How much a route may do within a day without asking: what is more waits for an approval; or off.",
    )
    routes: Annotated[tuple[Route, ...], BeforeValidator(lambda value: () if value is None else value)] = (
        Field(
            default=(),
            description="What is carried from where to where. Without routes, bookferry only reads.",
        )
    )

    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is allowed, but should not stay so: a secret typed into the file, say."""
        return self._warnings

    def warned(self, warnings: Iterable[Problem]) -> Self:
        """This configuration, with its warnings: said once, by the loader."""
        self._warnings = tuple(warnings)
        return self

    def poll(self, connection: str) -> Poll:
        """How often to poll a connection. Raises KeyError for a name that is not configured."""
        return parse_poll(self.connections[connection].poll)
