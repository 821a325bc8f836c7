"""A Nowistay connection to its stand-in, for the tests of what is its own."""

from contextlib import asynccontextmanager

from connectors.nowistay.connector import Nowistay
from mapping.model import Kind
from tests.contract import nowistay_fixture as its
from tests.contract.surround import connected

BOOKINGS, MISSIONS, PARAMETERS = Kind.BOOKINGS, Kind.MISSIONS, Kind.PARAMETERS
V1 = "/public/v1"
TOKEN = "/public/oauth/token"


@asynccontextmanager
async def nowistay(*, more=None, tokens=None, **options):
    """Yield the sandbox and a connection to it; `more` are further settings."""
    box = its.sandbox(**options)
    async with connected(
        Nowistay, box, lambda url: its.settings(box, url, **(more or {})), tokens=tokens
    ) as connector:
        yield box, connector


def patches(box):
    """The bodies of all writes to bookings."""
    return [call.body for call in box.calls("PATCH", "/bookings/")]
