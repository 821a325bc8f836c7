"""Collects what is wrong with a document: each mistake at its place, in a sentence, without a secret."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mapping.document import Document, Path, shown_path
from mapping.problem import Problem, instead, quoted, suggestion
from mapping.substitute import Filled

M = TypeVar("M", bound=BaseModel)


class Report:
    """The problems and warnings of one document, and what of its values may be shown."""

    def __init__(self, document: Document, filled: Filled) -> None:
        self._document = document
        self._filled = filled
        self._broken = {missing.path for missing in filled.missing}
        self._hidden: set[Path] = set()
        self.problems = list(document.problems)
        self.warnings: list[Problem] = []
        for missing in filled.missing:
            self.problems.append(self._problem(missing.path, missing.message, missing.remedy))

    def hide(self, path: Path) -> None:
        """Never show what stands at a path or beneath it: it is a secret, or may be one."""
        self._hidden.add(path)

    def is_foreign(self, path: Path) -> bool:
        """Whether a scalar came from outside the file, by a substitution."""
        return path in self._filled.foreign or path in self._broken

    def add(
        self, path: Path, message: str, remedy: str, *, key: bool = False, offset: int | None = None
    ) -> None:
        """Note a mistake at a value, at its key, or at a character of it.

        A value that could not be put in is already noted: whatever else is wrong with it is a consequence.
        """
        if any(path[: len(broken)] == broken for broken in self._broken):
            return
        self.problems.append(self._problem(path, message, remedy, key=key, offset=offset))

    def warn(self, path: Path, message: str, remedy: str) -> None:
        """Note what is allowed, but not good."""
        self.warnings.append(self._problem(path, message, remedy))

    def word(self, path: Path, text: str | None = None) -> str:
        """A value, or a part of it, as a message may show it; "" when it may be a secret.

        What was put in from outside is shown as it stands in the file: ``${NAME}``.
        """
        raw = self._document.texts.get(path)
        if raw is None or self._is_hidden(path) or ("@" in raw and "//" in raw):
            return ""
        return quoted(raw if text is None or self.is_foreign(path) else text)

    def line(self, path: Path) -> int:
        """The line on which a value stands."""
        return self._document.position(path)[0]

    def validate(self, model: type[M], data: Any, path: Path) -> M | None:
        """Validate a part of the data; None when it is wrong, with everything that is wrong with it noted."""
        try:
            return model.model_validate(data)
        except ValidationError as refused:
            errors = refused.errors(include_url=False, include_input=False)
        unknown = [str(error["loc"][-1]) for error in errors if error["type"] == "extra_forbidden"]
        meant = {suggestion(word, _keys(model)) for word in unknown}
        for error in errors:
            # A misspelt key is one mistake, not an unknown key and a missing one.
            if not (error["type"] == "missing" and error["loc"][-1] in meant):
                self._refuse(model, error, path)
        return None

    def _refuse(self, model: type[BaseModel], error: ErrorDetails, path: Path) -> None:
        there = self._located((*path, *error["loc"]), missing=error["type"] == "missing")
        message, remedy = _sentence(model, error)
        on_key = error["type"] == "extra_forbidden" or "[key]" in error["loc"]
        value = "" if on_key or error["type"] == "missing" else self.word(there)
        if not on_key and self._leaks(there, message + remedy):
            message, remedy = "is not accepted", "correct the value (it may be a secret, so it is not shown)"
        if value:
            message = f"{value} {message}" if error["type"] == "value_error" else f"{message}, not {value}"
        self.add(there, message, remedy, key=on_key)

    def _located(self, path: Path, *, missing: bool) -> Path:
        """The path in the document of a place in the model: without the parts that only the model knows."""
        there = self._document.existing(path)
        return (*there, path[-1]) if missing and there == path[:-1] else there

    def _leaks(self, path: Path, text: str) -> bool:
        """Whether a message by somebody else quotes a value that must not be shown."""
        values = [(p, v) for p, v in _scalars(self._filled.data) if p[: len(path)] == path]
        return any(str(v) in text for p, v in values if self._is_hidden(p) or self.is_foreign(p))

    def _is_hidden(self, path: Path) -> bool:
        return any(path[:end] in self._hidden for end in range(len(path) + 1))

    def _problem(
        self, path: Path, message: str, remedy: str, *, key: bool = False, offset: int | None = None
    ) -> Problem:
        mark = self._document.position(path, key=key)
        if offset is not None:
            exact = self._document.within(path, offset)
            message = message if exact else f"{message} (at character {offset + 1})"
            mark = exact or mark
        return Problem(self._document.name, *mark, shown_path(path), message, remedy)


def _scalars(data: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    if isinstance(data, dict):
        return [found for key, value in data.items() for found in _scalars(value, (*path, key))]
    if isinstance(data, list):
        return [found for i, value in enumerate(data) for found in _scalars(value, (*path, i))]
    return [] if data is None or data == "" else [(path, data)]


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def short_sentence(error: ErrorDetails) -> str:
    """What is wrong, for an error of pydantic's about a value that the user wrote as a whole."""
    return _SENTENCES.get(error["type"], (_clause(error["msg"]), ""))[0]


_SENTENCES: Mapping[str, tuple[str, str]] = {
    "string_type": ("must be a text", "put quotes around it"),
    "is_instance_of": ("must be an expression (a text)", "put quotes around it"),
    "dict_type": ("must be a mapping", "write its keys beneath it, each as key: value"),
    "model_type": ("must be a mapping", "write its keys beneath it, each as key: value"),
    "mapping_type": ("must be a mapping", "write its keys beneath it, each as key: value"),
    "list_type": ("must be a list", "begin each item with a dash"),
    "tuple_type": ("must be a list", "begin each item with a dash"),
    "too_short": ("must not be empty", "add an entry"),
    "string_too_short": ("must not be empty", "write a value, or leave the key out"),
}


def _sentence(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    """What is wrong and what to do, for an error of pydantic's."""
    kind, context = error["type"], error.get("ctx", {})
    last = str(error["loc"][-1]) if error["loc"] else ""
    info = _keys(model).get(str(error["loc"][0])) if error["loc"] else None
    described = _clause(info.description if info and info.description else "correct the value")
    if kind == "missing":
        return "is missing", f"add it: {described}"
    if kind == "extra_forbidden":
        return f"there is no key {quoted(last)} here", instead(last, _keys(model), "keys")
    if kind == "value_error":
        problem = context["error"]
        return str(problem), getattr(problem, "remedy", described)
    if kind in {"enum", "literal_error"}:
        return f"must be {context['expected']}".replace("'", ""), described
    if "[key]" in error["loc"]:
        return "is not a name", "begin with a letter a-z, then letters, digits, _ and - (all lower-case)"
    return _SENTENCES.get(kind, (_clause(error["msg"]), described))


def _clause(sentence: str) -> str:
    """A sentence as a part of another one."""
    return (
        sentence[:1].lower() + sentence[1:].rstrip(".") if sentence[1:2].islower() else sentence.rstrip(".")
    )
