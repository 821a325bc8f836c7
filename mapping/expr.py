"""Expressions: the ``when`` and ``set`` of a route, in CEL. The one module that imports the CEL library.

An expression is compiled and its names are checked when the configuration is read; a record builds one
``Scope``, which every expression of every route then shares. What a guest wrote is data in that scope,
never code.

The language is the Common Expression Language (https://cel.dev) with the functions of
``mapping/expr_names.py``.
"""

import logging
import math
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from mapping.expr_names import Fault, inspect
from mapping.model import FIELD_NAMES, MODEL, Instant, Kind, iso
from mapping.problem import quoted

LONGEST = 1024
"""Bytes of one expression: CEL has no limit of its own on what an expression may cost."""
LIST_LIMIT = 1000
"""Items of one list in a record: CEL's ``map`` takes time by the square of the length."""

SOURCE_NAMES = ("connection", "kind", "id")


class ExpressionError(Exception):
    """An expression has no usable value for this record. Its text is a sentence for the user."""


class BadExpressionError(ExpressionError):
    """An expression cannot be used at all: every mistake in it, by its place in the text."""

    def __init__(self, faults: Collection[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"column {f.offset + 1}: {f.message}" for f in self.faults))


class _RefusedError(Exception):
    """A function of ours was given what it cannot use."""


class Scope:
    """What expressions see of one record. Built once, shared by all expressions about that record."""

    __slots__ = ("_context", "_refusal", "_roots", "_tables")

    def __init__(
        self, roots: Mapping[str, Mapping[str, Any]], tables: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._roots = roots
        self._tables = tables
        self._context: Any = None
        self._refusal: str | None = None

    def run(self, program: Any) -> Any:
        """Execute a compiled program; what the library raises comes out as it is."""
        self._refusal = None
        if self._context is None:
            functions = {name: self._guarded(name, function) for name, function in _FUNCTIONS.items()}
            self._context = _cel().Context(dict(self._roots), functions)
        return program.execute(self._context)

    def of(self, kind: Kind, fields: Mapping[str, Any]) -> "Scope":
        """The same scope about the same record with other fields."""
        return Scope({**self._roots, kind.one: _complete(kind, fields)}, self._tables)

    def nulls(self, paths: Collection[str]) -> list[str]:
        """Those of the paths that lead to null."""
        return [path for path in paths if self._value(path) is None]

    @property
    def refusal(self) -> str | None:
        """Why a function of ours gave up in the last run."""
        return self._refusal

    def _value(self, path: str) -> Any:
        root, *members = path.split(".")
        value: Any = self._roots.get(root)
        for member in members:
            value = value.get(member) if isinstance(value, Mapping) else None
        return value

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            try:
                return function(self._tables, *values)
            except _RefusedError as problem:
                self._refusal = f"{name}() {problem}"
            except (ArithmeticError, LookupError, TypeError, ValueError):
                self._refusal = f"{name}() cannot use what it was given"
            # The library logs what a function raises, so nothing of the record may be in it.
            raise _RefusedError from None

        return call


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    text: str
    paths: tuple[str, ...] = field(compare=False, repr=False)
    """The fields it reads, such as ``booking.title``."""
    _program: Any = field(compare=False, repr=False)

    def evaluate(self, scope: Scope) -> Any:
        """The value for a record, as plain JSON values, instants as the ledger writes them.

        Raises ExpressionError when there is none: something is null, a table has no such key, kinds do not
        fit.
        """
        try:
            return _plain(scope.run(self._program))
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as problem:
            said = scope.refusal or _sentence(problem)
        nulls = scope.nulls(self.paths)
        raise ExpressionError(f"{said} (null here: {', '.join(nulls)})" if nulls else said)

    @property
    def reads(self) -> bool:
        """Whether it reads any field of a record: otherwise its value is the same for all."""
        return bool(self.paths)

    def holds(self, scope: Scope) -> bool:
        """Whether a condition is met. Raises ExpressionError, also for a value that is not a boolean."""
        value = self.evaluate(scope)
        if not isinstance(value, bool):
            raise ExpressionError(
                f"a condition must give true or false, and this one gives {_kind_of(value)}"
            )
        return value


def compile_expression(
    text: str, names: Mapping[str, Collection[str]], tables: Collection[str] | None = None
) -> Expression:
    """Compile an expression and check every name in it. Raises BadExpressionError.

    ``names`` come from ``known_names``; ``tables`` are the names of the lookup tables (not checked when
    None).
    """
    if len(text.encode("utf-8", "replace")) > LONGEST:
        raise BadExpressionError(
            [Fault(0, f"is longer than {LONGEST} bytes", "shorten it, or use a lookup table")]
        )
    try:
        program = _cel().compile(text)
    except ValueError as problem:
        raise BadExpressionError([_syntax(text, str(problem))]) from None
    faults, paths = inspect(text, names, tables)
    if faults:
        raise BadExpressionError(faults)
    return Expression(text, paths, program)


def known_names(kind: Kind) -> Mapping[str, frozenset[str]]:
    """The names that an expression about records of this kind may use: roots, and fields that have parts."""
    return _KNOWN[kind]


def record_scope(
    kind: Kind,
    fields: Mapping[str, Any],
    person: Mapping[str, Any] | None,
    *,
    connection: str,
    ref: str,
    tables: Mapping[str, Mapping[str, Any]],
) -> Scope:
    """The scope for one record, out of its fields as the ledger stores them. What is absent is null.

    ``person`` are the fields of the person that a booking or a review is about; None when unknown.
    Raises ExpressionError for a list longer than ``LIST_LIMIT``.
    """
    roots = {"person": _complete(Kind.PEOPLE, person or {})}
    roots[kind.one] = _complete(kind, fields)
    roots["source"] = {"connection": connection, "kind": kind.value, "id": ref}
    return Scope(roots, tables)


def constant_scope(tables: Mapping[str, Mapping[str, Any]]) -> Scope:
    """A scope without a record, for an expression that reads no field."""
    return Scope({}, tables)


@cache
def _cel() -> Any:
    # The package imports its own command line, and with it a terminal toolkit: a second instead of 30 ms.
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    # The library warns of every function that raises, with the text of the error. The caller learns of it
    # anyway, and a log is no place for what a guest wrote.
    logging.getLogger("cel").setLevel(logging.CRITICAL + 1)
    import cel

    return cel


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    found = (a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel))
    return next(found, None)


