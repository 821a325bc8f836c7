"""The memory of the three-way comparison: what each route last delivered for an entity, and what that showed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapping.model import Kind
from mapping.wish import MOVING, Wish
from state import journal
from state.database import Tx


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a route last delivered for an entity."""

    sent: dict[str, Any]
    target: str | None
    """The target's id of the record, where it stands for no entity of its own."""
    shown: dict[str, Any] | None
    """What the target showed of the fields that we wrote, right after we did."""
    position: int
    """The end of the journal then."""


def last(tx: Tx, route: str, kind: Kind, entity: int) -> Delivery | None:
    """What a route last delivered for an entity."""
    row = tx.row(
        "SELECT sent, target, shown, position FROM delivery WHERE route = :r AND kind = :k AND entity = :e",
        r=route,
        k=kind.value,
        e=entity,
    )
    if row is None:
        return None
    return Delivery(
        json.loads(row["sent"]),
        row["target"],
        json.loads(row["shown"]) if row["shown"] else None,
        row["position"],
    )


def sent_with(tx: Tx, route: str, kind: Kind, entity: int, wish: Wish) -> Mapping[str, Any]:
    """What was sent once this wish is fulfilled. An end says nothing of the other fields: should it be taken back, what a
    person changed there meanwhile stays, and only the time is told anew.
    """
    made = last(tx, route, kind, entity) if wish.ended else None
    kept = made.sent if made else {}
    return {**{name: value for name, value in kept.items() if name not in MOVING}, **wish.fields}


def remember(
    tx: Tx,
    route: str,
    kind: Kind,
    entity: int,
    sent: Mapping[str, Any],
    *,
    target: str | None = None,
    shown: Mapping[str, Any] | None = None,
    position: int | None = None,
) -> None:
    """Remember what a route last delivered: only a newer wish for a field is written again.

    ``shown``: what the target shows right after a write of ours of the fields that it wrote. ``position``: of the journal,
    when that was, if not now.
    """
    tx.run(
        "INSERT INTO delivery (route, kind, entity, sent, target, shown, position) VALUES (:r, :k, :e, :s, :t, :shown, :p)"
        " ON CONFLICT (route, kind, entity) DO UPDATE SET sent = excluded.sent, position = excluded.position,"
        " target = coalesce(excluded.target, delivery.target), shown = coalesce(excluded.shown, delivery.shown)"
        " WHERE delivery.sent <> excluded.sent OR excluded.target IS NOT NULL OR excluded.shown IS NOT NULL",
        r=route,
        k=kind.value,
        e=entity,
        s=json.dumps(sent),
        t=target,
        shown=None if shown is None else json.dumps(shown),
        p=journal.end(tx) if position is None else position,
    )
