"""JSON as JavaScript prints it.

Platforms that sign `JSON.stringify(body)` sign what Node makes of the text: `75.0` becomes `75`,
integer-like keys move to the front, spaces go. To verify, the same bytes have to be made here.

The rules are ECMA-262's: Number::toString, OrdinaryOwnPropertyKeys, QuoteJSONString.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

_QUOTED = re.compile('[\\x00-\\x1f"\\\\\ud800-\udfff]')
_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_INDEX = re.compile("0|[1-9][0-9]{0,9}")
# The largest array index; greater integers are ordinary keys.
_LAST_INDEX = 2**32 - 2
_EXACT = 2**53
# Where JavaScript changes to the notation with an exponent.
_MOST_DIGITS = 21
_MOST_ZEROS = 6


def js_normalise(raw: bytes) -> bytes:
    """Print what `JSON.stringify(JSON.parse(raw))` prints. `ValueError` for what JSON.parse refuses."""
    try:
        return stringify(json.loads(raw.decode(), parse_int=float, parse_constant=_refuse))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def stringify(value: Any) -> bytes:
    """Print a decoded JSON value as `JSON.stringify` does. All numbers are doubles, as there."""
    return _text(value).encode()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant}")


def _text(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | float():
            return _number(float(value))
        case Mapping():
            return "{" + ",".join(f"{_string(key)}:{_text(value[key])}" for key in _ordered(value)) + "}"
        case _:
            return "[" + ",".join(_text(item) for item in value) + "]"


def _ordered(keys: Iterable[str]) -> list[str]:
    """Array indexes first, ascending; then the others as they came (a repeated one where it came first)."""
    indexes: list[str] = []
    others: list[str] = []
    for key in keys:
        (indexes if _INDEX.fullmatch(key) and int(key) <= _LAST_INDEX else others).append(key)
    return sorted(indexes, key=int) + others


def _string(text: str) -> str:
    return f'"{_QUOTED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    return _SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}"


def _number(number: float) -> str:
    if not math.isfinite(number):  # 1e400 in the text: Infinity, which JSON.stringify prints as null
        return "null"
    if number.is_integer() and abs(number) < _EXACT:
        return str(int(number))  # -0 too
    sign = "-" if number < 0 else ""
    return sign + _positive(abs(number))


def _positive(number: float) -> str:
    """Lay out the shortest digits that mean this double: the same digits in both languages, other layout."""
    digits, point = _shortest(number)
    if 0 < point <= _MOST_DIGITS:
        if len(digits) <= point:
            return digits.ljust(point, "0")
        return f"{digits[:point]}.{digits[point:]}"
    if -_MOST_ZEROS < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _shortest(number: float) -> tuple[str, int]:
    """Give the digits, and where the decimal point stands in them: 0.00123 is ("123", -2)."""
    mantissa, _, exponent = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    shift = len(whole + fraction) - len(digits)
    return digits.rstrip("0"), len(whole) - shift + int(exponent or 0)
