from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

import pytest

from connectors.bookatu.platform import PLATFORM as BOOKATU
from connectors.nicejob.platform import NOREVIEW
from connectors.nicejob.platform import PLATFORM as NICEJOB
from connectors.nowistay.platform import PLATFORM as NOWISTAY
from mapping.capability import Act
from mapping.config import Route
from mapping.decide import Case, next_step, person_wish, wish
from mapping.expr import ExpressionError, record_scope
from mapping.load import load
from mapping.model import Kind, Status
from mapping.record import Record
from mapping.wish import Pair, Settled, Skip, Stuck, Waits, Wish, Write

CONFIG = """\
connections:
  salon: {platform: bookatu, slug: nails, api_key: "${SECRET}"}
  other: {platform: bookatu, slug: hair, api_key: "${SECRET}"}
  reviews: {platform: nicejob, client_id: a, client_secret: "${SECRET}", refresh_token: "${SECRET}"}
routes:
  - from: FROM
    to: TO
"""
MARK = "bookferry-abcdefghij234567"
CUTOVER = "2026-11-01T00:00:00Z"
AT = "2026-11-02T10:00:00.000Z"
BOOKING: dict[str, Any] = {
    "title": "Gel manicure",
    "service": "s1",
    "status": "confirmed",
    "status_word": "CONFIRMED",
    "starts": AT,
    "ends": "2026-11-02T11:00:00.000Z",
    "amount": {"minor": 7500, "currency": "NZD"},
    "people": ["c1"],
    "staff": ["t1"],
    "notes": "second floor",
}
ANN = {"full_name": "Ann Lee", "email": "ann@example.com", "phone": "021 123 4567", "blocked": False}
JOBS, FOLK = NICEJOB.kinds[Kind.BOOKINGS], NICEJOB.kinds[Kind.PEOPLE]
SLOTS = BOOKATU.kinds[Kind.BOOKINGS]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def a_route(extra: str = "", source: str = "salon.bookings", target: str = "reviews.bookings") -> Route:
    text = CONFIG.replace("FROM", source).replace("TO", target)
    config = load(
        text + "".join(f"    {line}\n" for line in extra.splitlines()),
        name="bookferry.yaml",
        platforms={"bookatu": BOOKATU, "nicejob": NICEJOB},
        env={"SECRET": "s3cret-value"},
        read_file=str,
        credential=lambda _: None,
    )
    return config.routes[0]


def record(fields: dict[str, Any], kind: Kind = Kind.BOOKINGS, connection: str = "salon") -> Record:
    return Record(1, connection, kind, "r1", 1, fields, 0)


def a_case(extra: str = "", target: str = "reviews.bookings", **more: Any) -> Case:
    """A booking on its way; ``more`` are fields of the booking, or of the case."""
    about = {name: more.pop(name) for name in list(more) if name in Case.__slots__}
    fields = {name: value for name, value in {**BOOKING, **more}.items() if value != "absent"}
    person = about.get("person", ANN)
    return Case(
        route=a_route(extra, target=target),
        source=record(fields),
        target=JOBS if target.startswith("reviews") else SLOTS,
        mark=MARK,
        cutover=ms(CUTOVER),
        scope=record_scope(Kind.BOOKINGS, fields, person, connection="salon", ref="r1", tables={}),
        **{"person": person, "region": "NZ", **about},
    )


def wanted(case: Case) -> Wish:
    made = wish(case)
    assert isinstance(made, Wish), made
    return made


def skipped(case: Case) -> str:
    made = wish(case)
    assert isinstance(made, Skip), made
    return made.why


def step(wanted: Wish, held: dict | None = None, sent: dict | None = None, people=("p1",), spec=JOBS):
    target = None if held is None else replace(record(held, connection="there"), ref="t1")
    return next_step(wanted, Kind.BOOKINGS, spec, target, sent, people, "NZ")


COMPLETED = {"status": "completed", "completed_at": "2026-11-02T11:05:00.000Z"}
ALLOW = "notify: allow"


