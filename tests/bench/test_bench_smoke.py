"""The benchmarks run and count what they should. Their figures are not judged here."""

import asyncio

import pytest

from tests.bench import hooks, idle, kit, many, pull, through

pytestmark = pytest.mark.speaks


def _sizes(rows: list[kit.Row]) -> None:
    assert rows
    assert kit.table(rows).count("\n") == len(rows)


def test_pull():
    rows = pull.run(quick=True, rows=60, many=100)
    _sizes(rows)
    assert rows[-1].ours == 0  # nothing changed: no journal row


def test_hooks():
    _sizes(hooks.run(quick=True, amount=64, rows=60, side_by_side=(4,)))


def test_the_way_through_asks_once():
    rows = through.run(quick=True, alone=2, paced=4)
    _sizes(rows)


def test_many():
    _sizes(many.run(quick=True, rows=120, connections=3))


def test_idle():
    _sizes(idle.run(quick=True, seconds=0.5))


def test_a_row_knows_its_target():
    assert kit.Row("x", 1, 2, 0.5, 1.3).good
    assert kit.Row("x", 1, 2, 0.5, 1, at_least=True).good is False
    assert kit.Row("x", None, None, None, 1).good is None


@pytest.mark.parametrize("status", [b"HTTP/1.1 503 x", b"HTTP/1.1 401 x"])
async def test_only_acknowledged_webhooks_count(status):
    reader = asyncio.StreamReader()
    reader.feed_data(status + b"\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(AssertionError):
        await hooks.answered(reader)
