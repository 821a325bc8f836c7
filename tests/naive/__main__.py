"""``python -m tests.naive``: the whole suite under each switch, and which tests no switch breaks.

``--switch NAME`` (again and again) takes some of them, ``--module PATH`` some of the tests, ``--claims`` checks the table
alone: each module under the switch that it is said to be broken by.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.naive.switches import ROOT, SWITCHES
from tests.naive.table import BROKEN_BY, WORTH

NEVER = ("tests/naive", "tests/bench")
"""What tests the switches themselves, and what measures."""


def outcomes(switch, paths, *more, but=()):
    """Node → whether it passed, of a run under a switch (None: under no switch)."""
    with tempfile.TemporaryDirectory() as folder:
        report, left_out = Path(folder) / "report.json", Path(folder) / "but.json"
        left_out.write_text(json.dumps(sorted(but)))
        naive = ["--naive", switch] if switch else []
        words = ["-p", "tests.naive.plugin", f"--outcomes={report}", f"--but={left_out}", *naive]
        words += [f"--ignore={path}" for path in NEVER if path not in paths]
        env = {**os.environ, "BOOKFERRY_NAIVE": switch or ""}
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", *words, *more, *paths]
        subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=False)
        return json.loads(report.read_text()) if report.exists() else {}


def matrix(switches, paths, *, once=False):
    """What fails under each switch. ``once``: a test that one has broken is not run under the next."""
    sound = {name for name, passed in outcomes(None, paths, "-n", "2").items() if passed}
    broken = defaultdict(set)
    for switch in switches:
        results = outcomes(switch, paths, "-n", "2", "--timeout=60", but=broken if once else ())
        failed = {name for name, passed in results.items() if not passed} & sound
        print(f"\n{switch}: {SWITCHES[switch].removes}\n  {len(failed)} tests fail without it", flush=True)
        for name in sorted(failed):
            broken[name].add(switch)
            print(f"  {name}", flush=True)
    whole = {_function(name) for name in sound}
    unbroken = defaultdict(list)
    for name in sorted(whole - {_function(name) for name in broken}):
        unbroken[name.partition("::")[0]].append(name.partition("::")[2])
    print(f"\nBroken by no switch: {sum(map(len, unbroken.values()))} of {len(whole)} test functions")
    for module, names in unbroken.items():
        worth = f" ({WORTH[module]})" if module in WORTH else ""
        print(f"  {module}: {len(names)}{worth}")
        for name in names:
            print(f"    {name}")
    return 0


def _function(name):
    """All cases of a test are one."""
    return name.partition("[")[0]


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
    parser.add_argument(
        "--once", action="store_true", help="each test only until one switch breaks it: much faster"
    )
    given = parser.parse_args()
    if given.claims:
        return claims(given.module)
    return matrix(given.switch or list(SWITCHES), given.module or ["tests"], once=given.once)


if __name__ == "__main__":
    sys.exit(main())
