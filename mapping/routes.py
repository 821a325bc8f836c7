"""The routes of a configuration: expressions compiled, promises checked against what platforms can do.

A route that needs what its target cannot do is an error here, with the reason, not a surprise at two in the
morning.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from mapping.capability import INHERITED, REACH, Act, KindSpec, People, Platform, Voice, can_cancel
from mapping.config import Endpoint, Notify, OnCancel, OnReschedule, Route, leads_back
from mapping.document import Path
from mapping.expr import (
    BadExpressionError,
    Expression,
    ExpressionError,
    compile_expression,
    constant_scope,
    known_names,
)
from mapping.guard import Guard
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
    _pairs(routes, around.report)
    return list(routes.values())


def read_guard(data: dict[str, Any], path: Path, report: Report) -> None:
    """Its keys by themselves, so that a misspelt one is compared with them; what is wrong is in the report by then."""
    if isinstance(data.get("guard"), dict):
        data["guard"] = report.validate(Guard, data["guard"], (*path, "guard")) or Guard()


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


def _pairs(routes: Mapping[int, Route], report: Report) -> None:
    """Who owns a field is a question only where another route leads back, and has one answer."""
    for i, route in routes.items():
        back = next((other for other in routes.values() if leads_back(route, other)), None)
        for key in ("owns", "newest"):
            if getattr(route, key) and back is None:
                message = f"no route leads from {route.target} back to {route.source}"
                report.add(("routes", i, key), message, f"leave {key} out, or write that route")
        if back is None:
            continue
        both = sorted(set(route.owns) & {*back.owns, *back.newest, *route.newest})
        if both:
            message = f"{', '.join(both)}: has more than one owner (see route {back.name!r})"
            report.add(("routes", i, "owns"), message, "name each field once in the two routes")


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
        read_guard(data, self.path, self.report)
        if source is not None:
            self._source(source)
            for key in ("when", "after"):
                self._condition(data, key, source.kind)
        spec = self._target(target) if target else None
        if source is not None and target is not None:
            self._pair(source, target, spec)
            self._set(data, source, target, spec)
            for key in ("owns", "newest"):
                self._fields(data, key, spec)
            if spec:
                self._promises(source, target, spec, data)
                self._endings(spec, data)
        else:
            for key in ("when", "after", "set", "owns", "newest"):
                data.pop(key, None)
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

    def _pair(self, source: Endpoint, target: Endpoint, spec: KindSpec | None) -> None:
        under = spec.under if spec else None
        if source.kind is target.kind:
            if source.connection == target.connection:
                self.report.add(
                    (*self.path, "to"), "is the connection that the route comes from", "choose another one"
                )
        elif spec and (under is None or source.kind not in REACH[under]):
            message = f"{target.kind.value} cannot be made out of {source.kind.value}"
            self.report.add((*self.path, "to"), message, f"choose the target's {source.kind.value}")

    def _promises(self, source: Endpoint, target: Endpoint, spec: KindSpec, data: Mapping[str, Any]) -> None:
        given = set(data["set"]) if isinstance(data.get("set"), dict) else set()
        if spec.under is not None:
            given |= {spec.under.one, *INHERITED}
        if source.kind is target.kind:
            given |= set(FIELD_NAMES[source.kind])
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

    def _endings(self, spec: KindSpec, data: Mapping[str, Any]) -> None:
        """What becomes of cancelled and of moved ones."""
        ways = data.get("on_cancel")
        if ways == OnCancel.CANCEL and not can_cancel(spec):
            message = "the target cannot cancel" + _because(
                [spec.reasons[Act.CANCEL]] if Act.CANCEL in spec.reasons else []
            )
            self.report.add((*self.path, "on_cancel"), message, "write on_cancel: ignore")
        if ways == OnCancel.TAG and "tags" not in spec.writes.values():
            self.report.add((*self.path, "on_cancel"), "the target takes no tags", "write on_cancel: ignore")
        if data.get("on_reschedule") == OnReschedule.CANCEL_AND_CREATE and (
            Act.UPDATE in spec.acts or not {Act.CREATE, Act.CANCEL} <= set(spec.acts)
        ):
            able = Act.UPDATE in spec.acts
            message = "the target can move what it holds" if able else "the target cannot cancel and create"
            self.report.add((*self.path, "on_reschedule"), message, "leave on_reschedule out")

    def _fields(self, data: dict[str, Any], key: str, spec: KindSpec | None) -> None:
        raw = data.get(key)
        names = [raw] if isinstance(raw, str) else raw
        if spec is None or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return
        found = [self._field(name, (*self.path, key), spec) for name in names]
        data[key] = [name for name in found if name is not None]

    def _condition(self, data: dict[str, Any], key: str, kind: Kind) -> None:
        text = data.get(key)
        if isinstance(text, bool):
            text = str(text).lower()
        if isinstance(text, str):
            data[key] = self._compiled(text, (*self.path, key), kind)

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

    def _set(self, data: dict[str, Any], source: Endpoint, target: Endpoint, spec: KindSpec | None) -> None:
        if not isinstance(data.get("set"), dict):
            return
        values: dict[str, Any] = {}
        for key, raw in data["set"].items():
            path = (*self.path, "set", key)
            value = self._value(raw, path, source.kind)
            name = self._field(key, path, spec) if spec else None
            if name in values:
                self.report.add(path, f"sets {name} a second time", "keep one of them", key=True)
            elif name is not None and value is not None and self._fits(name, value, path, target.kind):
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
