"""``pull:<connection>``: read what a platform lists, page by page; pages and the cursor that passes them in one
transaction.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import structlog

from connectors.budget import Lane
from connectors.errors import BadAnswer, NeedsHuman, PlatformError, Refused
from daemon import losses
from daemon.units import Unit
from daemon.world import World
from mapping.model import Booking, Kind, Status, iso
from mapping.record import Coverage, Listing, Observation, Page, Record, Row, UnreadableError, Via, ends_at
from state import accounts, cursors, journal, ledger, rejected
from state.cursors import StreamCursor
from state.database import Tx
from state.ledger import Stored

log = structlog.get_logger()

_SEEN_MISSING = 2
"""In how many listings in a row a record must be missing before that proves anything."""
_MISSING_FOR_MS = 60_000
"""And for how long: after two quick restarts the webhook that says what became of it may still be on its way."""
_LOOKED_THROUGH = 5_000
_SIDE_BY_SIDE = 4
"""How many details are asked for at once."""
_ROWS_A_COMMIT = 100
_HELD_FOR_MS = 1_000
"""How long a page may wait for the next ones before it is stored."""


@dataclass(slots=True)
class Walk:
    """What one walk through a listing did."""

    new: int = 0
    changed: int = 0
    rejected: int = 0


async def pull(unit: Unit, name: str) -> None:
    """Read all streams of a connection, in their order. Each failing stream stops only itself."""
    app = unit.app
    connector = app.connectors[name]
    account = await connector.account()
    platform = app.world.platform(name).name
    await unit.commit(lambda tx: accounts.remember(tx, name, platform, account), "pull.account")
    failed: Exception | None = None
    altered = 0
    for kind in connector.streams:
        try:
            walk = await _walk(unit, name, kind)
            altered += walk.new + walk.changed
        except (BadAnswer, NeedsHuman) as error:
            log.warning("bad_listing", connection=name, kind=kind.value, problem=error.sentence)
            failed = error if failed is None or isinstance(error, NeedsHuman) else failed
    app.metrics.changes(name, altered)
    app.kick_targets(name)
    if failed is not None:
        raise failed


async def _walk(unit: Unit, name: str, kind: Kind) -> Walk:
    app, walk = unit.app, Walk()
    connector = app.connectors[name]
    cursor = await unit.commit(lambda tx: cursors.stream(tx, name, kind), "pull.cursor")
    resumed = cursor.position is not None
    position, pages = cursor.position, list[Page]()

    async def stored() -> StreamCursor:
        store = partial(
            _store,
            world=app.world,
            now=app.ms(),
            name=name,
            kind=kind,
            cursor=cursor,
            pages=pages,
            walk=walk,
        )
        return await unit.commit(store, "pull.page")

    while True:
        try:
            page = await connector.pull(kind, position)
        except PlatformError as error:
            if resumed and isinstance(error, BadAnswer):
                # A position kept over a restart may have grown stale; reading again from the start changes nothing.
                resumed, position = False, None
                cursor = await unit.commit(
                    partial(_anew, name=name, kind=kind, cursor=cursor), "pull.restart"
                )
                continue
            if pages:
                await stored()
            raise
        resumed, position = False, page.next
        if app.world.spec(name, kind).thin and app.world.routes_from(name):
            page = await _completed(unit, name, kind, page)
        pages.append(page)
        if position is None or _enough(pages, app.ms()):
            cursor = await stored()
            pages = []
        if position is None:
            log.debug(
                "pulled",
                connection=name,
                kind=kind.value,
                rows=cursor.rows,
                new=walk.new,
                changed=walk.changed,
            )
            return walk


def _enough(pages: list[Page], now: int) -> bool:
    """Small pages that come fast share a commit: most of its cost is the same for one row and for a hundred."""
    rows = sum(len(page.listing.rows) for page in pages)
    return rows >= _ROWS_A_COMMIT or now - pages[0].asked_at >= _HELD_FOR_MS


async def _completed(unit: Unit, name: str, kind: Kind, page: Page) -> Page:
    """The same page with the details of what is new or changed: a list may leave out whom a booking is for.

    What is over is left as it is: nothing that was over before is announced, and a history has thousands of rows.
    """
    app, listing = unit.app, page.listing
    connector, gate = app.connectors[name], asyncio.Semaphore(_SIDE_BY_SIDE)
    same = await app.db.read(lambda tx: ledger.unchanged(tx, name, kind, listing.rows))
    details: dict[str, Observation] = {}

    async def look(row: Row) -> None:
        async with gate:
            try:
                seen = await connector.fetch(kind, row.ref, Lane.POLL)
            except Refused:
                return  # the list's view is what there is
        if seen is not None:
            details[row.ref] = replace(seen, digest=row.digest)

    shown = [row for row in listing.rows if row.ref not in same and not _is_over(listing, row, page.asked_at)]
    await asyncio.gather(*(look(row) for row in shown))
    return replace(
        page,
        listing=replace(listing, understand=lambda row: details.get(row.ref) or listing.understand(row)),
    )


def _is_over(listing: Listing, row: Row, now: int) -> bool:
    try:
        ends = ends_at(listing.understand(row).fields.fields())
    except UnreadableError:
        return True
    return ends is not None and ends < now


def _anew(tx: Tx, name: str, kind: Kind, cursor: StreamCursor) -> StreamCursor:
    cursors.restart(tx, cursor)
    return cursors.stream(tx, name, kind)


def _store(
    tx: Tx, world: World, now: int, name: str, kind: Kind, cursor: StreamCursor, pages: list[Page], walk: Walk
) -> StreamCursor:
    held, position = cursor, journal.end(tx)
    account = accounts.get(tx, name)
    region = account.country if account else None
    rows = [row for page in pages for row in page.listing.rows]
    same = ledger.unchanged(tx, name, kind, rows) if cursor.finished_at else set()
    seen, parked = [], []
    for page in pages:
        understood, not_understood = page.listing.understood(same)
        seen += understood
        parked += not_understood
    _count(walk, ledger.observe(tx, name, kind, seen, now=now, region=region))
    walk.rejected += rejected.reject(tx, name, parked, now=now)
    rejected.understood(tx, name, kind, [*same, *(observation.ref for observation in seen)])
    for page in pages:
        cursor = cursors.advance(tx, cursor, page, page.listing.refs, now=now)
    if cursor.position is None:
        walk.changed += _conclude(tx, now, name, kind, cursor, pages[-1])
    losses.note(tx, world, name, kind, held, position, now=now)
    return cursor


def _count(walk: Walk, stored: Stored) -> None:
    walk.new += stored.new
    walk.changed += stored.changed


def _conclude(tx: Tx, now: int, name: str, kind: Kind, cursor: StreamCursor, page: Page) -> int:
    """What a finished walk proves of the records that it did not show. Gives how many were concluded to be cancelled.

    Absence is no cancellation unless the listing would have shown the record, twice in a row, and unless it is a rare
    case among many: a list that lost a tenth of its rows at once, or all of them, is not believed.
    """
    missing = _missing(tx, cursor, page)
    expected = cursor.rows + len(missing)
    if missing and (cursor.rows == 0 or len(missing) > max(1, expected // 10)):
        cursors.set_doubt(
            tx,
            cursor,
            f"{len(missing)} of {expected} {kind.value} are missing from the list at once: nothing is concluded from that."
            " If they were really cancelled, cancel them at the target by hand; otherwise the next lists show them again.",
        )
        return 0
    cursors.set_doubt(tx, cursor, None)
    gone = [record for record in missing if _is_gone(tx, record, page)]
    seen = [_absent(record, page) for record in gone]
    return ledger.observe(tx, name, kind, seen, now=now).changed


def _missing(tx: Tx, cursor: StreamCursor, page: Page) -> list[Record]:
    coverage = page.coverage
    if coverage == Coverage():
        return []
    starts = coverage.starts_from
    records = ledger.not_shown(
        tx,
        cursor.stream,
        cursor.walk,
        asked_before=page.asked_at,
        starts_from=None if starts is None else iso(datetime.fromtimestamp(starts / 1000, UTC)),
        limit=_LOOKED_THROUGH,
    )
    return [record for record in records if coverage.shows(record.fields)]


def _is_gone(tx: Tx, record: Record, page: Page) -> bool:
    times, since = ledger.note_missing(tx, record, page.asked_at)
    return times >= _SEEN_MISSING and page.asked_at - since >= _MISSING_FOR_MS


def _absent(record: Record, page: Page) -> Observation:
    fields = Booking(status=Status.CANCELLED, status_word="(left the list)")
    return Observation(record.kind, record.ref, fields, b'{"absent":true}', page.asked_at, Via.ABSENCE)
