import subprocess
import sys
import time

import pytest
from cli_stage import ROOT, booking, call, fill, guest, hook, told

from mapping.model import Kind, Status
from mapping.record import Via
from state import ledger
from state.database import writing


@pytest.fixture
def armed(tmp_path):
    path = fill(tmp_path, guest(), booking("apt_old"))
    assert call(tmp_path, "arm", "visits").returncode == 0
    with writing(path) as tx:
        ledger.observe(tx, "salon", Kind.BOOKINGS, [booking("apt_new")], now=1, region="NZ")
    return tmp_path


def test_plan_shows_the_person_first_and_changes_no_byte(armed):
    before = (armed / "bookferry.db").read_bytes()
    lines = told(call(armed, "plan", "--json"))["writes"]
    assert [(row["act"], row["kind"], row["outcome"], row["loud"]) for row in lines] == [
        ("create", "people", "write", False),
        ("create", "bookings", "write", False),
    ]
    assert lines[1]["fields"]["title"] == {"old": None, "new": "Gel Manicure"}
    assert lines[1]["fields"]["people"]["new"] == ["(made first)"]
    assert told(call(armed, "--json", "plan"))["writes"] == lines
    assert (armed / "bookferry.db").read_bytes() == before


def test_the_baseline_is_not_planned_and_an_unarmed_route_says_so(tmp_path):
    fill(tmp_path, guest(), booking())
    found = told(call(tmp_path, "plan", "--json"))
    assert found["writes"] == []
    assert "is not armed" in found["notes"][0]
    call(tmp_path, "arm", "visits")
    assert told(call(tmp_path, "plan", "--json")) == {"writes": [], "notes": []}


def test_a_route_with_since_is_planned_as_its_first_push_would_arm_it(tmp_path):
    path = fill(tmp_path, guest(), booking(status=Status.COMPLETED))
    file = tmp_path / "bookferry.yaml"
    file.write_text(file.read_text().replace("notify: allow", "notify: allow, since: 2026-11-01"))
    before = path.read_bytes()
    lines = told(call(tmp_path, "plan", "--json"))["writes"]
    assert [row["act"] for row in lines] == ["create", "complete"]
    assert lines[1]["loud"] is False, "completed before it was armed: quietly"
    assert path.read_bytes() == before


def test_contact_data_is_masked_and_nothing_moves_the_cursor(armed):
    for words in (("plan",), ("plan", "--json"), ("status",), ("explain", "salon", "person", "cus_1")):
        done = call(armed, *words)
        assert "mere@planted" not in done.stdout, words
        assert "5550100" not in done.stdout
        assert "\x1b" not in done.stdout
        assert "planted_secret" not in done.stdout + done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80 or "--json" in words
    assert "[bold]Whaanga" in call(armed, "explain", "salon", "people", "cus_1").stdout
    assert (
        "mere@planted.example" in call(armed, "explain", "salon", "people", "cus_1", "--show-contacts").stdout
    )


def test_explain_tells_old_and_new_and_what_every_route_wants(armed):
    with writing(armed / "bookferry.db") as tx:
        later = booking("apt_new", Status.CANCELLED, at=1_790_000_100_000, via=Via.WEBHOOK)
        ledger.observe(tx, "salon", Kind.BOOKINGS, [later], now=2, region="NZ")
    story = told(call(armed, "explain", "salon", "booking", "apt_new", "--json"))
    assert [row["via"] for row in story["journal"]] == ["poll", "webhook"]
    assert story["journal"][1]["changes"]["status"] == {"old": "confirmed", "new": "cancelled"}
    assert story["routes"][0]["why"] == "it was cancelled before it was ever delivered"
    old = told(call(armed, "explain", "salon", "booking", "apt_old", "--json"))
    assert "baseline" in old["routes"][0]["why"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sallon", "booking", "x"), "did you mean"),
        (
            ("salon", "appointment", "x"),
            "bookings, enrolments, missions, parameters, people, reviews, visits",
        ),
        (("salon", "booking", "x"), "apt_new, apt_old"),
    ],
)
def test_explain_says_what_there_is(armed, words, said):
    done = call(armed, "explain", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_status_is_quick_to_import():
    code = (
        "import sys, daemon.cli, daemon.views, daemon.forecast, daemon.explain, daemon.commands.print_status;"
        "print([m for m in ('fastapi', 'httpx', 'aiohttp', 'apscheduler') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_status_json(armed):
    found = told(call(armed, "status", "--json"))
    assert found["connections"][0]["account"]["name"] == "Parnell Nails"
    assert found["routes"][0]["armed_at"]
    assert found["routes"][0]["behind"] == 1
    assert found["healthy"]


def test_status_and_explain_tell_of_lost_webhooks(tmp_path):
    now = int(time.time() * 1000)
    path, file = fill(tmp_path, guest(), booking("apt_1")), tmp_path / "bookferry.yaml"
    file.write_text(file.read_text().replace("slug: nails", "slug: nails, webhook_secret: whsec_planted"))
    with writing(path) as tx:
        hook(tx, "done")
        tx.run("UPDATE heard SET hour = :h, last_at = :at", h=now // 3_600_000, at=now)
        seq = tx.value("SELECT max(seq) FROM journal")
        tx.run(
            "INSERT INTO finding VALUES (:q, 'salon', 'bookings', 'apt_1', 'cancelled', :at, :at, :at, :at, 'lost')",
            q=seq,
            at=now - 60_000,
        )
    found = told(call(tmp_path, "status", "--json"))["connections"][0]["webhooks"]
    assert (found["came"], found["lost"], found["last_lost"]["ref"]) == (1, 1, "apt_1")
    shown = " ".join(call(tmp_path, "status").stdout.split())
    assert "webhooks in 7 days: 1 came, 1 lost (50.0 %)" in shown
    assert "the last lost: booking apt_1 (cancelled), found by a poll" in shown
    assert "what to do: see at Bookatu that the webhook is enabled" in shown
    assert "its webhook was lost" in call(tmp_path, "explain", "salon", "booking", "apt_1").stdout
