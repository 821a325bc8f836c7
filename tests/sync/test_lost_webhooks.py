"""Webhooks that get lost between a platform and our door, over real HTTP."""

import pytest
from berths import BERTHS, BOB
from fleet import fleet
from listening import close_door, findings, hooks, lost, open_door, pass_by, settled, tick

from daemon.concerns import concerns
from daemon.explain import explain
from mapping.model import Kind
from state import losses

NONE = {"lost": 0, "while_down": 0, "undecided": 0}


def drop(berth, *acts):
    """The staff act, and no webhook of it ever comes. Gives what the acts gave."""
    berth.box.hold_webhooks()
    done = [act() for act in acts]
    berth.box.release_webhooks(drop=100)
    return done


async def standing(app):
    return await app.db.read(lambda tx: {each.key: each for each in concerns(tx, app.world, app.ms())})


@pytest.mark.parametrize("platform", list(BERTHS))
async def test_webhooks_that_come_are_never_taken_for_lost(tmp_path, platform):
    async with fleet(tmp_path, "", platform) as port:
        await open_door(port.app)
        berth = port[platform]
        one, other = berth.book(5), berth.book(6, BOB)
        await port.cycle()
        for act in (
            lambda: berth.move(one, 8),
            lambda: berth.price(one, 90),
            lambda: berth.call(one, "+64 21 555 0199"),
            lambda: hasattr(berth, "complete") and berth.complete(one),
            lambda: platform != "nicejob" and berth.cancel(other),
        ):
            act()
            await port.cycle()
            await pass_by(port, 600)
            await port.cycle()
        await settled(port)
        assert await findings(port.app) == []
        seen = await hooks(port.app, platform)
        assert (seen["came"] > 2, seen["lost"], seen["last_lost"], seen["remedy"]) == (True, 0, None, None)


@pytest.mark.parametrize("platform", list(BERTHS))
async def test_a_dropped_webhook_is_found_by_the_next_list_and_counted(tmp_path, platform):
    async with fleet(tmp_path, "", platform) as port:
        await open_door(port.app)
        berth = port[platform]
        await pass_by(port, 240)
        known = berth.book(4)
        await port.cycle()
        await pass_by(port, 240)
        (made,) = drop(berth, lambda: berth.book(6, BOB))
        drop(berth, lambda: berth.move(known, 9))
        await port.cycle()
        assert {row[2:] for row in await findings(port.app) if row[1] == "bookings"} == {
            (made, "created"),
            (known, "rescheduled"),
        }
        assert (await lost(port.app, platform))["lost"] == 0, "they may still come"
        await settled(port)
        count = len(await findings(port.app))
        assert await lost(port.app, platform) == NONE | {"lost": count}
        seen = await hooks(port.app, platform)
        assert seen["last_lost"]["ref"] in {made, known}
        assert f"/hooks/{platform}" in seen["remedy"]
        assert (
            f'bookferry_webhooks_lost_total{{connection="{platform}"}} {count}.0'
            in port.app.metrics.page().decode()
        )
        record = await port.record(platform, made)
        told = await port.app.db.read(lambda tx: explain(port.app.world, tx, record))
        assert told["journal"][0]["webhook"] == "lost"


async def test_a_cancellation_that_only_the_list_shows_is_a_lost_one(tmp_path):
    async with fleet(tmp_path, "", "bookatu") as port:
        await open_door(port.app)
        berth = port["bookatu"]
        gone, *_others = [berth.book(days) for days in range(3, 15)]
        await port.cycle()
        drop(berth, lambda: berth.cancel(gone))
        for _ in range(2):
            await pass_by(port, 240)
            await port.cycle()
        assert await findings(port.app) == [("bookatu", "bookings", gone, "left the list")]
        await settled(port)
        assert (await lost(port.app, "bookatu"))["lost"] == 1


async def test_a_webhook_that_comes_late_takes_its_loss_back(tmp_path):
    async with fleet(tmp_path, "", "bookatu") as port:
        await open_door(port.app)
        berth = port["bookatu"]
        berth.box.hold_webhooks()
        berth.book(5)
        await port.cycle()
        assert (await lost(port.app, "bookatu"))["undecided"] == 1
        await settled(port)
        assert (await lost(port.app, "bookatu"))["lost"] == 1
        berth.box.release_webhooks()
        await port.calm()
        await tick(port.app)
        assert await lost(port.app, "bookatu") == NONE


async def test_a_webhook_between_the_list_and_the_grace_is_none_lost(tmp_path):
    async with fleet(tmp_path, "", "nearbyassist") as port:
        await open_door(port.app)
        berth = port["nearbyassist"]
        berth.box.hold_webhooks()
        berth.book(5)
        await port.cycle()
        assert (await lost(port.app, "nearbyassist"))["undecided"] == 1
        berth.box.release_webhooks("reversed", duplicate=1)
        await port.calm()
        await tick(port.app)
        assert await lost(port.app, "nearbyassist") == NONE


async def test_what_no_webhook_tells_is_none_lost(tmp_path):
    async with fleet(tmp_path, "", "bookatu") as port:
        await open_door(port.app)
        berth = port["bookatu"]
        ref = berth.book(5)
        await port.cycle()
        drop(berth, lambda: berth.price(ref, 99), lambda: berth.call(ref, "+64 21 555 0155"))
        await pass_by(port, 240)
        await port.cycle()
        assert await findings(port.app) == []


