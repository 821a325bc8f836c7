"""What all translators share: reading a platform's JSON tolerantly, without taking absent for null."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from mapping.model import MODEL, Fields, Kind
from mapping.record import Observation, Rejected, Via

T = TypeVar("T")
Translate = Callable[[Mapping[str, Any]], dict[str, Any]]

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError)
"""What reading a row of another shape than the documented one may raise."""

_MILLISECONDS_FROM = 10**11
"""Unix times above this are milliseconds: as seconds they would lie beyond the year 5000."""


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
        return moment
    try:
        return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError("not an instant") from None


def observed(
    kind: Kind, rows: Iterable[Any], translate: Translate, asked_at: int, via: Via = Via.POLL
) -> tuple[list[Observation], list[Rejected]]:
    """Translate rows one by one: one that cannot be understood is rejected, and the others arrive."""
    seen, rejected = [], []
    for number, row in enumerate(rows):
        try:
            seen.append(observation(kind, row, translate, asked_at, via))
        except UNREADABLE as error:
            ref = row.get("id") if isinstance(row, Mapping) else None
            known = ref if isinstance(ref, str | int) and not isinstance(ref, bool) else None
            rejected.append(
                Rejected(
                    kind, f"row {number + 1}" if known is None else str(known), reason(error), raw_of(row)
                )
            )
    return seen, rejected


def observation(
    kind: Kind, row: Mapping[str, Any], translate: Translate, asked_at: int, via: Via
) -> Observation:
    """One row as an observation. Raises ValueError and its like when it cannot be understood."""
    ref = row["id"]
    if isinstance(ref, bool) or not isinstance(ref, str | int) or ref == "":
        raise ValueError("id: not an identifier")
    fields: Fields = MODEL[kind].model_validate(translate(row))
    return Observation(kind, str(ref), fields, raw_of(row), asked_at, via)


def raw_of(row: Any) -> bytes:
    """A row as JSON, for the ledger."""
    return orjson.dumps(row)


def quoted(said: Any) -> str:
    """A platform's own complaint, fit for a sentence that ends in logs: no addresses, numbers or tokens, and short."""
    text = said if isinstance(said, str) else ""
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
