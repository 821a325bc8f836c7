"""Deskbook on the loopback."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from connectors.sandbox import Delivery, Handler, Refusal, Reply, Request, Sandbox, dump, iso, people
from tests.contract.fifth import hooks


class DeskbookSandbox(Sandbox):
    """One desk. ``told`` records what the platform says to guests because of calls over the API."""

    platform = "deskbook"
    hook_delays = (1.0, 2.0)

    def __init__(self, api_key: str = "db_live_sandbox000000000000000000", **options: Any) -> None:
        super().__init__(**options)
        self.api_key = api_key
        self.bookings: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, str] = {}
        self.told: list[dict[str, Any]] = []

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/desk", lambda _: Reply({"id": "desk_1", "name": "The desk"})),
            ("GET", "/bookings", lambda _: Reply({"bookings": list(self.bookings.values())})),
            ("GET", "/bookings/{id}", lambda request: Reply(self._one(request))),
            ("POST", "/bookings", self._create),
            ("POST", "/bookings/{id}/cancel", self._cancel),
        ]

    def staff_actions(self) -> list[Callable[..., Any]]:
        return [self.add_booking, self.add_webhook]

    def problem(self, status: int, message: str) -> Any:
        return {"error": message}

    def counts(self) -> dict[str, int]:
        return {"bookings": len(self.bookings)}

    def rows(self, limit: int) -> dict[str, list[Any]]:
        return {"bookings": list(self.bookings.values())[-limit:]}

    def handle(self, request: Request) -> Reply:
        if request.headers.get("x-api-key") != self.api_key:
            raise Refusal(401, self.problem(401, "Unknown key."))
        return super().handle(request)

    def add_booking(self, start_at: str, **values: Any) -> str:
        """Enter a booking; returns its id."""
        ref = f"bk_{self.new_id()}"
        blank = {"service": "Desk", "status": "booked", "notes": None, "guest": None, "reference": None}
        self.bookings[ref] = {"id": ref, "startAt": start_at, **blank, **values}
        self._fire("booking.created", ref)
        return ref

    def add_webhook(self, url: str) -> str:
        """Register an endpoint; returns its secret."""
        self.endpoints[url] = f"whsec_{self.new_id(32)}"
        return self.endpoints[url]

    def seed_bookings(self, count: int, *, seed: int = 1) -> None:
        """Add bookings on the days ahead."""
        for index, person in enumerate(people(count, seed=seed, start=len(self.bookings))):
            guest = {"name": person.name, "email": person.email, "phone": person.phone}
            self.add_booking(iso(self.now() + timedelta(hours=index + 1)), guest=guest)

    def _one(self, request: Request) -> dict[str, Any]:
        if request.params["id"] not in self.bookings:
            raise Refusal(404, self.problem(404, "No such booking."))
        return self.bookings[request.params["id"]]

    def _create(self, request: Request) -> Reply:
        given = request.fields()
        notify = given.pop("notify")
        row = self.bookings[self.add_booking(given.pop("startAt"), **given)]
        self._tell(row, notify=notify)
        return Reply(row)

    def _cancel(self, request: Request) -> Reply:
        row = self._one(request)
        row["status"] = "off"
        self._tell(row, notify=True)
        self._fire("booking.cancelled", row["id"])
        return Reply(row)

    def _tell(self, row: dict[str, Any], *, notify: bool) -> None:
        if notify:
            self.told.append({"booking": row["id"], "at": self.stamp()})

    def _fire(self, event: str, ref: str) -> None:
        body = dump({"event": event, "id": ref})
        for url, secret in self.endpoints.items():
            self.hooks.submit(Delivery(url, event, partial(self._signed, secret, body), self.hook_delays))

    def _signed(self, secret: str, body: bytes, _attempt: int) -> tuple[bytes, dict[str, str]]:
        return body, {"X-Deskbook-Signature": hooks.sign(secret, self.signing_time(), body)}
