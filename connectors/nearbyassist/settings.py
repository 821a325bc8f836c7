"""The keys of a NearbyAssist connection in the YAML.

NearbyAssist's page names its endpoints by group and describes no entity, so most words of the wire are assumed. Each of
them is a key here: one that turns out to be another is put right in the YAML, not in the code.
"""

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from mapping.problem import InvalidError, instead
from mapping.settings import ConnectionSettings

_PATH = r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$"
_PATH_OF_ONE = r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/\{id\}(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$"
_WORD = r"^\S+$"
_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


class _Words(BaseModel):
    """Words of the platform that can be set right. A key that does not exist is answered with those that do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        for word in given if isinstance(given, dict) else ():
            if word not in cls.model_fields:
                raise InvalidError(
                    f"there is no key {word!r} here", instead(str(word), cls.model_fields, "keys")
                )
        return given


def _path(default: str, what: str) -> Any:
    return Field(default=default, pattern=_PATH, description=f"Path of {what}.")


def _path_of_one(default: str, what: str) -> Any:
    return Field(default=default, pattern=_PATH_OF_ONE, description=f"Path of {what}; {{id}} is its id.")


class NearbyPaths(_Words):
    """Where requests go."""

    bookings: str = _path("/api/integrations/partner/bookings", "the list of bookings, and of a new one")
    booking: str = _path_of_one("/api/integrations/partner/bookings/{id}", "one booking, read and updated")
    cancel: str = _path_of_one("/api/integrations/partner/bookings/{id}/cancel", "a booking's cancellation")
    reviews: str = _path("/api/integrations/partner/reviews", "the list of reviews")
    sign_in: str = _path("/api/auth/signin", "signing in")


Method = Literal["POST", "PUT", "PATCH", "DELETE"]


class NearbyMethods(_Words):
    """With which HTTP method writes are sent."""

    create: Method = Field(default="POST", description="Method that makes a booking.")
    update: Method = Field(default="PATCH", description="Method that changes a booking.")
    cancel: Method = Field(default="POST", description="Method that cancels a booking.")


class NearbyHeaders(_Words):
    """Names of headers."""

    api_key: str = Field(default="X-API-Key", pattern=_HEADER, description="Header of the API key.")
    signature: str = Field(
        default="X-NearbyAssist-Signature", pattern=_HEADER, description="Header of a webhook's signature."
    )


_word = partial(Field, pattern=_WORD)


def _field(default: str, what: str) -> Any:
    return _word(default=default, description=f"Field with {what}; a.b is field b inside a.")


class NearbyFields(_Words):
    """What fields are called. A dot leads inside (``customer.contact.email``), a dot alone is the answer itself."""

    page: str = _word(default="page", description="Query parameter with the number of the page.")
    limit: str = _word(default="limit", description="Query parameter with how many rows a page has.")
    total: str = _field("total", "how many rows a list has in all")
    bookings: str = _field("bookings", "the rows of the list of bookings")
    reviews: str = _field("reviews", "the rows of the list of reviews")
    booking: str = _field("booking", "the one booking in an answer, unless the answer is the booking")

    id: str = _word(
        default="id", pattern=r"^[^\s.]+$", description="Field with the id of a booking or a review."
    )
    status: str = _field("status", "a booking's status")
    service: str = _field("serviceId", "the id of the service")
    service_name: str = _field("serviceName", "the name of the service")
    staff: str = _field("staffId", "the id of who does the work")
    start: str = _field("startTime", "the beginning, ISO 8601 with offset")
    end: str = _field("endTime", "the end, ISO 8601 with offset")
    timezone: str = _field("timezone", "the IANA zone of the place")
    price: str = _field("price", "the price, a decimal number of whole units")
    currency: str = _field("currency", "the ISO 4217 code of the price")
    notes: str = _field("notes", "the notes")
    external_ref: str = _field("externalRef", "another system's reference: it holds our origin mark")
    created_at: str = _field("createdAt", "when a booking was made")
    updated_at: str = _field("updatedAt", "when a booking was changed")
    customer: str = _field("customer", "the customer inside a booking")
    customer_id: str = _field("customer.id", "the customer's id")
    customer_first_name: str = _field("customer.firstName", "the customer's first name")
    customer_last_name: str = _field("customer.lastName", "the customer's last name")
    customer_email: str = _field("customer.email", "the customer's e-mail address")
    customer_phone: str = _field("customer.phone", "the customer's telephone number")

    review_booking: str = _field("bookingId", "the id of the booking that a review is about")
    review_rating: str = _field("rating", "the rating, 1 to 5")
    review_title: str = _field("title", "a review's title")
    review_comment: str = _field("comment", "a review's text")
    review_author: str = _field("author.name", "the name of a review's author")
    review_author_email: str = _field("author.email", "the e-mail address of a review's author")
    review_created_at: str = _field("createdAt", "when a review was written")

    event: str = _field("event", "the name of the event in a webhook")
    event_data: str = _field("data", "the entity in a webhook")

    sign_in_email: str = _word(default="email", description="Field with the e-mail address when signing in.")
    sign_in_password: str = _word(default="password", description="Field with the password when signing in.")
    access_token: str = _field("access_token", "the token in the answer to signing in")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _some(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        raise ValueError("must name at least one word")
    return words


StatusWords = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...]),
    AfterValidator(_some),
]
"""One word of the platform or several."""


def _status(word: str) -> Any:
    return Field(default=(word,), description=f"NearbyAssist's word (or list of words) for {word}.")


class NearbyStatuses(_Words):
    """NearbyAssist's words for where a booking stands."""

    pending: StatusWords = _status("pending")
    confirmed: StatusWords = _status("confirmed")
    completed: StatusWords = _status("completed")
    cancelled: StatusWords = _status("cancelled")
    no_show: StatusWords = _status("no_show")


class NearbyAssistSettings(ConnectionSettings):
    """A NearbyAssist business."""

    platform: Literal["nearbyassist"]
    api_key: SecretStr | None = Field(
        default=None,
        description="API key (na_live_…) from the Integrations dashboard; else email and password.",
    )
    email: str | None = Field(
        default=None,
        min_length=3,
        description="E-mail address of the user to sign in as; rather use api_key.",
    )
    password: SecretStr | None = Field(default=None, description="Password of the user to sign in as.")
    account: str = Field(
        default="nearbyassist",
        min_length=1,
        description="Part of the origin marks, since no call tells whose account it is. Never change it later.",
    )
    country: str | None = Field(
        default=None, pattern=r"^[A-Z]{2}$", description="Country of local phone numbers."
    )
    paths: NearbyPaths = Field(default=NearbyPaths(), description="Paths that differ from the assumed ones.")
    methods: NearbyMethods = Field(
        default=NearbyMethods(), description="Methods that differ from the assumed ones."
    )
    headers: NearbyHeaders = Field(default=NearbyHeaders(), description="Names of headers that differ.")
    fields: NearbyFields = Field(
        default=NearbyFields(), description="Names of fields that differ from the assumed ones."
    )
    statuses: NearbyStatuses = Field(default=NearbyStatuses(), description="Status words that differ.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        signs_in = self.email is not None or self.password is not None
        if self.api_key is not None and signs_in:
            raise InvalidError(
                "has two ways in: api_key, and email with password", "keep api_key and delete the other two"
            )
        if self.api_key is None and (self.email is None or self.password is None):
            raise InvalidError(
                "has no way in", "add api_key (preferred), or email and password: exactly one of the two ways"
            )
        return self
