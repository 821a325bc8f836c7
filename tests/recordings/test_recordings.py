"""Every recording, through the real connector."""

import pytest

from connectors.registry import CONNECTORS
from mapping.model import Kind
from tests.recordings.replay import CASES, HERE, printed, replay


@pytest.mark.parametrize("case", CASES)
async def test_recording(case):
    assert printed(await replay(case)) == (HERE / case / "expected.json").read_text()


@pytest.mark.parametrize("name", sorted(CONNECTORS))
def test_every_list_and_the_webhooks_of_every_connector_are_recorded(name):
    mine = [case.partition("/")[2] for case in CASES if case.startswith(f"{name}/")]
    for kind in CONNECTORS[name].streams:
        assert any(case.startswith(f"list-{Kind(kind).value}") for case in mine), f"no list of {kind}"
    assert not CONNECTORS[name].platform.webhooks or any(case.startswith("hook-") for case in mine)
