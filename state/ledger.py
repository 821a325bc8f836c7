"""The ledger of records and the journal of their changes."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mapping.identity import keys_of
from mapping.merge import Merge, merge
from mapping.model import FIELD_NAMES, Kind
from mapping.record import Observation, Record, Via
from mapping.record import Row as ListedRow
from state.database import Row, Tx


@dataclass(slots=True)
class Stored:
    """What a batch of observations did to the ledger."""

    new: int = 0
    changed: int = 0
    suspicious: int = 0
    """Hints that wanted to lead back from a settled status and were not believed."""

    @property
    def altered(self) -> bool:
        """Whether the journal grew."""
        return bool(self.new or self.changed)


def fingerprint(fields: bytes) -> bytes:
    """Sixteen bytes that stand for a content."""
    return hashlib.blake2b(fields, digest_size=16).digest()


def stream_id(tx: Tx, connection: str, kind: Kind) -> int:
    """The number of a stream; made at first use."""
    found = tx.value("SELECT id FROM stream WHERE connection = :c AND kind = :k", c=connection, k=kind.value)
    if found is None:
        found = tx.value(
            "INSERT INTO stream (connection, kind) VALUES (:c, :k) RETURNING id", c=connection, k=kind.value
        )
    return int(found)


def observe(
    tx: Tx,
    connection: str,
    kind: Kind,
    seen: Sequence[Observation],
    *,
    now: int,
    region: str | None = None,
    intent: int | None = None,
) -> Stored:
    """Take sightings of one kind into the ledger and what they altered into the journal.

    Unchanged sightings write nothing. ``intent`` is our own write whose answer these are.
    """
    taking = _Taking(tx, stream_id(tx, connection, kind), now, region, intent)
    for inner, inside in _embedded(seen).items():
        also = observe(tx, connection, inner, inside, now=now, region=region, intent=intent)
        taking.stored.new += also.new
        taking.stored.changed += also.changed
    # A listing that shows a record twice: each sighting counts, in order.
    waiting: dict[str, Observation] = {}
    for observation in seen:
        if observation.ref in waiting:
            taking.take(list(waiting.values()))
            waiting.clear()
        waiting[observation.ref] = observation
    taking.take(list(waiting.values()))
    return taking.stored


def _embedded(seen: Sequence[Observation]) -> dict[Kind, list[Observation]]:
    inside: dict[Kind, list[Observation]] = {}
    for observation in seen:
        for each in observation.embedded:
            inside.setdefault(each.kind, []).append(each)
    return inside


def unchanged(tx: Tx, connection: str, kind: Kind, rows: Sequence[ListedRow]) -> set[str]:
    """The ids of listed rows that are what a listing showed last, byte for byte, of records that nothing altered since."""
    digests = {row.ref: row.digest for row in rows}
    twice = {row.ref for row in rows if digests[row.ref] != row.digest}  # shown in two versions: each counts
    held = tx.rows(
        "SELECT ref, seen FROM record WHERE stream = :s AND missing = 0 AND ref IN (SELECT value FROM json_each(:refs))",
        s=stream_id(tx, connection, kind),
        refs=json.dumps(list(digests)),
    )
    return {row["ref"] for row in held if row["seen"] == digests[row["ref"]]} - twice


def _held(tx: Tx, stream: int, refs: Sequence[str]) -> dict[str, Row]:
    rows = tx.rows(
        "SELECT id, ref, fingerprint, seen, asked_at, missing FROM record"
        " WHERE stream = :s AND ref IN (SELECT value FROM json_each(:refs))",
        s=stream,
        refs=json.dumps(refs),
    )
    return {row["ref"]: row for row in rows}


class _Taking:
    """Sightings on their way into the ledger."""

    def __init__(self, tx: Tx, stream: int, now: int, region: str | None, intent: int | None) -> None:
        self.tx, self.stream, self.now, self.region, self.intent = tx, stream, now, region, intent
        self.stored = Stored()

    def take(self, seen: Sequence[Observation]) -> None:
        """Sightings of different records."""
        held = _held(self.tx, self.stream, [observation.ref for observation in seen])
        self._new([observation for observation in seen if observation.ref not in held])
        for observation in seen:
            if observation.ref in held:
                self._again(observation, held[observation.ref])

    def _new(self, seen: Sequence[Observation]) -> None:
        """First sightings, all at once: a first poll brings thousands."""
        if not seen:
            return
        shown = [observation.fields.fields() for observation in seen]
        self.tx.many(
            "INSERT INTO record (stream, ref, fields, fingerprint, raw, seen, asked_at)"
            " VALUES (:s, :ref, :f, :fp, :raw, :seen, :at)",
            [
                {
                    "s": self.stream,
                    "ref": observation.ref,
                    "f": (content := orjson.dumps(fields)).decode(),
                    "fp": fingerprint(content),
                    "raw": observation.raw.decode(),
                    "seen": observation.digest,
                    "at": observation.asked_at,
                }
                for observation, fields in zip(seen, shown, strict=True)
            ],
        )
        ids = _ids(self.tx, self.stream, [observation.ref for observation in seen])
        _remember_keys(
            self.tx,
            [
                (ids[observation.ref], keys_of(observation.kind, fields, self.region))
                for observation, fields in zip(seen, shown, strict=True)
            ],
        )
        self._note([(ids[each.ref], each.via, None, None) for each in seen])
        self.stored.new += len(seen)

    def _again(self, observation: Observation, row: Row) -> None:
        fields = observation.fields.fields()
        if row["fingerprint"] == fingerprint(orjson.dumps(fields)):
            _touch(self.tx, row, observation, observation.digest)
            return
        merged = _merged(self.tx, self.stream, row, observation, fields, self.now)
        self.stored.suspicious += merged.suspicious
        if not merged.changed:
            # A view that lost against a newer one must be weighed again when a later listing shows it still.
            _touch(self.tx, row, observation, b"")
            return
        record = row["id"]
        _update(self.tx, record, observation, merged)
        self.tx.run("DELETE FROM identity_key WHERE record = :r", r=record)
        _remember_keys(self.tx, [(record, keys_of(observation.kind, merged.fields, self.region))])
        self._note([(record, observation.via, _json(merged.before), _json(merged.added))])
        self.stored.changed += 1

    def _note(self, changes: Iterable[tuple[int, Via, str | None, str | None]]) -> None:
        """Into the journal: record, how it was seen, former values, fields of which nothing was known before."""
        self.tx.many(
            "INSERT INTO journal (stream, record, at, via, before, added, intent, route)"
            " VALUES (:s, :r, :at, :via, :b, :a, :i, (SELECT route FROM intent WHERE id = :i))",
            [
                {
                    "s": self.stream,
                    "r": record,
                    "at": self.now,
                    "via": via.value,
                    "b": before,
                    "a": added,
                    "i": self.intent,
                }
                for record, via, before, added in changes
            ],
        )


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _ids(tx: Tx, stream: int, refs: Sequence[str]) -> dict[str, int]:
    rows = tx.rows(
        "SELECT ref, id FROM record WHERE stream = :s AND ref IN (SELECT value FROM json_each(:refs))",
        s=stream,
        refs=json.dumps(refs),
    )
    return {row["ref"]: row["id"] for row in rows}


def _merged(
    tx: Tx, stream: int, row: Row, observation: Observation, fields: dict[str, Any], now: int
) -> Merge:
    held = orjson.loads(tx.value("SELECT fields FROM record WHERE id = :id", id=row["id"]))
    # Seen at a time that is still to come: the clock was wrong then. It must not win until that time has come.
    seen_at = row["asked_at"] if row["asked_at"] <= now else 0
    held_at = max(seen_at, _listed_since(tx, stream, observation, now) or 0)
    return merge(observation.kind, held, held_at, fields, observation.asked_at, observation.via)


def _listed_since(tx: Tx, stream: int, observation: Observation, now: int) -> int | None:
    """When a page that was asked for after this sighting showed the record unchanged.

    An unchanged sighting writes nothing into the record, so its time stands in the cursor's pages alone. Asked only
    for a sighting that differs and is older than the newest page: rare.
    """
    return tx.value(  # type: ignore[no-any-return]
        "SELECT max(p.asked_at) FROM cursor_page p, json_each(p.refs) r"
        " WHERE p.stream = :s AND p.asked_at > :at AND p.asked_at <= :now AND r.value = :ref"
        " AND (SELECT c.asked_at FROM cursor c WHERE c.stream = :s) > :at",
        s=stream,
        at=observation.asked_at,
        now=now,
        ref=observation.ref,
    )


def _update(tx: Tx, record: int, observation: Observation, merged: Merge) -> None:
    # In the model's order, as sightings are, so that the next equal one is known by its fingerprint.
    content = orjson.dumps(
        {name: merged.fields[name] for name in FIELD_NAMES[observation.kind] if name in merged.fields}
    )
    tx.run(
        "UPDATE record SET fields = :f, fingerprint = :fp, raw = :raw, seen = :seen, asked_at = :at, missing = 0,"
        " missing_since = NULL WHERE id = :id",
        f=content.decode(),
        fp=fingerprint(content),
        raw=observation.raw.decode(),
        seen=b"" if merged.asked_at > observation.asked_at else observation.digest,
        at=merged.asked_at,
        id=record,
    )


def _touch(tx: Tx, row: Row, observation: Observation, digest: bytes) -> None:
    """An unchanged sighting. A poll leaves its time in the cursor's page; every other way has only the record.

    ``digest``: by what the same row is known in the next listing; empty where it cannot be told.
    """
    other = bool(digest) and digest != row["seen"]
    if (
        row["missing"]
        or other
        or (observation.via is not Via.POLL and observation.asked_at > row["asked_at"])
    ):
        tx.run(
            "UPDATE record SET asked_at = max(asked_at, :at), missing = 0, missing_since = NULL, seen = :seen"
            " WHERE id = :id",
            at=observation.asked_at,
            seen=digest or row["seen"],
            id=row["id"],
        )


def _remember_keys(tx: Tx, keys: Iterable[tuple[int, Sequence[tuple[str, str]]]]) -> None:
    rows = [{"r": record, "k": key, "n": name} for record, its in keys for key, name in its]
    if rows:
        tx.many("INSERT INTO identity_key (record, key, name) VALUES (:r, :k, :n)", rows)


_RECORD = """
    SELECT r.id, s.connection, s.kind, r.ref, coalesce(r.joined, r.id) AS entity, r.fields, r.asked_at, r.missing,
        r.missing_since
    FROM record r JOIN stream s ON s.id = r.stream
