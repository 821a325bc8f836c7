"""The surprise guard at work: what is due is let through, unless it is more than usual; then it waits for a human."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from daemon.foresee import differences, foresee, title
from daemon.world import Want, World
from mapping.config import Notify, Route
from mapping.surprise import DAY_MS, Canary, Limits, Past, Sort, Verdict, least, likely, sieve
from mapping.wish import Write
from state import clearance, cursors, ledger
from state.clearance import Held
from state.cursors import RouteState
from state.database import Tx
from state.outbox import Intent

_WAITS = "it is held until somebody approves it: `bookferry status` says why, and how"
_LONGEST_AWAY = 7.0
_SAMPLES = 5
_KEYS = ("when", "set", "after", "notify", "on_cancel", "on_reschedule")
"""Keys of a route of which a change can alter many writes at once."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Writes of a route wait from now on."""

    route: str
    writes: int
    why: str
    command: str


def review(tx: Tx, now: int, world: World, route: Route) -> Alarm | None:
    """Let through what is due of a route, or hold it. Gives what has to be told, once."""
    connection, before = route.target.connection, clearance.get(tx, route.name)
    limits = route.guard.over(world.config.guard)
    stands = clearance.standing(tx, connection, route.name, now)
    if not stands["fresh"] and (
        before is None or before.why["stands"] == [stands["held"], _rules(route, limits)]
    ):
        return None  # nothing is to be judged, or nothing anew
    state, pending = _read(tx, now, route), clearance.pending(tx, connection, route.name, now)
    verdict = sieve(
        pending,
        lambda sort, count: _past(tx, now, world, route, sort, count),
        limits,
        canary=_canary(route, state),
        stands={Sort(sort): Past(**past) for sort, past in (before.why["past"] if before else {}).items()},
    )
    clearance.clear(tx, [each.id for each in verdict.clear])
    clearance.count(tx, route.name, verdict.clear, now)
    clearance.hold(tx, [each.id for each in verdict.hold], problem=_WAITS)
    if verdict.sung:
        cursors.sing(tx, route.name, verdict.sung)
    clearance.people(tx, connection, route.name, holding=bool(verdict.hold), problem=_WAITS, now=now)
    if before is not None or verdict.hold:
        held = clearance.standing(tx, connection, route.name, now)["held"]
        why = _why(route, verdict) | {"stands": [held, _rules(route, limits)]}
        clearance.note(tx, route.name, why if verdict.hold else None, now=now)
    if before is not None or not verdict.hold:
        return None
    said = "; ".join(_sentences(route, verdict))
    return Alarm(route.name, len(verdict.hold), said, _command(clearance.plan(tx, route.name)))


def _rules(route: Route, limits: Limits) -> str:
    """What the configuration says of how much may happen."""
    return f"{limits} {route.canaries}"


def _read(tx: Tx, now: int, route: Route) -> RouteState:
    """The state of a route, which remembers what the route says and which keys were changed last."""
    state = cursors.route(tx, route.name)
    keys = {key: _text(getattr(route, key)) for key in _KEYS}
    said = state.said
    if said is None or said["keys"] != keys:
        changed = [key for key in _KEYS if said is not None and said["keys"].get(key) != keys[key]]
        cursors.say(tx, route.name, {"keys": keys, "changed": changed, "at": now})
    return state


