"""The decision core: what a route wants, and which single write brings the target there.

Two pure functions, read one after the other:

1. ``wish(...)``: a changed source record and a route give a *wish* (the state that the route wants), or a reason why
   the route wants nothing.
2. ``next_step(...)``: a wish, the target's record as last seen and what was sent before give the one *write* that is
   missing, or a reason why there is none.

A field is written only if the wish for it differs both from what was last sent and from what the target shows, in
normal form. So a target that trims and reformats causes no second write, and a change that a person makes at the
target stays until the source changes that very field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mapping.capability import INHERITED, Act, KindSpec, People, Voice, can_cancel
from mapping.config import OnCancel, OnReschedule, Route
from mapping.expr import ExpressionError, Scope
from mapping.model import Kind, Status
from mapping.normal import lacking, phone_key, same, unmarked
from mapping.pairs import settle
from mapping.record import Record, begins_at, ends_at, moment
from mapping.wish import MOVING, Pair, Settled, Skip, Step, Stuck, Waits, Wish, Write


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that one decision of one route may look at."""

    route: Route
    source: Record
    target: KindSpec
    mark: str
    cutover: int
    """Epoch milliseconds: what was completed before is never announced."""
    scope: Scope
    person: Mapping[str, Any] | None = None
    """The fields of the person a booking is for, where they are known."""
    region: str | None = None
    """Default region of the source's phone numbers."""
    known_before: bool = False
    """The record has not changed since the route was armed."""
    over_before: bool = False
    """It was completed already when the route was armed, whatever else was learned of it since."""
    delivered: bool = False
    """The target has a record for it already."""
    as_left: Mapping[str, Any] | None = None
    """The source's fields as the route back last left them."""


def wish(case: Case) -> Wish | Skip:
    """What the route wants for a source record. Raises ExpressionError when the YAML's expressions fail on it."""
    fields, status = case.source.fields, case.source.status
    if (reason := _too_old(case) or _over_too_soon(case) or _nobody_yet(case)) is not None:
        return Skip(reason)
    if status is Status.UNKNOWN:
        return Skip(
            f"its status is {fields.get('status_word')!r}, which no table knows: nothing is concluded from it"
        )
    ended = status if status in {Status.CANCELLED, Status.NO_SHOW} else None
    if ended and not case.delivered:
        return Skip(f"it was {_words(ended)} before it was ever delivered")
    if ended and _on_cancel(case) is OnCancel.IGNORE:
        return Skip(f"it is {_words(ended)}, which the target is not told (`on_cancel`)")
    if not ended and not _wanted(case):
        return Skip("`when` is not true for it")
    wanted = _wanted_fields(case, fields)
    left = _left(case)
    only_tags = ended is not None and (_on_cancel(case) is OnCancel.TAG or case.target.cancel_leaves_open)
    if ended:
        wanted = {"tags": list(case.target.cancel_tags.get(ended, (ended.value,)))} if only_tags else {}
    loud, note = _loudness(case, wanted)
    if case.target.quiet_tag and not loud and wanted.get("status") == Status.COMPLETED:
        wanted["tags"] = [*wanted.get("tags", []), case.target.quiet_tag]
    return Wish(
        fields=wanted,
        mark=case.mark,
        why=f"route {case.route.name!r}" + note,
        loud=loud,
        people=_people(case),
        person=_contact(case),
        ended=ended,
        only_tags=only_tags,
        moves=case.route.on_reschedule is OnReschedule.CANCEL_AND_CREATE,
        not_before=None if ended else _not_before(case),
        untouched=tuple(
            name for name, value in wanted.items() if name in left and same(name, left[name], value)
        ),
    )


def _left(case: Case) -> dict[str, Any]:
    """What the route would want of the source as the route back left it: there the source has said nothing itself."""
    try:
        return _wanted_fields(case, case.as_left) if case.as_left is not None else {}
    except ExpressionError:
        return {}


