"""``python -m tests.naive``: the whole suite under each switch, and which tests no switch breaks.

``--switch NAME`` (again and again) takes some of them, ``--module PATH`` some of the tests, ``--claims`` checks the table
alone: each module under the switch that it is said to be broken by.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.naive.switches import ROOT, SWITCHES
from tests.naive.table import BROKEN_BY, WORTH

NEVER = ("tests/naive", "tests/bench")
"""What tests the switches themselves, and what measures."""


def outcomes(switch, paths, *more):
    """Test → whether it passed, of a run under a switch (None: under no switch)."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        naive = ["-p", "tests.naive.plugin", "--naive", switch] if switch else []
        left_out = [f"--ignore={path}" for path in NEVER]
        words = [sys.executable, "-m", "pytest", "-q", "--tb=no", f"--junitxml={report}", *naive, *left_out]
        env = {**os.environ, "BOOKFERRY_NAIVE": switch or ""}
        subprocess.run([*words, *more, *paths], cwd=ROOT, env=env, capture_output=True, check=False)
        if not report.exists():
            return {}
        return dict(_read(report))


def _read(report):
    for case in ET.parse(report).iter("testcase"):
        place = case.get("classname", "").split(".")
        known = next(
            n for n in range(len(place), 0, -1) if (ROOT / Path(*place[:n])).with_suffix(".py").exists()
        )
        file = Path(*place[:known]).with_suffix(".py").as_posix()
        name = "::".join([file, *place[known:], case.get("name")])
        yield name, case.find("failure") is None and case.find("error") is None


def matrix(switches, paths):
    sound = {name for name, passed in outcomes(None, paths, "-n", "2").items() if passed}
    broken = defaultdict(set)
    for switch in switches:
        failed = {name for name, passed in outcomes(switch, paths, "-n", "2").items() if not passed} & sound
        print(f"\n{switch}: {SWITCHES[switch].removes}\n  {len(failed)} tests fail without it", flush=True)
        for name in sorted(failed):
            broken[name].add(switch)
            print(f"  {name}", flush=True)
    unbroken = defaultdict(list)
    for name in sorted(sound - set(broken)):
        unbroken[name.partition("::")[0]].append(name)
    print(f"\nBroken by no switch: {sum(map(len, unbroken.values()))} of {len(sound)}")
    for module, names in unbroken.items():
        worth = f" ({WORTH[module]})" if module in WORTH else ""
        print(f"  {module}: {len(names)}{worth}")
    return 0


def claims(paths):
    """Whether each module is really broken by the switch of the table."""
    wrong = 0
    for module, switch in BROKEN_BY.items():
        if paths and module not in paths:
            continue
        results = outcomes(switch, [module], "-x", "--timeout=60")
        failed = [name for name, passed in results.items() if not passed]
        wrong += not failed
        print(f"{module}: {switch}: {failed[0] if failed else 'NOT BROKEN'}", flush=True)
    return int(wrong > 0)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.naive", description=__doc__)
    parser.add_argument("--switch", action="append", choices=sorted(SWITCHES), metavar="NAME")
    parser.add_argument("--module", action="append", default=[], metavar="PATH")
    parser.add_argument("--claims", action="store_true", help="check the table alone")
    given = parser.parse_args()
    if given.claims:
        return claims(given.module)
    return matrix(given.switch or list(SWITCHES), given.module or ["tests"])


if __name__ == "__main__":
    sys.exit(main())
