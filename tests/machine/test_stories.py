"""Short histories: what the machine once found, and a death at each step of a unit."""

import pytest

from mapping.model import Kind
from state import outbox
from tests.machine.ferry import Ferry
from tests.machine.little import days_from_start


@pytest.fixture
def ferry(tmp_path):
    made = []

    def of(flavour):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Ferry(folder, flavour))
        made[-1].shop.add(Kind.PEOPLE, full_name="Guest", email="guest@example.nz")
        for key in ("pull:shop", "pull:desk"):
            made[-1].run(key)
        for route in made[-1].config.routes:
            made[-1].arm(route.name)
        return made[-1]

    yield of
    for each in made:
        each.close()


def book(ferry, title="visit", days=3):
    fields = {"title": title, "status": "confirmed", "starts": days_from_start(days), "people": ["shop-1"]}
    return ferry.shop.add(Kind.BOOKINGS, **fields)


def edit(ferry, ref, **fields):
    ferry.shop.edit(Kind.BOOKINGS, ref, **fields)
    ferry.run("pull:shop")


def carried(ferry, **fates):
    ferry.run("pull:shop")
    ferry.desk.next_writes[Kind.BOOKINGS] = [*fates.get("writes", [])]
    ferry.desk.next_looks = [*fates.get("looks", [])]
    ferry.run("push:desk")
    ferry.check()


def ended(ferry):
    ferry.converge()
    ferry.quiet()
    ferry.agrees()
    return [row["status"] for row in ferry.desk.rows[Kind.BOOKINGS].values()]


def test_two_changes_before_the_target_is_read_again_make_one_record(ferry):
    here = ferry("quiet")
    ref = book(here, "a title that the target cuts short")
    carried(here)
    edit(here, ref, notes="bring cash")
    carried(here)
    assert [set(write.fields) for write in here.desk.writes[2:]] == [{"notes"}]
    assert ended(here) == ["confirmed"]


@pytest.mark.parametrize("fate", ["applied", "late", "lost"])
def test_a_create_whose_answer_was_lost_is_looked_up_and_made_once(ferry, fate):
    here = ferry("quiet")
    book(here)
    carried(here, writes=[fate])
    here.clock.on(60)
    here.run("push:desk")
    here.check()
    assert ended(here) == ["confirmed"]


def test_what_one_list_leaves_out_is_not_cancelled(ferry):
    here = ferry("quiet")
    refs = [book(here, f"visit {n}") for n in range(3)]
    carried(here)
    here.shop.hidden.add(refs[0])
    here.run("pull:shop")
    here.check()
    assert ended(here) == ["confirmed"] * 3


def test_a_disarmed_route_carries_nothing_that_was_still_due(ferry):
    here = ferry("quiet")
    book(here)
    carried(here, writes=["unsent"])
    here.disarm("there")
    here.clock.on(3600)
    here.run("push:desk")
    assert len(here.desk.writes) == 2  # the person, and the booking that did not leave
    here.arm("there")
    assert ended(here) == []


@pytest.mark.parametrize("fate", ["applied", "late", "lost"])
def test_of_a_disarmed_route_what_was_sent_in_doubt_is_looked_up_and_not_sent_again(ferry, fate):
    here = ferry("quiet")
    book(here)
    carried(here, writes=[fate], looks=["fails"])
    here.disarm("there")
    here.clock.on(60)
    assert ended(here) == ([] if fate == "lost" else ["confirmed"])
    assert len(here.desk.writes) == 2
    assert outbox.in_state(here.tx, "open") == []


@pytest.mark.parametrize("fate", ["applied", "late", "lost"])
def test_a_moved_booking_whose_second_create_is_in_doubt_is_not_taken_for_the_cancelled_first(ferry, fate):
    here = ferry("loud")
    ref = book(here)
    carried(here)
    edit(here, ref, starts=days_from_start(5))
    carried(here, writes=["done", fate])
    assert ended(here) == ["cancelled", "confirmed"]


def test_what_somebody_changed_there_before_the_doubt_was_settled_is_carried_back(ferry):
    here = ferry("pair")
    ref = book(here)
    carried(here, writes=["applied"], looks=["fails"])
    here.run("pull:desk")
    (there,) = here.desk.rows[Kind.BOOKINGS]
    here.desk.edit(Kind.BOOKINGS, there, status="completed")
    here.run("pull:desk")
    assert ended(here) == ["completed"]
    assert here.shop.rows[Kind.BOOKINGS][ref]["status"] == "completed"


