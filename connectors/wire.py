"""What all translators share: reading a platform's JSON tolerantly, without taking absent for null."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from mapping import model
from mapping.model import MODEL, Fields, Kind
from mapping.record import Listing, Observation, Rejected, Row, UnreadableError, Via

T = TypeVar("T")
Translate = Callable[[Mapping[str, Any]], dict[str, Any]]
Embedded = Callable[[Mapping[str, Any]], Iterable[tuple[Kind, str, dict[str, Any]]]]
"""Other records that stand inside a row: kind, id and shown fields of each."""

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError)
"""What reading a row of another shape than the documented one may raise."""

_MILLISECONDS_FROM = 10**11
"""Unix times above this are milliseconds: as seconds they would lie beyond the year 5000."""


_LONGEST_REF = 255
_LOOKED_THROUGH = 2_000
_LONGEST_COMPLAINT = 200
_PRIVATE = (
    (re.compile(r"[^\s@\"'<>(]+@[^\s@\"'<>),;]+"), "(an e-mail address)"),
    (re.compile(r"\+?\d[\d ()-]{5,}\d"), "(a number)"),
    # Tokens and keys: long, in one piece, letters and digits mixed.
    (re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{24,}\b"), "(a token)"),
)


def shown(row: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """The fields that a row shows, in the common model's names; ``words``: the platform's word → ours."""
    return {ours: row[theirs] for theirs, ours in words.items() if theirs in row}


def instant(value: Any) -> datetime | None:
    """An instant, from ISO 8601 with an offset, or Unix seconds or milliseconds. Raises ValueError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not an instant")  # noqa: TRY004 - it is the value of a row that is wrong
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("not an instant") from None  # the original quotes the value
        if moment.tzinfo is None:
            raise ValueError("an instant without an offset: its zone is not known")
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("not an instant") from None
    try:
        return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError("not an instant") from None


def listing(
    kind: Kind,
    rows: Iterable[Any],
    translate: Translate,
    asked_at: int,
    context: bytes,
    via: Via = Via.POLL,
    *,
    embedded: Embedded | None = None,
    id_word: str = "id",
) -> Listing:
    """The rows of a page. ``context`` stands for all that their translation depends on besides themselves."""
    named, unnamed = [], []
    for number, content in enumerate(rows):
        try:
            raw = raw_of(content)
        except ValueError as error:
            unnamed.append(Rejected(kind, f"row {number + 1}", str(error), b"null"))
            continue
        ref = content.get(id_word) if isinstance(content, Mapping) else None
        if is_ref(ref):
            named.append(Row(str(ref), raw, blake2b(context + raw, digest_size=16).digest(), content))
            continue
        why = f"{id_word}: missing or not an identifier" if isinstance(content, Mapping) else "not an object"
        unnamed.append(Rejected(kind, f"row {number + 1}", why, raw))

    def understand(row: Row) -> Observation:
        try:
            fields: Fields = MODEL[kind].model_validate(translate(row.content))
            inside = _inside(row.content, embedded, asked_at, via) if embedded else ()
        except UNREADABLE as error:
            raise UnreadableError(reason(error)) from error
        return Observation(kind, row.ref, fields, row.raw, asked_at, via, row.digest, inside)

    return Listing(kind, named, understand, unnamed)


def version_of(*modules: ModuleType) -> bytes:
    """What stands for the code of translators: a row that was read by another version is read again."""
    code = b"".join(Path(module.__file__ or "").read_bytes() for module in (*modules, model))
    return blake2b(code, digest_size=16).digest()


def observation(
    kind: Kind,
    row: Mapping[str, Any],
    translate: Translate,
    asked_at: int,
    via: Via,
    *,
    embedded: Embedded | None = None,
    id_word: str = "id",
) -> Observation:
    """One row as an observation. Raises ValueError and its like when it cannot be understood."""
    ref = row[id_word]
    if not is_ref(ref):
        raise ValueError(f"{id_word}: not an identifier")
    fields: Fields = MODEL[kind].model_validate(translate(row))
    inside = _inside(row, embedded, asked_at, via) if embedded else ()
    return Observation(kind, str(ref), fields, raw_of(row), asked_at, via, embedded=inside)


def _inside(row: Mapping[str, Any], embedded: Embedded, asked_at: int, via: Via) -> tuple[Observation, ...]:
    return tuple(
        Observation(kind, ref, MODEL[kind].model_validate(shown), raw_of(shown), asked_at, via)
        for kind, ref, shown in embedded(row)
    )


def is_ref(value: Any) -> bool:
    """Whether a value can be an id: short, printable, and more than dots, since it becomes a part of addresses."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    text = str(value)
    return (
        0 < len(text) <= _LONGEST_REF and text.isprintable() and not text.isspace() and bool(text.strip("."))
    )


def raw_of(row: Any) -> bytes:
    """A row as JSON, for the ledger. Raises ValueError for one that is nested too deeply to be kept."""
    try:
        return orjson.dumps(row)
    except TypeError:
        raise ValueError("nested too deeply") from None


def quoted(said: Any) -> str:
    """A platform's own complaint, fit for a sentence that ends in logs: no addresses, numbers or tokens, and short."""
    text = " ".join(said[:_LOOKED_THROUGH].split()) if isinstance(said, str) else ""
    for pattern, instead in _PRIVATE:
        text = pattern.sub(instead, text)
    return text if len(text) <= _LONGEST_COMPLAINT else text[:_LONGEST_COMPLAINT] + "…"


def reason(error: Exception) -> str:
    """Why a row could not be understood: names of fields, never their values."""
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        )
    if isinstance(error, KeyError):
        return f"{error.args[0]}: missing"
    if isinstance(error, AttributeError | TypeError | ArithmeticError):
        return "not an object of the documented shape"
    return str(error)
