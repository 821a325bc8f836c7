"""Switches that turn one protection off each: what a bookferry without it would do. They live in the test tree alone.

A switch replaces a function wherever the product or a test holds it, or an attribute of a class. ``with naive(name):``
applies one; ``-p tests.naive.plugin --naive NAME`` applies it to a whole pytest run.
"""

import asyncio
import importlib
import io
import json
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parents[2]
ROOMS = ("mapping", "state", "connectors", "daemon")


@dataclass(frozen=True, slots=True)
class Switch:
    name: str
    removes: str
    """The protection that it takes away."""
    on: Callable[[ExitStack], None]


SWITCHES: dict[str, Switch] = {}


def switch(removes):
    def register(on):
        name = on.__name__.replace("_", "-")
        SWITCHES[name] = Switch(name, removes, on)
        return on

    return register


@contextmanager
def naive(name: str) -> Iterator[Switch]:
    everything()
    with ExitStack() as stack:
        SWITCHES[name].on(stack)
        yield SWITCHES[name]


@cache
def everything() -> None:
    """All of the product is imported, so that nobody fetches the original later."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            importlib.import_module(found.name)


def module(name):
    return importlib.import_module(name)


def attribute(stack, owner, name, new):
    stack.enter_context(patch.object(owner, name, new))


def instead(stack, original, new):
    """Everywhere in our tree where somebody holds this function or constant."""
    for holder in [*sys.modules.values()]:
        file = getattr(holder, "__file__", None)
        if not file or holder.__name__ == __name__ or not Path(file).is_relative_to(ROOT):
            continue
        for name, value in [*vars(holder).items()]:
            if value is original:
                attribute(stack, holder, name, new)


def connectors():
    return [*module("connectors.registry").CONNECTORS.values()]


# The seven that matter most


@switch("a write of unknown outcome is looked up before anything is written again")
def no_lookup(stack):
    carrier = module("daemon.units.carry").Carrier
    look = carrier._look

    async def _look(self, write):
        if self.intent.doubt_since is None:
            return await look(self, write)
        self.looked = True
        return True

    attribute(stack, carrier, "_look", _look)


@switch("sightings count in the order in which they were asked for")
def arrival_order(stack):
    merge = module("mapping.merge").merge

    def by_arrival(kind, held, held_at, seen, seen_at, via):
        return merge(kind, held, min(held_at, seen_at - 1), seen, seen_at, via)

    instead(stack, merge, by_arrival)


@switch("a record that is missing from a list is not taken for cancelled")
def absence_cancels(stack):
    pull, cursors = module("daemon.units.pull"), module("state.cursors")

    def conclude(tx, now, name, kind, cursor, page):
        everything_shown = replace(page, coverage=module("mapping.record").COMPLETE)
        gone = pull._missing(tx, cursor, everything_shown)
        seen = [pull._absent(record, page) for record in gone if record.kind.value == "bookings"]
        cursors.set_doubt(tx, cursor, None)
        return pull.ledger.observe(tx, name, kind, seen, now=now).changed

    attribute(stack, pull, "_conclude", conclude)


@switch("what was known when a route was armed is never pushed")
def no_baseline(stack):
    cursors = module("state.cursors")
    arm = cursors.arm

    def arm_with_history(tx, name, *, now, since):
        if not cursors.route(tx, name).armed:
            arm(tx, name, now=now, since=since)
            tx.run("UPDATE route SET baseline = 0, position = 0, cutover = 0 WHERE name = :n", n=name)
        return cursors.route(tx, name)

    instead(stack, arm, arm_with_history)


@switch("the answer to our own write is remembered, and what was sent with it")
def no_echo_knowledge(stack):
    ledger = module("state.ledger")
    observe = ledger.observe

    def only_others(tx, connection, kind, seen, *, intent=None, **more):
        return ledger.Stored() if intent is not None else observe(tx, connection, kind, seen, **more)

    instead(stack, observe, only_others)
    instead(stack, module("state.deliveries").remember, lambda *_args, **_more: None)


@switch("a write whose answer was lost is not simply sent again")
def blind_retry(stack):
    outbox = module("state.outbox")
    later, recover = outbox.later, outbox.recover

    def later_without_doubt(tx, intent, *, due_at, problem, doubt_since=None):
        later(tx, intent, due_at=due_at, problem=problem)

    def recovered_without_doubt(tx, connection, *, now):
        many = recover(tx, connection, now=now)
        tx.run("UPDATE intent SET doubt_since = NULL WHERE connection = :c", c=connection)
        return many

    instead(stack, later, later_without_doubt)
    instead(stack, recover, recovered_without_doubt)


@switch("a rotated refresh token replaces the one that it was bought with")
def wrong_refresh(stack):
    oauth = module("connectors.oauth")
    fetch = oauth.OAuth._fetch

    async def with_the_old_one(self, old):
        grant = self._grant

        async def granted(token):
            new = await grant(token)
            return replace(new, refresh=token.refresh if token and token.refresh else None)

        with patch.object(self, "_grant", granted):
            return await fetch(self, old)

    attribute(stack, oauth.OAuth, "_fetch", with_the_old_one)


# Tokens and the wire


@switch("a new token is on disk before its first use")
def token_in_memory(stack):
    sealed = module("daemon.tokens").SealedTokens

    async def forgotten(self, new):
        return None

    attribute(stack, sealed, "put_all", forgotten)
    oauth = module("connectors.oauth").OAuth
    fetch = oauth._fetch

    async def unkept(self, old):
        class Forgets:
            get = self._store.get

            async def put(self, _name, _token):
                return None

        with patch.object(self, "_store", Forgets()):
            return await fetch(self, old)

    attribute(stack, oauth, "_fetch", unkept)


@switch("one renewal at a time, in this process and in all others")
def renewals_side_by_side(stack):
    tokens, oauth = module("daemon.tokens").SealedTokens, module("connectors.oauth").OAuth
    attribute(stack, tokens, "lease", lambda self, name: nullcontext())

    async def renewed(self, refused):
        self._token = await self._fetch(self._token or await self._store.get(self._name))
        return self._token

    attribute(stack, oauth, "_renewed", renewed)


@switch("tokens are sealed in the database")
def tokens_in_plain(stack):
    box = module("state.tokens").Box
    attribute(stack, box, "seal", lambda self, plain, where: plain)
    attribute(stack, box, "open", lambda self, sealed, where: sealed)


@switch("a webhook is believed only with the platform's signature")
def no_signature_check(stack):
    base = module("connectors.base").Connector
    for connector in connectors():
        if connector.verify is not base.verify:
            attribute(stack, connector, "verify", lambda self, headers, body, secrets: None)
    for name in ("bookatu", "nearbyassist", "nicejob", "nowistay"):
        hooks = module(f"connectors.{name}.hooks")
        if hasattr(hooks, "verify"):
            instead(stack, hooks.verify, lambda *_args, **_more: None)


@switch("a signed webhook is believed only for five minutes")
def no_age_check(stack):
    for name in ("bookatu", "nearbyassist", "nicejob", "nowistay"):
        hooks = module(f"connectors.{name}.hooks")
        if hasattr(hooks, "HOOK_TOLERANCE_S"):
            attribute(stack, hooks, "HOOK_TOLERANCE_S", 10**12)


@switch("the client repeats no write that may have arrived")
def http_repeats_writes(stack):
    http = module("connectors.http")
    repeatable = http._repeatable
    instead(stack, repeatable, lambda outcome, *, write: repeatable(outcome, write=False))


@switch("the client repeats what is safe to repeat")
def http_never_repeats(stack):
    instead(stack, module("connectors.http")._repeatable, lambda outcome, *, write: False)


@switch("a redirect is never followed")
def redirects_followed(stack):
    httpx = module("httpx")
    made = httpx.AsyncClient.__init__

    def following(self, **options):
        made(self, **{**options, "follow_redirects": True})

    attribute(stack, httpx.AsyncClient, "__init__", following)


@switch("an answer has a largest size and a longest time")
def no_limits(stack):
    client = module("connectors.http").Client
    made = client.__init__

    def without(self, base, budget, **options):
        made(self, base, budget, **{**options, "max_body": 2**40, "total": 10**6, "read": 10**6})

    attribute(stack, client, "__init__", without)


@switch("a server error after a write leaves its outcome unknown")
def server_errors_mean_nothing_happened(stack):
    errors = module("connectors.errors")
    classify = errors.classify

    def hopeful(status, *, write, collection=False):
        found = classify(status, write=write, collection=collection)
        return errors.TryLater if found is errors.OutcomeUnknown else found

    instead(stack, classify, hopeful)


@switch("requests keep to the platform's rate")
def no_budget(stack):
    async def at_once(self, *scopes, **more):
        return None

    attribute(stack, module("connectors.budget").Budget, "take", at_once)


# The store and the units


@switch("a unit that was taken over writes nothing more")
def no_fence(stack):
    instead(stack, module("state.units").fence, lambda tx, *held: None)


@switch("a cursor moves only in the transaction that stores what it passed")
def cursor_first(stack):
    units, cursors = module("daemon.units").Unit, module("state.cursors")
    commit = units.commit

    async def in_two(self, fn, label):
        if label == "push.decide":
            fn = _cursor_of_routes_first(fn)
        if label == "pull.page":
            cursor, pages, now = (fn.keywords[name] for name in ("cursor", "pages", "now"))

            def moved(tx, cursor=cursor):
                for page in pages:
                    cursor = cursors.advance(tx, cursor, page, page.listing.refs, now=now)

            await commit(self, moved, "pull.cursor")
        return await commit(self, fn, label)

    attribute(stack, units, "commit", in_two)


def _cursor_of_routes_first(fn):
    return fn


@switch("a webhook is acknowledged only when it is on disk")
def acknowledged_before_stored(stack):
    intake = module("state.inbox").Intake
    store = intake.store
    left = set()

    async def hopeful(self, arrivals):
        async def some_time():
            await asyncio.sleep(0.05)
            await store(self, arrivals)

        task = asyncio.create_task(some_time())
        left.add(task)
        task.add_done_callback(lambda task: (left.discard(task), task.cancelled() or task.exception()))
        return [True] * len(arrivals)

    attribute(stack, intake, "store", hopeful)


@switch("the same webhook once more is read once")
def no_deduplication(stack):
    instead(stack, module("state.inbox").digest, lambda body: os.urandom(16))


@switch("an unchanged row writes nothing")
def every_sighting_is_a_change(stack):
    instead(stack, module("state.ledger").fingerprint, lambda fields: os.urandom(16))
    instead(stack, module("state.ledger").unchanged, lambda tx, connection, kind, rows: set())


@switch("a field that a view does not show stays as it is")
def absent_is_null(stack):
    merge = module("mapping.merge").merge

    def emptied(kind, held, held_at, seen, seen_at, via):
        return merge(kind, held, held_at, {**dict.fromkeys(held), **seen}, seen_at, via)

    instead(stack, merge, emptied)


@switch("a hint alone never leads back from a settled status")
def hints_lead_back(stack):
    instead(stack, module("mapping.merge")._leads_back, lambda held, seen: False)


@switch("a list that is capped or windowed proves nothing of what it cannot show")
def capped_list_believed(stack):
    coverage = module("mapping.record").Coverage
    attribute(stack, coverage, "shows", lambda self, fields: True)


@switch("a list that lost all its rows, or many at once, is not believed")
def empty_list_believed(stack):
    pull = module("daemon.units.pull")
    conclude = pull._conclude

    def believed(tx, now, name, kind, cursor, page):
        return conclude(tx, now, name, kind, replace(cursor, rows=10**6), page)

    attribute(stack, pull, "_conclude", believed)


@switch("what is more than usual is held")
def no_guard(stack):
    surprise = module("mapping.surprise")
    instead(stack, surprise.sieve, lambda pending, *_args, **_more: surprise.Verdict([*pending], [], []))


@switch("one missing listing is not enough")
def one_list_is_enough(stack):
    attribute(stack, module("daemon.units.pull"), "_SEEN_MISSING", 1)
    attribute(stack, module("daemon.units.pull"), "_MISSING_FOR_MS", 0)


@switch("one daemon at a time holds the store")
def no_file_lock(stack):
    instead(stack, module("state.database").lock, lambda path: io.StringIO())


@switch("a transaction that fails takes back nothing but itself, and all of itself")
def half_transactions(stack):
    database = module("state.database")

    def carry_out(connection, job, *, alone):
        try:
            job.result = job.fn(database.Tx(connection))
        except Exception as error:  # noqa: BLE001
            job.error = error

    instead(stack, database._carry_out, carry_out)


@switch("a database of a newer version, or of another program, is left alone")
def any_database(stack):
    migrations = module("state.migrations")
    instead(stack, migrations._refuse_newer, lambda applied, path: None)


@switch("a webhook that a platform may deliver again is remembered")
def forgets_too_much(stack):
    retention = module("state.retention")
    webhooks = retention.webhooks

    class Everything(dict):
        def get(self, _name, _otherwise=0):
            return 2**62

    instead(
        stack,
        webhooks,
        lambda tx, after, *, since, again_since: webhooks(tx, after, since=since, again_since=Everything()),
    )


@switch("of what is forgotten, all stays that a decision asks for")
def history_cut_off(stack):
    retention = module("state.retention")

    def cut_off(history, moments, since):
        del history[1:-1]

    instead(stack, retention.fold, cut_off)


@switch("a damaged database is not copied")
def copies_unverified(stack):
    backup = module("state.backup")
    instead(stack, backup._verified, lambda source, part, expected: backup.Copy(0, 0, 0, 0, 0))


@switch("a restored database looks before it writes")
def restored_wide_awake(stack):
    instead(stack, module("state.backup")._put_to_sleep, lambda tx, now: None)


@switch("what a list had to repair is counted as a lost webhook")
def losses_uncounted(stack):
    instead(stack, module("mapping.losses").happening, lambda fields, before, via: None)


@switch("a source that is silent against its own rhythm is told of")
def silence_unnoticed(stack):
    instead(stack, module("mapping.rhythm").silence, lambda heard, runs, now: None)


@switch("one row that cannot be understood stops only itself")
def one_bad_row_stops_all(stack):
    listing = module("mapping.record").Listing

    def understood(self, known=()):
        return [self.understand(row) for row in self.rows if row.ref not in known], []

    attribute(stack, listing, "understood", understood)


# What is decided, and how it is carried


@switch("before a record is made somebody looks whether it is there")
def no_identity_check(stack):
    attribute(stack, module("daemon.world").World, "identify", lambda self, tx, want: None)


@switch("a create that was not found waits until it can no longer be under way")
def no_settling(stack):
    attribute(stack, module("daemon.units.carry").Carrier, "_unsettled", lambda self, tx: False)


@switch("every write is silent unless its route says that it may speak")
def silent_flag_left_out(stack):
    instead(stack, module("mapping.decide")._loudness, lambda case, wanted: (True, ""))
    for connector in connectors():
        send = connector.write

        async def loudly(self, write, send=send):
            return await send(self, replace(write, loud=True))

        attribute(stack, connector, "write", loudly)


@switch("what cannot be silent is refused unless the route says that it may speak")
def loud_is_not_refused(stack):
    decide = module("mapping.decide")
    spoken = decide._spoken

    def spoken_anyway(write, wanted, spec):
        return spoken(write, replace(wanted, loud=True), spec)

    instead(stack, spoken, spoken_anyway)
    attribute(stack, module("mapping.routes")._Reader, "_promises", lambda self, *_: None)


@switch("a visit that was over before the cut-over is not announced")
def no_cutover(stack):
    decide = module("mapping.decide")

    def loudness(case, wanted):
        return case.route.notify == "allow", ""

    instead(stack, decide._loudness, loudness)


@switch("a field is written only if the target shows something else, in normal form")
def no_normal_form(stack):
    normal = module("mapping.normal")
    instead(stack, normal.same, lambda field, one, other, region=None: one == other)


@switch("a field that was sent already is not sent again, whatever the target made of it")
def no_memory_of_what_was_sent(stack):
    decide = module("mapping.decide")
    changes = decide._changes

    def forgotten(wanted, spec, target, sent, region):
        return changes(wanted, spec, target, {}, region)

    instead(stack, changes, forgotten)


@switch("foreign tags stay")
def tags_overwritten(stack):
    connector = module("connectors.registry").CONNECTORS["nicejob"]

    async def nobody_elses(self, write, path):
        return []

    attribute(stack, connector, "_tags", nobody_elses)
    normal = module("mapping.normal")
    lacking = normal.lacking

    def all_tags(field, wanted, sent, shown, region=None):
        if field == "tags":
            return {} if wanted == shown else {field: wanted}
        return lacking(field, wanted, sent, shown, region)

    instead(stack, lacking, all_tags)


@switch("a status that no table knows is not guessed")
def unknown_status_guessed(stack):
    decide = module("mapping.decide")
    wish = decide.wish

    def guessed(case):
        if case.source.fields.get("status") == "unknown":
            fields = {**case.source.fields, "status": "confirmed"}
            case = replace(case, source=replace(case.source, fields=fields))
        return wish(case)

    instead(stack, wish, guessed)


@switch("two writers that undo each other are stopped")
def no_ping_pong_stop(stack):
    attribute(stack, module("daemon.units.carry"), "_PING_PONG", 10**9)


@switch("what both sides of a pair changed is a question, or has an owner")
def no_pair_rules(stack):
    instead(stack, module("mapping.pairs").settle, lambda changes, pair, target, region: None)


@switch("what a human parted is not joined again")
def parted_is_joined_again(stack):
    instead(stack, module("state.links").undone, lambda tx, one, other: False)


@switch("an address that two names use identifies nobody")
def shared_addresses_identify(stack):
    identity = module("mapping.identity")
    match = identity.match

    def by_address(kind, fields, mark, candidates, *, region, shared):
        found = list(candidates)
        known = match(kind, fields, mark, found, region=region, shared=frozenset())
        return identity.Match(known.records[0], "match") if isinstance(known, identity.Suggestion) else known

    instead(stack, match, by_address)


@switch("nothing is pushed before the target was read once")
def target_unread(stack):
    attribute(stack, module("daemon.world").World, "unread", lambda self, tx, *routes: [])


@switch("what waits for a human waits")
def refused_is_tried_for_ever(stack):
    outbox = module("state.outbox")

    def due_again(tx, intent, *, problem):
        outbox.later(tx, intent, due_at=0, problem=problem)

    instead(stack, outbox.park, due_again)


# Time, money, words


@switch("a local time has its zone")
def local_time_instead_of_zone(stack):
    wire = module("connectors.wire")
    instant = wire.instant

    def wall_clock(value):
        if isinstance(value, str):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        return instant(value)

    instead(stack, instant, wall_clock)
    expr = module("mapping.expr")
    instead(stack, expr._in_zone, lambda value, zone: datetime.fromisoformat(str(value)).replace(tzinfo=UTC))


@switch("money is whole minor units of its currency")
def money_as_floats(stack):
    money = module("mapping.money")
    instead(stack, money.minor_units, lambda amount, currency: int(float(amount) * 100))
    instead(stack, money.to_major, lambda minor, currency: minor / 100)


@switch("a phone number is compared in its international form")
def phones_as_typed(stack):
    instead(stack, module("mapping.normal").phone_key, lambda phone, region: phone or None)


# What is shown and logged


@switch("no line of the log has a secret or a guest")
def secrets_logged(stack):
    logs = module("daemon.logs")
    instead(stack, logs.redact, lambda logger, method, event: event)
    instead(stack, logs.clean, lambda value, depth=6: value)


@switch("contact data is shown only where asked for")
def contacts_shown(stack):
    masks = module("daemon.masks")
    instead(stack, masks.masked, lambda value, name="": value)
    instead(stack, masks.mask_text, lambda text: text)


@switch("what a platform wrote cannot move the cursor of a terminal")
def control_characters_shown(stack):
    masks = module("daemon.masks")
    instead(
        stack, masks.clean, lambda value: value if isinstance(value, str) else json.dumps(value, default=str)
    )


@switch("an error quotes no value of a platform")
def errors_quote(stack):
    wire = module("connectors.wire")
    instead(stack, wire.quoted, lambda said: said if isinstance(said, str) else "")
    instead(stack, wire.reason, str)


@switch("a mistake in the YAML has a place")
def mistakes_without_a_place(stack):
    report = module("mapping.report").Report
    add = report.add

    def nowhere(self, path, *words, **more):
        return add(self, (), *words, **more)

    attribute(stack, report, "add", nowhere)


@switch("the hook door answers hooks and nothing else, and no more than its limits")
def open_door(stack):
    doors = module("daemon.doors")
    hooks = next(
        value for value in vars(doors).values() if isinstance(value, type) and hasattr(value, "_body")
    )

    async def all_of_it(self, headers, receive):
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        return body

    attribute(stack, hooks, "_body", all_of_it)
