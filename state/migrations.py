"""The schema, forward only: each migration is one transaction with its record; before any of them, a backup."""

from pathlib import Path

from sqlite_utils import Database as Tables
from sqlite_utils.migrations import Migrations

from state.database import Tx
from state.errors import StoreTooNew, StoreUnavailable

migrations = Migrations("bookferry")

_FOREIGN = (
    "this is a database of another program, and nothing was changed in it. Point `state:` at another file."
)

FIRST = """
CREATE TABLE connection (
    name TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    account TEXT NOT NULL,          -- JSON: whom it belongs to, in the platform's own terms
    account_id TEXT NOT NULL
) STRICT;

CREATE TABLE unit (
    key TEXT PRIMARY KEY,           -- pull:salon, inbox:salon, push:reviews
    epoch INTEGER NOT NULL DEFAULT 0,
    last_started INTEGER,
    last_ok INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    next_due INTEGER,
    problem TEXT                    -- JSON: what stands in the way, since when, what to do
) STRICT;

CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,
    named INTEGER NOT NULL DEFAULT 0,   -- up to where in the journal it is known which bookings are for whom
    UNIQUE (connection, kind)
) STRICT;

-- Which bookings are for whom, or once were.
CREATE TABLE named (
    stream INTEGER NOT NULL REFERENCES stream(id),
    person TEXT NOT NULL,           -- the platform's id
    record INTEGER NOT NULL REFERENCES record(id),
    PRIMARY KEY (stream, person, record)
) STRICT, WITHOUT ROWID;

-- The cursor of a pulled stream: how far the walk is, and what the last finished one proved.
CREATE TABLE cursor (
    stream INTEGER PRIMARY KEY REFERENCES stream(id),
    walk INTEGER NOT NULL DEFAULT 0,
    page INTEGER NOT NULL DEFAULT 0,
    position TEXT,                  -- NULL between two walks
    asked_at INTEGER,               -- of the newest page
    finished_at INTEGER,            -- when a walk was last finished
    finished_before INTEGER,        -- when the one before that was
    rows INTEGER NOT NULL DEFAULT 0,
    coverage TEXT,                  -- JSON, of the last finished walk
    doubt TEXT                      -- why the last finished walk proved nothing
) STRICT;

-- Which records the pages of the last walk showed, and when each page was asked for.
CREATE TABLE cursor_page (
    stream INTEGER NOT NULL REFERENCES stream(id),
    page INTEGER NOT NULL,
    walk INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    refs TEXT NOT NULL,             -- JSON list
    PRIMARY KEY (stream, page)
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES stream(id),
    ref TEXT NOT NULL,
    joined INTEGER REFERENCES record(id), -- the entity it was linked to; NULL: it stands for itself
    fields TEXT NOT NULL,           -- JSON, present fields only
    fingerprint BLOB NOT NULL,      -- of the fields
    raw TEXT NOT NULL,
    seen BLOB NOT NULL DEFAULT x'', -- digest of the row that a listing last showed; empty: to be read again
    asked_at INTEGER NOT NULL,
    missing INTEGER NOT NULL DEFAULT 0, -- in how many lists in a row it should have stood and did not
    missing_since INTEGER,          -- when the first of them was asked for
    UNIQUE (stream, ref)
) STRICT;
CREATE INDEX record_joined ON record (joined) WHERE joined IS NOT NULL;
CREATE INDEX record_missing ON record (stream) WHERE missing > 0;

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL REFERENCES stream(id),
    record INTEGER NOT NULL REFERENCES record(id),
    at INTEGER NOT NULL,
    via TEXT NOT NULL,
    before TEXT,                    -- JSON: former values of the changed fields; NULL: first seen
    added TEXT,                     -- JSON list: fields of which nothing was known before
    intent INTEGER,                 -- our own write, whose answer this is
    route TEXT                      -- which route that write was of
) STRICT;
CREATE INDEX journal_stream ON journal (stream, seq);
CREATE INDEX journal_record ON journal (record);

CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES stream(id),
    ref TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    dismissed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (stream, ref)
) STRICT;

-- Identity keys of people and marks of ours, folded for comparison.
CREATE TABLE identity_key (
    record INTEGER NOT NULL REFERENCES record(id),
    key TEXT NOT NULL,              -- email:…, phone:…, mark:…
    name TEXT NOT NULL,             -- the folded name it was seen under
    PRIMARY KEY (key, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_key_record ON identity_key (record);

CREATE TABLE link (
    id INTEGER PRIMARY KEY,
    record INTEGER NOT NULL REFERENCES record(id),
    entity INTEGER NOT NULL REFERENCES record(id),
    how TEXT NOT NULL,              -- written, mark, match, explicit
    at INTEGER NOT NULL,
    position INTEGER NOT NULL,      -- the end of the journal then
    undone_at INTEGER
) STRICT;
CREATE INDEX link_record ON link (record);
CREATE INDEX link_entity ON link (entity);

CREATE TABLE route (
    name TEXT PRIMARY KEY,
    armed_at INTEGER,
    cutover INTEGER,                -- what was completed before is never announced
    baseline INTEGER NOT NULL DEFAULT 0, -- the end of the journal when it was armed
    position INTEGER NOT NULL DEFAULT 0, -- in the journal
    canary INTEGER DEFAULT 0,       -- how many canaries it has sent since; NULL: somebody has looked at them
    said TEXT,                      -- JSON: what its text was at the last push, and which keys changed when
    slept_to INTEGER                -- of a restored backup: changes up to here may have been carried before
) STRICT;

-- Where a route's writes wait for a human since they are more than usual: why, and what they were compared with.
CREATE TABLE held (
    route TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    why TEXT NOT NULL               -- JSON
) STRICT;

-- How many writes of a route were let through by the hour: what is usual. Approved ones are not.
CREATE TABLE volume (
    route TEXT NOT NULL,
    hour INTEGER NOT NULL,
    sort TEXT NOT NULL,             -- create, change, cancel; notify, besides
    n INTEGER NOT NULL,
    PRIMARY KEY (route, hour, sort)
) STRICT, WITHOUT ROWID;

CREATE TABLE intent (
    id INTEGER PRIMARY KEY,
    route TEXT NOT NULL,
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,
    entity INTEGER NOT NULL REFERENCES record(id),
    source INTEGER NOT NULL REFERENCES record(id),
    wish TEXT NOT NULL,             -- JSON: the wanted fields, why, how loud
    revision INTEGER NOT NULL DEFAULT 1,
    act TEXT,                       -- what it came to when it was decided: create, change, cancel, person; NULL: no write
    loud INTEGER NOT NULL DEFAULT 0,
    cleared INTEGER,                -- the revision that may be sent
    plan TEXT,                      -- as a part of which somebody approved it
    state TEXT NOT NULL,            -- open, held, waiting, sending, parked, done, dismissed
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    doubt_since INTEGER,            -- a write of unknown outcome was sent then
    missed_at INTEGER,              -- and when it was last looked for and not found
    problem TEXT,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    retried_at INTEGER              -- when a human last said that it is to go on
) STRICT;
CREATE UNIQUE INDEX intent_open ON intent (route, kind, entity) WHERE state IN ('open', 'held', 'waiting', 'sending', 'parked');
CREATE INDEX intent_state ON intent (connection, state, due_at);
CREATE INDEX intent_source ON intent (source);
CREATE INDEX intent_entity ON intent (entity);

CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    intent INTEGER NOT NULL REFERENCES intent(id),
    started_at INTEGER NOT NULL,
    position INTEGER NOT NULL,      -- the end of the journal then
    ended_at INTEGER,
    act TEXT NOT NULL,
    loud INTEGER NOT NULL,
    fields TEXT NOT NULL,           -- JSON: what was sent
    target TEXT,                    -- the target's id of the record
    outcome TEXT,                   -- NULL while it is under way: after a crash, unknown
    detail TEXT
) STRICT;
CREATE INDEX attempt_intent ON attempt (intent);

-- What a route last wrote for an entity, and what the target made of it.
CREATE TABLE delivery (
    route TEXT NOT NULL,
    kind TEXT NOT NULL,
    entity INTEGER NOT NULL REFERENCES record(id),
    sent TEXT NOT NULL,             -- JSON
    target TEXT,                    -- the target's id of the record, where it stands for no entity of its own
    shown TEXT,                     -- JSON: what the target showed right after the write
    position INTEGER NOT NULL,      -- the end of the journal then
    PRIMARY KEY (route, kind, entity)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_entity ON delivery (entity);

CREATE TABLE inbox (
    id INTEGER PRIMARY KEY,
    connection TEXT NOT NULL,
    digest BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,            -- new, done, ignored, parked
    due_at INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    event TEXT,
    kind TEXT,
    ref TEXT,
    note TEXT,
    UNIQUE (connection, digest)
) STRICT;
CREATE INDEX inbox_new ON inbox (connection, due_at) WHERE state = 'new';
CREATE INDEX inbox_ref ON inbox (connection, ref) WHERE ref IS NOT NULL;

-- How many webhooks of a connection were read, by the hour in which they came.
CREATE TABLE heard (
    connection TEXT NOT NULL,
    hour INTEGER NOT NULL,          -- since the epoch
    n INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (connection, hour)
) STRICT, WITHOUT ROWID;

-- What a list showed although a webhook should have told it. Gone when the webhook comes after all.
CREATE TABLE finding (
    seq INTEGER PRIMARY KEY,        -- of the journal
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,
    ref TEXT NOT NULL,
    what TEXT NOT NULL,             -- created, rescheduled, cancelled, …
    changed_from INTEGER NOT NULL,  -- it happened between these two
    changed_by INTEGER NOT NULL,
    heard_from INTEGER NOT NULL,    -- a webhook about the record that came then or later told it
    found_at INTEGER NOT NULL,
    cause TEXT                      -- lost, down (nobody listened); NULL: the webhook may still come
) STRICT;
CREATE INDEX finding_connection ON finding (connection, found_at);

-- When the hook door was open: one row a run.
CREATE TABLE door_run (
    opened_at INTEGER PRIMARY KEY,
    seen_at INTEGER NOT NULL        -- it was open until then at least
) STRICT;

-- What the owner should know of: told once when it begins and once when it is over.
CREATE TABLE concern (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    connection TEXT,
    text TEXT NOT NULL,
    since INTEGER NOT NULL,
    told_at INTEGER,
    ended_at INTEGER,
    end_told_at INTEGER
) STRICT;
CREATE UNIQUE INDEX concern_standing ON concern (key) WHERE ended_at IS NULL;

CREATE TABLE token (
    name TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,
    expires_at INTEGER,
    seed BLOB                       -- digest of the configured secret it grew from
) STRICT;

CREATE TABLE mark_key (
    key BLOB NOT NULL               -- what origin marks are made under; grew from the sealing key, outlives it
) STRICT;

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT;

CREATE TABLE budget (
    credential TEXT PRIMARY KEY,
    stamps TEXT NOT NULL
) STRICT;
"""