TWO_WAY = """
  - {name: there, from: nearbyassist.bookings, to: bookatu.bookings, notify: allow}
  - {name: back, from: bookatu.bookings, to: nearbyassist.bookings, notify: allow}
"""


@pytest.mark.speaks
async def test_what_we_wrote_ourselves_is_none_lost(tmp_path):
    async with fleet(tmp_path, TWO_WAY, "nearbyassist", "bookatu") as port:
        await open_door(port.app)
        berth, salon = port["nearbyassist"], port["bookatu"]
        for box in (berth.box, salon.box):
            box.hold_webhooks()
        ref = berth.book(5)
        mine = salon.book(6, BOB)
        await pass_by(port, 240)
        await port.cycle()
        assert (len(salon.live()), len(berth.live())) == (2, 2)
        berth.cancel(ref)
        for _ in range(3):
            await pass_by(port, 240)
            await port.cycle()
        there = {("nearbyassist", ref), ("bookatu", mine)}
        assert {row[:1] + row[2:3] for row in await findings(port.app)} == there


async def test_what_happened_while_nobody_listened_is_told_apart(tmp_path):
    async with fleet(tmp_path, "", "bookatu") as port:
        await open_door(port.app)
        berth = port["bookatu"]
        berth.book(4)
        await port.cycle()
        await close_door(port.app)
        drop(berth, lambda: berth.book(6, BOB))
        berth.box.advance(3600)
        await open_door(port.app)
        await port.cycle()
        await settled(port)
        assert await lost(port.app, "bookatu") == NONE | {"while_down": 1}
        assert not [key for key in await standing(port.app) if key.startswith(("lost", "silent"))]


async def test_webhooks_that_do_not_come_any_more_are_a_concern_until_one_comes(tmp_path):
    async with fleet(tmp_path, "", "bookatu") as port:
        await open_door(port.app)
        berth = port["bookatu"]
        berth.book(4)
        await port.cycle()
        await pass_by(port, 240)
        drop(berth, lambda: berth.book(6, BOB), lambda: berth.book(7, BOB))
        await port.cycle()
        await settled(port)
        found = (await standing(port.app))["silent:bookatu"]
        assert "do not come any more since" in found.text
        assert "2 changes" in found.text
        berth.book(8)
        await port.cycle()
        assert "silent:bookatu" not in await standing(port.app)


async def test_many_lost_among_those_that_come_are_a_concern_for_a_day(tmp_path):
    async with fleet(tmp_path, "", "bookatu") as port:
        await open_door(port.app)
        berth = port["bookatu"]
        berth.book(4)
        await port.cycle()
        await pass_by(port, 240)
        for days in (6, 7, 8):
            drop(berth, lambda days=days: berth.book(days, BOB))
        berth.book(9)
        await port.cycle()
        assert "lost:bookatu" not in await standing(port.app)
        await settled(port)
        berth.book(10)
        await port.cycle()
        assert "lost 3 webhooks" in (await standing(port.app))["lost:bookatu"].text
        berth.box.advance(86_400)
        assert "lost:bookatu" not in await standing(port.app)


async def test_webhooks_that_never_came_are_missed_only_where_they_are_set_up(tmp_path):
    async with fleet(tmp_path, "", "bookatu", before=lambda at: at["bookatu"].box.hold_webhooks()) as port:
        await open_door(port.app)
        await pass_by(port, 240)
        port["bookatu"].book(6)
        port["bookatu"].book(7)
        await port.cycle()
        await settled(port)
        assert "have never come" in (await standing(port.app))["silent:bookatu"].text

        config = port.app.config.connections["bookatu"]
        port.app.config.connections["bookatu"] = config.model_copy(update={"webhook_secret": ()})
        port["bookatu"].book(8)
        await port.cycle()
        assert (await lost(port.app, "bookatu"))["undecided"] == 0, "nobody expects any"


async def test_a_source_falls_silent_and_quiet_lists_speak_for_it(tmp_path):
    async with fleet(tmp_path, "", "bookatu") as port:
        app, day = port.app, 86_400_000
        now = app.ms()

        def lived(tx):
            """A month in which something came every three hours, and the door was open."""
            tx.run("INSERT INTO door_run VALUES (:a, :b)", a=now - 40 * day, b=now)
            for hour in range(0, 28 * 24, 3):
                at = now - 28 * day + hour * 3_600_000
                tx.run("INSERT INTO heard VALUES ('bookatu', :h, 1, :at)", h=at // 3_600_000, at=at)

        await app.db.transaction(lived)
        await open_door(app, anew=False)
        await pass_by(port, 9 * 3600)
        seen = await hooks(app, "bookatu")
        assert seen["silence"]["lists_are_quiet_too"] is False
        assert "longest pause before was 3 h" in (await standing(app))["silent:bookatu"].text
        await port.cycle()
        seen = await hooks(app, "bookatu")
        assert (seen["silence"]["lists_are_quiet_too"], seen["remedy"]) == (True, None)
        assert "silent:bookatu" not in await standing(app)


async def test_what_is_old_is_forgotten(tmp_path):
    async with fleet(tmp_path, "", "bookatu") as port:
        await open_door(port.app)
        drop(port["bookatu"], lambda: port["bookatu"].book(6))
        await pass_by(port, 240)
        await port.cycle()
        later = port.app.ms() + 91 * 86_400_000
        await port.app.db.transaction(lambda tx: losses.settle(tx, now=later))
        assert await findings(port.app) == []
        assert await port.record("bookatu", port["bookatu"].live()[0], Kind.BOOKINGS)
