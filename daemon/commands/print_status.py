"""The status for a person."""

from typing import Any

from daemon.commands.paper import ago, line, put, row, table, when
from mapping.model import Kind


def show(found: dict[str, Any]) -> None:
    """Print connections, routes, and what is held, waits or is parked."""
    now = found["now"]
    for connection in found["connections"]:
        _connection(connection, now)
    if found["routes"]:
        _routes(found["routes"], now)
    file = found["file"]
    line(f"database: {file['bytes'] / 1_000_000:.1f} MB, of which {file['free'] / 1_000_000:.1f} MB are free")
    if problem := found["alerts"]["problem"]:
        line()
        line(f"alerts: {problem['what']} It is tried again every minute.", style="yellow")
    if found["waiting"]:
        _waiting(found["waiting"], now)
    if found["held"]:
        show_held(found["held"])
    show_canaries(found["canaries"])
    show_parked(found["parked"])


def show_held(rows: list[dict[str, Any]]) -> None:
    """Print what is more than usual and waits for an approval."""
    if not rows:
        line("Nothing is held.")
    for item in rows:
        line()
        line(f"HELD since {when(item['since'])}: route {item['route']}", style="bold red")
        for why in item["why"]:
            line(why, indent=2, style="red")
        for cause in item["cause"]:
            line(f"likely cause: {cause}", indent=2)
        if item["sent"]:
            line(f"sent so far, look at them at {item['to']}: {', '.join(item['sent'])}", indent=2)
        for sample in item["samples"]:
            _sample(sample)
        line(f"what to do: {item['remedy']}", indent=2)
        line(f"to let it through: {item['command']}", indent=2, style="bold")


def show_canaries(rows: list[dict[str, Any]]) -> None:
    """Print which routes will wait for somebody to look at their first writes."""
    for item in rows:
        line()
        line(
            f"route {item['route']} has sent its first writes since it was armed; the next one will wait for you."
        )
        line(f"look at them at {item['to']}: {', '.join(item['sent'])}", indent=2)
        line(f"to let it go on: {item['command']}", indent=2, style="bold")


def _sample(sample: dict[str, Any]) -> None:
    name = f" ({sample['name']})" if sample["name"] else ""
    loud = ", LOUD" if sample["loud"] else ""
    fields = "; ".join(
        f"{field}: {_value(values['old'])} → {_value(values['new'])}"
        for field, values in sample["fields"].items()
    )
    line(
        f"for example {sample['source']}{name}: {sample['act']}{loud}" + (f": {fields}" if fields else ""),
        indent=4,
    )


def _value(value: Any) -> str:
    import json

    return (
        "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def _waiting(rows: list[dict[str, Any]], now: int) -> None:
    line()
    line(f"{len(rows)} waiting:", style="bold")
    for item in rows:
        line(f"{item['id']}: write at {item['where']}: {item['record']} (route {item['route']})", indent=2)
        line(
            f"since {when(item['since'])} ({ago(item['since'], now)}): {item['why']}",
            indent=6,
            style="yellow",
        )
        line(f"what to do: {item['remedy']}", indent=6)


def _connection(connection: dict[str, Any], now: int) -> None:
    account = connection["account"]
    whom = f"{account['name'] or account['id']}" if account else "not asked yet"
    line(f"{connection['name']} ({connection['platform']}): {whom}", style="bold")
    for stream in connection["streams"]:
        reading = ", being read" if stream["reading"] else ""
        line(
            f"{stream['kind']}: {stream['records']} records, read {ago(stream['read_at'], now)}{reading}",
            indent=4,
        )
        if stream["doubt"]:
            line(f"in doubt: {stream['doubt']}", indent=8, style="yellow")
    for name, unit in connection["units"].items():
        problem = unit["problem"]
        line(f"{name}: last good {ago(unit['last_ok'], now)}", indent=4)
        if problem:
            line(f"problem since {when(problem.get('since'))}: {problem.get('what')}", indent=8, style="red")
            if problem.get("remedy"):
                line(f"what to do: {problem['remedy']}", indent=8)
    hooks = connection["webhooks"]
    if hooks["received"]:
        kinds = ", ".join(
            f"{hooks[state]} {state}" for state in ("new", "done", "ignored", "parked") if hooks[state]
        )
        line(
            f"webhooks: {hooks['received']} received ({kinds}), the last {ago(hooks['last'], now)}", indent=4
        )
    if hooks["expected"]:
        _webhooks(hooks)


def _webhooks(hooks: dict[str, Any]) -> None:
    lost, came, silence = hooks["lost"], hooks["came"], hooks["silence"]
    share = f" ({100 * lost / (lost + came):.1f} %)" if lost else ""
    down = f", {hooks['while_down']} while nobody listened" if hooks["while_down"] else ""
    open_yet = f", {hooks['undecided']} may still come" if hooks["undecided"] else ""
    line(f"webhooks in {hooks['days']} days: {came} came, {lost} lost{share}{down}{open_yet}", indent=4)
    if last := hooks["last_lost"]:
        what = f"{Kind(last['kind']).one} {last['ref']} ({last['what']})"
        line(f"the last lost: {what}, found by a poll {when(last['found_at'])}", indent=8, style="yellow")
    if silence:
        hours = f"nothing has come for {silence['silent_ms'] // 3_600_000} h, the longest pause before was {silence['longest_ms'] // 3_600_000} h"
        calm = "; the lists show nothing new either" if silence["lists_are_quiet_too"] else ""
        line(hours + calm, indent=8, style="" if calm else "yellow")
    if hooks["remedy"]:
        line(f"what to do: {hooks['remedy']}", indent=8)


def _routes(routes: list[dict[str, Any]], now: int) -> None:
    line()
    made = table("route", "armed", "open", "held", "waiting", "parked", "done")
    for route in routes:
        counts = route["intents"]
        armed = ago(route["armed_at"], now) if route["armed_at"] else "by since" if route["since"] else "no"
        row(
            made,
            f"{route['name']}",
            armed,
            str(counts["open"] + counts["sending"]),
            str(counts["held"]),
            str(counts["waiting"]),
            str(counts["parked"]),
            str(counts["done"]),
        )
    put(made)


def show_parked(rows: list[dict[str, Any]]) -> None:
    """Print what waits for a human."""
    line()
    if not rows:
        line("Nothing is parked.")
        return
    line(f"{len(rows)} parked:", style="bold")
    for item in rows:
        about = f" (route {item['route']})" if item["route"] else ""
        line(f"{item['id']}: {item['what']} at {item['where']}: {item['record']}{about}", indent=2)
        line(item["problem"], indent=6, style="red")
        line(f"what to do: {item['remedy']}", indent=6)
