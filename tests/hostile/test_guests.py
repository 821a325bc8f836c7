"""What guests type is data, wherever it goes: to the target as it is, to a terminal and to a log as text."""

import json
import logging
import re
import time

import pytest
import structlog

from connectors.wire import quoted
from daemon import logs, masks
from daemon.passes import sync
from mapping.identity import is_genuine, marks_in, origin_mark
from mapping.model import Kind
from mapping.normal import email_key, folded, phone_key, unmarked
from state import tokens
from tests.cli.cli_stage import call
from tests.sync.harbour import PEOPLE, REVIEWS, harbour

TYPED = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "Ann\r\nINFO forged log line",
    "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\x",
    "\u202enna\u200b \u2066x",
    '=HYPERLINK("http://evil.example","Ann")',
    "+cmd|' /C calc'!A0",
    "@SUM(A1:A9)",
    "-1+1",
    "booking.title + secret",
    "${BOOKATU_API_KEY} ${file:/etc/passwd} $${X}",
    "'; DROP TABLE record;--",
    '{"status":"completed"}',
    "%s%n {0.__class__} {booking}",
    "[red]x[/red] [link=http://evil.example]x[/link] [/]",
    'a"} 1\nbookferry_forged_total{x="',
    "a\u2028b\u0085c",
    "A" * 100_000,
)
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2028\u2029\u2066-\u2069]")
"""What must not reach a terminal; rich's own colours are off where nobody watches."""


@pytest.fixture
def log(capsys):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda json: logs.configure("DEBUG", json=json), lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def stored(port, text):
    """Guests' words may reach a platform in any way: these are not checked by its form."""
    who = port.salon.act(
        "add_customer", name="Ann Example", email=f"ann{len(text)}{abs(hash(text))}@example.com"
    )
    ref = port.salon.act("create_appointment", service_id="svc_abc123", start_at=_next(port), customer_id=who)
    business = port.salon.business(None)
    customer = business.customers[who]
    customer.name = text
    business.appointments[ref].notes = text
    return who, ref


def _next(port):
    from datetime import timedelta

    from connectors.sandbox import iso

    port.hours = getattr(port, "hours", 0) + 2
    day, hour = divmod(port.hours, 8)
    begins = (port.salon.now() + timedelta(days=3 + day)).replace(
        hour=9 + hour, minute=0, second=0, microsecond=0
    )
    return iso(begins)


async def test_it_is_carried_as_it_is_and_shown_as_text(tmp_path, log):
    start, written = log
    routes = REVIEWS.replace('{tags: ["bookatu"]}', '{name: "person.full_name", tags: ["bookatu"]}') + PEOPLE
    async with harbour(tmp_path, routes) as port:
        await port.pass_()
        await port.arm("reviews", "people")
        (tmp_path / "bookferry.yaml").write_text(port.yaml)
        made = [stored(port, text) for text in TYPED]
        async with port.app() as app:
            app.engine.kick("pull:salon")
            app.engine.kick = lambda _key: None  # read, and not written: so that there is something to plan
            await app.engine.idle()
        for words in (("plan",), ("status",), ("parked",)):
            done = call(tmp_path, *words, env={"BOOKFERRY_KEY": port.key})
            _only_text(done)
            whole = call(tmp_path, *words, "--json", env={"BOOKFERRY_KEY": port.key})
            assert whole.stdout.isascii()
            json.loads(whole.stdout)
            if words == ("plan",):
                assert all(word in done.stdout for word in ("[red]x[/red]", "forged log line", "HYPERLINK"))
        start(True)
        async with port.app() as app:
            await sync(app)
            page = app.metrics.page().decode()
        told = written().splitlines()
        assert told
        assert all(isinstance(json.loads(line), dict) for line in told), "one event is one line of JSON"
        assert not re.search("forged|evil|owned", page + "".join(told))
        people = {row["email"]: row for row in port.people()}
        assert sorted(row["first_name"] for row in people.values()) == sorted(TYPED)
        assert sorted(row["name"] for row in port.bookings()) == sorted(TYPED)
        assert (await port.pass_())["writes"] == 0, "nothing is escaped on the way, and so nothing differs"
        for who, ref in made[:-1]:
            for words in (("explain", "salon", "booking", ref), ("explain", "salon", "person", who)):
                _only_text(call(tmp_path, *words, env={"BOOKFERRY_KEY": port.key}))


def _only_text(done):
    assert done.returncode in {0, 3}, done.stderr
    assert not CONTROL.search(done.stdout + done.stderr)
    assert not re.search(r"(?m)^INFO forged|^bookferry_forged", done.stdout)


async def test_a_log_that_a_person_watches_has_one_line_an_event_too(log):
    start, written = log
    start(False)
    for text in TYPED[:-1]:
        structlog.get_logger().warning("stopped", problem=text, unit="pull:salon")
    lines = written().splitlines()
    assert len(lines) == len(TYPED) - 1
    assert not any(CONTROL.search(line) for line in lines)


async def test_nobody_can_write_the_mark_of_somebody_elses_booking(tmp_path):
    """A guest who knows all ids and how marks are made, but not the key."""
    async with harbour(tmp_path) as port:
        await port.pass_()
        await port.arm("reviews")
        _, ref = stored(port, "Vera Victim")
        forged = origin_mark("bookatu", "parnell-nails", Kind.BOOKINGS, ref)
        mallory = port.reviews.create_person(email="mallory@example.com", first_name="Mallory")
        port.reviews.create_booking(person_ids=[mallory], name="Mine", tags=[forged])
        await port.pass_()
        async with port.app() as app:
            key = await app.db.read(tokens.mark_key)
            real = await app.db.read(lambda tx: app.world.mark_of(tx, "salon", Kind.BOOKINGS, ref))
        rows = {row["name"]: row for row in port.bookings()}
        assert set(rows) == {"Mine", "Gel Manicure"}, "the victim's booking was made, beside the forged one"
        assert rows["Mine"]["tags"] == [forged]
        assert real in rows["Gel Manicure"]["tags"]
        assert real != forged
        assert is_genuine(real, key)
        assert not is_genuine(forged, key)
        assert not is_genuine("bookferry-" + "a" * 16, key)
        assert not is_genuine("bookferry-é", key)


async def test_a_new_database_makes_the_marks_of_the_lost_one(tmp_path):
    async with harbour(tmp_path) as port:
        async with port.app() as app:
            first = await app.db.read(tokens.mark_key)
        port.path.unlink()
        async with port.app() as app:
            assert await app.db.read(tokens.mark_key) == first != b""
        port.key = tokens.new_key()
        async with port.app() as app:
            assert await app.db.read(tokens.mark_key) == first, (
                "another sealing key for the same database changes none"
            )
        port.path.unlink()
        async with port.app() as app:
            assert await app.db.read(tokens.mark_key) != first


@pytest.mark.parametrize(
    "text",
    [
        "A" * 300_000,
        " " * 300_000,
        "a-" * 150_000,
        "1 " * 150_000,
        "\n" * 300_000,
        "a." * 150_000,
        "(" * 300_000,
        "a@" * 150_000,
        "+1-" * 100_000,
    ],
    ids=lambda text: repr(text[:2]),
)
def test_no_text_of_a_guest_takes_long_to_look_through(text):
    begun = time.process_time()
    masks.mask_text(text)
    logs.clean(text)
    quoted(text)
    unmarked(text)
    folded(text)
    phone_key(text, "NZ")
    email_key(text)
    marks_in({"notes": text, "tags": [text]})
    masks.clean(text)
    assert time.process_time() - begun < 5
