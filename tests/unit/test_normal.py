import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.normal import comparable, digits, email_key, folded, full_name, phone_key, same


@pytest.mark.parametrize(
    ("email", "key"),
    [
        (" Ann@Example.COM ", "ann@example.com"),
        ("ann+bob@example.com", "ann+bob@example.com"),
        ("ann @example.com", "ann@example.com"),
        ("ann", None),
        ("@example.com", None),
        ("ann@localhost", None),
        ("", None),
        (None, None),
    ],
)
def test_emails(email, key):
    assert email_key(email) == key


@pytest.mark.parametrize(
    ("phone", "region", "key"),
    [
        ("021 123 4567", "NZ", "+64211234567"),
        ("+64 21 123 4567", None, "+64211234567"),
        ("+64 21 123 4567", "DE", "+64211234567"),
        ("021 123 4567", None, None),
        ("(0)9 377 0000 ext. 12", "NZ", "+6493770000;ext=12"),
        ("030 901820", "DE", "+4930901820"),
        ("12", "NZ", None),
        ("call me", "NZ", None),
        ("", "NZ", None),
        (None, "NZ", None),
    ],
)
def test_phones(phone, region, key):
    assert phone_key(phone, region) == key


def test_an_extension_is_another_phone():
    assert phone_key("09 377 0000 ext 12", "NZ") != phone_key("09 377 0000 ext 13", "NZ")
    assert phone_key(phone_key("09 377 0000 ext 12", "NZ"), None) == "+6493770000;ext=12"


def test_digits():
    assert (digits("n/a 12-3"), digits(None)) == ("123", "")


def test_names():
    assert full_name({"full_name": "Ann  Lee", "first_name": "X"}) == "Ann  Lee"
    assert full_name({"first_name": "Ann", "last_name": "Lee"}) == "Ann Lee"
    assert full_name({"first_name": None, "last_name": "Lee"}) == "Lee"
    assert full_name({}) == ""
    assert folded("  ÁNN\tLee\u00a0") == folded("a\u0301nn lee")


class TestSame:
    @pytest.mark.parametrize(
        ("field", "one", "other"),
        [
            ("title", "Gel  Manicure ", "gel manicure"),
            ("title", None, ""),
            ("title", None, "   "),
            ("tags", ["B", "a"], ["a", "b ", "A"]),
            ("tags", [], None),
            ("tags", (), None),
            ("phone", "021 123 4567", "+64211234567"),
            ("phone", "n/a", None),
            ("starts", "2026-11-01T10:00:00.500Z", "2026-11-01T10:00:00Z"),
            ("amount", {"minor": 7500, "currency": "NZD"}, {"minor": 75000, "currency": "XXX"}),
            ("address", {"street": "1 Main St ", "city": None}, {"street": "1 main st"}),
            ("address", {"street": None, "city": ""}, None),
        ],
    )
    def test_spellings(self, field, one, other):
        assert same(field, one, other, "NZ")
        assert same(field, other, one, "NZ")

    @pytest.mark.parametrize(
        ("field", "one", "other"),
        [
            ("title", "Gel", "Cut"),
            ("tags", ["a"], ["a", "b"]),
            ("phone", "021 123 4567", "021 123 4568"),
            ("starts", "2026-11-01T10:00:00.000Z", "2026-11-01T10:00:01.000Z"),
            ("amount", {"minor": 7500, "currency": "NZD"}, {"minor": 7500, "currency": "AUD"}),
            ("amount", {"minor": 7500, "currency": "NZD"}, {"minor": 7500, "currency": "XXX"}),
            ("amount", {"minor": 0, "currency": "NZD"}, None),
            ("adults", 0, None),
            ("blocked", False, None),
        ],
    )
    def test_differences(self, field, one, other):
        assert not same(field, one, other, "NZ")
        assert not same(field, other, one, "NZ")

    @given(st.text("aBc é", max_size=12))
    def test_a_target_that_trims_and_folds_means_the_same(self, text):
        assert same("notes", text, text.strip().lower() or None)
        assert same("tags", [text], [text.upper()])

    @given(st.text(max_size=20))
    def test_the_normal_form_never_fails(self, text):
        for field in ("notes", "phone", "starts"):
            comparable(field, text, "NZ")
        comparable("tags", [text])
