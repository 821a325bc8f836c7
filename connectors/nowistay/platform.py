"""What Nowistay can do, by its documentation ("Using the Nowistay public REST API")."""

from connectors.nowistay.settings import ASSUMED_FIELDS, NowistaySettings
from mapping.capability import Act, Happening, KindSpec, Platform, Voice
from mapping.model import Kind

_NO_PUSH = "made silently, the calendar push to the channels is skipped too: they still sell the old dates"
_DIRECT_ONLY = (
    "only bookings of the channel `direct` can be edited: all others belong to the OTA they came from"
)

PLATFORM = Platform(
    name="nowistay",
    title="Nowistay",
    settings=NowistaySettings,
    origin="https://api.nowistay.com",
    # The limits are per route; this one only keeps a burst over many routes polite.
    rate=(600, 60),
    rates={"read": (120, 60), "write": (30, 60), "oauth": (20, 60)},
    kinds={
        Kind.PEOPLE: KindSpec(
            listed=False,
            inside=Kind.BOOKINGS,
            reasons=dict.fromkeys(
                (Act.CREATE, Act.UPDATE),
                "a guest is part of a booking there; the documented update names no field of the guest",
            ),
        ),
        Kind.BOOKINGS: KindSpec(
            fetched=True,
            thin=True,
            acts={Act.UPDATE: Voice.CHOICE},
            reasons={
                Act.CREATE: "Nowistay's API has no call that creates a booking",
                Act.CANCEL: "Nowistay's API has no call that cancels or deletes a booking, and its update takes no status",
                Act.COMPLETE: "Nowistay's bookings have no completed state",
                Act.UPDATE: _DIRECT_ONLY,
            },
            writes={
                "arrival": "arrival",
                "departure": "departure",
                "adults": "adults",
                "children": "children",
                "amount": "amount",
                "notes": "notes",
                "customParameters": "parameters",
            },
            quiet_costs={"arrival": _NO_PUSH, "departure": _NO_PUSH},
            # "booking.created" and "booking.updated"; of one that vanishes nothing is documented.
            announces=frozenset(
                {Happening.CREATED, Happening.RESCHEDULED, Happening.CANCELLED, Happening.CHANGED}
            ),
        ),
        Kind.PARAMETERS: KindSpec(
            listed=False,
            fetched=True,
            # They travel in the same call as a booking's other fields, with the same `silent`.
            acts={Act.CREATE: Voice.CHOICE, Act.UPDATE: Voice.CHOICE},
            reasons=dict.fromkeys((Act.CREATE, Act.UPDATE), _DIRECT_ONLY),
            writes={"bookingId": "booking", "key": "key", "name": "name", "value": "value"},
            required=frozenset({"booking", "key"}),
            under=Kind.BOOKINGS,
            clearable=frozenset({"value"}),
            told_by=("booking", "key"),
        ),
        Kind.MISSIONS: KindSpec(
            # Missions speak to team members; nothing is documented about guests.
            acts={Act.CREATE: Voice.SILENT, Act.UPDATE: Voice.SILENT},
            reasons={Act.CANCEL: "Nowistay documents no call that cancels a mission"},
            writes={
                "propertyId": "place",
                "bookingId": "booking",
                "missionType": "type",
                "title": "title",
                "scheduledAt": "starts",
                "timezone": "zone",
                "assignedTeamMemberId": "staff",
            },
            required=frozenset({"place", "type", "title", "starts"}),
            under=Kind.BOOKINGS,
            # The title is read by people, and no other field could carry a mark.
            told_by=("place", "booking", "type", "starts"),
        ),
    },
    assumptions=(
        f"a booking's fields are called {', '.join(ASSUMED_FIELDS)}; change them with `fields`",
        "the statuses are confirmed, pending and cancelled; add others with `statuses`",
        "custom fields are listed at /booking-parameters; change it with `paths`",
        "team members are listed at /team-members; change it with `paths`",
        "a mission is changed at /missions/{id}; change it with `paths`",
        "webhooks are listed, changed and deleted below /webhooks; change it with `paths`",
        "a booking's id is unique over all accounts: it alone tells a booking in our origin marks",
        "customParameters given in an update change these keys and no others",
        "a mission's `scheduledAt` is an instant, also where it disagrees with its `timezone`",
        "webhooks are signed in X-Nowistay-Signature; change it with `signature_header`",
        'a signature is hex, sha256=<hex> over the body, or t=<unix>,v1=<hex> over "{t}.{body}"',
        "a webhook's body is the booking, bare or under `data` with `event` beside it",
        "beside a bare body X-Nowistay-Event names the event; change it with `event_header`",
        "a list may leave cancelled bookings out, so they are asked for again with status=cancelled",
        "a webhook's `status` is `active`, and is set to that again by PATCH",
        "a code with `scope` in it refuses for a missing scope, one with `entitle` or `subscription` for the plan",
    ),
)
