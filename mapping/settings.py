"""The keys that every connection of the YAML has.

Each platform adds its own in ``connectors/<platform>/settings.py``.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema

from mapping.timing import POLL_PATTERN, RATE_PATTERN, parse_poll, parse_rate

ORIGIN_PATTERN = r"^https?://[^/?#@\s]+/*$"


def _origin(value: str) -> str:
    if not re.fullmatch(ORIGIN_PATTERN, value):
        raise ValueError(
            "must be an origin alone, such as https://api.example.com (scheme, host and port, no path)"
        )
    return value.rstrip("/")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Origin = Annotated[
    str, AfterValidator(_origin), WithJsonSchema({"type": "string", "pattern": ORIGIN_PATTERN})
]
Secrets = Annotated[
    tuple[SecretStr, ...], BeforeValidator(_as_list, json_schema_input_type=SecretStr | tuple[SecretStr, ...])
]
"""One secret or a list of them: while a secret is rotated, the old one and the new one are both accepted."""


def _checked_poll(value: str) -> str:
    parse_poll(value)
    return value


def _checked_rate(value: str) -> str:
    parse_rate(value)
    return value


PollText = Annotated[
    str, AfterValidator(_checked_poll), WithJsonSchema({"type": "string", "pattern": POLL_PATTERN})
]
RateText = Annotated[
    str, AfterValidator(_checked_rate), WithJsonSchema({"type": "string", "pattern": RATE_PATTERN})
]


class ConnectionSettings(BaseModel):
    """One account on one platform."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    platform: str = Field(description="The platform of this account.")
    base_url: Origin | None = Field(
        default=None,
        description="Origin of the API (scheme, host, port): a sandbox, a proxy or a test server.",
    )
    poll: PollText = Field(
        default="15m", description="How often to poll: an interval such as 5m, or a five-field cron line."
    )
    rate: RateText | None = Field(
        default=None, description="Request budget of this credential, such as 60/m or 500/15m."
    )
    webhook_secret: Secrets = Field(
        default=(), description="Secret of the webhook; a list while it is rotated."
    )
