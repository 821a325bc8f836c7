"""What the decisions look at, gathered from the store: read-only, so that ``plan`` sees exactly what a push sees."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mapping.capability import KindSpec, People, Platform
from mapping.config import Config, Endpoint, Route, leads_back
from mapping.decide import Case, next_step, person_wish, wish
from mapping.expr import ExpressionError, record_scope
from mapping.identity import Match, Suggestion, is_genuine, keys_of, marks_in, match, origin_mark
from mapping.model import Kind, Status
from mapping.normal import same
from mapping.pairs import newer
from mapping.record import Account, Record, begins_at, moment
from mapping.wish import Pair, Skip, Step, Stuck, Wish
from state import accounts, attempts, cursors, deliveries, journal, ledger, links, named, outbox, tokens
from state.database import Tx


@dataclass(frozen=True, slots=True)
class Want:
    """A wish with its place: what the outbox stores as an intent."""

    route: Route
    kind: Kind
    entity: int
    source: Record
    wish: Wish


class World:
    """The configuration together with what the platforms declare."""

    def __init__(self, config: Config, platforms: dict[str, Platform]) -> None:
        self.config = config
        self.platforms = platforms
        self.routes = {route.name: route for route in config.routes}

    def platform(self, connection: str) -> Platform:
        """The platform of a connection."""
        return self.platforms[self.config.connections[connection].platform]

    def spec(self, connection: str, kind: Kind) -> KindSpec:
        """What a connection can do with a kind."""
        return self.platform(connection).kinds[kind]

    def routes_into(self, connection: str) -> list[Route]:
        """The routes that write to a connection."""
        return [route for route in self.config.routes if route.target.connection == connection]

    def routes_from(self, connection: str) -> list[Route]:
        """The routes that carry what a connection shows."""
        return [route for route in self.config.routes if route.source.connection == connection]

    def targets_of(self, connection: str) -> set[str]:
        """The connections that may have to be written to when this one changed: its targets, and itself."""
        near = {
            route.target.connection for route in self.config.routes if route.source.connection == connection
        }
        return near | ({connection} if self.routes_into(connection) else set())

    def unread(self, tx: Tx, *routes: Route) -> list[tuple[str, Kind]]:
        """The lists that have to be read to their end once before these routes may decide."""
        wanted: dict[tuple[str, Kind], None] = {}
        for route in routes:
            # Who is known at the target decides who has to be made there.
            ends = (route.source, route.target, Endpoint(route.target.connection, Kind.PEOPLE))
            for end in ends:
                platform = self.platform(end.connection)
                spec = platform.kinds.get(end.kind)
                for kind in (end.kind, spec.under if spec else None):
                    if kind is not None and (stream := platform.stream_of(kind)) is not None:
                        wanted[end.connection, stream] = None
        read = cursors.finished(tx)
        return [stream for stream in wanted if stream not in read]

    def account(self, tx: Tx, connection: str) -> Account | None:
        """Whom a connection belongs to."""
        return accounts.get(tx, connection)

    def region(self, tx: Tx, connection: str) -> str | None:
        """The default region of a connection's phone numbers."""
        account = self.account(tx, connection)
        return account.country if account else None

    def back(self, route: Route) -> Route | None:
        """The route that leads back, where two keep both sides in step."""
        return next((other for other in self.config.routes if leads_back(route, other)), None)

    def held(self, tx: Tx, route: Route, kind: Kind, entity: int) -> Record | None:
        """The target's record for an entity. One that stands under another is the route's own: no entity is shared."""
        target = route.target.connection
        if self.spec(target, kind).under is None:
            return ledger.of_entity(tx, entity, target, kind)
        made = deliveries.last(tx, route.name, kind, entity)
        return ledger.find(tx, target, kind, made.target) if made and made.target else None

    def mark(self, tx: Tx, record: Record, route: Route | None = None) -> str:
        """The origin mark of a source record; of what ``route`` makes of it, where that stands under another record.

        Several routes may put something of theirs under the same one.
        """
        own = route is not None and self.spec(route.target.connection, route.target.kind).under is not None
        ref = f"{record.ref}\0{route.name}" if route is not None and own else record.ref
        return self.mark_of(tx, record.connection, record.kind, ref)

    def mark_of(self, tx: Tx, connection: str, kind: Kind, ref: str) -> str:
        """The origin mark of the record with this id."""
        account = self.account(tx, connection)
        owner = account.id if account else connection
        return origin_mark(self.platform(connection).name, owner, kind, ref, tokens.mark_key(tx))

    def ours(self, tx: Tx, record: Record) -> list[str]:
        """The origin marks that a record carries, without those that somebody made up."""
        return [mark for mark in marks_in(record.fields) if is_genuine(mark, tokens.mark_key(tx))]

    def person_of(self, tx: Tx, record: Record) -> Record | None:
        """The first person that a booking or a review is about, where they are known."""
        refs = record.fields.get("people") or (
            [record.fields["person"]] if record.fields.get("person") else []
        )
        return ledger.find(tx, record.connection, Kind.PEOPLE, refs[0]) if refs else None

    def wish_of(self, tx: Tx, route: Route, record: Record) -> Wish | Skip | Stuck:
        """What a route wants for a source record."""
        state = cursors.route(tx, route.name)
        target = route.target
        person = self.person_of(tx, record)
        held = self.held(tx, route, target.kind, record.entity)
        if (anew := self._made_anew(tx, route, record)) is not None:
            return Skip(anew)
        left = self._as_left(tx, route, record)
        pending = outbox.unfinished(tx, route.name, target.kind, record.entity)
        in_flight = pending is not None and (pending.state == "sending" or pending.doubt_since is not None)
        try:
            case = Case(
                route=route,
                source=record,
                target=self.spec(target.connection, target.kind),
                mark=self.mark(tx, record, route),
                cutover=state.cutover or 0,
                scope=record_scope(
                    record.kind,
                    record.fields,
                    person.fields if person else None,
                    connection=record.connection,
                    ref=record.ref,
                    tables=self.config.lookups,
                ),
                person=person.fields if person else None,
                region=self.region(tx, record.connection),
                known_before=journal.last_change(tx, record.id) <= state.baseline,
                over_before=record.status is Status.COMPLETED
                and journal.status_known_at(tx, record.id, state.baseline),
                delivered=held is not None or in_flight,
                as_left=left,
            )
            return wish(case)
        except ExpressionError as error:
            if left == record.fields:
                return Skip("only the answer to our own write is known of it yet")
            return Stuck(f"an expression of the route fails on it: {error}")

    def _as_left(self, tx: Tx, route: Route, record: Record) -> dict[str, Any] | None:
        """A source record as the route back left it: what it showed first, where it was made by us, and of what we wrote."""
        back = self.back(route)
        if back is None:
            return None
        left = deliveries.last(tx, back.name, record.kind, record.entity)
        shown = left.shown if left else None
        if self.ours(tx, record) or journal.made_by_us(tx, record.id):
            # The answer to a create need not show all of the record: the rest is as we left it when it is first seen.
            shown = {**journal.as_of(tx, record, 0), **(shown or {})}
        return shown

    def _made_anew(self, tx: Tx, route: Route, record: Record) -> str | None:
        """Why a cancelled source record says nothing: the route back only made room for the same visit at another time."""
        if record.status is not Status.CANCELLED:
            return None
        now = ledger.of_entity(tx, record.entity, record.connection, record.kind)
        if now is not None and now.status is not Status.CANCELLED:
            return f"it was made anew as {now.ref}"
        back = self.back(route)
        moving = outbox.unfinished(tx, back.name, record.kind, record.entity) if back else None
        if moving is not None and moving.wish.moves and not moving.wish.ended:
            return "it is being made anew at another time"
        return None

    def may_be_ours(self, tx: Tx, want: Want) -> bool:
        """Whether a source record may be what the route back is making there right now: no mark is seen on it yet."""
        back = self.back(want.route)
        seen = journal.first_seen(tx, want.source.id)
        return back is not None and attempts.creating(tx, back.name, want.source.kind, seen)

    def may_be_there(self, tx: Tx, want: Want) -> bool:
        """Whether what stands for no entity may have been made before all that this store knows.

        Its source is older than the arming of its route, and no link would tell.
        """
        spec = self.spec(want.route.target.connection, want.kind)
        if spec.under is None or not (spec.marked_in or spec.told_by):
            return False
        baseline = cursors.route(tx, want.route.name).baseline
        return journal.known_at(tx, want.source.id, baseline)

    def origins(self, tx: Tx, records: Iterable[Record]) -> dict[int, Record]:
        """For records that carry our mark, and stand for themselves alone so far: the record that each was made from.

        The answer to our create may be lost, or come after the webhook that tells of it.
        """
        marked: dict[tuple[str, Kind], list[Record]] = {}
        for record in records:
            if self.ours(tx, record) and not ledger.shared(tx, record):
                marked.setdefault((record.connection, record.kind), []).append(record)
        found: dict[int, Record] = {}
        for (connection, kind), unknown in marked.items():
            by_mark = self._by_mark(tx, connection, kind)
            for record in unknown:
                source = next((by_mark[mark] for mark in marks_in(record.fields) if mark in by_mark), None)
                origin = ledger.find(tx, source[0], kind, source[1]) if source else None
                if origin is not None and not links.undone(tx, origin, record):
                    found[record.id] = origin
        return found

    def _by_mark(self, tx: Tx, connection: str, kind: Kind) -> dict[str, tuple[str, str]]:
        """Connection and id of everything that may have been carried to a connection, by its mark there."""
        sources = {
            route.source.connection
            for route in self.routes_into(connection)
            if kind in {route.target.kind, Kind.PEOPLE}
        }
        return {
            self.mark_of(tx, source, kind, ref): (source, ref)
            for source in sorted(sources)
            for ref in ledger.refs(tx, source, kind)
        }

    def wants(self, tx: Tx, route: Route, record: Record, wanted: Wish) -> list[Want]:
        """A wish with the people that it needs first, where they are known and do not exist at the target yet."""
        own = Want(route, route.target.kind, record.entity, record, wanted)
        # What is to be written later may never be: until then nobody is made for it.
        return [own] if wanted.not_before else [*self.people_first(tx, route, record, wanted), own]

    def people_first(self, tx: Tx, route: Route, record: Record, wanted: Wish) -> list[Want]:
        """Wishes for the people whom a booking needs at the target and who are not there."""
        target = route.target.connection
        if self.spec(target, route.target.kind).people is not People.LINKED or wanted.ended:
            return []
        if self.held(tx, route, route.target.kind, record.entity) is not None:
            return []  # it has its people
        spec, region = self.spec(target, Kind.PEOPLE), self.region(tx, record.connection)
        return [
            Want(
                route,
                Kind.PEOPLE,
                person.entity,
                person,
                person_wish(person, spec, self.mark(tx, person), f"needed by booking {record.ref}", region),
            )
            for person in self._people(tx, record.connection, wanted.people)
            if ledger.of_entity(tx, person.entity, target, Kind.PEOPLE) is None
        ]

    def _people(self, tx: Tx, connection: str, refs: Iterable[str]) -> list[Record]:
        found = (ledger.find(tx, connection, Kind.PEOPLE, ref) for ref in refs)
        return [person for person in found if person is not None]

    def step(self, tx: Tx, want: Want) -> tuple[Step, Record | None]:
        """The write that is missing for a wish, and the target's record as last seen."""
        held = self.held(tx, want.route, want.kind, want.entity)
        return self.step_for(tx, want, held, self.people_there(tx, want)), held

    def step_for(self, tx: Tx, want: Want, held: Record | None, people: tuple[str, ...] | None) -> Step:
        """The write that is missing for a wish if this is the target's record, and these the target's people."""
        target = want.route.target.connection
        spec = self.spec(target, want.kind)
        made = deliveries.last(tx, want.route.name, want.kind, want.entity)
        return next_step(
            want.wish,
            want.kind,
            spec,
            held,
            made.sent if made else None,
            people,
            self.region(tx, target),
            parent=parent_of(tx, want.source, target, spec.under) if spec.under else None,
            pair=self._pair(tx, want, held, made) if held else None,
        )

    def _pair(self, tx: Tx, want: Want, held: Record, made: deliveries.Delivery | None) -> Pair | None:
        route, back = want.route, self.back(want.route)
        if back is None or want.kind is not route.target.kind:
            return None
        theirs = deliveries.last(tx, back.name, want.source.kind, want.entity)
        newest = frozenset(route.newest) | frozenset(back.newest)
        newer = (name for name in newest if self._newer(tx, name, held, want.source, (route.name, back.name)))
        written = self.spec(want.source.connection, want.source.kind).writes.values()
        return Pair(
            back.name,
            frozenset(route.owns),
            frozenset(back.owns),
            newest,
            frozenset(newer),
            frozenset(written),
            _agreed(tx, want.source, held, made, theirs),
        )

    def _newer(self, tx: Tx, name: str, one: Record, other: Record, ours: tuple[str, str]) -> bool:
        """Whether somebody changed a field of one record later than of the other. A tie ends the same for both sides."""
        changes = [journal.last_changed(tx, record, name, ours) for record in (one, other)]
        return newer(changes[0], changes[1], (one.connection, other.connection))

    def people_there(self, tx: Tx, want: Want) -> tuple[str, ...] | None:
        """The target's ids of the people a booking is for; None while not all of them exist there."""
        target, refs = want.route.target.connection, []
        for ref in want.wish.people:
            person = ledger.find(tx, want.source.connection, Kind.PEOPLE, ref)
            there = ledger.of_entity(tx, person.entity, target, Kind.PEOPLE) if person else None
            if there is None:
                return None
            refs.append(there.ref)
        return tuple(dict.fromkeys(refs))

    def identify(self, tx: Tx, want: Want) -> Match | Suggestion | None:
        """The target's record that stands for a wish's entity though no link says so yet."""
        target = want.route.target.connection
        region = self.region(tx, want.source.connection)
        keys = [key for key, _ in keys_of(want.kind, want.source.fields, region)]
        found = [
            (record, own)
            for record, own in links.candidates(tx, target, want.kind, [*keys, f"mark:{want.wish.mark}"])
            if not links.undone(tx, want.source, record)
            and record.entity != want.source.entity
            and not (want.wish.moves and record.status is Status.CANCELLED)
        ]
        return match(
            want.kind, want.source.fields, want.wish.mark, found, region=region, shared=links.shared(tx, keys)
        )


