"""Which stream shows a kind, and what may be a route's source."""

import pytest
from little_platforms import BOOKATU, CONNECTIONS, ENV, NICEJOB

from mapping.capability import KindSpec, Platform
from mapping.load import load
from mapping.model import Kind
from mapping.problem import ConfigErrors

INSIDE = Platform(
    name="bookatu",
    title="Inside",
    settings=BOOKATU.settings,
    origin="https://api.inside.example",
    rate=(60, 60),
    kinds={
        Kind.BOOKINGS: KindSpec(),
        Kind.PEOPLE: KindSpec(listed=False, inside=Kind.BOOKINGS),
        Kind.MISSIONS: KindSpec(listed=False),
    },
)
ROUTE = "routes:\n  - {from: salon.KIND, to: reviews.KIND}\n"


@pytest.mark.parametrize(
    ("kind", "stream"),
    [
        (Kind.BOOKINGS, Kind.BOOKINGS),
        (Kind.PEOPLE, Kind.BOOKINGS),
        (Kind.MISSIONS, None),
        (Kind.REVIEWS, None),
    ],
)
def test_the_stream_that_shows_a_kind(kind, stream):
    assert INSIDE.stream_of(kind) is stream


def read(kind):
    return load(
        CONNECTIONS + ROUTE.replace("KIND", kind),
        name="bookferry.yaml",
        platforms={"bookatu": INSIDE, "nicejob": NICEJOB},
        env=ENV,
        read_file=str,
        credential=lambda _: None,
    )


def test_people_inside_bookings_may_be_a_source():
    (route,) = read("people").routes
    assert route.source.kind is Kind.PEOPLE


def test_what_nobody_lists_may_not():
    with pytest.raises(ConfigErrors, match="does not list its missions"):
        read("missions")
