"""What Deskbook can do. There is no such platform: it was made by following docs/connectors.md."""

from mapping.capability import Act, KindSpec, People, Platform, Voice
from mapping.model import Kind
from tests.contract.fifth.settings import DeskbookSettings

PLATFORM = Platform(
    name="deskbook",
    title="Deskbook",
    settings=DeskbookSettings,
    origin="https://api.deskbook.example",
    rate=(60, 60),
    kinds={
        Kind.PEOPLE: KindSpec(
            listed=False,
            inside=Kind.BOOKINGS,
            reasons=dict.fromkeys((Act.CREATE, Act.UPDATE), "guests stand inside bookings"),
        ),
        Kind.BOOKINGS: KindSpec(
            fetched=True,
            acts={Act.CREATE: Voice.CHOICE, Act.CANCEL: Voice.LOUD},
            reasons={
                Act.UPDATE: "Deskbook has no call that changes a booking",
                Act.COMPLETE: "Deskbook has no call that completes a booking",
                Act.CANCEL: "Deskbook always tells the guest of a cancellation",
            },
            writes={"service": "title", "startAt": "starts", "notes": "notes"},
            required=frozenset({"starts"}),
            people=People.EMBEDDED,
            marked_in="external_ref",
        ),
    },
    assumptions=("60 requests a minute are polite; change it with `rate`",),
)