class TestSkips:
    @pytest.mark.parametrize(
        ("case", "why"),
        [
            (lambda: a_case("since: 2026-11-03"), "before `since`"),
            (
                lambda: a_case("since: 2026-11-01", starts=None, known_before=True),
                "known before the route was armed",
            ),
            (lambda: a_case('when: booking.status == "completed"'), "`when` is not true"),
            (lambda: a_case(status="unknown", status_word="ON_ICE"), "'ON_ICE'"),
            (lambda: a_case(status="unknown", delivered=True), "nothing is concluded"),
            (lambda: a_case(status="cancelled"), "cancelled before it was ever delivered"),
            (lambda: a_case(status="no_show"), "a no-show before it was ever delivered"),
        ],
    )
    def test_the_route_wants_nothing(self, case, why):
        assert why in skipped(case())

    @pytest.mark.parametrize(
        "case",
        [
            lambda: a_case("since: 2026-11-02"),
            lambda: a_case("since: 2026-11-02T10:00Z"),
            lambda: a_case("since: 2026-11-03", delivered=True),
            lambda: a_case("since: 2026-11-01", starts=None),
            lambda: a_case("since: 2026-11-01", starts=None, arrival="2026-11-01"),
            lambda: a_case('when: booking.status == "confirmed"'),
            lambda: a_case("since: 2026-11-01", known_before=True),
            lambda: a_case('when: booking.status == "confirmed"', status="cancelled", delivered=True),
        ],
    )
    def test_the_route_wants_something(self, case):
        wanted(case())

    def test_an_expression_that_fails_is_told(self):
        with pytest.raises(ExpressionError):
            wish(a_case("set:\n  title: lower(booking.title)", title=None))


class TestWish:
    def test_fields_are_taken_over_as_the_target_knows_them(self):
        assert wanted(a_case()).fields == {
            "title": "Gel manicure",
            "amount": {"minor": 7500, "currency": "NZD"},
            "starts": AT,
            "status": "confirmed",
        }

    def test_set_wins_and_null_is_not_written(self):
        fields = wanted(a_case('set:\n  title: upper(booking.title)\n  tags: ["vip"]', amount=None)).fields
        assert (fields["title"], fields["tags"]) == ("GEL MANICURE", ["vip"])
        assert "amount" not in fields

    def test_a_status_without_a_counterpart_is_not_written(self):
        assert wanted(a_case(status="pending")).fields["status"] == "confirmed"
        assert "status" not in wanted(a_case(status=None)).fields

    def test_the_moment_of_completion_travels_with_the_completion_only(self):
        assert "completed_at" not in wanted(a_case(completed_at=AT)).fields
        assert wanted(a_case(**COMPLETED)).fields["completed_at"] == COMPLETED["completed_at"]

    def test_people_or_contact_as_the_target_takes_them(self):
        assert (wanted(a_case()).people, wanted(a_case()).person) == (("c1",), None)
        embedded = wanted(a_case(ALLOW, target="other.bookings"))
        assert embedded.people == ()
        assert embedded.person == {name: ANN[name] for name in ("full_name", "email", "phone")}

    @pytest.mark.parametrize(
        ("status", "tags"), [("cancelled", ["cancelled", NOREVIEW]), ("no_show", ["no-show", NOREVIEW])]
    )
    def test_an_end_after_delivery(self, status, tags):
        ended = wanted(a_case(ALLOW, status=status, delivered=True))
        assert (ended.ended, ended.fields) == (Status(status), {"tags": tags})

    def test_it_survives_the_outbox(self):
        for made in (wanted(a_case()), wanted(a_case(status="no_show", delivered=True))):
            assert Wish.load(made.dump()) == made


class TestLoudness:
    def test_never_is_the_default_and_completes_with_the_quiet_tag(self):
        quiet = wanted(a_case(**COMPLETED))
        assert (quiet.loud, quiet.fields["tags"]) == (False, [NOREVIEW])

    def test_allow_speaks_without_the_quiet_tag(self):
        loud = wanted(a_case(ALLOW, **COMPLETED))
        assert loud.loud
        assert "tags" not in loud.fields

    @pytest.mark.parametrize(
        "more",
        [
            {"completed_at": "2026-10-31T23:59:59.999Z"},
            {"completed_at": "absent", "ends": "2026-10-31T11:00:00.000Z"},
            {"completed_at": None, "ends": None, "starts": "2026-10-31T10:00:00.000Z"},
            {"completed_at": None, "ends": None, "starts": None},
            {"known_before": True},
        ],
    )
    def test_what_was_over_before_the_cut_over_stays_quiet(self, more):
        quiet = wanted(a_case(ALLOW + '\nset:\n  tags: ["vip"]', **{**COMPLETED, **more}))
        assert (quiet.loud, quiet.fields["tags"]) == (False, ["vip", NOREVIEW])
        assert "before the cut-over" in quiet.why

    def test_exactly_at_the_cut_over_is_after_it(self):
        assert wanted(a_case(ALLOW, **{**COMPLETED, "completed_at": "2026-11-01T00:00:00.000Z"})).loud

    def test_an_open_booking_needs_no_quiet_tag(self):
        assert "tags" not in wanted(a_case()).fields


