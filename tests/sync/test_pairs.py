"""Two routes in opposite directions keep two platforms in step: over real HTTP, with all webhooks echoing."""

import asyncio
from contextlib import asynccontextmanager
from itertools import permutations

import pytest
from berths import ANN, BERTHS, BOB
from fleet import KEY, fleet
from test_matrix import NEEDS, Needs, route

from daemon.app import PLATFORMS, opened
from daemon.passes import sync
from mapping.capability import Act
from mapping.model import Kind
from state import cursors

pytestmark = pytest.mark.speaks

CYCLES = 5
CAMPAIGN = 50

BOOKINGS = {name: PLATFORMS[name].kinds[Kind.BOOKINGS] for name in BERTHS}
PAIRS = list(permutations(BERTHS, 2))


def creates(platform):
    return Act.CREATE in BOOKINGS[platform].acts


def takes(platform, name):
    """Whether a change of this field can be carried there."""
    spec = BOOKINGS[platform]
    if name not in spec.writes.values():
        return False
    return Act.UPDATE in spec.acts or (name == "starts" and Act.CANCEL in spec.acts)


def needs(platform):
    return Needs() if platform == "nowistay" else NEEDS[platform, Kind.BOOKINGS]


def both_ways(one, other, *, there="", back=""):
    """A route each way; ``there`` and ``back`` are further keys of theirs."""
    lines = [
        route((here, Kind.BOOKINGS), (away, Kind.BOOKINGS), needs(away)).replace("carried", f"to {away}")
        for here, away in ((one, other), (other, one))
    ]
    return "".join(
        line.replace("}\n", f", {more}}}\n") if more else line
        for line, more in zip(lines, (there, back), strict=True)
    )


@asynccontextmanager
async def in_step(folder, one, other, **keys):
    """A visit that was made at one side and is known at both: gives the fleet and its two ids."""

    def history(berths):
        for name, berth in berths.items():
            berth.book(9, BOB)  # a list that loses its only row is not believed
            if not creates(other):
                known[name] = berth.book(5)

    known: dict[str, str] = {}
    async with fleet(folder, both_ways(one, other, **keys), one, other, before=history) as port:
        if known:
            await port.link(Kind.BOOKINGS, (one, known[one]), (other, known[other]))
        ref = known[one] if known else port[one].book(5)
        await port.cycle()
        yield port, ref, await twin(port, one, ref, other)
        await port.settled()


async def twin(port, one, ref, other):
    """The id at the other side of what stands for the same visit."""
    entity = (await port.record(one, ref)).entity
    for there in port[other].live():
        known = await port.record(other, there)
        if known is not None and known.entity == entity:
            return there
    raise AssertionError(f"{ref} has no twin at {other}")


def amounts(port, *ends):
    return [port[platform].visits()[ref]["amount"] for platform, ref in ends]


@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_both_sides_stay_in_step_and_then_all_is_quiet(tmp_path, one, other):
    await keep_in_step(tmp_path, one, other, CYCLES)


@pytest.mark.campaign
@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_both_sides_stay_quiet_for_long(tmp_path, one, other):
    await keep_in_step(tmp_path, one, other, CAMPAIGN)


async def keep_in_step(folder, one, other, cycles):
    async with in_step(folder, one, other) as (port, *ids):
        ref, there = ids
        counted = [len(port[side].live()) for side in (one, other)]
        await port.settled()
        for here, away in ((one, other), (other, one)):
            mine = ref if here == one else there
            if takes(away, "amount"):
                port[here].price(mine, 80 + len(here))
                done = await port.cycle()
                assert done["parked"] == 0, await port.parked()
                assert amounts(port, (away, await twin(port, here, mine, away))) == [80 + len(here)]
            if takes(away, "starts"):
                port[here].move(mine, 6 if here == one else 8)
                done = await port.cycle()
                assert done["parked"] == 0, await port.parked()
                its = await twin(port, here, mine, away)
                assert port[away].starts(its) == port[here].starts(mine)
                ref, there = (mine, its) if here == one else (its, mine)
            await port.settled()
        await port.settled(cycles)
        assert [len(port[side].live()) for side in (one, other)] == counted
        if Act.CANCEL in BOOKINGS[other].acts and one != "nicejob":
            port[one].cancel(ref)
            done = await port.cycle()
            assert done["parked"] == 0, await port.parked()
            assert [len(port[side].live()) for side in (one, other)] == [number - 1 for number in counted]


# Both sides change the same field between two passes.

SHARED = [pair for pair in PAIRS if all(takes(side, "amount") and creates(side) for side in pair)]


async def change_both(port, *ends):
    """Another amount at each of these, in this order, told to nobody before all are done."""
    for platform, _ in ends:
        port[platform].box.hold_webhooks()
    for amount, (platform, ref) in enumerate(ends, 90):
        for berth in port.at.values():
            berth.box.advance(5)
        port[platform].price(ref, amount)
    for platform, _ in ends:
        port[platform].box.release_webhooks()


