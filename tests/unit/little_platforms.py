"""Two little platforms: one that can only speak aloud, and one that can mostly keep quiet."""

from pydantic import Field, SecretStr

from mapping.capability import Act, KindSpec, People, Platform, Voice
from mapping.config import Config
from mapping.load import load
from mapping.model import Kind
from mapping.settings import ConnectionSettings


class BookatuSettings(ConnectionSettings):
    slug: str = Field(description="The business, as in its address.")
    api_key: SecretStr = Field(description="The key of the API.")
    source: str = Field(
        default="admin", pattern="^(admin|online)$", description="Who books: admin or online."
    )


class NiceJobSettings(ConnectionSettings):
    client_id: str = Field(description="Of the developer account.")
    client_secret: SecretStr = Field(description="Of the developer account.")
    refresh_token: SecretStr | None = Field(
        default=None, description="To begin with; renewed ones are stored."
    )
    company_id: int | None = Field(default=None, description="The company, where one account has several.")


UNDOCUMENTED = "whether it notifies is not documented."

BOOKATU = Platform(
    name="bookatu",
    title="Bookatu",
    settings=BookatuSettings,
    kinds={
        Kind.BOOKINGS: KindSpec(
            acts={Act.CREATE: Voice.LOUD, Act.CANCEL: Voice.LOUD},
            reasons={
                Act.CREATE: UNDOCUMENTED,
                Act.CANCEL: UNDOCUMENTED,
                Act.UPDATE: "There is no such call.",
            },
            writes={"service_id": "service", "start": "starts", "notes": "notes"},
            required=frozenset({"service", "starts", "full_name"}),
            people=People.EMBEDDED,
        ),
        Kind.PEOPLE: KindSpec(reasons={Act.CREATE: "The API has no way to make a customer."}),
    },
    origin="https://api.bookatu.example",
    rate=(60, 60),
)

NICEJOB = Platform(
    name="nicejob",
    title="NiceJob",
    settings=NiceJobSettings,
    kinds={
        Kind.BOOKINGS: KindSpec(
            acts={
                Act.CREATE: Voice.SILENT,
                Act.UPDATE: Voice.SILENT,
                Act.COMPLETE: Voice.CHOICE,
                Act.CANCEL: Voice.SILENT,
            },
            writes={"name": "title", "tags": "tags", "amount": "amount", "scheduled_time": "starts"},
            people=People.LINKED,
            cancel_leaves_open=True,
        ),
        Kind.PEOPLE: KindSpec(
            acts={Act.CREATE: Voice.SILENT, Act.UPDATE: Voice.SILENT},
            writes={"first_name": "first_name", "email": "email", "phone": "phone"},
            required=frozenset({"first_name"}),
        ),
        Kind.REVIEWS: KindSpec(),
    },
    origin="https://api.nicejob.example",
    rate=(60, 60),
)

# A platform that cannot list its reviews, and one field that no source kind has.
ODD = Platform(
    name="odd",
    title="Odd",
    settings=ConnectionSettings,
    kinds={
        Kind.REVIEWS: KindSpec(listed=False, fetched=True),
        Kind.BOOKINGS: KindSpec(
            acts={Act.CREATE: Voice.SILENT},
            writes={"deposit": "deposit", "label": "title"},
            required=frozenset({"deposit"}),
        ),
    },
    origin="https://api.odd.example",
    rate=(1, 1),
)

PLATFORMS = {each.name: each for each in (BOOKATU, NICEJOB, ODD)}

ENV = {
    "BOOKATU_API_KEY": "sentinel-api-key",
    "BOOKATU_WEBHOOK_SECRET": "sentinel-hook",
    "NICEJOB_CLIENT_ID": "sentinel-client",
    "NICEJOB_CLIENT_SECRET": "sentinel-secret",
}
FILES = {"/run/token": "sentinel-token\n", "/run/crlf": "sentinel-crlf\r\n"}
CREDENTIALS = {"hook": "sentinel-credential\n"}

CONNECTIONS = """\
connections:
  salon:
    platform: bookatu
    slug: parnell-nails
    api_key: ${BOOKATU_API_KEY}
    webhook_secret: ${BOOKATU_WEBHOOK_SECRET}
    poll: 5m
  reviews:
    platform: nicejob
    client_id: ${NICEJOB_CLIENT_ID}
    client_secret: ${NICEJOB_CLIENT_SECRET}
    poll: 30m
"""
"""Twelve lines, so that what is written after them begins on line 13."""

EXAMPLE = (
    CONNECTIONS
    + """\

routes:
  - name: ask for a review after the visit
    from: salon.bookings
    to: reviews.bookings
    when: booking.status == "completed"
    set:
      name: booking.title
      tags: ["bookatu"]
    notify: allow          # never (default) | allow
    since: 2026-11-01      # older than this is never pushed; default: the moment the route was armed
"""
)


def read_file(path: str) -> str:
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory", path)
    return FILES[path]


def read(text: bytes | str, env: dict[str, str] = ENV) -> Config:
    return load(
        text,
        name="bookferry.yaml",
        platforms=PLATFORMS,
        env=env,
        read_file=read_file,
        credential=CREDENTIALS.get,
    )
