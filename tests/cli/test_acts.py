import json
import stat

import pytest
from cli_stage import ENV, ROOT, booking, call, fill, guest, hook, run, told

from connectors.platforms import PLATFORMS
from connectors.registry import CONNECTORS
from daemon import demo, demo_stage
from mapping.model import Kind
from mapping.record import Rejected
from mapping.schema import json_schema
from mapping.wish import Wish
from state import ledger, outbox, rejected, tokens
from state.database import reading, writing


def test_platforms_are_those_of_the_registry():
    assert dict(PLATFORMS) == {name: connector.platform for name, connector in CONNECTORS.items()}


def test_the_schema_that_ships_is_true():
    assert json.loads((ROOT / "daemon/bookferry.schema.json").read_text()) == json_schema(PLATFORMS)


def test_init_makes_what_check_accepts_and_never_overwrites(tmp_path):
    assert run(tmp_path, "init").returncode == 0
    key = tmp_path / "bookferry.db.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "2 connections, 1 route," in run(tmp_path, "check").stdout
    made = (tmp_path / "bookferry.yaml").read_bytes(), key.read_bytes()
    again = run(tmp_path, "init")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert ((tmp_path / "bookferry.yaml").read_bytes(), key.read_bytes()) == made


def test_a_key_is_never_made_over_sealed_data(tmp_path):
    path = fill(tmp_path)
    with writing(path) as tx:
        tokens.put(tx, tokens.Box(tokens.new_key()), "t", b"x")
    done = call(tmp_path, "init")
    assert done.returncode == 1
    assert "forget-tokens" in done.stderr
    assert not (tmp_path / "bookferry.db.key").exists()
    assert call(tmp_path, "forget-tokens", "--yes").returncode == 0
    assert call(tmp_path, "init").returncode == 0


def test_a_missing_key_is_one_sentence(tmp_path):
    fill(tmp_path)
    done = call(tmp_path, "sync")
    assert done.returncode == 1
    assert "there is no sealing key" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_check_tells_all_errors_at_once(tmp_path):
    call(tmp_path, "init")
    done = call(tmp_path, "check", env={})
    assert done.returncode == 2
    assert [name for name in ENV if name not in done.stderr] == ["NICEJOB_REFRESH_TOKEN"], (
        "`connect` provides it"
    )
    nowhere = call(tmp_path, "check", "-c", "none.yaml")
    assert nowhere.returncode == 2
    assert "bookferry init" in nowhere.stderr
    assert call(tmp_path, "-c", "bookferry.yaml", "check").returncode == 0


def test_arm_wants_a_route_that_exists_and_lists_that_were_read(tmp_path):
    fill(tmp_path, guest(), booking(), finished=False)
    unknown = call(tmp_path, "arm", "visit")
    assert (unknown.returncode, "did you mean" in unknown.stderr) == (1, True)
    unread = call(tmp_path, "arm", "visits")
    assert (unread.returncode, "bookferry sync" in unread.stderr) == (1, True)


def test_parked_retry_and_dismiss(tmp_path):
    path = fill(tmp_path)
    with writing(path) as tx:
        ledger.observe(tx, "salon", Kind.BOOKINGS, [booking()], now=1)
        source = ledger.find(tx, "salon", Kind.BOOKINGS, "apt_1")
        number = outbox.put(
            tx, route="visits", connection="reviews", kind=Kind.BOOKINGS, entity=source.entity, source=source.id,
            wish=Wish({}, "m", "why"), now=1,
        )  # fmt: skip
        outbox.park(tx, outbox.get(tx, number), problem="refused")
        hook(tx, "parked")
        rejected.reject(tx, "salon", [Rejected(Kind.BOOKINGS, "apt_9", "no start", b"{}")], now=1)
    done = call(tmp_path, "parked", "--json")
    assert done.returncode == 3
    assert {row["id"] for row in told(done)} == {"1", "w1", "r1"}
    assert call(tmp_path, "status").returncode == 3
    assert call(tmp_path, "retry", "w1").returncode == 0
    assert call(tmp_path, "retry", "1").returncode == 0
    with reading(path) as tx:
        assert outbox.get(tx, number).retried_at, "a human said so"
    assert call(tmp_path, "dismiss", "r1").returncode == 0
    assert call(tmp_path, "parked").returncode == 0


@pytest.mark.parametrize("number", ["99", "w99", "r99", "x", "²", "9" * 30])
def test_what_is_not_parked(tmp_path, number):
    fill(tmp_path)
    done = call(tmp_path, "dismiss", number)
    assert done.returncode == 1
    assert "bookferry parked" in done.stderr


def test_links_can_be_made_and_undone(tmp_path):
    path = fill(tmp_path, guest())
    with writing(path) as tx:
        ledger.observe(tx, "reviews", Kind.PEOPLE, [guest("p1")], now=1)
    words = ("salon", "person", "cus_1", "reviews", "p1")
    assert call(tmp_path, "link", *words).returncode == 0
    assert (
        told(call(tmp_path, "explain", "reviews", "person", "p1", "--json"))["links"][0]["how"] == "explicit"
    )
    assert call(tmp_path, "unlink", *words).returncode == 0
    assert call(tmp_path, "unlink", *words).returncode == 1


def test_a_look_at_no_database_makes_none(tmp_path):
    fill(tmp_path).unlink()
    for words in (("plan",), ("status",), ("disarm", "visits"), ("retry", "1")):
        done = call(tmp_path, *words)
        assert done.returncode == 1
        assert "there is no database yet" in done.stderr
    assert not (tmp_path / "bookferry.db").exists()


@pytest.mark.speaks
def test_the_demo_holds(tmp_path):
    done = call(tmp_path, "demo", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT SO" not in done.stdout
    assert done.stdout.endswith("Every fact holds.\n")
    rows = [line.split() for line in done.stdout.split("messages to guests")[1].splitlines() if line]
    assert [row[0] for row in rows[:-1]] == ["Bookatu", "NearbyAssist", "Nowistay", "NiceJob"]
    assert "2 review campaigns" in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


@pytest.mark.speaks
@pytest.mark.parametrize(
    ("said", "instead", "broken"),
    [
        ("    notify: allow\n", "", "asked for a review exactly once"),
        ('    set: {{tags: ["nearbyassist"]}}\n', "    notify: allow\n", "its guest is not asked"),
        ('    when: booking.status == "confirmed"\n', "    when: false\n", "one cleaning at check-out"),
    ],
    ids=["silenced", "loud", "no cleaning"],
)
async def test_the_demo_tells_when_its_story_does_not_come_true(monkeypatch, capsys, said, instead, broken):
    assert said in demo_stage.CONFIGURATION
    monkeypatch.setattr(demo_stage, "CONFIGURATION", demo_stage.CONFIGURATION.replace(said, instead))
    monkeypatch.setattr(demo, "_PATIENCE_S", 0.2)
    assert not await demo.story()
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if "NOT SO" in line and broken in line], out
    assert "Every fact holds" not in out
