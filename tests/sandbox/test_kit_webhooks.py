"""The kit's webhooks over real HTTP: retried, held, reordered, doubled, lost, sent again."""

import httpx
import pytest
from kit_toys import Notes, Receiver, pair, until

from connectors.sandbox import is_public_https, serve


async def test_a_delivery_is_retried_as_documented_and_then_given_up():
    async with pair([500, 302, 404], retry_scale=0) as (box, receiver, url):
        lost = box.tell(url, "lost")
        await box.quiet()
        assert [attempt for _, attempt, _ in receiver.got] == ["1", "2", "3"]
        assert [attempt.status for attempt in lost.attempts] == [500, 302, 404]
        assert lost.state == "failed"
        fine = box.tell(url, "fine")
        await box.quiet()
        assert (fine.state, len(fine.attempts)) == ("delivered", 1)


async def test_the_back_off_waits_by_the_sandboxs_clock():
    async with pair([500], retry_scale=10_000) as (box, receiver, url):
        box.tell(url, "x")
        await until(lambda: len(receiver.got) == 1)
        with pytest.raises(TimeoutError):
            await box.quiet(0.01)
        box.advance(4999)
        with pytest.raises(TimeoutError):
            await box.quiet(0.01)
        box.advance(2)
        await box.quiet()
        assert len(receiver.got) == 2


async def test_no_answer_and_no_listener_are_failures_with_a_name():
    async with pair(retry_scale=0, hook_timeout=0.05) as (box, receiver, url):
        receiver.fault("hang_after", seconds=60)
        slow = box.tell(url, "slow", delays=())
        gone = box.tell("http://127.0.0.1:1/hook", "gone", delays=())
        await box.quiet()
        assert slow.attempts[0].error == "timeout"
        assert gone.attempts[0].error == "ClientConnectorError"


async def test_a_given_up_delivery_says_so_and_an_unwanted_one_is_not_retried():
    async with pair([500] * 9, retry_scale=0) as (box, receiver, url):
        given_up = []
        box.tell(url, "a", exhausted=lambda: given_up.append("a"))
        box.tell(url, "b", wanted=lambda: False)
        await box.quiet()
        assert given_up == ["a"]
        assert receiver.texts().count('{"text":"b"}') == 1


@pytest.mark.parametrize("order", ["fifo", "reversed"])
async def test_held_deliveries_are_released_in_the_order_wanted(order):
    async with pair() as (box, receiver, url):
        box.hold_webhooks()
        for number in range(5):
            box.tell(url, number)
        await box.quiet()
        assert receiver.got == []
        box.release_webhooks(order)
        await box.quiet()
        numbers = [0, 1, 2, 3, 4]
        expected = numbers if order == "fifo" else numbers[::-1]
        assert receiver.texts() == [f'{{"text":"{number}"}}' for number in expected]
        box.tell(url, "after")
        await box.quiet()
        assert len(receiver.got) == 6, "released is released"


async def test_held_deliveries_can_be_lost_doubled_and_shuffled():
    async with pair() as (box, receiver, url):
        box.hold_webhooks()
        for number in range(20):
            box.tell(url, number)
        box.release_webhooks("shuffled", duplicate=3, drop=2, seed=5)
        await box.quiet()
        texts = receiver.texts()
        assert len(texts) == 21
        assert len(set(texts)) == 18
        assert texts != sorted(texts, key=lambda text: int(text[9:-2]))
        assert sum(delivery.state == "lost" for delivery in box.deliveries) == 2


async def test_a_redelivery_has_the_same_bytes_and_headers():
    async with pair() as (box, receiver, url):
        box.tell(url, "x")
        await box.quiet()
        box.advance(3600)
        box.redeliver(0)
        await box.quiet()
        assert receiver.got[0] == receiver.got[1]


async def test_what_is_told_before_serving_is_sent_then():
    receiver = Receiver()
    async with serve(receiver) as url:
        box = Notes()
        box.tell(url + "/hook", "early")
        async with serve(box):
            await box.quiet()
            assert receiver.texts() == ['{"text":"early"}']


async def test_strict_sandboxes_send_to_public_https_only():
    async with pair(strict_urls=True, retry_scale=0) as (box, receiver, url):
        box.tell(url, "x")
        await box.quiet()
        assert receiver.got == []
        assert {attempt.error for attempt in box.deliveries[0].attempts} == {"address not allowed"}


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://hooks.example.com/a", True),
        ("https://93.184.216.34/a", True),
        ("http://hooks.example.com/a", False),
        ("https://localhost/a", False),
        ("https://a.localhost/a", False),
        ("https://printer.local/a", False),
        ("https://api.internal/a", False),
        ("https://10.0.0.1/a", False),
        ("https://127.0.0.1/a", False),
        ("https://169.254.169.254/a", False),
        ("https://[::1]/a", False),
        ("nonsense", False),
    ],
)
def test_public_addresses(url, public):
    assert is_public_https(url) is public


async def test_deliveries_over_the_control_surface():
    async with (
        pair() as (box, receiver, url),
        httpx.AsyncClient(verify=False, base_url=box.base_url) as client,
    ):
        await client.post("/_sandbox/deliveries/hold")
        box.tell(url, "x")
        assert (await client.get("/_sandbox/deliveries")).json()["result"][0]["state"] == "held"
        released = await client.post("/_sandbox/deliveries/release", json={"order": "fifo", "duplicate": 1})
        assert released.json() == {"result": 2}
        await client.post("/_sandbox/deliveries/quiet", json={"within": 5})
        await client.post("/_sandbox/deliveries/redeliver", json={"index": 0})
        await client.post("/_sandbox/deliveries/quiet")
        assert len(receiver.got) == 3
        row = (await client.get("/_sandbox/deliveries")).json()["result"][0]
        assert row["attempts"][0]["status"] == 204
