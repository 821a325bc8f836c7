"""Commands one after the other in one process, on a disk that fails: ``python -m tests.disk.shell FOLDER``.

Reads the words of a command as one line of JSON, answers with its exit code and both outputs.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from cli_stage import call


def main(folder: str) -> None:
    for line in sys.stdin:
        given = json.loads(line)
        done = call(Path(folder), *given["words"], env=given["env"])
        print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
