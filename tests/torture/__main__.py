"""``bookferry-torture``: many seeds, with progress; a failing one with its shortest story. See ``--help``."""

import argparse
import os
import sys


def _same_hashes() -> None:
    """Sets of words are walked in the same order in every process."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.torture", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bookferry-torture", description=__doc__)
    parser.add_argument("--seeds", type=int, default=25, help="how many seeds")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--only", help="with --seed: the numbers of the events to tell, as 1,5,9")
    parser.add_argument("--log", help="with --seed: write the event log to this file")
    parser.add_argument("--resume", help="keep what is done in this file, and go on from there")
    parser.add_argument("--hours", type=float, help="simulated hours of each storm (default: drawn)")
    parser.add_argument("--ship", help="this configuration alone (default: drawn)")
    parser.add_argument("--no-shrink", action="store_true", help="do not look for the shortest story")
    return parser.parse_args()


if __name__ == "__main__":
    _same_hashes()
    from tests.torture.command import main

    sys.exit(main(_arguments()))
