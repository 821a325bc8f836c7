"""YAML text → plain data, and where in the text each part of it stands.

YAML 1.2 with the core schema's null, booleans and numbers; everything else is text: dates, times and
versions too. Built on the events of ruamel.yaml's parser, so that nothing is resolved, merged or expanded
behind our back.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from mapping.problem import ConfigErrors, Problem, quoted

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_NODES = 100_000
"""Keys and values, aliases expanded: a few lines of aliases can stand for billions."""

_MOST_TWICE = 50

Path = tuple[str | int, ...]
Mark = tuple[int, int]
"""Line and column, both from 1."""


@dataclass
class Document:
    """A document's data, with the place of everything in it."""

    name: str
    lines: list[str]
    data: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    """Scalars as they stand in the file."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong although the text could be read: keys that appear twice."""

    def existing(self, path: Path) -> Path:
        """The part of a path that is in the document."""
        while path and path not in self.values:
            path = path[:-1]
        return path

    def position(self, path: Path, *, key: bool = False) -> Mark:
        """Where a value (or its key) stands; for what is not there, the nearest thing around it."""
        there = self.existing(path)
        if (key or there != path) and there in self.keys:
            return self.keys[there]
        return self.values.get(there, (1, 1)) if there else (1, 1)

    def within(self, path: Path, offset: int) -> Mark | None:
        """Where a character of a one-line scalar stands; None when escapes or line breaks are in the way."""
        text, (line, column) = self.texts.get(path, ""), self.position(path)
        row = self.lines[line - 1] if line <= len(self.lines) else ""
        for start in (column, column + 1):
            if text and row[start - 1 :].startswith(text):
                return line, start + offset
        return None


def parse(text: bytes | str, name: str) -> Document:
    """Read a document. Raises ConfigErrors when the text is no YAML that a configuration could be."""
    decoded = _decoded(text, name)
    document = Document(name, decoded.split("\n"))
    try:
        reading = _Reading(document, decoded)
        reading.unfold(reading.root(), ())
        document.data = reading.plain.get(())
    except (YAMLError, _UnreadableError) as problem:
        raise ConfigErrors([*document.problems, _problem(problem, name, decoded)]) from None
    return document


class _UnreadableError(Exception):
    def __init__(self, mark: Mark, message: str, remedy: str) -> None:
        super().__init__(message)
        self.mark, self.message, self.remedy = mark, message, remedy


@dataclass(slots=True)
class _Node:
    mark: Mark
    scalar: str | None = None
    plain: bool = True
    keys: "list[_Node] | None" = None
    items: "list[_Node]" = field(default_factory=list)