def _text(value: Any) -> str:
    """What the YAML says, as far as it matters whether it changed."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}={_text(item)}" for name, item in value.items())
    return str(getattr(value, "text", value))


def _past(tx: Tx, now: int, world: World, route: Route, sort: Sort, count: int) -> Past:
    passed = clearance.passed(tx, route.name, sort, now)
    if count + passed <= least(sort, route.guard.over(world.config.guard)):
        return Past(passed)
    source = route.source
    stream = world.platform(source.connection).stream_of(source.kind) or source.kind
    away = cursors.unread_for(tx, source.connection, stream, now) / DAY_MS
    return Past(
        passed,
        clearance.busiest(tx, route.name, sort, now),
        clearance.known(tx, source.connection, source.kind),
        round(min(max(1.0, away), _LONGEST_AWAY), 2),
    )


def _canary(route: Route, state: RouteState) -> Canary | None:
    if not route.canaries or state.canary is None:
        return None
    return Canary(max(0, route.canaries - state.canary), only_loud=route.notify is Notify.ALLOW)


def _why(route: Route, verdict: Verdict) -> dict[str, Any]:
    return {
        "sentences": _sentences(route, verdict),
        "past": {found.sort.value: asdict(found.past) for found in verdict.surprises},
        "canary": verdict.caged > 0,
    }


def _sentences(route: Route, verdict: Verdict) -> list[str]:
    told = [found.sentence(route.target.kind) for found in verdict.surprises]
    if verdict.caged:
        loud = "loud " if route.notify is Notify.ALLOW else ""
        wait = "write waits" if verdict.caged == 1 else "writes wait"
        told.append(
            f"{verdict.caged} {loud}{wait} until somebody has looked at the first {route.canaries}"
            " since the route was armed (`canary`)"
        )
    return told


def _command(plan: str | None) -> str:
    return f"bookferry approve {plan}"


def plans(world: World, tx: Tx) -> list[dict[str, Any]]:
    """Everything that is held, for a person: how much, why, the likely cause, samples and the command."""
    # Whose writes were all given up since is forgotten with the next pass.
    named = [(each, clearance.plan(tx, each.route)) for each in clearance.every(tx)]
    return [_plan(world, tx, each, plan) for each, plan in named if plan is not None]


def _plan(world: World, tx: Tx, each: Held, plan: str) -> dict[str, Any]:
    route = world.routes.get(each.route)
    return {
        "plan": plan,
        "route": each.route,
        "to": str(route.target) if route else None,
        "since": each.since,
        "writes": clearance.counts(tx, each.route),
        "why": each.why["sentences"],
        "cause": _causes(tx, each, route),
        "sent": _sung(tx, each, route),
        "samples": _samples(world, tx, route) if route else [],
        "command": _command(plan),
        "remedy": f"{_LOOK}, or give all of it up: bookferry disarm {each.route!r}" if route else _GONE,
    }


_LOOK = "look at all of it with bookferry plan; if it is not meant to happen, correct it at the source"
_GONE = "its route is no longer in the configuration: put it back, or give single ones up with bookferry dismiss ID"


def _causes(tx: Tx, each: Held, route: Route | None) -> list[str]:
    """What is known of how it came about, the most telling first."""
    state, told = cursors.route(tx, each.route), []
    said = state.said or {}
    if said.get("changed") and said["at"] >= each.since - DAY_MS:
        keys = ", ".join(f"`{key}`" for key in said["changed"])
        told.append(f"{keys} of the route changed since its last push (noticed {_clock(said['at'])})")
    if state.armed_at is not None and state.armed_at >= each.since - DAY_MS and route and route.since:
        told.append(f"the route was armed {_clock(state.armed_at)} with `since: {route.since:%Y-%m-%d}`")
    common = likely(clearance.changes(tx, each.route), _clock) if each.why["past"] else None
    return [*told, common] if common else told


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}Z"


def _sung(tx: Tx, each: Held, route: Route | None) -> list[str]:
    """The target's ids of the canaries."""
    state = cursors.route(tx, each.route)
    if not each.why["canary"] or route is None or state.armed_at is None:
        return []
    loud = route.notify is Notify.ALLOW
    return list(clearance.sent(tx, each.route, state.armed_at, only_loud=loud, limit=route.canaries))


def _samples(world: World, tx: Tx, route: Route) -> list[dict[str, Any]]:
    return [_sample(world, tx, route, intent) for intent in clearance.writes(tx, route.name, _SAMPLES)]


def _sample(world: World, tx: Tx, route: Route, intent: Intent) -> dict[str, Any]:
    source = ledger.get(tx, intent.source)
    step, there, _ = foresee(world, tx, Want(route, intent.kind, intent.entity, source, intent.wish), set())
    return {
        "id": str(intent.id),
        "source": f"{source.connection} {source.kind.one} {source.ref}",
        "name": title(source),
        "act": step.act.value if isinstance(step, Write) else intent.act,
        "loud": bool(intent.loud),
        "fields": differences(step, there)
        if isinstance(step, Write)
        else {name: {"old": None, "new": value} for name, value in intent.wish.fields.items()},
    }


def unseen(world: World, tx: Tx) -> list[dict[str, Any]]:
    """Routes whose canaries are all out while nothing waits behind them yet: whoever looks now need not be waited for."""
    held = {each.route for each in clearance.every(tx)}
    return [
        found for route in world.config.routes if route.name not in held and (found := _unseen(tx, route))
    ]


def _unseen(tx: Tx, route: Route) -> dict[str, Any] | None:
    state = cursors.route(tx, route.name)
    canary = _canary(route, state)
    if canary is None or canary.left or state.armed_at is None:
        return None
    sent = clearance.sent(tx, route.name, state.armed_at, only_loud=canary.only_loud, limit=route.canaries)
    plan = clearance.looked_at(route.name, state.armed_at, sent)
    found = {
        "plan": plan,
        "route": route.name,
        "to": str(route.target),
        "sent": sent,
        "command": _command(plan),
    }
    return found if sent else None


def approve(world: World, tx: Tx, plan: str) -> tuple[str, int] | None:
    """Let through what is held, if it is still this plan. Gives its route and how many writes there are; None: it is not."""
    for each in clearance.every(tx):
        if clearance.plan(tx, each.route) == plan:
            if each.why["canary"]:
                cursors.heard(tx, each.route)
            return each.route, clearance.approve(tx, each.route, plan)
    for found in unseen(world, tx):
        if found["plan"] == plan:
            cursors.heard(tx, found["route"])
            return found["route"], 0
    return None
