"""The keys of a Bookatu connection in the YAML."""

from typing import Literal

from pydantic import Field, SecretStr

from mapping.settings import ConnectionSettings


class BookatuSettings(ConnectionSettings):
    """A Bookatu business."""

    platform: Literal["bookatu"]
    slug: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="The business's slug, as in its booking link."
    )
    api_key: SecretStr = Field(description="API key (bk_live_…) from /{slug}/admin/api.")
    source: Literal["admin", "online"] = Field(
        default="admin",
        description="The door for new bookings: online respects availability and notice, admin bypasses both.",
    )
    country: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="Country of local phone numbers; default: what the business says.",
    )
