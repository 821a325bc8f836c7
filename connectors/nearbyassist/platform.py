"""What NearbyAssist can do, by its documentation ("Developer Reference: API Documentation")."""

from connectors.nearbyassist.settings import NearbyAssistSettings
from mapping.capability import Act, Happening, KindSpec, People, Platform, Voice
from mapping.model import Kind

AUTH = "auth"
"""The budget scope of "20 req/15 min (auth endpoints)"."""

_NOT_DOCUMENTED_SILENT = (
    "NearbyAssist documents no silent {}: a write has no option that says whether the customer is told"
)

PLATFORM = Platform(
    name="nearbyassist",
    title="NearbyAssist",
    settings=NearbyAssistSettings,
    origin="https://api.nearbyassist.com",
    # The page says: "500 req/15 min (global), 20 req/15 min (auth endpoints)".
    rate=(500, 900),
    rates={AUTH: (20, 900)},
    kinds={
        Kind.PEOPLE: KindSpec(
            listed=False,
            inside=Kind.BOOKINGS,
            reasons=dict.fromkeys(
                (Act.CREATE, Act.UPDATE),
                "NearbyAssist shows customers inside bookings; no call that writes one is documented",
            ),
        ),
        Kind.BOOKINGS: KindSpec(
            fetched=True,
            acts={Act.CREATE: Voice.LOUD, Act.UPDATE: Voice.LOUD, Act.CANCEL: Voice.LOUD},
            reasons={
                Act.CREATE: _NOT_DOCUMENTED_SILENT.format("booking"),
                Act.UPDATE: _NOT_DOCUMENTED_SILENT.format("change"),
                Act.CANCEL: _NOT_DOCUMENTED_SILENT.format("cancellation"),
                Act.COMPLETE: "NearbyAssist documents no call that completes a booking",
            },
            writes={
                "serviceId": "service",
                "serviceName": "title",
                "staffId": "staff",
                "startTime": "starts",
                "endTime": "ends",
                "timezone": "zone",
                "price": "amount",
                "notes": "notes",
            },
            required=frozenset({"starts"}),
            people=People.EMBEDDED,
            marked_in="external_ref",
            # "booking.updated": of which changes is not said, so only the one that nobody would leave out is expected.
            announces=frozenset({Happening.CREATED, Happening.RESCHEDULED, Happening.CANCELLED}),
        ),
        # Leads and payments have routes too ("A lead was accepted and charged"): a write there costs money, so there
        # is no kind that could be written to.
        Kind.REVIEWS: KindSpec(
            fetched=True,
            announces=frozenset({Happening.CREATED}),
            reasons=dict.fromkeys(
                (Act.CREATE, Act.UPDATE), "NearbyAssist documents no call that writes a review for a business"
            ),
        ),
    },
    assumptions=(
        (
            "the partner's list of reviews is at GET /api/integrations/partner/reviews and answers `reviews`, `total`,"
            " `page`, `limit` (`paths.reviews`, `fields.reviews`)"
        ),
        "the partner's list of bookings answers as GET /api/bookings/my-bookings is shown to (`fields.bookings`, `fields.total`)",
        "one booking is at GET /api/integrations/partner/bookings/{id}, bare or under `booking` (`paths.booking`, `fields.booking`)",
        (
            "bookings are made with POST on the list, changed with PATCH on the booking and cancelled with POST on its `/cancel`;"
            " each answers the booking (`paths`, `methods`)"
        ),
        (
            "a booking has `id, status, serviceId, serviceName, staffId, startTime, endTime, timezone, price, currency, notes,"
            " externalRef, customer {id, firstName, lastName, email, phone}, createdAt, updatedAt` (`fields`)"
        ),
        "`price` is a decimal number of whole units; without a currency beside it the amount is not known",
        "`externalRef` can be written, is shown again, and belongs to integrations: our origin mark stands there",
        "a booking's status is one of `pending, confirmed, completed, cancelled, no_show` (`statuses`)",
        "a review has `id, bookingId, rating, title, comment, author {name, email}, createdAt` (`fields.review_…`)",
        'a webhook\'s body is {"event", "timestamp", "data"} (`fields.event`, `fields.event_data`)',
        (
            "signing in takes {email, password} and answers {access_token}; the token holds until it is answered with 401"
            " (`paths.sign_in`, `fields.sign_in_email`, `fields.sign_in_password`, `fields.access_token`)"
        ),
        "a signed-in user may use the partner routes as an API key may (`paths`)",
        "ids of bookings are unique over all accounts; if they are not, give each connection its own `account`",
    ),
)
