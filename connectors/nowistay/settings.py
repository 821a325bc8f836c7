"""The keys of a Nowistay connection in the YAML."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from mapping.model import Status
from mapping.settings import ConnectionSettings

Scope = Literal[
    "properties.read",
    "bookings.read",
    "bookings.sensitive.read",
    "bookings.write",
    "booking_parameters.read",
    "booking_parameters.write",
    "missions.read",
    "missions.write",
    "activity.read",
    "team_members.read",
    "webhooks.read",
    "webhooks.write",
]
Path = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_-]+)+$")]
AssumedPath = Literal["team_members", "booking_parameters", "missions", "webhooks"]
AssumedField = Literal[
    "propertyId",
    "channel",
    "status",
    "arrival",
    "departure",
    "adults",
    "children",
    "amount",
    "currency",
    "notes",
    "guestName",
    "guestEmail",
    "guestPhone",
    "guestAddress",
    "customParameters",
    "createdAt",
    "updatedAt",
]

SENSITIVE: Scope = "bookings.sensitive.read"
ASSUMED_PATHS: tuple[str, ...] = AssumedPath.__args__  # type: ignore[attr-defined]
ASSUMED_FIELDS: tuple[AssumedField, ...] = AssumedField.__args__  # type: ignore[attr-defined]
ALL_SCOPES: tuple[Scope, ...] = Scope.__args__  # type: ignore[attr-defined]


def _texts(value: object) -> object:
    return [str(item) if type(item) is int else item for item in value] if isinstance(value, list) else value


Ids = Annotated[tuple[str, ...], BeforeValidator(_texts, json_schema_input_type=tuple[str | int, ...])]


class NowistaySettings(ConnectionSettings):
    """A host's account in Nowistay."""

    platform: Literal["nowistay"]
    client_id: str | None = Field(
        default=None, min_length=1, description="Client id; default: the one that `connect` registers."
    )
    client_secret: SecretStr | None = Field(
        default=None, description="Client secret; a client that was registered without one has none."
    )
    refresh_token: SecretStr | None = Field(
        default=None,
        description="Refresh token of the host's consent; default: what `connect` keeps sealed. It is used up at once.",
    )
    scopes: tuple[Scope, ...] | None = Field(
        default=None,
        description="Scopes to ask for; default: all that reading and writing need, contact data if `sensitive`.",
    )
    sensitive: bool = Field(
        default=True, description="Whether to ask for guests' contact data (bookings.sensitive.read)."
    )
    door_codes: bool = Field(
        default=False, description="Whether smart-lock codes may enter the store; otherwise they are dropped."
    )
    properties: Ids | None = Field(
        default=None, description="Ids of the properties to follow; default: all that the API shows."
    )
    country: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="Country of local phone numbers; default: the properties' own, where they agree.",
    )
    paths: dict[AssumedPath, Path] = Field(
        default={}, description="Other paths below /public/v1 than the assumed ones."
    )
    fields: dict[AssumedField, str] = Field(
        default={},
        description="Other names of a booking's fields than the assumed ones; a dot leads into an object.",
    )
    statuses: dict[str, Status] = Field(
        default={}, description="What further status words of the platform mean here."
    )
    signature_header: str = Field(
        default="X-Nowistay-Signature", description="Header in which webhooks are signed."
    )
    event_header: str = Field(default="X-Nowistay-Event", description="Header that names a webhook's event.")

    @property
    def wanted(self) -> tuple[str, ...]:
        """The scopes to ask for."""
        if self.scopes is not None:
            return self.scopes
        return tuple(name for name in ALL_SCOPES if self.sensitive or name != SENSITIVE)
