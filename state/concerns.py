"""What the owner is told of: durable, so that each concern is told once when it begins and once when it is over."""

from collections.abc import Mapping
from typing import Any

from state.database import Row, Tx

_KEPT_MS = 30 * 86_400_000


def keep(tx: Tx, standing: Mapping[str, Mapping[str, Any]], *, now: int) -> tuple[list[Row], list[Row]]:
    """Compare what stands now with what stood: gives the concerns that begin, and those that are over.

    ``standing``: by key, with ``connection``, ``text`` and ``since``. One that comes back before its end was told never
    ended.
    """
    held = {row["key"]: row for row in tx.rows("SELECT * FROM concern WHERE ended_at IS NULL")}
    over = [row for key, row in held.items() if key not in standing]
    for row in over:
        tx.run("UPDATE concern SET ended_at = :now WHERE id = :id", now=now, id=row["id"])
    begun = [
        {"key": key, **given} for key, given in standing.items() if key not in held and not _reopened(tx, key)
    ]
    if begun:
        tx.many(
            "INSERT INTO concern (key, connection, text, since) VALUES (:key, :connection, :text, :since)",
            begun,
        )
    tx.run("DELETE FROM concern WHERE end_told_at < :b", b=now - _KEPT_MS)
    return begun, over


def _reopened(tx: Tx, key: str) -> bool:
    back = "UPDATE concern SET ended_at = NULL WHERE id = (SELECT max(id) FROM concern WHERE key = :k AND end_told_at IS NULL)"
    return bool(tx.run(back, k=key))


def untold(tx: Tx) -> list[Row]:
    """Concerns whose beginning or end was not told yet, oldest first."""
    return tx.rows(
        "SELECT id, key, connection, text, since, told_at, ended_at FROM concern"
        " WHERE told_at IS NULL OR (ended_at IS NOT NULL AND end_told_at IS NULL) ORDER BY id"
    )


def tell(tx: Tx, told: list[Row], *, now: int) -> None:
    """These were told, as they stood in ``untold``."""
    for row in told:
        tx.run(
            "UPDATE concern SET told_at = coalesce(told_at, :now), end_told_at = CASE WHEN :over THEN :now END"
            " WHERE id = :id",
            now=now,
            over=row["ended_at"] is not None,
            id=row["id"],
        )


def last_told(tx: Tx) -> int:
    """When anything was told last; 0 where nothing ever was."""
    return int(
        tx.value("SELECT coalesce(max(max(coalesce(told_at, 0), coalesce(end_told_at, 0))), 0) FROM concern")
    )


def standing(tx: Tx) -> list[Row]:
    """The concerns that stand, oldest first."""
    return tx.rows(
        "SELECT key, connection, text, since, told_at FROM concern WHERE ended_at IS NULL ORDER BY since, id"
    )
