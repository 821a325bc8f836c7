"""The companies of a NiceJob sandbox: writing, campaigns, webhooks, and what their staff do in the app."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from connectors.nicejob.sandbox_store import (
    ADDRESS,
    COMPANY,
    ENTITIES,
    FIELDS,
    REQUIRED,
    Company,
    Hook,
    MalformedError,
    NotDoneError,
    Table,
    blank,
    checked,
    persons_of,
)
from connectors.sandbox import Delivery, Sandbox, dump, iso, people

SILENT_TAG = "noreview"
REENTRY = timedelta(days=182)
NETWORKS = ("Google", "Facebook", "NiceJob")


class Account(NamedTuple):
    """A connected company."""

    company_id: str
    refresh_token: str


def dotted(entity: str, verb: str) -> str:
    """Print an event code as ``Person.updated``; the document does not say what one looks like."""
    return f"{entity}.{verb}"


class Office(Sandbox):
    """The rules behind the API, shared by the API and by the staff's actions."""

    # "We will retry for up to 3 days with an exponential back off": 1 minute, 2, 4, … make 2.8 days.
    hook_delays = tuple(60.0 * 2**turn for turn in range(12))

    def __init__(
        self,
        *,
        event_code: Callable[[str, str], str] = dotted,
        sign_timestamp: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.event_code = event_code
        self.sign_timestamp = sign_timestamp
        self.companies: dict[str, Company] = {}
        self.webhooks: dict[str, Hook] = {}
        self.enrolments: list[dict[str, Any]] = []

    def staff_actions(self) -> list[Callable[..., Any]]:
        """Return what can be done in the app."""
        return [
            self.create_person,
            self.update_person,
            self.delete_person,
            self.block_person,
            self.create_booking,
            self.update_booking,
            self.complete_booking,
            self.add_review,
            self.edit_review,
            self.delete_review,
            self.add_employee,
            self.update_company,
            self.set_campaign_settings,
        ]

    def counts(self) -> dict[str, int]:
        """Return how much there is of everything; ``enrolments`` is how many people were written to."""
        by_api = sum(row["by"] == "api" for row in self.enrolments)
        totals = {"companies": len(self.companies), "enrolments": len(self.enrolments)}
        totals |= {"enrolments_by_api": by_api, "webhooks": len(self.webhooks)}
        for company in self.companies.values():
            for name, table in company.tables.items():
                totals[name] = totals.get(name, 0) + len(table.rows)
        return totals

    def rows(self, limit: int) -> dict[str, list[Any]]:
        """Return the newest rows of every company."""
        found: dict[str, list[Any]] = {
            "companies": [company.details for company in self.companies.values()],
            "enrolments": self.enrolments[-limit:],
            "webhooks": [hook.public() for hook in self.webhooks.values()],
        }
        for company in self.companies.values():
            for name, table in company.tables.items():
                rows = [{"company_id": company.id, **row} for row in list(table.rows.values())[-limit:]]
                found.setdefault(name, []).extend(rows)
        return found

    def company(self, company_id: str | None = None) -> Company:
        """Return a company, the first one unless told otherwise."""
        if company_id is None:
            return next(iter(self.companies.values()))
        return self.companies[company_id]

    def open_company(self, name: str, details: dict[str, Any]) -> Company:
        """Take a company in, with its Get Reviews campaign."""
        now = self.stamp()
        company_id, address = self.new_id(20), dict.fromkeys(ADDRESS)
        row = {**dict.fromkeys(COMPANY), "id": company_id, "address": address, "company_name": name}
        company = Company(company_id, {**row, "created_at": now, "updated_at": now, **details})
        company.tables = {table: Table() for table in [*ENTITIES, "visits"]}
        campaign = {"id": self.new_id(20), "created_at": now, "description": None, "name": "Get Reviews"}
        campaign |= {"objective": "REVIEWS", "subject_kind": "Person", "updated_at": now}
        company.tables["campaigns"].put(campaign)
        self.companies[company.id] = company
        return company

    # Writing, for the API and for staff alike.

    def create(self, company: Company, table: str, values: Any, by: str = "api") -> dict[str, Any]:
        """Create an entity; ``MalformedError`` or ``NotDoneError`` where that is not possible."""
        given = checked(FIELDS[table], values, self.normalise)
        missing = [name for name in REQUIRED.get(table, ()) if name not in given]
        if missing:
            raise MalformedError(f"{', '.join(missing)} missing")
        now = self.stamp()
        row = {**blank(table), "id": self.new_id(20), "created_at": now}
        if table != "reviews":
            row["updated_at"] = now
        return self._store(company, table, row, given=given, verb="created", by=by)

    def update(
        self, company: Company, table: str, row_id: str, values: Any, by: str = "api"
    ) -> dict[str, Any] | None:
        """Overwrite the given values; None where there is no such entity."""
        given = checked(FIELDS[table], values, self.normalise)
        old = company.tables[table].rows.get(row_id)
        if old is None:
            return None
        stamp = {} if table == "reviews" else {"updated_at": self.stamp()}
        return self._store(company, table, {**old, **stamp}, given=given, verb="updated", by=by)

    def _store(
        self, company: Company, table: str, row: dict[str, Any], *, given: dict[str, Any], verb: str, by: str
    ) -> dict[str, Any]:
        if table == "bookings":
            given = self._booking_input(given)
        new = {**row, **given}
        self._refuse_clash(company, table, new)
        old = company.tables[table].rows.get(row["id"])
        done = _is_done(table, new) and not (old and _is_done(table, old))
        if done and new.get("completed_time") is None:
            new["completed_time"] = self.stamp()
        if old is not None:
            company.tables[table].take(row["id"])
        company.tables[table].put(new)
        self.fire(company, table, new["id"], verb)
        if done:
            self._after_completion(company, table, new, by)
        return new

    def _booking_input(self, given: dict[str, Any]) -> dict[str, Any]:
        # `person_id` is deprecated but accepted; `items` are write-only and never seen again.
        values = {key: value for key, value in given.items() if key not in {"items", "person_id"}}
        if "person_id" in given:
            values["person_ids"] = [given["person_id"], *given.get("person_ids", [])]
        return values

    def _refuse_clash(self, company: Company, table: str, row: dict[str, Any]) -> None:
        tables = company.tables
        if row.get("email") and table in {"people", "employees"}:
            owner = tables[table].with_email(row["email"])
            if owner not in {None, row["id"]}:
                raise NotDoneError(f"{ENTITIES[table]} with this email already exists")
        # What already stood there may point at somebody who has since been deleted.
        known = tables[table].rows.get(row["id"], {})
        if not {*persons_of(row)} - {*persons_of(known)} <= tables["people"].rows.keys():
            raise NotDoneError("Person not found")
        employees = {*row.get("employee_ids", ())} - {*known.get("employee_ids", ())}
        if not employees <= tables["employees"].rows.keys():
            raise NotDoneError("Employee not found")
        if table == "visits" and row["booking_id"] not in tables["bookings"].rows:
            raise NotDoneError("Booking not found")

    # Campaigns: the messages that people get.

    def _after_completion(self, company: Company, table: str, row: dict[str, Any], by: str) -> None:
        wanted = company.visits_enrol if table == "visits" else company.completion_enrols
        # The tag is documented for Bookings; nothing says that it silences a Visit or a Case.
        if not wanted or (table == "bookings" and SILENT_TAG in row["tags"]):
            return
        for person_id in persons_of(row):
            try:
                self.enrol(company, person_id, None, by=by, cause=table.removesuffix("s"), source=row)
            except NotDoneError:
                continue

    def enrol(
        self,
        company: Company,
        person_id: str,
        campaign_id: str | None,
        *,
        by: str,
        cause: str,
        source: dict[str, Any],
    ) -> dict[str, Any]:
        """Enrol a person in a campaign; ``NotDoneError`` where the campaign's rules forbid it."""
        campaigns = company.tables["campaigns"].rows
        campaign_id = campaign_id or next(iter(campaigns))
        person = company.tables["people"].rows.get(person_id)
        self._refuse_enrolment(company, person, campaign_id)
        now = self.stamp()
        company.last_enrolled[person_id, campaign_id] = self.now()
        row: dict[str, Any] = {
            "id": self.new_id(20),
            "campaign_id": campaign_id,
            "created_at": now,
            "employee_ids": list(source.get("employee_ids", [])),
            "tags": list(source.get("tags", [])),
            "updated_at": now,
        }
        booking_id = source.get("booking_id") if cause == "visit" else source.get("id")
        record = {"id": row["id"], "company_id": company.id, "person_id": person_id, "by": by, "cause": cause}
        record |= {"booking_id": booking_id if cause in {"booking", "visit"} else None}
        record |= {"source_id": source.get("id"), "campaign_id": campaign_id, "at": now}
        self.enrolments.append(record)
        company.tables["campaign_enrollments"].put(row)
        self.fire(company, "campaign_enrollments", row["id"], "created")
        return row

    def _refuse_enrolment(self, company: Company, person: dict[str, Any] | None, campaign_id: str) -> None:
        if campaign_id not in company.tables["campaigns"].rows:
            raise NotDoneError("Campaign not found")
        if person is None:
            raise NotDoneError("Person not found")
        if person["blocked"]:
            raise NotDoneError("Person is blocked")
        if not person["email"] and not person["phone"]:
            raise NotDoneError("Person has neither an email address nor a phone number")
        last = company.last_enrolled.get((person["id"], campaign_id))
        if last is not None and self.now() < last + REENTRY:
            raise NotDoneError("Person was enrolled in this campaign recently")

    # Webhooks: one set for all companies of the developer.

    def fire(self, company: Company, table: str, entity_id: str, verb: str) -> None:
        """Tell every enabled webhook with a subscription to this entity."""
        entity = ENTITIES.get(table)
        if entity is None:
            return
        payload = {
            "company_id": company.id,
            "entity_id": entity_id,
            "event_code": self.event_code(entity, verb),
        }
        for hook in self.webhooks.values():
            if hook.is_enabled and entity in hook.subscriptions:
                self.send_hook(hook, payload)

    def send_hook(self, hook: Hook, payload: dict[str, Any], *, test: bool = False) -> None:
        """Send a payload to a webhook; a test is not retried and never disables."""
        build = partial(self._sign, hook, payload)
        url, event = hook.endpoint_url or "", payload["event_code"]
        if test:
            self.hooks.submit(Delivery(url, event, build, ()))
        else:
            wanted, exhausted = partial(self._wanted, hook), partial(setattr, hook, "is_enabled", False)
            self.hooks.submit(Delivery(url, event, build, self.hook_delays, wanted, exhausted))

    def _wanted(self, hook: Hook) -> bool:
        return hook.is_enabled and hook.id in self.webhooks

    def _sign(self, hook: Hook, payload: dict[str, Any], _attempt: int) -> tuple[bytes, dict[str, str]]:
        # "The timestamp is generated immediately prior to dispatch": every attempt has its own.
        stamp, printed = self.signing_time(), dump(payload)
        text = f"{stamp}.".encode() + printed if self.sign_timestamp else printed
        signed = hmac.new(hook.secret.encode(), text, hashlib.sha256).hexdigest()
        body = {"payload": payload, "signature": {"signed_payload": signed, "timestamp": stamp}}
        return dump(body), {"Content-Type": "application/json"}

    # What staff do in the app.

    def create_person(self, *, company_id: str | None = None, **values: Any) -> str:
        """Add a person; returns the id. The values are the fields of the API."""
        return str(self.create(self.company(company_id), "people", values, "staff")["id"])

    def update_person(self, person_id: str, *, company_id: str | None = None, **values: Any) -> None:
        """Change a person."""
        self._staff_update("people", person_id, company_id, values)

    def block_person(self, person_id: str, *, company_id: str | None = None) -> None:
        """Block a person, who then gets no messages."""
        self._staff_update("people", person_id, company_id, {"blocked": True})

    def delete_person(self, person_id: str, *, company_id: str | None = None) -> None:
        """Delete a person; bookings keep pointing at the id."""
        self._staff_delete("people", person_id, company_id)

    def create_booking(self, *, company_id: str | None = None, **values: Any) -> str:
        """Add a booking; returns the id."""
        return str(self.create(self.company(company_id), "bookings", values, "staff")["id"])

    def update_booking(self, booking_id: str, *, company_id: str | None = None, **values: Any) -> None:
        """Change a booking."""
        self._staff_update("bookings", booking_id, company_id, values)

    def complete_booking(self, booking_id: str, *, company_id: str | None = None) -> None:
        """Complete a booking, with the campaign that follows from it."""
        self._staff_update("bookings", booking_id, company_id, {"complete": True})

    def add_review(self, *, company_id: str | None = None, **values: Any) -> str:
        """Let a review arrive; returns the id."""
        values.setdefault("created_at", self.stamp())
        return str(self.create(self.company(company_id), "reviews", values, "staff")["id"])

    def edit_review(self, review_id: str, *, company_id: str | None = None, **values: Any) -> None:
        """Let a review change."""
        self._staff_update("reviews", review_id, company_id, values)

    def delete_review(self, review_id: str, *, company_id: str | None = None) -> None:
        """Let a review disappear from its network."""
        self._staff_delete("reviews", review_id, company_id)

    def add_employee(self, *, company_id: str | None = None, **values: Any) -> str:
        """Add an employee; returns the id."""
        return str(self.create(self.company(company_id), "employees", values, "staff")["id"])

    def update_company(self, *, company_id: str | None = None, **values: Any) -> None:
        """Change the company's own data; there is no subscription for this."""
        self.company(company_id).details.update(values, updated_at=self.stamp())

    def set_campaign_settings(self, *, company_id: str | None = None, **settings: bool) -> None:
        """Set ``completion_enrols`` and ``visits_enrol``."""
        company = self.company(company_id)
        company.completion_enrols = settings.get("completion_enrols", company.completion_enrols)
        company.visits_enrol = settings.get("visits_enrol", company.visits_enrol)

    def _staff_update(self, table: str, row_id: str, company_id: str | None, values: dict[str, Any]) -> None:
        if self.update(self.company(company_id), table, row_id, values, "staff") is None:
            raise LookupError(f"{table} has no row {row_id}")

    def _staff_delete(self, table: str, row_id: str, company_id: str | None) -> None:
        company = self.company(company_id)
        company.tables[table].take(row_id)
        self.fire(company, table, row_id, "deleted")

    # Bulk.

    def seed_people(self, count: int, *, seed: int = 1, company_id: str | None = None) -> None:
        """Add invented people; no events are sent."""
        table = self.company(company_id).tables["people"]
        now = self.stamp()
        for person in people(count, seed=seed, start=len(table.rows)):
            names = {"first_name": person.first, "last_name": person.last}
            row = {**blank("people"), "id": self.new_id(20), "created_at": now, "updated_at": now, **names}
            table.put({**row, "email": person.email, "phone": person.phone})

    def seed_bookings(self, count: int, *, seed: int = 1, company_id: str | None = None) -> None:
        """Add open bookings on the days ahead; no events are sent."""
        tables = self.company(company_id).tables
        if not tables["people"].rows:
            self.seed_people(min(count, 500), seed=seed, company_id=company_id)
        guests, now = tables["people"].order, self.now()
        for index in range(count):
            row = {**blank("bookings"), "id": self.new_id(20), "name": f"Visit {index}", "amount": 75}
            row |= {"created_at": iso(now), "updated_at": iso(now)}
            row["scheduled_time"] = iso(now + timedelta(minutes=30 * (index + 1)))
            tables["bookings"].put({**row, "person_ids": [guests[index * 7 % len(guests)]]})

    def seed_reviews(self, count: int, *, seed: int = 1, company_id: str | None = None) -> None:
        """Add reviews of the days behind; no events are sent."""
        table, now = self.company(company_id).tables["reviews"], self.now()
        for index, person in enumerate(people(count, seed=seed)):
            row = {**blank("reviews"), "id": self.new_id(20), "author": person.name, "rating": 5 - index % 3}
            row["created_at"] = iso(now - timedelta(hours=index))
            table.put({**row, "network": NETWORKS[index % len(NETWORKS)], "author_email": person.email})


def _is_done(table: str, row: dict[str, Any]) -> bool:
    return bool(row["status"] == "closed" if table == "cases" else row.get("complete"))
