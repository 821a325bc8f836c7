"""Endings, moves, moments and routes in opposite directions, as the decision core sees them."""

from dataclasses import replace
from itertools import product

import pytest
from test_decide import ALLOW, AT, BOOKING, JOBS, MARK, SLOTS, a_case, a_route, record, skipped, step, wanted

from connectors.nicejob.platform import NOREVIEW
from connectors.nowistay.platform import PLATFORM as NOWISTAY
from mapping.capability import Act
from mapping.decide import next_step, wish
from mapping.expr import ExpressionError
from mapping.identity import marks_in
from mapping.model import Kind, Status
from mapping.normal import unmarked
from mapping.pairs import Changed, newer, settle
from mapping.wish import Pair, Settled, Stuck, Waits, Wish, Write

STAYS, MISSIONS = NOWISTAY.kinds[Kind.BOOKINGS], NOWISTAY.kinds[Kind.MISSIONS]
MOVES = f"{ALLOW}\non_reschedule: cancel_and_create"
LATER = "2026-11-04T10:00:00.000Z"
HELD = {"title": "Gel manicure", "starts": AT, "status": "confirmed", "amount": BOOKING["amount"]}


class TestEndings:
    @pytest.mark.parametrize("ended", ["cancelled", "no_show"])
    def test_ignore_wants_nothing(self, ended):
        assert "the target is not told" in skipped(a_case("on_cancel: ignore", status=ended, delivered=True))

    def test_a_target_that_cannot_cancel_is_not_told(self):
        case = replace(a_case(status="cancelled", delivered=True), target=STAYS)
        assert "the target is not told" in skipped(case)

    def test_tag_adds_tags_and_cancels_nothing(self):
        ended = wanted(a_case("on_cancel: tag", status="cancelled", delivered=True))
        assert (ended.only_tags, ended.fields) == (True, {"tags": ["cancelled", NOREVIEW]})
        assert isinstance(step(ended, {**HELD, "tags": ["cancelled", NOREVIEW]}), Settled)

    def test_cancel_is_the_default_where_the_target_can(self):
        ended = wanted(a_case(ALLOW, target="other.bookings", status="cancelled", delivered=True))
        assert (ended.ended, ended.only_tags, ended.fields) == (Status.CANCELLED, False, {})

    @pytest.mark.parametrize("said", ["", "on_cancel: cancel"])
    def test_a_target_without_a_cancelled_state_gets_tags(self, said):
        ended = wanted(a_case(said, status="cancelled", delivered=True))
        made = step(ended, HELD)
        assert isinstance(made, Write)
        assert (made.act, made.fields) == (Act.CANCEL, {"tags": ["cancelled", NOREVIEW]})


class TestMoves:
    def moved(self, **more):
        return wanted(a_case(MOVES, target="other.bookings", starts=LATER, **more))

    def test_it_is_cancelled_to_make_room(self):
        made = step(self.moved(), HELD, sent={"starts": AT, "title": "Gel manicure"}, spec=SLOTS)
        assert isinstance(made, Write)
        assert (made.act, made.ref, made.then_create, made.fields) == (Act.CANCEL, "t1", True, {})

    def test_then_it_is_made_anew(self):
        made = step(self.moved(), {**HELD, "status": "cancelled"}, sent={"starts": AT}, spec=SLOTS)
        assert isinstance(made, Write)
        assert (made.act, made.ref, made.fields["starts"]) == (Act.CREATE, None, LATER)

    def test_one_that_is_cancelled_there_and_did_not_move_is_left(self):
        held = {**HELD, "starts": LATER, "status": "cancelled"}
        sent = {"starts": LATER, "title": "Gel manicure", "notes": BOOKING["notes"]}
        assert isinstance(step(self.moved(), held, sent=sent, spec=SLOTS), Settled)

    def test_without_the_key_it_is_for_a_human(self):
        stays = wanted(a_case(ALLOW, target="other.bookings", starts=LATER))
        assert isinstance(step(stays, HELD, sent={"starts": AT, "title": "Gel manicure"}, spec=SLOTS), Stuck)

    def test_another_field_cancels_nothing(self):
        renamed = wanted(a_case(MOVES, target="other.bookings", title="Cut"))
        assert isinstance(step(renamed, {**HELD, "notes": BOOKING["notes"]}, spec=SLOTS), Stuck)


