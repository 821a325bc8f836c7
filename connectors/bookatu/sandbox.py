"""A stand-in of Bookatu's v1 REST API and its webhooks, read off the public document."""

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from connectors.bookatu.sandbox_staff import StaffRoom
from connectors.bookatu.sandbox_store import Appointment, Business, Customer, Endpoint, Service, digits
from connectors.sandbox import (
    Delivery,
    Handler,
    Refusal,
    Reply,
    Request,
    dump,
    instant,
    iso,
    tidy_email,
    tidy_phone,
    tidy_text,
)

BASE = "/api/v1/{slug}"
CUSTOMER_CAP = 1000  # "Capped at 1000 customers, ordered by name."
APPOINTMENT_CAP = 200  # "Only pending + confirmed, startAt >= now, oldest first, max 200 rows."
LONGEST_RANGE = 60  # days: "Must be on or after from, and at most 60 days later."
REASON_LENGTH = 200
SERVER_ERROR = 500
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
PHONE = re.compile(r"[0-9 +()-]{6,30}")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
OPEN = {"access-control-allow-origin": "*"}
PREFLIGHT = {
    **OPEN,
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "Content-Type, Authorization, X-Api-Key",
}


class BookatuSandbox(StaffRoom):
    """Bookatu on the loopback: one or several businesses, each with its own key and webhooks.

    The keyword arguments after ``country`` are those of ``Sandbox``.
    """

    platform = "bookatu"
    # "Backoff between attempts is 500ms, then 1000ms, then 2000ms", but with "up to 3 attempts" there is no
    # third gap.
    hook_delays = (0.5, 1.0)
    hook_timeout = 4.0

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return the documented endpoints."""
        return [
            ("GET", BASE + "/business", self._get_business),
            ("GET", BASE + "/services", self._get_services),
            ("GET", BASE + "/staff", self._get_staff),
            ("GET", BASE + "/availability", self._get_availability),
            ("POST", BASE + "/book", partial(self._post_booking, "online")),
            ("GET", BASE + "/customers", self._get_customers),
            ("GET", BASE + "/appointments", self._get_appointments),
            ("POST", BASE + "/appointments", partial(self._post_booking, "admin")),
            ("POST", BASE + "/appointments/{id}/cancel", self._post_cancel),
        ]

    def problem(self, status: int, message: str) -> Any:
        """Return ``{ok: false, error}``."""
        return {"ok": False, "error": "Unexpected server error." if status >= SERVER_ERROR else message}

    def handle(self, request: Request) -> Reply:
        """Carry out a request; "every v1 endpoint … answers the CORS preflight (OPTIONS) with 204"."""
        if request.method == "OPTIONS":
            return Reply(None, 204, dict(PREFLIGHT))
        try:
            reply = super().handle(request)
        except Refusal as refusal:
            reply = refusal.reply
        reply.headers |= OPEN
        return reply

    # Who asks, and for which business.

    def _business(self, request: Request) -> Business:
        business = self.businesses.get(request.params["slug"])
        if business is None:
            raise self.refusal(404, "Business not found.")
        return business

    def _with_key(self, request: Request) -> Business:
        business = self._business(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        sent = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        key = self.keys.get(sent)
        if key is None or key.revoked or (key.expires_at is not None and key.expires_at <= self.now()):
            raise self.refusal(401, "Missing or invalid API key.")
        if key.slug != business.slug:
            raise self.refusal(403, "This API key belongs to a different organisation.")
        return business

    # Reading.

    def _get_business(self, request: Request) -> Reply:
        business = self._business(request)
        hours = [
            {"weekday": day, "open": bool(span), "openMin": span and span[0], "closeMin": span and span[1]}
            for day, span in sorted(business.hours.items())
        ]
        return Reply(
            {
                "name": business.name,
                "slug": business.slug,
                "industry": business.industry,
                "country": business.country,
                "currency": business.currency,
                "timezone": business.timezone,
                "locale": business.locale,
                "address": business.address,
                "phone": business.phone,
                "bookingUrl": f"https://bookatu.com/{business.slug}/book",
                "hours": hours,
            }
        )

    def _get_services(self, request: Request) -> Reply:
        business = self._business(request)
        listed = sorted(
            (service for service in business.services.values() if service.active and service.online),
            key=lambda service: (service.sort, service.name),
        )
        rows = [
            {
                "id": service.id,
                "name": service.name,
                "description": service.description,
                "category": service.category,
                "durationMin": service.duration_min,
                "priceCents": service.price_cents,
                "currency": business.currency,
            }
            for service in listed
        ]
        return Reply({"org": {**_org(business, currency=True)}, "services": rows})

    def _get_staff(self, request: Request) -> Reply:
        business = self._business(request)
        team = [member for member in business.staff.values() if member.bookable]
        rows = [{"id": m.id, "name": m.name, "title": m.title, "bio": m.bio} for m in team]
        return Reply({"org": _org(business), "staff": rows})

    def _get_availability(self, request: Request) -> Reply:
        business, query = self._business(request), request.query
        first, last = self._range(query)
        service = _bookable(business, query["serviceId"])
        if service is None:
            raise self.refusal(404, "Service not found.")
        earliest = self.now() + timedelta(minutes=business.notice_min)
        days = []
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            slots = list(business.slots(day, service, query.get("staffId"), earliest))
            opened = business.hours[day.isoweekday() % 7] is not None
            days.append({"date": day.isoformat(), "open": opened, "slots": slots})
        return Reply({"org": _org(business), "days": days})

    def _range(self, query: dict[str, str]) -> tuple[date, date]:
        if not query.get("serviceId"):
            raise self.refusal(400, "serviceId is required.")
        try:
            first, last = (_day(query.get(end, "")) for end in ("from", "to"))
        except ValueError:
            raise self.refusal(400, "from and to must be YYYY-MM-DD.") from None
        if not 0 <= (last - first).days <= LONGEST_RANGE:
            raise self.refusal(400, "to must be on or after from, and at most 60 days later.")
        return first, last

    def _get_customers(self, request: Request) -> Reply:
        return Reply({"customers": self._with_key(request).first_customers(CUSTOMER_CAP)})

    def _get_appointments(self, request: Request) -> Reply:
        rows = self._with_key(request).upcoming(self.now(), APPOINTMENT_CAP)
        return Reply({"appointments": [appointment.public() for appointment in rows]})

    # Writing.

    def _post_booking(self, source: str, request: Request) -> Reply:
        business = self._business(request) if source == "online" else self._with_key(request)
        wish = self._wish(self._object(request))
        service = _bookable(business, wish["serviceId"])
        if service is None:
            raise self.refusal(409, "This service is unavailable.")
        staff_id = self._assign(business, service, wish["startAt"], wish.get("staffId"), source)
        customer = business.match_customer(wish["email"], wish["phone"])
        if customer is None:
            customer = Customer(f"cus_{self.new_id()}", wish["name"], wish["email"], wish["phone"])
            business.add_customer(customer)
        appointment = self.book(
            business,
            service,
            start=wish["startAt"],
            customer_id=customer.id,
            staff_id=staff_id,
            notes=wish.get("notes"),
            source=source,
        )
        self.tell_guest("booking_created", appointment, customer.email)
        return Reply(_booked(business, appointment))

    def _object(self, request: Request) -> dict[str, Any]:
        try:
            body = request.json()
        except ValueError:
            raise self.refusal(400, "The request body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise self.refusal(422, "Validation failed.", fieldErrors={"body": ["Expected an object"]})
        return body

    def _wish(self, body: dict[str, Any]) -> dict[str, Any]:
        """Validate a booking; the answer to a bad one names each invalid field.

        Names are stored "trimmed", as documented, even by a sandbox that rewrites nothing else.
        """
        required = {"serviceId", "startAt", "name", "email", "phone"}
        wish, errors = {}, {}
        for key, check in self._checks().items():
            if key in body or key in required:
                try:
                    wish[key] = check(body.get(key))
                except ValueError as problem:
                    errors[key] = [str(problem)]
        if errors:
            raise self.refusal(422, "Validation failed.", fieldErrors=errors)
        return wish

    def _checks(self) -> dict[str, Callable[[Any], Any]]:
        mode = self.normalise
        return {
            "serviceId": partial(_text, 1, 200),
            "startAt": _start,
            "name": lambda value: tidy_text(_text(2, 80, value).strip(), mode),
            "email": lambda value: tidy_email(_matching(EMAIL, value), mode),
            "phone": lambda value: tidy_phone(_matching(PHONE, value), mode),
            "staffId": partial(_text, 1, 200),
            "notes": lambda value: tidy_text(_text(0, 500, value), mode),
        }

    def _assign(
        self, business: Business, service: Service, start: datetime, wanted: str | None, source: str
    ) -> str | None:
        """Return who will do it, or refuse with 409.

        Online bookings respect hours, conflicts and notice. For admin ones "the availability engine is used
        only to resolve a free staff member …; it does not block the booking": only (staff, start) is unique.
        """
        if wanted is not None and (wanted not in business.staff or not business.staff[wanted].bookable):
            raise self.refusal(409, "This team member is unavailable.")
        end = start + timedelta(minutes=service.duration_min)
        blocked = end + timedelta(minutes=service.buffer_min)
        if source == "admin":
            if wanted is not None and business.starts_with(wanted, start):
                raise self.refusal(409, "This team member is already booked at that time.")
            return wanted or business.free_staff(start, blocked)
        if wanted is None:
            wanted = business.free_staff(start, blocked)
        on_time = start >= self.now() + timedelta(minutes=business.notice_min)
        free = wanted is not None and business.is_free(wanted, start, blocked)
        if not (on_time and free and business.is_open(start, end)):
            raise self.refusal(409, "This slot was just taken.")
        return wanted

    def _post_cancel(self, request: Request) -> Reply:
        business = self._with_key(request)
        reason = self._object(request).get("reason") if request.raw.strip() else None
        appointment = business.appointments.get(request.params["id"])
        if appointment is None or appointment.status in {"completed", "no_show"}:
            raise self.refusal(400, "The booking could not be cancelled.")
        changed = appointment.status != "cancelled"
        if changed:
            text = reason[:REASON_LENGTH] if isinstance(reason, str) else None
            self.call_off(business, appointment, text and tidy_text(text, self.normalise))
            customer = business.customers.get(appointment.customer_id)
            self.tell_guest("booking_cancelled", appointment, customer.email if customer else None)
            for service_id, email in business.waitlist:
                if service_id == appointment.service_id:
                    self.tell_guest("waitlist_offer", appointment, email)
        body = {"ok": True, "id": appointment.id, "forfeited": appointment.forfeited}
        return Reply(body, applied=changed)

    def tell_guest(self, kind: str, appointment: Appointment, email: str | None) -> None:
        """Record what the real platform may send to a person because of a call over the API."""
        message = {"kind": kind, "appointment_id": appointment.id, "email": email, "at": self.stamp()}
        self.messages_to_guests.append(message)

    # Webhooks.

    def fire(self, business: Business, appointment: Appointment, event: str) -> None:
        """Send one of the four documented events to every endpoint of the business."""
        data: dict[str, Any] = {
            "id": appointment.id,
            "ref": appointment.ref,
            "service": appointment.service_name,
            "startAt": iso(appointment.start),
        }
        if event == "booking.created":
            data |= {"durationMin": appointment.duration_min, "priceCents": appointment.price_cents}
        data["status"] = appointment.status
        content = dump({"event": event, "sentAt": self.stamp(), "data": data})
        for endpoint in business.endpoints:
            build = partial(self._sign, endpoint, event, content)
            wanted = partial(_still_there, business, endpoint)
            self.hooks.submit(Delivery(endpoint.url, event, build, self.hook_delays, wanted))

    def _sign(self, endpoint: Endpoint, event: str, content: bytes, attempt: int) -> tuple[bytes, Any]:
        stamp = self.signing_time()
        signature = hmac.new(endpoint.secret.encode(), f"{stamp}.".encode() + content, hashlib.sha256)
        return content, {
            "Content-Type": "application/json",
            "User-Agent": "Bookatu-Webhooks/1",
            "X-Bookatu-Event": event,
            "X-Bookatu-Signature": f"t={stamp},v1={signature.hexdigest()}",
            "X-Bookatu-Attempt": str(attempt),
        }


def _org(business: Business, *, currency: bool = False) -> dict[str, str]:
    money = {"currency": business.currency} if currency else {}
    return {"name": business.name, "slug": business.slug, **money, "timezone": business.timezone}


def _bookable(business: Business, service_id: str) -> Service | None:
    service = business.services.get(service_id)
    return service if service and service.active and service.online else None


def _still_there(business: Business, endpoint: Endpoint) -> bool:
    return endpoint in business.endpoints


def _booked(business: Business, appointment: Appointment) -> dict[str, Any]:
    needs_payment = appointment.status == "pending"
    answer = {
        "ok": True,
        "ref": appointment.ref,
        "appointmentId": appointment.id,
        "status": appointment.status,
        "needsPayment": needs_payment,
    }
    if needs_payment:
        answer["payLink"] = f"https://bookatu.com/{business.slug}/book/success?apt={appointment.id}"
    return answer


def _day(text: str) -> date:
    if not DAY.fullmatch(text):
        raise ValueError("not YYYY-MM-DD")
    return date.fromisoformat(text)


def _text(shortest: int, longest: int, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("Required" if value is None else "Expected string")  # noqa: TRY004 - an answer
    if not shortest <= len(value.strip()) <= longest:
        raise ValueError(f"Must be {shortest} to {longest} characters")
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    text = _text(1, 320, value)
    if not pattern.fullmatch(text.strip()) or (pattern is PHONE and not digits(text)):
        raise ValueError("Invalid value")
    return text


def _start(value: Any) -> datetime:
    try:
        return instant(_text(1, 40, value))
    except ValueError:
        raise ValueError("Expected an ISO 8601 date-time") from None
