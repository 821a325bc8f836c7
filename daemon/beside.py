"""The store beside a daemon that may be running: small transactions of their own, without its lock."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from state.database import Tx, reading, writing

T = TypeVar("T")


class Beside:
    """Implements ``daemon.tokens.Store``. The database is made where there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """One consistent look. Raises StateError."""

        def look() -> T:
            with reading(self._path) as tx:
                return fn(tx)

        return await asyncio.to_thread(look)

    async def transaction(self, fn: Callable[[Tx], T], label: str = "") -> T:  # noqa: ARG002 - as ``Database`` has it
        """One small transaction. Raises StateError."""

        def change() -> T:
            with writing(self._path) as tx:
                return fn(tx)

        return await asyncio.to_thread(change)
