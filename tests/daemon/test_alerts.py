"""What the owner is told, over real HTTP to an endpoint on the loopback."""

import asyncio

import pytest
from post_box import KEY, PATH, Clock, config_of, house, minute, park, post_box, settle, stop, yaml

from connectors.alert import AlertChannel
from connectors.errors import TryLater
from daemon import service, views
from daemon.app import opened
from daemon.passes import sync
from mapping.problem import ConfigErrors
from state import losses, units
from state.errors import StoreUnavailable


async def test_a_concern_is_told_once_when_it_begins_and_once_when_it_is_over(tmp_path):
    async with post_box() as box, house(tmp_path, box.url) as app:
        await minute(app)
        assert box.messages == []
        await park(app, "apt_1")
        for _ in range(3):
            await minute(app)
        (message,) = box.messages
        assert message["text"] == "salon: row r1 waits for you: `bookferry parked` says why and what to do."
        assert (message["event"], message["connection"]) == ("parked", "salon")
        assert [(row["key"], row["state"]) for row in message["concerns"]] == [("parked:r1", "begins")]
        assert box.asked == [f"POST {PATH}?sig=a%26b HTTP/1.1"]
        await settle(app, "apt_1")
        for _ in range(3):
            await minute(app)
        assert [text.startswith("It is over: salon: row r1") for text in box.texts] == [False, True]
        assert "planted" not in str(box.messages), "no guest leaves this machine"


async def test_it_is_told_once_over_a_restart(tmp_path):
    clock = Clock()
    async with post_box() as box:
        for _ in range(3):
            async with house(tmp_path, box.url, clock) as app:
                await park(app, "apt_1")
                await minute(app)
        assert len(box.messages) == 1


async def test_what_cannot_be_delivered_is_told_later_and_disturbs_nothing(tmp_path):
    async with post_box(500, 404, 200) as box, house(tmp_path, box.url) as app:
        await stop(app)
        await minute(app)
        found = await app.db.read(lambda tx: views.status(app.world, tx, app.ms()))
        problem = found["alerts"]["problem"]["what"]
        assert "127.0.0.1 was answered 500" in problem
        assert "secret-part" not in problem
        assert [row["key"] for row in found["alerts"]["concerns"]] == ["human:salon"]
        assert list((await service.health(app))["concerns"]) == ["human:salon"]
        await minute(app)
        assert box.messages == []
        await minute(app)
        assert box.texts == ["salon needs you: the key was refused What to do: put a new one into the YAML."]
        found = await app.db.read(lambda tx: views.status(app.world, tx, app.ms()))
        assert found["alerts"]["problem"] is None


async def test_a_failing_endpoint_does_not_fail_a_pass(tmp_path):
    async with post_box(403) as box, house(tmp_path, box.url) as app:
        done = await sync(app)
        assert list(done["problems"]) == ["pull:salon"]
        assert f"POST {PATH}" in box.asked[-1]


async def test_many_at_once_are_one_message_and_none_follows_within_a_minute(tmp_path):
    async with post_box() as box, house(tmp_path, box.url) as app:
        await park(app, *(f"apt_{number}" for number in range(140)))
        await minute(app)
        await park(app, "apt_late")
        app.clock.now -= 50
        await minute(app)
        (message,) = box.messages
        assert message["event"] == "several"
        assert len(message["concerns"]) == 100
        assert message["text"].count("\n") == 10
        assert message["text"].endswith("… and 130 more: `bookferry status` shows them.")
        await minute(app)
        assert len(box.messages) == 2


async def test_one_that_comes_and_goes_unheard_is_told_with_its_end(tmp_path):
    async with post_box(500, 500, 200) as box, house(tmp_path, box.url) as app:
        await park(app, "apt_1")
        await minute(app)
        await settle(app, "apt_1")
        await minute(app)
        await minute(app)
        assert [text[-19:] for text in box.texts] == [" It is over already."[-19:]]
        await minute(app)
        assert len(box.messages) == 1


async def test_one_that_flaps_is_not_told_again(tmp_path):
    async with post_box(200, 500) as box, house(tmp_path, box.url) as app:
        await stop(app)
        await minute(app)
        await app.db.transaction(lambda tx: units.succeeded(tx, "pull:salon", now=app.ms()))
        await minute(app)
        await stop(app)
        box.statuses = [200]
        for _ in range(3):
            await minute(app)
        assert len(box.messages) == 1


async def test_without_an_address_the_log_the_metric_and_status_tell(tmp_path, capsys):
    async with house(tmp_path) as app:
        await park(app, "apt_1")
        await minute(app)
        await minute(app)
        assert capsys.readouterr().out.count("parked:r1") == 1
        assert b"bookferry_concerns 1.0" in app.metrics.page()
        await settle(app, "apt_1")
        await minute(app)
        assert b"bookferry_concerns 0.0" in app.metrics.page()


async def test_a_store_that_fails_is_told_from_memory(tmp_path):
    class Failing:
        """The store, with a disk that is full."""

        def __init__(self, db):
            self.read, self.close = db.read, db.close

        async def transaction(self, fn, label=""):
            raise StoreUnavailable("bookferry.db: the disk is full. Make room.")

    async with post_box() as box, house(tmp_path, box.url) as app:
        whole, app.db = app.db, Failing(app.db)
        for _ in range(3):
            await minute(app)
        assert [(each["event"], "the disk is full" in each["text"]) for each in box.messages] == [
            ("store", True)
        ]
        app.db = whole
        for _ in range(2):
            await minute(app)
        assert box.texts[1:] == ["It is over: the store of bookferry works again."]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.com/x", "must be https"),
        ("alerts.example.org/x", "is not an address for alerts"),
        ("https://user:pw@hooks.example.com/x", "is not an address for alerts"),
        ("https://hooks.example.com/a/../b", "is not an address for alerts"),
        ("https://hooks.example.com:99999/", "is not an address for alerts"),
        ("https://[::1/x", "is not an address for alerts"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_unseen(url, said):
    with pytest.raises(ConfigErrors) as refused:
        config_of(yaml(url))
    assert str(refused.value).startswith("bookferry.yaml:1:15: alerts.url: ")
    assert said in str(refused.value)
    assert "example.com" not in str(refused.value).replace("https://hooks.example.com/services/…", "")


def test_an_address_that_is_typed_in_is_a_secret_in_the_file():
    (first, *_) = config_of(yaml("https://hooks.example.com/x")).warnings
    assert "a secret is typed into the file" in str(first)
    assert not [each for each in config_of(yaml("http://127.0.0.1:1/x")).warnings if "secret" in each.path]


async def test_an_endpoint_that_hangs_up_is_told_without_its_address():
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    channel = AlertChannel(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATH}")
    async with server:
        with pytest.raises(
            TryLater, match=r"delivered: POST to 127\.0\.0\.1: 127\.0\.0\.1 closed the connection"
        ):
            await channel.post({})
    await channel.aclose()


async def test_the_service_notes_when_its_door_is_open(tmp_path):
    text = 'server: {hooks: "127.0.0.1:0", admin: "127.0.0.1:0"}\n' + yaml()
    async with opened(config_of(text), tmp_path / "bookferry.db", KEY) as app:
        began, stop_now, told = app.ms(), asyncio.Event(), []

        def ready(_hooks, admin):
            told.append(admin)
            stop_now.set()

        await park(app, "apt_1")
        await service.serve(app, ready=ready, stop=stop_now)
        ((opened_at, seen_at),) = await app.db.read(lambda tx: losses.runs(tx, 0))
        assert began <= opened_at <= seen_at <= app.ms()
        assert not app.serving
