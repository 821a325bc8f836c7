"""The surprise guard's judgement: what goes, what waits, and what it says of that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.capability import Act, KindSpec, Voice
from mapping.model import Kind, Status
from mapping.surprise import (
    DAY_MS,
    FLOORS,
    PERSON,
    Canary,
    Change,
    Limits,
    Past,
    Pending,
    Sort,
    allowed,
    least,
    likely,
    sieve,
    sort_of,
)
from mapping.wish import Settled, Stuck, Waits, Wish, Write

DEFAULT = Limits({})
BIG = Past(known=3_100, busiest=12)


def many(act, count, *, loud=False, start=1):
    return [Pending(start + n, act, loud) for n in range(count)]


def judged(pending, past=BIG, limits=DEFAULT, **more):
    return sieve(pending, lambda _sort, _count: past, limits, **more)


def held(verdict):
    return [each.id for each in verdict.hold]


class TestUsual:
    @pytest.mark.parametrize(
        ("sort", "past", "usual"),
        [
            (Sort.CREATE, Past(), 50),
            (Sort.CREATE, Past(known=3_100), 93),
            (Sort.CREATE, Past(known=3_100, busiest=40), 120),
            (Sort.CREATE, Past(known=10, away=2.5), 125),
            (Sort.CHANGE, Past(known=500), 50),
            (Sort.CHANGE, Past(known=30), 15),
            (Sort.CHANGE, Past(known=30, away=7), 15),
            (Sort.CHANGE, Past(known=4), 10),
            (Sort.CHANGE, Past(known=30, busiest=10), 30),
            (Sort.CANCEL, Past(known=500), 10),
            (Sort.CANCEL, Past(known=8), 5),
            (Sort.CANCEL, Past(known=3_100), 31),
            (Sort.CANCEL, Past(known=500, busiest=12), 36),
            (Sort.NOTIFY, Past(known=500), 50),
        ],
    )
    def test_what_is_usual(self, sort, past, usual):
        assert allowed(sort, past, DEFAULT) == usual

    def test_what_the_configuration_says_counts_as_it_stands(self):
        assert allowed(Sort.CHANGE, Past(known=4), Limits({Sort.CHANGE: 500})) == 500
        assert allowed(Sort.CHANGE, Past(known=4, busiest=10), Limits({Sort.CHANGE: 2}, times=1)) == 10

    @given(
        st.sampled_from(Sort),
        st.builds(
            Past,
            st.integers(0, 99),
            st.integers(0, 9_999),
            st.integers(0, 99_999),
            st.floats(min_value=1, max_value=7),
        ),
    )
    def test_the_past_never_makes_it_less_than_what_never_surprises(self, sort, past):
        assert least(sort, DEFAULT) <= FLOORS[sort]
        assert allowed(sort, past, DEFAULT) >= least(sort, DEFAULT)
        assert allowed(sort, past, DEFAULT) <= max(50 * 7, past.known, 21 * past.busiest)


class TestSieve:
    def test_a_reimport_is_held_and_new_ones_go(self):
        verdict = judged([*many("change", 3_000), *many("create", 40, start=5_000)])
        assert (len(verdict.hold), len(verdict.clear)) == (3_000, 40)
        (said,) = [found.sentence(Kind.BOOKINGS) for found in verdict.surprises]
        assert said == (
            "3000 changed bookings: up to 93 within a day are usual (the busiest day of the four weeks before had 12, 3100 known at the source)"
        )

    def test_the_last_day_counts(self):
        assert not judged(many("cancel", 10), Past(known=99)).hold
        assert len(judged(many("cancel", 1), Past(known=99, passed=10)).hold) == 1

    def test_what_is_loud_counts_besides(self):
        pending = [
            *many("change", 40, loud=True),
            *many("create", 20, loud=True, start=100),
            *many("create", 9, start=200),
        ]
        verdict = judged(pending, Past(known=999))
        assert [found.sort for found in verdict.surprises] == [Sort.NOTIFY]
        assert {each.id for each in verdict.clear} == set(range(200, 209))

    def test_what_is_no_write_goes(self):
        assert not judged([Pending(n, None, False) for n in range(999)]).hold
        assert Pending(1, PERSON, False).sorts == Pending(2, None, True).sorts == set()

    def test_off(self):
        assert not judged(many("cancel", 3_000), limits=Limits({}, on=False)).hold

    def test_what_is_held_stays_held_as_time_goes_by_and_goes_when_it_is_few_again(self):
        then = Past(known=99, passed=8)
        (found,) = judged(many("cancel", 5), then).surprises
        stands = {found.sort: found.past}
        assert len(judged(many("cancel", 5), Past(known=99), stands=stands).hold) == 5
        assert not judged(many("cancel", 2), Past(known=99), stands=stands).hold

    def test_the_canaries_go_first_and_the_others_wait(self):
        pending = [*many("create", 300, loud=True), *many("change", 3, start=900)]
        verdict = judged(pending, canary=Canary(5, only_loud=True))
        assert [each.id for each in verdict.clear] == [1, 2, 3, 4, 5, 900, 901, 902]
        assert (verdict.sung, verdict.caged, verdict.surprises) == (5, 295, [])
        assert judged(pending, canary=Canary(0, only_loud=True)).caged == 300
        assert judged(pending[-3:], canary=Canary(2, only_loud=False)).caged == 1

    @given(
        st.lists(
            st.builds(
                Pending, st.integers(), st.sampled_from([None, "create", "change", "cancel"]), st.booleans()
            ),
            max_size=150,
        ),
        st.builds(Past, st.integers(0, 60), st.integers(0, 30), st.integers(0, 300)),
        st.none() | st.builds(Canary, st.integers(0, 9), only_loud=st.booleans()),
    )
    def test_nothing_is_lost_and_no_more_goes_than_is_usual(self, pending, past, canary):
        verdict = judged(pending, past, canary=canary)
        assert sorted(map(repr, [*verdict.clear, *verdict.hold])) == sorted(map(repr, pending))
        free = verdict.clear[verdict.sung :]
        for sort in Sort:
            count = sum(sort in each.sorts for each in free)
            assert count == 0 or count + past.passed <= allowed(sort, past, DEFAULT)


SPEC = KindSpec(acts={Act.CREATE: Voice.SILENT, Act.UPDATE: Voice.CHOICE, Act.COMPLETE: Voice.CHOICE})
OPEN, DONE = Wish({}, "m", "w", loud=True), Wish({"status": "completed"}, "m", "w", loud=True)


@pytest.mark.parametrize(
    ("wanted", "step", "sort"),
    [
        (OPEN, Write(Kind.BOOKINGS, Act.CREATE, None, {}, "m"), ("create", False)),
        (OPEN, Write(Kind.BOOKINGS, Act.UPDATE, "1", {}, "m", loud=True), ("change", True)),
        (DONE, Write(Kind.BOOKINGS, Act.COMPLETE, "1", {}, "m"), ("change", False)),
        (OPEN, Write(Kind.BOOKINGS, Act.CANCEL, "1", {}, "m"), ("cancel", False)),
        (OPEN, Write(Kind.BOOKINGS, Act.CANCEL, "1", {}, "m", then_create=True), ("change", False)),
        (
            Wish({}, "m", "w", ended=Status.NO_SHOW),
            Write(Kind.BOOKINGS, Act.UPDATE, "1", {}, "m"),
            ("cancel", False),
        ),
        (OPEN, Waits("for somebody"), ("create", False)),
        (DONE, Waits("for somebody"), ("create", True)),
        (OPEN, Settled("it is so"), (None, False)),
        (OPEN, Stuck("no"), (None, False)),
        (
            Wish({}, "m", "w", only_create=True),
            Write(Kind.PEOPLE, Act.CREATE, None, {}, "m"),
            (PERSON, False),
        ),
    ],
)
def test_what_a_wish_counts_as(wanted, step, sort):
    assert sort_of(wanted, step, SPEC) == sort


def change(at=0, via="poll", fields=("starts", "updated_at"), word="confirmed", status="confirmed"):
    return Change(at, via, fields, word, status)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], None),
        (
            [change() for _ in range(99)] + [change(fields=("notes",))],
            "99 of 100 changed starts in one listing at 0: they were imported anew there, or its time zone changed",
        ),
        (
            [change(fields=("status", "status_word"), word="expired", status="cancelled") for _ in range(9)],
            "all 9 changed status, status_word in one listing at 0: their status word is now 'expired', which means cancelled",
        ),
        (
            [change(at, fields=()) for at in range(3)],
            "all 3 were seen for the first time in one listing at 0: they were imported there, or `when` is too wide",
        ),
        (
            [change(0, "webhook", ("price",)), change(DAY_MS, "poll", ("notes",))],
            f"all 2 changed between 0 and {DAY_MS} (by poll, webhook), and not in the same fields",
        ),
        (
            [change(0, "webhook", ("amount",))],
            "all 1 changed amount at 0 (by webhook): they were imported anew there, or all of them were edited at once",
        ),
    ],
)
def test_the_likely_cause_is_what_most_have_in_common(changes, said):
    assert likely(changes, str) == said
