"""One process of a benchmark: ``python -m tests.bench.child WHAT JSON``."""

import asyncio
import importlib
import json
import logging
import sys

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
    asyncio.run(work(**json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