@pytest.mark.parametrize(("one", "other"), SHARED)
async def test_a_conflict_is_for_a_human_who_sees_both_sides(tmp_path, one, other):
    async with in_step(tmp_path, one, other) as (port, ref, there):
        ends = (one, ref), (other, there)
        await change_both(port, *ends)
        await port.cycle()
        assert amounts(port, *ends) == [90, 91], "nobody's change is lost"
        parked = await port.parked()
        assert {intent.route for intent in parked} == {f"to {one}", f"to {other}"}
        for intent in parked:
            assert "90" in intent.problem
            assert "91" in intent.problem
            assert "`owns`" in intent.problem
        port[other].price(there, 90)
        await port.cycle()
        assert (amounts(port, *ends), await port.parked()) == ([90, 90], []), "agreeing ends it"


@pytest.mark.parametrize("owner", [0, 1])
@pytest.mark.parametrize(("one", "other"), SHARED)
async def test_the_owner_of_a_field_wins(tmp_path, one, other, owner):
    keys = {("there", "back")[owner]: "owns: amount"}
    async with in_step(tmp_path, one, other, **keys) as (port, ref, there):
        await change_both(port, (one, ref), (other, there))
        done = await port.cycle()
        assert done["parked"] == 0, await port.parked()
        assert amounts(port, (one, ref), (other, there)) == [90 + owner] * 2


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize(("one", "other"), SHARED)
async def test_the_later_change_wins_where_the_newest_counts(tmp_path, one, other, later):
    async with in_step(tmp_path, one, other, there="newest: amount") as (port, ref, there):
        ends = [(one, ref), (other, there)]
        await change_both(port, *(ends if later else reversed(ends)))
        done = await port.cycle()
        assert done["parked"] == 0, await port.parked()
        assert amounts(port, *ends) == [91, 91]


async def test_two_who_undo_each_other_are_stopped_and_nobody_else_is(tmp_path):
    one, other = "nearbyassist", "nicejob"
    async with in_step(tmp_path, one, other) as (port, ref, there):
        second = port[one].book(7, BOB)
        await port.cycle()
        beside = await twin(port, one, second, other)
        for turn in range(5):
            port[one].price(ref, 100)
            port[one].price(second, 200 + turn)
            await port.cycle()
            if await port.parked():
                break
            assert amounts(port, (other, there)) == [100]
            port[other].price(there, 50)
            await port.cycle()
        assert turn == 3, "three times the same, and no more"
        (parked,) = await port.parked()
        assert f"'to {other}' and somebody at {other} undo each other's amount" in parked.problem
        assert "`owns`" in parked.problem
        assert f"`bookferry retry {parked.id}`" in parked.problem
        assert amounts(port, (other, there), (other, beside)) == [50, 200 + turn]
        port[one].price(second, 300)
        await port.cycle()
        assert amounts(port, (other, beside)) == [300]
        await port.let_go_on(parked)
        await port.cycle()
        assert amounts(port, (other, there)) == [100]
        port[other].price(there, 51)
        await port.cycle()
        port[one].price(ref, 100)
        await port.cycle()
        assert await port.parked() == []
        assert amounts(port, (other, there)) == [100]


async def test_a_source_that_changes_back_and_forth_is_not_blamed_on_the_target(tmp_path):
    one, other = "nearbyassist", "nicejob"
    routes = both_ways(one, other).splitlines(keepends=True)[0]
    async with fleet(tmp_path, routes, one, other) as port:
        ref = port[one].book(5)
        await port.cycle()
        for turn in range(7):
            port[one].price(ref, 90 + turn % 2)
            await port.cycle()
        (parked,) = await port.parked()
        assert "the source of route" in parked.problem
        assert "`owns`" not in parked.problem


async def test_what_moves_often_is_made_anew_each_time(tmp_path):
    one, other = "nearbyassist", "bookatu"
    async with in_step(tmp_path, one, other, there="canary: 0") as (port, ref, _):
        for day in (3, 4, 5, 6, 7):
            port[one].move(ref, day)
            done = await port.cycle()
            assert done["parked"] == 0, await port.parked()
            there = await twin(port, one, ref, other)
            assert port[other].starts(there) == port[one].starts(ref)


# Our own write comes back before its answer does.

WRITES = {"bookatu": "/appointments$", "nearbyassist": "/partner/bookings$", "nicejob": "/v2/bookings$"}


