"""The routes of a configuration: expressions compiled, promises checked against what platforms can do.

A route that needs what its target cannot do is an error here, with the reason, not a surprise at two in the
morning.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from mapping.capability import KindSpec, People, Platform, Voice
from mapping.config import Endpoint, Notify, Route
from mapping.document import Path
from mapping.expr import (
    BadExpressionError,
    Expression,
    ExpressionError,
    compile_expression,
    constant_scope,
    known_names,
)
from mapping.model import FIELD_NAMES, MODEL, Kind
from mapping.problem import instead, quoted
from mapping.report import Report, short_sentence


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What routes refer to."""

    connections: Mapping[str, Platform | None]
    """Every connection of the file; None: its platform is not known, so nothing is concluded from it."""
    tables: Mapping[str, Mapping[str, Any]]
    report: Report


def read_routes(data: list[Any], around: Surroundings) -> list[Route]:
    """All routes that are right; whatever is wrong with the others is in the report."""
    routes: dict[int, Route] = {}
    for i, raw in enumerate(data):
        route = _Reader(raw, ("routes", i), around).read()
        if route is not None:
            routes[i] = route
    _unique(routes, around.report)
    return list(routes.values())


def _unique(routes: Mapping[int, Route], report: Report) -> None:
    first: dict[str, int] = {}
    for i, route in routes.items():
        at = first.setdefault(route.name, i)
        if at != i:
            name = report.word(("routes", i, "name"))
            where = f"the route in line {report.line(('routes', at))} has the same name"
            report.add(
                ("routes", i, "name"), f"{where}, {name}" if name else where, "give each route its own name"
            )