class TestWhomItIsFor:
    def test_it_is_not_made_before_that_is_known(self):
        assert "whom it is for" in skipped(a_case(ALLOW, target="other.bookings", people="absent"))
        assert wanted(a_case(ALLOW, target="other.bookings", people=None))
        assert wanted(a_case(ALLOW, target="other.bookings", people="absent", delivered=True))


class TestAfter:
    def test_nothing_is_written_before_the_moment(self):
        moment = wanted(a_case("after: booking.ends")).not_before
        assert moment == 1793617200000
        assert wanted(a_case()).not_before is None

    def test_an_end_is_told_at_once(self):
        assert wanted(a_case("after: booking.ends", status="cancelled", delivered=True)).not_before is None

    def test_what_is_no_moment_is_told(self):
        with pytest.raises(ExpressionError, match="instead of a moment"):
            wish(a_case("after: booking.title"))


class TestBetweenKinds:
    def case(self, extra):
        return replace(
            a_case(extra),
            route=a_route(extra).model_copy(
                update={"target": a_route().target.__class__("villa", Kind.MISSIONS)}
            ),
            target=MISSIONS,
        )

    def test_nothing_is_taken_over_but_what_is_set(self):
        assert wanted(self.case("set:\n  title: booking.title")).fields == {"title": "Gel manicure"}
        assert wanted(self.case("")).fields == {}

    def test_it_waits_for_what_it_stands_under_and_inherits_from_it(self):
        mission = Wish({"title": "Clean", "type": "cleaning", "starts": AT}, MARK, "")
        assert isinstance(next_step(mission, Kind.MISSIONS, MISSIONS, None, None), Waits)
        stay = replace(record({"place": "p1", "zone": "Europe/Paris"}, connection="villa"), ref="s1")
        made = next_step(mission, Kind.MISSIONS, MISSIONS, None, None, parent=stay)
        assert isinstance(made, Write)
        assert made.fields == {**mission.fields, "place": "p1", "zone": "Europe/Paris", "booking": "s1"}

    def test_a_fixed_status_is_wanted_whatever_the_source_says(self):
        done = wanted(a_case("set:\n  status: '\"completed\"'"))
        assert (done.fields["status"], done.fields["tags"]) == ("completed", [NOREVIEW])


class TestMarks:
    def test_a_mark_does_not_travel(self):
        case = a_case(ALLOW, target="other.bookings", notes=f"second floor {MARK}")
        assert wanted(case).fields["notes"] == "second floor"
        assert "notes" not in wanted(a_case(ALLOW, target="other.bookings", notes=MARK)).fields

    def test_other_words_and_tags_stay_as_they_are(self):
        assert unmarked("two  spaces\nand lines") == "two  spaces\nand lines"
        assert unmarked(["vip", MARK.upper(), "bookferry"]) == ["vip", "bookferry"]
        assert marks_in({"notes": unmarked(f"a ({MARK})")}) == []


def a_pair(**more):
    return Pair("back", **{"shared": frozenset({"title", "starts", "amount", "notes"}), **more})


def settled(changes, shown, pair):
    """What is left to write, and the question, if any."""
    left = dict(changes)
    question = settle(left, pair, record(shown, connection="there"), "NZ")
    return left, question


