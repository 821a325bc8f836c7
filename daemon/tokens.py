"""The store's sealed tokens, as connectors want them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import orjson

from connectors.oauth import Token
from state import tokens
from state.database import Database
from state.tokens import Box

_LEASE_MS = 90_000
"""Longer than a token request may take with all its repetitions."""
_ASK_AGAIN_S = 0.2


class SealedTokens:
    """Implements ``connectors.oauth.TokenStore`` over the store."""

    def __init__(self, db: Database, box: Box, holder: str, now: Callable[[], float]) -> None:
        self._db, self._box, self._holder, self._now = db, box, holder, now

    async def get(self, name: str) -> Token | None:
        """The newest token of this name."""
        found = await self._db.read(lambda tx: tokens.get(tx, self._box, name))
        return Token(**orjson.loads(found[0])) if found else None

    async def put(self, name: str, token: Token) -> None:
        """On disk once this returns."""
        plain = orjson.dumps(
            {
                "access": token.access,
                "expires_at": token.expires_at,
                "refresh": token.refresh,
                "scope": token.scope,
            }
        )
        await self._db.transaction(
            lambda tx: tokens.put(tx, self._box, name, plain, expires_at=token.expires_at), "token.put"
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
