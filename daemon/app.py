"""One running bookferry: configuration, store, connectors and engine, wired together."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from connectors.alert import AlertChannel
from connectors.base import Connector, Surroundings, budget_of
from connectors.budget import Budget
from connectors.registry import CONNECTORS
from daemon.engine import Engine
from daemon.metrics import Metrics
from daemon.tokens import SealedTokens
from daemon.units import Unit, run_unit, still_ours
from daemon.world import World
from mapping.config import Config
from state import accounts, tokens, units
from state.database import Database, Tx
from state.errors import StateError, TakenOver
from state.tokens import Box
from state.units import Claim

PLATFORMS = {name: connector.platform for name, connector in CONNECTORS.items()}
SETTLE_MS = 60_000
"""How long after a write of unknown outcome a target may still be at work on it, in milliseconds."""


class App:
    """Made by ``opened``. ``now`` is the only clock; everything below gets its time from here."""

    def __init__(
        self,
        config: Config,
        db: Database,
        box: Box,
        now: Callable[[], float],
        reign: Claim,
        *,
        settle_ms: int = SETTLE_MS,
    ) -> None:
        self.config = config
        self.db = db
        self.box = box
        self.now = now
        self.reign = reign
        """What this process may do with the store, until another one opens it."""
        self.settle_ms = settle_ms
        self.world = World(config, PLATFORMS)
        self.metrics = Metrics()
        self.alerts = AlertChannel(config.alerts.url.get_secret_value(), now) if config.alerts else None
        self.serving = False
        """Whether the hook door is open, so that webhooks can come."""
        self.store_trouble = False
        """Whether the owner was told that the store fails: the one concern that it cannot hold."""
        self.engine = Engine(lambda key: run_unit(self, key))
        self.wake_at: Callable[[str, int], None] = lambda _key, _due: None
        """Asks the schedule to kick a key at a moment (epoch milliseconds). Without a schedule nobody does."""
        self.trouble: dict[str, StateError] = {}
        """By unit: why its last transaction could not be stored."""
        self.taken_over: TakenOver | None = None
        """Why this process is to end: another one works on the same store."""
        self.on_taken_over: Callable[[], None] = lambda: None
        self.holder = uuid4().hex
        self.budgets: dict[str, Budget] = {}
        self.connectors: dict[str, Connector[Any]] = {}
        for name, settings in config.connections.items():
            self.connectors[name] = self._connector(name, settings)

    def _connector(self, name: str, settings: Any) -> Connector[Any]:
        made = CONNECTORS[settings.platform]
        credential = made.credential(settings)
        if credential not in self.budgets:
            self.budgets[credential] = budget_of(made.platform, settings, self.now)
        around = Surroundings(
            budget=self.budgets[credential],
            tokens=SealedTokens(self.db, self.box, self.holder, self.now),
            now=self.now,
            on_request=self.metrics.request_hook(name),
            before_write=still_ours,
        )
        return made(name, settings, around)

    def ms(self) -> int:
        """Now, in epoch milliseconds."""
        return int(self.now() * 1000)

    def budget_of(self, name: str) -> tuple[str, Budget]:
        """The credential of a connection and its budget."""
        credential = type(self.connectors[name]).credential(self.config.connections[name])
        return credential, self.budgets[credential]

    async def hook_secrets(self, name: str) -> tuple[str, ...]:
        """All secrets that a webhook at this connection's door may be signed with."""
        kin = self.one_sender(name)
        configured = [secret for near in kin for secret in self.config.connections[near].webhook_secret]
        sealed = await self.db.read(lambda tx: self._sealed_secrets(tx, kin))
        return (*(secret.get_secret_value() for secret in configured), *sealed)

    def _sealed_secrets(self, tx: Tx, kin: list[str]) -> list[str]:
        keys = [key for near in kin for key in tokens.names(tx, f"hook:{near}:")]
        return [found[0].decode() for key in keys if (found := tokens.get(tx, self.box, key))]

    async def keep_hook(self, name: str, hook: Any, unit: Unit | None = None) -> bool:
        """A new webhook tells its secret once: sealed before anything else. Gives whether its secret is known here."""
        kin = self.one_sender(name)
        if hook.secret:
            sealed, commit = hook.secret.encode(), unit.commit if unit else self.db.transaction
            await commit(lambda tx: tokens.put(tx, self.box, f"hook:{name}:{hook.id}", sealed), "hook.secret")
            return True
        if any(self.config.connections[near].webhook_secret for near in kin):
            return True
        held = await self.db.read(lambda tx: tokens.names(tx, "hook:"))
        return any(f"hook:{near}:{hook.id}" in held for near in kin)

    async def drop_hook(self, name: str, webhook: str) -> None:
        """A webhook is gone, and with it its secret."""
        await self.db.transaction(lambda tx: tokens.forget(tx, f"hook:{name}:{webhook}"), "hook.forget")

    def one_sender(self, name: str) -> list[str]:
        """The connections whose webhooks come from one sender with one secret: those of one developer account."""
        owner = self.connectors[name].hook_owner
        kin = (near for near, connector in self.connectors.items() if owner and connector.hook_owner == owner)
        return list(kin) or [name]

    def kick_targets(self, name: str) -> None:
        """A connection's records changed: whoever may have to be written to looks."""
        for target in sorted(self.world.targets_of(name)):
            self.engine.kick(f"push:{target}")

    def give_way(self, why: TakenOver) -> None:
        """Another process works on the same store: start nothing new here, and end."""
        self.taken_over = why
        self.engine.stop()
        self.on_taken_over()

    async def close(self) -> None:
        """Let go of connections; what is in the store is all that matters."""
        for connector in self.connectors.values():
            await connector.aclose()
        if self.alerts is not None:
            await self.alerts.aclose()


@asynccontextmanager
async def opened(
    config: Config,
    path: Path,
    key: str,
    *,
    now: Callable[[], float] = time.time,
    settle_ms: int = SETTLE_MS,
    database: type[Database] = Database,
) -> AsyncIterator[App]:
    """Open the store and everything on top of it. Raises StateError with a sentence for the operator."""
    box = Box(key)
    db = await database.open(path)
    try:
        await db.read(lambda tx: tokens.check(tx, box))
        reign = await db.transaction(lambda tx: _begin(tx, box, int(now() * 1000)), "store.begin")
        stamps = await db.read(accounts.budgets)
        app = App(config, db, box, now, reign, settle_ms=settle_ms)
        for credential, budget in app.budgets.items():
            if credential in stamps:
                budget.load(stamps[credential])
        try:
            yield app
        finally:
            await app.engine.drain(0)
            await app.close()
    finally:
        await db.close()


def _begin(tx: Tx, box: Box, now: int) -> Claim:
    """The file lock proves that whoever was here before is dead, or that somebody has given up waiting for it.

    Nobody has to wait for the end of its leases; and should it only have stood still, it writes nothing more.
    """
    tokens.drop_leases(tx)
    tokens.keep_mark_key(tx, box)
    return units.claim(tx, units.STORE, now=now)