def _on_cancel(case: Case) -> OnCancel:
    if case.route.on_cancel is not None:
        return case.route.on_cancel
    return OnCancel.CANCEL if can_cancel(case.target) else OnCancel.IGNORE


def _not_before(case: Case) -> int | None:
    if case.route.after is None:
        return None
    when = case.route.after.evaluate(case.scope)
    try:
        return moment(when)
    except (TypeError, ValueError):
        raise ExpressionError(f"`after` gave {when!r} instead of a moment") from None


def _words(status: Status) -> str:
    return "a no-show" if status is Status.NO_SHOW else status.value


def _too_old(case: Case) -> str | None:
    """The baseline: what a route never pushes."""
    if case.route.since is None or case.delivered:
        return None
    since = round(case.route.since.timestamp() * 1000)
    begins = _begins(case.source)
    if begins is None:
        return (
            "it was known before the route was armed and has no date that `since` could include"
            if case.known_before
            else None
        )
    return "it starts before `since`" if begins < since else None


def _over_too_soon(case: Case) -> str | None:
    """What a target that always speaks is never told."""
    only_loud = set(case.target.acts.values()) == {Voice.LOUD}
    if only_loud and case.route.notify == "allow" and not _loudness(case, {})[0]:
        return "it was completed before the cut-over, and the target cannot be told quietly"
    return None


def _nobody_yet(case: Case) -> str | None:
    """A thin webhook tells of a booking before a list shows whose it is: a target that wants to be told would refuse it."""
    embedded = case.target.people is People.EMBEDDED and case.source.kind is Kind.BOOKINGS
    if embedded and not case.delivered and "people" not in case.source.fields:
        return "it is not known yet whom it is for"
    return None


def _begins(record: Record) -> int | None:
    fields = record.fields
    if record.kind is Kind.BOOKINGS:
        return begins_at(fields)
    return moment(fields.get("created_at"))


def _wanted(case: Case) -> bool:
    when = case.route.when
    if when is None:
        return True
    answer = when.evaluate(case.scope)
    if not isinstance(answer, bool):
        raise ExpressionError(f"`when` gave {answer!r} instead of true or false")
    return answer


def _wanted_fields(case: Case, source: Mapping[str, Any]) -> dict[str, Any]:
    """What the target is to hold: its writable fields taken over as they are, unless ``set`` says otherwise.

    A record of another kind takes over nothing: only ``set`` knows what is to become of what.
    """
    spec, wanted = case.target, {}
    if case.route.source.kind is case.route.target.kind:
        wanted = {
            name: source[name]
            for name in spec.writes.values()
            if name in source and name not in _NOT_TAKEN_OVER
        }
    wanted.pop("status", None)
    word = source.get("status")
    if word and (held := spec.statuses.get(Status(word))):
        wanted["status"] = held.value
    scope = case.scope if source is case.source.fields else case.scope.of(case.source.kind, source)
    for name, value in case.route.set.items():
        wanted[name] = value.evaluate(scope) if hasattr(value, "evaluate") else value
    if wanted.get("status") != Status.COMPLETED:
        wanted.pop("completed_at", None)
    if phone := phone_key(wanted.get("phone"), case.region):
        wanted["phone"] = phone
    wanted |= {name: unmarked(wanted[name]) for name in ("notes", "tags") if wanted.get(name)}
    return {name: value for name, value in wanted.items() if value is not None or name in spec.clearable}


_NOT_TAKEN_OVER = {"people", "staff", "service", "blocked"}
"""Ids of the source mean nothing at the target, and nobody is unblocked by a copy."""


