"""What an answer looks like, without what it says: for platforms whose documents name no fields. Pure.

``describe`` tells the shape: names, types and amounts, never a value. ``fitting`` finds, for the fields that a connector
expects, those whose name and form come closest.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

_ENOUGH = 0.62
"""How alike two names must be: `begins_at` is not `startTime` by its letters, but by an alias."""
_MISFIT = 0.35
_KINSHIP = 0.15
_DEEP = 6
_ROWS = 100
_WORD = re.compile(r"[A-Za-z][A-Za-z _-]{0,29}")
_FORMS = (
    ("an e-mail address", re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")),
    ("a web address", re.compile(r"https?://\S+")),
    ("a currency", re.compile(r"[A-Z]{3}")),
    (
        "a zone",
        re.compile(r"(Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc)/\S+|UTC"),
    ),
    ("a number in a text", re.compile(r"-?\d{1,9}(\.\d+)?")),
    ("a telephone number", re.compile(r"\+?[\d ().-]{7,20}")),
)


@dataclass(frozen=True, slots=True)
class Look:
    """One question, and the shape of what it was answered with."""

    asked: str
    status: int
    shape: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What would fit better, as it stands in the YAML: section, key, value."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """A field that a connector looks for."""

    key: str
    """Its key in the settings."""
    word: str
    """Where it is looked for now."""
    form: str = ""
    """How its values look, in the words of ``form_of``; empty: in any way."""
    aliases: tuple[str, ...] = ()
    """What platforms call it elsewhere."""


def form_of(value: Any) -> str:
    """What kind of value it is, without saying which."""
    match value:
        case None:
            return "null"
        case bool():
            return "yes or no"
        case int() | float():
            return "a number"
        case str():
            return _form_of_text(value)
        case Mapping():
            return "an object"
        case _:
            return "a list"


def _form_of_text(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return next((form for form, pattern in _FORMS if pattern.fullmatch(text)), "a text")
    if len(text) <= len("2026-06-01"):
        return "a date" if "-" in text else "a number in a text"
    return "a moment with offset" if moment.tzinfo else "a moment without offset"


def describe(value: Any) -> list[str]:
    """The shape of an answer, a line for each place in it."""
    return [f"{path or '(the answer)'}: {what}" for path, what in _described(value, "", 0)]


def _described(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEP:
        yield path, "more inside"
    elif isinstance(value, Mapping):
        if not path:
            yield path, "an object" if value else "an empty object"
        for name, inner in value.items():
            yield from _described(inner, f"{path}.{_name(name)}" if path else _name(name), depth + 1)
    elif isinstance(value, list):
        yield path, f"a list of {len(value)}"
        columns = columns_of(value) if _objects(value) else {}
        yield from ((f"{path}[].{name}", _forms(values, len(value))) for name, values in columns.items())
        if value and not columns:
            yield f"{path}[]", _forms(value, len(value))
    else:
        yield path, form_of(value)


def _forms(values: Sequence[Any], amount: int) -> str:
    forms = sorted({form_of(value) for value in values})
    missing = "" if len(values) >= min(amount, _ROWS) else f", in {len(values)} of {min(amount, _ROWS)}"
    return " or ".join(forms) + missing


def _name(word: Any) -> str:
    # An object may be keyed by e-mail addresses or telephone numbers.
    text = str(word)
    return text if re.fullmatch(r"[A-Za-z_$][\w$-]{0,40}", text) else "(a key)"


def _objects(rows: Sequence[Any]) -> bool:
    return any(isinstance(row, Mapping) for row in rows)


def columns_of(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """All values of the rows by dotted name, objects beside what stands inside them."""
    columns: dict[str, list[Any]] = {}
    for row in rows[:_ROWS]:
        for path, value in _places(row, "", 0):
            columns.setdefault(path, []).append(value)
    return columns


def _places(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if path:
        yield path, value
    if isinstance(value, Mapping) and depth <= _DEEP:
        for name, inner in value.items():
            yield from _places(inner, f"{path}.{_name(name)}" if path else _name(name), depth + 1)


def lists_in(answer: Any) -> dict[str, list[Any]]:
    """The lists of an answer that may be its rows, by dotted name; a bare one is at ``.``."""
    if isinstance(answer, list):
        return {".": answer}
    return {path: value for path, value in _places(answer, "", 0) if isinstance(value, list)}


def rows_of(answer: Any, expected: Expected) -> tuple[str | None, list[Any]]:
    """Where the rows stand, and the rows: at the expected place, or in the list that comes closest."""
    found = lists_in(answer)
    if expected.word in found:
        return expected.word, found[expected.word]
    names = (expected.word, *expected.aliases)
    best = max(
        found, key=lambda path: (_objects(found[path]), _alike(path, names), len(found[path])), default=None
    )
    return best, found[best] if best else []


def fitting(columns: Mapping[str, Sequence[Any]], expected: Iterable[Expected]) -> dict[str, str]:
    """For fields that are not where they are looked for: the place that fits best, each place once."""
    wanted = list(expected)
    used = {each.word for each in wanted if each.word in columns}
    scored = sorted(
        (
            (-_score(path, columns[path], each), each.key, path)
            for each in wanted
            if each.word not in columns
            for path in columns
            if path not in used
        ),
    )
    found: dict[str, str] = {}
    for score, key, path in scored:
        if -score >= _ENOUGH and key not in found and path not in found.values():
            found[key] = path
    return found


def _score(path: str, values: Sequence[Any], expected: Expected) -> float:
    names = (expected.word, *expected.aliases)
    leaf = path.rpartition(".")[2]
    score = _alike(leaf, [name.rpartition(".")[2] for name in names])
    inside, wanted_inside = "." in path, "." in expected.word
    score += _KINSHIP if inside == wanted_inside else -_KINSHIP
    forms = {form_of(value) for value in values} - {"null"}
    if expected.form and forms and forms != {expected.form}:
        score -= _MISFIT
    return score


def _alike(one: str, names: Iterable[str]) -> float:
    return max(SequenceMatcher(None, _plain(one), _plain(name)).ratio() for name in names)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def words_in(values: Iterable[Any]) -> list[str]:
    """The different words of a column that holds words: these may be shown, as a status is nobody's secret."""
    words = sorted({value for value in values if isinstance(value, str)})
    return [word for word in words if _WORD.fullmatch(word)][:20]


def meaning(word: str, known: Mapping[str, Iterable[str]]) -> str | None:
    """The key whose words come closest to a word, if any does."""
    scores = {key: _alike(word, words) for key, words in known.items()}
    best = max(scores, key=lambda key: scores[key])
    return best if scores[best] > _ENOUGH + _KINSHIP else None
