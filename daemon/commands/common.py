"""What the commands share: options, the configuration at hand, and sentences instead of tracebacks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.settings import Place, read

if TYPE_CHECKING:
    from state.database import Tx

DEFAULT = Path("bookferry.yaml")


class Exit(IntEnum):
    """How a command ends."""

    OK = 0
    FAILED = 1
    CONFIGURATION = 2
    PARKED = 3
    NEEDS_HUMAN = 4


class Stop(Exception):
    """A command cannot go on: a sentence for the operator."""

    def __init__(self, sentence: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(slots=True)
class Given:
    """What was said before the command."""

    config: Path | None = None
    json: bool = False


ConfigFile = Annotated[
    Path | None, typer.Option("-c", "--config", metavar="FILE", help="The configuration file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def chosen(ctx: typer.Context, file: Path | None) -> Path:
    """The configuration file: said after the command, before it, or the default."""
    return file or ctx.find_root().obj.config or DEFAULT


def place(ctx: typer.Context, file: Path | None) -> Place:
    """The configuration. Raises ConfigErrors."""
    return read(chosen(ctx, file))


@contextmanager
def look(db: Path) -> Iterator[Tx]:
    """A look at a database of this version, which is left as it is. Raises StateError."""
    from state.database import reading
    from state.migrations import check

    with reading(db) as tx:
        check(tx, db)
        yield tx


def wants_json(ctx: typer.Context, here: bool) -> bool:  # noqa: FBT001 - an option of the command line
    """Whether JSON was asked for, before or after the command."""
    return here or bool(ctx.find_root().obj.json)


def put_json(value: Any) -> None:
    """Print a value as JSON."""
    say(json.dumps(value, indent=2, ensure_ascii=True, default=str))


def say(line: str = "") -> None:
    """Print a line."""
    sys.stdout.write(_plain(line) + "\n")


def tell(line: str) -> None:
    """Print a line for a person, where it does not mix with what is printed."""
    sys.stderr.write(_plain(line) + "\n")


def _plain(text: str) -> str:
    """A text in which nothing moves the cursor or changes the colours, whoever wrote its words."""
    from daemon.masks import clean

    return text if text.isprintable() else "\n".join(map(clean, text.split("\n")))


def now_ms() -> int:
    """Now, in epoch milliseconds."""
    return int(datetime.now(UTC).timestamp() * 1000)
