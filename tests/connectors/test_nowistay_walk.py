"""Walking Nowistay's lists by offset while rows come and go."""

import random

import pytest
from nowistay_stage import BOOKINGS, MISSIONS, nowistay

from connectors.errors import BadAnswer
from connectors.nowistay.connector import Nowistay
from connectors.nowistay.paging import LIMIT, WALKS, Position, following, fresh, ranges, unranged
from tests.contract import nowistay_fixture as its
from tests.contract.surround import everything, raised, walk


async def disturbed(box, connector, disturb, kind=BOOKINGS, restart=False):
    """Walk a list; after each page `disturb` happens. Gives all ids, in the order given."""
    seen, position, pages = [], None, 0
    while True:
        page = await connector.pull(kind, position)
        if restart:
            await connector.aclose()
            connector = Nowistay(connector.name, connector.settings, connector.around)
        seen += [one.ref for one in page.observations]
        position, pages = page.next, pages + 1
        assert pages < 60
        if position is None:
            await connector.aclose()
            return seen
        disturb(pages)


async def test_250_bookings_while_rows_come_and_go():
    async with nowistay() as (box, connector):
        box.seed(bookings=250)
        at_first, gone, new = set(box.tables.bookings), set(), set()

        def disturb(pages):
            if pages > 3:
                return
            for ref in sorted(set(box.tables.bookings) - gone - new)[-8 * pages : -6 * pages]:
                box.delete_booking(ref)
                gone.add(ref)
            for _ in range(5):
                new.add(int(its.stay(box)))

        seen = await disturbed(box, connector, disturb)
    stayed = {str(ref) for ref in at_first - gone}
    assert gone, "the test removed something"
    assert stayed <= set(seen), "none is missed"
    assert {str(ref) for ref in new} <= set(seen), "nor is a new one"
    assert len(seen) == len(set(seen)), "none is doubled"


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("seed", range(12))
async def test_any_mixture_of_changes_ends_with_all_that_stayed(seed, order):
    chance = random.Random(seed)
    async with nowistay(order=order) as (box, connector):
        box.seed(bookings=250)
        at_first, gone = set(box.tables.bookings), set()

        def disturb(pages):
            if pages > 4:
                return
            for ref in chance.sample(sorted(box.tables.bookings), chance.randrange(9)):
                box.delete_booking(ref)
                gone.add(ref)
            for _ in range(chance.randrange(9)):
                its.stay(box)

        seen = await disturbed(box, connector, disturb)
    assert {str(ref) for ref in at_first - gone} <= set(seen)
    assert len(seen) == len(set(seen))


async def test_a_walk_goes_on_after_a_restart():
    async with nowistay() as (box, connector):
        box.seed(bookings=250)
        seen = await disturbed(
            box, connector, lambda pages: its.stay(box) if pages == 1 else None, restart=True
        )
        assert {str(ref) for ref in box.tables.bookings} == set(seen)
        assert len(seen) == len(set(seen))


async def test_a_quiet_list_is_walked_once():
    async with nowistay() as (box, connector):
        box.seed(bookings=250)
        assert len(await everything(connector, BOOKINGS)) == 250
        asked = [
            (call.query.get("offset"), call.query.get("status")) for call in box.calls("GET", "/bookings$")
        ]
        assert asked == [(None, None), ("90", None), ("180", None), (None, "cancelled")]
        assert {call.query["limit"] for call in box.calls("GET", "/bookings$")} == {"100"}


async def test_a_list_that_never_stands_still_is_left_to_the_next_poll():
    async with nowistay() as (box, connector):
        box.seed(bookings=150)
        seen = await disturbed(box, connector, lambda _: its.stay(box))
        assert len(seen) == len(set(seen)) >= 150
        assert len(box.calls("GET", "/bookings$")) <= 3 * WALKS + 1


@pytest.mark.parametrize("amount", [0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 190, 191])
async def test_every_length_ends(amount):
    async with nowistay() as (box, connector):
        box.seed(missions=amount)
        assert len(await everything(connector, MISSIONS)) == amount


async def test_each_property_has_its_own_walk():
    async with nowistay(more={"properties": [101, 102]}) as (box, connector):
        box.add_property("B")
        box.seed(bookings=250)
        assert len({seen.ref for seen in await everything(connector, BOOKINGS)}) == 250


@pytest.mark.parametrize("hidden", [True, False])
async def test_cancelled_ones_are_seen_once_whether_the_list_hides_them_or_not(hidden):
    async with nowistay(hides_cancelled=hidden) as (box, connector):
        refs = {its.stay(box, status="cancelled" if number % 2 else "confirmed") for number in range(6)}
        pages = await walk(connector, BOOKINGS)
        seen = [one for page in pages for one in page.observations]
        assert {one.ref for one in seen} == refs
        assert len(seen) == 6
        assert [one.fields.status.value for one in seen].count("cancelled") == 3
        assert not any(page.coverage.complete for page in pages)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_word_for_cancelled_that_is_refused_costs_no_other_booking(status):
    async with nowistay() as (box, connector):
        its.stay(box)
        box.fault("error", "GET", "/bookings$", status=status, after=1)
        assert len(await everything(connector, BOOKINGS)) == 1


async def test_another_word_for_cancelled_is_asked_for():
    async with nowistay(more={"statuses": {"canceled": "cancelled", "held": "pending"}}) as (box, connector):
        await everything(connector, BOOKINGS)
        assert [call.query.get("status") for call in box.calls("GET", "/bookings$")] == [None, "canceled"]


async def test_a_position_that_nobody_knows_is_a_bad_answer():
    async with nowistay() as (_, connector):
        for position in (
            "rubbish",
            "[]",
            "7",
            '["gone","x"]',
            "[0,0,0,5,true,1,[],[]]",
            "[9,0,null,[],false,1,[],[]]",
        ):
            await raised(connector.pull(BOOKINGS, position), BadAnswer)


def test_a_server_that_says_no_total_is_read_until_nothing_new_comes():
    here, given, all_ids = Position(), [], [str(number) for number in range(250)]
    while here is not None:
        page = [{"id": ref} for ref in all_ids[here.ask : here.ask + LIMIT]]
        given += [row["id"] for row in fresh(here, page)]
        here = following(here, [row["id"] for row in page], None)
    assert given == all_ids


@pytest.mark.parametrize("rows", [3, 10, 100])
def test_a_server_that_ignores_the_offset_ends(rows):
    here, asked = Position(), 0
    while here is not None:
        asked += 1
        here = following(here, [str(number) for number in range(rows)], 250)
    assert asked <= WALKS * 5


@pytest.mark.parametrize(
    ("ids", "spans"),
    [
        ([], []),
        (["9001"], ["9001"]),
        (["9003", "9001", "9002", "9005"], ["9001-9003", "9005"]),
        (["007", "a-b", "7", "=x"], ["7", "=007", "==x", "=a-b"]),
    ],
    ids=["none", "one", "span", "texts"],
)
def test_ids_in_few_characters(ids, spans):
    assert ranges(ids) == spans
    assert sorted(unranged(spans)) == sorted(ids)


def test_a_position_survives_as_text():
    here = Position(2, 190, 250, ("1", "2"), True, 3, frozenset({"1", "2", "x"}), frozenset({"7"}))
    assert Position.load(here.dump()) == here
    dense = Position(seen=frozenset(map(str, range(9000, 50_000))))
    assert len(dense.dump()) < 100
