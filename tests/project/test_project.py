"""The project tests itself: what the documents say is what the code does."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from connectors.platforms import PLATFORMS
from connectors.registry import CONNECTORS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ("connectors", "mapping", "daemon", "state")


def tracked():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def commands():
    from typer.main import get_command

    from daemon.cli import app

    return set(get_command(app).commands)


def test_the_readme_lists_exactly_the_commands_there_are():
    table = README.split("### Commands")[1].split("`-c/--config")[0]
    named = {
        word
        for cell in re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
        for word in re.findall(r"`([a-z-]+)", cell)
    }
    hidden = {"forget-tokens"}
    assert named - {"command"} == commands() - hidden


def test_every_promise_stands_in_the_readme():
    assert (
        len(
            re.findall(
                r"^\d\. \*\*", README.split("## What it promises")[1].split("## Good")[0], re.MULTILINE
            )
        )
        == 8
    )


def test_every_dependency_is_explained():
    names = {re.match(r"[a-z0-9-]+", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    table = ARCHITECTURE.split("## Dependencies")[1]
    assert {name for name in names if name not in table} == set()


def test_the_declared_platforms_are_those_of_the_registry():
    assert dict(PLATFORMS) == {name: connector.platform for name, connector in CONNECTORS.items()}


@pytest.mark.parametrize("platform", sorted(PLATFORMS))
def test_all_platforms_have_the_same_files(platform):
    folder = ROOT / "connectors" / platform
    for name in ("settings", "platform", "translate", "hooks", "connector", "sandbox"):
        assert (folder / f"{name}.py").is_file(), name


def test_the_changelog_has_this_version_or_an_unreleased_part():
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


def test_no_registry_is_named():
    hosts = ["pypi" + ".org", "python" + "hosted", "npmjs" + ".org", "deb." + "debian"]
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".lock", ".json", ""}:
            text = path.read_text(errors="replace")
            assert not [host for host in hosts if host in text], path


def test_mapping_and_connectors_touch_no_sql_and_mapping_names_no_platform():
    for room in ("mapping", "connectors", "daemon"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text()
            assert not re.search(r"\bimport sqlite3\b|\btx\.(rows|row|value|run|insert|many)\(", text), path
    for path in (ROOT / "mapping").glob("*.py"):
        text = path.read_text().lower()
        assert not [name for name in PLATFORMS if re.search(rf"\b{name}\b", text)], path


def test_no_source_file_is_longer_than_four_hundred_lines():
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path
