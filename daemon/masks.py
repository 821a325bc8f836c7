"""Contact data and control characters in what is shown."""

import json
import re
from typing import Any

# Bounded, since guests write what they search: an open end before the @ takes minutes for a hundred thousand letters.
_EMAIL = re.compile(r"[^\s@<>(),;\"']{1,64}@[^\s@<>(),;\"']{1,255}\.[A-Za-z]{2,24}")
_PHONE = re.compile(r"(?<![\w-])\+?\(?\d[\d ()./-]{6,40}\d(?![\w-])")
_CONTACT = frozenset({"email", "phone", "emails", "phones", "address"})
_NOT_PHONES = re.compile(r"\d{4}-\d{2}-\d{2}")


def masked(value: Any, name: str = "") -> Any:
    """The same without contact data: by the name of the field, and wherever an address stands in a text."""
    if isinstance(value, dict):
        return {
            key: masked(item, name if name in _CONTACT else _name(key, name)) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(item, name) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if name in _CONTACT:
        return _cut(str(value))
    return mask_text(value) if isinstance(value, str) else value


def _name(key: str, above: str) -> str:
    return above if key in {"old", "new"} and above in _CONTACT else key


def mask_text(text: str) -> str:
    """A text without addresses and numbers."""
    text = _EMAIL.sub(lambda found: _cut(found[0]), text)
    return _PHONE.sub(lambda found: found[0] if _NOT_PHONES.search(found[0]) else _cut(found[0]), text)


def _cut(text: str) -> str:
    return f"{text[:1]}***@***" if "@" in text else f"***{text[-2:]}"


def clean(value: Any) -> str:
    """A value as one line of text for a terminal: nothing in it moves the cursor or changes the colours."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
