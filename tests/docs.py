"""The parts of docs/connectors.md that are made from the code. ``python -m tests.docs`` writes them anew."""

import re
from pathlib import Path

from connectors.platforms import PLATFORMS
from mapping.capability import Act, KindSpec, People, Platform
from mapping.model import Kind

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/connectors.md"
SUITE = ROOT / "tests/contract/test_contract.py"
NONE = "\N{EN DASH}"
ACTS = (Act.CREATE, Act.UPDATE, Act.COMPLETE, Act.CANCEL)
HEAD = (
    "kind",
    "platform",
    "read",
    "create",
    "update",
    "complete",
    "cancel",
    "person",
    "our mark",
    "required",
    "webhook when",
)


def table() -> str:
    """What can go where: kinds by platforms."""
    rows = [HEAD, tuple("---" for _ in HEAD)]
    rows += [
        _row(kind, platform, platform.kinds[kind])
        for kind in Kind
        for platform in PLATFORMS.values()
        if kind in platform.kinds
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(kind: Kind, platform: Platform, spec: KindSpec) -> tuple[str, ...]:
    return (
        kind.value,
        platform.title,
        _read(spec),
        *(_act(spec, act) for act in ACTS),
        NONE if spec.people is People.NONE else spec.people.value,
        spec.marked_in or (f"by {', '.join(spec.told_by)}" if spec.told_by else NONE),
        ", ".join(sorted(spec.required)) or NONE,
        ", ".join(sorted(spec.announces)) or NONE,
    )


def _read(spec: KindSpec) -> str:
    if spec.listed:
        return "listed"
    if spec.inside is not None:
        return f"inside {spec.inside.value}"
    return "one by one" if spec.fetched else NONE


def _act(spec: KindSpec, act: Act) -> str:
    if act is Act.CANCEL and spec.cancel_leaves_open:
        return f"tag, {spec.acts[act].value}"
    return spec.acts[act].value if act in spec.acts else NONE


def fields() -> str:
    """What ``set`` takes: the platform's own words, and the common model's where they are others."""
    return "\n".join(
        f"- {platform.title} {kind.value}: "
        + ", ".join(
            f"`{word}`" + ("" if word == name else f" ({name})") for word, name in spec.writes.items()
        )
        for kind in Kind
        for platform in PLATFORMS.values()
        if (spec := platform.kinds.get(kind)) and spec.writes
    )


def reasons() -> str:
    """Why something cannot be done, or cannot be done silently."""
    return "\n\n".join(
        f"**{platform.title}**\n\n" + "\n".join(_reasons(platform)) for platform in PLATFORMS.values()
    )


def _reasons(platform: Platform) -> list[str]:
    lines: dict[str, list[str]] = {}
    for kind, spec in platform.kinds.items():
        for act, why in spec.reasons.items():
            lines.setdefault(why, []).append(f"{act.value} {kind.value}")
        for field, why in spec.quiet_costs.items():
            lines.setdefault(why, []).append(f"{field} of {kind.value}")
    return [f"- {', '.join(what)}: {why}" for why, what in lines.items()]


def assumptions() -> str:
    """What each connector assumes where the platform's documents are silent."""
    return "\n\n".join(
        f"**{platform.title}**\n\n" + "\n".join(f"- {each}" for each in platform.assumptions)
        for platform in PLATFORMS.values()
    )


def promises() -> str:
    """What the contract suite asks of every connector, promise by promise: the names of its tests."""
    lines = ["**Before all**", ""]
    for number, test in re.findall(
        r"^# (\d\. .+)$|^(?:async )?def test_(\w+)\(", SUITE.read_text(), re.MULTILINE
    ):
        lines += ["", f"**{number}**", ""] if number else [f"- {test.replace('_', ' ')}"]
    return "\n".join(lines)


PARTS = {
    "table": table,
    "fields": fields,
    "reasons": reasons,
    "assumptions": assumptions,
    "promises": promises,
}


def renewed(page: str) -> str:
    """The page with every generated part as the code has it now."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: python -m tests.docs -->", f"<!-- /{name} -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"docs/connectors.md has no part {name}")
        page = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
