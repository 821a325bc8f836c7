"""Write every ``expected.json`` anew."""

import asyncio

from tests.recordings.replay import CASES, HERE, printed, replay

for case in CASES:
    (HERE / case / "expected.json").write_text(printed(asyncio.run(replay(case))))
    print(case)
