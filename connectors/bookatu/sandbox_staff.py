"""What the people of a Bookatu business do in its dashboard, and what comes of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.bookatu.sandbox_store import Appointment, Business, Customer, Endpoint, Service, Staff
from connectors.sandbox import Refusal, Sandbox, change, instant, is_public_https, people

LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
LOCALES = {"NZ": "en-NZ", "AU": "en-AU", "GB": "en-GB", "US": "en-US"}


@dataclass(slots=True)
class Key:
    """An API key."""

    slug: str
    expires_at: datetime | None = None
    revoked: bool = False


class StaffRoom(Sandbox):
    """The businesses and the actions of their staff.

    ``slug`` may be one slug or several; ``api_key`` belongs to the first, the others' keys are in
    ``api_keys``. Unless ``furnish`` is off, every business starts with two team members and three services,
    the third of which wants a deposit.

    ``messages_to_guests`` records what the real platform may send to people because of calls over the API.
    What staff do in the dashboard is not recorded there: no integration is to blame for it.
    """

    def __init__(
        self,
        slug: str | Sequence[str] = "parnell-nails",
        api_key: str = "bk_live_sandbox0000000000000000000000000",
        *,
        timezone: str = "Pacific/Auckland",
        currency: str = "NZD",
        country: str = "NZ",
        furnish: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.businesses: dict[str, Business] = {}
        self.keys: dict[str, Key] = {}
        self.api_keys: dict[str, str] = {}
        self.messages_to_guests: list[dict[str, Any]] = []
        self._seeded: Counter[tuple[str, int]] = Counter()
        for name in [slug] if isinstance(slug, str) else slug:
            self.add_business(
                name,
                None if self.businesses else api_key,
                timezone=timezone,
                currency=currency,
                country=country,
                furnish=furnish,
            )

    def staff_actions(self) -> list[Callable[..., Any]]:
        """Return what can be done from the dashboard."""
        return [
            self.add_business,
            self.issue_key,
            self.revoke_key,
            self.add_service,
            self.edit_service,
            self.add_staff,
            self.add_customer,
            self.edit_customer,
            self.delete_customer,
            self.create_appointment,
            self.confirm,
            self.reschedule,
            self.complete,
            self.no_show,
            self.cancel,
            self.edit_appointment,
            self.join_waitlist,
            self.add_webhook,
            self.remove_webhook,
            self.rotate_secret,
        ]

    def counts(self) -> dict[str, int]:
        """Return how much there is of everything."""
        shops = self.businesses.values()
        return {
            "businesses": len(shops),
            "customers": sum(len(shop.customers) for shop in shops),
            "appointments": sum(len(shop.appointments) for shop in shops),
            "messages_to_guests": len(self.messages_to_guests),
        }

    def rows(self, limit: int) -> dict[str, list[Any]]:
        """Return the newest rows of every business."""
        shops = self.businesses.values()
        return {
            "businesses": [{"slug": shop.slug, "timezone": shop.timezone} for shop in shops],
            "services": [{"slug": shop.slug, **_row(x)} for shop in shops for x in shop.services.values()],
            "staff": [{"slug": shop.slug, **_row(x)} for shop in shops for x in shop.staff.values()],
            "customers": [
                {"slug": shop.slug, **_row(x)}
                for shop in shops
                for x in list(shop.customers.values())[-limit:]
            ],
            "appointments": [
                {"slug": shop.slug, **_row(x)}
                for shop in shops
                for x in list(shop.appointments.values())[-limit:]
            ],
            "messages_to_guests": self.messages_to_guests[-limit:],
        }

    def refusal(self, status: int, message: str, **more: Any) -> Refusal:
        """Return a refusal in the platform's envelope."""
        return Refusal(status, {**self.problem(status, message), **more})

    def business(self, slug: str | None = None) -> Business:
        """Return a business, the first one unless told otherwise."""
        if slug is None:
            return next(iter(self.businesses.values()))
        return self.businesses[slug]

    # The business itself.

    def add_business(
        self,
        slug: str,
        api_key: str | None = None,
        *,
        timezone: str = "Pacific/Auckland",
        currency: str = "NZD",
        country: str = "NZ",
        furnish: bool = True,
    ) -> str:
        """Open a business; returns its API key."""
        name = slug.replace("-", " ").title()
        locale = LOCALES.get(country, f"en-{country}")
        business = self.businesses[slug] = Business(slug, name, timezone, currency, country, locale)
        if furnish:
            self._furnish(business)
        return self.issue_key(slug, api_key)

    def _furnish(self, business: Business) -> None:
        first = len(self.businesses) == 1  # the first one has the very ids of the document's examples
        for service in (
            Service(
                "svc_abc123", "Gel Manicure", 60, 7500, "Long-lasting gel polish with cuticle care.", "Nails"
            ),
            Service("svc_def456", "Express Polish", 30, 3500, None, "Nails", sort=1),
            Service("svc_ghi789", "Bridal Set", 45, 19900, None, "Nails", deposit_cents=5000, sort=2),
        ):
            service.id = service.id if first else f"svc_{self.new_id()}"
            business.services[service.id] = service
        for member in (Staff("stf_abc", "Anna", "Senior Nail Tech"), Staff("stf_def", "Tama")):
            member.id = member.id if first else f"stf_{self.new_id()}"
            business.staff[member.id] = member

    def issue_key(self, slug: str, api_key: str | None = None, expires_at: str | None = None) -> str:
        """Issue an API key; "shown exactly once", here as the answer."""
        key = api_key or f"bk_live_{self.new_id(32)}"
        self.keys[key] = Key(slug, instant(expires_at) if expires_at else None)
        self.api_keys[slug] = key
        return key

    def revoke_key(self, api_key: str) -> None:
        """Revoke a key; it stops authenticating at once."""
        self.keys[api_key].revoked = True

    def add_service(self, name: str, *, slug: str | None = None, **details: Any) -> str:
        """Add a service; returns its id. The details are the fields of ``Service``."""
        service = Service(f"svc_{self.new_id()}", name, **details)
        self.business(slug).services[service.id] = service
        return service.id

    def edit_service(self, service_id: str, *, slug: str | None = None, **changes: Any) -> None:
        """Change a service. Appointments keep the name, price and duration they were booked with."""
        change(self.business(slug).services[service_id], changes)

    def add_staff(
        self, name: str, *, title: str | None = None, bio: str | None = None, slug: str | None = None
    ) -> str:
        """Add a team member; returns the id."""
        member = Staff(f"stf_{self.new_id()}", name, title, bio)
        self.business(slug).staff[member.id] = member
        return member.id

    # Customers.

    def add_customer(
        self, name: str, email: str | None = None, phone: str | None = None, *, slug: str | None = None
    ) -> str:
        """Add a customer; returns the id."""
        customer = Customer(f"cus_{self.new_id()}", name, email, phone)
        self.business(slug).add_customer(customer)
        return customer.id

    def edit_customer(self, customer_id: str, *, slug: str | None = None, **changes: Any) -> None:
        """Change a customer's name, email or phone."""
        business = self.business(slug)
        customer = business.remove_customer(customer_id)
        change(customer, changes)
        business.add_customer(customer)

    def delete_customer(self, customer_id: str, *, slug: str | None = None) -> None:
        """Delete a customer."""
        self.business(slug).remove_customer(customer_id)

    def join_waitlist(self, service_id: str, email: str, *, slug: str | None = None) -> None:
        """Put a person on the waitlist of a service."""
        self.business(slug).waitlist.append((service_id, email))

    # Appointments. Only creating, cancelling, completing and rescheduling have an event.

    def create_appointment(
        self,
        service_id: str,
        start_at: str,
        customer_id: str,
        *,
        staff_id: str | None = None,
        notes: str | None = None,
        status: str | None = None,
        slug: str | None = None,
    ) -> str:
        """Enter an appointment; returns its id."""
        business = self.business(slug)
        service, start = business.services[service_id], instant(start_at)
        if staff_id is None:
            staff_id = business.free_staff(start, start + timedelta(minutes=service.duration_min))
        elif business.starts_with(staff_id, start):
            raise self.refusal(409, "This team member is already booked at that time.")
        details: Any = {"customer_id": customer_id, "staff_id": staff_id, "notes": notes, "status": status}
        return self.book(business, service, start=start, **details).id

    def book(
        self,
        business: Business,
        service: Service,
        *,
        start: datetime,
        customer_id: str,
        staff_id: str | None,
        notes: str | None,
        source: str = "admin",
        status: str | None = None,
        event: bool = True,
    ) -> Appointment:
        """Store a new appointment and fire its event."""
        appointment = Appointment(
            id=f"apt_{self.new_id()}",
            ref="VRD-" + "".join(self.rng.choices(LETTERS, k=6)),
            service_id=service.id,
            service_name=service.name,
            start=start,
            duration_min=service.duration_min,
            price_cents=service.price_cents,
            status=status or ("pending" if service.deposit_cents else "confirmed"),
            customer_id=customer_id,
            staff_id=staff_id,
            notes=notes,
            created_at=self.now(),
            source=source,
            buffer_min=service.buffer_min,
        )
        business.put(appointment)
        if event:
            self.fire(business, appointment, "booking.created")
        return appointment

    def confirm(self, appointment_id: str, *, slug: str | None = None) -> None:
        """Confirm a pending appointment, its deposit paid; there is no event for this."""
        self._alter(appointment_id, slug, status="confirmed", deposit_paid=True)

    def reschedule(
        self, appointment_id: str, start_at: str, *, staff_id: str | None = None, slug: str | None = None
    ) -> None:
        """Move an appointment."""
        change: dict[str, Any] = {"start": instant(start_at)}
        if staff_id is not None:
            change["staff_id"] = staff_id
        self._alter(appointment_id, slug, "booking.rescheduled", **change)

    def complete(self, appointment_id: str, *, slug: str | None = None) -> None:
        """Mark an appointment complete after the visit."""
        self._alter(appointment_id, slug, "booking.completed", status="completed")

    def no_show(self, appointment_id: str, *, slug: str | None = None) -> None:
        """Mark that the guest did not come; there is no event for this."""
        self._alter(appointment_id, slug, status="no_show")

    def edit_appointment(self, appointment_id: str, *, slug: str | None = None, **changes: Any) -> None:
        """Change notes, price_cents, staff_id, customer_id or duration_min; there is no event for this."""
        self._alter(appointment_id, slug, **changes)

    def cancel(self, appointment_id: str, reason: str | None = None, *, slug: str | None = None) -> None:
        """Cancel an appointment."""
        business = self.business(slug)
        self.call_off(business, business.appointments[appointment_id], reason)

    def call_off(self, business: Business, appointment: Appointment, reason: str | None) -> None:
        """Cancel, forfeit a paid deposit where the policy says so, and fire the event."""
        deadline = appointment.start - timedelta(hours=business.cancel_window_h)
        forfeited = appointment.deposit_paid and self.now() > deadline
        change = {"status": "cancelled", "cancel_reason": reason, "forfeited": forfeited}
        self._alter(appointment.id, business.slug, "booking.cancelled", **change)

    def _alter(
        self, appointment_id: str, slug: str | None, event: str | None = None, /, **changes: Any
    ) -> None:
        business = self.business(slug)
        appointment = business.appointments[appointment_id]
        business.take_out(appointment)
        change(appointment, changes)
        business.put(appointment)
        if event:
            self.fire(business, appointment, event)

    def fire(self, business: Business, appointment: Appointment, event: str) -> None:
        """Send an event to every endpoint of the business."""
        raise NotImplementedError

    # Webhook endpoints.

    def add_webhook(self, url: str, *, slug: str | None = None) -> str:
        """Register an endpoint; returns its secret, "shown once when you create it"."""
        if self.strict_urls and not is_public_https(url):
            raise ValueError("endpoints must be public https URLs")
        endpoint = Endpoint(url, f"whsec_{self.new_id(32)}")
        self.business(slug).endpoints.append(endpoint)
        return endpoint.secret

    def remove_webhook(self, url: str, *, slug: str | None = None) -> None:
        """Remove an endpoint."""
        self.business(slug).endpoints.remove(self._endpoint(url, slug))

    def rotate_secret(self, url: str, *, slug: str | None = None) -> str:
        """Give an endpoint a new secret, in force from the next attempt on; returns it."""
        endpoint = self._endpoint(url, slug)
        endpoint.secret = f"whsec_{self.new_id(32)}"
        return endpoint.secret

    def _endpoint(self, url: str, slug: str | None) -> Endpoint:
        for endpoint in self.business(slug).endpoints:
            if endpoint.url == url:
                return endpoint
        raise LookupError(f"no endpoint has the address {url}")

    # Bulk.

    def seed_people(self, count: int, *, seed: int = 1, slug: str | None = None) -> None:
        """Add invented customers."""
        business = self.business(slug)
        for person in people(count, seed=seed, start=len(business.customers)):
            business.add_customer(Customer(f"cus_{self.new_id()}", person.name, person.email, person.phone))

    def seed_bookings(self, count: int, *, seed: int = 1, slug: str | None = None) -> None:
        """Add upcoming confirmed appointments, one an hour and team member; no events are sent."""
        self._seed_appointments(count, seed, slug, step=1, status="confirmed")

    def seed_history(self, count: int, *, seed: int = 1, slug: str | None = None) -> None:
        """Add past completed appointments; no events are sent."""
        self._seed_appointments(count, seed, slug, step=-1, status="completed")

    def _seed_appointments(self, count: int, seed: int, slug: str | None, *, step: int, status: str) -> None:
        business = self.business(slug)
        if not business.customers:
            self.seed_people(min(count, 500), seed=seed, slug=slug)
        guests, team = list(business.customers), list(business.staff)
        services = [service for service in business.services.values() if not service.deposit_cents]
        first = self.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        begin = self._seeded[business.slug, step]
        self._seeded[business.slug, step] += count
        for index in range(begin, begin + count):
            self.book(
                business,
                services[index % len(services)],
                start=first + step * timedelta(hours=1 + index // len(team)),
                customer_id=guests[index * 7 % len(guests)],
                staff_id=team[index % len(team)],
                notes=None,
                status=status,
                event=False,
            )


def _row(row: Any) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}
