"""``check --online``: every connection tried out with GET and token requests; nothing is kept.

So a refresh token that is good for one use is left alone: see ``Surroundings.keeps_tokens``.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson

from connectors.base import Connector, Finding, Surroundings, budget_of
from connectors.budget import Budget
from connectors.errors import PlatformError
from connectors.oauth import Token
from connectors.registry import CONNECTORS
from daemon.commands.common import look
from daemon.settings import Place
from state import tokens


class PassingTokens:
    """Reads what is sealed, keeps what is new for as long as the check takes."""

    def __init__(self, sealed: dict[str, Token]) -> None:
        self._held = sealed

    async def get(self, name: str) -> Token | None:
        """The newest token of this name."""
        return self._held.get(name)

    async def put(self, name: str, token: Token, *, was: Token | None) -> Token:  # noqa: ARG002 - nobody else puts any
        """Kept in memory."""
        self._held[name] = token
        return token

    def lease(self, name: str) -> AbstractAsyncContextManager[object]:  # noqa: ARG002 - nobody else has this store
        """Nobody else is here."""
        return _alone()


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    yield


def _sealed(place: Place) -> dict[str, Token]:
    """Every sealed access token. Raises WrongKey when the key does not open them."""
    if not place.db.exists():
        return {}
    with look(place.db) as tx:
        names = tokens.names(tx)
        if not names:
            return {}
        box = tokens.Box(place.key())
        found = {name: tokens.get(tx, box, name) for name in names if not name.startswith("hook:")}
    return {name: Token(**orjson.loads(held[0])) for name, held in found.items() if held}


@asynccontextmanager
async def connected(place: Place, name: str) -> AsyncIterator[Connector[Any]]:
    """One connection by itself, for looks that keep nothing."""
    settings = place.config.connections[name]
    made = CONNECTORS[settings.platform]
    around = _around(budget_of(made.platform, settings), PassingTokens(_sealed(place)))
    connector = made(name, settings, around)
    try:
        yield connector
    finally:
        await connector.aclose()


def _around(budget: Budget, store: PassingTokens) -> Surroundings:
    return Surroundings(budget, store, time.time, keeps_tokens=False)


async def try_out(place: Place) -> list[dict[str, Any]]:
    """What every connection says, one after the other; a failing one stops only itself."""
    store = PassingTokens(_sealed(place))
    rows: list[dict[str, Any]] = []
    for name, settings in place.config.connections.items():
        made = CONNECTORS[settings.platform]
        budget = budget_of(made.platform, settings)
        connector = made(name, settings, _around(budget, store))
        try:
            findings = await connector.check()
        except PlatformError as error:
            findings = [Finding.of(error)]
        finally:
            await connector.aclose()
        rows += [
            {"connection": name, "ok": row.ok, "what": row.what, "remedy": row.remedy} for row in findings
        ]
    return rows
