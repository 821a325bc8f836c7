"""Looks at the whole store for people who ask: how far every stream is, which rows could not be understood."""

from collections.abc import Iterable

from mapping.model import Kind
from state.database import Row, Tx


def streams(tx: Tx) -> list[Row]:
    """Every stream: when its list was last read to the end, how many records it has, and what is doubtful."""
    return tx.rows(
        "SELECT s.connection, s.kind, c.finished_at, c.position IS NOT NULL AS walking, c.doubt,"
        " (SELECT count(*) FROM record r WHERE r.stream = s.id) AS records"
        " FROM stream s LEFT JOIN cursor c ON c.stream = s.id ORDER BY s.connection, s.kind"
    )


def refs(tx: Tx, connection: str, kind: Kind, limit: int) -> list[str]:
    """The ids of the newest records of a stream."""
    rows = tx.rows(
        "SELECT r.ref FROM record r JOIN stream s ON s.id = r.stream"
        " WHERE s.connection = :c AND s.kind = :k ORDER BY r.id DESC LIMIT :n",
        c=connection,
        k=kind.value,
        n=limit,
    )
    return [row["ref"] for row in rows]


def rejected(tx: Tx) -> list[Row]:
    """Rows of listings that could not be understood, without their payload."""
    return tx.rows(
        "SELECT j.id, s.connection, s.kind, j.ref, j.reason, j.first_at FROM rejected j"
        " JOIN stream s ON s.id = j.stream WHERE j.dismissed = 0 ORDER BY j.id"
    )


def dismiss_rejected(tx: Tx, number: int) -> bool:
    """Give up a row that could not be understood; it comes back if the platform changes it."""
    return bool(tx.run("UPDATE rejected SET dismissed = 1 WHERE id = :id AND dismissed = 0", id=number))


def shadow(tx: Tx, tables: Iterable[str]) -> None:
    """Let this look go on with copies of some tables: what is written from now on is seen by it alone and is gone
    afterwards. So ``plan`` runs the very decisions of a push and the file stays as it is, byte by byte.
    """
    for table in tables:
        made = str(tx.value("SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = :n", n=table))
        tx.run(made.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        tx.run(f"INSERT INTO temp.{table} SELECT * FROM main.{table}")


def size(tx: Tx) -> dict[str, int]:
    """How large the file is, and how much of it is free to be used again, in bytes."""
    page = int(tx.value("PRAGMA page_size"))
    return {
        "bytes": page * int(tx.value("PRAGMA page_count")),
        "free": page * int(tx.value("PRAGMA freelist_count")),
    }


def intents(tx: Tx) -> list[Row]:
    """How many intents each route has in each state."""
    return tx.rows(
        "SELECT route, connection, state, count(*) AS n FROM intent GROUP BY route, connection, state"
    )
