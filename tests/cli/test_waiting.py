"""What waits for long is shown with since when, why and what to do, and can be given up."""

import time

import pytest
from cli_stage import ENV, NOW, booking, call, fill, guest, inside, seen, told

from daemon import views
from daemon.settings import read
from daemon.units.push import decide_record
from mapping.model import Booking, Kind, Status
from mapping.record import Via
from state import cursors, ledger, outbox, units
from state.database import reading, writing

DAY = 86_400_000
SOON = NOW + 60_000
NAMELESS = "no list of salon has shown its guest"


def nameless(ref="apt_hook"):
    """A booking as a webhook shows it: of nobody."""
    fields = Booking(
        status=Status.CONFIRMED, status_word="confirmed", title="Cut", starts="2026-12-01T09:00:00Z"
    )
    return seen(Kind.BOOKINGS, ref, fields, via=Via.WEBHOOK)


def stage(folder, *observations, at=NOW, people=True):
    """A route that is armed, and what came afterwards decided on; the writes wait as a push lets them wait."""
    path = fill(folder, *([guest()] if people else []))
    world = place(folder).world()
    route = world.routes["visits"]
    with writing(path) as tx:
        cursors.arm(tx, "visits", now=at, since=None)
        for seen_now in observations:
            ledger.observe(tx, "salon", seen_now.kind, [seen_now], now=at, region="NZ")
            decide_record(tx, at, world, route, ledger.find(tx, "salon", seen_now.kind, seen_now.ref))
        for intent in outbox.in_state(tx, "open"):
            if intent.kind is Kind.BOOKINGS:
                step, _ = world.step(tx, views_want(world, tx, intent))
                outbox.wait(tx, intent, problem=step.why)
    return path


def views_want(world, tx, intent):
    from daemon.world import Want

    return Want(
        world.routes[intent.route], intent.kind, intent.entity, ledger.get(tx, intent.source), intent.wish
    )


def place(folder):
    with inside(folder):
        return read(folder / "bookferry.yaml", ENV)


def rows(path, now):
    with reading(path) as tx:
        return views.waiting(place(path.parent).world(), tx, now)


def polled(path, at):
    """A list of the salon's bookings is read to its end."""
    with writing(path) as tx:
        tx.run("UPDATE cursor SET finished_at = :at", at=at)


def test_a_booking_of_nobody_shows_once_a_poll_did_not_bring_its_guest(tmp_path):
    path = stage(tmp_path, nameless())
    assert rows(path, SOON) == []
    polled(path, NOW + 1)
    (row,) = rows(path, SOON)
    assert (row["record"], row["since"]) == ("salon booking apt_hook", NOW)
    assert NAMELESS in row["why"]
    assert "the next poll brings it" in row["remedy"]
    assert f"bookferry dismiss {row['id']}" in row["remedy"]


def test_what_waits_for_a_day_shows(tmp_path):
    path = stage(tmp_path, booking())
    assert rows(path, NOW + DAY - 1) == []
    waits = {row["kind"]: row for row in rows(path, NOW + DAY)}
    assert waits["bookings"]["why"] == "the person it is for does not exist there yet"
    assert "tried again by itself" in waits["bookings"]["remedy"]
    assert waits["people"]["why"] == "it was not tried yet"


def test_what_stands_in_the_way_is_named(tmp_path):
    path = stage(tmp_path, booking(), people=False)
    (row,) = rows(path, NOW + DAY)
    assert "lists person cus_1" in row["remedy"]
    with writing(path) as tx:
        ledger.observe(tx, "salon", Kind.PEOPLE, [guest()], now=NOW, region="NZ")
        world = place(tmp_path).world()
        record = ledger.find(tx, "salon", Kind.BOOKINGS, "apt_1")
        decide_record(tx, NOW, world, world.routes["visits"], record)
        (person,) = [intent for intent in outbox.in_state(tx, "open") if intent.kind is Kind.PEOPLE]
        outbox.park(tx, person, problem="refused")
    (row,) = [row for row in rows(path, NOW + DAY) if row["kind"] == "bookings"]
    assert f"settle {person.id} first" in row["remedy"]
    with writing(path) as tx:
        outbox.retry(tx, person.id, now=NOW)
        units.claim(tx, "push:reviews", now=NOW)
        units.failed(tx, "push:reviews", now=NOW, next_due=None, problem={"what": "no", "remedy": "log in"})
    assert all("mend what stops push of reviews" in row["remedy"] for row in rows(path, NOW + DAY))


def test_a_route_that_is_gone(tmp_path):
    path = stage(tmp_path, nameless())
    file = tmp_path / "bookferry.yaml"
    file.write_text(file.read_text().replace("name: visits", "name: others"))
    (row,) = rows(path, NOW + DAY)
    assert "no longer in the configuration" in row["remedy"]


def test_status_shows_it_and_dismiss_gives_it_up(tmp_path):
    path = stage(tmp_path, nameless(), at=int(time.time() * 1000) - 3 * DAY)
    done = call(tmp_path, "status")
    assert done.returncode == 0, "it is no failure"
    said = " ".join(done.stdout.split())
    assert "1 waiting:" in said
    assert "3 d ago" in said
    assert NAMELESS in said
    assert "what to do: see that salon lists it" in said
    (row,) = told(call(tmp_path, "status", "--json"))["waiting"]
    assert call(tmp_path, "dismiss", row["id"]).returncode == 0
    assert told(call(tmp_path, "status", "--json"))["waiting"] == []
    assert call(tmp_path, "dismiss", row["id"]).returncode == 1
    with reading(path) as tx:
        assert outbox.get(tx, int(row["id"])).state == "dismissed"


@pytest.mark.parametrize("sent", [True, False])
def test_what_was_sent_already_cannot_be_given_up_unlooked(tmp_path, sent):
    path = stage(tmp_path, nameless())
    with writing(path) as tx:
        tx.run("UPDATE intent SET attempts = :n", n=int(sent))
        assert outbox.dismiss(tx, 1, now=NOW) is not sent
