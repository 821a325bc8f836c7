"""``${VAR}``, ``${VAR:-default}``, ``${file:/path}`` and ``${cred:name}`` in the values of a configuration.

Put in after the YAML is parsed, so that a value can never change the structure; ``$${`` stands for a plain
``${``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mapping.document import Path
from mapping.problem import InvalidError, quoted

_PIECE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from. The reading is done by whoever calls."""

    env: Mapping[str, str]
    read_file: Callable[[str], str]
    """The text of a file. Raises OSError, ValueError when it is no text, InvalidError when it may not be used."""
    credential: Callable[[str], str | None]
    """A systemd credential by name; None, LookupError or OSError when there is none."""


class Missing(NamedTuple):
    """A value that could not be put in."""

    path: Path
    message: str
    remedy: str


class _MissingError(Exception):
    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)


class Filled(NamedTuple):
    """The data with everything put in."""

    data: Any
    foreign: frozenset[Path]
    """The scalars that hold something from outside the file: they never appear in a message."""
    missing: tuple[Missing, ...]


def substitute(data: Any, sources: Sources) -> Filled:
    """Put the values in. A scalar for which one is missing stays as it is written."""
    filling = _Filling(sources)
    filled = filling.fill(data, ())
    return Filled(filled, frozenset(filling.foreign), tuple(filling.missing))


class _Filling:
    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.foreign: set[Path] = set()
        self.missing: list[Missing] = []

    def fill(self, data: Any, path: Path) -> Any:
        if isinstance(data, dict):
            return {key: self.fill(value, (*path, key)) for key, value in data.items()}
        if isinstance(data, list):
            return [self.fill(value, (*path, i)) for i, value in enumerate(data)]
        return self._text(data, path) if isinstance(data, str) else data

    def _text(self, text: str, path: Path) -> str:
        def piece(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            if match[1] is None:
                raise _MissingError("${ without }", "close it, or write $${ for a plain ${")
            self.foreign.add(path)
            return self._value(match[1])

        try:
            return _PIECE.sub(piece, text)
        except _MissingError as problem:
            self.missing.append(Missing(path, *problem.args))
            return text

    def _value(self, reference: str) -> str:
        scheme, colon, rest = reference.partition(":")
        if colon and scheme == "file":
            return self._file(rest)
        if colon and scheme == "cred":
            return self._credential(rest)
        name, dash, default = reference.partition(":-")
        if not _NAME.fullmatch(name):
            known = "write ${NAME}, ${NAME:-default}, ${file:/path} or ${cred:name}; $${ for a plain ${"
            raise _MissingError(f"${{{quoted(reference)[1:-1]}}} is not understood", known)
        value = self.sources.env.get(name)
        if dash:
            return value or default
        if not value:
            state = "is empty" if value is not None else "is not set"
            raise _MissingError(f"the environment variable {name} {state}", f"export {name}=…")
        return value

    def _file(self, path: str) -> str:
        try:
            return re.sub(r"\r?\n\Z", "", self.sources.read_file(path))
        except OSError as problem:
            why = problem.strerror or "it cannot be opened"
            raise _MissingError(
                f"cannot read {quoted(path)}: {why}", "create the file, or correct the path"
            ) from None
        except InvalidError as problem:
            raise _MissingError(f"{quoted(path)} {problem}", problem.remedy) from None
        except ValueError:
            raise _MissingError(
                f"{quoted(path)} holds no UTF-8 text", "put the value alone into the file"
            ) from None

    def _credential(self, name: str) -> str:
        try:
            value = self.sources.credential(name)
        except (LookupError, OSError, ValueError):
            value = None
        if value is None:
            remedy = f"add LoadCredential={name}:/path to the systemd unit, or use ${{file:/path}}"
            raise _MissingError(f"there is no credential {quoted(name)}", remedy)
        return re.sub(r"\r?\n\Z", "", value)
