"""``python -m tests.bench [NAME…] [--quick] [--json FILE]``: every figure a ratio to a hand-written floor."""

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

from tests.bench import kit

NAMES = ("pull", "hooks", "through", "many", "idle")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)}; all unless given"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few rows, one round: proves that it runs, little more"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    os.umask(0o077)  # the service refuses secrets that others can read
    rows: list[kit.Row] = []
    for name in given.names or NAMES:
        print(f"{name} …", file=sys.stderr, flush=True)
        found = importlib.import_module(f"tests.bench.{name}").run(quick=given.quick)
        print(kit.table(found), flush=True)
        print(flush=True)
        rows += found
    if given.json:
        given.json.write_text(json.dumps([row.told() for row in rows], indent=2) + "\n", encoding="utf-8")
    missed = [row.what for row in rows if row.good is False]
    print(f"missed: {'; '.join(missed)}" if missed else "all targets are met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