class _Reader:
    """One route."""

    def __init__(self, raw: Any, path: Path, around: Surroundings) -> None:
        self.raw, self.path, self.around, self.report = raw, path, around, around.report

    def read(self) -> Route | None:
        if not isinstance(self.raw, dict):
            return self.report.validate(Route, self.raw, self.path)
        source, target = self._endpoint("from"), self._endpoint("to")
        data = dict(self.raw)
        data.setdefault("name", f"{source or 'route'} to {target or 'nowhere'}")
        if source is not None:
            self._source(source)
            self._when(data, source.kind)
        spec = self._target(target) if target else None
        if source is not None and target is not None:
            self._pair(source, target)
            self._set(data, source, spec)
            if spec:
                self._promises(source, target, spec, data)
        else:
            data.pop("when", None)
            data.pop("set", None)
        return self.report.validate(Route, data, self.path)

    def _endpoint(self, key: str) -> Endpoint | None:
        try:
            return Endpoint.parse(self.raw[key])
        except (KeyError, ValueError, AttributeError):
            return None  # Route itself says what is wrong with it

    def _platform(self, end: Endpoint, key: str) -> Platform | None:
        names = self.around.connections
        if end.connection not in names:
            word = self.report.word((*self.path, key), end.connection)
            remedy = instead(end.connection, names, "connections")
            self.report.add((*self.path, key), f"there is no connection {word}", remedy)
        return names.get(end.connection)

    def _spec(self, platform: Platform, end: Endpoint, key: str) -> KindSpec | None:
        spec = platform.kinds.get(end.kind)
        if spec is None:
            kinds = ", ".join(sorted(platform.kinds))
            message = f"{platform.title} has no {end.kind.value}"
            self.report.add((*self.path, key), message, f"choose one of its kinds: {kinds}")
        return spec

    def _source(self, source: Endpoint) -> None:
        platform = self._platform(source, "from")
        spec = self._spec(platform, source, "from") if platform else None
        if platform and spec and not spec.listed and spec.inside is None:
            listed = (
                ", ".join(sorted(kind for kind, each in platform.kinds.items() if each.listed)) or "nothing"
            )
            message = f"{platform.title} does not list its {source.kind.value}"
            self.report.add((*self.path, "from"), message, f"what it lists: {listed}")

    def _target(self, target: Endpoint) -> KindSpec | None:
        platform = self._platform(target, "to")
        spec = self._spec(platform, target, "to") if platform else None
        if platform and spec and not spec.acts:
            message = f"{platform.title} takes no {target.kind.value} from outside"
            self.report.add(
                (*self.path, "to"), message + _because(spec.reasons.values()), "choose another target"
            )
            return None
        return spec

    def _pair(self, source: Endpoint, target: Endpoint) -> None:
        if source.connection == target.connection:
            self.report.add(
                (*self.path, "to"), "is the connection that the route comes from", "choose another one"
            )
        elif source.kind is not target.kind:
            message = f"turning {source.kind.value} into {target.kind.value} is not possible yet"
            self.report.add((*self.path, "to"), message, f"choose the target's {source.kind.value}")

    def _promises(self, source: Endpoint, target: Endpoint, spec: KindSpec, data: Mapping[str, Any]) -> None:
        given = set(FIELD_NAMES[source.kind]) | (
            set(data["set"]) if isinstance(data.get("set"), dict) else set()
        )
        if spec.people is People.EMBEDDED:
            given |= set(FIELD_NAMES[Kind.PEOPLE])
        for name in sorted(spec.required - given):
            message = f"the target takes no {target.kind.one} without {name}, and nothing gives it one"
            self.report.add((*self.path, "to"), message, f"add {_own_word(spec, name)} to set")
        voices = set(spec.acts.values())
        if voices == {Voice.LOUD} and data.get("notify", Notify.NEVER) == Notify.NEVER:
            loud = (spec.reasons[act] for act in spec.acts if act in spec.reasons)
            message = "the target cannot be written to silently" + _because(loud)
            at = (*self.path, "notify" if "notify" in self.raw else "to")
            self.report.add(at, message, "write notify: allow if guests may be notified")

    def _when(self, data: dict[str, Any], kind: Kind) -> None:
        text = data.get("when")
        if isinstance(text, bool):
            text = str(text).lower()
        if isinstance(text, str):
            data["when"] = self._compiled(text, (*self.path, "when"), kind)

    def _compiled(self, text: str, path: Path, kind: Kind) -> Expression | None:
        try:
            return compile_expression(text, known_names(kind), self.around.tables)
        except BadExpressionError as problem:
            faults = problem.faults
        if self.report.is_foreign(path):
            self.report.add(
                path, "is not an expression that can be used here", "correct the value that is put in"
            )
            return None
        for fault in faults:
            self.report.add(path, fault.message, fault.remedy, offset=fault.offset)
        return None

    def _set(self, data: dict[str, Any], source: Endpoint, spec: KindSpec | None) -> None:
        if not isinstance(data.get("set"), dict):
            return
        values: dict[str, Any] = {}
        for key, raw in data["set"].items():
            path = (*self.path, "set", key)
            value = self._value(raw, path, source.kind)
            name = self._field(key, path, spec) if spec else None
            if name in values:
                self.report.add(path, f"sets {name} a second time", "keep one of them", key=True)
            elif name is not None and value is not None and self._fits(name, value, path, source.kind):
                values[name] = value
        data["set"] = values

    def _field(self, key: str, path: Path, spec: KindSpec) -> str | None:
        """The common model's field for a key of ``set``: the platform's own word, or the common name."""
        if key not in spec.writes and key not in spec.writes.values():
            remedy = instead(key, spec.writes, "fields it takes")
            self.report.add(path, f"the target takes no field {quoted(key)}", remedy, key=True)
            return None
        return spec.writes.get(key, key)

    def _value(self, raw: Any, path: Path, kind: Kind) -> Any:
        if raw is None:
            self.report.add(path, "is empty", "leave the key out, or write an expression")
            return None
        if isinstance(raw, str):
            return self._compiled(raw, path, kind)
        if isinstance(raw, dict) or (
            isinstance(raw, list) and any(isinstance(v, dict | list) or v is None for v in raw)
        ):
            self.report.add(
                path, "must be an expression, a number, true, false or a list of them", "write one value"
            )
            return None
        return raw

    def _fits(self, name: str, value: Any, path: Path, kind: Kind) -> bool:
        """Whether a value that is the same for every record is one that the field can hold."""
        try:
            if isinstance(value, Expression):
                if value.reads:
                    return True
                value = value.evaluate(constant_scope(self.around.tables))
            MODEL[kind].model_validate_json(orjson.dumps({name: value}), strict=True)
        except ExpressionError as problem:
            message = "has no value" if self.report.is_foreign(path) else str(problem)
            self.report.add(path, message, "correct the expression")
        except ValidationError as refused:
            said = short_sentence(refused.errors(include_url=False, include_input=False)[0])
            message = f"the field {name} cannot hold this: it {said}"
            self.report.add(path, message, "write a value of that kind, or an expression that gives one")
        else:
            return True
        return False


def _because(reasons: Iterable[str]) -> str:
    reasons = dict.fromkeys(reason.rstrip(". ") for reason in reasons)
    return f": {'. '.join(reasons)}" if reasons else ""


def _own_word(spec: KindSpec, name: str) -> str:
    return next((word for word, field in spec.writes.items() if field == name), name)