"""
# The planner would rather look through the whole stream than begin with the one record that is meant.
_RECORD_FIRST = _RECORD.replace("JOIN", "CROSS JOIN")


def _record(row: Row) -> Record:
    return Record(**{**row, "kind": Kind(row["kind"]), "fields": orjson.loads(row["fields"])})


def find(tx: Tx, connection: str, kind: Kind, ref: str) -> Record | None:
    """The record with the platform's own id."""
    row = tx.row(
        _RECORD + " WHERE s.connection = :c AND s.kind = :k AND r.ref = :ref",
        c=connection,
        k=kind.value,
        ref=ref,
    )
    return _record(row) if row else None


def get(tx: Tx, record: int) -> Record:
    """The record with our own number, which must exist."""
    row = tx.row(_RECORD + " WHERE r.id = :id", id=record)
    if row is None:
        raise LookupError(f"no record {record}")
    return _record(row)


def entity(tx: Tx, record: int) -> int:
    """The entity that a record stands for."""
    return int(tx.value("SELECT coalesce(joined, id) FROM record WHERE id = :id", id=record))


def of_entity(tx: Tx, entity: int, connection: str, kind: Kind) -> Record | None:
    """The record by which a connection knows an entity: where there are several, the earliest that is not cancelled."""
    row = tx.row(
        _RECORD_FIRST + " WHERE r.id IN (SELECT :e UNION ALL SELECT id FROM record WHERE joined = :e)"
        " AND s.connection = :c AND s.kind = :k"
        " ORDER BY json_extract(r.fields, '$.status') IS 'cancelled', r.id LIMIT 1",
        e=entity,
        c=connection,
        k=kind.value,
    )
    return _record(row) if row else None


