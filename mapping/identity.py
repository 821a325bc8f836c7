"""Who is who: records stand for the same entity on strong keys only.

Strong: the same platform id, an explicit link, our own origin mark. An e-mail address together with an equal name
counts too, unless the address was seen under two names: families share addresses. Everything else is a suggestion
for a human. Links are rows and can be undone.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mapping.model import Kind
from mapping.normal import email_key, folded, full_name, phone_key
from mapping.record import Record

MARK_PREFIX = "bookferry-"
_NAMED, _PROOF = 6, 4
"""Bytes of a mark: which record it stands for, and that nobody made it up."""

_RELAYS = ("guest.booking.com", "guest.airbnb.com", "m.expediapartnercentral.com", "messages.homeaway.com")
"""Domains of addresses that booking sites make up for each stay: they identify nobody."""


def origin_mark(platform: str, account: str, kind: Kind, ref: str, key: bytes = b"") -> str:
    """The mark that a record made by us carries at its target: which source record it stands for.

    It is made of the platform's own ids, so it survives a renamed connection and a lost database; and under a key that
    no guest knows, who could write the mark of somebody else's booking into his notes. Lower-case letters and digits:
    platforms may fold case.
    """
    ids = f"{platform}\0{account}\0{kind.value}\0{ref}".encode()
    named = hashlib.blake2b(ids, digest_size=_NAMED, key=key).digest()
    return MARK_PREFIX + base64.b32encode(named + _proof(named, key)).decode().lower()


def is_genuine(mark: str, key: bytes) -> bool:
    """Whether a mark was made under this key, whatever it stands for."""
    try:
        raw = base64.b32decode(mark.removeprefix(MARK_PREFIX).upper())
    except ValueError:
        return False
    return hmac.compare_digest(raw[_NAMED:], _proof(raw[:_NAMED], key))


def _proof(named: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(named, digest_size=_PROOF, key=key, person=b"proof").digest()


def marks_in(fields: Mapping[str, Any]) -> list[str]:
    """What looks like our origin marks on a record: among its tags, as a word of its notes, or as another system's reference."""
    words = [str(tag) for tag in fields.get("tags") or ()]
    words += [word for name in ("notes", "external_ref") for word in str(fields.get(name) or "").split()]
    return [_bare(word) for word in words if _is_mark(word)]


def _bare(word: str) -> str:
    return word.strip(" \t\r\n[]().,;").lower()


def _is_mark(word: str) -> bool:
    return _bare(word).startswith(MARK_PREFIX)


def keys_of(kind: Kind, fields: Mapping[str, Any], region: str | None) -> list[tuple[str, str]]:
    """The identity keys of a record, each with the folded name it was seen under."""
    name = folded(full_name(fields)) if kind is Kind.PEOPLE else ""
    keys = [f"mark:{mark}" for mark in marks_in(fields)]
    if kind is Kind.PEOPLE:
        email, phone = email_key(fields.get("email")), phone_key(fields.get("phone"), region)
        if email and not email.endswith(tuple("@" + relay for relay in _RELAYS)):
            keys.append(f"email:{email}")
        if phone:
            keys.append(f"phone:{phone}")
    return [(key, name) for key in dict.fromkeys(keys)]


@dataclass(frozen=True, slots=True)
class Match:
    """The record that stands for the same entity at the target, and why it may be believed."""

    record: Record
    how: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Records that may stand for the same entity: a human decides."""

    records: tuple[Record, ...]
    why: str


def match(
    kind: Kind,
    fields: Mapping[str, Any],
    mark: str,
    candidates: Iterable[tuple[Record, frozenset[str]]],
    *,
    region: str | None,
    shared: frozenset[str],
) -> Match | Suggestion | None:
    """Find the target's record for an entity among the records that share a key with it.

    ``candidates`` come with their keys; ``shared`` are the keys that were seen under more than one name.
    """
    found = list(candidates)
    for record, keys in found:
        if f"mark:{mark}" in keys:
            return Match(record, "mark")
    own = dict(keys_of(kind, fields, region))
    email = next((key for key in own if key.startswith("email:")), None)
    by_email = [record for record, keys in found if email in keys]
    if not email or not by_email:
        return None
    named = [record for record in by_email if own[email] and folded(full_name(record.fields)) == own[email]]
    if len(named) == len(by_email) == 1 and email not in shared:
        return Match(named[0], "match")
    return Suggestion(tuple(by_email), _doubt(named, by_email))


def _doubt(named: list[Record], by_email: list[Record]) -> str:
    refs = ", ".join(record.ref for record in by_email)
    if len(by_email) > 1:
        return f"several people there have this e-mail address ({refs})"
    if named:
        return f"this e-mail address was seen under two names ({refs} has it too)"
    return f"{refs} has this e-mail address under another name"
