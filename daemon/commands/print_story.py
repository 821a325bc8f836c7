"""The story of a record for a person."""

import json
from typing import Any

from daemon.commands.paper import line, when


def show(told: dict[str, Any]) -> None:
    """Print it hop by hop."""
    record = told["record"]
    line(
        f"{record['connection']} {record['kind']} {record['id']}"
        + (f": {record['name']}" if record["name"] else ""),
        style="bold",
    )
    line(f"last asked for {when(record['seen_at'])}, last change known from: {told['known_from']}", indent=2)
    for name, value in record["fields"].items():
        line(f"{name}: {_value(value)}", indent=4)
    _journal(told["journal"])
    if told["webhooks"]:
        line("Webhooks about it", style="bold")
        for row in told["webhooks"]:
            note = f" ({row['note']})" if row["note"] else ""
            line(f"{when(row['received_at'])} {row['event'] or 'unread'}: {row['state']}{note}", indent=2)
    _links(told)
    _routes(told["routes"])
    _writes(told["writes"])


_WEBHOOK = {
    None: "",
    "lost": "; its webhook was lost",
    "down": "; its webhook came while bookferry was not running, or never",
    "not yet": "; its webhook has not come yet",
}


def _journal(rows: list[dict[str, Any]]) -> None:
    line("What happened", style="bold")
    for row in rows:
        via = f"{row['via']}, answer to our write {row['intent']}" if row["intent"] else row["via"]
        via += _WEBHOOK[row["webhook"]]
        line(f"{when(row['at'])} {'first seen' if row['first'] else 'changed'} (via {via})", indent=2)
        if row["first"]:
            continue
        for name, values in row["changes"].items():
            line(
                f"{name}: {_value(values['old']) if 'old' in values else '(not known)'} → {_value(values['new'])}",
                indent=6,
            )


def _links(told: dict[str, Any]) -> None:
    if told["stands_for_the_same"]:
        line("Stands for the same", style="bold")
        for other in told["stands_for_the_same"]:
            line(
                f"{other['connection']} {other['kind']} {other['id']}"
                + (f": {other['name']}" if other["name"] else ""),
                indent=2,
            )
            for name, value in other["fields"].items():
                line(f"{name}: {_value(value)}", indent=6)
    for row in told["links"]:
        undone = f", undone {when(row['undone_at'])}" if row["undone"] else ""
        line(
            f"link: {row['connection']} {row['kind']} {row['ref']}, how: {row['how']}, {when(row['at'])}{undone}",
            indent=2,
        )


def _routes(routes: list[dict[str, Any]]) -> None:
    if not routes:
        return
    line("Routes from here", style="bold")
    for route in routes:
        line(f"{route['route']} → {route['to']}: wants {route['wants']}: {route['why']}", indent=2)
        for step in route["steps"]:
            if step["step"] != "write":
                line(f"{step['kind']}: {step['why']}", indent=6)
                continue
            line(f"{step['kind']}: {step['act']}, {'LOUD' if step['loud'] else 'silent'}", indent=6)
            for name, values in step["fields"].items():
                line(f"{name}: {_value(values['old'])} → {_value(values['new'])}", indent=10)


def _writes(writes: list[dict[str, Any]]) -> None:
    if not writes:
        return
    line("Writes", style="bold")
    for write in writes:
        line(f"{write['id']}: {write['route']} → {write['to']} {write['kind']}: {write['state']}", indent=2)
        if write["problem"]:
            line(write["problem"], indent=6)
        for row in write["attempts"]:
            voice = "loud" if row["loud"] else "silent"
            detail = f" ({row['detail']})" if row["detail"] else ""
            line(
                f"{when(row['started_at'])} {row['act']} {row['target'] or ''} {voice}: {row['outcome']}{detail}",
                indent=6,
            )
            for name, value in row["fields"].items():
                line(f"{name}: {_value(value)}", indent=10)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
