"""The keys of a NiceJob connection in the YAML."""

from typing import Literal

from pydantic import Field, SecretStr

from mapping.settings import ConnectionSettings


class NiceJobSettings(ConnectionSettings):
    """A company in NiceJob, reached through a developer account."""

    platform: Literal["nicejob"]
    client_id: str = Field(min_length=1, description="Client id of the developer account.")
    client_secret: SecretStr = Field(description="Client secret of the developer account.")
    refresh_token: SecretStr | None = Field(
        default=None,
        description="Refresh token of the company's consent, which does not expire; default: what `connect` keeps sealed.",
    )
    company_id: str | None = Field(
        default=None,
        description="The company's id: webhooks of one developer account are told apart by it. Default: asked.",
    )
    country: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="Country of local phone numbers; default: the company's own.",
    )
