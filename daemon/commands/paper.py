"""Rich, with nothing taken as markup: what guests typed is text and stays text."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.masks import clean


@cache
def console() -> Console:
    """Standard output."""
    return Console(highlight=False, emoji=False, markup=False, soft_wrap=False)


def line(*parts: Any, style: str = "", indent: int = 0) -> None:
    """Print a line made of texts."""
    text = Text(" " * indent + " ".join(clean(part) for part in parts), style=style, overflow="fold")
    console().print(text)


def table(*columns: str) -> Table:
    """An empty table that folds what is too wide."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def row(to: Table, *cells: Any) -> None:
    """Add a row of texts."""
    to.add_row(*(Text("" if cell is None else clean(cell)) for cell in cells))


def put(made: Table) -> None:
    """Print a table."""
    console().print(made)


def when(ms: int | None) -> str:
    """A moment for a person, in UTC."""
    return "never" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"


def ago(ms: int | None, now: int) -> str:
    """How long ago something was."""
    if ms is None:
        return "never"
    seconds = max(0, (now - ms) // 1000)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
