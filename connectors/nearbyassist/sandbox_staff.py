"""What the people of a NearbyAssist business do in its dashboard, and what comes of it."""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from connectors.nearbyassist.sandbox_store import (
    SCOPES,
    Booking,
    Business,
    Customer,
    Endpoint,
    Key,
    Review,
    Service,
    ends,
)
from connectors.sandbox import Delivery, Refusal, Sandbox, change, dump, instant, is_public_https, iso, people


class StaffRoom(Sandbox):
    """The business and the actions of its staff.

    ``sign_printed``: send the body with spaces and escapes, as another language prints it, but sign what
    ``JSON.stringify`` makes of it: the page leaves open which bytes travel.
    ``rename`` is what fields are called instead, ``status_words`` what statuses are: the page names neither.

    ``messages_to_guests`` records what the real platform may send to people because of calls over the API.
    """

    # The rule by which deliveries are repeated is not documented.
    hook_delays = (5.0, 60.0, 600.0)

    def __init__(
        self,
        api_key: str = "na_live_sandbox0000000000000000000000000",
        *,
        timezone: str = "Pacific/Auckland",
        currency: str | None = "NZD",
        sign_printed: bool = False,
        rename: dict[str, str] | None = None,
        status_words: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.rename = rename or {}
        self.status_words = status_words or {}
        super().__init__(**options)
        self.sign_printed = sign_printed
        self.business = Business(timezone, currency)
        self.api_key = api_key
        self.keys: dict[str, Key] = {api_key: Key()}
        self.users: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.messages_to_guests: list[dict[str, Any]] = []
        for name, minutes, price in (("Gel Manicure", 60, 75.0), ("Express Polish", 30, 35.5)):
            self.add_service(name, minutes=minutes, price=price)
        self.business.staff = {"stf_abc": "Anna", "stf_def": "Tama"}

    def staff_actions(self) -> list[Callable[..., Any]]:
        """Return what can be done from the dashboard."""
        return [
            self.add_service,
            self.add_customer,
            self.edit_customer,
            self.create_booking,
            self.confirm,
            self.reschedule,
            self.complete,
            self.no_show,
            self.cancel,
            self.edit_booking,
            self.delete_booking,
            self.add_review,
            self.edit_review,
            self.delete_review,
            self.announce,
            self.issue_key,
            self.revoke_key,
            self.add_user,
            self.expire_tokens,
            self.add_webhook,
            self.remove_webhook,
            self.rotate_secret,
        ]

    def counts(self) -> dict[str, int]:
        """Return how much there is of everything."""
        names = ("services", "customers", "bookings", "reviews")
        amounts = {name: len(getattr(self.business, name)) for name in names}
        return {**amounts, "messages_to_guests": len(self.messages_to_guests)}

    def rows(self, limit: int) -> dict[str, list[Any]]:
        """Return the newest rows."""
        names = ("services", "customers", "bookings", "reviews")
        found = {
            name: [_row(x) for x in list(getattr(self.business, name).values())[-limit:]] for name in names
        }
        return {**found, "messages_to_guests": self.messages_to_guests[-limit:]}

    def refusal(self, status: int, message: str, **more: Any) -> Refusal:
        """Return a refusal in the platform's envelope."""
        return Refusal(status, {**self.problem(status, message), **more})

    # Access.

    def issue_key(self, api_key: str | None = None, scopes: list[str] | None = None) -> str:
        """Issue an API key; "the full key is shown only once at creation", here as the answer."""
        key = api_key or f"na_live_{self.new_id(32)}"
        self.keys[key] = Key(SCOPES if scopes is None else frozenset(scopes))
        return key

    def revoke_key(self, api_key: str) -> None:
        """Revoke a key; it stops authenticating at once."""
        self.keys[api_key].revoked = True

    def add_user(self, email: str, password: str) -> None:
        """Let somebody sign in, or give them another password."""
        self.users[email] = password

    def expire_tokens(self) -> None:
        """Let every session token expire now."""
        self.tokens.clear()

    # Customers and services.

    def add_service(self, name: str, *, minutes: int = 60, price: float = 75.0) -> str:
        """Add a service; returns its id."""
        service = Service(f"svc_{len(self.business.services) + 1}", name, minutes, price)
        self.business.services[service.id] = service
        return service.id

    def add_customer(
        self,
        first_name: str | None = None,
        last_name: str | None = None,
        email: str | None = None,
        phone: str | None = None,
    ) -> str:
        """Add a customer; returns the id."""
        customer = Customer(f"cus_{self.new_id()}", first_name, last_name, email, phone)
        self.business.customers[customer.id] = customer
        return customer.id

    def edit_customer(self, customer_id: str, **changes: Any) -> None:
        """Change a customer; there is no event for this."""
        change(self.business.customers[customer_id], changes)

    # Bookings. "booking.created: A new booking is confirmed", "booking.updated: Booking status or time changed".

    def create_booking(
        self,
        start: str,
        customer_id: str | None = None,
        *,
        service_id: str = "svc_1",
        staff_id: str | None = None,
        status: str = "confirmed",
        **more: Any,
    ) -> str:
        """Enter a booking; returns its id."""
        values = {"service_id": service_id, "staff_id": staff_id, "status": status, **more}
        return self.book(instant(start), customer_id, **values).id

    def book(
        self,
        start: datetime,
        customer_id: str | None,
        *,
        service_id: str | None = None,
        service_name: str | None = None,
        staff_id: str | None = None,
        end: datetime | None = None,
        price: float | None = None,
        status: str = "confirmed",
        event: bool = True,
        **more: Any,
    ) -> Booking:
        """Store a new booking and fire its event."""
        service, now = self.business.services.get(service_id or ""), self.now()
        booking = Booking(
            id=f"bkg_{self.new_id()}",
            status=status,
            service_id=service_id,
            service_name=service_name or (service.name if service else None),
            staff_id=staff_id,
            start=start,
            end=ends(start, end, service),
            price=service.price if price is None and service else price,
            customer_id=customer_id,
            created_at=now,
            updated_at=now,
            **more,
        )
        self.business.bookings[booking.id] = booking
        if event and status == "confirmed":
            self.fire_booking("booking.created", booking)
        return booking

    def confirm(self, booking_id: str) -> None:
        """Confirm a pending booking: from now on it is a new one, as its event says."""
        self.alter(booking_id, "booking.created", status="confirmed")

    def reschedule(self, booking_id: str, start: str) -> None:
        """Move a booking."""
        booking, moved = self.business.bookings[booking_id], instant(start)
        self.alter(booking_id, "booking.updated", start=moved, end=moved + (booking.end - booking.start))

    def complete(self, booking_id: str) -> None:
        """Mark a booking complete after the visit."""
        self.alter(booking_id, "booking.updated", status="completed")

    def no_show(self, booking_id: str) -> None:
        """Mark that the guest did not come."""
        self.alter(booking_id, "booking.updated", status="no_show")

    def cancel(self, booking_id: str) -> None:
        """Cancel a booking."""
        self.alter(booking_id, "booking.cancelled", status="cancelled")

    def edit_booking(self, booking_id: str, **changes: Any) -> None:
        """Change notes, price, staff and the like; there is no event for this."""
        self.alter(booking_id, None, **changes)

    def delete_booking(self, booking_id: str) -> None:
        """Let a booking disappear from every list; there is no event for this."""
        del self.business.bookings[booking_id]

    def alter(self, booking_id: str, event: str | None, /, **changes: Any) -> Booking:
        """Change a booking and fire an event."""
        booking = self.business.bookings[booking_id]
        change(booking, {**changes, "updated_at": self.now()})
        if event:
            self.fire_booking(event, booking)
        return booking

    # Reviews and what is none of ours.

    def add_review(self, rating: float = 5, *, event: bool = True, **values: Any) -> str:
        """Let a review appear; returns its id."""
        blank = dict.fromkeys(("booking_id", "title", "comment", "author_name", "author_email"))
        review = Review(
            id=f"rev_{self.new_id()}", rating=rating, created_at=self.now(), **{**blank, **values}
        )
        self.business.reviews[review.id] = review
        if event:
            self.fire("review.created", review.public())
        return review.id

    def edit_review(self, review_id: str, **changes: Any) -> None:
        """Let its author change a review; there is no event for this."""
        change(self.business.reviews[review_id], changes)

    def delete_review(self, review_id: str) -> None:
        """Let a review disappear; there is no event for this."""
        del self.business.reviews[review_id]

    def announce(self, event: str, **data: Any) -> None:
        """Send one of the other events: lead.received, lead.accepted, message.received, payment.completed."""
        self.fire(event, {"id": self.new_id(), **data})

    # Webhooks.

    def add_webhook(self, url: str) -> str:
        """Register an endpoint; returns its secret."""
        if self.strict_urls and not is_public_https(url):
            raise ValueError("endpoints must be public https URLs")
        endpoint = Endpoint(url, f"whsec_{self.new_id(32)}")
        self.business.endpoints.append(endpoint)
        return endpoint.secret

    def remove_webhook(self, url: str) -> None:
        """Remove an endpoint."""
        self.business.endpoints.remove(self._endpoint(url))

    def rotate_secret(self, url: str) -> str:
        """Give an endpoint a new secret, in force from the next attempt on; returns it."""
        endpoint = self._endpoint(url)
        endpoint.secret = f"whsec_{self.new_id(32)}"
        return endpoint.secret

    def _endpoint(self, url: str) -> Endpoint:
        for endpoint in self.business.endpoints:
            if endpoint.url == url:
                return endpoint
        raise LookupError(f"no endpoint has the address {url}")

    def fire_booking(self, event: str, booking: Booking) -> None:
        """Send an event about a booking."""
        self.fire(event, self.business.shown(booking))

    def fire(self, event: str, data: dict[str, Any]) -> None:
        """Send an event to every endpoint."""
        content = {"event": event, "timestamp": self.stamp(), "data": self.outward(data)}
        for endpoint in self.business.endpoints:
            build = partial(self._sign, endpoint, content)
            wanted = partial(self.business.endpoints.__contains__, endpoint)
            self.hooks.submit(Delivery(endpoint.url, event, build, self.hook_delays, wanted))

    def _sign(self, endpoint: Endpoint, content: Any, _attempt: int) -> tuple[bytes, Any]:
        printed = dump(content)
        signature = hmac.new(endpoint.secret.encode(), printed, hashlib.sha256).hexdigest()
        sent = json.dumps(content, indent=1).encode() if self.sign_printed else printed
        return sent, {"Content-Type": "application/json", "X-NearbyAssist-Signature": signature}

    # Other names for the same things.

    def outward(self, value: Any) -> Any:
        """Print what is ours in the words of this sandbox."""
        if isinstance(value, list):
            return [self.outward(item) for item in value]
        if not isinstance(value, dict):
            return value
        printed = {self.rename.get(key, key): self.outward(item) for key, item in value.items()}
        word = self.rename.get("status", "status")
        if isinstance(printed.get(word), str):
            printed[word] = self.status_words.get(printed[word], printed[word])
        return printed

    def inward(self, value: Any) -> Any:
        """Read what is in the words of this sandbox."""
        names = {theirs: ours for ours, theirs in self.rename.items()}
        if not isinstance(value, dict):
            return value
        return {names.get(key, key): self.inward(item) for key, item in value.items()}

    # Bulk.

    def seed_people(self, count: int, *, seed: int = 1) -> None:
        """Add invented customers."""
        for person in people(count, seed=seed, start=len(self.business.customers)):
            self.add_customer(person.first, person.last, person.email, person.phone)

    def seed_bookings(self, count: int, *, seed: int = 1) -> None:
        """Add upcoming confirmed bookings, one every half an hour; no events are sent."""
        business = self.business
        if not business.customers:
            self.seed_people(min(count, 500), seed=seed)
        guests, services, team = list(business.customers), list(business.services), list(business.staff)
        first = self.now().replace(minute=0, second=0, microsecond=0)
        for index in range(len(business.bookings), len(business.bookings) + count):
            self.book(
                first + timedelta(hours=1, minutes=30 * index),
                guests[index * 7 % len(guests)],
                service_id=services[index % len(services)],
                staff_id=team[index % len(team)],
                event=False,
            )

    def seed_reviews(self, count: int, *, seed: int = 1) -> None:
        """Add reviews; no events are sent."""
        for index, person in enumerate(people(count, seed=seed)):
            self.add_review(
                5 - index % 3,
                title="Lovely",
                comment=f"Visit {index}",
                author_name=person.name,
                author_email=person.email,
                event=False,
            )


def _row(row: Any) -> dict[str, Any]:
    shown = {each.name: getattr(row, each.name) for each in fields(row)}
    return {key: iso(value) if isinstance(value, datetime) else value for key, value in shown.items()}
