"""NearbyAssist's words and ours. Pure.

The page describes no entity, so every word here comes from the connection's settings, whose defaults are assumed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from connectors.nearbyassist.settings import NearbyAssistSettings, NearbyFields
from connectors.wire import instant, is_ref
from mapping.model import Kind, Status
from mapping.money import NO_CURRENCY, from_major, to_major
from mapping.record import Account
from mapping.wish import Write


class _Nothing(Enum):
    HERE = 0


ABSENT = _Nothing.HERE
"""What is not shown at all, as opposed to null."""

# Our field → the key of `fields` that names theirs.
_BOOKING = {"service_name": "title", "timezone": "zone", "notes": "notes", "external_ref": "external_ref"}
_INSTANTS = {"end": "ends", "created_at": "created_at", "updated_at": "updated_at"}
_CUSTOMER = {
    "customer_first_name": "first_name",
    "customer_last_name": "last_name",
    "customer_email": "email",
    "customer_phone": "phone",
}
_REVIEW = {
    "review_rating": "rating",
    "review_title": "title",
    "review_comment": "comment",
    "review_author": "author",
    "review_author_email": "author_email",
}


@dataclass(frozen=True)
class Words:
    """What one connection's answers are read with."""

    fields: NearbyFields
    statuses: Mapping[str, Status]
    """By the platform's word, folded."""
    digest: bytes
    """Other words, another reading of the same row."""

    @classmethod
    def of(cls, settings: NearbyAssistSettings) -> "Words":
        said = settings.statuses
        statuses = {
            word.casefold(): Status(name) for name in type(said).model_fields for word in getattr(said, name)
        }
        digest = (settings.fields.model_dump_json() + said.model_dump_json()).encode()
        return cls(settings.fields, statuses, digest)

    @cached_property
    def paths(self) -> Mapping[str, str]:
        """Where each field stands, by its key in the settings."""
        return dict(self.fields)

    def at(self, content: Any, key: str) -> Any:
        """What an answer or a row shows of a field; ABSENT where it does not."""
        return dig(content, self.paths[key])


def dig(content: Any, path: str) -> Any:
    """What stands at ``a.b``. Where a is null, b is null too; where a is no object, b is absent."""
    for word in () if path == "." else path.split("."):
        if content is None:
            return None
        if not isinstance(content, Mapping) or word not in content:
            return ABSENT
        content = content[word]
    return content


def _shown(row: Mapping[str, Any], names: Mapping[str, str], words: Words) -> dict[str, Any]:
    values = ((ours, words.at(row, key)) for key, ours in names.items())
    return {ours: value for ours, value in values if value is not ABSENT}


def _instant(row: Mapping[str, Any], key: str, words: Words) -> Any:
    try:
        return instant(words.at(row, key))
    except ValueError as error:
        raise ValueError(f"{words.paths[key]}: {error}") from None


def account(settings: NearbyAssistSettings) -> Account:
    """What the settings say: no call that tells whose key it is is documented."""
    return Account(id=settings.account, country=settings.country)


