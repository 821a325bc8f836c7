"""Carrying one intent: look where that is needed, write once, and commit the outcome with what the target answered."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from connectors.errors import Conflict, NeedsHuman, OutcomeUnknown, PlatformError, Refused, TryLater
from daemon.units import Unit, pause, questions
from daemon.world import Want
from mapping.capability import Act
from mapping.identity import Match, Suggestion, marks_in
from mapping.record import Observation, Record
from mapping.surprise import PERSON
from mapping.wish import Settled, Step, Stuck, Waits, Write
from state import accounts, attempts, clearance, cursors, deliveries, journal, ledger, links, outbox
from state.database import Tx
from state.outbox import Intent

log = structlog.get_logger()

_PING_PONG = 3
_PING_PONG_MS = 86_400_000
"""The very same write so often within so many milliseconds: two writers undo each other."""
_ONCE_MORE = 4
"""What is not there after the settling time is looked for once more after this part of it."""
_STEPS = 8
"""How many looks and writes one intent may need in one go."""


def put(tx: Tx, now: int, want: Want, sort: tuple[str | None, bool] = (None, False)) -> int | None:
    """Put a wish into the outbox with what it comes to and how loud; gives the number of its intent, None if nothing is new."""
    return outbox.put(
        tx,
        route=want.route.name,
        connection=want.route.target.connection,
        kind=want.kind,
        entity=want.entity,
        source=want.source.id,
        wish=want.wish,
        now=now,
        act=sort[0],
        loud=sort[1],
    )


@dataclass(frozen=True, slots=True)
class _Look:
    write: Write


@dataclass(frozen=True, slots=True)
class _Send:
    write: Write
    attempt: int


class Carrier:
    """Carries one intent: look where that is needed, write, and commit the outcome with the target's answer."""

    def __init__(self, unit: Unit, intent: Intent) -> None:
        self.unit = unit
        self.app = unit.app
        self.intent = intent
        self.connector = unit.app.connectors[intent.connection]
        self.looked = False
        self.conflicts = 0
        self.first: tuple[_Look | _Send | None] | None = None
        """The first move, where it was made already."""

    def prepare(self, tx: Tx) -> None:
        """Make the first move in somebody else's transaction."""
        self.first = (self._prepare(tx),)

    async def carry(self) -> bool:
        """Gives whether the target now holds what was wanted. Raises NeedsHuman, which stops the connection."""
        for _ in range(_STEPS):
            if self.first is not None:
                (step,), self.first = self.first, None
            else:
                step = await self.unit.commit(self._prepare, "push.prepare")
            if step is None:
                return self.intent.state == "done"
            if isinstance(step, _Look):
                if not await self._look(step.write):
                    return False
            elif await self._write(step):
                return True
            elif self.intent.state != "open":
                return False
        return False

    def _prepare(self, tx: Tx) -> _Look | _Send | None:
        """Decide the next move on the newest wish; None when there is none for now."""
        intent = links.follow(tx, self.intent.id, now=self.app.ms())
        route = self.app.world.routes.get(self.intent.route)
        if intent is None or route is None or not clearance.may_be_sent(intent):
            return self._stay(intent)
        self.intent = intent
        want = Want(route, intent.kind, intent.entity, ledger.get(tx, intent.source), intent.wish)
        step, held = self.app.world.step(tx, want)
        unsent = isinstance(step, Waits) and not intent.attempts  # by this store: it may be a restored one
        if intent.doubt_since is not None and not self.looked and not unsent:
            return _Look(self._sent(tx, step, held))
        armed = cursors.route(tx, route.name).armed
        if (isinstance(step, Settled) or not armed) and self._unsettled(tx):
            return self._end("later")  # it may arrive after all, and then it has to be ended there too
        made_room = isinstance(step, Write) and step.ref is None and held is not None
        return self._move(tx, want, step) if armed or made_room else self._disarmed(tx)

    def _move(self, tx: Tx, want: Want, step: Step) -> _Look | _Send | None:
        if isinstance(step, Settled):
            outbox.done(tx, self.intent, now=self.app.ms(), note=step.why)
            return self._end("done")
        if isinstance(step, Waits):
            return self._wait(tx, want, step)
        if isinstance(step, Stuck):
            outbox.park(tx, self.intent, problem=step.why)
            return self._end("parked")
        return self._create(tx, want, step) if step.ref is None else self._update(tx, want, step)

    def _update(self, tx: Tx, want: Want, write: Write) -> _Look | _Send | None:
        """Where two sides are kept in step, nobody may have told us yet what was changed there: look first."""
        if not self.looked and self.app.world.back(want.route) is not None:
            return _Look(write)
        return self._begin(tx, self.intent, write)

    def _sent(self, tx: Tx, step: Step, held: Record | None) -> Write:
        """What was sent in doubt: where no mark tells, it is found by its own fields, whatever is wanted by now."""
        intent, last = self.intent, attempts.last(tx, self.intent)
        sent = json.loads(last["fields"]) if last else {}
        if isinstance(step, Write):
            return replace(step, fields={**step.fields, **sent}) if step.ref is None else step
        fields = {**intent.wish.fields, **sent}
        return Write(intent.kind, Act.UPDATE, held.ref if held else None, fields, intent.wish.mark, held={})

    def _create(self, tx: Tx, want: Want, write: Write) -> _Look | _Send | None:
        """A record has to be made, unless it is there already: no platform offers idempotency keys."""
        spec = self.app.world.spec(want.route.target.connection, want.kind)
        found = self.app.world.identify(tx, want)
        if isinstance(found, Match):
            links.join(tx, want.source, found.record, found.how, now=self.app.ms())
            return self._prepare(tx)
        if self.app.world.may_be_ours(tx, want):
            return self._wait(tx, want, Waits("we are making one there right now, and this may be it"))
        unique = any(write.fields.get(name) for name in spec.unique)
        taken = self.conflicts > 0 or (self.intent.missed_at is not None and self.intent.doubt_since is None)
        if not self.looked and (unique or taken or self.app.world.may_be_there(tx, want)):
            return _Look(write)
        if isinstance(found, Suggestion):
            outbox.park(tx, self.intent, problem=questions.same(want, found))
            return self._end("parked")
        if taken:
            return self._hidden(tx)
        return self._end("later") if self._unsettled(tx) else self._begin(tx, self.intent, write)

    def _hidden(self, tx: Tx) -> _Look | _Send | None:
        """The target says that it has such a record, and does not show it: once more, since a list may lie or come after."""
        now = self.app.ms()
        if self.intent.missed_at is None:
            due = now + self.app.settle_ms // _ONCE_MORE
            outbox.later(tx, self.intent, due_at=due, problem=questions.HIDDEN, missed_at=now)
            return self._end("later")
        outbox.park(tx, self.intent, problem=questions.HIDDEN)
        return self._end("parked")

    def _disarmed(self, tx: Tx) -> _Look | _Send | None:
        """Nothing more is written for it: a booking that was cancelled to be made anew is not left like that before."""
        intent, why = self.intent, "the route was disarmed"
        outbox.settle_doubt(tx, intent)
        outbox.drop(
            tx, route=intent.route, kind=intent.kind, entity=intent.entity, why=why, now=self.app.ms()
        )
        return self._end("done")

    def _unsettled(self, tx: Tx) -> bool:
        """Whether what was sent in doubt, and was not found, may be there after all: it may still be under way, or a list
        may have lied once. Then it is looked for again.
        """
        intent, now, again = self.intent, self.app.ms(), self.app.settle_ms // _ONCE_MORE
        if intent.doubt_since is None:
            return False
        settled = intent.doubt_since + self.app.settle_ms
        if intent.missed_at is not None and intent.missed_at >= settled and now - intent.missed_at >= again:
            return False
        why = "it may still be under way there: looking again"
        outbox.later(tx, intent, due_at=max(settled, now + again), problem=why, missed_at=now)
        return True

    def _begin(self, tx: Tx, intent: Intent, write: Write) -> _Look | _Send | None:
        outbox.settle_doubt(tx, intent)
        now = self.app.ms()
        # Where nothing is written, as when a booking is cancelled to make room, nobody undoes it.
        if (
            write.ref is not None
            and write.fields
            and attempts.repeats(tx, intent, write.fields, now - _PING_PONG_MS) >= _PING_PONG
        ):
            outbox.park(tx, intent, problem=questions.undone(tx, self.app.world, intent, write, _PING_PONG))
            return self._end("parked")
        return _Send(write, attempts.begin(tx, intent, write, now=now))

    def _wait(self, tx: Tx, want: Want, step: Waits) -> _Look | _Send | None:
        outbox.wait(tx, self.intent, problem=step.why)
        for needed in self.app.world.people_first(tx, want.route, want.source, want.wish):
            if (number := put(tx, self.app.ms(), needed, (PERSON, False))) is not None:
                clearance.clear(tx, [number])  # as the one that needs them was
        return self._end("waiting")

    def _stay(self, intent: Intent | None) -> _Look | _Send | None:
        return self._end(intent.state if intent else "done")

    def _end(self, state: str) -> _Look | _Send | None:
        """There is no next move."""
        self.intent = replace(self.intent, state=state)
        return None

    async def _look(self, write: Write) -> bool:
        """Look at the target before writing. Gives whether the way is clear to go on."""
        try:
            found = await self.connector.find(write)
        except Refused as error:
            await self._settle(partial(outbox.park, intent=self.intent, problem=error.sentence), "push.park")
            return False
        except PlatformError as error:
            await self._put_off(error)
            if isinstance(error, NeedsHuman):
                raise
            return False
        self.looked = True
        await self._settle(lambda tx: self._saw(tx, found), "push.looked")
        return True

    def _saw(self, tx: Tx, found: list[Observation]) -> None:
        intent = self.intent
        self._observe(tx, found)
        if found and not self._shares_entity(intent):
            # It is ours: nothing else tells whose a record is that stands for no entity of its own.
            made = deliveries.last(tx, intent.route, intent.kind, intent.entity)
            deliveries.remember(
                tx,
                intent.route,
                intent.kind,
                intent.entity,
                made.sent if made else {},
                target=found[0].ref,
            )
        if intent.doubt_since is not None and self._arrived(tx, [seen.ref for seen in found]):
            outbox.settle_doubt(tx, intent)

    def _observe(self, tx: Tx, seen: list[Observation], intent: int | None = None) -> None:
        name, account = self.intent.connection, accounts.get(tx, self.intent.connection)
        region = account.country if account else None
        ledger.observe(tx, name, self.intent.kind, seen, now=self.app.ms(), region=region, intent=intent)

    def _shares_entity(self, intent: Intent) -> bool:
        """What stands under another record stands for no entity of its own."""
        return self.app.world.spec(intent.connection, intent.kind).under is None

    def _arrived(self, tx: Tx, refs: list[str]) -> bool:
        """Whether what was sent in doubt has arrived, and with it all that it sent: what the target never shows is not sent
        again. What a create left is none of the records that were known before it was sent.
        """
        intent, last = self.intent, attempts.last(tx, self.intent)
        there = [each for ref in refs if (each := ledger.find(tx, intent.connection, intent.kind, ref))]
        if last is None or last["target"] is not None:
            return bool(there)
        made = [each for each in there if journal.first_seen(tx, each.id) > last["position"]]
        if not made:
            return False
        if intent.wish.mark in marks_in(made[0].fields) and self._shares_entity(intent):
            # At once: what was cancelled at the source meanwhile has to be cancelled there too.
            links.join(tx, ledger.get(tx, intent.source), made[0], "mark", now=self.app.ms())
        deliveries.remember(
            tx,
            intent.route,
            intent.kind,
            intent.entity,
            json.loads(last["fields"]),
            # As it was made: what a person changed there since is his own.
            shown=journal.as_of(tx, made[0], 0),
            position=journal.first_seen(tx, made[0].id),
        )
        return True

    async def _write(self, step: _Send) -> bool:
        """One call. The outcome is committed together with what the answer shows, so that the echo finds nothing new."""
        self.looked = False
        try:
            seen = await self.connector.write(step.write)
        except PlatformError as error:
            await self._failed(step, error)
            if isinstance(error, NeedsHuman):
                raise
            return False
        await self._settle(lambda tx: self._done(tx, step, seen), "push.done")
        self.app.metrics.write(self.intent.connection, "done")
        log.info(
            "pushed", route=self.intent.route, act=step.write.act.value, kind=self.intent.kind.value, target=seen.ref,
            loud=step.write.loud,
        )  # fmt: skip
        if step.write.then_create:
            return False
        self.intent = replace(self.intent, state="done")
        return True

    def _done(self, tx: Tx, step: _Send, seen: Observation) -> None:
        intent, now = self.intent, self.app.ms()
        self._observe(tx, [seen], intent.id)
        target = ledger.find(tx, intent.connection, intent.kind, seen.ref)
        own = not self._shares_entity(intent)
        if target is not None and not own:
            links.join(tx, ledger.get(tx, intent.source), target, "written", now=now)
            self._forget_back(tx, step.write)
        outbox.end_attempt(tx, step.attempt, outcome="done", now=now, target=seen.ref)
        if step.write.then_create:
            outbox.reopen(tx, intent, now=now)
            return
        outbox.done(
            tx,
            intent,
            now=now,
            target=seen.ref if own else None,
            shown=self._shown(tx, step.write, target) if target else None,
            position=journal.first_seen(tx, target.id) if target and step.write.ref is None else None,
        )

    def _forget_back(self, tx: Tx, write: Write) -> None:
        """What we made has nothing to say yet: whatever the route back wanted of it came of a webhook before the answer."""
        intent = self.intent
        back = self.app.world.back(self.app.world.routes[intent.route])
        if back is not None and write.ref is None and intent.kind is back.source.kind:
            entity = ledger.get(tx, intent.source).entity
            outbox.drop(
                tx, route=back.name, kind=back.target.kind, entity=entity, why="we made it", now=self.app.ms()
            )

    def _shown(self, tx: Tx, write: Write, target: Record) -> dict[str, Any]:
        """What the target shows of all that this route wrote. Whatever else its answer shows, somebody there may have said."""
        if write.ref is None:
            return journal.as_of(tx, target, 0)
        made = deliveries.last(tx, self.intent.route, self.intent.kind, self.intent.entity)
        written = {name: target.fields[name] for name in write.fields if name in target.fields}
        return {**((made.shown if made else None) or {}), **written}

    async def _failed(self, step: _Send, error: PlatformError) -> None:
        now = self.app.ms()
        outcome = {OutcomeUnknown: "unknown", Conflict: "conflict", Refused: "refused"}.get(
            type(error), "later"
        )
        self.app.metrics.write(self.intent.connection, outcome)
        log.warning("not_pushed", route=self.intent.route, outcome=outcome, problem=error.sentence)

        def note(tx: Tx) -> None:
            outbox.end_attempt(tx, step.attempt, outcome=outcome, now=now, detail=error.sentence)
            if isinstance(error, Conflict) and self.conflicts == 0 and step.write.ref is None:
                outbox.later(tx, self.intent, due_at=now, problem=error.sentence)
                self.conflicts += 1
            elif isinstance(error, Refused):
                outbox.park(tx, self.intent, problem=questions.refused(error))
                self._end("parked")
            elif isinstance(error, OutcomeUnknown):
                outbox.later(tx, self.intent, due_at=now, problem=error.sentence, doubt_since=now)
            else:
                self._later(tx, error)

        await self._settle(note, f"push.{outcome}")

    async def _put_off(self, error: PlatformError) -> None:
        await self._settle(lambda tx: self._later(tx, error), "push.later")

    def _later(self, tx: Tx, error: PlatformError) -> None:
        # What needs a human stops the connection and not the intent: it stays due, so that the next run meets it again
        # instead of finding nothing to do and calling that well.
        due = self.app.ms() + (0 if isinstance(error, NeedsHuman) else pause(self.intent.failures))
        if isinstance(error, TryLater) and error.retry_at:
            due = max(due, error.retry_at)
        outbox.later(tx, self.intent, due_at=due, problem=error.sentence)
        self._end("later")

    async def _settle(self, fn: Callable[[Tx], object], label: str) -> None:
        """Commit what a call has shown, under the entity that its source stands for by now."""

        def on_its_entity(tx: Tx) -> None:
            self.intent = replace(self.intent, entity=ledger.entity(tx, self.intent.source))
            fn(tx)

        await self.unit.commit(on_its_entity, label)
