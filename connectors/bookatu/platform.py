"""What Bookatu can do, by its documentation ("Bookatu API")."""

from connectors.bookatu.settings import BookatuSettings
from mapping.capability import Act, Happening, KindSpec, People, Platform, Voice
from mapping.model import Kind

_NOT_DOCUMENTED_SILENT = (
    "Bookatu documents no silent {}: the customer may be told, and a freed slot is offered to the waitlist"
)

PLATFORM = Platform(
    name="bookatu",
    title="Bookatu",
    settings=BookatuSettings,
    origin="https://bookatu.com",
    # "There is currently no per-key rate limit … Build clients defensively": a polite default.
    rate=(60, 60),
    kinds={
        Kind.PEOPLE: KindSpec(
            reasons=dict.fromkeys(
                (Act.CREATE, Act.UPDATE),
                "Bookatu makes customers out of bookings; its API has no call that writes one",
            ),
        ),
        Kind.BOOKINGS: KindSpec(
            acts={Act.CREATE: Voice.LOUD, Act.CANCEL: Voice.LOUD},
            reasons={
                Act.CREATE: _NOT_DOCUMENTED_SILENT.format("booking"),
                Act.CANCEL: _NOT_DOCUMENTED_SILENT.format("cancellation"),
                Act.UPDATE: "Bookatu's API has no call that changes or moves an appointment",
                Act.COMPLETE: "Bookatu's API has no call that completes an appointment",
            },
            writes={
                "serviceId": "service",
                "serviceName": "title",
                "startAt": "starts",
                "staffId": "staff",
                "notes": "notes",
            },
            required=frozenset({"starts", "email", "phone"}),
            people=People.EMBEDDED,
            marked_in="notes",
            # The list shows what is confirmed: what leaves it before its time was cancelled.
            announces=frozenset(
                {
                    Happening.CREATED,
                    Happening.RESCHEDULED,
                    Happening.COMPLETED,
                    Happening.CANCELLED,
                    Happening.LEFT,
                }
            ),
        ),
    },
    assumptions=(
        "`booking.completed` is sent when the visit is marked complete, so its `sentAt` is taken as the completion time",
        "60 requests a minute are polite (no limit is documented); change it with `rate`",
    ),
)
