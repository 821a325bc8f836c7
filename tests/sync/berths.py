"""Each platform's sandbox with the hands of its staff, all in the same words.

A new platform needs a berth in ``BERTHS``, or the tests over the registry fail for want of it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from connectors.bookatu.sandbox import BookatuSandbox
from connectors.nearbyassist.sandbox import NearbyAssistSandbox
from connectors.nicejob.sandbox import NiceJobSandbox
from connectors.nowistay.sandbox import NowistaySandbox
from connectors.sandbox import Sandbox, iso

PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True)
class Guest:
    first: str = "Ann"
    last: str = "Example"
    email: str = "ann@example.com"
    phone: str = "+64 21 555 0100"

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"


ANN = Guest()
BOB = Guest("Bob", "Sample", "bob@example.com", "+64 21 555 0101")


def plain(value):
    """A value as all platforms may be asked for it: instants in whole seconds, and the digits of anything else."""
    text = str(value)
    if "T" in text:
        return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
    return "".join(letter for letter in text.removesuffix(".0") if letter.isdigit())


class Berth:
    """One platform: what its staff do, what it holds, and whom it told."""

    platform: str
    box: Sandbox
    currency = "NZD"

    def connection(self, url: str, hooks: str) -> str:
        """The keys of its connection in the YAML; ``hooks`` is where its webhooks are to go."""
        raise NotImplementedError

    def book(self, days: int, guest: Guest = ANN) -> str:
        """Somebody books a visit in so many days; gives its id."""
        raise NotImplementedError

    def move(self, ref: str, days: int) -> None:
        raise NotImplementedError

    def price(self, ref: str, amount: int) -> None:
        raise NotImplementedError

    def cancel(self, ref: str) -> None:
        raise NotImplementedError

    def visits(self) -> dict[str, dict]:
        """By id: ``starts``, ``amount`` and ``off`` of every booking."""
        raise NotImplementedError

    def said(self) -> list:
        """What guests were told because of calls over the API."""
        raise NotImplementedError

    def call(self, ref: str, phone: str) -> None:
        """The guest of a booking has another phone number."""
        raise NotImplementedError

    def day(self, days: int) -> datetime:
        return (self.box.now() + timedelta(days=days)).replace(hour=1, minute=0, second=0, microsecond=0)

    def starts(self, ref: str) -> datetime:
        return self.visits()[ref]["starts"]

    def live(self) -> list[str]:
        return [ref for ref, row in self.visits().items() if not row["off"]]

    def writes(self) -> int:
        """How many calls changed something."""
        calls = [call for verb in ("POST", "PATCH", "DELETE") for call in self.box.calls(verb, applied=True)]
        return len([call for call in calls if not any(word in call.path for word in ("oauth", "webhooks"))])


class BookatuBerth(Berth):
    platform = "bookatu"

    def __init__(self, **options):
        self.box = BookatuSandbox(retry_scale=0, **options)

    def connection(self, url, hooks):
        secret = self.box.add_webhook(hooks)
        key = self.box.api_keys["parnell-nails"]
        return f'slug: parnell-nails, api_key: "{key}", webhook_secret: "{secret}", base_url: "{url}"'

    def book(self, days, guest=ANN):
        shop = self.box.business()
        known = shop.match_customer(guest.email, guest.phone)
        who = known.id if known else self.box.add_customer(guest.name, guest.email, guest.phone)
        return self.box.create_appointment("svc_abc123", iso(self.day(days)), who)

    def move(self, ref, days):
        self.box.reschedule(ref, iso(self.day(days)))

    def price(self, ref, amount):
        self.box.edit_appointment(ref, price_cents=amount * 100)

    def cancel(self, ref):
        self.box.cancel(ref)

    def complete(self, ref):
        self.box.complete(ref)

    def call(self, ref, phone):
        self.box.edit_customer(self.box.business().appointments[ref].customer_id, phone=phone)

    def visits(self):
        rows = self.box.business().appointments.values()
        return {
            row.id: {"starts": row.start, "amount": row.price_cents / 100, "off": row.status == "cancelled"}
            for row in rows
        }

    def said(self):
        return self.box.messages_to_guests


class NearbyAssistBerth(Berth):
    platform = "nearbyassist"

    def __init__(self, **options):
        self.box = NearbyAssistSandbox(retry_scale=0, **options)

    def connection(self, url, hooks):
        return f'api_key: "{self.box.api_key}", webhook_secret: "{self.box.add_webhook(hooks)}", base_url: "{url}"'

    def book(self, days, guest=ANN):
        known = self.box.business.match_customer(guest.email, guest.phone)
        who = known.id if known else self.box.add_customer(guest.first, guest.last, guest.email, guest.phone)
        return self.box.create_booking(iso(self.day(days)), who, staff_id="stf_abc")

    def move(self, ref, days):
        self.box.reschedule(ref, iso(self.day(days)))

    def price(self, ref, amount):
        self.box.edit_booking(ref, price=float(amount))

    def cancel(self, ref):
        self.box.cancel(ref)

    def complete(self, ref):
        self.box.complete(ref)

    def call(self, ref, phone):
        self.box.edit_customer(self.box.business.bookings[ref].customer_id, phone=phone)

    def review(self, ref, rating):
        return self.box.add_review(rating, booking_id=ref, author_name=ANN.name, author_email=ANN.email)

    def rate(self, review, rating):
        self.box.edit_review(review, rating=rating)

    def visits(self):
        return {
            row.id: {"starts": row.start, "amount": row.price, "off": row.status == "cancelled"}
            for row in self.box.business.bookings.values()
        }

    def said(self):
        return self.box.messages_to_guests


class NiceJobBerth(Berth):
    platform = "nicejob"

    def __init__(self, **options):
        self.box = NiceJobSandbox(retry_scale=0, **options)
        self.company = self.box.add_company("Parnell Nails")

    def connection(self, url, hooks):
        return (
            "client_id: nj_client_sandbox, client_secret: nj_secret_sandbox,"
            f' refresh_token: "{self.company.refresh_token}", base_url: "{url}"'
        )

    def person(self, guest=ANN):
        for row in self.table("people").values():
            if row["email"] == guest.email:
                return row["id"]
        names = {"first_name": guest.first, "last_name": guest.last}
        return self.box.create_person(**names, email=guest.email, phone=guest.phone)

    def book(self, days, guest=ANN):
        return self.box.create_booking(
            name="Gel Manicure",
            person_ids=[self.person(guest)],
            scheduled_time=iso(self.day(days)),
            amount=75,
        )

    def move(self, ref, days):
        self.box.update_booking(ref, scheduled_time=iso(self.day(days)))

    def price(self, ref, amount):
        self.box.update_booking(ref, amount=amount)

    def call(self, ref, phone):
        self.box.update_person(self.table("bookings")[ref]["person_ids"][0], phone=phone)

    def review(self, ref, rating):
        (who,) = self.table("bookings")[ref]["person_ids"]
        return self.box.add_review(rating=rating, author=ANN.name, person_id=who, network="Google")

    def rate(self, review, rating):
        self.box.edit_review(review, rating=rating)

    def table(self, name):
        return self.box.company().tables[name].rows

    def visits(self):
        return {
            row["id"]: {
                "starts": row["scheduled_time"] and datetime.fromisoformat(row["scheduled_time"]),
                "amount": row["amount"],
                "off": "cancelled" in row["tags"],
            }
            for row in self.table("bookings").values()
        }

    def said(self):
        return self.box.enrolments


class NowistayBerth(Berth):
    platform = "nowistay"

    def __init__(self, **options):
        self.box = NowistaySandbox(retry_scale=0, **options)
        self.box.add_property()

    def connection(self, url, hooks):
        token = next(iter(self.box.refresh_tokens))
        return (
            "client_id: client_sandbox, client_secret: nis_client_secret_sandbox0000,"
            f' refresh_token: "{token}", base_url: "{url}"'
        )

    def _stay(self, days):
        first = self.day(days).date()
        return {"arrival": first.isoformat(), "departure": (first + timedelta(days=2)).isoformat()}

    def book(self, days, guest=ANN):
        contact = {"guestName": guest.name, "guestEmail": guest.email, "guestPhone": guest.phone}
        return str(
            self.box.add_booking(**self._stay(days), **contact, amount="75.00", currency=self.currency)
        )

    def move(self, ref, days):
        self.box.update_booking(int(ref), **self._stay(days))

    def price(self, ref, amount):
        self.box.update_booking(int(ref), amount=f"{amount}.00")

    def cancel(self, ref):
        self.box.cancel_booking(int(ref))

    def call(self, ref, phone):
        self.box.update_booking(int(ref), guestPhone=phone)

    def visits(self):
        return {
            str(row["id"]): {
                "starts": datetime.fromisoformat(f"{row['arrival']}T16:00").replace(tzinfo=PARIS),
                "amount": row["amount"] and float(row["amount"]),
                "off": row["status"] == "cancelled",
            }
            for row in self.box.tables.bookings.values()
        }

    def said(self):
        return self.box.guest_messages


BERTHS: dict[str, type[Berth]] = {
    berth.platform: berth for berth in (BookatuBerth, NearbyAssistBerth, NiceJobBerth, NowistayBerth)
}
