"""The keys of a Deskbook connection in the YAML."""

from typing import Literal

from pydantic import Field, SecretStr

from mapping.settings import ConnectionSettings


class DeskbookSettings(ConnectionSettings):
    """A desk in Deskbook."""

    platform: Literal["deskbook"]
    api_key: SecretStr = Field(description="API key (db_live_…) of the desk.")