class TestCreate:
    def test_an_open_booking_is_made_with_its_person_and_mark(self):
        made = step(wanted(a_case(ALLOW)))
        assert isinstance(made, Write)
        assert (made.act, made.ref, made.loud) == (Act.CREATE, None, False)
        assert made.fields["people"] == ["p1"]
        assert made.fields["tags"] == [MARK]

    @pytest.mark.parametrize(("extra", "loud"), [("", False), (ALLOW, True)])
    def test_a_completed_one_speaks_only_where_allowed(self, extra, loud):
        made = step(wanted(a_case(extra, **COMPLETED)))
        assert isinstance(made, Write)
        assert (made.act, made.loud, NOREVIEW in made.fields["tags"]) == (Act.COMPLETE, loud, not loud)

    def test_it_waits_for_its_people(self):
        assert isinstance(step(wanted(a_case()), people=None), Waits)
        for nobody in (None, [], "absent"):
            assert isinstance(step(wanted(a_case(people=nobody))), Waits)

    def test_an_end_of_what_is_not_there_is_settled(self):
        assert isinstance(step(wanted(a_case(status="cancelled", delivered=True))), Settled)

    def test_a_target_that_may_speak_is_refused_without_permission(self):
        spoken = step(wanted(a_case(ALLOW, target="other.bookings")), spec=SLOTS)
        assert isinstance(spoken, Write)
        assert spoken.loud
        silent = replace(wanted(a_case(ALLOW, target="other.bookings")), loud=False)
        refused = step(silent, spec=SLOTS)
        assert isinstance(refused, Stuck)
        assert "no silent booking" in refused.why
        assert "notify: allow" in refused.why

    @pytest.mark.parametrize(
        ("person", "missing"),
        [
            ({**ANN, "phone": None}, "missing phone:"),
            ({**ANN, "email": ""}, "missing email:"),
        ],
    )
    def test_a_missing_contact_is_for_a_human(self, person, missing):
        stuck = step(wanted(a_case(ALLOW, target="other.bookings", person=person)), spec=SLOTS)
        assert isinstance(stuck, Stuck)
        assert missing in stuck.why

    def test_a_contact_that_nobody_has_shown_yet_is_waited_for_unless_there_is_none(self):
        unknown = step(wanted(a_case(ALLOW, target="other.bookings", person=None)), spec=SLOTS)
        assert isinstance(unknown, Waits)
        nobody = step(wanted(a_case(ALLOW, target="other.bookings", person=None, people=[])), spec=SLOTS)
        assert isinstance(nobody, Stuck)
        assert "missing email, phone:" in nobody.why

    def test_what_the_target_cannot_make_is_refused_with_its_reason(self):
        spec = BOOKATU.kinds[Kind.PEOPLE]
        stuck = next_step(Wish({}, MARK, ""), Kind.PEOPLE, spec, None, None)
        assert isinstance(stuck, Stuck)
        assert "makes customers out of bookings" in stuck.why