def test_what_both_sides_changed_before_the_doubt_was_settled_is_a_question(ferry):
    here = ferry("pair")
    ref = book(here)
    carried(here, writes=["applied"], looks=["fails"])
    here.run("pull:desk")
    (there,) = here.desk.rows[Kind.BOOKINGS]
    here.desk.edit(Kind.BOOKINGS, there, title="theirs")
    here.run("pull:desk")
    edit(here, ref, title="ours")
    ended(here)
    asked = [each.problem for each in outbox.in_state(here.tx, "parked")]
    assert sum("both sides have changed title" in problem for problem in asked) == 2


def test_a_person_whom_two_bookings_need_is_made_though_the_first_create_never_arrived(ferry):
    here = ferry("quiet")
    here.desk.next_writes[Kind.PEOPLE] = ["lost"]
    for title in ("first", "second"):
        book(here, title)
        carried(here)
        here.clock.on(60)
        here.run("push:desk")
    assert ended(here) == ["confirmed"] * 2


@pytest.mark.parametrize("fates", [["done", "unsent"], ["done", "lost"], ["applied"], ["late"]])
def test_a_move_is_finished_though_its_route_is_disarmed_in_the_middle(ferry, fates):
    here = ferry("loud")
    ref = book(here)
    carried(here)
    edit(here, ref, starts=days_from_start(5))
    carried(here, writes=fates, looks=["fails"])
    here.disarm("there")
    here.clock.on(60)
    here.run("push:desk")
    here.clock.on(60)
    assert ended(here) == ["cancelled", "confirmed"]


@pytest.mark.parametrize("fate", ["unsent", "lost"])
def test_a_move_that_has_not_begun_is_given_up_with_its_route(ferry, fate):
    here = ferry("loud")
    ref = book(here)
    carried(here)
    edit(here, ref, starts=days_from_start(5))
    carried(here, writes=[fate], looks=["fails"])
    here.disarm("there")
    here.clock.on(60)
    assert ended(here) == ["confirmed"]
    assert outbox.in_state(here.tx, "open") == []


@pytest.mark.parametrize("fate", ["applied", "late", "lost"])
def test_what_was_cancelled_while_its_create_was_in_doubt_is_cancelled_there_too(ferry, fate):
    here = ferry("quiet")
    ref = book(here)
    carried(here, writes=[fate], looks=["blind"])
    edit(here, ref, status="cancelled")
    assert ended(here) == ([] if fate == "lost" else ["cancelled"])


@pytest.mark.parametrize("flavour", ["quiet", "speaks", "loud"])
def test_what_was_cancelled_while_its_create_was_still_under_way_is_cancelled_there_too(ferry, flavour):
    here = ferry(flavour)
    ref = book(here)
    carried(here, writes=["late"])
    edit(here, ref, status="cancelled")
    carried(here)  # it is not there yet
    assert ended(here) == ["cancelled"]


def test_an_end_that_is_taken_back_does_not_undo_what_a_person_changed_there(ferry):
    here = ferry("quiet")
    ref = book(here)
    carried(here)
    edit(here, ref, status="cancelled")
    carried(here)
    here.desk.edit(Kind.BOOKINGS, "desk-3", title="by hand", status="confirmed")
    here.run("pull:desk")
    edit(here, ref, status="confirmed")
    carried(here)
    assert ended(here) == ["confirmed"]
    assert here.desk.rows[Kind.BOOKINGS]["desk-3"]["title"] == "by hand"


def test_what_was_dismissed_in_doubt_is_found_when_it_is_wanted_anew(ferry):
    here = ferry("quiet")
    ref = book(here)
    carried(here, writes=["applied"], looks=["blind"])
    (parked,) = outbox.in_state(here.tx, "parked")
    here.db.now(lambda tx: outbox.dismiss(tx, parked.id, now=here.clock.ms))
    edit(here, ref, notes="bring cash")
    carried(here)
    assert ended(here) == ["confirmed"]


@pytest.mark.parametrize("key", ["pull:shop", "inbox:shop", "push:desk"])
def test_a_death_at_each_step_leaves_nothing_undone_and_nothing_twice(ferry, key):
    for step in range(100):
        here = ferry("quiet")
        book(here)
        here.deliver(here.shop, here.shop.events[-1], thin=True)
        if key == "push:desk":
            here.run("pull:shop")
        lived = here.run(key, dies_in=step)
        here.check()
        assert ended(here) == ["confirmed"]
        if lived:
            assert step > 4
            return
    pytest.fail("it never ends")
