"""What a connector lives in, for tests: tokens in memory, a huge budget, and a clock that waiting moves."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from connectors.base import Surroundings
from connectors.budget import Budget, Lane
from connectors.sandbox import serve

NOW = "2026-06-01T03:12:00Z"  # Monday, 15:12 in Auckland


class MemoryTokens:
    """A `TokenStore` that forgets."""

    def __init__(self):
        self.kept = {}
        self._locks = {}

    async def get(self, name):
        return self.kept.get(name)

    async def put(self, name, token, was=None):
        self.kept[name] = token
        return token

    def lease(self, name):
        return self._locks.setdefault(name, asyncio.Lock())


class Watched(Budget):
    """A budget that notes in which lane each request goes."""

    def __init__(self, *limits, **how):
        super().__init__(*limits, **how)
        self.lanes = []

    async def take(self, *scopes, lane=Lane.POLL, **how):
        self.lanes.append(lane)
        await super().take(*scopes, lane=lane, **how)


def surroundings(box, *, time_limit=60.0, tokens=None, rates=None):
    async def sleep(seconds):
        box.advance(seconds)

    return Surroundings(
        Watched(
            {"all": [(1_000_000, 60)], **{scope: [pair] for scope, pair in (rates or {}).items()}},
            now=box.clock.time,
            sleep=sleep,
        ),
        tokens or MemoryTokens(),
        box.clock.time,
        sleep=sleep,
        time_limit=time_limit,
    )


@asynccontextmanager
async def connected(connector, box, settings, **options):
    """Serve a sandbox and connect to it; `settings` is called with the sandbox's address."""
    box.set_clock(NOW)
    async with serve(box) as url:
        ferry = connector("mine", settings(url), surroundings(box, rates=connector.platform.rates, **options))
        try:
            yield ferry
        finally:
            await ferry.aclose()


async def walk(connector, kind):
    """All pages of a listing."""
    pages, position = [], None
    while True:
        pages.append(await connector.pull(kind, position))
        position = pages[-1].next
        if position is None:
            return pages


async def everything(connector, kind):
    return [seen for page in await walk(connector, kind) for seen in page.observations]


async def raised(work, *errors):
    """The error that some work ends in; it must be exactly one of these classes."""
    with pytest.raises(errors) as caught:
        await work
    assert caught.type in errors, f"{caught.type.__name__}: {caught.value}"
    return caught.value