_NESTED: dict[Kind, dict[str, tuple[str, ...]]] = {
    kind: {
        name: tuple(nested.model_fields)
        for name, info in model.model_fields.items()
        if (nested := _nested_model(info.annotation))
    }
    for kind, model in MODEL.items()
}
_INSTANTS = {
    kind: frozenset(name for name, info in model.model_fields.items() if Instant in get_args(info.annotation))
    for kind, model in MODEL.items()
}


def _names(kind: Kind) -> Mapping[str, frozenset[str]]:
    names = {"source": frozenset(SOURCE_NAMES)}
    for each in dict.fromkeys((kind, Kind.PEOPLE)):
        names[each.one] = frozenset(FIELD_NAMES[each])
        names |= {f"{each.one}.{name}": frozenset(parts) for name, parts in _NESTED[each].items()}
    return MappingProxyType(names)


_KNOWN = {kind: _names(kind) for kind in Kind}


def _complete(kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _seen(kind, name, fields.get(name)) for name in FIELD_NAMES[kind]}


def _seen(kind: Kind, name: str, value: Any) -> Any:
    """A field's value as CEL sees it: instants as timestamps, parts complete."""
    if value is None:
        return None
    if name in _INSTANTS[kind]:
        return value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if name in _NESTED[kind]:
        return {part: value.get(part) for part in _NESTED[kind][name]}
    if isinstance(value, list | tuple):
        if len(value) > LIST_LIMIT:
            raise ExpressionError(f"{kind.one}.{name} has more than {LIST_LIMIT} items")
        return list(value)
    return value


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime):
        return iso(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise ExpressionError(f"the result is {_kind_of(value)}, which no field can hold")


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "a text"),
    (datetime, "a moment"),
    (list, "a list"),
    (dict, "a mapping"),
)