def shared(tx: Tx, record: Record) -> bool:
    """Whether other records stand for the same entity."""
    return record.entity != record.id or bool(
        tx.value("SELECT 1 FROM record WHERE joined = :r LIMIT 1", r=record.id)
    )


def all_of_entity(tx: Tx, entity: int, connection: str, kind: Kind) -> list[Record]:
    """All records by which a connection knows an entity, oldest first."""
    rows = tx.rows(
        _RECORD_FIRST + " WHERE r.id IN (SELECT :e UNION ALL SELECT id FROM record WHERE joined = :e)"
        " AND s.connection = :c AND s.kind = :k ORDER BY r.id",
        e=entity,
        c=connection,
        k=kind.value,
    )
    return [_record(row) for row in rows]


def not_shown(
    tx: Tx, stream: int, walk: int, *, asked_before: int, starts_from: str | None, limit: int
) -> list[Record]:
    """Records of a stream that no page of this walk showed and that were known before it was asked for, oldest first.

    ``starts_from``: only those that start then or later, as an instant of the ledger.
    """
    rows = tx.rows(
        _RECORD + " WHERE r.stream = :s AND r.asked_at < :before"
        " AND (:from IS NULL OR json_extract(r.fields, '$.starts') >= :from) AND r.ref NOT IN"
        " (SELECT j.value FROM cursor_page p, json_each(p.refs) j WHERE p.stream = :s AND p.walk = :w)"
        " ORDER BY r.id LIMIT :n",
        **{"from": starts_from},
        s=stream,
        before=asked_before,
        w=walk,
        n=limit,
    )
    return [_record(row) for row in rows]


def refs(tx: Tx, connection: str, kind: Kind) -> list[str]:
    """The platform's own ids of all records of a stream."""
    rows = tx.rows(
        "SELECT r.ref FROM record r JOIN stream s ON s.id = r.stream WHERE s.connection = :c AND s.kind = :k",
        c=connection,
        k=kind.value,
    )
    return [row["ref"] for row in rows]


def note_missing(tx: Tx, record: Record, asked_at: int) -> tuple[int, int]:
    """Note that a record did not stand in a listing. Gives in how many in a row now, and when the first was asked for."""
    times, since = record.missing + 1, record.missing_since or asked_at
    tx.run(
        "UPDATE record SET missing = :n, missing_since = :s WHERE id = :id", n=times, s=since, id=record.id
    )
    return times, since
