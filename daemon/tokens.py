"""The store's sealed tokens, as connectors want them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

import orjson

from connectors.oauth import Token
from state import tokens
from state.database import Tx
from state.tokens import Box

_LEASE_MS = 90_000
"""Longer than a token request may take with all its repetitions."""
_ASK_AGAIN_S = 0.2


T = TypeVar("T")


class Store(Protocol):
    """What holds the tokens: a ``Database``, or what stands beside one."""

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Look at what was committed last."""

    async def transaction(self, fn: Callable[[Tx], T], label: str = "") -> T:
        """Change it; on disk once this returns."""


class SealedTokens:
    """Implements ``connectors.oauth.TokenStore`` over the store."""

    def __init__(self, db: Store, box: Box, holder: str, now: Callable[[], float]) -> None:
        self._db, self._box, self._holder, self._now = db, box, holder, now

    async def get(self, name: str) -> Token | None:
        """The newest token of this name."""
        return await self._db.read(lambda tx: self._opened(tx, name))

    def _opened(self, tx: Tx, name: str) -> Token | None:
        found = tokens.get(tx, self._box, name)
        return Token(**orjson.loads(found[0])) if found else None

    async def put(self, name: str, token: Token, *, was: Token | None) -> Token | None:
        """In the place of ``was``, and of nothing else; gives what is kept now. On disk once this returns."""

        def swap(tx: Tx) -> Token | None:
            held = self._opened(tx, name)
            if held != was:
                return held
            tokens.put(tx, self._box, name, _plain(token), expires_at=token.expires_at)
            return token

        return await self._db.transaction(swap, "token.put")

    async def put_all(self, new: Mapping[str, Token]) -> None:
        """All of them or none, in this order."""

        def put(tx: Tx) -> None:
            for name, token in new.items():
                tokens.put(tx, self._box, name, _plain(token), expires_at=token.expires_at)

        await self._db.transaction(put, "token.given")

    async def forget(self, names: Sequence[str]) -> int:
        """Gives how many there were."""
        return await self._db.transaction(
            lambda tx: sum(tokens.forget(tx, name) for name in names), "token.forget"
        )

    def lease(self, name: str) -> AbstractAsyncContextManager[object]:
        """Be the only one in all processes; a dead holder's lease runs out."""
        return self._leased(name)

    @asynccontextmanager
    async def _leased(self, name: str) -> AsyncIterator[None]:
        while not await self._db.transaction(self._take(name), "lease.take"):  # noqa: ASYNC110 - held by another process
            await asyncio.sleep(_ASK_AGAIN_S)
        try:
            yield
        finally:
            await self._db.transaction(lambda tx: tokens.drop_lease(tx, name, self._holder), "lease.drop")

    def _take(self, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a closure for the writer
        now = int(self._now() * 1000)
        return lambda tx: tokens.take_lease(tx, name, self._holder, now=now, until=now + _LEASE_MS)


def _plain(token: Token) -> bytes:
    return orjson.dumps(
        {
            "access": token.access,
            "expires_at": token.expires_at,
            "refresh": token.refresh,
            "scope": token.scope,
        }
    )