class TestUpdate:
    HELD: ClassVar = {
        "title": "Gel manicure",
        "starts": AT,
        "status": "confirmed",
        "amount": BOOKING["amount"],
    }

    def test_nothing_to_do(self):
        assert isinstance(step(wanted(a_case()), self.HELD), Settled)

    def test_a_target_that_reformats_causes_no_second_write(self):
        held = {
            "title": "gel  manicure ",
            "starts": "2026-11-02T10:00:00Z",
            "status": "confirmed",
            "amount": {"minor": 75000, "currency": "XXX"},
            "tags": ["VIP "],
        }
        assert isinstance(step(wanted(a_case('set:\n  tags: ["vip"]')), held), Settled)

    def test_only_what_differs_is_written(self):
        made = step(wanted(a_case(title="Cut")), self.HELD)
        assert isinstance(made, Write)
        assert (made.act, made.ref, made.fields, made.held) == (
            Act.UPDATE,
            "t1",
            {"title": "Cut"},
            self.HELD,
        )

    def test_an_edit_at_the_target_stays_until_the_source_changes_that_field(self):
        sent = wanted(a_case()).fields
        edited = {**self.HELD, "title": "Gel (Ann's favourite)"}
        assert isinstance(step(wanted(a_case()), edited, sent), Settled)
        moved = step(wanted(a_case(starts="2026-11-03T10:00:00.000Z")), edited, sent)
        assert isinstance(moved, Write)
        assert set(moved.fields) == {"starts"}
        renamed = step(wanted(a_case(title="Cut")), edited, sent)
        assert isinstance(renamed, Write)
        assert renamed.fields == {"title": "Cut"}

    def test_tags_are_added_to_what_is_there(self):
        made = step(wanted(a_case('set:\n  tags: ["vip", "salon"]')), {**self.HELD, "tags": ["Salon", "x"]})
        assert isinstance(made, Write)
        assert made.fields == {"tags": ["vip"]}

    @pytest.mark.parametrize(("extra", "loud"), [("", False), (ALLOW, True)])
    def test_completing(self, extra, loud):
        made = step(wanted(a_case(extra, **COMPLETED)), self.HELD, wanted(a_case(extra)).fields)
        assert isinstance(made, Write)
        assert (made.act, made.loud, NOREVIEW in made.fields.get("tags", ())) == (
            Act.COMPLETE,
            loud,
            not loud,
        )

    def test_a_quiet_tag_that_is_there_is_not_added_again(self):
        made = step(wanted(a_case(**COMPLETED)), {**self.HELD, "tags": [NOREVIEW.upper()]})
        assert isinstance(made, Write)
        assert (made.act, made.loud, "tags" in made.fields) == (Act.COMPLETE, False, False)

    def test_what_the_target_completed_is_not_completed_again_or_reopened(self):
        held = {**self.HELD, "status": "completed", "completed_at": COMPLETED["completed_at"]}
        assert isinstance(step(wanted(a_case(ALLOW, **COMPLETED)), held), Settled)
        assert isinstance(step(wanted(a_case(ALLOW)), held), Settled)

    def test_an_end_adds_tags_silently_and_once(self):
        ended = wanted(a_case(status="cancelled", delivered=True))
        made = step(ended, self.HELD)
        assert isinstance(made, Write)
        assert (made.act, made.loud, made.fields) == (
            Act.CANCEL,
            False,
            {"tags": ["cancelled", NOREVIEW]},
        )
        assert isinstance(step(ended, {**self.HELD, "tags": ["cancelled", NOREVIEW, "x"]}), Settled)

    def test_a_target_with_a_cancelled_state_is_cancelled_once(self):
        ended = wanted(a_case(ALLOW, target="other.bookings", status="cancelled", delivered=True))
        made = step(ended, self.HELD, spec=SLOTS)
        assert isinstance(made, Write)
        assert (made.act, made.fields, made.loud) == (Act.CANCEL, {}, True)
        assert isinstance(step(ended, {"status": "cancelled"}, spec=SLOTS), Settled)
        assert isinstance(step(replace(ended, loud=False), self.HELD, spec=SLOTS), Stuck)

    def test_an_update_that_the_target_does_not_know_names_the_fields(self):
        moved = wanted(a_case(ALLOW, target="other.bookings", starts="2026-11-03T10:00:00.000Z"))
        stuck = step(moved, {**self.HELD, "notes": "second floor"}, spec=SLOTS)
        assert isinstance(stuck, Stuck)
        assert "no update of starts for bookings" in stuck.why
        assert "no call that changes or moves" in stuck.why


