"""What the process counts about itself. Labels are a connection and an outcome, and nothing that a guest could be."""

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
NOBODY = "-"
"""The connection of what came to no connection of ours: made-up names must not make time series."""

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CLASS = 100


class Metrics:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry(auto_describe=True)
        both = ("connection", "outcome")
        self.webhooks = Counter("bookferry_webhooks", "Webhooks by what became of them.", both, registry=own)
        self._webhooks_of = cache(self.webhooks.labels)
        self.webhook_seconds = Histogram(
            "bookferry_webhook_seconds",
            "From a webhook's last byte to its answer.",
            registry=own,
            buckets=_FAST,
        )
        self.requests = Counter(
            "bookferry_requests", "Requests to platforms by class of status.", both, registry=own
        )
        self.request_seconds = Histogram(
            "bookferry_request_seconds",
            "How long platforms take to answer.",
            ("connection",),
            registry=own,
            buckets=_SLOW,
        )
        self.writes = Counter("bookferry_writes", "Writes to platforms by outcome.", both, registry=own)
        self.changed = Counter(
            "bookferry_changes", "Records that were seen to change.", ("connection",), registry=own
        )
        self.parked = Gauge(
            "bookferry_parked",
            "Writes that wait for a human, by the connection they are for.",
            ("connection",),
            registry=own,
        )
        self.held = Gauge(
            "bookferry_held",
            "Writes that are more than usual and wait for an approval, by the connection they are for.",
            ("connection",),
            registry=own,
        )
        self.lost = Counter(
            "bookferry_webhooks_lost",
            "Webhooks that never came: lists told what they should have told.",
            ("connection",),
            registry=own,
        )
        self.concerns = Gauge(
            "bookferry_concerns", "What the owner should know of and is not over.", registry=own
        )
        self.pulled_at = Gauge(
            "bookferry_pulled_at_seconds",
            "When a connection was last pulled completely, in seconds since the epoch.",
            ("connection",),
            registry=own,
        )

    def webhook(self, connection: str, outcome: str) -> None:
        """Count a webhook."""
        self._webhooks_of(connection, outcome).inc()

    def write(self, connection: str, outcome: str) -> None:
        """Count a write: done, refused, unknown or later."""
        self.writes.labels(connection, outcome).inc()

    def changes(self, connection: str, count: int) -> None:
        """Count changes of records."""
        self.changed.labels(connection).inc(count)

    def waits(self, connection: str, *, parked: int, held: int) -> None:
        """How many writes to a connection wait for a human."""
        self.parked.labels(connection).set(parked)
        self.held.labels(connection).set(held)

    def request_hook(self, connection: str) -> Callable[[str, str, int, float], None]:
        """For ``Surroundings.on_request``: method, path, status (0 where no answer came), milliseconds."""
        seconds_of = self.request_seconds.labels(connection)

        def count(_method: str, _path: str, status: int, milliseconds: float) -> None:
            outcome = f"{status // _CLASS}xx" if status >= _CLASS else "none"
            self.requests.labels(connection, outcome).inc()
            seconds_of.observe(milliseconds / 1000)

        return count

    def page(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self.registry)
