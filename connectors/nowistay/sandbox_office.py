"""The host behind a Nowistay sandbox: the rules of writing, what guests and channels are told, webhooks, the app."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from connectors.nowistay.sandbox_store import (
    KEY,
    KEY_RULE,
    SENSITIVE,
    Hook,
    InvalidError,
    Tables,
    blank_booking,
    checked,
)
from connectors.sandbox import Delivery, Refusal, Sandbox, dump, people

DATES = ("arrival", "departure")
CHANNEL_MIX = ("direct", "airbnb", "direct", "booking", "vrbo", "direct", "expedia")


class Office(Sandbox):
    """One host with properties, and all that happens in their account.

    ``signature``: what the header of a webhook looks like. ``envelope``: the booking bare, or under ``data`` with
    ``event`` beside it. ``hook_on_api_writes``: whether a write through the API is told to webhooks too.
    """

    # "retried with exponential backoff … auto-disabled if it keeps failing for more than 72 hours": 1 minute, 2, 4, …
    # and one last attempt after that.
    hook_delays = (*(60.0 * 2**turn for turn in range(12)), 4 * 3600.0)

    def __init__(
        self,
        *,
        signature: Literal["hex", "sha256", "timed"] = "timed",
        envelope: Literal["bare", "data"] = "bare",
        hook_on_api_writes: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.signature, self.envelope = signature, envelope
        self.hook_on_api_writes = hook_on_api_writes
        self.tables = Tables()
        self.subscribed = True
        self.lapsed: set[int] = set()
        self.guest_messages: list[dict[str, Any]] = []
        self.calendar_pushes: list[dict[str, Any]] = []
        self._numbers = dict.fromkeys(("properties", "team"), 100) | {"bookings": 9000, "missions": 500}

    def staff_actions(self) -> list[Callable[..., Any]]:
        """Return what can be done in the app, and by guests."""
        return [
            self.add_property,
            self.update_property,
            self.lapse,
            self.subscribe,
            self.add_booking,
            self.update_booking,
            self.cancel_booking,
            self.delete_booking,
            self.guest_cancels,
            self.add_parameter,
            self.add_mission,
            self.add_team_member,
            self.disable_webhook,
        ]

    def counts(self) -> dict[str, int]:
        """Return how much there is of everything."""
        tables = self.tables
        named = {"properties": tables.properties, "bookings": tables.bookings, "missions": tables.missions}
        named |= {"parameters": tables.parameters, "team": tables.team, "webhooks": tables.hooks}  # type: ignore[dict-item]
        said = {"guest_messages": self.guest_messages, "calendar_pushes": self.calendar_pushes}
        return {name: len(rows) for name, rows in [*named.items(), *said.items()]}

    def rows(self, limit: int) -> dict[str, list[Any]]:
        """Return the newest rows of every kind."""
        tables = self.tables
        return {
            "properties": list(tables.properties.values())[-limit:],
            "bookings": list(tables.bookings.values())[-limit:],
            "parameters": list(tables.parameters.values())[-limit:],
            "missions": list(tables.missions.values())[-limit:],
            "team": list(tables.team.values())[-limit:],
            "webhooks": [hook.public() for hook in list(tables.hooks.values())[-limit:]],
            "guest_messages": self.guest_messages[-limit:],
            "calendar_pushes": self.calendar_pushes[-limit:],
        }

    def problem(self, status: int, message: str) -> Any:
        """Return an error in the documented envelope."""
        return self._error("internal_error" if status >= 500 else f"error_{status}", message)  # noqa: PLR2004

    def refusal(self, status: int, code: str, message: str) -> Refusal:
        """Return a refusal with a code of its own."""
        return Refusal(status, self._error(code, message))

    def _error(self, code: str, message: str) -> dict[str, Any]:
        return {"error": {"code": code, "message": message, "requestId": f"req_{self.new_id(26).upper()}"}}

    def next_id(self, table: str) -> int:
        """Return the next id of a table: ids are integers."""
        self._numbers[table] += 1
        return self._numbers[table]

    def entitled(self) -> dict[int, dict[str, Any]]:
        """Return the properties that the API shows."""
        return {key: row for key, row in self.tables.properties.items() if key not in self.lapsed}

    def property_id(self, wanted: int | None = None) -> int:
        """Return a property, the first one unless told otherwise; there is one as soon as one is needed."""
        if wanted is None:
            return next(iter(self.tables.properties), None) or self.add_property()
        if wanted not in self.tables.properties:
            raise InvalidError("propertyId is not one of your properties")
        return wanted

    # Writing.

    def store_booking(
        self, row: dict[str, Any], given: dict[str, Any], *, api: bool = False, silent: bool = False
    ) -> dict[str, Any]:
        """Take a booking's new values in, tell whom that concerns; returns the row. Raises InvalidError."""
        new = {**row, **{key: value for key, value in given.items() if key != "customParameters"}}
        new["customParameters"] = self._parameters(row["customParameters"], given.get("customParameters", {}))
        if new["departure"] <= new["arrival"]:
            raise InvalidError("departure must be after arrival")
        created = row["id"] not in self.tables.bookings
        if not created:
            new["updatedAt"] = self.stamp()
        self.tables.bookings[row["id"]] = new
        event = "booking.created" if created else "booking.updated"
        if api and not silent:
            # With `silent: false` come "the usual notifications (guest messages, calendar push) on the update".
            told = {"bookingId": row["id"], "at": self.stamp(), "fields": sorted(given)}
            self.guest_messages.append(told)
            if any(new[name] != row[name] for name in DATES):
                self.calendar_pushes.append({**told, **{name: new[name] for name in DATES}})
        self._note(new["propertyId"], "booking", event, row["id"])
        if self.hook_on_api_writes or not api:
            self.fire(event, new)
        return new

    def _parameters(self, has: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(given) - set(self.tables.parameters)):
            raise InvalidError(f"customParameters has no field {unknown[0]}")
        merged = {**has, **given}
        return {key: value for key, value in merged.items() if value is not None}

    def store_mission(self, row: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """Take a mission's new values in; returns the row. Raises InvalidError."""
        new = {**row, **given}
        place = self.tables.properties.get(new["propertyId"])
        if place is None:
            raise InvalidError("propertyId is not one of your properties")
        if new["bookingId"] is not None and new["bookingId"] not in self.tables.bookings:
            raise InvalidError("bookingId is not one of your bookings")
        if new["assignedTeamMemberId"] not in {None, *self.tables.team}:
            raise InvalidError("assignedTeamMemberId is not one of your team")
        new["timezone"] = new["timezone"] or place["address"]["timezone"]
        self.tables.missions[new["id"]] = new
        self._note(new["propertyId"], "mission", "mission.saved", new["id"])
        return new

    def new_mission(self, given: dict[str, Any]) -> dict[str, Any]:
        """Add a mission; returns the row. Raises InvalidError."""
        empty = dict.fromkeys(("bookingId", "timezone", "assignedTeamMemberId"))
        row = {"id": 0, **empty, "status": "pending", "createdAt": self.stamp()}
        return self.store_mission(row, {**given, "id": self.next_id("missions")})

    def new_parameter(self, key: str, name: str) -> dict[str, Any]:
        """Add a field of the host's own; returns the row. Raises InvalidError or Refusal."""
        if not KEY.fullmatch(key):
            raise InvalidError(KEY_RULE)
        if key in self.tables.parameters:
            raise self.refusal(409, "conflict", "Parameter key already exists")
        self.tables.parameters[key] = {"key": key, "name": name, "createdAt": self.stamp()}
        return self.tables.parameters[key]

    def _note(self, property_id: int, category: str, kind: str, ref: int) -> None:
        row = {"id": len(self.tables.activity) + 1, "propertyId": property_id, "category": category}
        self.tables.activity.append({**row, "type": kind, "subjectId": ref, "createdAt": self.stamp()})

    # Webhooks.

    def fire(self, event: str, booking: dict[str, Any]) -> None:
        """Tell the property's active webhooks, without the sensitive fields."""
        shown = {key: value for key, value in booking.items() if key not in SENSITIVE}
        for hook in self.tables.hooks.values():
            if (
                hook.property_id != booking["propertyId"]
                or event not in hook.events
                or hook.status != "active"
            ):
                continue
            body = {"event": event, "data": shown} if self.envelope == "data" else shown
            build = partial(self._sign, hook, event, dump(body))
            off = partial(setattr, hook, "status", "disabled")
            wanted = partial(self._wanted, hook)
            self.hooks.submit(Delivery(hook.url, event, build, self.hook_delays, wanted, off))

    def _wanted(self, hook: Hook) -> bool:
        return hook.status == "active" and hook.id in self.tables.hooks

    def _sign(self, hook: Hook, event: str, body: bytes, _attempt: int) -> tuple[bytes, dict[str, str]]:
        stamp = self.signing_time()
        text = f"{stamp}.".encode() + body if self.signature == "timed" else body
        digest = hmac.new(hook.secret.encode(), text, hashlib.sha256).hexdigest()
        header = {"hex": digest, "sha256": f"sha256={digest}", "timed": f"t={stamp},v1={digest}"}
        named = {"X-Nowistay-Event": event, "X-Nowistay-Signature": header[self.signature]}
        return body, {"Content-Type": "application/json", **named}

    # What the host, the channels and guests do.

    def add_property(self, name: str = "Lilas Apartment", **values: Any) -> int:
        """Add a property; returns the id. The values are the fields of the API."""
        number = self.next_id("properties")
        place = {"city": "Paris", "country": "France", "countryCode": "FR", "timezone": "Europe/Paris"}
        row = {"id": number, "name": name, "propertyType": "apartment", "capacity": 4}
        row |= {"checkInTime": "16:00:00", "checkOutTime": "11:00:00", "address": place}
        self.tables.properties[number] = {**row, **values}
        return number

    def update_property(self, property_id: int, **values: Any) -> None:
        """Change a property."""
        self.tables.properties[property_id] |= values

    def lapse(self, property_id: int, *, on: bool = True) -> None:
        """End (or renew) the subscription of one property: the API no longer returns it, nor its bookings."""
        (self.lapsed.add if on else self.lapsed.discard)(property_id)

    def subscribe(self, *, on: bool = True) -> None:
        """End or renew the subscription of the whole account."""
        self.subscribed = on

    def add_booking(self, **values: Any) -> int:
        """Let a reservation arrive, from wherever ``channel`` says; returns the id."""
        given = checked("bookings", values, self.normalise)
        row = blank_booking(
            self.next_id("bookings"), self.property_id(given.pop("propertyId", None)), self.stamp()
        )
        return int(self.store_booking(row, given)["id"])

    def update_booking(self, booking_id: int, **values: Any) -> None:
        """Change a reservation in the app, or let its channel change it."""
        row = self.tables.bookings[booking_id]
        self.store_booking(row, checked("bookings", values, self.normalise))

    def cancel_booking(self, booking_id: int) -> None:
        """Cancel a reservation. "Two events are supported today": it is told as an update."""
        self.update_booking(booking_id, status="cancelled")

    def guest_cancels(self, booking_id: int) -> None:
        """Let the guest cancel."""
        self.cancel_booking(booking_id)

    def delete_booking(self, booking_id: int) -> None:
        """Let a reservation vanish: no event is documented for that."""
        del self.tables.bookings[booking_id]

    def add_parameter(self, key: str, name: str = "A field") -> None:
        """Add a field of the host's own to all bookings."""
        self.new_parameter(key, name)

    def add_mission(self, **values: Any) -> int:
        """Add a mission; returns the id."""
        defaults = {"propertyId": self.property_id(), "missionType": "cleaning", "title": "Checkout cleaning"}
        given = {**defaults, "scheduledAt": "2026-07-18T11:30:00Z", **values}
        return int(self.new_mission(checked("missions", given, self.normalise, new=True))["id"])

    def add_team_member(self, name: str = "Camille", **values: Any) -> int:
        """Add a team member; returns the id."""
        number = self.next_id("team")
        row = {
            "id": number,
            "name": name,
            "role": "cleaner",
            "email": f"team{number}@example.com",
            "phone": None,
        }
        self.tables.team[number] = {**row, "propertyIds": list(self.tables.properties), **values}
        return number

    def disable_webhook(self, webhook_id: str) -> None:
        """Let a webhook be disabled, as after 72 hours of failures."""
        self.tables.hooks[webhook_id].status = "disabled"

    # Bulk.

    def seed_properties(self, count: int, *, seed: int = 1) -> None:
        """Add properties."""
        for index in range(count):
            self.add_property(f"Apartment {seed}-{index + 1}")

    def seed_team(self, count: int, *, seed: int = 1) -> None:
        """Add team members."""
        for person in people(count, seed=seed):
            self.add_team_member(person.name, email=person.email, phone=person.phone)

    def seed_bookings(self, count: int, *, seed: int = 1) -> None:
        """Add stays on the days ahead; no events are sent."""
        places = list(self.tables.properties) or [self.add_property()]
        today = self.now().date()
        for index, guest in enumerate(people(count, seed=seed, start=len(self.tables.bookings))):
            row = blank_booking(self.next_id("bookings"), places[index % len(places)], self.stamp())
            arrival = today + timedelta(days=index // len(places) * 3)
            row |= {"arrival": arrival.isoformat(), "departure": (arrival + timedelta(days=3)).isoformat()}
            row |= {"guestName": guest.name, "guestEmail": guest.email, "guestPhone": guest.phone}
            row |= {"amount": f"{200 + index}.00", "channel": CHANNEL_MIX[index % len(CHANNEL_MIX)]}
            self.tables.bookings[row["id"]] = row | {"smartLockCode": f"{4000 + index}"}

    def seed_missions(self, count: int, *, seed: int = 1) -> None:  # noqa: ARG002 - all alike
        """Add cleanings on the days ahead."""
        for index in range(count):
            when = (self.now() + timedelta(days=index)).isoformat()
            self.add_mission(title=f"Cleaning {index + 1}", scheduledAt=when)
