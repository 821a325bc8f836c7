"""A plan for a person."""

from typing import Any

from daemon.commands.paper import line

_WORDS = {"waits": "waits", "stuck": "STUCK", "parked": "PARKED", "later": "later"}


def show(lines: list[dict[str, Any]], notes: list[str]) -> None:
    """Print every write with its fields, then what is not written and why."""
    writes = [row for row in lines if row["outcome"] == "write"]
    held = [row for row in lines if row["outcome"] == "held"]
    for row in [*writes, *held]:
        _write(row)
    for row in lines:
        if row["outcome"] not in {"write", "held"}:
            line(f"{_WORDS[row['outcome']]}: {row['source']} → {row['target']} ({row['route']})")
            line(row["why"], indent=4)
    for note in notes:
        line(f"note: {note}")
    loud = sum(row["loud"] for row in writes)
    waits = len(lines) - len(writes) - len(held)
    approval = f"{len(held)} wait for an approval; " if held else ""
    line(f"{len(writes)} writes now, {loud} of them loud; {approval}{waits} others wait. Nothing was sent.")


def _write(row: dict[str, Any]) -> None:
    at = f"{row['target']} {row['kind']}" + (f" {row['record']}" if row["record"] else "")
    voice = "LOUD: may notify a guest" if row["loud"] else "silent"
    held = "HELD: " if row["outcome"] == "held" else ""
    line(f"{held}{row['act'] or 'needed'} {at}  [{voice}]", style="bold red" if row["loud"] else "bold")
    line(f"from {row['source']}" + (f" ({row['name']})" if row["name"] else ""), indent=4)
    for name, values in row["fields"].items():
        line(f"{name}: {_value(values['old'])} → {_value(values['new'])}", indent=4)
    for note in row["notes"]:
        line(f"note: {note}", indent=4)
    if row["outcome"] == "write":
        line(f"why: {row['why']}", indent=4)


def _value(value: Any) -> str:
    import json

    return (
        "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )
