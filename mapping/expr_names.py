"""Which names an expression uses, and whether they exist: found before any record is there.

CEL resolves names only while it evaluates, so that a misspelt field would wait for the first record. This
module reads the text of an expression that CEL has already accepted, token by token, and knows no more of
the language than it needs: names, the dots between them, calls, and the macros that bind a name of their
own.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mapping.problem import instead, quoted

NESTED = 2
"""Macros inside macros: each level multiplies the work, and ``map`` alone is quadratic."""

OWN = {
    "default": (2, 2),
    "lower": (1, 1),
    "upper": (1, 1),
    "trim": (1, 1),
    "join": (2, 2),
    "lookup": (2, 3),
    "local": (2, 2),
    "date": (2, 2),
    "at": (3, 3),
}
"""Our functions, and how many values each takes: what stands before a dot counts. CEL's own are below."""

_BUILT_IN = dict.fromkeys(("size", "int", "uint", "double", "string", "timestamp", "duration", "has"), (1, 1))
_MACROS = {"all": (3, 3), "exists": (3, 3), "exists_one": (3, 3), "filter": (3, 3), "map": (3, 4)}
_PARTS = ("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours", "Minutes", "Seconds")
_METHODS = {
    "size": (1, 1),
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), (2, 2)),
    **dict.fromkeys((f"get{part}" for part in (*_PARTS, "Milliseconds")), (1, 1)),
    **_MACROS,
}
_WORDS = frozenset({"true", "false", "null", "in"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in an expression: where in its text, what, and what to write instead."""

    offset: int
    message: str
    remedy: str


class Findings(NamedTuple):
    """What the text of an expression shows: its mistakes, and the fields that it reads."""

    faults: tuple[Fault, ...]
    paths: tuple[str, ...]
    """Such as ``booking.title``, in the order of their first use."""


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|//[^\n]*)
    |(?P<string>[bB]?[rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
        |[bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[uU]?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_END = _Token("end", "", 0)


def inspect(
    text: str, names: Mapping[str, Collection[str]], tables: Collection[str] | None = None
) -> Findings:
    """Find the unknown names, the unknown functions, the wrong calls and the unknown tables of an expression.

    ``names`` are the roots, each with its fields; a field that has parts has an entry of its own
    (``booking.amount``: ``minor``, ``currency``). Without ``tables`` the names of lookup tables are not
    checked.
    """
    found = _Inspection(text, names, tables)
    return Findings(
        tuple(sorted(found.faults(), key=lambda fault: fault.offset)), tuple(dict.fromkeys(found.paths))
    )


class _Inspection:
    def __init__(
        self, text: str, names: Mapping[str, Collection[str]], tables: Collection[str] | None
    ) -> None:
        tokens = (_Token(str(m.lastgroup), m.group(), m.start()) for m in _TOKEN.finditer(text))
        self.tokens = [token for token in tokens if token.kind != "blank"]
        self.names = names
        self.tables = tables
        self.roots = [name for name in names if "." not in name]
        self.bound = {self._at(i + 2).text for i in range(len(self.tokens)) if self._macro(i)}
        self.paths: list[str] = []

    def faults(self) -> Iterator[Fault]:
        yield from self._nesting()
        for i, token in enumerate(self.tokens):
            if token.kind != "name" or token.text in _WORDS:
                continue
            if self._at(i + 1).text == "(":
                yield from self._call(i)
            elif self._at(i - 1).text != ".":
                yield from self._root(i)

    def _at(self, i: int) -> _Token:
        return self.tokens[i] if 0 <= i < len(self.tokens) else _END

    def _macro(self, i: int) -> bool:
        return self._at(i).text in _MACROS and self._at(i - 1).text == "." and self._at(i + 1).text == "("

    def _nesting(self) -> Iterator[Fault]:
        open_calls: list[bool] = []
        for i, token in enumerate(self.tokens):
            if token.text == "(":
                open_calls.append(self._macro(i - 1))
                if open_calls[-1] and sum(open_calls) > NESTED:
                    yield Fault(
                        self._at(i - 1).at,
                        f"more than {NESTED} macros inside each other",
                        "flatten it, or use a lookup table",
                    )
            elif token.text == ")" and open_calls:
                open_calls.pop()

    def _call(self, i: int) -> Iterator[Fault]:
        name = self.tokens[i].text
        method = self._at(i - 1).text == "."
        known = {**OWN, **(_METHODS if method else _BUILT_IN)}
        if name not in known:
            yield Fault(
                self.tokens[i].at, f"there is no function {name}()", instead(name, known, "functions")
            )
            return
        low, high = known[name]
        given = self._arguments(i + 1) + method
        if not low <= given <= high:
            wanted = str(low) if low == high else f"{low} or {high}"
            yield Fault(self.tokens[i].at, f"{name}() takes {wanted} values, not {given}", "correct the call")
        elif name == "lookup" and not method:
            yield from self._table(self._at(i + 2), self._at(i + 3))

    def _arguments(self, i: int) -> int:
        """How many values stand between the bracket at ``i`` and its partner."""
        depth, commas = 0, 0
        for j in range(i, len(self.tokens)):
            text = self.tokens[j].text if self.tokens[j].kind == "sign" else ""
            depth += (text in {"(", "[", "{"}) - (text in {")", "]", "}"})
            commas += text == "," and depth == 1
            if depth == 0:
                return commas + 1 if j > i + 1 else 0
        return commas + 1

    def _table(self, token: _Token, after: _Token) -> Iterator[Fault]:
        table = _literal(token)
        if table is not None and after.text == "," and self.tables is not None and table not in self.tables:
            yield Fault(
                token.at, f"there is no lookup table {quoted(table)}", instead(table, self.tables, "tables")
            )

    def _root(self, i: int) -> Iterator[Fault]:
        root = self.tokens[i]
        if root.text in self.bound and root.text not in self.roots:
            return
        if root.text in self.bound and self._macro(i - 2):
            yield Fault(
                root.at, f"{root.text} already means something here", "choose another name inside the macro"
            )
        elif root.text not in self.roots:
            yield self._unknown(i)
        else:
            yield from self._field(root, self._chain(i))

    def _unknown(self, i: int) -> Fault:
        name = self.tokens[i].text
        remedy = instead(name, self.roots, "names")
        if self._at(i + 1).text != ".":
            remedy = f"for a text write quotes inside the expression, '\"{name}\"'; {remedy}"
        return Fault(self.tokens[i].at, f"unknown name {name}", remedy)

    def _chain(self, i: int) -> list[_Token]:
        """The members that follow a root by a dot or by a quoted index, up to a call or anything else."""
        members: list[_Token] = []
        while True:
            sign, member, after = self._at(i + 1), self._at(i + 2), self._at(i + 3)
            if sign.text == "." and member.kind == "name" and after.text != "(":
                members.append(member)
                i += 2
            elif sign.text == "[" and (key := _literal(member)) is not None and after.text == "]":
                members.append(_Token("name", key, member.at))
                i += 3
            else:
                return members

    def _field(self, root: _Token, members: list[_Token]) -> Iterator[Fault]:
        if not members:
            known = ", ".join(sorted(self.names[root.text]))
            yield Fault(root.at, f"{root.text} alone is the whole record", f"name one of its fields: {known}")
            return
        path = root.text
        for member in members:
            fields = self.names.get(path, ())
            if not fields:
                yield Fault(member.at, f"{path} has no parts", f"write {path}")
                return
            if member.text not in fields:
                name = member.text if member.text.isidentifier() else quoted(member.text)
                yield Fault(
                    member.at,
                    f"unknown name {path}.{name}",
                    instead(member.text, fields, f"fields of {path}"),
                )
                return
            path = f"{path}.{member.text}"
            self.paths.append(path)


def _literal(token: _Token) -> str | None:
    """What a plain quoted text says; None for anything else."""
    return token.text[1:-1] if token.kind == "string" and token.text[0] in "\"'" else None
