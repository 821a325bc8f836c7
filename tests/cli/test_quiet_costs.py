"""What a silent write leaves undone is said before it is sent."""

from cli_stage import NOW, call, fill, seen, told

from mapping.model import Booking, Kind, Status
from mapping.record import COMPLETE, Account, Listing, Page
from state import accounts, cursors, ledger, links
from state.database import writing

CONFIG = """\
connections:
  salon: {platform: bookatu, slug: nails, api_key: "${BOOKATU_API_KEY}"}
  villa:
    platform: nowistay
    client_id: ${NICEJOB_CLIENT_ID}
    client_secret: ${NICEJOB_CLIENT_SECRET}
    refresh_token: ${NICEJOB_REFRESH_TOKEN}
routes:
  - name: stays
    from: salon.bookings
    to: villa.bookings
    set: {arrival: 'date(booking.starts, "Europe/Paris")', departure: 'date(booking.ends, "Europe/Paris")'}
"""


def page(kind):
    return Page(Listing(kind, (), None), NOW, coverage=COMPLETE)


def moved(folder, *, notify="never"):
    """A stay that both sides know, and whose dates have changed at the source."""
    path = fill(folder)
    (folder / "bookferry.yaml").write_text(CONFIG + f"    notify: {notify}\n")
    days = {"starts": "2026-11-30T09:00:00Z", "ends": "2026-12-02T09:00:00Z"}
    here = Booking(status=Status.CONFIRMED, status_word="confirmed", notes="as before", **days)
    there = Booking(arrival="2026-11-29", departure="2026-12-02", channel="direct", notes="as before")
    with writing(path) as tx:
        accounts.remember(tx, "villa", "nowistay", Account("nowistay", "Lilas", country="FR"))
        for kind in (Kind.BOOKINGS, Kind.MISSIONS):
            cursors.advance(tx, cursors.stream(tx, "villa", kind), page(kind), [], now=NOW)
        cursors.arm(tx, "stays", now=NOW, since=None)
        ledger.observe(tx, "villa", Kind.BOOKINGS, [seen(Kind.BOOKINGS, "9001", there)], now=NOW, region="FR")
        ledger.observe(tx, "salon", Kind.BOOKINGS, [seen(Kind.BOOKINGS, "apt_1", here)], now=NOW, region="NZ")
        both = (
            ledger.find(tx, name, Kind.BOOKINGS, ref) for name, ref in (("salon", "apt_1"), ("villa", "9001"))
        )
        links.join(tx, *both, "explicit", now=NOW)


def test_a_silent_move_says_that_the_channels_are_not_told(tmp_path):
    moved(tmp_path)
    (line,) = told(call(tmp_path, "plan", "--json"))["writes"]
    assert (line["act"], line["loud"], list(line["fields"])) == ("update", False, ["arrival"])
    (note,) = line["notes"]
    assert note.startswith("arrival: made silently, the calendar push to the channels is skipped")
    assert "note: arrival: made silently" in " ".join(call(tmp_path, "plan").stdout.split())


def test_a_loud_move_costs_nothing_more(tmp_path):
    moved(tmp_path, notify="allow")
    (line,) = told(call(tmp_path, "plan", "--json"))["writes"]
    assert (line["loud"], line["notes"]) == (True, [])
