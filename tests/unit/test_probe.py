import pytest

from connectors.probe import (
    Expected,
    columns_of,
    describe,
    fitting,
    form_of,
    lists_in,
    meaning,
    rows_of,
    words_in,
)

ANSWER = {
    "items": [
        {"uid": "b-1", "client": {"mail": "planted@guest.example"}, "begins_at": "2026-06-10T09:00:00+12:00"},
        {"uid": "b-2", "client": None, "begins_at": None, "tags": ["vip"]},
    ],
    "meta": {"count": 2, "next": None},
}


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, "null"),
        (True, "yes or no"),
        (7.5, "a number"),
        ("75.00", "a number in a text"),
        ("2026-06-10T09:00:00Z", "a moment with offset"),
        ("2026-06-10 09:00", "a moment without offset"),
        ("2026-06-10", "a date"),
        ("20260610", "a number in a text"),
        ("a@b.example", "an e-mail address"),
        ("+64 21 555 0100", "a telephone number"),
        ("https://x.example/1", "a web address"),
        ("NZD", "a currency"),
        ("Pacific/Auckland", "a zone"),
        ("planted", "a text"),
        ({}, "an object"),
        ([], "a list"),
    ],
)
def test_the_form_of_a_value(value, form):
    assert form_of(value) == form


def test_a_shape_shows_names_types_and_amounts_and_no_value():
    shape = describe(ANSWER)
    assert shape == [
        "(the answer): an object",
        "items: a list of 2",
        "items[].uid: a text",
        "items[].client: an object or null",
        "items[].client.mail: an e-mail address, in 1 of 2",
        "items[].begins_at: a moment with offset or null",
        "items[].tags: a list, in 1 of 2",
        "meta.count: a number",
        "meta.next: null",
    ]


def test_keys_that_may_be_values_are_masked():
    assert "planted" not in str(describe({"planted@guest.example": {"+64 21": [{"planted@x": 1}]}}))


@pytest.mark.parametrize("value", [None, 7, "planted", [], {}, [[]], [1, "x"], [{}, 1, None]])
def test_any_answer_has_a_shape(value):
    assert describe(value)
    assert "planted" not in str(describe(value))


def test_what_nests_without_end_is_cut():
    deep: dict = {}
    inner = deep
    for _ in range(900):
        inner["a"] = {}
        inner = inner["a"]
    assert len(describe(deep)) < 20
    assert len(columns_of([deep])) < 20


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ({"bookings": [], "other": [{}]}, "bookings"),
        ({"data": {"appointments": [{"a": 1}]}, "errors": []}, "data.appointments"),
        ({"tags": ["x"], "rows": [{"a": 1}]}, "rows"),
        ([{"a": 1}], "."),
        ({"a": 1}, None),
        (None, None),
    ],
)
def test_the_rows_are_found_wherever_they_stand(answer, place):
    assert rows_of(answer, Expected("bookings", "bookings", aliases=("appointments",)))[0] == place
    assert place is None or place in lists_in(answer)


def test_fields_are_found_by_name_and_by_form_each_place_once():
    columns = columns_of(ANSWER["items"] + [{"begins": "soon", "note": "x", "remark": "y"}])
    wanted = [
        Expected("id", "id", aliases=("uid",)),
        Expected("start", "startTime", "a moment with offset", ("beginsAt",)),
        Expected("email", "customer.email", "an e-mail address", ("mail",)),
        Expected("notes", "notes"),
        Expected("price", "price", "a number"),
    ]
    assert fitting(columns, wanted) == {
        "id": "uid",
        "start": "begins_at",
        "email": "client.mail",
        "notes": "note",
    }


def test_what_is_where_it_is_looked_for_needs_no_setting():
    assert fitting({"id": ["1"], "uid": ["2"]}, [Expected("id", "id", aliases=("uid",))]) == {}


def test_words_are_told_only_where_they_are_words():
    assert words_in(["done", "no show", "done", None, 7, "a@b.example", "+64 21", "x" * 40]) == [
        "done",
        "no show",
    ]


@pytest.mark.parametrize(
    ("word", "key"),
    [("canceled", "cancelled"), ("No-Show", "no_show"), ("booked", "confirmed"), ("zzz", None)],
)
def test_what_a_status_may_mean(word, key):
    known = {"cancelled": ["cancelled"], "no_show": ["no_show"], "confirmed": ["confirmed", "booked"]}
    assert meaning(word, known) == key
