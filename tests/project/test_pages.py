"""The pages say what the code does: generated parts are fresh, and what they name exists."""

import re
from pathlib import Path

import pytest

from connectors.platforms import PLATFORMS
from mapping.config import Route
from tests import docs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "docs/connectors.md", "docs/architecture.md")


def test_the_generated_parts_of_the_guide_are_fresh():
    page = docs.PAGE.read_text()
    assert page == docs.renewed(page), "run: python -m tests.docs"


def test_a_stale_part_would_be_noticed():
    page = docs.PAGE.read_text()
    stale = page.replace("| NiceJob | listed | silent |", "| NiceJob | listed | loud |", 1)
    assert stale != page
    assert docs.renewed(stale) == page
    with pytest.raises(ValueError, match="no part table"):
        docs.renewed(page.replace("<!-- /table -->", ""))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page):
    named = re.findall(
        r"`((?:connectors|tests|daemon|mapping|docs|state|examples)/[\w./-]+\w)`", page_of(page)
    )
    named += [path for path in re.findall(r"\]\(([\w./-]+)\)", page_of(page)) if not path.startswith("http")]
    missing = [name for name in named if not any((base / name).exists() for base in (ROOT, ROOT / "docs"))]
    assert missing == []


def page_of(page):
    return (ROOT / page).read_text()


def test_the_readme_names_every_platform_and_every_recipe():
    assert [each.title for each in PLATFORMS.values() if f"**{each.title}**" not in README] == []
    recipes = sorted(path.name for path in (ROOT / "examples").glob("*.yaml"))
    assert sorted(re.findall(r"\(examples/([\w-]+\.yaml)\)", README)) == recipes


def test_the_readme_explains_every_key_of_a_route():
    keys = {info.alias or name for name, info in Route.model_fields.items()}
    shown = (
        README.split("```yaml")[1].split("```")[0] + README.split("### Keys of a route")[1].split("\n##")[0]
    )
    assert {key for key in keys if not re.search(rf"[`\s-]{key}[`:]", shown)} == set()
