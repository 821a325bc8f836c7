"""The budget in simulated time: its clock moves only where somebody sleeps."""

import asyncio
import heapq
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import TRAVEL_S
from connectors.budget import LONGEST_HOLD, Budget, Lane
from connectors.errors import TryLater
from connectors.http import PATIENCE


class Time:
    """A clock and a sleeper. Time jumps to the next one due when everybody sleeps."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, future))
        await future

    async def run(self, *coroutines):
        tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
        for _ in range(100_000):
            for _ in range(8):
                await asyncio.sleep(0)
            if all(task.done() for task in tasks):
                return [task.result() for task in tasks]
            if self._sleepers:
                due, _, future = heapq.heappop(self._sleepers)
                self.now = max(self.now, due)
                if not future.done():
                    future.set_result(None)
        raise AssertionError("nobody gets on")


def budget(windows, time, **kwargs):
    return Budget(windows, now=time, sleep=time.sleep, **{"headroom": 0.0, **kwargs})


async def stamped(b, time, *scopes, log=None, mark=None, **kwargs):
    await b.take(*scopes, **kwargs)
    if log is not None:
        log.append((time.now, mark))
    return time.now


def most_in_a_window(moments, seconds):
    """The greatest number of moments in any closed stretch of that many seconds."""
    return max((sum(start <= m <= start + seconds for m in moments) for start in moments), default=0)


async def test_nobody_waits_when_nothing_binds():
    time = Time()
    b = budget([(5, 10)], time)
    for _ in range(5):
        await b.take()  # would hang: nobody moves the clock
    assert time.now == 1_000_000


async def test_the_sixth_waits_for_the_first_to_leave_the_window():
    time = Time()
    b = budget([(5, 10)], time)
    moments = await time.run(*(stamped(b, time) for _ in range(11)))
    assert moments[4] == 1_000_000
    assert moments[5] == pytest.approx(1_000_010, abs=0.01)
    assert moments[10] == pytest.approx(1_000_020, abs=0.02)


async def test_all_windows_hold_at_once():
    time = Time()
    b = budget([(2, 1), (5, 60)], time)
    moments = await time.run(*(stamped(b, time) for _ in range(6)))
    assert moments[2] - moments[0] > 1
    assert moments[5] - moments[0] > 60


async def test_headroom_is_left_to_others():
    time = Time()
    b = Budget([(10, 60), (3, 1)], now=time, sleep=time.sleep, headroom=0.1)
    assert [(r.limit, r.left) for r in b.remaining()] == [(9, 9), (2, 2)]
    await b.take()
    assert [(r.limit, r.left) for r in b.remaining()] == [(9, 8), (2, 1)]


def test_headroom_never_leaves_nothing():
    time = Time()
    b = Budget({"all": [(1, 60)]}, now=time, headroom=0.9)
    assert b.wait(["all"], time.now) <= 0


async def test_several_scopes_are_taken_together_or_not_at_all():
    time = Time()
    b = budget({"account": [(100, 10)], "write": [(1, 10)]}, time)
    await b.take("account", "write")
    waiter = asyncio.ensure_future(b.take("account", "write"))
    await asyncio.sleep(0)
    assert next(r.left for r in b.remaining() if r.scope == "account") == 99
    await b.take("account", "account")
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await b.take("account")
    assert next(r.left for r in b.remaining() if r.scope == "account") == 96


async def test_a_route_has_windows_of_its_own():
    time = Time()
    b = budget({"read": [(1, 60)]}, time)
    await b.take("read:/bookings")
    await b.take("read:/missions")
    moments = await time.run(stamped(b, time, "read:/bookings"))
    assert moments[0] > 1_000_060


async def test_hold_stops_everybody_and_ends():
    time = Time()
    b = budget([(100, 10)], time)
    b.hold("all", time.now + 30)
    b.hold("all", time.now + 20)  # a shorter one does not shorten it
    moments = await time.run(stamped(b, time), stamped(b, time))
    assert [m - 1_000_000 for m in moments] == pytest.approx([30, 30], abs=0.01)


async def test_no_hold_is_longer_than_a_quarter_of_an_hour():
    time = Time()
    b = budget([(100, 10)], time)
    b.hold("all", time.now + 10**9)
    assert b.wait(["all"], time.now) == LONGEST_HOLD


async def test_patience_ends_with_the_moment_to_come_back():
    time = Time()
    b = budget([(1, 900)], time)
    await b.take()
    with pytest.raises(TryLater) as caught:
        await b.take(patience=60)
    assert caught.value.retry_at == pytest.approx(1_000_900_000, abs=10)
    assert time.now == 1_000_000  # told at once, not after a minute
    assert (await time.run(stamped(b, time)))[0] > 1_000_900  # and its place in the queue is free again


async def test_a_call_is_patient_enough_for_the_window_of_a_minute():
    time = Time()
    b = budget([(1, 60)], time, travel=TRAVEL_S)
    await b.take()
    moments = await time.run(stamped(b, time, patience=PATIENCE))
    assert moments[0] - 1_000_000 == pytest.approx(60 + TRAVEL_S, abs=0.01)


async def test_lanes_go_first_and_a_lane_is_fifo():
    time = Time()
    b = budget([(1, 1)], time)
    await b.take()
    log = []
    lanes = [Lane.BACKFILL, Lane.POLL, Lane.POLL, Lane.PUSH, Lane.HOOK]
    await time.run(*(stamped(b, time, lane=lane, log=log, mark=(lane, i)) for i, lane in enumerate(lanes)))
    assert [mark for _, mark in log] == [
        (Lane.HOOK, 4),
        (Lane.PUSH, 3),
        (Lane.POLL, 1),
        (Lane.POLL, 2),
        (Lane.BACKFILL, 0),
    ]


async def test_poll_and_backfill_do_not_starve_under_a_flood_of_hooks():
    time = Time()
    b = budget([(1, 1)], time)
    log = []

    async def flood():
        for _ in range(60):
            await asyncio.gather(*(stamped(b, time, lane=Lane.HOOK, log=log, mark="hook") for _ in range(3)))

    async def one_after_the_other(lane):
        for _ in range(5):
            await stamped(b, time, lane=lane, log=log, mark=lane)

    await time.run(flood(), one_after_the_other(Lane.POLL), one_after_the_other(Lane.BACKFILL))
    marks = [mark for _, mark in log]
    for lane in (Lane.POLL, Lane.BACKFILL):
        places = [i for i, mark in enumerate(marks) if mark == lane]
        assert max(b - a for a, b in zip([0, *places], places, strict=False)) <= 12
    assert marks[:60].count("hook") >= 45  # the privilege of the hooks remains


async def test_a_queue_for_a_full_scope_does_not_stop_those_who_do_not_need_it():
    time = Time()
    b = budget({"account": [(100, 10)], "read": [(1, 60)]}, time)
    await b.take("account", "read")
    stuck = asyncio.ensure_future(b.take("account", "read", lane=Lane.HOOK))
    await asyncio.sleep(0)
    for _ in range(5):
        await b.take("account", lane=Lane.BACKFILL)
    assert time.now == 1_000_000
    await time.run(stuck)
    assert time.now > 1_000_060


async def test_one_who_needs_two_scopes_is_not_overtaken_for_ever():
    time = Time()
    b = budget({"a": [(1, 2)], "b": [(1, 3)]}, time)

    async def hog(scope):
        for _ in range(60):
            await b.take(scope, lane=Lane.HOOK)

    hogs = [asyncio.ensure_future(hog(scope)) for scope in ("a", "b")]
    await time.run(stamped(b, time, "a", "b", lane=Lane.BACKFILL))
    assert time.now < 1_000_060
    await time.run(*hogs)


async def test_a_cancelled_waiter_leaves_the_line():
    time = Time()
    b = budget([(1, 10)], time)
    await b.take()
    gone = asyncio.ensure_future(b.take(lane=Lane.HOOK))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    moments = await time.run(stamped(b, time), stamped(b, time))
    assert [m - 1_000_000 for m in moments] == pytest.approx([10, 20], abs=0.02)


async def test_one_who_is_let_through_asleep_does_not_leave_on_an_old_stamp():
    time = Time()
    b = budget({"a": [(9, 30)], "b": [(1, 100)]}, time)
    await b.take("b")
    front = asyncio.ensure_future(b.take("a", "b"))
    await asyncio.sleep(0)
    for _ in range(8):
        await b.take("a")  # overtaken so often, the one in front is waited for
    sent = []

    async def later(delay):
        await time.sleep(delay)
        await b.take("a")
        sent.append(time.now)

    async def gives_up():
        await time.sleep(45)
        front.cancel()

    await time.run(gives_up(), *(later(delay) for delay in [1] * 9 + [50] + [85] * 9))
    assert len(sent) == 19
    assert most_in_a_window(sent, 30) <= 9


async def test_stamps_and_holds_survive_a_restart():
    time = Time()
    old = budget({"read": [(2, 60)], "write": [(2, 60)]}, time)
    await old.take("read")
    await old.take("read", "write")
    old.hold("write", time.now + 5)
    time.now += 1
    dumped = json.loads(json.dumps(old.dump()))
    new = budget({"read": [(2, 60)], "write": [(2, 60)]}, time)
    new.load(dumped)
    new.load({"stamps": {"abolished": [1]}, "holds": {"abolished": 1}})
    new.load({})
    assert new.remaining() == old.remaining()
    assert new.dump() == dumped
    moments = await time.run(stamped(new, time, "read"), stamped(new, time, "write"))
    assert [m - 1_000_000 for m in moments] == pytest.approx([60, 5], abs=0.01)


async def test_a_dump_holds_only_what_still_counts():
    time = Time()
    b = budget([(5, 10)], time)
    await b.take()
    time.now += 11
    assert b.dump() == {"stamps": {}, "holds": {}}


@pytest.mark.parametrize(("seconds", "waited"), [(60, 61), (1, 1.1)])
async def test_one_who_was_slow_to_arrive_is_still_counted_there(seconds, waited):
    time = Time()
    b = budget([(2, seconds)], time, travel=1.0)
    moments = await time.run(*(stamped(b, time) for _ in range(3)))
    assert [m - 1_000_000 for m in moments] == pytest.approx([0, 0, waited], abs=0.01)


async def test_a_clock_set_back_costs_at_most_one_window():
    time = Time()
    b = budget([(2, 10)], time)
    await b.take()
    await b.take()
    time.now -= 3600
    moments = await time.run(stamped(b, time))
    assert moments[0] - (1_000_000 - 3600) == pytest.approx(10, abs=0.01)


requests = st.lists(
    st.tuples(
        st.floats(0, 30),
        st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")]),
        st.sampled_from(list(Lane)),
    ),
    max_size=40,
)
windows = st.lists(st.tuples(st.integers(1, 6), st.floats(0.5, 20)), min_size=1, max_size=2)


@settings(max_examples=150, deadline=None)
@given(requests, windows, windows, st.lists(st.tuples(st.floats(0, 30), st.floats(0, 10)), max_size=3))
def test_no_window_ever_holds_more_than_its_limit(wanted, of_a, of_b, holds):
    time = Time()
    b = budget({"a": of_a, "b": of_b}, time)
    sent = {"a": [], "b": []}

    async def request(delay, scopes, lane):
        if delay:
            await time.sleep(delay)
        await b.take(*scopes, lane=lane)
        for scope in scopes:
            sent[scope].append(time.now)

    async def hold(delay, seconds):
        await time.sleep(delay)
        b.hold("a", time.now + seconds)

    asyncio.run(time.run(*(request(*w) for w in wanted), *(hold(*h) for h in holds)))
    assert len(sent["a"]) + len(sent["b"]) == sum(len(scopes) for _, scopes, _ in wanted)
    for scope, limits in (("a", of_a), ("b", of_b)):
        for limit, seconds in limits:
            assert most_in_a_window(sent[scope], seconds) <= limit


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 40))
def test_the_budget_is_used_to_the_full(limit, count):
    time = Time()
    b = budget([(limit, 10)], time)
    moments = asyncio.run(time.run(*(stamped(b, time) for _ in range(count))))
    assert max(moments) - 1_000_000 <= (count - 1) // limit * 10.01


async def test_real_time_is_the_default():
    b = Budget([(1, 0.02)], headroom=0)
    await b.take()
    await b.take()
    assert b.remaining()[0].left == 0