@pytest.mark.parametrize(("one", "other"), [pair for pair in PAIRS if pair[1] in WRITES])
async def test_what_we_made_is_not_made_back_though_its_webhook_comes_before_the_answer(tmp_path, one, other):
    async with fleet(tmp_path, both_ways(one, other), one, other) as port:
        box = port[other].box
        box.fault("hang_after", method="POST", path=WRITES[other], seconds=1000)
        ref = port[one].book(5)
        cycle = asyncio.create_task(port.cycle())
        while not port[other].live():
            await asyncio.wait([cycle], timeout=0.01)
        await box.quiet()
        await every_other_unit(port.app, f"push:{other}")
        assert port[one].live() == [ref], "it is not made back"
        box.advance(1001)
        await cycle
        await port.cycle()
        assert (port[one].live(), len(port[other].live())) == ([ref], 1)
        assert await twin(port, one, ref, other) == port[other].live()[0]
        await port.settled(CYCLES)


async def every_other_unit(app, busy):
    """Wait until nothing is at work but one unit, which waits for an answer."""
    while tasks := [task for key, task in app.engine._busy.items() if key != busy]:
        await asyncio.wait(tasks)


@pytest.mark.parametrize("fault", ["lost_answer", "error_after"])
@pytest.mark.parametrize(("one", "other"), [pair for pair in PAIRS if pair[1] in WRITES])
async def test_a_lost_answer_makes_nothing_twice_on_either_side(tmp_path, one, other, fault):
    async with fleet(tmp_path, both_ways(one, other), one, other) as port:
        port[other].box.fault(fault, method="POST", path=WRITES[other])
        ref = port[one].book(5, ANN)
        done = await port.cycle()
        assert done["parked"] == 0, await port.parked()
        assert (port[one].live(), len(port[other].live())) == ([ref], 1)
        await port.settled(CYCLES)


async def test_a_lost_database_makes_nothing_anew(tmp_path):
    one, other = "nearbyassist", "nicejob"
    async with in_step(tmp_path, one, other) as (port, ref, there):
        fresh = opened(port.app.config, tmp_path / "fresh.db", KEY, now=port.app.now, settle_ms=0)
        async with fresh as app:
            await sync(app)
            await app.db.transaction(
                lambda tx: [
                    cursors.arm(tx, name.name, now=app.ms(), since=None) for name in app.config.routes
                ]
            )
            port[other].price(there, 66)
            done = await sync(app)
            assert (done["parked"], done["problems"]) == (0, {})
            assert amounts(port, (one, ref), (other, there)) == [66, 66]
            assert len(port[one].live()) == len(port[other].live()), "each stands for what it was made from"
            assert (await sync(app))["writes"] == 0
        await port.cycle()


async def test_one_edit_on_each_side_between_two_passes_loses_neither(tmp_path):
    one, other = "nearbyassist", "nicejob"
    async with in_step(tmp_path, one, other) as (port, ref, there):
        port[other].box.hold_webhooks()
        port[one].box.edit_booking(ref, service_name="Express Polish")
        port[other].price(there, 91)
        port[other].box.release_webhooks()
        done = await port.cycle()
        assert done["parked"] == 0, await port.parked()
        assert amounts(port, (one, ref), (other, there)) == [91, 91]
        assert port[other].table("bookings")[there]["name"] == "Express Polish"


async def test_two_records_that_differ_when_they_are_linked_are_a_question(tmp_path):
    def history(berths):
        for berth in berths.values():
            known[berth.platform] = berth.book(5)
        berths["nearbyassist"].price(known["nearbyassist"], 60)

    known: dict[str, str] = {}
    ends = one, other = "nearbyassist", "nowistay"
    async with fleet(tmp_path, both_ways(*ends), *ends, before=history) as port:
        await port.link(Kind.BOOKINGS, *((name, known[name]) for name in ends))
        port[one].price(known[one], 61)
        await port.cycle()
        (parked,) = await port.parked()
        assert "61.00 NZD here, 75.00 NZD there" in parked.problem
        assert amounts(port, *((name, known[name]) for name in ends)) == [61, 75]
        port[other].price(known[other], 61)
        await port.cycle()
        assert await port.parked() == []
        await port.settled()


async def test_a_guest_of_three_stays_is_made_once_though_the_answer_is_lost(tmp_path):
    """Nowistay tells the guest anew with every stay: three people there are one in NiceJob."""
    routes = "  - {name: stays, from: nowistay.bookings, to: nicejob.bookings, notify: never}\n"
    async with fleet(tmp_path, routes, "nowistay", "nicejob") as port:
        people = port["nicejob"].box
        people.fault("lost_answer", method="POST", path="/v2/people")
        people.fault("error", method="GET", path="/v2/people", status=503, times=None, after=1)
        stays = [port["nowistay"].book(days, ANN) for days in (5, 9, 14)]
        await port.calm()
        people.clear_faults()
        port["nowistay"].box.advance(600)
        port.app.engine.kick("push:nicejob")
        await port.calm()
        assert await port.parked() == []
        assert len(port["nicejob"].table("people")) == 1
        assert len(port["nicejob"].live()) == len(stays)
        await port.settled(CYCLES)