def _loudness(case: Case, wanted: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the target may speak: the route must allow it, and what was over before the cut-over stays quiet."""
    if case.route.notify != "allow":
        return False, ""
    completes = wanted.get("status") == Status.COMPLETED
    if case.source.status is Status.COMPLETED or completes:
        over = ends_at(case.source.fields)
        known = case.source.status is Status.COMPLETED and (case.known_before or case.over_before)
        if over is None or over < case.cutover or known:
            return False, " (completed before the cut-over: quietly)"
    return True, ""


def _people(case: Case) -> tuple[str, ...]:
    """Whom it is for, where the target links to people of its own, or wants contact data that nobody has shown yet."""
    named = tuple(case.source.fields.get("people") or ())
    unknown = case.target.people is People.EMBEDDED and case.person is None
    return named if unknown or case.target.people is People.LINKED else ()


def _contact(case: Case) -> dict[str, Any] | None:
    if case.target.people is not People.EMBEDDED or case.person is None:
        return None
    return {
        name: case.person[name]
        for name in ("full_name", "first_name", "last_name", "email", "phone")
        if case.person.get(name)
    }


def person_wish(person: Record, spec: KindSpec, mark: str, why: str, region: str | None) -> Wish:
    """The wish for a person whom a booking needs: made when there is none, otherwise left as they are."""
    fields = {
        name: person.fields[name] for name in spec.writes.values() if person.fields.get(name) is not None
    }
    fields = {name: value for name, value in fields.items() if name not in {*_NOT_TAKEN_OVER, "tags"}}
    if phone := phone_key(fields.get("phone"), region):
        fields["phone"] = phone
    return Wish(fields=fields, mark=mark, why=why, only_create=True)


def next_step(
    wanted: Wish,
    kind: Kind,
    spec: KindSpec,
    target: Record | None,
    sent: Mapping[str, Any] | None,
    people: tuple[str, ...] | None = None,
    region: str | None = None,
    *,
    parent: Record | None = None,
    pair: Pair | None = None,
) -> Step:
    """The one write that is missing.

    ``target`` is the target's record as last seen, ``sent`` what this route last sent it, ``people`` the target's ids
    of ``wanted.people`` (None while not all of them are known there), ``region`` the target's own phone region,
    ``parent`` the target's record that it is to stand under, ``pair`` the route back.
    """
    if target is None or _made_room(wanted, target, sent or {}):
        return _creation(wanted, kind, spec, people, parent)
    write = Write(kind, Act.CANCEL, target.ref, {}, wanted.mark, held=target.fields, why=wanted.why)
    if wanted.ended and not wanted.only_tags:
        already = target.status in {Status.CANCELLED, wanted.ended}
        return Settled("it is cancelled there already") if already else _spoken(write, wanted, spec)
    changes = _changes(wanted, spec, target, sent or {}, region)
    if pair is not None and not wanted.only_create and (conflict := settle(changes, pair, target, region)):
        return Stuck(conflict)
    if not changes or wanted.only_create:
        return Settled("it exists" if wanted.only_create else "the target holds it already")
    if wanted.moves and Act.UPDATE not in spec.acts and MOVING & set(changes):
        return _spoken(replace(write, then_create=True), wanted, spec)
    act = _act_of(wanted, spec, changes, target)
    return _spoken(replace(write, act=act, fields=changes), wanted, spec)


def _made_room(wanted: Wish, target: Record, sent: Mapping[str, Any]) -> bool:
    """Whether the target's record was cancelled so that it can be made anew at another time."""
    return (
        wanted.moves
        and not wanted.ended
        and target.status is Status.CANCELLED
        and sent.get("starts") is not None  # what was never ours to move was cancelled by somebody else
        and not same("starts", sent["starts"], wanted.fields.get("starts"))
    )


def _creation(
    wanted: Wish, kind: Kind, spec: KindSpec, people: tuple[str, ...] | None, parent: Record | None
) -> Step:
    if wanted.ended:
        return Settled(f"it was {_words(wanted.ended)} before it was ever delivered")
    fields = dict(wanted.fields)
    if spec.under is not None:
        if parent is None:
            return Waits(f"the {spec.under.one} it stands under is not known there yet")
        inherited = {name: parent.fields[name] for name in sorted(INHERITED) if parent.fields.get(name)}
        writable = set(spec.writes.values())
        fields = {
            **{name: value for name, value in inherited.items() if name in writable},
            **fields,
            spec.under.one: parent.ref,
        }
    if (unknown := _unknown(wanted, kind, spec, people)) is not None:
        return Waits(unknown)
    if spec.people is People.LINKED and kind is Kind.BOOKINGS:
        fields["people"] = list(people or ())
    if missing := sorted(spec.required - set(fields) - set(wanted.person or ())):
        return Stuck(
            f"missing {', '.join(missing)}: the target takes no {kind.one} without. Fill it in at the source, or `set` it."
        )
    if spec.marked_in == "tags":
        fields["tags"] = list(dict.fromkeys([*fields.get("tags", []), wanted.mark]))
    elif spec.marked_in == "external_ref":
        fields["external_ref"] = wanted.mark
    act = (
        Act.COMPLETE if fields.get("status") == Status.COMPLETED and Act.COMPLETE in spec.acts else Act.CREATE
    )
    write = Write(kind, act, None, fields, wanted.mark, person=wanted.person, why=wanted.why)
    return (
        Stuck(_no_such(spec, Act.CREATE, kind))
        if Act.CREATE not in spec.acts
        else _spoken(write, wanted, spec)
    )


def _unknown(wanted: Wish, kind: Kind, spec: KindSpec, people: tuple[str, ...] | None) -> str | None:
    """Why it cannot be made yet: nobody knows whom it is for, or they are not there."""
    linked = spec.people is People.LINKED and kind is Kind.BOOKINGS
    if (spec.people is People.EMBEDDED and wanted.people) or (linked and not wanted.people):
        return "it is not known yet whom it is for"
    return "the person it is for does not exist there yet" if linked and people is None else None


def _act_of(wanted: Wish, spec: KindSpec, changes: Mapping[str, Any], target: Record) -> Act:
    if wanted.ended:
        return Act.CANCEL if spec.cancel_leaves_open else Act.UPDATE
    completes = changes.get("status") == Status.COMPLETED and target.status is not Status.COMPLETED
    return Act.COMPLETE if completes else Act.UPDATE


def _changes(
    wanted: Wish, spec: KindSpec, target: Record, sent: Mapping[str, Any], region: str | None
) -> dict[str, Any]:
    writable = set(spec.writes.values())
    changes: dict[str, Any] = {}
    for name, value in wanted.fields.items():
        if name not in writable or name in wanted.untouched or (name in sent and sent[name] == value):
            continue
        changes |= lacking(name, value, sent.get(name), target.fields.get(name), region)
    if changes.get("status") and target.status and target.status.settled:
        del changes["status"]  # nobody un-completes what the target has settled
    return changes


def _spoken(write: Write, wanted: Wish, spec: KindSpec) -> Step:
    """Give a write its voice, or refuse what the target cannot do, or cannot do silently."""
    for act in {write.act, Act.CREATE} if write.ref is None else {write.act}:
        voice = spec.acts.get(act)
        if voice is None:
            return Stuck(_no_such(spec, act, write.kind, write.fields))
        if voice is Voice.LOUD and not wanted.loud:
            return Stuck(
                f"{spec.reasons.get(act, 'it may notify a guest')}: refused, since the route has no `notify: allow`"
            )
    speaks = wanted.loud and spec.acts[write.act] is not Voice.SILENT
    return replace(write, loud=speaks)


def _no_such(spec: KindSpec, act: Act, kind: Kind, fields: Mapping[str, Any] | None = None) -> str:
    what = f" of {', '.join(fields)}" if fields and act is Act.UPDATE else ""
    return f"the target has no {act.value}{what} for {kind.value}" + (
        f": {spec.reasons[act]}" if act in spec.reasons else ""
    )
