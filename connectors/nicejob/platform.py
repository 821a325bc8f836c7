"""What NiceJob can do, by its documentation ("NiceJob's v2 REST API")."""

from connectors.nicejob.settings import NiceJobSettings
from mapping.capability import Act, Happening, KindSpec, People, Platform, Voice
from mapping.model import Kind, Status

NOREVIEW = "noreview"
"""The tag that "will prevent a Booking from triggering a CampaignEnrollment on completion"."""

_STATUSES = {
    Status.PENDING: Status.CONFIRMED,
    Status.CONFIRMED: Status.CONFIRMED,
    Status.COMPLETED: Status.COMPLETED,
}
"""There are two states: complete or not."""

# "a notification whenever a change occurs to a company's data"
_EVERY_CHANGE = frozenset(
    {Happening.CREATED, Happening.RESCHEDULED, Happening.COMPLETED, Happening.CANCELLED, Happening.CHANGED}
)

PLATFORM = Platform(
    name="nicejob",
    title="NiceJob",
    settings=NiceJobSettings,
    origin="https://api.nicejob.com",
    # No limit is documented: a polite default.
    rate=(120, 60),
    kinds={
        Kind.PEOPLE: KindSpec(
            fetched=True,
            acts={Act.CREATE: Voice.SILENT, Act.UPDATE: Voice.SILENT},
            writes={
                "name": "full_name",
                "first_name": "first_name",
                "last_name": "last_name",
                "email": "email",
                "phone": "phone",
                "company": "company",
                "address": "address",
                "tags": "tags",
            },
            unique=frozenset({"email"}),
            marked_in="tags",
            announces=_EVERY_CHANGE,
        ),
        Kind.BOOKINGS: KindSpec(
            fetched=True,
            acts={
                Act.CREATE: Voice.SILENT,
                Act.UPDATE: Voice.SILENT,
                Act.COMPLETE: Voice.CHOICE,
                Act.CANCEL: Voice.SILENT,
            },
            writes={
                "name": "title",
                "amount": "amount",
                "complete": "status",
                "completed_time": "completed_at",
                "scheduled_time": "starts",
                "employee_ids": "staff",
                "person_ids": "people",
                "tags": "tags",
            },
            people=People.LINKED,
            marked_in="tags",
            # There is no cancelled state, and completing would ask somebody who never came for a review.
            cancel_leaves_open=True,
            cancel_tags={Status.CANCELLED: ("cancelled", NOREVIEW), Status.NO_SHOW: ("no-show", NOREVIEW)},
            quiet_tag=NOREVIEW,
            statuses=_STATUSES,
            announces=_EVERY_CHANGE,
        ),
        Kind.VISITS: KindSpec(
            listed=False,  # the list is walked for look-ups alone
            fetched=True,
            acts={Act.CREATE: Voice.SILENT, Act.UPDATE: Voice.SILENT, Act.COMPLETE: Voice.LOUD},
            reasons={
                Act.COMPLETE: "completing a visit may start a review campaign, as the company's settings in NiceJob have it,"
                f" and the tag `{NOREVIEW}` is documented for bookings only",
                Act.CANCEL: "NiceJob's visits have no cancelled state",
            },
            writes={
                "name": "title",
                "booking_id": "booking",
                "person_id": "people",
                "scheduled_time": "starts",
                "complete": "status",
                "completed_time": "completed_at",
                "amount": "amount",
                "employee_ids": "staff",
                "tags": "tags",
            },
            required=frozenset({"booking", "people"}),
            under=Kind.BOOKINGS,
            marked_in="tags",
            cancel_tags={Status.CANCELLED: ("cancelled",), Status.NO_SHOW: ("no-show",)},
            statuses=_STATUSES,
        ),
        Kind.ENROLMENTS: KindSpec(
            listed=False,
            acts={Act.CREATE: Voice.LOUD},
            reasons={
                Act.CREATE: "an enrolment starts a campaign of messages to the person",
                Act.UPDATE: "NiceJob's API has no call that changes an enrolment",
                Act.CANCEL: "NiceJob's API has no call that ends an enrolment",
            },
            writes={"campaign_id": "campaign", "person_id": "person"},
            required=frozenset({"person"}),
            under=Kind.PEOPLE,
        ),
        Kind.REVIEWS: KindSpec(
            fetched=True,
            announces=frozenset({Happening.CREATED}),
            reasons=dict.fromkeys((Act.CREATE, Act.UPDATE), "reviews are read-only in NiceJob's API"),
        ),
    },
    assumptions=(
        "dates are ISO 8601 strings (Unix seconds and milliseconds are read too)",
        "`event_code` contains the entity's name, whatever its case and separators",
        'webhooks are signed as hex HMAC-SHA256 over JSON.stringify(payload), or over "{timestamp}." and the same',
        "120 requests a minute are polite (no limit is documented); change it with `rate`",
    ),
)