class TestPeople:
    def test_a_person_whom_a_booking_needs_is_made_and_then_left_alone(self):
        ann = record({**ANN, "tags": ["x"], "company": None}, Kind.PEOPLE)
        needed = person_wish(ann, FOLK, MARK, "why", "NZ")
        made = next_step(needed, Kind.PEOPLE, FOLK, None, None)
        assert isinstance(made, Write)
        assert (made.act, made.loud) == (Act.CREATE, False)
        assert made.fields == {
            "full_name": "Ann Lee",
            "email": "ann@example.com",
            "phone": "+64211234567",
            "tags": [MARK],
        }
        there = record({"full_name": "Annie", "blocked": True}, Kind.PEOPLE, "reviews")
        assert isinstance(next_step(needed, Kind.PEOPLE, FOLK, there, None), Settled)

    def test_nobody_is_unblocked_or_rewritten_for_a_spelling(self):
        case = replace(
            a_case(),
            route=a_route(source="salon.people", target="reviews.people"),
            source=record(ANN, Kind.PEOPLE),
            target=FOLK,
        )
        there = record(
            {"full_name": "ANN LEE", "email": "Ann@Example.com", "phone": "0211234567", "blocked": True},
            Kind.PEOPLE,
            "reviews",
        )
        assert isinstance(next_step(wanted(case), Kind.PEOPLE, FOLK, there, None, region="NZ"), Settled)


class TestOwnFields:
    """The user's own fields on a booking are compared key by key."""

    STAYS = NOWISTAY.kinds[Kind.BOOKINGS]
    WISH = Wish({"parameters": {"stars": "5", "code": None}}, MARK, "why")

    def change(self, held, sent=None, wished=WISH, **more):
        target = replace(record(held, connection="there"), ref="t1")
        made = next_step(wished, Kind.BOOKINGS, self.STAYS, target, sent, **more)
        return made.fields["parameters"] if isinstance(made, Write) else made

    @pytest.mark.parametrize(
        ("held", "sent", "written"),
        [
            ({}, None, {"stars": "5"}),
            ({"stars": "4", "code": "x", "theirs": "y"}, None, {"stars": "5", "code": None}),
            ({"stars": "5", "code": "x", "theirs": "y"}, None, {"code": None}),
            ({"stars": "4", "code": "x"}, {"stars": "5", "code": "old"}, {"code": None}),
        ],
    )
    def test_only_keys_that_differ_are_written_and_a_null_clears(self, held, sent, written):
        last = {"parameters": sent} if sent else None
        assert self.change({"parameters": held}, last) == written

    @pytest.mark.parametrize(
        "held", [{"stars": "5"}, {"stars": "5", "code": None, "theirs": "y"}, {"stars": " 5 "}]
    )
    def test_what_is_there_already_is_not_written(self, held):
        assert isinstance(self.change({"parameters": held}), Settled)

    def test_a_view_that_shows_none_gets_what_is_not_null(self):
        assert self.change({}) == {"stars": "5"}

    def test_another_key_that_moved_over_there_is_no_conflict(self):
        agreed = {"parameters": {"stars": "4", "theirs": "y"}}
        there = {"parameters": {"stars": "4", "theirs": "z"}}
        assert self.change(there, pair=Pair("back", shared=frozenset({"parameters"}), agreed=agreed)) == {
            "stars": "5"
        }
        there = {"parameters": {"stars": "3", "theirs": "y"}}
        assert isinstance(
            self.change(there, pair=Pair("back", shared=frozenset({"parameters"}), agreed=agreed)), Stuck
        )


class TestMarksInNotes:
    """Where a mark has to stand in the notes, it stays with the record that it marks."""

    MARKED = "second floor bookferry-abcdefghijklmnop"

    def test_a_mark_is_not_carried_on(self):
        made = step(wanted(a_case(ALLOW, target="other.bookings", notes=self.MARKED)), spec=SLOTS)
        assert isinstance(made, Write)
        assert made.fields["notes"] == "second floor"

    def test_a_mark_makes_no_difference(self):
        held = {**BOOKING, "notes": self.MARKED}
        assert isinstance(step(wanted(a_case(ALLOW, target="other.bookings")), held, spec=SLOTS), Settled)

    def test_what_only_looks_like_one_stays(self):
        made = step(wanted(a_case(ALLOW, target="other.bookings", notes="by bookferry-boat")), spec=SLOTS)
        assert made.fields["notes"] == "by bookferry-boat"

    def test_what_the_route_back_left_may_show_too_little_for_an_expression(self):
        case = a_case("set: {name: 'lower(booking.title)'}", as_left={"status": "confirmed"})
        assert wanted(case).untouched == ()
