"""One process of a benchmark: ``python -m tests.bench.child WHAT JSON``."""

import asyncio
import importlib
import json
import logging
import sys
from collections.abc import Coroutine
from typing import Any

ROLES = {
    "sandbox": ("pull", "sandbox"),
    "pull_ours": ("pull", "ours"),
    "pull_floor": ("pull", "floor"),
    "many_ours": ("many", "ours"),
    "hooks_ours": ("hooks", "ours"),
    "hooks_floor": ("hooks", "floor"),
    "load": ("hooks", "load"),
    "through_ours": ("through", "ours"),
    "through_floor": ("through", "floor"),
}


def main() -> None:
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    module, function = ROLES[sys.argv[1]]
    work = getattr(importlib.import_module(f"tests.bench.{module}"), function)
    run = as_the_commands if sys.argv[1].endswith("_ours") else as_it_comes
    run(work(**json.loads(sys.argv[2])))


def as_the_commands(work: Coroutine[Any, Any, None]) -> None:
    from daemon.loop import run

    run(work)


def as_it_comes(work: Coroutine[Any, Any, None]) -> None:
    """On the loop that uvicorn takes by itself: uvloop where it is installed."""
    import uvicorn

    with asyncio.Runner(loop_factory=uvicorn.Config(None, log_config=None).get_loop_factory()) as runner:
        runner.run(work)


if __name__ == "__main__":
    main()