def _agreed(
    tx: Tx, source: Record, held: Record, *delivered: deliveries.Delivery | None
) -> Mapping[str, Any] | None:
    """What the target showed when the two sides last agreed: after the last write of either route.

    Two records that were linked, and of which neither was written yet, agree in what was the same then, or when both
    were first seen.
    """
    positions = [each.position for each in delivered if each is not None]
    if positions:
        return journal.as_of(tx, held, max(positions))
    linked = links.joined_at(tx, held.entity)
    if linked is None:
        return None
    agreed: dict[str, Any] = {}
    for when in (0, linked):
        here, there = journal.as_of(tx, source, when), journal.as_of(tx, held, when)
        agreed |= {
            name: there[name] for name in there if name in here and same(name, here[name], there[name])
        }
    return agreed


def parent_of(tx: Tx, source: Record, connection: str, under: Kind) -> Record | None:
    """The record at ``connection`` that something made of ``source`` is to stand under.

    Its own entity; or the booking that a review is about; or the visit of the person that the review is from: the
    last one that had begun when the review was written.
    """
    if source.kind is under:
        return ledger.of_entity(tx, source.entity, connection, under)
    about = source.fields.get("booking")
    booking = ledger.find(tx, source.connection, Kind.BOOKINGS, about) if about else None
    if booking is not None and under is Kind.BOOKINGS:
        return ledger.of_entity(tx, booking.entity, connection, under)
    of_booking = booking.fields.get("people") if booking else None
    refs = source.fields.get("people") or of_booking or [source.fields.get("person")]
    person = ledger.find(tx, source.connection, Kind.PEOPLE, refs[0]) if refs and refs[0] else None
    if person is None:
        return None
    if under is Kind.PEOPLE:
        return ledger.of_entity(tx, person.entity, connection, under)
    there = [each.ref for each in ledger.all_of_entity(tx, person.entity, connection, Kind.PEOPLE)]
    written = moment(source.fields.get("created_at"))
    begun = [
        (begins, visit)
        for visit in named.bookings(tx, connection, there)
        if visit.status is not Status.CANCELLED and (begins := begins_at(visit.fields)) is not None
    ]
    fit = [pair for pair in begun if written is None or pair[0] <= written]
    return max(fit, key=lambda pair: pair[0])[1] if fit else None
