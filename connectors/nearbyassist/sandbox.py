"""A stand-in of NearbyAssist's partner API and its webhooks, read off the public page.

The page describes few of the shapes; where it is silent the stand-in does what the connector assumes, and its options
change exactly that.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from connectors.nearbyassist.sandbox_staff import StaffRoom
from connectors.nearbyassist.sandbox_store import Booking, Customer, InvalidError, checked, ends
from connectors.sandbox import Handler, Refusal, Reply, Request

PARTNER = "/api/integrations/partner"
MOST, USUAL = 100, 20  # "Default limit is 20, max is 100."
WINDOW = 900.0
LIMITS = {"all": 500, "auth": 20}  # "500 req/15 min (global), 20 req/15 min (auth endpoints)"
SERVER_ERROR = 500
TIMES = {"startTime": "start", "endTime": "end"}
WRITTEN = {
    "serviceId": "service_id",
    "serviceName": "service_name",
    "staffId": "staff_id",
    "price": "price",
    "notes": "notes",
    "externalRef": "external_ref",
}


class NearbyAssistSandbox(StaffRoom):
    """NearbyAssist on the loopback: one business with its API keys and its users.

    Beyond those of ``StaffRoom`` and ``Sandbox``, the keyword arguments choose among readings of what the page leaves
    open:
    ``rate_limits`` enforces the two limits with 429 and Retry-After,
    ``bare`` answers one booking as it is instead of under ``booking``,
    ``order`` is that of the lists: the newest first, the oldest first, or the last changed first,
    ``hidden`` are statuses that the list leaves out though nothing says so,
    ``pages`` is what becomes of `page` and `limit`: "both" count, "fixed" pages have 20 rows, "shorter" ones have 20 and
    say that they have as many as were asked for, "ignored" shows the first,
    ``moved`` has other paths for some of the assumed ones.

    ``after_page`` is called after each page of a list: rows may come and go between two pages.
    """

    sample: ClassVar[dict[str, int]] = {"people": 12, "bookings": 12, "reviews": 5}
    """What it is seeded with for a first look."""

    platform = "nearbyassist"

    def __init__(
        self,
        *args: Any,
        rate_limits: bool = False,
        bare: bool = False,
        order: Literal["newest", "oldest", "changed"] = "newest",
        hidden: tuple[str, ...] = (),
        pages: Literal["both", "fixed", "shorter", "ignored"] = "both",
        moved: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.moved = moved or {}
        super().__init__(*args, **options)
        self.rate_limits = rate_limits
        self.bare = bare
        self.order = order
        self.hidden = hidden
        self.pages = pages
        self.after_page: Callable[[], object] = lambda: None
        self._asked: dict[str, deque[float]] = {scope: deque() for scope in LIMITS}

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return the endpoints: those that the page names, and the assumed ones."""
        routes: list[tuple[str, str, Handler]] = [
            ("POST", "/api/auth/signin", self._sign_in),
            ("GET", "/api/users/profile", self._profile),
            ("GET", "/api/bookings/my-bookings", self._my_bookings),
            ("GET", PARTNER + "/bookings", self._list_bookings),
            ("POST", PARTNER + "/bookings", self._create),
            ("GET", PARTNER + "/bookings/{id}", self._get),
            ("PATCH", PARTNER + "/bookings/{id}", self._update),
            ("POST", PARTNER + "/bookings/{id}/cancel", self._cancel),
            ("GET", PARTNER + "/reviews", self._list_reviews),
        ]
        return [(verb, self.moved.get(path, path), handler) for verb, path, handler in routes]

    def problem(self, status: int, message: str) -> Any:
        """Return ``{error}``; "all errors return a JSON body with error and optional errors array"."""
        return {"error": "Unexpected server error" if status >= SERVER_ERROR else message}

    def handle(self, request: Request) -> Reply:
        """Carry out a request; words are those that this sandbox was told to use."""
        if self.rate_limits:
            self._count("all")
        try:
            reply = super().handle(request)
        except InvalidError as problem:
            rows = [
                {"field": self.rename.get(name, name), "message": said}
                for name, said in problem.complaints.items()
            ]
            raise self.refusal(422, "Validation failed", errors=rows) from None
        reply.body = self.outward(reply.body)
        return reply

    # Who asks.

    def _sign_in(self, request: Request) -> Reply:
        if self.rate_limits:
            self._count("auth")
        body = self._object(request)
        missing = [name for name in ("email", "password") if not isinstance(body.get(name), str)]
        if missing:
            raise InvalidError({name: f"{name.title()} is required" for name in missing})
        if self.users.get(body["email"]) != body["password"]:
            raise self.refusal(401, "Invalid email or password")
        token = self.new_id(40)
        self.tokens.add(token)
        return Reply({"access_token": token})

    def _count(self, scope: str) -> None:
        asked, now = self._asked[scope], self.clock.time()
        while asked and asked[0] <= now - WINDOW:
            asked.popleft()
        if len(asked) >= LIMITS[scope]:
            wait = str(math.ceil(asked[0] + WINDOW - now))
            raise Refusal(429, self.problem(429, "Too many requests"), {"retry-after": wait})
        asked.append(now)

    def _user(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and token.strip() in self.tokens

    def _let_in(self, request: Request, scope: str) -> None:
        if self._user(request):
            return
        key = self.keys.get(request.headers.get("x-api-key", ""))
        if key is None or key.revoked:
            raise self.refusal(401, "Missing or invalid authentication token")
        if scope not in key.scopes:
            raise self.refusal(403, "Insufficient permissions")

    # Reading.

    def _profile(self, request: Request) -> Reply:
        if not self._user(request):
            raise self.refusal(401, "Missing or invalid authentication token")
        return Reply({"user": {"id": "usr_1"}})

    def _my_bookings(self, request: Request) -> Reply:
        """The view of the user as a customer: what the owner booked elsewhere, and nothing of the business."""
        if not self._user(request):
            raise self.refusal(401, "Missing or invalid authentication token")
        return self._page(request, "bookings", [])

    def _list_bookings(self, request: Request) -> Reply:
        self._let_in(request, "bookings:read")
        rows = [row for row in self.business.bookings.values() if row.status not in self.hidden]
        if self.order == "changed":
            rows.sort(key=lambda row: row.updated_at, reverse=True)
        elif self.order == "newest":
            rows.reverse()
        return self._page(request, "bookings", rows, self.business.shown)

    def _list_reviews(self, request: Request) -> Reply:
        self._let_in(request, "reviews:read")
        rows = list(self.business.reviews.values())[:: 1 if self.order == "oldest" else -1]
        return self._page(request, "reviews", rows, lambda row: row.public())

    def _page(
        self, request: Request, word: str, rows: list[Any], shown: Callable[[Any], Any] = lambda row: row
    ) -> Reply:
        page, limit = (self._number(request, name, usual) for name, usual in (("page", 1), ("limit", USUAL)))
        said = limit = USUAL if self.pages == "fixed" else min(limit, MOST)
        limit = USUAL if self.pages == "shorter" else limit
        page = 1 if self.pages == "ignored" else page
        start = (page - 1) * limit
        found = [shown(row) for row in rows[start : start + limit]]
        reply = Reply({word: found, "total": len(rows), "page": page, "limit": said})
        self.after_page()
        return reply

    def _number(self, request: Request, name: str, usual: int) -> int:
        text = request.query.get(self.rename.get(name, name), str(usual))
        if not text.isdecimal() or int(text) < 1:
            raise self.refusal(
                400, "Validation failed", errors=[{"field": name, "message": "Must be a whole number from 1"}]
            )
        return int(text)

    def _get(self, request: Request) -> Reply:
        self._let_in(request, "bookings:read")
        return self._one(self._booking(request))

    # Writing.

    def _create(self, request: Request) -> Reply:
        self._let_in(request, "bookings:write")
        given = checked(self._object(request), self.normalise, new=True)
        service = self._service(given)
        start = given["startTime"]
        end = ends(start, given.get("endTime"), service)
        staff = self._free(given.get("staffId"), start, end)
        customer = self._customer(given["customer"])
        values = {ours: given[theirs] for theirs, ours in WRITTEN.items() if theirs in given}
        booking = self.book(start, customer.id, end=end, **{**values, "staff_id": staff})
        self.tell_guest("booking_created", booking)
        reply = self._one(booking)
        reply.status = 201
        return reply

    def _update(self, request: Request) -> Reply:
        self._let_in(request, "bookings:write")
        booking = self._booking(request)
        given = checked(self._object(request), self.normalise, new=False)
        self._service(given)
        changes = {ours: given[theirs] for theirs, ours in (WRITTEN | TIMES).items() if theirs in given}
        if "start" in changes and "end" not in changes:
            changes["end"] = changes["start"] + (booking.end - booking.start)
        staff, start = changes.get("staff_id", booking.staff_id), changes.get("start", booking.start)
        if self.business.taken(staff, start, changes.get("end", booking.end), but=booking.id):
            raise self.refusal(409, "This slot is already booked")
        moved = any(getattr(booking, name) != changes[name] for name in ("start", "end") if name in changes)
        self.alter(booking.id, "booking.updated" if moved else None, **changes)
        self.tell_guest("booking_updated", booking)
        return self._one(booking)

    def _cancel(self, request: Request) -> Reply:
        self._let_in(request, "bookings:write")
        booking = self._booking(request)
        if booking.status in {"completed", "no_show"}:
            raise self.refusal(400, "This booking can no longer be cancelled")
        changed = booking.status != "cancelled"
        if changed:
            self.cancel(booking.id)
            self.tell_guest("booking_cancelled", booking)
        reply = self._one(booking)
        reply.applied = changed
        return reply

    def _object(self, request: Request) -> dict[str, Any]:
        try:
            body = request.fields()
        except ValueError:
            raise self.refusal(400, "Invalid request body") from None
        inward: dict[str, Any] = self.inward(body)
        return inward

    def _booking(self, request: Request) -> Booking:
        booking = self.business.bookings.get(request.params["id"])
        if booking is None:
            raise self.refusal(404, "Resource does not exist")
        return booking

    def _service(self, given: dict[str, Any]) -> Any:
        service = self.business.services.get(given.get("serviceId", ""))
        if "serviceId" in given and service is None:
            raise InvalidError({"serviceId": "There is no such service"})
        return service

    def _free(self, wanted: str | None, start: Any, end: Any) -> str:
        if wanted is not None and wanted not in self.business.staff:
            raise InvalidError({"staffId": "There is no such team member"})
        team = [wanted] if wanted else list(self.business.staff)
        free = next((member for member in team if not self.business.taken(member, start, end)), None)
        if free is None:
            raise self.refusal(409, "This slot is already booked")
        return free

    def _customer(self, given: dict[str, Any]) -> Customer:
        known = self.business.match_customer(given.get("email"), given.get("phone"))
        names = (given.get("firstName"), given.get("lastName"), given.get("email"), given.get("phone"))
        return known or self.business.customers[self.add_customer(*names)]

    def _one(self, booking: Booking) -> Reply:
        shown = self.business.shown(booking)
        return Reply(shown if self.bare else {"booking": shown})

    def tell_guest(self, kind: str, booking: Booking) -> None:
        """Record what the real platform may send to a person because of a call over the API."""
        customer = self.business.customers.get(booking.customer_id or "")
        email = customer.email if customer else None
        self.messages_to_guests.append(
            {"kind": kind, "booking_id": booking.id, "email": email, "at": self.stamp()}
        )
