"""The storm is strong enough: without a protection, some world of the first forty breaks a promise."""

import pytest

from tests.naive.switches import naive
from tests.torture import run

SEVEN = (
    "absence-cancels",
    "arrival-order",
    "blind-retry",
    "no-baseline",
    "no-echo-knowledge",
    "no-lookup",
    "wrong-refresh",
)


@pytest.mark.speaks
@pytest.mark.campaign
@pytest.mark.parametrize("name", SEVEN)
def test_without_a_protection_some_world_breaks_a_promise(name):
    with naive(name):
        assert any(run(seed).violations for seed in range(1, 41))