def booking(row: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """A booking. Its id and its start are the least that it needs."""
    fields = _shown(row, _BOOKING, words)
    if words.at(row, "start") in {ABSENT, None}:
        raise ValueError(f"{words.paths['start']}: missing (`fields.start` names it)")
    fields["starts"] = _instant(row, "start", words)
    for key, ours in _INSTANTS.items():
        if words.at(row, key) is not ABSENT:
            fields[ours] = _instant(row, key, words)
    if (word := words.at(row, "status")) is not ABSENT:
        fields |= status(word, words)
    if (service := words.at(row, "service")) is not ABSENT:
        fields["service"] = _ref(service, words.paths["service"])
    if (staff := words.at(row, "staff")) is not ABSENT:
        fields["staff"] = () if staff is None else (_ref(staff, words.paths["staff"]),)
    if (who := _customer(row, words)) is not None:
        fields["people"] = (who[0],) if who[0] else ()
    return fields | _amount(row, words)


def status(word: Any, words: Words) -> dict[str, Any]:
    """The canonical status and NearbyAssist's own word for it."""
    if word is None:
        return {"status": None, "status_word": None}
    if not isinstance(word, str):
        raise ValueError(f"{words.paths['status']}: not a word")  # noqa: TRY004 - it is the row that is wrong
    return {"status": words.statuses.get(word.casefold(), Status.UNKNOWN), "status_word": word}


def _amount(row: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """The price with the currency beside it. Where none is known the amount stays absent: it is never guessed."""
    price, currency = words.at(row, "price"), words.at(row, "currency")
    if price is ABSENT:
        return {}
    if price is None:
        return {"amount": None}
    return {"amount": from_major(price, currency)} if isinstance(currency, str) and currency else {}


def _ref(value: Any, word: str) -> str | None:
    if value is None:
        return None
    if not is_ref(value):
        raise ValueError(f"{word}: not an identifier")
    return str(value)


def _customer(row: Mapping[str, Any], words: Words) -> tuple[str | None, dict[str, Any]] | None:
    """Whom a booking is for: the id (None: nobody) and what it shows of them; None where it says nothing of that.

    A customer without an id of their own is known by the booking: ``booking:<id>``.
    """
    whole, ident = words.at(row, "customer"), words.at(row, "customer_id")
    if is_ref(whole):
        return str(whole), {}
    fields = _shown(row, _CUSTOMER, words)
    if whole not in (None, ABSENT) and not isinstance(whole, Mapping):
        raise ValueError(f"{words.paths['customer']}: not an object")
    if whole is ABSENT and ident is ABSENT and not fields:
        return None
    if ident not in (None, ABSENT, ""):
        return _ref(ident, words.paths["customer_id"]), fields
    return (f"booking:{row[words.fields.id]}" if any(fields.values()) else None), fields


def people(row: Mapping[str, Any], words: Words) -> Iterator[tuple[Kind, str, dict[str, Any]]]:
    """The customer inside a booking."""
    ref, fields = _customer(row, words) or (None, {})
    if not ref or not fields:
        return
    names = [name for name in ("first_name", "last_name") if name in fields]
    if names:
        fields["full_name"] = (
            " ".join(part for name in names if (part := (fields[name] or "").strip())) or None
        )
    yield Kind.PEOPLE, ref, fields


def review(row: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """A review, with what it shows of its author: no person's id is known."""
    fields = _shown(row, _REVIEW, words)
    if (ref := words.at(row, "review_booking")) is not ABSENT:
        fields["booking"] = _ref(ref, words.paths["review_booking"])
    if words.at(row, "review_created_at") is not ABSENT:
        fields["created_at"] = _instant(row, "review_created_at", words)
    return fields


TRANSLATE = {Kind.BOOKINGS: booking, Kind.REVIEWS: review}


def one(said: Any, words: Words) -> Mapping[str, Any] | None:
    """The booking in an answer about one: under its word, or the answer itself."""
    for found in (words.at(said, "booking"), said):
        if isinstance(found, Mapping) and is_ref(found.get(words.fields.id)):
            return found
    return None


def encoded(write: Write, words: Words) -> dict[str, Any]:
    """The body of a create or an update, with our origin mark in the former."""
    fields, body = write.fields, dict[str, Any]()
    for key, ours in {"service": "service", "start": "starts", "end": "ends", **_BOOKING}.items():
        if fields.get(ours) is not None and ours != "external_ref":
            _plant(body, words.paths[key], fields[ours])
    if staff := fields.get("staff"):
        _plant(body, words.paths["staff"], staff if isinstance(staff, str) else staff[0])
    if amount := fields.get("amount"):
        _plant(body, words.paths["price"], float(to_major(amount["minor"], amount["currency"])))
        if amount["currency"] != NO_CURRENCY:
            _plant(body, words.paths["currency"], amount["currency"])
    if write.ref is None:
        _plant(body, words.paths["external_ref"], write.mark)
        for key, value in _contact(write).items():
            _plant(body, words.paths[key], value)
    return body


def _contact(write: Write) -> dict[str, Any]:
    person = dict(write.person or {})
    if person.get("full_name") and not (person.get("first_name") or person.get("last_name")):
        # One string is never split: a wrong half in a greeting is worse than a long one.
        person["first_name"] = person["full_name"]
    return {key: person[ours] for key, ours in _CUSTOMER.items() if person.get(ours)}


def _plant(body: dict[str, Any], path: str, value: Any) -> None:
    *inside, last = path.split(".")
    for word in inside:
        body = body.setdefault(word, {})
    body[last] = value
