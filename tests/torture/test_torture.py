"""25 worlds in the normal suite, and what the torture itself promises: it notices, it shortens, it repeats itself."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mapping import decide
from mapping.config import OnCancel
from tests.torture import run
from tests.torture.command import main, told_shortest
from tests.torture.ships import SHIPS
from tests.torture.shrink import shortest
from tests.torture.story import Event, Story, draw

pytestmark = pytest.mark.speaks

GROUPS, EACH = 5, 5
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_world_breaks_a_promise(group):
    for seed in range(1 + group * EACH, 1 + (group + 1) * EACH):
        report = run(seed)
        again = f"tests/bookferry-torture --from {seed} --seeds 1"
        assert report.violations == [], f"seed {seed} ({report.ship}), its shortest story: {again}"


def test_these_worlds_are_of_all_ships():
    drawn = {draw(seed).ship for seed in range(1, 1 + GROUPS * EACH)}
    assert drawn == set(SHIPS)


def _event(number, at, what, where="", **more):
    return Event(number, at, what, where, {"visit": 0, **more} if where else more)


def test_a_clock_that_is_set_back_loses_no_webhook_and_stops_no_poll():
    """What was seen while it was an hour ahead must not win for an hour; a completion is told once, by a webhook alone."""
    events = (
        _event(0, 100, "book", "bookatu", hour=2, guest=0),
        _event(1, 3600, "clock", by=3600),
        _event(2, 6000, "clock", by=-3600),
        _event(3, 7650, "complete", "bookatu"),
    )
    report = run(1, story=Story(1, "reviews", 3.0, events, {}))
    assert report.violations == []
    asked = [line for line in report.log if "GET /api/v1/parnell-nails/appointments" in line]
    assert sum(6000 < float(line.split()[0]) < 9600 for line in asked) > 6


def test_what_somebody_cancels_is_not_made_anew_by_the_route_back():
    events = (
        Event(6, 845, "book", "bookatu", {"visit": 6, "hour": 557, "guest": 0}),
        Event(7, 852, "cancel", "bookatu", {"visit": 6}),
    )
    assert run(43, story=Story(43, "two_way", 1.0, events, draw(43).skews)).violations == []


# What is wrong is noticed.


def _first(world):
    """The first booking that was made in NiceJob, with its table."""
    there = world.ports["nicejob"]
    row = next(row for visit in world.visits for row in there.marked(world.mark(visit)))
    return there.table("bookings"), row.raw


def _vanish(world):
    table, row = _first(world)
    del table[row["id"]]


def _double(world):
    table, row = _first(world)
    table["twice"] = {**row, "id": "twice"}


def _alter(world):
    _, row = _first(world)
    row["amount"] = 1.0


def _move(world):
    _, row = _first(world)
    row["scheduled_time"] = "2031-01-01T00:00:00.000Z"


def _swap_guest(world):
    _, row = _first(world)
    row["person_ids"] = []


def _cancel(world):
    _, row = _first(world)
    row["tags"] = [*row["tags"], "cancelled"]


def _complete(world):
    _, row = _first(world)
    row["complete"] = True


def _ask(world):
    _, row = _first(world)
    entry = {"by": "api", "booking_id": row["id"], "person_id": row["person_ids"][0], "cause": "booking"}
    world.ports["nicejob"].box.enrolments.append(entry)


def _carry_history(world):
    table, row = _first(world)
    name, ref = world.history[0].split()
    table["old"] = {**row, "id": "old", "tags": [world.ports[name].mark(ref)]}


def _same_address(world):
    people = world.ports["nicejob"].table("people")
    one = next(iter(people.values()))
    people["twin"] = {**one, "id": "twin"}


def _cancel_source(world):
    world.ports["bookatu"].box.business().appointments[world.history[0].split()[1]].status = "cancelled"


@pytest.mark.parametrize(
    ("spoil", "noticed"),
    [
        (_vanish, "missing"),
        (_double, "doubled"),
        (_alter, "differs"),
        (_move, "differs"),
        (_swap_guest, "differs"),
        (_cancel, "lost"),
        (_complete, "invented"),
        (_ask, "surprise"),
        (_carry_history, "unwanted"),
        (_same_address, "doubled"),
        (_cancel_source, "lost"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_is_spoilt_is_noticed(spoil, noticed):
    books = [event.number for event in CALM.events if event.what == "book"]
    report = run(CALM.seed, hours=CALM.hours, ship=CALM.ship, only=books, meddle=spoil)
    assert noticed in report.kinds, report.violations


CALM = draw(1, 0.5, "mirror")


def test_a_quiet_story_ends_well():
    report = run(CALM.seed, hours=CALM.hours, ship=CALM.ship, only=[])
    assert report.violations == []
    assert report.seconds > 3600


# The shortest story.


def test_only_what_is_needed_is_left():
    tried = []

    def fails(events):
        tried.append(events)
        return {3, 17} <= set(events)

    assert shortest(range(40), fails) == [3, 17]
    assert len(tried) < 60
    assert shortest(range(9), lambda _: True) == []


def test_a_planted_defect_is_shown_by_a_short_story(monkeypatch):
    monkeypatch.setattr(decide, "_on_cancel", lambda _case: OnCancel.IGNORE)
    report = run(DEFECT, hours=0.7, ship="mirror")
    assert report.kinds == ["alive"]
    events, last = told_shortest(DEFECT, report, hours=0.7, ship="mirror")
    assert [event.what for event in events] == ["book", "cancel"], [str(event) for event in events]
    assert all("was cancelled, and NiceJob has" in line for line in last)


DEFECT = 1


# The same again.


def test_one_seed_is_one_log_byte_by_byte():
    script = "import sys; from tests.torture import run; sys.stdout.write(run(20, hours=1.0).text)"
    logs = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert logs[0] == logs[1]
    assert logs[0].count(b"\n") > 200


def _asked(**more):
    plain = {"seeds": 2, "first": 1, "jobs": 1, "seed": None, "only": None, "log": None, "resume": None}
    return argparse.Namespace(**{**plain, "hours": 0.2, "ship": "mirror", "no_shrink": True, **more})


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path, capsys):
    kept = tmp_path / "done.json"
    assert main(_asked(resume=str(kept))) == 0
    assert main(_asked(resume=str(kept), seeds=3)) == 0
    assert list(json.loads(kept.read_text())["seeds"]) == ["1", "2", "3"]
    assert "1 of 1 seeds" in capsys.readouterr().out


def test_a_failing_seed_is_told_with_the_command_that_repeats_it(monkeypatch, capsys):
    monkeypatch.setattr(decide, "_on_cancel", lambda _case: OnCancel.IGNORE)
    assert main(_asked(first=DEFECT, seeds=1, hours=0.7)) == 1
    said = capsys.readouterr().out
    assert f"seed {DEFECT} (mirror) failed:" in said
    assert f"tests/bookferry-torture --seed {DEFECT} --hours 0.7 --ship mirror --log" in said


def test_a_single_seed_leaves_its_log(tmp_path, capsys):
    log = tmp_path / "events.log"
    assert main(_asked(seed=2, log=str(log))) == 0
    assert "all is well" in capsys.readouterr().out
    assert "the storm is over" in log.read_text()


@pytest.mark.speaks
@pytest.mark.parametrize(
    ("seed", "only"),
    [
        (601, (3, 13, 14, 15, 17)),
        (619, (32, 33, 34, 35, 36)),
        (688, (21, 29, 33, 37, 39)),
        (808, (20, 24, 31, 33, 34)),
    ],
)
def test_short_stories_that_once_ended_badly(seed, only):
    """First sight of what we made, taken for a change; a cancellation while a create was still under way; a clock set back
    between two edits.
    """
    assert run(seed, only=only).violations == []
