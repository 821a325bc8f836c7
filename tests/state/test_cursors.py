from seen import booking, observe, poll

from mapping.model import Kind
from mapping.record import COMPLETE, Coverage
from mapping.wish import Wish
from state import outbox
from state.cursors import arm, disarm, move_route, restart, route, set_doubt, stream


def pages(tx) -> list[tuple[int, int, str]]:
    rows = tx.rows("SELECT walk, page, refs FROM cursor_page ORDER BY page")
    return [(row["walk"], row["page"], row["refs"]) for row in rows]


class TestStream:
    def test_a_new_one_stands_before_its_first_walk(self, tx):
        cursor = stream(tx, "salon", Kind.BOOKINGS)
        assert (cursor.walk, cursor.page, cursor.position, cursor.finished_at) == (0, 0, None, None)

    def test_it_advances_resumes_and_finishes(self, tx):
        first = poll(tx, 1, booking("b1", 1), following="p2")
        assert (first.walk, first.page, first.position, first.rows, first.finished_at) == (
            1,
            1,
            "p2",
            1,
            None,
        )
        assert stream(tx, "salon", Kind.BOOKINGS) == first
        last = poll(tx, 2, booking("b2", 2), booking("b3", 2), coverage=COMPLETE)
        assert (last.walk, last.position, last.rows, last.finished_at) == (1, None, 3, 2)
        assert last.coverage == COMPLETE
        assert pages(tx) == [(1, 0, '["b1"]'), (1, 1, '["b2", "b3"]')]

    def test_the_next_walk_begins_anew_and_keeps_what_the_last_one_proved(self, tx):
        window = Coverage(False, frozenset({"confirmed"}), 1, None)
        poll(tx, 1, booking("b1", 1), following="p2")
        poll(tx, 2, booking("b2", 2), coverage=window)
        again = poll(tx, 3, booking("b1", 3), following="p2")
        assert (again.walk, again.page, again.rows, again.finished_at) == (2, 1, 1, 2)
        assert again.coverage == window
        shorter = poll(tx, 4)
        assert (shorter.walk, shorter.finished_at) == (2, 4)
        assert pages(tx) == [(2, 0, '["b1"]'), (2, 1, "[]")]

    def test_a_shorter_walk_leaves_no_page_of_the_last_one(self, tx):
        poll(tx, 1, booking("b1", 1), following="p2")
        poll(tx, 2, booking("b2", 2))
        poll(tx, 3, booking("b1", 3))
        assert pages(tx) == [(2, 0, '["b1"]')]

    def test_a_worthless_position_is_given_up(self, tx):
        restart(tx, poll(tx, 1, booking("b1", 1), following="p2"))
        again = poll(tx, 2, booking("b1", 2), following="p2")
        assert (again.walk, again.page, again.rows) == (2, 1, 1)

    def test_reading_a_page_again_changes_nothing(self, tx):
        poll(tx, 1, booking("b1", 1, title="Gel"), following="p2")
        poll(tx, 2, booking("b2", 2))
        before = tx.rows("SELECT * FROM record"), tx.rows("SELECT * FROM journal")
        poll(tx, 1, booking("b1", 1, title="Gel"), following="p2")
        assert (tx.rows("SELECT * FROM record"), tx.rows("SELECT * FROM journal")) == before

    def test_doubt(self, tx, connection):
        cursor = poll(tx, 1, booking("b1", 1))
        set_doubt(tx, cursor, "capped")
        before = connection.total_changes
        set_doubt(tx, cursor, "capped")
        assert connection.total_changes == before
        assert stream(tx, "salon", Kind.BOOKINGS).doubt == "capped"
        set_doubt(tx, cursor, None)
        assert stream(tx, "salon", Kind.BOOKINGS).doubt is None


class TestRoute:
    def test_one_never_heard_of_is_not_armed(self, tx):
        assert not route(tx, "r").armed
        assert not disarm(tx, "r", now=60)

    def test_arming_makes_all_that_is_known_the_baseline(self, tx):
        observe(tx, booking("b1", 1), booking("b2", 1))
        armed = arm(tx, "r", now=50, since=None)
        assert (armed.armed, armed.cutover, armed.baseline, armed.position) == (True, 50, 2, 2)

    def test_since_includes_what_was_known(self, tx):
        observe(tx, booking("b1", 1), booking("b2", 1))
        armed = arm(tx, "r", now=50, since=20)
        assert (armed.cutover, armed.baseline, armed.position) == (20, 2, 0)

    def test_arming_again_changes_nothing(self, tx):
        first = arm(tx, "r", now=50, since=None)
        observe(tx, booking("b1", 1))
        assert arm(tx, "r", now=60, since=1) == first

    def test_what_was_wanted_and_never_sent_ends_with_the_disarming(self, tx):
        observe(tx, booking("b1", 1), booking("b2", 1))
        arm(tx, "r", now=50, since=None)
        for entity in (1, 2):
            wanted = Wish(fields={}, mark="m", why="r")
            place = {"route": "r", "connection": "reviews", "kind": Kind.BOOKINGS}
            outbox.put(tx, **place, entity=entity, source=entity, wish=wanted, now=51)
        outbox.later(tx, outbox.get(tx, 2), due_at=52, problem="the answer was lost", doubt_since=51)
        disarm(tx, "r", now=60)
        assert [outbox.get(tx, intent).state for intent in (1, 2)] == ["done", "open"]
        assert outbox.get(tx, 1).problem == "the route was disarmed"

    def test_after_disarming_there_is_a_new_baseline(self, tx):
        arm(tx, "r", now=50, since=None)
        assert disarm(tx, "r", now=60)
        assert not disarm(tx, "r", now=60)
        assert not route(tx, "r").armed
        observe(tx, booking("b1", 1))
        armed = arm(tx, "r", now=70, since=None)
        assert (armed.armed_at, armed.cutover, armed.baseline, armed.position) == (70, 70, 1, 1)

    def test_it_moves_forward_only(self, tx):
        arm(tx, "r", now=50, since=None)
        for position in (5, 3):
            move_route(tx, "r", position)
        assert route(tx, "r").position == 5
