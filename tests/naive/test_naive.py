"""Would the tests notice? Each protection is turned off, and named tests fail; each module of tests has its place."""

import json
import os
import subprocess
import sys

import pytest

from tests.naive.switches import ROOT, SWITCHES
from tests.naive.table import BROKEN_BY, PROOFS, WORTH


def modules():
    found = (path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py"))
    return {path for path in found if "/fifth/" not in path}


def test_every_module_of_tests_is_broken_by_a_switch_or_says_what_it_is_worth():
    """A new one: `python -m tests.naive --module PATH` shows what breaks it; enter it in tests/naive/table.py."""
    assert not set(BROKEN_BY) & set(WORTH)
    assert {*BROKEN_BY, *WORTH} == modules()
    assert {*BROKEN_BY.values()} <= set(SWITCHES)


def test_every_switch_has_its_proof():
    assert set(PROOFS) == set(SWITCHES)


@pytest.mark.timeout(400)
def test_without_a_protection_its_tests_fail():
    wanted = {}
    for switch, nodes in PROOFS.items():
        for node in nodes:
            wanted.setdefault(node, []).append(switch)
    words = ["-p", "tests.naive.plugin", "--prove", json.dumps(wanted), "-q", "-s", "--tb=no", "--timeout=60"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", *words, *wanted],
        cwd=ROOT,
        env={**os.environ, "BOOKFERRY_NAIVE": "proofs"},
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    said = [line.split(" ", 2) for line in run.stdout.splitlines() if line.startswith("proof: ")]
    broken = {(switch, rest.removesuffix(" broken")) for _, switch, rest in said if rest.endswith(" broken")}
    assert broken == {(switch, node) for switch, nodes in PROOFS.items() for node in nodes}, run.stdout[
        -4000:
    ]


def test_a_switch_that_is_not_there_is_refused():
    words = ["-p", "tests.naive.plugin", "--naive", "nothing", "--collect-only", "tests/naive"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 4
    assert "there is no switch 'nothing'" in run.stderr