class TestPairs:
    def test_what_only_one_side_changed_is_written(self):
        pair = a_pair(agreed={"title": "old"})
        assert settled({"title": "new"}, {"title": "Old "}, pair) == ({"title": "new"}, None)

    def test_what_both_changed_is_a_question_with_both_values(self):
        _, question = settled({"title": "new"}, {"title": "other"}, a_pair(agreed={"title": "old"}))
        assert "title: new here, other there" in question
        assert "'back'" in question

    def test_money_is_shown_in_whole_units_and_free_text_not_at_all(self):
        changes = {"amount": {"minor": 9000, "currency": "NZD"}, "notes": "her secret"}
        shown = {"amount": {"minor": 91000, "currency": "XXX"}, "notes": "his secret"}
        _, question = settled(changes, shown, a_pair(agreed={}))
        assert "90.00 NZD here" in question
        assert "91.000 there" in question
        assert "secret" not in question

    def test_where_nobody_ever_agreed_two_values_are_a_question_and_an_empty_one_is_filled(self):
        assert settled({"title": "new"}, {"title": "other"}, a_pair())[1]
        assert settled({"title": "new"}, {"title": None}, a_pair()) == ({"title": "new"}, None)

    def test_a_field_that_only_one_route_writes_is_no_question(self):
        pair = a_pair(shared=frozenset(), agreed={"title": "old"})
        assert settled({"title": "new"}, {"title": "other"}, pair) == ({"title": "new"}, None)

    @pytest.mark.parametrize(
        ("more", "left"),
        [
            ({"owned_here": frozenset({"title"})}, {"title": "new"}),
            ({"owned_there": frozenset({"title"})}, {}),
            ({"newest": frozenset({"title"})}, {"title": "new"}),
            ({"newest": frozenset({"title"}), "newer_there": frozenset({"title"})}, {}),
        ],
    )
    def test_the_yaml_may_decide(self, more, left):
        pair = a_pair(agreed={"title": "old"}, **more)
        assert settled({"title": "new"}, {"title": "other"}, pair) == (left, None)

    def test_tags_and_status_are_never_a_question(self):
        changes = {"tags": ["vip"], "status": "completed"}
        assert settled(changes, {"tags": ["x"], "status": "confirmed"}, a_pair(agreed={})) == (changes, None)

    def test_what_the_source_shows_as_our_own_write_left_it_says_nothing(self):
        case = a_case(title="GEL", as_left={**BOOKING, "title": "gel "})
        assert "title" in wanted(case).untouched
        assert isinstance(step(wanted(case), HELD), Settled)
        changed = a_case(title="Cut", as_left=BOOKING)
        made = step(wanted(changed), {**HELD, "amount": {"minor": 1, "currency": "NZD"}})
        assert isinstance(made, Write)
        assert made.fields == {"title": "Cut"}

    def test_an_expression_that_fails_on_what_was_left_takes_nothing_back(self):
        case = a_case("set:\n  title: lower(booking.title)", as_left={})
        assert wanted(case).untouched == ()

    def test_the_question_parks(self):
        asked = next_step(
            wanted(a_case(title="Cut")),
            Kind.BOOKINGS,
            JOBS,
            replace(record({**HELD, "title": "Other"}, connection="there"), ref="t1"),
            None,
            ("p1",),
            "NZ",
            pair=a_pair(agreed=HELD),
        )
        assert isinstance(asked, Stuck)
        assert "Cut here, Other there" in asked.why


NAMES = ("nicejob", "nearby")
H = 3_600_000


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(Changed(1, 10, None), Changed(2, 20, None), False, id="learned of earlier"),
        pytest.param(Changed(1, 10, None), Changed(2, 10, None), False, id="in the same millisecond"),
        pytest.param(Changed(1, 10, None), Changed(2, 20, 5), True, id="learned of late and stamped before"),
        pytest.param(Changed(1, 10, 9), Changed(2, 20, 25), False, id="a platform whose clock is ahead"),
        pytest.param(
            Changed(1, 10 * H, 10 * H - 5), Changed(2, 9 * H + 9, 10 * H + 9), False, id="clock set back"
        ),
        pytest.param(
            Changed(1, 10 * H, 9 * H), Changed(2, 9 * H + 9, 8 * H), True, id="set back, learned of late"
        ),
        pytest.param(
            Changed(1, 10 * H, None), Changed(2, 9 * H + 9, 10 * H + 9), False, id="and one not stamped"
        ),
        pytest.param(Changed(1, 10, None), None, True, id="only one was ever changed"),
        pytest.param(None, None, True, id="neither was: one side has its way"),
    ],
)
def test_who_changed_it_last(one, other, expected):
    assert newer(one, other, NAMES) is expected
    assert newer(other, one, NAMES[::-1]) is not expected


def test_exactly_one_of_two_sides_is_the_newer_one():
    times = (1, 2, 3)
    for seqs in ((1, 2), (2, 1)):
        for a, b, s, t in product(times, times, (None, *times), (None, *times)):
            one, other = Changed(seqs[0], a, s), Changed(seqs[1], b, t)
            assert newer(one, other, NAMES) is not newer(other, one, NAMES[::-1])
