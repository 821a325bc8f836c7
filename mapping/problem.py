"""What is wrong with a configuration, where, and what to do about it."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 60
"""A longer value is cut in a message: the position says where the rest stands."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. Its text fits on one line and holds no secret."""

    name: str
    """The file, as the user called it."""
    line: int
    column: int
    path: str
    """The key that it is about, such as ``routes.0.notify``; empty for the file as a whole."""
    message: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.name}:{self.line}:{self.column}: "
        return where + (f"{self.path}: " if self.path else "") + f"{self.message}; {self.remedy}"


class ConfigErrors(Exception):
    """A configuration cannot be used: every problem that was found in it, by line."""

    def __init__(self, errors: Iterable[Problem]) -> None:
        self.errors = tuple(sorted(errors, key=lambda problem: (problem.line, problem.column, problem.path)))
        super().__init__("\n".join(map(str, self.errors)))


class InvalidError(ValueError):
    """A value that cannot be used: why, without the value itself, and what to write instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant, if any comes close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def instead(word: str, known: Iterable[str], what: str) -> str:
    """The remedy for an unknown word: what was probably meant, and what there is."""
    known = sorted(known)
    meant = suggestion(word, known)
    there = f"{what}: {', '.join(known)}" if known else f"there are no {what}"
    return f"did you mean {quoted(meant)}? ({there})" if meant else there


def quoted(text: str) -> str:
    """A text as it may stand in a one-line message: quoted, cut, nothing unprintable."""
    cut = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())