@migrations()
def first(db: Tables) -> None:
    """All tables of the first version."""
    for statement in FIRST.split(";\n"):
        if statement.strip():
            db.execute(statement)


def migrate(db: Tables, path: Path) -> None:
    """Bring a database to this version. Raises StoreTooNew when it was written by a newer one."""
    applied = {migration.name for migration in migrations.applied(db)}
    _refuse_newer(applied, path)
    if not applied and set(db.table_names()) - {migrations.migrations_table}:
        raise StoreUnavailable(f"{path}: {_FOREIGN}")
    pending = migrations.pending(db)
    if applied and pending:
        backup = path.with_name(f"{path.name}.before-{pending[0].name}")
        backup.unlink(missing_ok=True)
        db.execute("VACUUM INTO ?", [str(backup)])
    if pending:
        migrations.apply(db)


def check(tx: Tx, path: Path) -> None:
    """See that a look understands a database. Raises StateError when it is of another version, or none of ours."""
    tables = {row["name"] for row in tx.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    applied: set[str] = set()
    if migrations.migrations_table in tables:
        applied = {
            row["name"]
            for row in tx.rows(
                f"SELECT name FROM {migrations.migrations_table} WHERE migration_set = :s", s=migrations.name
            )
        }
    _refuse_newer(applied, path)
    if not applied and tables - {migrations.migrations_table}:
        raise StoreUnavailable(f"{path}: {_FOREIGN}")
    if _known() - applied:
        what = "written by an older version of bookferry" if applied else "there is nothing in it yet"
        raise StoreUnavailable(f"{path}: {what}. `bookferry sync` or `bookferry run` makes it ready.")


def _known() -> set[str]:
    return {migration.name for migration in migrations._migrations}  # noqa: SLF001 - no public list


def _refuse_newer(applied: set[str], path: Path) -> None:
    if unknown := sorted(applied - _known()):
        raise StoreTooNew(
            f"{path}: written by a newer version of bookferry (it knows {', '.join(unknown)}). "
            "Upgrade bookferry, or restore the backup that the upgrade made beside the file."
        )