class _Reading:
    """One pass over the parser's events, and one over what they stand for."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.events: Iterator[Event] = iter(YAML(typ="safe", pure=True).parse(text))
        self.anchors: dict[str, _Node] = {}
        self.plain: dict[Path, Any] = {}
        self.nodes = self.read = 0

    def root(self) -> _Node | None:
        node = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if node is not None:
                    raise _UnreadableError(
                        _mark(event), "a second document begins", "keep one document: delete the ---"
                    )
                node = self._node(next(self.events), 0)
            elif isinstance(event, StreamEndEvent):
                break
        return node

    def _node(self, event: Event, depth: int) -> _Node:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        self._bounds(event, depth)
        node = _Node(_mark(event))
        if isinstance(event, ScalarEvent):
            node.scalar, node.plain = event.value, event.style is None
        elif isinstance(event, SequenceStartEvent):
            node.items = list(self._children(depth))
        else:
            children = list(self._children(depth))
            node.keys, node.items = children[::2], children[1::2]
        if isinstance(event, NodeEvent) and event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _children(self, depth: int) -> Iterator[_Node]:
        for event in self.events:
            if isinstance(event, SequenceEndEvent | MappingEndEvent):
                return
            yield self._node(event, depth + 1)

    def _alias(self, event: AliasEvent) -> _Node:
        if event.anchor not in self.anchors:
            raise _UnreadableError(
                _mark(event),
                f"nothing before this is called &{event.anchor}",
                "put quotes around a text with a *",
            )
        return self.anchors[event.anchor]

    def _bounds(self, event: Event, depth: int) -> None:
        self.read += 1
        if self.read > MAX_NODES:
            raise _UnreadableError(_mark(event), f"more than {MAX_NODES} values", "is this the right file?")
        if depth > MAX_DEPTH:
            raise _UnreadableError(
                _mark(event), f"nested deeper than {MAX_DEPTH} levels", "no key of bookferry nests so deep"
            )
        if getattr(event, "tag", None) not in {
            None,
            "!",
        }:
            raise _UnreadableError(
                _mark(event), "a word that begins with ! is a YAML tag", "put quotes around the whole value"
            )

    def unfold(self, node: _Node | None, path: Path) -> None:
        """Write down a node's data and places, aliases expanded."""
        if node is None:
            return
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _UnreadableError(
                node.mark, f"more than {MAX_NODES} values, aliases included", "write fewer aliases"
            )
        if len(path) > MAX_DEPTH:
            raise _UnreadableError(
                node.mark, f"nested deeper than {MAX_DEPTH} levels", "no key of bookferry nests so deep"
            )
        self.document.values[path] = node.mark
        self.plain[path] = self._unfolded(node, path)

    def _unfolded(self, node: _Node, path: Path) -> Any:
        if node.scalar is not None:
            self.document.texts[path] = node.scalar
            return resolve(node.scalar) if node.plain else node.scalar
        if node.keys is not None:
            return self._mapping(node.keys, node.items, path)
        for i, item in enumerate(node.items):
            self.unfold(item, (*path, i))
        return [self.plain[*path, i] for i in range(len(node.items))]

    def _mapping(self, keys: list[_Node], items: list[_Node], path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, item in zip(keys, items, strict=True):
            name = self._key(key)
            if name in data:
                self._twice((*path, name), key.mark)
                continue
            self.document.keys[*path, name] = key.mark
            self.unfold(item, (*path, name))
            data[name] = self.plain[*path, name]
        return data

    def _key(self, key: _Node) -> str:
        if key.scalar is None:
            raise _UnreadableError(
                key.mark, "a key is a list or a mapping", "a key is a word; put quotes around ${…} in { }"
            )
        if key.plain and key.scalar == "<<":
            raise _UnreadableError(key.mark, "merge keys (<<) are not supported", "write the keys out")
        return key.scalar

    def _twice(self, path: Path, mark: Mark) -> None:
        if len(self.document.problems) >= _MOST_TWICE:
            raise _UnreadableError(
                mark, f"more than {_MOST_TWICE} keys are here twice", "is this the right file?"
            )
        first = self.document.keys[path][0]
        message, remedy = (
            f"the key {quoted(str(path[-1]))} is here twice: first in line {first}",
            "keep one of them",
        )
        self.document.problems.append(Problem(self.document.name, *mark, shown_path(path), message, remedy))


def shown_path(path: Path) -> str:
    """A path as messages show it: ``routes.0.notify``."""
    return ".".join(part if re.fullmatch(r"[\w-]+", part) else quoted(part) for part in map(str, path))


def resolve(text: str) -> Any:
    """A plain scalar by YAML's core schema. Numbers that are too long for one stay text."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return text[0] in "tT"
    if re.fullmatch(r"[-+]?[0-9]{1,18}", text):
        return int(text)
    if re.fullmatch(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}", text):
        return int(text, 0)
    if (
        re.fullmatch(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,2})?", text)
        and len(text) <= SHORT_NUMBER
    ):
        return float(text)
    return text


SHORT_NUMBER = 18


def _mark(event: Event) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _decoded(text: bytes | str, name: str) -> str:
    if len(text) > MAX_BYTES:
        raise ConfigErrors(
            [Problem(name, 1, 1, "", f"is larger than {MAX_BYTES} bytes", "is this the right file?")]
        )
    try:
        decoded = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as problem:
        before = problem.object[: problem.start].decode()
        mark = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ConfigErrors([Problem(name, *mark, "", "is not UTF-8", "save the file as UTF-8")]) from None
    return decoded.removeprefix("\ufeff").replace("\r\n", "\n")


_REMEDIES = (
    ("'\\t'", "indent with spaces, never with tabs"),
    (
        "mapping values are not allowed",
        "put quotes around a value with a colon in it, or check the indentation",
    ),
    ("but got '{'", "put quotes around ${…} inside { } or [ ]"),
    ("cannot start any token", "put quotes around the value"),
    ("could not find expected ':'", "end the key with a colon, or check the indentation"),
    ("unexpected end of stream", "close the quotes that open before this"),
    ("stream end", "close the bracket that opens before this"),
    ("expected <block end>", "check the indentation, or put quotes around the whole value"),
)


def _problem(problem: Exception, name: str, text: str) -> Problem:
    if isinstance(problem, _UnreadableError):
        return Problem(name, *problem.mark, "", problem.message, problem.remedy)
    if isinstance(problem, MarkedYAMLError) and problem.problem_mark is not None:
        mark = problem.problem_mark.line + 1, problem.problem_mark.column + 1
        said = " ".join(str(problem.problem).split())
        remedy = next(
            (remedy for sign, remedy in _REMEDIES if sign in said), "check the quotes and the indentation"
        )
        return Problem(name, *mark, "", f"not YAML: {said}", remedy)
    at = problem.position if isinstance(problem, ReaderError) else 0
    mark = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return Problem(name, *mark, "", "a character that YAML does not allow", "delete it")
