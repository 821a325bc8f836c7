"""The guide is tried: a platform that was written by following docs/connectors.md. The suite runs over it as over the others."""

import re
from pathlib import Path

import pytest

from connectors.base import Connector
from connectors.registry import CONNECTORS as REGISTERED
from mapping.load import load
from mapping.model import Kind
from tests.contract import deskbook_fixture, test_contract
from tests.contract.enrolled import CONNECTORS
from tests.contract.fifth.connector import Deskbook
from tests.contract.surround import connected, everything

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/connectors.md").read_text().split("## Adding a platform")[1]
FOLDER = Path(__file__).parent / "fifth"


def test_it_goes_through_the_suite_and_is_no_platform_of_ours():
    assert "deskbook" not in REGISTERED
    assert CONNECTORS["deskbook"] is Deskbook
    assert "deskbook" in test_contract.TESTED


def test_it_has_the_files_that_the_guide_names_and_no_others():
    named = re.findall(r"^\d\. \*\*`(\w+\.py)`\*\*", GUIDE, re.MULTILINE)
    assert named == ["settings.py", "platform.py", "translate.py", "hooks.py", "connector.py", "sandbox.py"]
    assert {path.name for path in FOLDER.glob("*.py")} == set(named)


def test_every_function_that_the_guide_names_is_one_of_the_contract():
    rows = re.findall(r"^ +\| (`.+?) \|", GUIDE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    assert {"credential", "account", "pull", "write", "find"} <= named
    assert [name for name in named if not hasattr(Connector, name)] == []
    assert Connector.__abstractmethods__ <= named


def test_its_size_is_that_of_a_day():
    lines = sum(len(path.read_text().splitlines()) for path in FOLDER.glob("*.py"))
    assert lines <= 450


@pytest.mark.parametrize("key", ["", "    on_cancel: cancel\n", "    notify: allow\n"])
def test_a_route_into_it_is_checked_by_what_it_declares(key):
    text = f"""
connections:
  desk: {{platform: deskbook, api_key: "${{KEY}}"}}
  other: {{platform: deskbook, api_key: "${{KEY}}"}}
routes:
  - from: desk.bookings
    to: other.bookings
{key}"""
    platforms = {"deskbook": Deskbook.platform}
    given = {"env": {"KEY": "k"}, "read_file": str, "credential": lambda _: None}
    config = load(text, name="x.yaml", platforms=platforms, **given)
    assert len(config.routes) == 1
    assert config.warnings == ()


async def test_the_guests_inside_its_bookings_are_shown():
    box = deskbook_fixture.sandbox()
    box.seed(bookings=2)
    async with connected(Deskbook, box, lambda url: deskbook_fixture.settings(box, url)) as desk:
        seen = await everything(desk, Kind.BOOKINGS)
    (guest,) = seen[0].embedded
    assert guest.kind is Kind.PEOPLE
    assert guest.ref == seen[0].fields.people[0]
    assert guest.fields.email