def _kind_of(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number"
    return next((word for types, word in _KINDS if isinstance(value, types)), f"a {type(value).__name__}")


def _sentence(problem: Exception) -> str:
    """What went wrong, without the library's words: they may quote the record."""
    if isinstance(problem, ZeroDivisionError):
        return "a division by zero"
    if isinstance(problem, ArithmeticError):
        return "a number or a moment out of range"
    if isinstance(problem, IndexError):
        return "a list has no such item"
    if isinstance(problem, LookupError):
        return "a mapping has no such key"
    if match := re.match(r"(?:Function|Undefined variable or function:) '(\w+)'", str(problem)):
        return f"{match[1]}() cannot use what it was given"
    return "an operation was given values of kinds that do not go together (a text and a number, say)"


def _syntax(text: str, said: str) -> Fault:
    """The first syntax error that the library reports, in its own words: they quote the expression alone."""
    match = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)", said)
    if match is None:
        return Fault(0, "is not a CEL expression", "see https://cel.dev for the language")
    before = text.split("\n")[: int(match[1]) - 1]
    offset = sum(len(line) + 1 for line in before) + int(match[2]) - 1
    what = re.sub(r" expecting .*", "", match[3]).replace("'<EOF>'", "the end").strip()
    return Fault(min(offset, len(text)), f"not a CEL expression: {what}", _syntax_remedy(text, offset))


def _syntax_remedy(text: str, offset: int) -> str:
    if not text.strip():
        return "write an expression, or leave the key out"
    doubled = {"=": "==", "&": "&&", "|": "||"}.get(text[offset : offset + 1])
    return f"write {doubled}" if doubled else "compare with ==, join with && and ||, put texts in quotes"


def _text(value: Any, what: str = "a text") -> str:
    if not isinstance(value, str):
        raise _RefusedError(f"needs {what}, not {_kind_of(value)}")
    return value


def _in_zone(value: Any, zone: Any) -> datetime:
    if not isinstance(value, datetime):
        raise _RefusedError(f"needs a moment, not {_kind_of(value)}")
    try:
        return value.astimezone(ZoneInfo(_text(zone, "the name of a time zone")))
    except (LookupError, ValueError, OSError):
        raise _RefusedError("needs the name of a time zone, such as Pacific/Auckland") from None


def _at(day: Any, clock: Any, zone: Any) -> datetime:
    """The moment at which the clocks of a zone show a time of a day. A time that a change of clocks skips comes after it."""
    try:
        wall = datetime.fromisoformat(f"{_text(day, 'a date')}T{_text(clock, 'a time')}")
    except ValueError:
        raise _RefusedError("needs a date such as 2026-07-18 and a time such as 11:00") from None
    try:
        return wall.replace(tzinfo=ZoneInfo(_text(zone, "the name of a time zone"))).astimezone(UTC)
    except (LookupError, ValueError, OSError):
        raise _RefusedError("needs the name of a time zone, such as Pacific/Auckland") from None


def _lookup(tables: Mapping[str, Mapping[str, Any]], table: Any, key: Any, *otherwise: Any) -> Any:
    rows = tables.get(_text(table, "the name of a table"))
    if rows is None:
        raise _RefusedError(f"knows no table {quoted(table)}")
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if key in rows:
        return rows[key]
    if otherwise:
        return otherwise[0]
    raise _RefusedError(f"has no row {quoted(_text(key, 'a text as key'))} in the table {quoted(table)}")


def _joined(items: Any, separator: Any) -> str:
    if not isinstance(items, list):
        raise _RefusedError(f"needs a list, not {_kind_of(items)}")
    return _text(separator, "a text between the items").join(_text(item, "a list of texts") for item in items)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "default": lambda _, value, otherwise: otherwise if value is None else value,
    "lower": lambda _, value: _text(value).lower(),
    "upper": lambda _, value: _text(value).upper(),
    "trim": lambda _, value: _text(value).strip(),
    "join": lambda _, items, separator: _joined(items, separator),
    "lookup": _lookup,
    "local": lambda _, value, zone: _in_zone(value, zone).strftime("%Y-%m-%dT%H:%M"),
    "date": lambda _, value, zone: _in_zone(value, zone).date().isoformat(),
    "at": lambda _, day, time, zone: _at(day, time, zone),
}
