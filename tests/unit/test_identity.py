import pytest

from mapping.identity import MARK_PREFIX, Match, Suggestion, keys_of, marks_in, match, origin_mark
from mapping.model import Kind
from mapping.record import Record

MARK = origin_mark("bookatu", "parnell-nails", Kind.PEOPLE, "c1")
ANN = {"full_name": "Ann Lee", "email": "ann@example.com", "phone": "021 123 4567"}


def there(ref: str, fields: dict) -> tuple[Record, frozenset[str]]:
    keys = frozenset(key for key, _ in keys_of(Kind.PEOPLE, fields, "NZ"))
    number = int(ref.removeprefix("p"))
    return Record(number, "reviews", Kind.PEOPLE, ref, number, fields, 0), keys


def find(*candidates, fields=ANN, shared=frozenset()) -> Match | Suggestion | None:
    return match(Kind.PEOPLE, fields, MARK, candidates, region="NZ", shared=shared)


class TestMark:
    def test_it_is_made_of_the_platforms_ids_alone(self):
        assert origin_mark("bookatu", "parnell-nails", Kind.PEOPLE, "c1") == MARK
        others = {
            origin_mark("bookatu", "parnell-nails", Kind.BOOKINGS, "c1"),
            origin_mark("bookatu", "parnell-nails", Kind.PEOPLE, "c2"),
            origin_mark("bookatu", "parnell", Kind.PEOPLE, "c1"),
            origin_mark("nowistay", "parnell-nails", Kind.PEOPLE, "c1"),
        }
        assert len(others | {MARK}) == 5

    def test_it_is_lower_case_and_one_word(self):
        assert MARK.startswith(MARK_PREFIX)
        assert MARK.lower().strip() == MARK
        assert MARK.replace("-", "").isalnum()

    @pytest.mark.parametrize(
        "fields",
        [
            {"tags": ["vip", MARK]},
            {"tags": [f" {MARK.upper()} "]},
            {"notes": f"Please ring.\n[{MARK}]"},
            {"notes": f"({MARK.title()}), second floor"},
            {"notes": MARK + "."},
            {"notes": f"  {MARK}  ", "tags": None},
            {"external_ref": MARK.upper(), "notes": None},
        ],
    )
    def test_it_survives_tidying_up(self, fields):
        assert marks_in(fields) == [MARK]

    def test_nothing_else_is_one(self):
        assert marks_in({"tags": ["vip", f"x{MARK}"], "notes": None}) == []
        assert marks_in({}) == []


class TestKeys:
    def test_of_a_person(self):
        assert keys_of(Kind.PEOPLE, {**ANN, "tags": [MARK, MARK]}, "NZ") == [
            (f"mark:{MARK}", "ann lee"),
            ("email:ann@example.com", "ann lee"),
            ("phone:+64211234567", "ann lee"),
        ]

    def test_of_a_booking_the_mark_alone(self):
        assert keys_of(Kind.BOOKINGS, {"title": "Gel", "notes": f"[{MARK}]"}, "NZ") == [(f"mark:{MARK}", "")]

    @pytest.mark.parametrize("relay", ["x@guest.booking.com", "Y@Guest.AirBnB.com"])
    def test_a_relay_address_identifies_nobody(self, relay):
        assert keys_of(Kind.PEOPLE, {"email": relay}, None) == []
        assert find(there("p1", {**ANN, "email": relay}), fields={**ANN, "email": relay}) is None

    def test_what_looks_like_a_relay_only_at_its_end_is_none(self):
        assert keys_of(Kind.PEOPLE, {"email": "x@notguest.booking.com"}, None)

    def test_a_phone_of_no_known_region_is_no_key(self):
        assert keys_of(Kind.PEOPLE, {"phone": "021 123 4567"}, None) == []


class TestMatch:
    def test_our_mark_is_believed_before_all_else(self):
        marked = there("p2", {"full_name": "Somebody Else", "tags": [MARK]})
        found = find(there("p1", ANN), marked, shared=frozenset({"email:ann@example.com"}))
        assert found == Match(marked[0], "mark")

    def test_email_and_equal_name(self):
        one = there("p1", {"first_name": "ANN", "last_name": "lee", "email": "Ann@Example.com"})
        assert find(one) == Match(one[0], "match")

    def test_email_with_another_name_is_a_suggestion(self):
        found = find(there("p1", {**ANN, "full_name": "Bob Lee"}))
        assert isinstance(found, Suggestion)
        assert "p1 has this e-mail address under another name" in found.why

    def test_an_address_seen_under_two_names_is_no_key_any_more(self):
        found = find(there("p1", ANN), shared=frozenset({"email:ann@example.com"}))
        assert isinstance(found, Suggestion)
        assert "two names" in found.why

    def test_two_people_with_the_address_are_a_suggestion(self):
        found = find(there("p1", ANN), there("p2", {**ANN, "full_name": "Bob"}))
        assert isinstance(found, Suggestion)
        assert [record.ref for record in found.records] == ["p1", "p2"]

    def test_a_phone_or_a_name_alone_is_nothing(self):
        assert find(there("p1", {"full_name": "Ann Lee", "phone": "021 123 4567"})) is None
        assert find(there("p1", ANN), fields={"full_name": "Ann Lee"}) is None
        assert find() is None

    def test_another_records_mark_is_not_ours(self):
        other = origin_mark("bookatu", "parnell-nails", Kind.PEOPLE, "c9")
        assert find(there("p1", {"full_name": "Ann Lee", "tags": [other]})) is None
