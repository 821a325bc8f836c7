"""Normal forms: when two spellings of a value mean the same, so that a platform's tidying up causes no writes."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from mapping.money import NO_CURRENCY, to_major


def folded(text: str | None) -> str:
    """Text for comparison: case, accents' composition and runs of white space do not count."""
    return " ".join(unicodedata.normalize("NFKC", text or "").casefold().split())


def email_key(email: str | None) -> str | None:
    """An e-mail address for comparison; None when there is nothing that looks like one.

    Plus-tags are kept: ``ann+bob@`` may be two people.
    """
    text = folded(email).replace(" ", "")
    local, at, domain = text.rpartition("@")
    return text if at and local and "." in domain else None


@lru_cache(maxsize=4096)
def phone_key(phone: str | None, region: str | None) -> str | None:
    """A phone number in E.164, with its extension, as seen from ``region`` (ISO 3166 alpha-2); None when it is not valid."""
    if not phone:
        return None
    import phonenumbers  # 30 ms that `status` does not need

    try:
        number = phonenumbers.parse(phone, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    form = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{form};ext={number.extension}" if number.extension else form


def digits(phone: str | None) -> str:
    """What is left of a number that cannot be understood."""
    return "".join(character for character in phone or "" if character.isdigit())


# As ``mapping.identity`` makes them.
_MARK = re.compile(r"(?:(?<!\s)\s+)?\bbookferry-[a-z2-7]{16}\b", re.IGNORECASE)


def unmarked(value: Any) -> Any:
    """Notes or tags without our origin marks: they name one record and must not travel on to another."""
    if not isinstance(value, str):
        return [tag for tag in value if not _MARK.search(str(tag))]
    return (_MARK.sub("", value).strip() or None) if _MARK.search(value) else value


def full_name(fields: Mapping[str, Any]) -> str:
    """A person's name as one string: the platform's own, or its two parts put together."""
    if fields.get("full_name"):
        return str(fields["full_name"])
    return " ".join(part for part in (fields.get("first_name"), fields.get("last_name")) if part)


def same(field: str, one: Any, other: Any, region: str | None = None) -> bool:
    """Whether two values of a field mean the same. Null and an empty text or list do."""
    if one == other:
        return True
    if field == "amount" and one and other and not _one_currency(one["currency"], other["currency"]):
        return False
    return bool(comparable(field, one, region) == comparable(field, other, region))


def lacking(field: str, wanted: Any, sent: Any, shown: Any, region: str | None = None) -> dict[str, Any]:
    """What a write has to set so that ``shown`` becomes ``wanted``: the field with its value, or nothing.

    Of tags only those that are missing; of the user's own fields only the keys that differ both from what was last
    sent and from what is shown. A key that is wanted as null is cleared, one that is not wanted is left alone.
    """
    if field == "tags":
        has = comparable(field, shown) or frozenset()
        missing = [tag for tag in wanted if not comparable(field, [tag]) <= has]
        return {field: missing} if missing else {}
    if field == "parameters" and isinstance(wanted, Mapping):
        told, held = sent or {}, shown or {}
        value = {
            key: item
            for key, item in wanted.items()
            if not (key in told and told[key] == item) and not same("", item, held.get(key))
        }
        return {field: value} if value else {}
    return {} if same(field, wanted, shown, region) else {field: wanted}


def moved(field: str, change: Any, agreed: Any, shown: Any, region: str | None = None) -> bool:
    """Whether what is about to be changed is no longer as it was agreed; of the user's own fields, by those keys."""
    if field == "parameters" and isinstance(change, Mapping):
        agreed, shown = ({key: (each or {}).get(key) for key in change} for each in (agreed, shown))
    return not same(field, agreed, shown, region)


def _one_currency(one: str, other: str) -> bool:
    """A platform that names no currency means its account's own."""
    return one == other or NO_CURRENCY in {one, other}


def comparable(field: str, value: Any, region: str | None = None) -> Any:
    """The normal form of a value: text is folded, phones are E.164, tags are a set, instants are whole seconds.

    Platforms store instants with or without milliseconds; below a second nothing is meant.
    """
    if value is None or value in ("", [], ()):
        return None
    if form := _FORMS.get(field):
        return form(value, region)
    if isinstance(value, Mapping):
        folded_parts = {name: comparable(name, item) for name, item in value.items()}
        return {name: item for name, item in folded_parts.items() if item is not None} or None
    if isinstance(value, list | tuple):
        return [comparable("", item, region) for item in value]
    return folded(value) or None if isinstance(value, str) else value


def _whole_second(value: Any, _region: str | None) -> str:
    return str(value)[:19]


_FORMS: Mapping[str, Callable[[Any, str | None], Any]] = {
    "phone": lambda value, region: phone_key(value, region) or digits(value) or None,
    "notes": lambda value, _region: folded(unmarked(value)) or None,
    "tags": lambda value, _region: frozenset(folded(tag) for tag in value),
    "amount": lambda value, _region: to_major(value["minor"], value["currency"]),
    **dict.fromkeys(("starts", "ends", "completed_at", "created_at", "updated_at"), _whole_second),
}
