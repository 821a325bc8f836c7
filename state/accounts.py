"""Whom each connection belongs to, and the request stamps of each credential's budget."""

import json
from dataclasses import asdict
from typing import Any

from mapping.record import Account
from state.database import Tx
from state.errors import StateError


def remember(tx: Tx, connection: str, platform: str, account: Account) -> None:
    """Note whom a connection belongs to. Raises StateError when it was somebody else: records must not mix."""
    held = tx.row("SELECT platform, account_id FROM connection WHERE name = :n", n=connection)
    if held and (held["platform"], held["account_id"]) != (platform, account.id):
        raise StateError(
            f"connection {connection!r} was {held['platform']} account {held['account_id']!r} and is now {platform} account"
            f" {account.id!r}. Their records must not mix: give the new account a name of its own in the YAML."
        )
    tx.run(
        "INSERT INTO connection (name, platform, account, account_id) VALUES (:n, :p, :a, :id)"
        " ON CONFLICT (name) DO UPDATE SET account = excluded.account WHERE connection.account <> excluded.account",
        n=connection,
        p=platform,
        a=json.dumps(asdict(account)),
        id=account.id,
    )


def get(tx: Tx, connection: str) -> Account | None:
    """Whom a connection belongs to, as far as it was asked."""
    found = tx.value("SELECT account FROM connection WHERE name = :n", n=connection)
    return Account(**json.loads(found)) if found else None


def by_account(tx: Tx, platform: str, account_id: str) -> list[str]:
    """The connections that belong to an account of a platform."""
    rows = tx.rows(
        "SELECT name FROM connection WHERE platform = :p AND account_id = :a", p=platform, a=account_id
    )
    return [row["name"] for row in rows]


def save_budget(tx: Tx, credential: str, stamps: Any) -> None:
    """Keep the stamps of a credential's recent requests."""
    tx.run(
        "INSERT INTO budget (credential, stamps) VALUES (:c, :s)"
        " ON CONFLICT (credential) DO UPDATE SET stamps = excluded.stamps WHERE budget.stamps <> excluded.stamps",
        c=credential,
        s=json.dumps(stamps),
    )


def budgets(tx: Tx) -> dict[str, Any]:
    """The stamps of the recent requests of every credential."""
    return {
        row["credential"]: json.loads(row["stamps"])
        for row in tx.rows("SELECT credential, stamps FROM budget")
    }
